"""A dialect, its tools and a tool choice as one grammar.

Rule: `auto` leaves the model free until it opens a call and holds it to that tool's schema from there; `any` and
`tool` begin with a call; `none` never opens one. After its calls the answer is over.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from haiga.core.errors import Invalid
from haiga.core.messages import Tool, ToolChoice
from haiga.text.formats.arguments import Json, Listed, Schema, Tagged
from haiga.text.formats.format import Format
from haiga.text.formats.harmony import CHANNEL, MESSAGE, START
from haiga.text.grammar.custom import custom_rules
from haiga.text.grammar.lark import ANYTHING, BLANKS, Lark, escaped, quoted
from haiga.text.grammar.values import listed, tagged
from haiga.text.known_tools import known
from haiga.text.stream import ThinkTags


def schema_grammar(schema: Mapping[str, Any], special: Mapping[str, int], thinking: ThinkTags | None = None) -> str:
    """An answer that is JSON of `schema`, after the thought that the prompt opened, if it did."""
    lark = Lark(special)
    return lark.text(f"{_thought(lark, thinking)}{lark.json(schema)}")


def answer_grammar(
    format_: Format,
    tools: Sequence[Tool],
    choice: ToolChoice,
    special: Mapping[str, int],
    thinking: ThinkTags | None = None,
) -> str | None:
    """The grammar of an answer, None where the model is free. `special`: the tokenizer's special tokens.

    Raises Invalid with the tool's field when a schema cannot be enforced, or when the tool chosen is not there.
    """
    if not tools:
        return None
    allowed = [tool for tool in tools if choice.mode != "tool" or tool.name == choice.name]
    if not allowed:
        raise Invalid(f"Tool '{choice.name}' not found in provided tools", field="tool_choice")
    lark = Lark(special)
    thought = "" if format_.channels else _thought(lark, thinking)
    if choice.mode == "none":
        return lark.text(f"{thought}{_never(lark, format_, tools)}")
    bodies = [_body(lark, format_, at, tool) for at, tool in enumerate(allowed)]
    calls = _Calls(lark, format_, dict(zip((tool.name for tool in allowed), bodies, strict=True)), choice.parallel)
    if format_.channels:
        return lark.text(_channels(lark, calls, choice))
    start = calls.all() if choice.mode in ("any", "tool") else _free(lark, format_, calls, tools)
    return lark.text(f"{thought}{lark.rule(start)}")


def _thought(lark: Lark, thinking: ThinkTags | None) -> str:
    """A thought before the answer, and the blanks behind it: the rest of the one that the prompt opened, or one that
    the model opens itself, or not."""
    if thinking is None:
        return ""
    rest = f"{lark.until(thinking.close)} {lark.terminal(BLANKS)}"
    return f"{rest} " if thinking.opened else f"{lark.optional(thinking.open, rest)} "


def _body(lark: Lark, format_: Format, at: int, tool: Tool) -> str:
    """One call of `tool` from its arguments to `after`."""
    lark.strict = tool.strict
    try:
        if tool.grammar is not None and tool.grammar.syntax == "lark":
            arguments = _free_text(lark, format_, at, tool.grammar.definition)
        else:
            arguments = _arguments(lark, format_, {**known(tool).schema, "type": "object"})
    except Invalid as error:
        raise Invalid(error.message, field=f"tools.{at}.input_schema") from error
    return lark.rule(f"{arguments} {lark.literal(format_.after)}")


def _arguments(lark: Lark, format_: Format, schema: Schema) -> str:
    match format_.arguments:
        case Json():
            return lark.json(schema)
        case Tagged() as tags:
            return tagged(lark, tags, schema)
        case Listed() as style:
            return listed(lark, style, schema)
    raise TypeError(format_.arguments)


def _free_text(lark: Lark, format_: Format, at: int, definition: str) -> str:
    """The arguments of a tool whose one text must match a grammar: that text as JSON writes it."""
    match format_.arguments:
        case Json():
            before, after = '{"input": "', '"}'
        case Listed(escapes=True, equals=equals, close=close):
            before, after = f'input{equals}"', f'"{close}'
        case _:
            raise Invalid("a Lark grammar cannot be enforced in this model's tool-call format")
    lark.add(custom_rules(definition, f"c{at}"))
    return f"{quoted(before)} c{at}_start {lark.literal(after)}"


class _Calls:
    """One or more calls of a dialect, as expressions. `bodies`: by tool, a call from its arguments on."""

    def __init__(self, lark: Lark, format_: Format, bodies: Mapping[str, str], parallel: bool) -> None:
        self._lark = lark
        self._format = format_
        self._bodies = bodies
        self._parallel = parallel
        self.call = lark.rule(" | ".join(f"{self._head(name)} {body}" for name, body in bodies.items()))

    def all(self) -> str:
        """From the opening."""
        return f"{self._lark.literal(self._format.open)} {self.opened()}"

    def opened(self) -> str:
        """From behind the opening."""
        return self._continued(self.call)

    def begun(self) -> str:
        """From the opening, where that and the first tool's name together tell calls from text: one lexeme."""
        firsts = []
        for name, body in self._bodies.items():
            trigger = f"{self._format.open}{self._format.before}{name}{self._format.middle}"
            head = self._lark.rule(f"/[ \\n]*{escaped(trigger.rstrip())}/", "[lazy]")
            firsts.append(f"{head} {self._lark.literal(trigger[len(trigger.rstrip()) :])} {body}")
        return self._continued(self._lark.rule(" | ".join(firsts)))

    def _continued(self, first: str) -> str:
        """The first call, then others and the end of the section."""
        format_, literal = self._format, self._lark.literal
        close = literal(format_.close)
        again = literal(format_.between + format_.open if format_.apart else format_.between)
        if format_.apart:
            return f"{first} {close} ({again} {self.call} {close})*" if self._parallel else f"{first} {close}"
        return f"{first} ({again} {self.call})* {close}" if self._parallel else f"{first} {close}"

    def _head(self, name: str) -> str:
        """A call up to its arguments."""
        text = self._format.before + name + self._format.middle
        return f" {self._lark.terminal('/[0-9]+/')} ".join(map(self._lark.literal, text.split("{index}")))


