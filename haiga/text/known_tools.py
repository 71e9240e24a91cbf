"""Tools that the API itself defines and the client runs: what they are for, and the schema of their arguments.

Rule: a request names such a tool by its dated type alone; the model is told the rest here. A tool with a schema of its
own is left as it is.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from haiga.core.messages import Tool

_TEXT, _WHOLE, _FLAG = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
_POINT = {"type": "array", "items": _WHOLE, "minItems": 2, "maxItems": 2}
_EDITOR = ("view", "create", "str_replace", "insert")
_ACTIONS = (
    "key|type|mouse_move|left_click|left_click_drag|right_click|middle_click|double_click|screenshot|cursor_position"
)
_LATER_ACTIONS = "|left_mouse_down|left_mouse_up|scroll|hold_key|wait|triple_click"


def known(tool: Tool) -> Tool:
    """The tool with its description and schema filled in, if its kind is one of the API's own."""
    family = next((family for family in _FAMILIES if tool.kind.startswith(family)), None)
    if family is None or tool.schema:
        return tool
    description, properties, required = _FAMILIES[family](tool)
    schema = {"type": "object", "properties": properties, "required": required}
    return replace(tool, description=description + tool.description, schema=schema)


def _bash(tool: Tool) -> tuple[str, Mapping[str, Any], list[str]]:
    return (
        "Run a command in a bash session that lasts between calls; restart begins a new session.",
        {"command": _TEXT, "restart": _FLAG},
        [],
    )


def _editor(tool: Tool) -> tuple[str, Mapping[str, Any], list[str]]:
    undo = ("undo_edit",) if tool.kind.endswith(("20241022", "20250124")) else ()
    return (
        "View, create and edit text files. str_replace replaces old_str, which must occur exactly once, by new_str; "
        "insert puts text after line insert_line.",
        _files((*_EDITOR, *undo), "new_str" if undo else "insert_text"),
        ["command", "path"],
    )


def _memory(tool: Tool) -> tuple[str, Mapping[str, Any], list[str]]:
    files = _files((*_EDITOR, "delete", "rename"), "insert_text")
    return (
        "Keep notes in files under /memories between conversations: view a file or directory, create, str_replace, "
        "insert, delete, rename (old_path to new_path).",
        {**files, "old_path": _TEXT, "new_path": _TEXT},
        ["command"],
    )


def _files(commands: tuple[str, ...], inserted: str) -> dict[str, Any]:
    return {
        "command": {"type": "string", "enum": list(commands)},
        "path": _TEXT,
        "view_range": _POINT,
        "file_text": _TEXT,
        "old_str": _TEXT,
        "new_str": _TEXT,
        "insert_line": _WHOLE,
        inserted: _TEXT,
    }


def _computer(tool: Tool) -> tuple[str, Mapping[str, Any], list[str]]:
    first = tool.kind.endswith("20241022")
    zooms = bool(tool.extra.get("enable_zoom"))
    actions = _ACTIONS + ("" if first else _LATER_ACTIONS) + ("|zoom" if zooms else "")
    width, height = tool.extra.get("display_width_px"), tool.extra.get("display_height_px")
    later = {
        "start_coordinate": _POINT,
        "scroll_direction": {"type": "string", "enum": ["up", "down", "left", "right"]},
        "scroll_amount": _WHOLE,
        "duration": _WHOLE,
    }
    region = {"region": {"type": "array", "items": _WHOLE, "minItems": 4, "maxItems": 4}}
    return (
        f"Use the mouse, the keyboard and screenshots of a screen of {width}x{height} pixels; coordinate is [x, y] "
        "from the top left corner, text is what to type or the keys to press.",
        {
            "action": {"type": "string", "enum": actions.split("|")},
            "coordinate": _POINT,
            "text": _TEXT,
            **({} if first else later),
            **(region if zooms else {}),
        },
        ["action"],
    )


_FAMILIES = {"bash_2": _bash, "text_editor_2": _editor, "memory_2": _memory, "computer_2": _computer}
