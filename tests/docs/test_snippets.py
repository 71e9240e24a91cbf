"""What documents tell people to type: python compiles, what talks to a server talks to one."""

import contextlib
import io
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest

from haiga.engines.fake import FakeEngine
from haiga.services.inference import Inference
from haiga.services.models import Models
from haiga.web.app import Services
from haiga.wire.anthropic.answers import MessageAnswer
from tests.docs.pages import DOCUMENTS, Block, blocks
from tests.docs.server import ADDRESS, ECHO
from tests.wire.openai_server import OneKey, serving

PYTHON = [(name, block) for name in DOCUMENTS for block in blocks(name, "python")]
SHELL = [(name, block) for name in DOCUMENTS for block in blocks(name, "sh", "bash", "console")]
CURL = [(name, block) for name, block in SHELL if "curl" in block.text]
CLIENTS = ("anthropic", "openai", "httpx")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server on loopback with a model named as the starter is, which repeats what it is told."""
    engine = FakeEngine(replace(ECHO, name="starter"))
    with serving(Services(OneKey(), Inference(Models({"starter": engine}, [("*", "starter")])))) as address:
        yield address


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
