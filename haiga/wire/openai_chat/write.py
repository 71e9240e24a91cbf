"""Writes answers as Chat Completions does, whole.

Rule: ids, time and the model's name are arguments. What the format cannot carry is left out: the order of text and
calls within one answer, signatures, and which stop string matched.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from haiga.core.generation import PARTIAL, Reply, StopReason, TokenLogprob, Usage, together
from haiga.core.messages import Thinking, ToolUse, text_of
from haiga.wire.openai_chat.read import Form
from haiga.wire.usage import reused
from haiga.wire.verbatim import renamed

BEGUN = re.compile(r'\s*\{\s*"input"\s*:\s*"')
LEAST = -9999.0  # the API's stand-in for a log probability of minus infinity
FINISH: Mapping[StopReason, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def write_chat(
    replies: Sequence[Reply], form: Form, *, id: str, model: str, created: int, beside: Mapping[str, Any] | None = None
) -> bytes:
    """The whole answer. `model` is the one that was asked, for an answer that does not say whose it is; `beside` is
    what else is told of it."""
    quoted = replies[0].quoted
    if quoted and quoted.form == "chat" and len(replies) == 1:
        return renamed(quoted.data, {"id": id, "model": answering(replies, model)})
    return orjson.dumps(chat_body(replies, form, id=id, model=model, created=created) | dict(beside or {}))


def answering(replies: Sequence[Reply], model: str) -> str:
    """Who gave the answers; `model` where they do not say it."""
    return next((reply.by.model for reply in replies if reply.by), model)


def chat_body(replies: Sequence[Reply], form: Form, *, id: str, model: str, created: int) -> dict[str, Any]:
    """The whole answer as the object that is sent, and stored when the request asks for that."""
    body: dict[str, Any] = {
        "id": id,
        "object": "chat.completion",
        "created": created,
        "model": answering(replies, model),
        "choices": [_choice(i, reply, form) for i, reply in enumerate(replies)],
        "usage": usage_body(together([reply.usage for reply in replies], len(replies))),
        "system_fingerprint": None,
    }
    return body | tier(form)


def tier(form: Form) -> dict[str, str]:
    """There is one tier; it is named when the request names one."""
    return {"service_tier": "default"} if form.service_tier else {}


def _choice(index: int, reply: Reply, form: Form) -> dict[str, Any]:
    return {
        "index": index,
        "message": message_body(reply, form),
        "logprobs": logprobs_body(reply.logprobs) if form.logprobs else None,
        "finish_reason": finish_reason(reply.stop, form),
    }


def message_body(reply: Reply, form: Form) -> dict[str, Any]:
    text = text_of(reply.content)
    uses = [block for block in reply.content if isinstance(block, ToolUse)]
    message: dict[str, Any] = {
        "role": "assistant",
        "content": text if text or not uses else None,
        "refusal": reply.refused.explanation if reply.refused else None,
        "annotations": [],
    }
    if thoughts := "".join(block.thinking for block in reply.content if isinstance(block, Thinking)):
        message["reasoning_content"] = thoughts
    if uses and form.functions:
        message["function_call"] = {"name": uses[0].name, "arguments": argument_text(uses[0].input)}
    elif uses:
        message["tool_calls"] = [call_body(use, form) for use in uses]
    return message


def call_body(use: ToolUse, form: Form) -> dict[str, Any]:
    if use.name in form.free_text:
        return {"id": use.id, "type": "custom", "custom": {"name": use.name, "input": free_text(use.input)}}
    return {"id": use.id, "type": "function", "function": {"name": use.name, "arguments": argument_text(use.input)}}


def argument_text(arguments: Mapping[str, Any]) -> str:
    """Arguments as the API has them: JSON in a string. What was no JSON object comes back as the text it was."""
    if arguments.keys() == {PARTIAL}:
        return str(arguments[PARTIAL])
    text = json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="replace").decode()  # a lone surrogate, escaped in the model's JSON, has no bytes


def free_text(arguments: Mapping[str, Any]) -> str:
    """The text of a call to a tool that takes free text; of one cut short, as much as there is."""
    text = arguments.get("input")
    if isinstance(text, str):
        return text
    written = argument_text(arguments)
    begun = BEGUN.match(written)
    return _unquoted(written[begun.end() :]) if begun else written


def _unquoted(rest: str) -> str:
    """What a JSON string without its end says: an escape that is cut short, six characters at most, is left out."""
    for cut in range(7):
        try:
            return str(json.loads(f'"{rest[: len(rest) - cut]}"', strict=False))
        except ValueError:
            continue
    return rest


def finish_reason(stop: StopReason, form: Form) -> str:
    return "function_call" if stop == "tool_use" and form.functions else FINISH[stop]


def logprobs_body(tokens: Iterable[TokenLogprob]) -> dict[str, Any]:
    return {"content": [_token(token) for token in tokens], "refusal": None}


def _token(token: TokenLogprob) -> dict[str, Any]:
    top = [_entry(text, logprob) for _, text, logprob in token.top]
    return _entry(token.text, token.logprob) | {"top_logprobs": top}


def _entry(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": max(logprob, LEAST), "bytes": list(text.encode())}


def usage_body(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.output,
        "total_tokens": usage.prompt + usage.output,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.creation,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.thinking,
            "audio_tokens": 0,
            "accepted_prediction_tokens": usage.accepted,
            "rejected_prediction_tokens": usage.rejected,
        },
        **reused(usage),
    }
