"""A client that goes away takes its request with it, whichever of OpenAI's or OpenRouter's routes it asked."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from haiga.engines.fake import FakeEngine
from haiga.web.app import Services
from tests.wire.openai_server import services, serving

ASKED = {"role": "user", "content": "word " * 200}
ROUTES: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", {"messages": [ASKED]}),
    ("/v1/chat/completions", {"messages": [ASKED], "n": 3}),
    ("/v1/completions", {"prompt": ["word " * 200] * 2, "max_tokens": 1000}),
    ("/api/v1/chat/completions", {"messages": [ASKED]}),
    ("/api/v1/chat/completions", {"messages": [ASKED], "models": ["fake", "nobody"]}),
]


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine(pace=0.05)


@pytest.fixture
def served(engine: FakeEngine) -> Services:
    return services([engine])


@pytest.fixture
def address(served: Services) -> Iterator[str]:
    with serving(served) as url:
        yield url


def eventually(true: Callable[[], bool]) -> bool:
    """Whether it is true within two seconds; the whole answer would take ten."""
    end = time.monotonic() + 2
    while not true() and time.monotonic() < end:
        time.sleep(0.01)
    return true()


@pytest.mark.parametrize(("path", "body"), ROUTES)
def test_a_stream_that_nobody_reads_ends(address: str, engine: FakeEngine, path: str, body: dict[str, Any]) -> None:
    asked = {"model": "fake", "stream": True, **body}
    with httpx.stream("POST", address + path, json=asked) as response:
        lines = response.iter_lines()  # held: a response closes when its iterator is gone
        assert any(line.startswith("data: {") for line in lines)
        assert engine.busy
    assert eventually(lambda: engine.busy == 0)


@pytest.mark.parametrize(("path", "body"), ROUTES)
def test_a_whole_answer_that_nobody_waits_for_ends(
    address: str, engine: FakeEngine, path: str, body: dict[str, Any]
) -> None:
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(address + path, json={"model": "fake", **body}, timeout=0.3)
    assert eventually(lambda: engine.busy == 0)
