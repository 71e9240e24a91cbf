"""The shapes of what the Responses and Conversations APIs answer, for the OpenAPI document and the tests that hold our
answers to it.

Rule: answers are written by write.py and stream.py without passing through these.
"""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, Field

Count: TypeAlias = Annotated[int, Field(ge=0)]
ItemStatus: TypeAlias = Literal["in_progress", "completed", "incomplete"]


class OutputTextAnswer(BaseModel):
    type: Literal["output_text"]
    text: str
    annotations: list[dict[str, Any]]
    logprobs: list[dict[str, Any]]


class MessageItemAnswer(BaseModel):
    type: Literal["message"]
    id: str
    status: ItemStatus
    role: Literal["assistant"]
    content: list[OutputTextAnswer]


class ThoughtAnswer(BaseModel):
    type: Literal["reasoning_text", "summary_text"]
    text: str


class ReasoningItemAnswer(BaseModel):
    """`encrypted_content` is there only when the request asks for it."""

    type: Literal["reasoning"]
    id: str
    status: ItemStatus
    summary: list[ThoughtAnswer]
    content: list[ThoughtAnswer]
    encrypted_content: str | None = None


class FunctionCallAnswer(BaseModel):
    type: Literal["function_call"]
    id: str
    status: ItemStatus
    call_id: str
    name: str
    arguments: str


class CustomCallAnswer(BaseModel):
    type: Literal["custom_tool_call"]
    id: str
    status: ItemStatus
    call_id: str
    name: str
    input: str


class CompactionItemAnswer(BaseModel):
    type: Literal["compaction"]
    id: str
    encrypted_content: str


OutputItem: TypeAlias = Annotated[
    MessageItemAnswer | ReasoningItemAnswer | FunctionCallAnswer | CustomCallAnswer | CompactionItemAnswer,
    Field(discriminator="type"),
]


class InputDetails(BaseModel):
    """`cached_tokens` were really reused, `cache_write_tokens` newly computed and kept."""

    cached_tokens: Count
    cache_write_tokens: Count


class OutputDetails(BaseModel):
    reasoning_tokens: Count


class ResponseUsage(BaseModel):
    input_tokens: Count
    input_tokens_details: InputDetails
    output_tokens: Count
    output_tokens_details: OutputDetails
    total_tokens: Count


class ResponseError(BaseModel):
    code: str
    message: str


class IncompleteDetails(BaseModel):
    reason: Literal["max_output_tokens", "content_filter"]


class ConversationId(BaseModel):
    id: str


class Truncated(BaseModel):
    """The ids of the oldest items, which `truncation: auto` left out of the prompt."""

    dropped_items: list[str]


class ResponseAnswer(BaseModel):
    """A response. The request's own fields are repeated as they were given; those left out stand for its defaults."""

    id: str
    object: Literal["response"]
    created_at: int
    completed_at: int | None
    model: str
    moderation: dict[str, Any] | None = None
    status: Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
    background: bool
    conversation: ConversationId | None
    error: ResponseError | None
    incomplete_details: IncompleteDetails | None
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    metadata: dict[str, str]
    output: list[OutputItem]
    parallel_tool_calls: bool
    previous_response_id: str | None
    prompt_cache_key: str | None
    reasoning: dict[str, Any]
    safety_identifier: str | None
    service_tier: Literal["default"]
    store: bool
    temperature: float | None
    text: dict[str, Any]
    tool_choice: str | dict[str, Any]
    tools: list[dict[str, Any]]
    top_logprobs: int
    top_p: float | None
    truncation: Literal["auto", "disabled"]
    truncated: Truncated | None = None
    usage: ResponseUsage | None
    user: str | None


class CompactionAnswer(BaseModel):
    """The users' own messages as they were, and one item that stands for everything said."""

    id: str
    object: Literal["response.compaction"]
    created_at: int
    output: list[dict[str, Any]]
    usage: ResponseUsage


class InputTokensAnswer(BaseModel):
    object: Literal["response.input_tokens"]
    input_tokens: Count


class DeletedAnswer(BaseModel):
    id: str
    object: Literal["response", "conversation.deleted"]
    deleted: Literal[True]


class ConversationAnswer(BaseModel):
    id: str
    object: Literal["conversation"]
    created_at: int
    metadata: dict[str, str]


class ItemAnswer(BaseModel):
    """An item as it was sent or said, with its id."""

    id: str
    type: str


class ItemsAnswer(BaseModel):
    object: Literal["list"]
    data: list[ItemAnswer]
    first_id: str | None
    last_id: str | None
    has_more: bool
