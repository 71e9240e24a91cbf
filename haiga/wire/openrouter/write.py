"""Writes answers as OpenRouter does: Chat Completions' choices with reasoning, the native reason to stop, and the cost.

Rule: as for Chat Completions. Usage is always there; a cost is a number of US dollars.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from haiga.core.generation import Dropped, Reply, Routed, Usage, together
from haiga.core.messages import Block, RedactedThinking, Thinking
from haiga.core.records import Price
from haiga.wire.openai_chat.read import Form
from haiga.wire.openai_chat.write import answering, finish_reason, logprobs_body, message_body, tier
from haiga.wire.openrouter import PROVIDER
from haiga.wire.usage import reused


def write_router_chat(
    replies: Sequence[Reply],
    form: Form,
    *,
    id: str,
    routed: Routed,
    created: int,
    price: Price,
    reasoning: bool,
    beside: Mapping[str, Any] | None = None,
) -> bytes:
    """`reasoning`: whether thoughts are shown; `beside`: what else is told of the answer."""
    usage = together([reply.usage for reply in replies], len(replies))
    by = replies[0].by
    body = {
        "id": id,
        "provider": (by and by.provider) or PROVIDER,
        "model": answering(replies, routed.model),
        "object": "chat.completion",
        "created": created,
        "choices": [_choice(i, reply, form, reasoning) for i, reply in enumerate(replies)],
        "system_fingerprint": None,
        "usage": router_usage(usage, price),
        **tier(form),
        **packing_note(routed.dropped),
        **(beside or {}),
    }
    return orjson.dumps(body)


def packing_note(dropped: Dropped) -> dict[str, Any]:
    """What context compression left out of the prompt, where it left out anything."""
    if dropped == Dropped():
        return {}
    left_out = {"dropped_messages": dropped.messages, "dropped_characters": dropped.characters}
    return {"openrouter_metadata": {"context_compression": {"engine": "middle-out", **left_out}}}


def _choice(index: int, reply: Reply, form: Form, reasoning: bool) -> dict[str, Any]:
    message = message_body(reply, form)
    thoughts = message.pop("reasoning_content", None)
    message["reasoning"] = thoughts if reasoning else None
    details = [detail for block in reply.content if (detail := reasoning_detail(block))] if reasoning else []
    if details:
        message["reasoning_details"] = [{**detail, "index": i} for i, detail in enumerate(details)]
    return {
        "index": index,
        "logprobs": logprobs_body(reply.logprobs) if form.logprobs else None,
        "finish_reason": finish_reason(reply.stop, form),
        "native_finish_reason": reply.stop,
        "message": message,
    }


def reasoning_detail(block: Block) -> dict[str, Any] | None:
    """A thought as one of the `reasoning_details`, the form that is given back unchanged."""
    match block:
        case Thinking():
            signed = {"signature": block.signature} if block.signature else {}
            return {"type": "reasoning.text", "text": block.thinking, **signed, "format": "unknown"}
        case RedactedThinking():
            return {"type": "reasoning.encrypted", "data": block.data, "format": "unknown"}
    return None


def costs(usage: Usage, price: Price) -> dict[str, Any]:
    """What an answer cost, in US dollars."""
    return {
        "cost": float(price.of(usage)),
        "is_byok": False,
        "cost_details": {
            "upstream_inference_cost": None,
            "upstream_inference_prompt_cost": float(price.of_prompt(usage)),
            "upstream_inference_completions_cost": float(price.of_completion(usage)),
        },
    }


def router_usage(usage: Usage, price: Price) -> dict[str, Any]:
    cost = costs(usage, price)
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.output,
        "total_tokens": usage.prompt + usage.output,
        "cost": cost["cost"],
        "is_byok": cost["is_byok"],
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.creation,
            "audio_tokens": 0,
            "video_tokens": 0,
        },
        "cost_details": cost["cost_details"],
        "completion_tokens_details": {"reasoning_tokens": usage.thinking, "image_tokens": 0},
        **reused(usage),
    }
