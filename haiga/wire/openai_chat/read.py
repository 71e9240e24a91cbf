"""Reads Chat Completions' requests into core values.

Rule: bytes in, core values or a core error out. What depends on the model (the default for max_tokens) is settled by
`ChatRequest.choices` once its card is known; what a model cannot do is refused in services/inference.
"""

import re
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from haiga.core.errors import HaigaError, Invalid
from haiga.core.generation import SamplingRequest, TextRequest, ThinkingRequest, sourced
from haiga.core.messages import Grammar, Tool, ToolChoice
from haiga.core.ports import ModelCard
from haiga.wire.body import read_object
from haiga.wire.openai_body import read_shape
from haiga.wire.openai_chat import rules, shapes
from haiga.wire.openai_chat.messages_in import cache_mark, read_conversation
from haiga.wire.openai_moderations.beside import Wanted, beside_chat

SEEDS = 2**63
FREE_TEXT = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
    "additionalProperties": False,
}
NO_PARAMETERS = {"type": "object", "properties": {}}
ANY_OBJECT = {"type": "object"}
BLOCK = re.compile(r"messages\.(\d+)\.content\.(\d+)(.*)")
SOURCE = re.compile(r"\.(?:image|document)\.source\.(?:base64(?:\.data)?|url|file)$")
ANSWER_SCHEMA = "output_config.format.schema"
TOOL_SCHEMA = re.compile(r"tools\[(\d+)\]\.input_schema")
Failure = TypeVar("Failure", bound=HaigaError)


@dataclass(frozen=True, slots=True)
class Form:
    """How the answer is to be written.

    `free_text` names the custom tools, whose calls carry text and not arguments; `functions`: the request used the
    older `functions`, so its call is written in `function_call`.
    """

    stream: bool = False
    include_usage: bool = False
    logprobs: bool = False
    functions: bool = False
    free_text: frozenset[str] = frozenset()
    service_tier: bool = False


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A request, how many answers are wanted, and the form they are wanted in.

    `max_tokens` is None where the caller left it open; `limit_field` is what the caller called it. `kept` says that the
    answer is to be stored with `metadata` and the messages as they were `written`; `judged`: the judgements that
    are wanted beside it.
    """

    request: TextRequest
    form: Form
    origins: tuple[tuple[str, ...], ...]
    max_tokens: int | None = None
    limit_field: str = "max_tokens"
    n: int = 1
    kept: bool = False
    metadata: dict[str, str] | None = None
    written: tuple[dict[str, Any], ...] = ()
    judged: Wanted | None = None

    def choices(self, card: ModelCard) -> tuple[TextRequest, ...]:
        """One core request for each answer wanted, differing in their seeds. Raises Invalid when more tokens are asked
        for than the model gives at most."""
        most = output_limit(self.max_tokens, card, self.limit_field)
        limited = replace(self.request, max_tokens=most, unbounded=self.max_tokens is None)
        if limited.source is not None:  # an answer of several choices cannot be quoted
            limited = sourced(limited, limited.source) if self.n == 1 else replace(limited, source=None, read=None)
        return tuple(seeded(limited, i) for i in range(self.n))

    def placed(self, error: Failure) -> Failure:
        """The error with its field named as the request names it, where it speaks of a core value's place."""
        if error.field:
            error.field = self._written(param_of(error.field, self.origins))
        return error

    def _written(self, field: str) -> str:
        """Fields that services and engines name as another API does, by this one's names."""
        if field.startswith(ANSWER_SCHEMA):
            return field.replace(ANSWER_SCHEMA, "response_format.json_schema.schema", 1)
        tool = TOOL_SCHEMA.match(field)
        if tool is None:
            return field
        at, rest = int(tool[1]), field[tool.end() :]
        if self.form.functions:
            return f"functions[{at}].parameters{rest}"
        if at < len(self.request.tools) and self.request.tools[at].name in self.form.free_text:
            return f"tools[{at}].custom.format.grammar.definition"
        return f"tools[{at}].function.parameters{rest}"


