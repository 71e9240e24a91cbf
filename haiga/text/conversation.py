"""A request's conversation as the turns that chat templates take.

Rule: nothing that was said to the model is dropped; what a template cannot take in one place is put where it can.

* system blocks are joined by a blank line into the first system turn, or, where the template has none, put before the
  first user turn's text;
* a system message between the others stays there if the template shows it, else its text joins the user turn beside;
* text blocks of a user's message are joined by a line break, an assistant's as they stand; messages of one role that
  follow each other are one turn, joined by a blank line;
* the block of the system text in which Claude Code accounts for itself is left out: it is not meant for the model, and
  would keep any two prompts from sharing a prefix;
* tool results become turns of role `tool`, each before the user's own words of the same message;
* pictures stay where they are between the words, as parts where the template shows such, else as the model's own token;
* tools that the template does not show are described in the system text, calls and results that it does not show are
  written into the assistant's and the user's words, in the model's tool-call format.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from haiga.core.errors import Unsupported
from haiga.core.generation import TextRequest
from haiga.core.messages import (
    Block,
    Image,
    Message,
    RedactedThinking,
    Text,
    Thinking,
    Tool,
    ToolResult,
    ToolUse,
)
from haiga.core.pictures import Picture
from haiga.text.formats import GENERIC, Format
from haiga.text.formats.generic import described, response
from haiga.text.known_tools import known
from haiga.text.template import Abilities, Turn, as_parts

BLANK = "\n\n"
_EXAMPLE = {"type": "object", "properties": {"parameter": {"type": "string"}}}
BILLING = "x-anthropic-billing-header:"  # Claude Code's first system block: it changes with every request


@dataclass(frozen=True, slots=True)
class Manner:
    """How a model is told of what its template does not show. guarded: content that spells no control token; own:
    markup of ours, whose control tokens are meant; picture: what is written for a picture, empty for a model that sees
    none; mark: a character that stands for pictures meanwhile."""

    format: Format = GENERIC
    picture: str = ""
    mark: str = "\uf8ff"
    guarded: Callable[[Any], Any] = lambda content: content
    own: Callable[[str], str] = lambda markup: markup

    def calls(self, calls: Sequence[tuple[str, Mapping[str, Any]]], schemas: Mapping[str, Mapping[str, Any]]) -> str:
        """Past calls as the model wrote them."""
        return self.own(self.format.encode([(name, self.guarded(dict(given))) for name, given in calls], schemas))

    def tools(self, functions: list[dict[str, Any]]) -> str:
        """The system text that tells of tools."""
        example = self.calls([("tool_name", {"parameter": "value"})], {"tool_name": _EXAMPLE})
        return described(self.guarded(functions), example)


def turns_of(request: TextRequest, abilities: Abilities, manner: Manner = Manner()) -> list[Turn]:
    """The request's system text and messages as template turns. Raises Unsupported naming a block it cannot show."""
    names = {block.id: block.name for message in request.messages for block in _calls(message.content)}
    reading = _Reading(names, manner)
    turns = [turn for place, message in enumerate(request.messages) for turn in reading.turns(message, place)]
    turns = turns if abilities.calls else [_spelled(turn, manner, request) for turn in turns]
    if system := _system(request, abilities, manner):
        turns.insert(0, {"role": "system", "content": BLANK.join(system)})
    turns = _merged(_folded(turns, abilities))
    turns = turns if abilities.user_after_result else _joined_to_results(turns)
    ids = _ids(request, abilities, manner.format)
    turns = [_called(turn, abilities, ids) for turn in turns]
    turns = [_reasoned(turn) for turn in turns] if manner.format.channels else turns
    turns = [_pictured(turn, abilities, manner) for turn in turns] if manner.picture else turns
    return as_parts(turns) if abilities.parts else turns


