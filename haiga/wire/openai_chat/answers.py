"""The shapes of what Chat Completions and Completions answer, for the OpenAPI document and the tests that hold our
answers to it.

Rule: answers are written by write.py and stream.py without passing through these.
"""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, Field

Count: TypeAlias = Annotated[int, Field(ge=0)]
FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter", "function_call"]


class PromptDetails(BaseModel):
    """`cached_tokens` were really reused, `cache_write_tokens` newly computed and kept."""

    cached_tokens: Count
    cache_write_tokens: Count
    audio_tokens: Count


class CompletionDetails(BaseModel):
    reasoning_tokens: Count
    audio_tokens: Count
    accepted_prediction_tokens: Count
    rejected_prediction_tokens: Count


class ChatUsage(BaseModel):
    prompt_tokens: Count
    completion_tokens: Count
    total_tokens: Count
    prompt_tokens_details: PromptDetails
    completion_tokens_details: CompletionDetails


class AssistantAnswer(BaseModel):
    """`reasoning_content` is there only when the model reasoned."""

    role: Literal["assistant"]
    content: str | None
    refusal: str | None
    annotations: list[dict[str, Any]]
    reasoning_content: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    function_call: dict[str, Any] | None = None


class ChatChoice(BaseModel):
    index: Count
    message: AssistantAnswer
    logprobs: dict[str, Any] | None
    finish_reason: FinishReason


class ChatAnswer(BaseModel):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: ChatUsage
    system_fingerprint: str | None
    service_tier: str | None = None
    moderation: dict[str, Any] | None = None


class KeptChatAnswer(ChatAnswer):
    metadata: dict[str, str]


class KeptChatsAnswer(BaseModel):
    object: Literal["list"]
    data: list[KeptChatAnswer]
    first_id: str | None
    last_id: str | None
    has_more: bool


class KeptMessagesAnswer(BaseModel):
    object: Literal["list"]
    data: list[dict[str, Any]]
    first_id: str | None
    last_id: str | None
    has_more: bool


class DeletedChatAnswer(BaseModel):
    id: str
    object: Literal["chat.completion.deleted"]
    deleted: Literal[True]


class CompletionChoice(BaseModel):
    index: Count
    text: str
    logprobs: dict[str, Any] | None
    finish_reason: FinishReason


class CompletionAnswer(BaseModel):
    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: ChatUsage
    system_fingerprint: str | None
