"""The shapes of what the Messages API answers, for the OpenAPI document and the tests that hold our answers to it.

Rule: answers are written by messages_out.py and models.py without passing through these.
"""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, Field

Count: TypeAlias = Annotated[int, Field(ge=0)]


class ErrorDetails(BaseModel):
    """With `image_dimensions_too_large` come the most pixels of a side and where the images are that have more."""

    error_code: str
    max_side_length_pixels: int | None = None
    paths: list[str] | None = None


class Error(BaseModel):
    type: Literal[
        "invalid_request_error",
        "authentication_error",
        "permission_error",
        "not_found_error",
        "request_too_large",
        "rate_limit_error",
        "api_error",
        "overloaded_error",
    ]
    message: str
    details: ErrorDetails | None = None


class ErrorAnswer(BaseModel):
    """Every error: the message names the offending field by its path."""

    type: Literal["error"]
    error: Error
    request_id: str


class TextAnswer(BaseModel):
    """`citations` are there where the text rests on documents: each of one of the API's types of location."""

    type: Literal["text"]
    text: str
    citations: list[dict[str, Any]] | None = None


class ThinkingAnswer(BaseModel):
    type: Literal["thinking"]
    thinking: str
    signature: str


class RedactedThinkingAnswer(BaseModel):
    type: Literal["redacted_thinking"]
    data: str


class ToolUseAnswer(BaseModel):
    type: Literal["tool_use"]
    id: str
    name: str
    input: dict[str, Any]


class McpToolUseAnswer(BaseModel):
    """A call that this server carried out itself."""

    type: Literal["mcp_tool_use"]
    id: str = Field(pattern="^mcptoolu_")
    name: str
    server_name: str
    input: dict[str, Any]


class McpToolResultAnswer(BaseModel):
    type: Literal["mcp_tool_result"]
    tool_use_id: str
    is_error: bool
    content: list[TextAnswer]


class CacheCreation(BaseModel):
    """Prompt tokens newly computed and kept, by lifetime."""

    ephemeral_5m_input_tokens: Count
    ephemeral_1h_input_tokens: Count


class OutputDetails(BaseModel):
    thinking_tokens: Count


class CompactionAnswer(BaseModel):
    """A summary of all that came before; null where the model wrote none."""

    type: Literal["compaction"]
    content: str | None


class IterationAnswer(BaseModel):
    """What a summary used, or the answer after it. The summary is no part of the other counters."""

    type: Literal["compaction", "message"]
    input_tokens: Count
    cache_creation_input_tokens: Count
    cache_read_input_tokens: Count
    cache_creation: CacheCreation
    output_tokens: Count


class UsageAnswer(BaseModel):
    """The prompt is input_tokens + cache_creation_input_tokens + cache_read_input_tokens."""

    input_tokens: Count
    cache_creation_input_tokens: Count
    cache_read_input_tokens: Count
    cache_creation: CacheCreation
    output_tokens: Count
    output_tokens_details: OutputDetails
    service_tier: Literal["standard"]
    iterations: list[IterationAnswer] | None = None


class ClearedToolUsesAnswer(BaseModel):
    type: Literal["clear_tool_uses_20250919"]
    cleared_tool_uses: Count
    cleared_input_tokens: Count


class ClearedThinkingAnswer(BaseModel):
    type: Literal["clear_thinking_20251015"]
    cleared_thinking_turns: Count
    cleared_input_tokens: Count


class EditsAnswer(BaseModel):
    """What was cleared of the conversation before the model read it."""

    applied_edits: list[Annotated[ClearedToolUsesAnswer | ClearedThinkingAnswer, Field(discriminator="type")]]


class MessageAnswer(BaseModel):
    id: str = Field(pattern="^(msg_|gen-)")
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[
        Annotated[
            TextAnswer
            | ThinkingAnswer
            | RedactedThinkingAnswer
            | ToolUseAnswer
            | McpToolUseAnswer
            | McpToolResultAnswer
            | CompactionAnswer,
            Field(discriminator="type"),
        ]
    ]
    stop_reason: Literal[
        "end_turn",
        "max_tokens",
        "stop_sequence",
        "tool_use",
        "pause_turn",
        "refusal",
        "model_context_window_exceeded",
        "compaction",
    ]
    stop_sequence: str | None
    stop_details: dict[str, Any] | None
    container: None
    usage: UsageAnswer
    context_management: EditsAnswer | None = None


class BatchCounts(BaseModel):
    """Every request is processing until the whole batch has ended."""

    processing: Count
    succeeded: Count
    errored: Count
    canceled: Count
    expired: Count


class BatchProgress(BaseModel):
    """This server's own: requests that have their result, and tokens generated for them."""

    done: Count
    output_tokens: Count


class BatchAnswer(BaseModel):
    id: str = Field(pattern="^msgbatch_")
    type: Literal["message_batch"]
    processing_status: Literal["in_progress", "canceling", "ended"]
    request_counts: BatchCounts
    created_at: str
    expires_at: str
    ended_at: str | None
    cancel_initiated_at: str | None
    archived_at: str | None
    results_url: str | None
    haiga_progress: BatchProgress


class BatchesAnswer(BaseModel):
    data: list[BatchAnswer]
    has_more: bool
    first_id: str | None
    last_id: str | None


class BatchDeletedAnswer(BaseModel):
    id: str
    type: Literal["message_batch_deleted"]


class BatchResultAnswer(BaseModel):
    """One line of the results; `result` is a message, an error, or nothing but its type."""

    custom_id: str
    result: dict[str, Any]


class FileAnswer(BaseModel):
    id: str
    type: Literal["file"]
    filename: str
    mime_type: str
    size_bytes: Count
    created_at: str
    expires_at: str | None
    downloadable: bool


class FilesAnswer(BaseModel):
    """A page; `next_page` is the cursor of the next one, the ids are the older kind of cursor."""

    data: list[FileAnswer]
    has_more: bool
    first_id: str | None
    last_id: str | None
    next_page: str | None


class FileDeletedAnswer(BaseModel):
    id: str
    type: Literal["file_deleted"]


class OriginalCount(BaseModel):
    """The prompt before it was edited."""

    original_input_tokens: Count


class CountAnswer(BaseModel):
    input_tokens: Count
    context_management: OriginalCount | None = None


class ModelAnswer(BaseModel):
    type: Literal["model"]
    id: str
    display_name: str
    created_at: str
    max_input_tokens: int
    max_tokens: int
    lifecycle: Literal["active"]
    deprecated_at: None
    retires_at: None
    line: None
    capabilities: dict[str, Any]


class ModelsAnswer(BaseModel):
    data: list[ModelAnswer]
    has_more: bool
    first_id: str | None
    last_id: str | None
