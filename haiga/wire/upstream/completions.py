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
    StopReason,
    TextDelta,
    TextRequest,
    TokenLogprob,
    Usage,
)
from haiga.core.messages import Text
from haiga.wire.upstream.chat_asked import OWN
from haiga.wire.upstream.chat_told import DONE, STOPS, read_usage
from haiga.wire.upstream.errors import told_error
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


class CompletionReader:
    """One stream. `by` is who answers."""

    def __init__(self, by: Served) -> None:
        self._by = by
        self._begun = False
        self._finish: str | None = None
        self._usage = Usage()
        self.ended = False

    def read(self, data: bytes) -> Iterator[Event]:
        """What the data of one server-sent event means. Raises Failed for what cannot be, and what an error says."""
        if self.ended:
            return
        if data.strip() == DONE:
            yield from self.finish()
            return
        said = read_json(data)
        if said.get("error"):
            raise told_error(said, None, {}, self._by.provider)
        if not self._begun:
            self._begun = True
            yield Started(Usage(), self._by)
            yield BlockStarted(0, Text(""))
        yield from self._meant(said)

    def finish(self) -> Iterator[Event]:
        """The end of the stream, which some servers do not mark. Raises Failed when the answer has not come to one."""
        if self.ended:
            return
        if self._finish is None:
            raise Failed(f"{self._by.provider} broke off its answer", code="upstream_failed")
        self.ended = True
        stop: StopReason = STOPS.get(self._finish, "end_turn")
        yield BlockStopped(0)
        yield Finished(stop, self._usage)

    def _meant(self, said: Mapping[str, Any]) -> Iterator[Event]:
        if isinstance(said.get("usage"), dict):
            self._usage = read_usage(said["usage"])
        choices = said.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if not isinstance(choice, dict) or choice.get("index"):
                continue
            if isinstance(choice.get("text"), str) and choice["text"]:
                yield TextDelta(0, choice["text"], read_scores(choice.get("logprobs")))
            if choice.get("finish_reason"):
                self._finish = str(choice["finish_reason"])


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