def _free(lark: Lark, format_: Format, calls: _Calls, tools: Sequence[Tool]) -> str:
    """Text, with calls at its end or not."""
    if format_.at_start:
        return f"{_not_beginning(lark, format_, tools)} | {calls.begun()}"
    return f"{lark.free()} | {lark.free_until(format_.open)} {calls.opened()}"


def _never(lark: Lark, format_: Format, tools: Sequence[Tool]) -> str:
    """Text that opens no call."""
    if format_.channels:
        return f"{_thoughts(lark, 'analysis', 'commentary')}* {_message(lark, 'final')}"
    if format_.at_start:
        return _not_beginning(lark, format_, tools)
    return lark.free(f"(.|\\n)*{escaped(format_.open.strip())}(.|\\n)*")


def _not_beginning(lark: Lark, format_: Format, tools: Sequence[Tool]) -> str:
    triggers = "|".join(escaped(trigger.rstrip()) for trigger in format_.triggers(tool.name for tool in tools))
    return lark.free(f"[ \\n]*({triggers})(.|\\n)*")


def _channels(lark: Lark, calls: _Calls, choice: ToolChoice) -> str:
    """Thoughts, then a call where one is forced; elsewhere thoughts and preambles, then a call or the final message."""
    if choice.mode in ("any", "tool"):
        return f"{_thoughts(lark, 'analysis')}* {calls.all()}"
    return f"{_thoughts(lark, 'analysis', 'commentary')}* ({calls.all()} | {_message(lark, 'final')})"


def _thoughts(lark: Lark, *channels: str) -> str:
    """A message that is not the last: a thought on `analysis`, words before a call on `commentary`."""
    end = lark.literal(f"<|end|>{START}assistant")
    return lark.rule(f"({' | '.join(_message(lark, channel) for channel in channels)}) {end}")


def _message(lark: Lark, channel: str) -> str:
    return lark.rule(f"{lark.literal(CHANNEL + channel + MESSAGE)} {lark.terminal(ANYTHING)}")