def _system(request: TextRequest, abilities: Abilities, manner: Manner) -> list[str]:
    functions = [] if abilities.tools else tools_of(request)
    told = [manner.tools(functions)] if functions else []
    return [*told, *(block.text for block in request.system if not block.text.startswith(BILLING))]


def _spelled(turn: Turn, manner: Manner, request: TextRequest) -> Turn:
    """A call or a result as words."""
    if turn["role"] == "tool":
        return {"role": "user", "content": response(turn["content"])}
    if "tool_calls" not in turn:
        return turn
    calls = [(call["function"]["name"], call["function"]["arguments"]) for call in turn["tool_calls"]]
    written = manner.calls(calls, {tool.name: known(tool).schema for tool in request.tools})
    content = "\n".join(text for text in (turn["content"], written) if text)
    return {key: value for key, value in turn.items() if key != "tool_calls"} | {"content": content}


def tools_of(request: TextRequest) -> list[dict[str, Any]]:
    """The request's tools as function definitions; none when the choice is that none be called."""
    return [] if request.tool_choice.mode == "none" else [function_of(tool) for tool in request.tools]


def function_of(tool: Tool) -> dict[str, Any]:
    """A tool as templates know it."""
    tool = known(tool)
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.schema)}
    return {"type": "function", "function": function}


def _calls(blocks: Iterable[Block]) -> list[ToolUse]:
    return [block for block in blocks if isinstance(block, ToolUse)]


@dataclass(frozen=True, slots=True)
class _Reading:
    """A request's messages as turns. names: of tools, by their calls' ids."""

    names: Mapping[str, str]
    manner: Manner

    def turns(self, message: Message, place: int) -> list[Turn]:
        path = f"messages.{place}.content"
        self._check(message.content, path)
        if message.role == "assistant":
            return [self._assistant(message.content)]
        texts = self._texts(message.content)
        turns = [
            self._result(block, f"{path}.{at}.content")
            for at, block in enumerate(message.content)
            if isinstance(block, ToolResult)
        ]
        return [*turns, {"role": message.role, "content": "\n".join(texts)}] if texts or not turns else turns

    def _texts(self, blocks: Iterable[Block]) -> list[str]:
        """What is said, a mark for each picture."""
        said = (block for block in blocks if isinstance(block, Text | Image))
        return [block.text if isinstance(block, Text) else self.manner.mark for block in said]

    def _assistant(self, blocks: tuple[Block, ...]) -> Turn:
        turn: Turn = {"role": "assistant", "content": "".join(self._texts(blocks))}
        if thoughts := [block.thinking for block in blocks if isinstance(block, Thinking)]:
            turn["reasoning_content"] = BLANK.join(thoughts)
        if calls := _calls(blocks):
            turn["tool_calls"] = [_call(call) for call in calls]
        return turn

    def _result(self, result: ToolResult, path: str) -> Turn:
        self._check(result.content, path)
        text = "\n".join(self._texts(result.content))
        return {
            "role": "tool",
            "name": self.names.get(result.tool_use_id, ""),
            "tool_call_id": result.tool_use_id,
            "content": f"Error: {text}" if result.is_error else text,
        }

    def _check(self, blocks: tuple[Block, ...], path: str) -> None:
        for place, block in enumerate(blocks):
            seen = isinstance(block, Image) and isinstance(block.source, Picture) and self.manner.picture
            if not seen and not isinstance(block, Text | Thinking | RedactedThinking | ToolUse | ToolResult):
                name = getattr(block, "type", type(block).__name__.lower())
                raise Unsupported(f"this model does not take {name} blocks", field=f"{path}.{place}")


def _call(call: ToolUse) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": dict(call.input)}}


