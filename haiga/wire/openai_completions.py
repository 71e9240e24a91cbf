"""The older OpenAI Completions API: prompts continued as they stand, read and written.

Rule: as for Chat Completions; several prompts in one request are several answers, `index` counting through all of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, TypeAlias

import orjson
from pydantic import BeforeValidator, Field

from haiga.core.errors import HaigaError, Invalid, Unsupported
from haiga.core.generation import (
    Choice,
    Echo,
    Finished,
    Progress,
    Reply,
    Started,
    TextDelta,
    TextRequest,
    TokenLogprob,
    Usage,
    together,
)
from haiga.core.messages import Message, Text, text_of
from haiga.core.ports import ModelCard
from haiga.wire import openai_errors
from haiga.wire.body import read_object
from haiga.wire.openai_body import read_shape, wrong_type
from haiga.wire.openai_chat import rules
from haiga.wire.openai_chat.read import output_limit, read_sampling, seeded
from haiga.wire.openai_chat.shapes import SamplingBody
from haiga.wire.openai_chat.stream import DONE, data_frame, progress_comment
from haiga.wire.openai_chat.write import FINISH, LEAST, usage_body
from haiga.wire.sse import comment

MAX_ANSWERS = 2048
MAX_TOKENS = 16
AHEAD = 4  # characters
Prompt: TypeAlias = "str | tuple[int, ...]"
SHAPES = "one of a string, array of strings, array of integers, or array of integer arrays"


def _as_prompts(value: Any) -> Any:
    """Every shape as a list of texts and of token ids; no prompt is an empty one."""
    if value is None or isinstance(value, str):
        return [value or ""]
    if isinstance(value, list) and value and all(_is_token(item) for item in value):
        return [tuple(value)]
    return [tuple(item) if isinstance(item, list) else item for item in value] if isinstance(value, list) else value


def _is_token(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**31


class CompletionBody(SamplingBody):
    """The body of POST /v1/completions."""

    prompt: Annotated[
        Any, BeforeValidator(_as_prompts, json_schema_input_type=str | list[str] | list[int] | list[list[int]] | None)
    ] = Field(default=("",))
    best_of: int | None = Field(default=None, ge=1, le=128)
    echo: bool | None = None
    logprobs: int | None = Field(default=None, ge=0, le=5)
    max_tokens: int | None = Field(default=None, ge=0)
    suffix: str | None = None


@dataclass(frozen=True, slots=True)
class CompletionForm:
    """How the answers are to be written: `prompts[i]` stands before the answers to prompt i, where echo is wanted and
    the engine need not give the prompt back itself."""

    stream: bool = False
    include_usage: bool = False
    n: int = 1
    prompts: tuple[str, ...] = ()
    logprobs: int | None = None

    def before(self, index: int) -> str:
        return self.prompts[index // self.n] if self.prompts else ""


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """One core request per prompt; `tries` answers to each are made, and the best `form.n` are given."""

    requests: tuple[TextRequest, ...]
    form: CompletionForm
    tries: int
    max_tokens: int

    def choices(self, card: ModelCard) -> tuple[TextRequest, ...]:
        """Every answer to be made, those to one prompt together. Raises Invalid when they are to be too long."""
        limit = output_limit(self.max_tokens, card, "max_tokens")
        limited = [replace(request, max_tokens=limit) for request in self.requests]
        return tuple(seeded(request, i) for request in limited for i in range(self.tries))

    def best(self, replies: Sequence[Reply]) -> list[Reply]:
        """The answers to be given: of each prompt's, those with the highest log probability per token."""
        if self.tries == self.form.n:
            return list(replies)
        groups = [replies[at : at + self.tries] for at in range(0, len(replies), self.tries)]
        return [reply for group in groups for reply in sorted(group, key=_mean_logprob, reverse=True)[: self.form.n]]

    def placed(self, error: HaigaError) -> HaigaError:
        """The error with its field named as this request names it."""
        too_big = openai_errors.kind(error)[2] == openai_errors.TOO_BIG
        if too_big or (error.field or "").startswith("messages"):
            error.field = "prompt"
        return error


