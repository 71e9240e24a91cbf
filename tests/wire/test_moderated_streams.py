"""Streams of every API under a policy: whatever pieces the model says its text in, the same bytes of it leave."""

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haiga.core.generation import BlockStarted, BlockStopped, Finished, TextDelta, Usage
from haiga.core.messages import Text
from haiga.engines.fake import FakeEngine, Step
from tests.wire.moderation_server import Moderated, moderating
from tests.wire.tools_server import Scripted

USER = [{"role": "user", "content": "go on"}]
ASKED: dict[str, dict[str, Any]] = {
    "/v1/messages": {"max_tokens": 500, "messages": USER},
    "/v1/chat/completions": {"messages": USER},
    "/v1/completions": {"prompt": "go on"},
    "/v1/responses": {"input": "go on"},
    "/api/v1/chat/completions": {"messages": USER},
}
WORDS = st.sampled_from(["a", "good", "story", "of", "rain", "vile", "Wonderful", "日本"])
TEXTS = st.lists(st.tuples(WORDS, st.sampled_from([" ", " ", " ", ". ", "\n"])), min_size=1, max_size=40)


class Chopping(FakeEngine):
    """Says its text in the pieces that it is given."""

    pieces: tuple[str, ...] = ()

    def generate(self, request: Any) -> Any:
        script: list[Step] = [
            BlockStarted(0, Text("")),
            *(TextDelta(0, piece) for piece in self.pieces),
            BlockStopped(0),
        ]
        return Scripted([*script, Finished("end_turn", Usage())]).generate(request)


@pytest.fixture(scope="module")
def engine() -> Chopping:
    return Chopping()


@pytest.fixture(scope="module")
def served(engine: Chopping, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moderated]:
    directory: Path = tmp_path_factory.mktemp("streams")
    with moderating(directory, [engine]) as served:
        yield served


def streamed(served: Moderated, path: str) -> str:
    headers = {"anthropic-version": "2023-06-01"} if path == "/v1/messages" else {}
    body = {"model": "fake", "stream": True, **ASKED[path]}
    headers |= {"authorization": "Bearer key:strict"}
    answer = httpx.post(served.url + path, json=body, headers=headers)
    assert 200 == answer.status_code
    return answer.text


def text_in(frames: str) -> str:
    """What a stream of any of the APIs says."""
    said = ""
    for line in frames.splitlines():
        if line.startswith("data: {"):
            data = json.loads(line.removeprefix("data: "))
            kind = data.get("type")
            if kind in ("content_block_delta", "response.output_text.delta"):
                said += data["delta"] if isinstance(data["delta"], str) else data["delta"]["text"]
            for choice in data.get("choices", ()):
                said += choice.get("text") or choice.get("delta", {}).get("content") or ""
    return said


@settings(max_examples=12, deadline=None)
@given(TEXTS, st.lists(st.integers(0, 400), max_size=20), st.sampled_from(sorted(ASKED)))
def test_the_same_text_leaves_however_it_was_chopped(
    served: Moderated, engine: Chopping, words: list[tuple[str, str]], cuts: list[int], path: str
) -> None:
    text = "".join(word + end for word, end in words)
    places = sorted({cut % (len(text) + 1) for cut in cuts} | {0, len(text)})
    released = []
    for pieces in ((text,), tuple(text[a:b] for a, b in pairwise(places)), tuple(text)):
        engine.pieces = pieces
        frames = streamed(served, path)
        assert "vile" not in frames
        released.append(text_in(frames))
    assert 1 == len(set(released))
    assert text == released[0] if "vile" not in text else text.split("vile")[0].startswith(released[0])
