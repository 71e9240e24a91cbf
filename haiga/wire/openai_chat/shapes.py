"""The request body of POST /v1/chat/completions, as the API documents it.

Rule: shapes only. What depends on more than one field is checked in rules.py; unknown fields are kept, unknown `type`
and `role` tags are refused by the tagged unions.
"""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from haiga.wire.openai_body import Shape

MAX_MESSAGES = 100_000
NAME = r"^[a-zA-Z0-9_-]+$"


class CacheBreakpoint(Shape):
    """Marks the prompt up to this part to be cached."""

    mode: Literal["explicit"]
    ttl: Literal["30m", "12h"] | None = None


class CacheControlMark(Shape):
    """The same mark as OpenRouter's clients write it."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None


class Part(Shape):
    prompt_cache_breakpoint: CacheBreakpoint | None = None
    cache_control: CacheControlMark | None = None


class TextPart(Part):
    type: Literal["text"]
    text: str


class RefusalPart(Part):
    type: Literal["refusal"]
    refusal: str


class ImageUrl(Shape):
    url: str
    detail: Literal["auto", "low", "high", "original"] | None = None


class ImagePart(Part):
    type: Literal["image_url"]
    image_url: ImageUrl


class AudioPart(Part):
    type: Literal["input_audio"]
    input_audio: dict[str, Any]


class FilePayload(Shape):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class FilePart(Part):
    type: Literal["file"]
    file: FilePayload


def _as_parts(value: Any) -> Any:
    """Content given as a plain string is one text part; the empty string is none."""
    if isinstance(value, str):
        return [{"type": "text", "text": value}] if value else []
    return value


AnyPart: TypeAlias = TextPart | ImagePart | AudioPart | FilePart | RefusalPart
UserPart: TypeAlias = Annotated[TextPart | ImagePart | AudioPart | FilePart, Field(discriminator="type")]
AssistantPart: TypeAlias = Annotated[TextPart | RefusalPart, Field(discriminator="type")]
ResultPart: TypeAlias = Annotated[TextPart | ImagePart | FilePart, Field(discriminator="type")]
TextParts: TypeAlias = Annotated[
    list[TextPart],
    Field(fail_fast=True),
    BeforeValidator(_as_parts, json_schema_input_type=str | list[TextPart]),
]
UserParts: TypeAlias = Annotated[
    list[UserPart],
    Field(fail_fast=True),
    BeforeValidator(_as_parts, json_schema_input_type=str | list[UserPart]),
]
AssistantParts: TypeAlias = Annotated[
    list[AssistantPart],
    Field(fail_fast=True),
    BeforeValidator(_as_parts, json_schema_input_type=str | list[AssistantPart]),
]
ResultParts: TypeAlias = Annotated[
    list[ResultPart],
    Field(fail_fast=True),
    BeforeValidator(_as_parts, json_schema_input_type=str | list[ResultPart]),
]


class FunctionCall(Shape):
    name: str
    arguments: str


class FunctionToolCall(Shape):
    type: Literal["function"]
    id: str = Field(min_length=1)
    function: FunctionCall


class CustomCall(Shape):
    name: str
    input: str


class CustomToolCall(Shape):
    type: Literal["custom"]
    id: str = Field(min_length=1)
    custom: CustomCall


def _with_type(value: Any) -> Any:
    """A call without a type is a function's. The parsed body is ours alone, so it is changed in place."""
    if isinstance(value, dict) and value.get("type") is None:
        value["type"] = "function"
    return value


ToolCall: TypeAlias = Annotated[
    Annotated[FunctionToolCall | CustomToolCall, Field(discriminator="type")], BeforeValidator(_with_type)
]


class SystemMessage(Shape):
    role: Literal["system", "developer"]
    content: TextParts
    name: str | None = None


class UserMessage(Shape):
    role: Literal["user"]
    content: UserParts
    name: str | None = None


class AssistantMessage(Shape):
    role: Literal["assistant"]
    content: AssistantParts | None = None
    refusal: str | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = Field(default=None, fail_fast=True)
    function_call: FunctionCall | None = None
    audio: dict[str, Any] | None = None
    # Reasoning as servers of open models, and OpenRouter, give it and take it back.
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[dict[str, Any]] | None = None


class ToolMessage(Shape):
    role: Literal["tool"]
    content: ResultParts
    tool_call_id: str


class FunctionMessage(Shape):
    role: Literal["function"]
    name: str
    content: str | None = None


AnyMessage: TypeAlias = SystemMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage


class Function(Shape):
    name: str = Field(pattern=NAME, max_length=64)
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionToolParam(Shape):
    type: Literal["function"]
    function: Function
    cache_control: CacheControlMark | None = None


class GrammarText(Shape):
    syntax: Literal["lark", "regex"]
    definition: str