def output_limit(asked: int | None, card: ModelCard, field: str) -> int:
    """The most tokens to generate: what was asked for, or all that the model gives. One that runs elsewhere judges for
    itself."""
    if asked is None:
        return card.max_output
    if asked > card.max_output and not card.provider:
        raise Invalid(
            f"{field} is too large: {asked}. This model supports at most {card.max_output} completion tokens, whereas "
            f"you provided {asked}.",
            field=field,
            code="invalid_value",
        )
    return asked


def seeded(request: TextRequest, choice: int) -> TextRequest:
    """The request for one of several choices: the first has the caller's seed, each next one the seed after it."""
    seed = request.sampling.seed
    if seed is None:
        return request
    return replace(request, sampling=replace(request.sampling, seed=(seed + choice) % SEEDS))


def read_chat(body: bytes) -> ChatRequest:
    """The body of POST /v1/chat/completions. Raises Invalid and Unsupported."""
    value = read_object(body)
    shape = read_shape(shapes.ChatBody, value)
    rules.check(shape)
    asked = chat_request(shape)
    return replace(asked, written=tuple(value["messages"])) if asked.kept else asked


def chat_request(shape: shapes.ChatBody) -> ChatRequest:
    """A checked body as core values; OpenRouter's, which is a superset, passes here too."""
    conversation = read_conversation(shape.messages)
    request = TextRequest(
        model=shape.model,
        messages=conversation.messages,
        max_tokens=0,
        system=conversation.system,
        tools=_tools(shape),
        tool_choice=_tool_choice(shape),
        sampling=read_sampling(shape, _logprobs(shape)),
        stop=tuple(shape.stop or ()),
        thinking=ThinkingRequest("disabled" if shape.reasoning_effort == "none" else "adaptive"),
        output_schema=_output_schema(shape.response_format),
        overflow="stop",
        user=shape.safety_identifier or shape.user,
        extra=_kept(shape),
        prediction="".join(part.text for part in shape.prediction.content) if shape.prediction else "",
    )
    return ChatRequest(
        request,
        _form(shape),
        conversation.origins,
        shape.max_tokens if shape.max_completion_tokens is None else shape.max_completion_tokens,
        "max_tokens" if shape.max_completion_tokens is None else "max_completion_tokens",
        shape.n or 1,
        bool(shape.store),
        shape.metadata,
        judged=Wanted(shape.moderation.model, beside_chat) if shape.moderation else None,
    )


def _form(shape: shapes.ChatBody) -> Form:
    options = shape.stream_options
    return Form(
        stream=bool(shape.stream),
        include_usage=bool(options and options.include_usage),
        logprobs=bool(shape.logprobs),
        functions=bool(shape.functions),
        free_text=frozenset(tool.custom.name for tool in shape.tools or () if isinstance(tool, shapes.CustomToolParam)),
        service_tier=shape.service_tier is not None,
    )


def _kept(shape: shapes.ChatBody) -> dict[str, Any]:
    """Fields without effect here, for whoever learns to act on them, and unknown ones."""
    kept = dict(shape.model_extra or {})
    if shape.reasoning_effort is not None:
        kept["effort"] = shape.reasoning_effort
    if shape.verbosity is not None:
        kept["verbosity"] = shape.verbosity
    return kept


def read_sampling(shape: shapes.SamplingBody, logprobs: int | None) -> SamplingRequest:
    return SamplingRequest(
        temperature=shape.temperature,
        top_p=shape.top_p,
        top_k=shape.top_k,
        min_p=shape.min_p,
        frequency_penalty=shape.frequency_penalty,
        presence_penalty=shape.presence_penalty,
        repetition_penalty=shape.repetition_penalty,
        logit_bias={int(token): bias for token, bias in (shape.logit_bias or {}).items()},
        seed=None if shape.seed is None else shape.seed % SEEDS,
        logprobs=logprobs,
    )


