"""`context_management`: what a caller asks to have cleared of a long conversation.

Rule: every complaint is in the API's own words and names the field; what is left open is as the API documents it.
"""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from haiga.core import edits
from haiga.core.edits import Edit
from haiga.core.errors import Invalid
from haiga.wire.anthropic.base import Shape

CLEAR_THINKING = "clear_thinking_20251015"


class InputTokens(Shape):
    type: Literal["input_tokens"]
    value: int = Field(ge=1)


class ToolUses(Shape):
    type: Literal["tool_uses"]
    value: int = Field(ge=1)


class KeptToolUses(Shape):
    type: Literal["tool_uses"]
    value: int = Field(ge=0)


class ThinkingTurns(Shape):
    type: Literal["thinking_turns"]
    value: int = Field(ge=1)


class AllThinking(Shape):
    type: Literal["all"]


class ClearToolUses(Shape):
    """Clears the results of old calls, once the prompt is over `trigger`."""

    type: Literal["clear_tool_uses_20250919"]
    trigger: Annotated[InputTokens | ToolUses, Field(discriminator="type")] | None = None
    keep: KeptToolUses | None = None
    clear_at_least: InputTokens | None = None
    exclude_tools: list[str] | None = None
    clear_tool_inputs: bool | list[str] | None = None


def _all_as_object(value: Any) -> Any:
    return {"type": "all"} if value == "all" else value


class ClearThinking(Shape):
    """Clears the thoughts of old turns. Comes first among the edits."""

    type: Literal["clear_thinking_20251015"]
    keep: Annotated[
        Annotated[ThinkingTurns | AllThinking, Field(discriminator="type")] | None,
        BeforeValidator(_all_as_object, json_schema_input_type=Literal["all"] | ThinkingTurns | AllThinking | None),
    ] = None


class Compact(Shape):
    """Goes on from a summary, once the prompt is over `trigger`."""

    type: Literal["compact_20260112"]
    trigger: InputTokens | None = None
    instructions: str | None = None
    pause_after_compaction: bool | None = None


ContextEdit: TypeAlias = Annotated[ClearToolUses | ClearThinking | Compact, Field(discriminator="type")]


class ContextManagement(Shape):
    edits: list[ContextEdit] | None = None


class Compaction(Shape):
    """Sums the whole conversation up, and says nothing else."""

    type: Literal["summarize"]
    instructions: str | None = None


def check_compaction(wanted: Compaction | None, managed: ContextManagement | None, last: str) -> None:
    """A summary on demand stands alone, and is of whole turns; `last` is the last message's role. Raises Invalid."""
    if wanted is None:
        return
    if managed is not None:
        raise Invalid("`compaction` cannot be combined with `context_management`", field="compaction")
    if last == "assistant":
        raise Invalid(
            "the conversation ends on an `assistant` turn that is not finished", code="compaction_incomplete_turn"
        )


def check_edits(shape: ContextManagement | None, *, thinks: bool) -> None:
    """Each strategy is there once, that for thoughts first, and only where a model thinks. Raises Invalid."""
    given = [edit.type for edit in (shape.edits if shape else None) or ()]
    for i, strategy in enumerate(given):
        if strategy in given[:i]:
            raise Invalid(f"`{strategy}` strategy must be listed only once", field=f"context_management.edits.{i}")
        if strategy == CLEAR_THINKING and not thinks:
            raise Invalid(f"`{strategy}` strategy requires `thinking` to be enabled or adaptive")
        if strategy == CLEAR_THINKING and i:
            raise Invalid(f"`{strategy}` strategy must be listed first", field=f"context_management.edits.{i}")


def read_edits(shape: ContextManagement | None) -> tuple[Edit, ...] | None:
    """The edits in their order; None where none are spoken of."""
    return None if shape is None else tuple(_edit(edit) for edit in shape.edits or ())


def on_demand(shape: Compaction) -> tuple[Edit, ...]:
    """Whatever the prompt's length, a summary and nothing after it."""
    return (edits.Compact(0, (shape.instructions or "").strip() or None, pause=True),)


def _edit(shape: ClearToolUses | ClearThinking | Compact) -> Edit:
    """What the caller leaves open is as the API documents it."""
    if isinstance(shape, Compact):
        over = shape.trigger.value if shape.trigger else edits.Compact().over
        return edits.Compact(over, (shape.instructions or "").strip() or None, bool(shape.pause_after_compaction))
    if isinstance(shape, ClearThinking):
        keep = shape.keep or ThinkingTurns(type="thinking_turns", value=1)
        return edits.ClearThinking(keep.value if isinstance(keep, ThinkingTurns) else None)
    given = edits.ClearToolUses()
    inputs = shape.clear_tool_inputs
    return edits.ClearToolUses(
        shape.trigger.value if shape.trigger else given.over,
        shape.trigger.type if shape.trigger else given.measure,
        shape.keep.value if shape.keep else given.keep,
        shape.clear_at_least.value if shape.clear_at_least else given.at_least,
        frozenset(shape.exclude_tools or ()),
        frozenset(inputs) if isinstance(inputs, list) else bool(inputs),
    )
