"""Reads requests for responses into core values.

Rule: bytes in, core values or a core error out. A request may continue what is kept: its own items come first, and
`prompt` puts them after the kept ones, once those are known.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from haiga.core.edits import Compact, Edit
from haiga.core.errors import HaigaError
from haiga.core.generation import SamplingRequest, TextRequest, ThinkingRequest
from haiga.core.messages import Grammar, Text, Tool, ToolChoice
from haiga.core.ports import ModelCard
from haiga.core.responses import Item
from haiga.wire.body import read_object
from haiga.wire.openai_body import missing, read_shape
from haiga.wire.openai_chat import shapes as chat
from haiga.wire.openai_chat.read import ANY_OBJECT, MODES, NO_PARAMETERS, free_text_schema, output_limit, param_of
from haiga.wire.openai_errors import TOO_LONG
from haiga.wire.openai_moderations.beside import Wanted, beside_response
from haiga.wire.openai_responses import items, rules, shapes
from haiga.wire.openai_responses.items_in import read_conversation
from haiga.wire.openai_responses.mcp import read_toolsets

Failure = TypeVar("Failure", bound=HaigaError)
PREFIXES = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
    "reasoning": "rs",
    "mcp_call": "mcp",
    "compaction": "cmp",
}
FINISHED = {"message", "function_call", "function_call_output"}  # items that are shown with a status
OWN_TOOLS = shapes.FunctionTool | shapes.CustomTool
FIELDS = {"max_tokens": "max_output_tokens", "output_config.format": "text.format"}  # as services/inference names them


@dataclass(frozen=True, slots=True)
class Form:
    """How the answer is to be written.

    `summary`: thoughts go where clients look for a summary of them. `free_text` names the custom tools, whose calls
    carry text and not arguments.
    """

    logprobs: bool = False
    encrypted: bool = False
    summary: bool = False
    free_text: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model is asked, and where it comes from: `origins[m][b]` is where block b of message m stands in the
    request, `sources[m]` the ids of the items that message m is made of."""

    request: TextRequest
    origins: tuple[tuple[str, ...], ...] = ()
    sources: tuple[tuple[str, ...], ...] = ()

    def placed(self, error: Failure) -> Failure:
        """The error with its field named as the request names it, where it speaks of a core value's place."""
        if TOO_LONG.search(error.message):
            error.field = "input"
        elif error.field:
            error.field = FIELDS.get(error.field) or param_of(error.field, self.origins)
        return error


@dataclass(frozen=True, slots=True)
class ResponseRequest:
    """A checked body. `raw` is the JSON it was read from, `items` the input as it is kept, every item with an id."""

    body: shapes.ResponseBody
    raw: Mapping[str, Any]
    items: tuple[Item, ...]

    @property
    def conversation(self) -> str | None:
        return self.body.conversation.id if self.body.conversation else None

    @property
    def judged(self) -> Wanted | None:
        """The judgements that are wanted beside the answer."""
        return Wanted(self.body.moderation.model, beside_response) if self.body.moderation else None

    @property
    def kept(self) -> bool:
        return self.body.store is not False

    @property
    def form(self) -> Form:
        include, reasoning = self.body.include or (), self.body.reasoning
        return Form(
            logprobs="message.output_text.logprobs" in include,
            encrypted="reasoning.encrypted_content" in include,
            summary=bool(reasoning and (reasoning.summary or reasoning.generate_summary)),
            free_text=frozenset(tool.name for tool in self.body.tools or () if isinstance(tool, shapes.CustomTool)),
        )

    def prompt(self, past: Sequence[Item], own: Sequence[Item], card: ModelCard) -> Prompt:
        """The request after what was said before it; `own` are its items with references resolved. Raises Invalid."""
        given = [*past, *own]
        said = read_shape(items.Items, {"input": given}).input
        rules.check_calls(said)
        conversation = read_conversation(said, len(past))
        if not conversation.messages:
            raise missing("input")
        instructions = (Text(self.body.instructions),) if self.body.instructions else ()
        request = TextRequest(
            model=self.body.model,
            messages=conversation.messages,
            max_tokens=output_limit(self.body.max_output_tokens, card, "max_output_tokens"),
            unbounded=self.body.max_output_tokens is None,
            system=instructions + conversation.system,
            tools=tuple(_tool(tool) for tool in self.body.tools or () if isinstance(tool, OWN_TOOLS)),
            toolsets=read_toolsets(self.body.tools or ()),
            tool_choice=_tool_choice(self.body),
            sampling=self._sampling(),
            thinking=ThinkingRequest("disabled" if self._effort == "none" else "adaptive"),
            output_schema=_output_schema(self.body.text),
            overflow="stop",
            user=self.body.safety_identifier or self.body.user,
            extra=self._extra(),
            edits=self._edits(),
        )
        sources = tuple(tuple(given[i]["id"] for i in made_of) for made_of in conversation.sources)
        return Prompt(request, conversation.origins, sources)

    def _edits(self) -> tuple[Edit, ...] | None:
        """A summary: now, where the last item asks for it, or once the prompt is long enough."""
        given = self.body.input or ()
        if given and isinstance(given[-1], items.CompactionTrigger):
            return (Compact(0, pause=True),)
        managed = self.body.context_management
        return tuple(Compact(each.compact_threshold or Compact().over) for each in managed) if managed else None

    @property
    def _effort(self) -> str | None:
        return self.body.reasoning.effort if self.body.reasoning else None

    def _sampling(self) -> SamplingRequest:
        logprobs = (self.body.top_logprobs or 0) if self.form.logprobs else None
        return SamplingRequest(temperature=self.body.temperature, top_p=self.body.top_p, logprobs=logprobs)

    def _extra(self) -> dict[str, Any]:
        """Fields without effect here, for whoever learns to act on them, and unknown ones."""
        verbosity = self.body.text.verbosity if self.body.text else None
        known = {"effort": self._effort, "verbosity": verbosity}
        return {**(self.body.model_extra or {}), **{name: value for name, value in known.items() if value is not None}}