def read_completion(body: bytes) -> CompletionRequest:
    """The body of POST /v1/completions. Raises Invalid and Unsupported."""
    shape = read_shape(CompletionBody, read_object(body))
    prompts = _prompts(shape.prompt)
    _check(shape, prompts)
    n = shape.n or 1
    tries = shape.best_of or n
    form = CompletionForm(
        stream=bool(shape.stream),
        include_usage=bool(shape.stream_options and shape.stream_options.include_usage),
        n=n,
        prompts=tuple(map(str, prompts)) if shape.echo and not _spelled_out(shape, prompts) else (),
        logprobs=shape.logprobs,
    )
    # choosing the best needs the log probabilities whether or not the caller does
    logprobs = shape.logprobs if tries == n or shape.logprobs is not None else 0
    echo = bool(shape.echo) and _spelled_out(shape, prompts)
    requests = tuple(_request(shape, prompt, logprobs, echo) for prompt in prompts)
    return CompletionRequest(requests, form, tries, MAX_TOKENS if shape.max_tokens is None else shape.max_tokens)


def _spelled_out(shape: CompletionBody, prompts: Sequence[Prompt]) -> bool:
    """Whether an echo takes the model's own tokens: to score them, or to say what the given ids spell."""
    return shape.logprobs is not None or not all(isinstance(prompt, str) for prompt in prompts)


def _request(shape: CompletionBody, prompt: Prompt, logprobs: int | None, echo: bool) -> TextRequest:
    return TextRequest(
        model=shape.model,
        messages=(Message("user", (Text(prompt if isinstance(prompt, str) else ""),)),),
        max_tokens=0,
        sampling=read_sampling(shape, logprobs),
        stop=tuple(shape.stop or ()),
        user=shape.user,
        extra=shape.model_extra or {},
        raw=prompt,
        suffix=shape.suffix or None,
        echo=echo,
    )


def _prompts(value: Any) -> list[Prompt]:
    if not isinstance(value, list | tuple):
        raise wrong_type("prompt", SHAPES, value)
    if not value:
        raise Invalid(
            "Invalid 'prompt': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            field="prompt",
            code="empty_array",
        )
    for i, prompt in enumerate(value):
        if not isinstance(prompt, str) and not (isinstance(prompt, tuple) and all(map(_is_token, prompt))):
            raise wrong_type(f"prompt[{i}]", "a string or an array of token ids", prompt)
    return list(value)


def _check(shape: CompletionBody, prompts: Sequence[Prompt]) -> None:
    rules.check_sampling(shape)
    tries = max(shape.n or 1, shape.best_of or 1)
    if shape.best_of is not None and shape.best_of < (shape.n or 1):
        raise Invalid("You requested that the server return more choices than it will generate.", field="best_of")
    if shape.stream and shape.best_of is not None and shape.best_of > (shape.n or 1):
        raise Invalid("'best_of' results cannot be streamed.", field="best_of")
    if len(prompts) * tries > MAX_ANSWERS:
        raise Invalid(f"{len(prompts)} prompts with {tries} answers each are over {MAX_ANSWERS}.", field="prompt")
    if shape.echo and shape.suffix and shape.logprobs is not None:
        raise Unsupported("'echo' with 'logprobs' is not supported beside a 'suffix'.", field="suffix")


def _mean_logprob(reply: Reply) -> float:
    total = sum(token.logprob for token in reply.logprobs)
    return total / len(reply.logprobs) if reply.logprobs else float("-inf")


# --- writing ---


@dataclass(frozen=True, slots=True)
class Scored:
    """A token in the older form: where in the text it begins, and None for what nothing predicted."""

    text: str
    at: int
    score: TokenLogprob | None


def scored(text: str, tokens: Sequence[TokenLogprob], at: int) -> list[Scored]:
    """The tokens of a `text` that begins at `at`; those that are pieces of one character share its place, and the token
    behind them stands a few characters further on."""
    placed, start = [], 0
    for token in tokens:
        found = text.find(token.text, start, start + len(token.text) + AHEAD)
        start = found if found >= 0 else start
        placed.append(Scored(token.text, at + start, token))
        start += len(token.text) if found >= 0 else 0
    return placed


