"""What callers ask to have cleared, as it is read, and what is refused in the API's own words."""

from typing import Any

import pytest

from haiga.core.edits import ClearThinking, ClearToolUses, Compact, Edit
from haiga.core.messages import COMPACTION, CacheMark, Opaque
from tests.unit.wire.anthropic.bodies import EPHEMERAL, HI, OLD, blocks, read, refusal, saying

TOOLS, THOUGHTS = "clear_tool_uses_20250919", "clear_thinking_20251015"
THINKING = {"type": "adaptive"}


def asked(*edits: dict[str, Any]) -> tuple[Edit, ...] | None:
    return read(thinking=THINKING, context_management={"edits": list(edits)}).edits


def test_a_request_that_speaks_of_no_edits_is_told_apart_from_one_that_asks_for_none() -> None:
    assert read().edits is None
    assert () == asked() == read(context_management={}).edits


def test_what_is_left_open_is_as_documented() -> None:
    assert (ClearThinking(1), ClearToolUses(100_000, "input_tokens", 3)) == asked({"type": THOUGHTS}, {"type": TOOLS})


def test_every_setting_is_read() -> None:
    edit = {
        "type": TOOLS,
        "trigger": {"type": "tool_uses", "value": 9},
        "keep": {"type": "tool_uses", "value": 0},
        "clear_at_least": {"type": "input_tokens", "value": 500},
        "exclude_tools": ["memory"],
        "clear_tool_inputs": ["look"],
    }
    assert (ClearToolUses(9, "tool_uses", 0, 500, frozenset({"memory"}), frozenset({"look"})),) == asked(edit)
    assert (ClearToolUses(inputs=True),) == asked({"type": TOOLS, "clear_tool_inputs": True})


def test_a_summary_is_asked_for() -> None:
    assert (Compact(150_000, None, False),) == asked({"type": "compact_20260112", "instructions": " "})
    trigger = {"type": "input_tokens", "value": 9000}
    edit = {"type": "compact_20260112", "trigger": trigger, "instructions": "Be brief.", "pause_after_compaction": True}
    assert (Compact(9000, "Be brief.", True),) == asked(edit)


def test_a_summary_is_read_as_it_came() -> None:
    block = {"type": "compaction", "content": "so far", "signature": "s", "cache_control": EPHEMERAL}
    expected = Opaque(COMPACTION, CacheMark(), {"content": "so far", "signature": "s"})
    assert (expected,) == blocks(block, role="assistant")


def test_a_summary_is_refused_where_it_cannot_stand() -> None:
    told = {"type": "compaction", "content": "so far"}
    assert "messages.0.content.0: `compaction` blocks can only be in `assistant` messages" == saying(told)
    assert "should have at least 1 character" in saying(told | {"content": ""}, role="assistant")
    call = {"type": "tool_use", "id": "c1", "name": "look", "input": {}}
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1"}]}
    words = "messages.1: `compaction` blocks cannot follow `tool_use` blocks in the same turn"
    assert words == refusal(messages=[HI, {"role": "assistant", "content": [call, told]}, result])
    assert read(messages=[HI, {"role": "assistant", "content": [told, call]}, result])


@pytest.mark.parametrize(
    ("keep", "expected"), [({"type": "thinking_turns", "value": 2}, 2), ({"type": "all"}, None), ("all", None)]
)
def test_all_thoughts_can_be_kept_in_both_spellings(keep: object, expected: int | None) -> None:
    assert (ClearThinking(expected),) == asked({"type": THOUGHTS, "keep": keep})


@pytest.mark.parametrize(
    ("edits", "words"),
    [
        (
            [{"type": "clear_all"}],
            "edits.0: Input tag 'clear_all' found using 'type' does not match",
        ),
        (
            [{"type": TOOLS}, {"type": TOOLS}],
            f"edits.1: `{TOOLS}` strategy must be listed only once",
        ),
        (
            [{"type": TOOLS}, {"type": THOUGHTS}],
            f"edits.1: `{THOUGHTS}` strategy must be listed first",
        ),
        (
            [{"type": THOUGHTS, "keep": {"type": "thinking_turns", "value": 0}}],
            f"edits.0.{THOUGHTS}.keep.thinking_turns.value: Input should be greater than or equal to",
        ),
        (
            [{"type": TOOLS, "trigger": {"type": "messages", "value": 1}}],
            f"edits.0.{TOOLS}.trigger: Input tag 'messages' found using 'type' does not match",
        ),
        (
            [{"type": TOOLS, "keep": {"type": "input_tokens", "value": 1}}],
            f"edits.0.{TOOLS}.keep.type: Input should be 'tool_uses'",
        ),
        ("all", "edits: Input should be a valid list"),
    ],
)
def test_what_is_wrong_is_named(edits: object, words: str) -> None:
    assert refusal(thinking=THINKING, context_management={"edits": edits}).startswith(f"context_management.{words}")


@pytest.mark.parametrize("thinking", [None, {"type": "disabled"}])
def test_thoughts_are_cleared_only_where_a_model_thinks(thinking: object) -> None:
    words = f"`{THOUGHTS}` strategy requires `thinking` to be enabled or adaptive"
    assert words == refusal(OLD, thinking=thinking, context_management={"edits": [{"type": THOUGHTS}]})
