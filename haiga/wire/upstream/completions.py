"""Bare prompts: a core request as the body of POST /completions, and its answers as core events.

Rule: one prompt and one answer each. What the caller added to the form goes along; that the prompt is to be given back
is this server's own to do.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import zip_longest
from typing import Any

import orjson

from haiga.core.errors import Failed
from haiga.core.generation import (
    BlockStarted,
    BlockStopped,
    Event,
    Finished,
    Served,
    Started,
    TextDelta,
    TextRequest,
    TokenLogprob,
)
from haiga.core.messages import Text
from haiga.wire.upstream.chat_asked import OWN
from haiga.wire.upstream.chunks import ChunkReader
from haiga.wire.upstream.reading import number, read_json

PLAIN = ("temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty", "repetition_penalty")


def completion_body(request: TextRequest, model: str) -> bytes:
    """The body for a request with a bare prompt."""
    asked = request.sampling
    fields: dict[str, Any] = {name: value for name, value in request.extra.items() if name not in OWN}
    fields |= {name: getattr(asked, name) for name in (*PLAIN, "seed", "logprobs")}
    fields["logit_bias"] = {str(token): bias for token, bias in asked.logit_bias.items()} or None
    fields |= {"stop": list(request.stop) or None, "suffix": request.suffix, "user": request.user}
    fields |= {"model": model, "prompt": request.raw, "max_tokens": request.max_tokens}
    fields |= {"stream": True, "stream_options": {"include_usage": True}}
    return orjson.dumps({name: value for name, value in fields.items() if value is not None})


class CompletionReader(ChunkReader):
    """One stream. `by` is who answers."""

    def _first(self) -> Iterator[Event]:
        yield BlockStarted(0, Text(""))

    def _grown(self, choice: Mapping[str, Any]) -> Iterator[Event]:
        if isinstance(choice.get("text"), str) and choice["text"]:
            yield TextDelta(0, choice["text"], read_scores(choice.get("logprobs")))

    def _last(self) -> Iterator[Event]:
        yield BlockStopped(0)


def read_whole(data: bytes, by: Served) -> Iterator[Event]:
    """The events of a whole completion: of its first choice. Raises Failed for what is none."""
    said = read_json(data)
    choices = said.get("choices")
    if not said.get("error") and not (isinstance(choices, list) and choices and isinstance(choices[0], dict)):
        raise Failed(f"{by.provider} answered with something else than a completion")
    reader = CompletionReader(by)
    _, *events, end = [*reader.read(data), *reader.finish()]
    assert isinstance(end, Finished)
    yield Started(replace(end.usage, output=0, thinking=0), by)
    yield from events
    yield end


def read_scores(said: Any) -> tuple[TokenLogprob, ...]:
    """Log probabilities from the form's parallel lists; a token without one is passed over."""
    if not isinstance(said, dict):
        return ()
    tokens, scores, tops = (_list(said.get(name)) for name in ("tokens", "token_logprobs", "top_logprobs"))
    return tuple(
        TokenLogprob(0, str(token), score, tuple((0, str(text), number(each)) for text, each in _ranked(top)))
        for token, score, top in zip_longest(tokens, scores[: len(tokens)], tops[: len(tokens)])
        if isinstance(score, int | float)
    )


def _ranked(top: Any) -> list[tuple[Any, Any]]:
    """Best first."""
    return sorted(top.items(), key=lambda pair: -number(pair[1])) if isinstance(top, dict) else []


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
