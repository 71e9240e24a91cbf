"""What a span says of a question to a model, in the words of OpenTelemetry's conventions for generative AI (1.38).

Rule: numbers and names; nothing of what was said. That is in content.py, for those who ask for it.
"""

from collections.abc import Mapping
from typing import TypeAlias

from haiga.core.access import Caller
from haiga.core.embedding import EmbeddingRequest
from haiga.core.generation import TextRequest, Usage

Value: TypeAlias = str | bool | int | float | list[str]
PROVIDER = "haiga"
CHAT, COMPLETION, EMBEDDINGS = "chat", "text_completion", "embeddings"


def operation(request: TextRequest) -> str:
    return CHAT if request.raw is None else COMPLETION


def asked(caller: Caller, request: TextRequest) -> dict[str, Value]:
    """Known when the model is asked."""
    sampling, origin = request.sampling, caller.origin
    return _named(caller, operation(request), request.model) | _known(
        {
            "gen_ai.request.max_tokens": request.max_tokens,
            "gen_ai.request.temperature": sampling.temperature,
            "gen_ai.request.top_p": sampling.top_p,
            "gen_ai.request.top_k": sampling.top_k,
            "gen_ai.request.seed": sampling.seed,
            "gen_ai.request.frequency_penalty": sampling.frequency_penalty,
            "gen_ai.request.presence_penalty": sampling.presence_penalty,
            "gen_ai.request.stop_sequences": list(request.stop) or None,
            "gen_ai.request.choice.count": origin.answers if origin.answers > 1 else None,
            "gen_ai.request.stream": origin.streamed or None,
            "gen_ai.output.type": "text" if request.output_schema is None else "json",
            "gen_ai.response.id": origin.answer,
            "gen_ai.conversation.id": origin.session,
        }
    )


def embedded(caller: Caller, request: EmbeddingRequest) -> dict[str, Value]:
    size = {"gen_ai.embeddings.dimension.count": request.dimensions}
    return _named(caller, EMBEDDINGS, request.model) | _known(size)


def prompt(usage: Usage) -> dict[str, Value]:
    """Known when the model has begun."""
    return {
        "gen_ai.usage.input_tokens": usage.prompt,
        "gen_ai.usage.cache_read.input_tokens": usage.cache_read,
        "gen_ai.usage.cache_creation.input_tokens": usage.creation,
    }


def answer(usage: Usage) -> dict[str, Value]:
    """Known when it has ended."""
    thoughts = {"gen_ai.usage.reasoning.output_tokens": usage.thinking or None}
    return {"gen_ai.usage.output_tokens": usage.output} | _known(thoughts)


def _named(caller: Caller, operation: str, model: str) -> dict[str, Value]:
    return {
        "gen_ai.operation.name": operation,
        "gen_ai.request.model": model,
        "haiga.workspace": caller.workspace,
        "haiga.tier": "batch" if caller.origin.batch else "standard",
    } | _known({"haiga.api_key.id": caller.key})


def _known(values: Mapping[str, Value | None]) -> dict[str, Value]:
    return {name: value for name, value in values.items() if value is not None}
