"""Servers' tools through the official openai SDK: the `mcp` tool of Responses, and what Chat Completions can carry."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from haiga.core.messages import ToolResult, ToolUse, text_of
from haiga.services.responses import Responses
from haiga.services.tools import OWN, HostedTool, Outcome, Registered
from haiga.stores.connect import connect
from haiga.stores.responses import DatabaseResponses
from tests.mcp_server import McpServer, add, fail, mcp_server
from tests.wire.client_checks import KEY
from tests.wire.openai_server import serving
from tests.wire.tools_server import Scripted, calls, part, says, tool_services

DONE = part(says("done"), stop="end_turn")
LOOK: Any = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}, "strict": False}


@contextmanager
def client_of(
    directory: Path, engine: Scripted, servers: Sequence[McpServer] = (), own: Sequence[Registered] = ()
) -> Iterator[openai.OpenAI]:
    async def made() -> None:
        async with connect(directory / "haiga.db"):
            pass

    asyncio.run(made())
    database = create_async_engine(f"sqlite+aiosqlite:///{directory / 'haiga.db'}", poolclass=NullPool)
    services = tool_services(engine, [server.host for server in servers], own)
    services = replace(services, responses=Responses(services.inference, DatabaseResponses(database)))
    with serving(services) as url, openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0) as client:
        yield client


def mcp(server: McpServer, label: str = "sums", **more: Any) -> dict[str, Any]:
    return {"type": "mcp", "server_label": label, "server_url": server.url, "require_approval": "never", **more}


def whole(client: openai.OpenAI, **fields: Any) -> Any:
    return client.responses.create(model="scripted", **fields)


def streamed(client: openai.OpenAI, **fields: Any) -> Any:
    with client.responses.stream(model="scripted", **fields) as stream:
        events = list(stream)
    assert list(range(len(events))) == [event.sequence_number for event in events]
    return stream.get_final_response()


@pytest.mark.parametrize("ask", [whole, streamed])
def test_a_call_of_a_server_is_an_item_with_its_output(tmp_path: Path, ask: Any) -> None:
    both = part(calls("sums_add", {"a": 2, "b": 3}), calls("sums_fail", {}))
    engine = Scripted(both, DONE)
    with mcp_server(add, fail) as server, client_of(tmp_path, engine, [server]) as client:
        response = ask(client, input="what is it", tools=[mcp(server, authorization="secret")])
        good, bad, message = response.output
        again = whole(client, input="and?", previous_response_id=response.id)
    assert ("mcp_call", "sums", "add", "5", "completed") == (
        good.type,
        good.server_label,
        good.name,
        good.output,
        good.status,
    )
    assert good.id.startswith("mcp_") and "{" in good.arguments
    assert ("failed", None) == (bad.status, bad.output) and "Error executing tool fail" in str(bad.error)
    assert ("completed", "done") == (response.status, message.content[0].text)
    assert "secret" not in response.model_dump_json()
    assert {"Bearer secret"} == set(server.seen)

    lived, later = engine.asked[1:]
    assert "done" == again.output_text
    uses = [[b.name for m in r.messages for b in m.content if isinstance(b, ToolUse)] for r in (lived, later)]
    results = [
        [text_of(b.content) for m in r.messages for b in m.content if isinstance(b, ToolResult)] for r in (lived, later)
    ]
    assert [["sums_add", "sums_fail"]] * 2 == uses
    assert results[0] == results[1] and "5" == results[0][0]


def test_calls_of_the_client_come_after_those_of_servers(tmp_path: Path) -> None:
    engine = Scripted(part(calls("sums_add", {"a": 2, "b": 3}), calls("look", {})), DONE)
    with mcp_server(add) as server, client_of(tmp_path, engine, [server]) as client:
        response = streamed(client, input="what is it", tools=[LOOK, mcp(server, allowed_tools=["add"])])
    assert ["mcp_call", "function_call"] == [item.type for item in response.output]
    assert ["look", "sums_add"] == [tool.name for tool in engine.asked[0].tools]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"require_approval": "always"}, "tools[0].require_approval"),
        ({"require_approval": None}, "tools[0].require_approval"),
        ({"connector_id": "connector_gmail"}, "tools[0].connector_id"),
        ({"server_url": None}, "tools[0].server_url"),
        ({"server_url": "http://10.255.255.1/mcp"}, "tools[0]"),
    ],
)
def test_what_is_not_offered_is_named(tmp_path: Path, fields: dict[str, Any], param: str) -> None:
    refused = pytest.raises(openai.BadRequestError)
    with mcp_server(add) as server, client_of(tmp_path, Scripted(DONE), [server]) as client, refused as caught:
        whole(client, input="x", tools=[mcp(server, **fields)])
    assert param == caught.value.param


async def now(arguments: Any) -> Outcome:
    return Outcome("noon")


def test_chat_completions_tell_what_comes_of_the_operators_tools(tmp_path: Path) -> None:
    engine = Scripted(part(says("Let me see. "), calls("now", {})), part(says("It is noon."), stop="end_turn"))
    always = Registered(HostedTool(OWN, "now", now), always=True)
    messages: Any = [{"role": "user", "content": "what time is it"}]
    with client_of(tmp_path, engine, own=[always]) as client:
        answer = client.chat.completions.create(model="scripted", messages=messages)
    with client_of(tmp_path, Scripted(*engine._parts), own=[always]) as client:
        stream = client.chat.completions.create(model="scripted", messages=messages, stream=True)
        pieces = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
    (choice,) = answer.choices
    assert ("stop", "Let me see. It is noon.", None) == (
        choice.finish_reason,
        choice.message.content,
        choice.message.tool_calls,
    )
    assert choice.message.content == "".join(pieces)