class TextFormat(Shape):
    type: Literal["text"]


class GrammarFormat(Shape):
    type: Literal["grammar"]
    grammar: GrammarText


class Custom(Shape):
    name: str = Field(pattern=NAME, max_length=64)
    description: str | None = None
    format: Annotated[TextFormat | GrammarFormat, Field(discriminator="type")] | None = None


class CustomToolParam(Shape):
    type: Literal["custom"]
    custom: Custom
    cache_control: CacheControlMark | None = None


AnyTool: TypeAlias = Annotated[FunctionToolParam | CustomToolParam, Field(discriminator="type")]


class Named(Shape):
    name: str


class ModeChoice(Shape):
    """`"auto"`, `"none"` and `"required"`, which the API writes as plain strings."""

    type: Literal["none", "auto", "required"]


class FunctionChoice(Shape):
    type: Literal["function"]
    function: Named


class CustomChoice(Shape):
    type: Literal["custom"]
    custom: Named


class AllowedTool(Shape):
    type: Literal["function", "custom"]
    function: Named | None = None
    custom: Named | None = None


class AllowedTools(Shape):
    mode: Literal["auto", "required"]
    tools: list[AllowedTool] = Field(min_length=1, fail_fast=True)


class AllowedChoice(Shape):
    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


def _as_choice(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


AnyChoice: TypeAlias = ModeChoice | FunctionChoice | CustomChoice | AllowedChoice
ToolChoiceParam: TypeAlias = Annotated[
    Annotated[AnyChoice, Field(discriminator="type")],
    BeforeValidator(_as_choice, json_schema_input_type=Literal["none", "auto", "required"] | AnyChoice),
]


class FunctionModeOrName(Shape):
    """The older `function_call`: `"none"`, `"auto"` or `{"name": …}`."""

    mode: Literal["none", "auto"] | None = None
    name: str | None = None


def _as_function_choice(value: Any) -> Any:
    return {"mode": value} if isinstance(value, str) else value


class PlainFormat(Shape):
    type: Literal["text", "json_object"]


class JsonSchema(Shape):
    name: str = Field(pattern=NAME, max_length=64)
    description: str | None = None
    json_schema: dict[str, Any] | None = Field(default=None, alias="schema")
    strict: bool | None = None


class SchemaFormat(Shape):
    type: Literal["json_schema"]
    json_schema: JsonSchema


class Prediction(Shape):
    type: Literal["content"]
    content: TextParts


class ModerationMode(Shape):
    mode: Literal["score", "block"]


class ModerationModes(Shape):
    input: ModerationMode | None = None
    output: ModerationMode | None = None


class ModerationWanted(Shape):
    """Judgements that are wanted beside the answer."""

    model: str
    policy: ModerationModes | None = None


class StreamOptions(Shape):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


StopParam: TypeAlias = Annotated[
    list[Annotated[str, Field(min_length=1)]],
    Field(max_length=4, fail_fast=True),
    BeforeValidator(_as_list, json_schema_input_type=str | list[str]),
]


class SamplingBody(Shape):
    """What Chat Completions and the older Completions share, with the filters that servers of open models add."""

    model: str = Field(min_length=1, max_length=256)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_k: int | None = Field(default=None, ge=0)
    min_p: float | None = Field(default=None, ge=0, le=1)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    repetition_penalty: float | None = Field(default=None, ge=0.01, le=2)
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = None
    seed: int | None = Field(default=None, ge=-(2**63), le=2**63 - 1)
    n: int | None = Field(default=None, ge=1, le=128)
    stop: StopParam | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None


class ChatBody(SamplingBody):
    """The body of POST /v1/chat/completions."""

    messages: list[Annotated[AnyMessage, Field(discriminator="role")]] = Field(
        min_length=1, max_length=MAX_MESSAGES, fail_fast=True
    )
    audio: dict[str, Any] | None = None
    function_call: Annotated[FunctionModeOrName, BeforeValidator(_as_function_choice)] | None = None
    functions: list[Function] | None = Field(default=None, max_length=128, fail_fast=True)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    max_tokens: int | None = Field(default=None, ge=1)
    metadata: dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]] | None = Field(
        default=None, max_length=16
    )
    modalities: list[str] | None = None
    moderation: ModerationWanted | None = None
    parallel_tool_calls: bool | None = None
    prediction: Prediction | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: dict[str, Any] | None = None
    prompt_cache_retention: str | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    response_format: Annotated[PlainFormat | SchemaFormat, Field(discriminator="type")] | None = None
    safety_identifier: str | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None = None
    store: bool | None = None
    tool_choice: ToolChoiceParam | None = None
    tools: list[AnyTool] | None = Field(default=None, fail_fast=True)
    verbosity: Literal["low", "medium", "high"] | None = None
    web_search_options: dict[str, Any] | None = None
