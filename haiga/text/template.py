"""The model's own chat template: found beside its weights, sandboxed, asked what it can do.

Rule: what a template can do is found by rendering it with probe words, never by the model's name.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

import jinja2

from haiga.core.errors import Invalid
from haiga.text import sandbox
from haiga.text.budget import Spent
from haiga.text.tokenizer import read_json, special_tokens

Turn: TypeAlias = dict[str, Any]

_SYSTEM, _ASK, _ANSWER, _ASIDE, _NEXT, _LATE = "quokka", "heron", "marmot", "lemur", "otter", "puffin"
_CALL_ID, _SHORT_ID = "toolu_01narwhal0000000000", "abcDEF123"
_OBJECT, _TEXT = {"tapir": _NEXT}, '{"tapir": "otter"}'
_TOOL = {
    "type": "function",
    "function": {
        "name": "ibex_tool",
        "description": "walrus",
        "parameters": {"type": "object", "properties": {"tapir": {"type": "string", "description": "gecko"}}},
    },
}


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a template shows of what it is given.

    system: a first system message. later_system: system messages between the others. parts: content must be a list of
    parts. tools: tool definitions. calls: past tool calls and their results; arguments_text: as JSON text, not as an
    object; short_ids: with ids of nine letters or digits; user_after_result: followed by words of the user. images:
    parts that stand for pictures, in a user's turn; result_images: in a tool's result.
    """

    system: bool = True
    later_system: bool = True
    parts: bool = False
    tools: bool = False
    calls: bool = False
    arguments_text: bool = False
    short_ids: bool = False
    user_after_result: bool = True
    images: bool = False
    result_images: bool = False


class Boundless(Invalid):
    """A template spent more than any conversation needs: it does not come to an end, or makes too much text."""


