"""Answers of any shape, and streams read back as a client reads them."""

from collections.abc import Sequence
from typing import Any

import orjson
from hypothesis import strategies as st

from haiga.core.generation import (
    BlockStarted,
    BlockStopped,
    Choice,
    Event,
    Finished,
    InputDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    TokenLogprob,
    Usage,
    fold,
    together,
)
from haiga.core.messages import Text, Thinking, ToolUse

COUNTS = st.integers(0, 1000)
USAGES = st.builds(
    Usage, input=COUNTS, creation_5m=COUNTS, creation_1h=COUNTS, cache_read=COUNTS, output=COUNTS, thinking=COUNTS
)
STOPS = st.sampled_from(["end_turn", "max_tokens", "stop_sequence", "refusal", "model_context_window_exceeded"])
ARGUMENTS = st.dictionaries(st.text(max_size=4), st.none() | st.integers(-9, 9) | st.text(max_size=5), max_size=3)
PIECES = st.lists(st.text(max_size=6), max_size=4)


@st.composite
def chopped(draw: st.DrawFn, text: str) -> list[str]:
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=3)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@st.composite
def blocks(draw: st.DrawFn, index: int) -> list[Event]:
    kind = draw(st.sampled_from(["text", "thinking", "tool", "free"]))
    end = BlockStopped(index)
    if kind == "text":
        deltas = [TextDelta(index, piece, _scored(piece)) for piece in draw(PIECES)]
        return [BlockStarted(index, Text("")), *deltas, end]
    if kind == "thinking":
        return [BlockStarted(index, Thinking("")), *(ThinkingDelta(index, piece) for piece in draw(PIECES)), end]
    arguments: dict[str, Any] = {"input": draw(st.text(max_size=5))} if kind == "free" else draw(ARGUMENTS)
    text = orjson.dumps(arguments).decode()
    pieces = draw(chopped(text)) if arguments else draw(st.sampled_from([[], [""], ["{", "}"]]))
    shape = ToolUse(f"call_{index}", "shell" if kind == "free" else "look", {})
    return [BlockStarted(index, shape), *(InputDelta(index, piece) for piece in pieces), end]


def _scored(piece: str) -> tuple[TokenLogprob, ...]:
    return (TokenLogprob(len(piece), piece, -1.5, ((1, "a", -0.5),)),) if piece else ()


@st.composite
def answers(draw: st.DrawFn) -> list[Event]:
    """One answer's events: blocks of any kind in any order."""
    body = [event for i in range(draw(st.integers(0, 4))) for event in draw(blocks(i))]
    called = any(isinstance(event, BlockStarted) and isinstance(event.block, ToolUse) for event in body)
    usage = draw(USAGES)
    return [Started(usage), *body, Finished("tool_use" if called else draw(STOPS), usage)]


@st.composite
def interleaved(draw: st.DrawFn, streams: Sequence[Sequence[Event]]) -> list[Choice | Finished]:
    """The answers' events in some order that keeps each one's own, and the end of them all."""
    order = [i for i, stream in enumerate(streams) for _ in stream]
    draw(st.randoms()).shuffle(order)
    iterators = [iter(stream) for stream in streams]
    merged: list[Choice | Finished] = [Choice(i, next(iterators[i])) for i in order]
    usage = together([fold(stream).usage for stream in streams], len(streams))
    return [*merged, Finished("end_turn", usage)]


def chunks(stream: bytes) -> list[dict[str, Any]]:
    """The stream's data, after a look at its end."""
    assert stream.endswith(b"data: [DONE]\n\n")
    frames = [frame for frame in stream.split(b"\n\n") if frame.startswith(b"data: {")]
    return [orjson.loads(frame.removeprefix(b"data: ")) for frame in frames]


def folded(read: Sequence[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """What a client makes of the chunks: per answer its message, log probabilities and reason to end."""
    answers: dict[int, dict[str, Any]] = {}
    for chunk in read:
        for choice in chunk["choices"]:
            answer = answers.setdefault(choice["index"], {"message": {}, "logprobs": [], "finish_reason": None})
            _merge(answer["message"], choice["delta"])
            answer["logprobs"] += (choice["logprobs"] or {"content": []})["content"]
            assert answer["finish_reason"] is None
            answer["finish_reason"] = choice["finish_reason"]
    return answers


def _merge(message: dict[str, Any], delta: dict[str, Any]) -> None:
    """Strings grow, objects merge, the members of lists find theirs by `index`."""
    for key, value in delta.items():
        if key in ("role", "id", "type", "format") or value is None or key not in message:
            message[key] = list[Any]() if isinstance(value, list) else value
        elif isinstance(value, str):
            message[key] += value
        elif isinstance(value, dict):
            _merge(message[key], value)
        if isinstance(value, list):
            for part in value:
                _merge_part(message[key], part)


def _merge_part(parts: list[dict[str, Any]], part: dict[str, Any]) -> None:
    known = next((old for old in parts if old["index"] == part["index"]), None)
    if known is None:
        parts.append(orjson.loads(orjson.dumps(part)))
    else:
        _merge(known, {key: value for key, value in part.items() if key != "index"})