def scores_body(tokens: Sequence[Scored], wanted: int) -> dict[str, Any]:
    """Parallel lists, as the older form has them."""
    return {
        "tokens": [token.text for token in tokens],
        "token_logprobs": [token.score and max(token.score.logprob, LEAST) for token in tokens],
        "top_logprobs": [token.score and _top(token.score) for token in tokens] if wanted else None,
        "text_offset": [token.at for token in tokens],
    }


def _echoed(echo: Echo | None) -> list[Scored]:
    return [Scored(token.text, token.at, token.score) for token in echo.tokens] if echo else []


def _top(token: TokenLogprob) -> Mapping[str, float]:
    """The best tokens and the chosen one; of two with the same text the likelier counts."""
    entries = [*((text, logprob) for _, text, logprob in token.top), (token.text, token.logprob)]
    best: dict[str, float] = {}
    for text, logprob in entries:
        best[text] = max(logprob, best.get(text, LEAST))
    return best


def write_completion(
    replies: Sequence[Reply], usage: Usage, form: CompletionForm, *, id: str, model: str, created: int
) -> bytes:
    """The whole answer; `usage` is of every answer made, the rejected ones too."""
    choices = [_choice(i, reply, form) for i, reply in enumerate(replies)]
    return orjson.dumps(_head(id, model, created) | {"choices": choices, "usage": usage_body(usage)})


def usage_of(replies: Sequence[Reply], tries: int) -> Usage:
    return together([reply.usage for reply in replies], tries)


def _head(id: str, model: str, created: int) -> dict[str, Any]:
    return {"id": id, "object": "text_completion", "created": created, "model": model, "system_fingerprint": None}


def _choice(index: int, reply: Reply, form: CompletionForm) -> dict[str, Any]:
    before = reply.echo.text if reply.echo else form.before(index)
    text = text_of(reply.content)
    tokens = [*_echoed(reply.echo), *scored(text, reply.logprobs, len(before))]
    scores = None if form.logprobs is None else scores_body(tokens, form.logprobs)
    return {"text": before + text, "index": index, "logprobs": scores, "finish_reason": FINISH[reply.stop]}


class CompletionStream:
    """Turns the events of all answers into chunks."""

    def __init__(self, form: CompletionForm, *, id: str, model: str, created: int) -> None:
        self._form = form
        self._head = _head(id, model, created)
        self._usage = {"usage": None} if form.include_usage else {}
        self._at: dict[int, int] = {}  # by answer, characters said so far

    def write(self, item: Choice | Finished) -> bytes:
        if isinstance(item, Finished):
            last = {**self._head, "choices": [], "usage": usage_body(item.usage)}
            return (data_frame(last) if self._form.include_usage else b"") + DONE
        match item.event:
            case Progress():
                return progress_comment(item.event)
            case Started():
                before = self._form.before(item.index)
                return self._chunk(item.index, before) if before else b""
            case Echo():
                return self._chunk(item.index, item.event.text, _echoed(item.event))
            case TextDelta():
                text, at = item.event.text, self._at.get(item.index, 0)
                return self._chunk(item.index, text, scored(text, item.event.logprobs, at))
            case Finished():
                return self._chunk(item.index, "", finish=FINISH[item.event.stop])
        return b""

    def idle(self) -> bytes:
        return comment("keep-alive")

    def error(self, error: HaigaError, request_id: str) -> bytes:
        return data_frame(openai_errors.envelope(error))

    def _chunk(self, index: int, text: str, tokens: Sequence[Scored] = (), finish: str | None = None) -> bytes:
        self._at[index] = self._at.get(index, 0) + len(text)
        scores = scores_body(tokens, self._form.logprobs) if self._form.logprobs is not None and tokens else None
        choice = {"text": text, "index": index, "logprobs": scores, "finish_reason": finish}
        return data_frame({**self._head, "choices": [choice], **self._usage})
