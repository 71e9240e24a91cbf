"""The API's own tools: their arguments are known to the model and to the grammar."""

from typing import Any

import jsonschema_rs
import pytest

from haiga.core.messages import Tool, ToolChoice
from haiga.text.formats import named
from haiga.text.grammar import Rules
from haiga.text.known_tools import known
from tests.unit.text.test_grammar import accepts, grammars

INPUTS: list[tuple[str, dict[str, Any]]] = [
    ("bash_20250124", {"command": "ls"}),
    ("bash_20250124", {"restart": True}),
    ("text_editor_20250124", {"command": "undo_edit", "path": "/a"}),
    ("text_editor_20250728", {"command": "insert", "path": "/a", "insert_line": 3, "insert_text": "b"}),
    ("memory_20250818", {"command": "rename", "old_path": "/memories/a", "new_path": "/memories/b"}),
    ("computer_20241022", {"action": "left_click", "coordinate": [3, 4]}),
    ("computer_20250124", {"action": "scroll", "scroll_direction": "up", "scroll_amount": 3}),
]


@pytest.mark.parametrize(("kind", "arguments"), INPUTS)
def test_the_documented_arguments_fit_and_are_allowed(kind: str, arguments: dict[str, Any]) -> None:
    tool = known(Tool("t", kind=kind))
    assert jsonschema_rs.is_valid(dict(tool.schema), arguments)
    grammar = Rules(grammars().special).answer(named("hermes"), (Tool("t", kind=kind),), ToolChoice("any"))
    assert accepts(grammars().matcher(grammar or ""), named("hermes").encode([("t", arguments)], {}))


def test_later_commands_are_not_offered_by_earlier_tools() -> None:
    assert "undo_edit" not in known(Tool("t", kind="text_editor_20250728")).schema["properties"]["command"]["enum"]
    assert "zoom" not in known(Tool("t", kind="computer_20250124")).schema["properties"]["action"]["enum"]
    zooming = Tool("t", kind="computer_20251124", extra={"enable_zoom": True, "display_width_px": 8})
    assert "zoom" in known(zooming).schema["properties"]["action"]["enum"]
    assert "8x" in known(zooming).description


def test_other_tools_are_left_as_they_are() -> None:
    own = Tool("t", "mine", {"type": "object"})
    assert own == known(own)
    given = Tool("bash", kind="bash_20250124", schema={"type": "object"})
    assert given == known(given)
