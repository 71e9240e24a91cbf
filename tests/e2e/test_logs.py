"""The log of `haiga serve`, read as a collector reads it."""

import json
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.test_serve import OLD, serving

FIELDS = ("method", "path", "status", "model", "input_tokens", "output_tokens", "outcome")


def fields(line: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(line.get(name) for name in FIELDS)


def test_each_request_is_a_line_that_tells_who_and_how_much_but_not_what(tmp_path: Path) -> None:
    with serving(tmp_path, "--log-format", "json", errors=tmp_path / "log") as server:
        answer = server.ask("Tell me of the zanzibar.", max_tokens=5)
        messages = [{"role": "user", "content": "Tell me of the zanzibar."}]
        with server.client.messages.stream(
            model="starter", max_tokens=5, messages=messages, extra_headers=OLD
        ) as stream:
            streamed, id = stream.get_final_message().usage, stream.response.headers["request-id"]
        lost = httpx.get(f"{server.url}/nowhere%0Aat/all?secret=1")
        unknown = httpx.post(f"{server.url}/v1/messages", headers=OLD, content="{")
    text = (tmp_path / "log").read_text()
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    used = answer.usage
    assert [
        ("POST", "/v1/messages", 200, "starter", used.input_tokens, used.output_tokens, "succeeded"),
        ("POST", "/v1/messages", 200, "starter", streamed.input_tokens, streamed.output_tokens, "succeeded"),
        ("GET", "/nowhere%0Aat/all", 404, None, None, None, "notfound"),
        ("POST", "/v1/messages", 400, None, None, None, "invalid"),
    ] == [fields(line) for line in lines]
    assert [answer._request_id, id, *(got.headers["request-id"] for got in (lost, unknown))] == [
        line["request_id"] for line in lines
    ]
    assert "default" == lines[0]["workspace"]
    assert "zanzibar" not in text
    assert "secret" not in text
