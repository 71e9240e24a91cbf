"""The items of a conversation, as clients send them and as they are kept.

Rule: shapes only. Items of tools that this server does not have are known by name, so that rules.py can refuse them by
name; an unknown `type` is refused by the tagged union.
"""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from haiga.wire.openai_body import Shape
from haiga.wire.openai_chat.shapes import Part

Status: TypeAlias = Literal["in_progress", "completed", "incomplete"]
Id: TypeAlias = Annotated[str, Field(min_length=1, max_length=64)]
MAX_ITEMS = 100_000


class InputText(Part):
    type: Literal["input_text"]
    text: str


class OutputText(Part):
    type: Literal["output_text"]
    text: str
    annotations: list[dict[str, Any]] | None = None
    logprobs: list[dict[str, Any]] | None = None


class Refusal(Part):
    type: Literal["refusal"]
    refusal: str


class InputImage(Part):
    type: Literal["input_image"]
    image_url: str | None = None
    file_id: str | None = None
    detail: Literal["auto", "low", "high", "original"] | None = None


class InputFile(Part):
    type: Literal["input_file"]
    file_data: str | None = None
    file_id: str | None = None
    file_url: str | None = None
    filename: str | None = None


class InputAudio(Part):
    type: Literal["input_audio"]


AnyPart: TypeAlias = InputText | OutputText | Refusal | InputImage | InputFile | InputAudio


class MessageItem(Shape):
    """What somebody said; an assistant's content is output_text and refusal, everybody else's input_…"""

    type: Literal["message"]
    role: Literal["user", "assistant", "system", "developer"]
    content: list[Annotated[AnyPart, Field(discriminator="type")]] = Field(fail_fast=True)
    id: Id | None = None
    status: Status | None = None
    phase: str | None = None


class FunctionCallItem(Shape):
    type: Literal["function_call"]
    call_id: str = Field(min_length=1)
    name: str = Field(min_length=1)
    arguments: str
    id: Id | None = None
    status: Status | None = None


class CustomCallItem(Shape):
    type: Literal["custom_tool_call"]
    call_id: str = Field(min_length=1)
    name: str = Field(min_length=1)
    input: str
    id: Id | None = None


def _as_text_parts(value: Any) -> Any:
    if isinstance(value, str):
        return [{"type": "input_text", "text": value}] if value else []
    return value


OutputParts: TypeAlias = Annotated[
    list[Annotated[InputText | InputImage | InputFile, Field(discriminator="type")]],
    Field(fail_fast=True),
    BeforeValidator(_as_text_parts, json_schema_input_type=str | list[InputText | InputImage | InputFile]),
]


class CallOutputItem(Shape):
    """What came of a call, for the model to read."""

    type: Literal["function_call_output", "custom_tool_call_output"]
    call_id: str = Field(min_length=1)
    output: OutputParts
    id: Id | None = None
    status: Status | None = None


class ReasoningText(Shape):
    type: Literal["reasoning_text", "summary_text"]
    text: str


class ReasoningItem(Shape):
    """What the model thought. `encrypted_content` is this server's own code for the same, or another server's, which
    nobody here can read."""

    type: Literal["reasoning"]
    summary: list[ReasoningText] | None = Field(default=None, fail_fast=True)
    content: list[ReasoningText] | None = Field(default=None, fail_fast=True)
    encrypted_content: str | None = None
    id: Id | None = None
    status: Status | None = None


class CompactionItem(Shape):
    """A summary in place of all that comes before it, in this server's own code."""

    type: Literal["compaction"]
    encrypted_content: str
    id: Id | None = None


class CompactionTrigger(Shape):
    """Asks for a summary of all that comes before it, and for nothing else."""

    type: Literal["compaction_trigger"]
    id: Id | None = None


class McpCallItem(Shape):
    """A call that this server carried out itself, with what came of it."""

    type: Literal["mcp_call"]
    server_label: str = Field(min_length=1, max_length=200)
    name: str = Field(min_length=1, max_length=200)
    arguments: str
    output: str | None = None
    error: Any = None
    id: Id | None = None
    status: Literal["in_progress", "completed", "incomplete", "calling", "failed"] | None = None
    approval_request_id: str | None = None


class ItemReference(Shape):
    """Stands for an item that is kept."""

    type: Literal["item_reference"]
    id: Id


class OtherItem(Shape):
    """Items of tools and features that this server does not have."""

    type: Literal[
        "additional_tools",
        "apply_patch_call",
        "apply_patch_call_output",
        "code_interpreter_call",
        "computer_call",
        "computer_call_output",
        "configuration_update",
        "file_search_call",
        "image_generation_call",
        "local_shell_call",
        "local_shell_call_output",
        "mcp_approval_request",
        "mcp_approval_response",
        "mcp_list_tools",
        "program",
        "program_output",
        "shell_call",
        "shell_call_output",
        "tool_search_call",
        "tool_search_output",
        "web_search_call",
    ]


def _typed(value: Any) -> Any:
    """An item without a type is a message, or a reference if it has nothing but an id; text content is one part. The
    parsed body is ours alone, so it is changed in place."""
    if not isinstance(value, dict):
        return value
    if value.get("type") is None:
        value["type"] = "item_reference" if "role" not in value and "id" in value else "message"
    content = value.get("content")
    if value["type"] == "message" and isinstance(content, str):
        kind = "output_text" if value.get("role") == "assistant" else "input_text"
        value["content"] = [{"type": kind, "text": content}] if content else []
    return value


Known: TypeAlias = (
    MessageItem
    | FunctionCallItem
    | CustomCallItem
    | CallOutputItem
    | ReasoningItem
    | McpCallItem
    | CompactionItem
    | CompactionTrigger
    | ItemReference
    | OtherItem
)
AnyItem: TypeAlias = Annotated[Annotated[Known, Field(discriminator="type")], BeforeValidator(_typed)]


def _as_items(value: Any) -> Any:
    """Input given as a plain string is one message of the user's."""
    return [{"type": "message", "role": "user", "content": value}] if isinstance(value, str) else value


InputItems: TypeAlias = Annotated[
    list[AnyItem],
    Field(max_length=MAX_ITEMS, fail_fast=True),
    BeforeValidator(_as_items, json_schema_input_type=str | list[AnyItem]),
]


class Items(Shape):
    """Items that are kept, to be read once more."""

    input: InputItems
