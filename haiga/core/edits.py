"""Edits of a long conversation on its way to the model, as they are asked for and as they were made.

Rule: the caller keeps the whole conversation and sends it again each time, so an edit is never remembered; the same
conversation is edited the same way.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class ClearToolUses:
    """What tools said is left out, oldest first, once the prompt has more than `over` tokens (or calls: `measure`).

    keep: how many of the last calls are left alone; exclude: the tools whose calls are, however old. inputs: whether
    what the tools were given goes as well, for all of them or for those named. at_least: the fewest tokens that are
    worth it.
    """

    over: int = 100_000
    measure: Literal["input_tokens", "tool_uses"] = "input_tokens"
    keep: int = 3
    at_least: int = 0
    exclude: frozenset[str] = frozenset()
    inputs: bool | frozenset[str] = False


@dataclass(frozen=True, slots=True)
class ClearThinking:
    """Thoughts of all but the last `keep` turns that hold any are left out; None keeps every one."""

    keep: int | None = 1


@dataclass(frozen=True, slots=True)
class Compact:
    """A prompt of more than `over` tokens is summed up by the model before it answers. instructions: how, in place of
    the server's own words; pause: the answer ends with the summary."""

    over: int = 150_000
    instructions: str | None = None
    pause: bool = False


Edit: TypeAlias = ClearToolUses | ClearThinking | Compact


@dataclass(frozen=True, slots=True)
class Cleared:
    """An edit that was made: how many calls or thinking turns it cleared, and how many tokens shorter the prompt is."""

    what: Literal["tool_uses", "thinking_turns"]
    number: int
    tokens: int