class ChatTemplate:
    """A compiled chat template. `tool_source` is the one for requests with tools, where the model has two."""

    def __init__(
        self,
        source: str,
        special: Mapping[str, str] | None = None,
        *,
        tool_source: str | None = None,
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        self.source = source
        self.tool_source = tool_source or source
        self._special = dict(special or {})
        self._environment = sandbox.environment(now)
        self._plain = self._compile(source)
        self._tools = self._compile(tool_source) if tool_source else self._plain
        self.abilities = _Probe(self).abilities()

    @classmethod
    def load(
        cls, directory: Path, special: Mapping[str, str] | None = None, *, now: Callable[[], datetime] = datetime.now
    ) -> "ChatTemplate | None":
        """The checkpoint's template, None when it has none; `special` is read from the checkpoint unless given.

        Raises Invalid naming a file that is damaged.
        """
        named = _sources(directory)
        source = named.get("default") or next(iter(named.values()), None)
        if not source:
            return None
        given = special_tokens(directory) if special is None else special
        return cls(source, given, tool_source=named.get("tool_use"), now=now)

    def _compile(self, source: str) -> jinja2.Template:
        try:
            return self._environment.bounded(source)
        except jinja2.TemplateSyntaxError as error:
            raise Invalid(f"chat template, line {error.lineno}: {error.message}") from error

    def render(
        self,
        turns: Sequence[Turn],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        generate: bool = True,
        extra: Mapping[str, Any] | None = None,
    ) -> str:
        """The conversation as the model reads it; with `generate` up to where its answer begins.

        Raises Invalid with the template's own message when it refuses the conversation, Boundless when it does not
        come to an end.
        """
        chosen = self._tools if tools else self._plain
        values = {
            **self._special,
            **(extra or {}),
            "messages": turns,
            "tools": list(tools) or None,
            "documents": None,
            "add_generation_prompt": generate,
        }
        self._environment.grant(_size(turns) + _size(tools))
        try:
            return chosen.render(values)
        except (Spent, RecursionError, MemoryError) as error:
            raise Boundless(f"the model's chat template is refused: {error}", field="messages") from error
        except (jinja2.TemplateError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise Invalid(f"the model's chat template refuses this conversation: {error}", field="messages") from error


def _size(value: Any) -> int:
    """Characters in the texts of nested lists and mappings."""
    match value:
        case str():
            return len(value)
        case Mapping():
            return sum(_size(each) for each in value.values())
        case list() | tuple():
            return sum(_size(each) for each in value)
    return 1


def _sources(directory: Path) -> dict[str, str]:
    """Templates by name: chat_template.jinja before chat_template.json before tokenizer_config.json."""
    named = _named(read_json(directory / "tokenizer_config.json").get("chat_template"))
    named |= _named(read_json(directory / "chat_template.json").get("chat_template"))
    for path in sorted((directory / "additional_chat_templates").glob("*.jinja")):
        named[path.stem] = path.read_text(encoding="utf-8")
    if (alone := directory / "chat_template.jinja").is_file():
        named["default"] = alone.read_text(encoding="utf-8")
    return named


def _named(value: Any) -> dict[str, str]:
    """A template as the configuration gives it: one string, a mapping, or a list of {name, template}."""
    match value:
        case str():
            return {"default": value}
        case dict():
            return {str(name): text for name, text in value.items() if isinstance(text, str)}
        case list():
            return {str(each["name"]): str(each["template"]) for each in value if {"name", "template"} <= set(each)}
    return {}


class _Probe:
    """Renders conversations of probe words and looks which of them are shown."""

    def __init__(self, template: ChatTemplate) -> None:
        self._template = template
        self._parts = False

    def abilities(self) -> Abilities:
        plain = self._shows([_turn("user", _ASK)], (_ASK,))
        self._parts = not plain
        self._parts = self._parts and self._shows([_turn("user", _ASK)], (_ASK,))
        ways = [(call_id, arguments) for call_id in (_CALL_ID, _SHORT_ID) for arguments in (_OBJECT, _TEXT)]
        call_id, arguments = next((way for way in ways if self._calls(way[1], way[0])), (None, None))
        return Abilities(
            system=self._shows([_turn("system", _SYSTEM), _turn("user", _ASK)], (_SYSTEM, _ASK)),
            later_system=self._later_system(),
            parts=self._parts,
            tools=self._shows([_turn("user", _ASK)], ("ibex_tool", "walrus", "tapir"), [_TOOL]),
            calls=call_id is not None,
            arguments_text=arguments is _TEXT,
            short_ids=call_id is _SHORT_ID,
            user_after_result=call_id is None or self._calls(arguments, call_id, _turn("user", _LATE)),
            images=self._pictured([], {"role": "user"}),
            result_images=call_id is not None and self._pictured_result(arguments, call_id),
        )

    def _pictured_result(self, arguments: Any, call_id: str) -> bool:
        call = {"id": call_id, "type": "function", "function": {"name": "ibex_tool", "arguments": arguments}}
        before = [_turn("user", _ASK), {"role": "assistant", "content": "", "tool_calls": [call]}]
        before = as_parts(before) if self._parts else before
        return self._pictured(before, {"role": "tool", "name": "ibex_tool", "tool_call_id": call_id})

    def _pictured(self, before: list[Turn], turn: Turn) -> bool:
        """Whether something is written for a picture beside a turn's words."""
        text = {"type": "text", "text": _LATE}
        shown = []
        for parts in ([text], [{"type": "image"}, text]):
            try:
                shown.append(self._template.render([*before, {**turn, "content": parts}], tools=[_TOOL]))
            except Boundless:
                raise
            except Invalid:
                return False
        without, with_ = shown
        printed = any(word in with_ for word in ("'image'", '"image"'))  # the part itself, as text
        return all(_LATE in each for each in shown) and len(with_) > len(without) and not printed

    def _later_system(self) -> bool:
        words = (_ASK, _SYSTEM, _ANSWER, _ASIDE, _NEXT, _LATE)
        roles = ("user", "system", "assistant", "system", "user", "system")
        return self._shows([_turn(role, word) for role, word in zip(roles, words, strict=True)], words)

    def _calls(self, arguments: Any, call_id: str, *after: Turn) -> bool:
        call = {"id": call_id, "type": "function", "function": {"name": "ibex_tool", "arguments": arguments}}
        turns = [
            _turn("user", _ASK),
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "name": "ibex_tool", "tool_call_id": call_id, "content": _ASIDE},
            *after,
        ]
        words = [_ASK, "ibex_tool", "tapir", "otter", _ASIDE, *(_LATE for _ in after)]
        return self._shows(turns, words, [_TOOL], hidden="'tapir'")

    def _shows(
        self, turns: list[Turn], words: Sequence[str], tools: Sequence[Any] = (), hidden: str | None = None
    ) -> bool:
        try:
            shown = self._template.render(as_parts(turns) if self._parts else turns, tools=tools)
        except Boundless:
            raise
        except Invalid:
            return False
        return all(word in shown for word in words) and (hidden is None or hidden not in shown)


def as_parts(turns: Sequence[Turn]) -> list[Turn]:
    """Every content that is text as a list of one text part."""
    return [
        {**turn, "content": [{"type": "text", "text": turn["content"]}]} if isinstance(turn["content"], str) else turn
        for turn in turns
    ]


def _turn(role: str, content: str) -> Turn:
    return {"role": role, "content": content}


class BlankLines:
    """Where a model has no chat template: the contents, joined by blank lines."""

    source = tool_source = ""
    abilities = Abilities()

    def render(
        self,
        turns: Sequence[Turn],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        generate: bool = True,
        extra: Mapping[str, Any] | None = None,
    ) -> str:
        """The contents in order; nothing says who speaks."""
        return "\n\n".join(turn["content"] for turn in turns)