def _pictured(turn: Turn, abilities: Abilities, manner: Manner) -> Turn:
    """The turn with parts, or the model's own token, for its pictures."""
    first, *rest = turn["content"].split(manner.mark)
    if not rest:
        return turn
    if not (abilities.result_images if turn["role"] == "tool" else abilities.images):
        return {**turn, "content": turn["content"].replace(manner.mark, manner.own(manner.picture))}
    texts = [first.removesuffix("\n"), *(text.removeprefix("\n").removesuffix("\n") for text in rest[:-1])]
    texts.append(rest[-1].removeprefix("\n"))
    parts = [part for text in texts for part in ({"type": "image"}, {"type": "text", "text": text})][1:]
    return {**turn, "content": [part for part in parts if part.get("text") != ""]}


def _folded(turns: list[Turn], abilities: Abilities) -> list[Turn]:
    """System turns that the template would not show where they stand, as words of the user beside them."""
    first = bool(turns) and turns[0]["role"] == "system" and abilities.system
    kept, rest = (turns[:1], turns[1:]) if first else ([], turns)
    if abilities.later_system and abilities.system:
        return turns
    return kept + [{**turn, "role": "user"} if turn["role"] == "system" else turn for turn in rest]


def _merged(turns: Iterable[Turn]) -> list[Turn]:
    merged: list[Turn] = []
    for turn in turns:
        if merged and merged[-1]["role"] == turn["role"] and turn["role"] != "tool":
            merged[-1] = _together(merged[-1], turn)
        else:
            merged.append(turn)
    return merged


def _together(one: Turn, other: Turn) -> Turn:
    both = {**one, **other, "content": BLANK.join(text for text in (one["content"], other["content"]) if text)}
    if calls := [*one.get("tool_calls", ()), *other.get("tool_calls", ())]:
        both["tool_calls"] = calls
    if thoughts := [turn["reasoning_content"] for turn in (one, other) if "reasoning_content" in turn]:
        both["reasoning_content"] = BLANK.join(thoughts)
    return both


def _joined_to_results(turns: Sequence[Turn]) -> list[Turn]:
    """A user's words right after a tool's result as part of it, for templates that want the assistant next."""
    joined: list[Turn] = []
    for turn in turns:
        if turn["role"] == "user" and joined and joined[-1]["role"] == "tool":
            joined[-1] = {**joined[-1], "content": BLANK.join((joined[-1]["content"], turn["content"]))}
        else:
            joined.append(turn)
    return joined


def _ids(request: TextRequest, abilities: Abilities, format_: Format) -> dict[str, str]:
    """What the template is given for each call's id."""
    calls = [call for message in request.messages for call in _calls(message.content)]
    if format_.call_id:
        return {call.id: format_.call_id.format(name=call.name, index=at) for at, call in enumerate(calls)}
    return {call.id: _short(call.id) if abilities.short_ids else call.id for call in calls}


def _called(turn: Turn, abilities: Abilities, ids: Mapping[str, str]) -> Turn:
    """The turn with call ids and arguments written as the template wants them."""
    called = dict(turn)
    if "tool_call_id" in turn:
        called["tool_call_id"] = ids.get(turn["tool_call_id"], turn["tool_call_id"])
    if "tool_calls" in turn:
        called["tool_calls"] = [_written(call, abilities, ids) for call in turn["tool_calls"]]
    return called


def _reasoned(turn: Turn) -> Turn:
    """Harmony's template looks for a thought as `thinking`, and takes no other words beside one before a call."""
    if "reasoning_content" not in turn or (turn["content"] and "tool_calls" in turn):
        return turn
    return {**turn, "thinking": turn["reasoning_content"]}


def _written(call: dict[str, Any], abilities: Abilities, ids: Mapping[str, str]) -> dict[str, Any]:
    function = call["function"]
    if abilities.arguments_text:
        function = {**function, "arguments": json.dumps(function["arguments"], ensure_ascii=False)}
    return {**call, "id": ids[call["id"]], "function": function}


def _short(call_id: str) -> str:
    """Nine letters and digits that stand for the id."""
    return hashlib.sha256(call_id.encode("utf-8")).hexdigest()[:9]