def _logprobs(shape: shapes.ChatBody) -> int | None:
    return (shape.top_logprobs or 0) if shape.logprobs else None


def _output_schema(wanted: shapes.PlainFormat | shapes.SchemaFormat | None) -> dict[str, Any] | None:
    match wanted:
        case shapes.SchemaFormat():
            return ANY_OBJECT if wanted.json_schema.json_schema is None else wanted.json_schema.json_schema
        case shapes.PlainFormat(type="json_object"):
            return ANY_OBJECT
    return None


# --- tools ---


def _tools(shape: shapes.ChatBody) -> tuple[Tool, ...]:
    older = tuple(_function(function) for function in shape.functions or ())
    return tuple(_tool(tool) for tool in shape.tools or ()) + older


def _tool(tool: shapes.FunctionToolParam | shapes.CustomToolParam) -> Tool:
    if isinstance(tool, shapes.FunctionToolParam):
        return replace(_function(tool.function), cache=cache_mark(tool.cache_control))
    grammar = _grammar(tool.custom.format)
    return Tool(
        tool.custom.name,
        tool.custom.description or "",
        free_text_schema(grammar),
        strict=grammar is not None,
        cache=cache_mark(tool.cache_control),
        grammar=grammar,
    )


def free_text_schema(grammar: Grammar | None) -> dict[str, Any]:
    """The arguments of a tool that takes free text; a regular expression holds for the whole of it."""
    if grammar is None or grammar.syntax != "regex":
        return FREE_TEXT
    return {**FREE_TEXT, "properties": {"input": {"type": "string", "pattern": f"^(?:{grammar.definition})$"}}}


def _function(function: shapes.Function) -> Tool:
    return Tool(
        function.name,
        function.description or "",
        NO_PARAMETERS if function.parameters is None else function.parameters,
        strict=bool(function.strict),
        extra=function.model_extra or {},
    )


def _grammar(wanted: shapes.TextFormat | shapes.GrammarFormat | None) -> Grammar | None:
    if isinstance(wanted, shapes.GrammarFormat):
        return Grammar(wanted.grammar.syntax, wanted.grammar.definition)
    return None


MODES = {"auto": "auto", "none": "none", "required": "any"}


def _tool_choice(shape: shapes.ChatBody) -> ToolChoice:
    if shape.functions:
        return _function_choice(shape.function_call)
    parallel = shape.parallel_tool_calls is not False
    match shape.tool_choice:
        case shapes.ModeChoice(type=mode):
            return ToolChoice(MODES[mode], parallel=parallel)  # type: ignore[arg-type]
        case shapes.FunctionChoice(function=named) | shapes.CustomChoice(custom=named):
            return ToolChoice("tool", named.name, parallel)
        case shapes.AllowedChoice(allowed_tools=allowed):
            names = tuple(rules.allowed_name(tool, "tool_choice") for tool in allowed.tools)
            return ToolChoice("any" if allowed.mode == "required" else "auto", None, parallel, names)
    return ToolChoice(parallel=parallel)


def _function_choice(wanted: shapes.FunctionModeOrName | None) -> ToolChoice:
    """The older form has one call in an answer."""
    if wanted is None:
        return ToolChoice(parallel=False)
    if wanted.name is not None:
        return ToolChoice("tool", wanted.name, False)
    return ToolChoice("none" if wanted.mode == "none" else "auto", None, False)


# --- where a complaint points to ---


def param_of(field: str, origins: tuple[tuple[str, ...], ...]) -> str:
    """`messages.2.content.0.content.1` of the core request as the request's own `messages[3].content[1]`."""
    match = BLOCK.fullmatch(field)
    if match and int(match[1]) < len(origins) and int(match[2]) < len(origins[int(match[1])]):
        field = origins[int(match[1])][int(match[2])] + SOURCE.sub("", match[3])
    return re.sub(r"\.(\d+)(?=\.|$)", r"[\1]", field)
