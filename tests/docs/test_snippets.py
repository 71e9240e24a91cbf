"""What documents tell people to type: python compiles, what talks to a server talks to one."""

import asyncio
import contextlib
import io
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from threading import Thread

import pytest
import uvicorn

from haiga.web.app import create_app
from haiga.wire.anthropic.answers import MessageAnswer
from tests.docs.pages import DOCUMENTS, Block, blocks
from tests.docs.server import ADDRESS, services

PYTHON = [(name, block) for name in DOCUMENTS for block in blocks(name, "python")]
SHELL = [(name, block) for name in DOCUMENTS for block in blocks(name, "sh", "bash", "console")]
CURL = [(name, block) for name, block in SHELL if "curl" in block.text]
CLIENTS = ("anthropic", "openai", "httpx")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server on loopback, in a thread and an event loop of its own."""
    servers: Queue[uvicorn.Server] = Queue()
    thread = Thread(target=lambda: asyncio.run(serve(tmp_path_factory.mktemp("data"), servers)))
    thread.start()
    server = servers.get(timeout=30)
    while not server.started:
        thread.join(0.005)
        assert thread.is_alive(), "the server did not start"
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


async def serve(directory: Path, servers: "Queue[uvicorn.Server]") -> None:
    async with services(directory) as served:
        server = uvicorn.Server(uvicorn.Config(create_app(served), port=0, log_level="error", lifespan="off"))
        servers.put(server)
        await server.serve()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_json_is_json_and_a_message_is_one(name: str) -> None:
    shown = [json.loads(block.text) for block in blocks(name, "json")]
    for message in (each for each in shown if each.get("type") == "message"):
        assert MessageAnswer.model_validate(message).model_dump(exclude_unset=True) == message


@pytest.mark.parametrize(("name", "block"), PYTHON, ids=[name for name, _ in PYTHON])
def test_python_compiles(name: str, block: Block) -> None:
    compile(block.text, name, "exec")


TALKING = [(name, block) for name, block in PYTHON if any(f"import {client}" in block.text for client in CLIENTS)]


@pytest.mark.parametrize(("name", "block"), TALKING, ids=[name for name, _ in TALKING])
def test_python_that_talks_to_a_server_is_answered(url: str, name: str, block: Block) -> None:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(block.text.replace(ADDRESS, url), name, "exec"), {"__name__": "__main__"})
    assert said.getvalue().strip()


@pytest.mark.parametrize(("name", "block"), CURL, ids=[name for name, _ in CURL])
def test_curl_lines_are_answered(url: str, name: str, block: Block) -> None:
    script = block.text.replace(ADDRESS, url).replace("curl ", "curl --fail-with-body -sS ")
    run = subprocess.run(
        ["bash", "-ec", script], capture_output=True, text=True, timeout=20, env={**os.environ, "HAIGA_API_KEY": "any"}
    )
    assert 0 == run.returncode, run.stdout + run.stderr