def read_response(body: bytes, new_id: Callable[[str], str]) -> ResponseRequest:
    """The body of POST /v1/responses, and of POST /v1/responses/input_tokens. Raises Invalid and Unsupported."""
    raw = read_object(body)
    shape = read_shape(shapes.ResponseBody, raw)
    rules.check(shape)
    given = raw.get("input")
    if isinstance(given, str):
        content = [{"type": "input_text", "text": given}] if given else []
        given = [{"type": "message", "role": "user", "content": content}]
    return ResponseRequest(shape, raw, kept_items(given or (), new_id))


def kept_items(given: Sequence[Mapping[str, Any]], new_id: Callable[[str], str]) -> tuple[Item, ...]:
    """Items as they are kept: each with an id, and a status where the API shows one; a trigger is no part of what was
    said."""
    return tuple(_kept(item, new_id) for item in given if item["type"] != "compaction_trigger")


def _kept(item: Mapping[str, Any], new_id: Callable[[str], str]) -> Item:
    kind = item["type"]
    if kind == "item_reference":
        return item
    status = {"status": item.get("status") or "completed"} if kind in FINISHED else {}
    return {**item, "id": item.get("id") or new_id(PREFIXES[kind]), **status}


def _output_schema(text: shapes.TextConfig | None) -> dict[str, Any] | None:
    match text.format if text else None:
        case shapes.SchemaFormat(json_schema=schema):
            return schema
        case chat.PlainFormat(type="json_object"):
            return ANY_OBJECT
    return None


# --- tools ---


def _tool(tool: shapes.FunctionTool | shapes.CustomTool) -> Tool:
    description = tool.description or ""
    if isinstance(tool, shapes.CustomTool):
        grammar = _grammar(tool.format)
        return Tool(tool.name, description, free_text_schema(grammar), strict=grammar is not None, grammar=grammar)
    parameters = NO_PARAMETERS if tool.parameters is None else tool.parameters
    return Tool(tool.name, description, parameters, strict=bool(tool.strict), extra=tool.model_extra or {})


def _grammar(wanted: chat.TextFormat | shapes.GrammarFormat | None) -> Grammar | None:
    return Grammar(wanted.syntax, wanted.definition) if isinstance(wanted, shapes.GrammarFormat) else None


def _tool_choice(body: shapes.ResponseBody) -> ToolChoice:
    parallel = body.parallel_tool_calls is not False
    match body.tool_choice:
        case chat.ModeChoice(type=mode):
            return ToolChoice(MODES[mode], parallel=parallel)  # type: ignore[arg-type]
        case shapes.NamedChoice(name=name):
            return ToolChoice("tool", name, parallel)
        case shapes.McpChoice(server_label=server, name=name):
            return ToolChoice("tool", f"{server}_{name}", parallel)
        case shapes.AllowedChoice(mode=wanted, tools=allowed):
            names = tuple(tool.name for tool in allowed if tool.name is not None)
            return ToolChoice("any" if wanted == "required" else "auto", None, parallel, names)
    return ToolChoice(parallel=parallel)
