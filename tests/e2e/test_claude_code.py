"""Claude Code's command line holds a turn with its full list of tools against a served model, and runs one of them.

The model's weights are written so that it greets and ends, whatever it is asked: one that says random words until
max_tokens is an error to Claude Code. Its tokenizer is the starter's, so that a prompt of 90 KB is read in seconds.
"""

import json
import os
import shutil
import subprocess
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from haiga.core.generation import Event, TextRequest
from haiga.core.messages import ToolResult, text_of
from haiga.engines.fake import CARD, FakeEngine
from haiga.services.inference import Inference
from haiga.services.models import Models
from haiga.starter import text_path
from haiga.text.tokenizer import Tokenizer
from haiga.web.app import Services
from tests.chains import link
from tests.checkpoints import make_checkpoint
from tests.e2e.test_serve import serving
from tests.wire.openai_server import EVERYTHING, OneKey
from tests.wire.openai_server import serving as serving_in_process
from tests.wire.tools_server import calls, part, says

CLAUDE = Path(__file__).with_name("claude_code") / "node_modules" / ".bin" / "claude"
GREETING = "Hello there!"
SETTINGS = {
    "ANTHROPIC_API_KEY": "x",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_TELEMETRY": "1",
    "CLAUDE_CODE_MAX_OUTPUT_TOKENS": "64",
}
pytestmark = [
    pytest.mark.skipif(shutil.which("node") is None, reason="Claude Code needs Node, and there is none here"),
    pytest.mark.skipif(not CLAUDE.exists(), reason="Claude Code is not installed: run scripts/sdk-env"),
]


def make_greeter(directory: Path) -> Path:
    """A model that answers GREETING to whatever it is asked."""
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        directory.mkdir(exist_ok=True)
        shutil.copy(text_path() / name, directory)
    tokenizer = Tokenizer.load(directory)
    chain = tokenizer.encode(f"\n{GREETING}<|im_end|>", special=False)
    assert len(set(chain)) == len(chain)
    make_checkpoint(directory, vocab_size=len(tokenizer), max_position_embeddings=131072, eos_token_id=chain[-1])
    link(directory, [chain])
    shutil.copy(text_path() / "generation_config.json", directory)  # transformers has written its own
    return directory


@dataclass
class Passing:
    """What went through a proxy: the bodies of message requests, and where it listens."""

    url: str
    bodies: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def passing(target: str) -> Iterator[Passing]:
    """A proxy that keeps what it passes on."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            kept.bodies.append(json.loads(body))
            headers = {
                name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")
            }
            with httpx.stream("POST", target + self.path, content=body, headers=headers, timeout=120) as answer:
                self.send_response(answer.status_code)
                self.send_header("content-type", answer.headers["content-type"])
                self.end_headers()
                for piece in answer.iter_bytes():
                    self.wfile.write(piece)

        def do_HEAD(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing is logged."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        kept = Passing(f"http://127.0.0.1:{server.server_port}")
        Thread(target=server.serve_forever, daemon=True).start()
        yield kept
        server.shutdown()


def say(url: str, home: Path, words: str, *flags: str) -> dict[str, Any]:
    """What Claude Code reports of one turn."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "ANTHROPIC_BASE_URL": url, **SETTINGS}
    command = [str(CLAUDE), "-p", words, "--output-format", "json", *flags]
    ran = subprocess.run(
        command, env=environment, cwd=home, capture_output=True, text=True, timeout=150, stdin=subprocess.DEVNULL
    )
    report: dict[str, Any] = json.loads(ran.stdout)
    return report


def test_claude_code_holds_a_conversation_with_its_full_list_of_tools(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    flags = ("--no-starter", "--model", f"greeter={make_greeter(tmp_path / 'greeter')}", "--alias", "claude-*=greeter")
    exactness = ("--weights", "bf16", "--cache", "u8")
    with serving(tmp_path / "data", *flags, *exactness) as server, passing(server.url) as passed:
        first = say(passed.url, home, "Say hello")
        second = say(passed.url, home, "And again", "--continue")
        counts = [count(server.url, body) for body in passed.bodies]

    assert [(False, GREETING), (False, GREETING)] == [(turn["is_error"], turn["result"]) for turn in (first, second)]
    assert [0, 1] == [json.dumps(body["messages"]).count(GREETING) for body in passed.bodies]  # the history is sent
    assert all(len(body["tools"]) > 15 and len(json.dumps(body)) > 70_000 for body in passed.bodies)
    # what changes with every request is not part of the prompt
    assert all(body["system"][0]["text"].startswith("x-anthropic-billing-header") for body in passed.bodies)
    assert all(whole == without for whole, without in counts)
    read, whole = second["usage"]["cache_read_input_tokens"], counts[-1][0]
    assert 0.9 < read / whole < 1


class Reader(FakeEngine):
    """Asks for a file to be read, and says what the result was."""

    def __init__(self, path: Path) -> None:
        super().__init__(replace(CARD, name="reader", capabilities=EVERYTHING, context=200_000, max_output=64_000))
        self._path = str(path)
        self.results: list[ToolResult] = []

    async def generate(self, request: TextRequest) -> AsyncGenerator[Event, None]:
        results = [b for message in request.messages for b in message.content if isinstance(b, ToolResult)]
        self.results = results or self.results
        can = any(tool.name == "Read" for tool in request.tools)
        script = part(says("nothing to read"), stop="end_turn")
        if results:
            script = part(says(f"It says: {text_of(results[-1].content)}"), stop="end_turn")
        elif can:
            script = part(says("I will look."), calls("Read", {"file_path": self._path}))
        async for event in FakeEngine(self.card, script).generate(request):
            yield event


def test_claude_code_runs_a_tool_that_the_model_asks_for_and_the_model_is_told_its_result(tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("seven herons at dusk")
    engine = Reader(note)
    services = Services(OneKey(), Inference(Models({"reader": engine}, [("claude-*", "reader")])))
    with serving_in_process(services) as url:
        told = say(url, tmp_path, "What does the note say?")
    assert (False, 2) == (told["is_error"], told["num_turns"])
    assert "It says:" in told["result"] and "seven herons at dusk" in told["result"]
    (result,) = engine.results
    assert not result.is_error and "seven herons at dusk" in text_of(result.content)


def count(url: str, body: dict[str, Any]) -> tuple[int, int]:
    """The tokens of a request's prompt, and those without its system prompt's first block."""
    found = []
    for system in (body["system"], body["system"][1:]):
        asked = {"model": body["model"], "messages": body["messages"], "tools": body["tools"], "system": system}
        headers = {"anthropic-version": "2023-06-01"}
        answer = httpx.post(f"{url}/v1/messages/count_tokens", json=asked, headers=headers, timeout=60)
        found.append(answer.json()["input_tokens"])
    return found[0], found[1]
