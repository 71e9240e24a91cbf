"""Somebody else's JSON under other names: the same bytes, but for an id and a model's name.

Rule: the text is changed where a key stands first, which in every API here is the object's own; where that is not so,
the JSON is written anew.
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson


def renamed(data: bytes, names: Mapping[str, str], within: str | None = None) -> bytes:
    """The JSON object, or the one that is its field `within`, with other values for these of its strings. A key that it
    does not have stays away."""
    for key, value in names.items():
        data = _renamed(data, key, value, within)
    return data


def _renamed(data: bytes, key: str, value: str, within: str | None) -> bytes:
    # a quote within a string has a backslash before it: what matches stands outside of strings
    found = list(re.finditer(rb'("%b"\s*:\s*)"(?:[^"\\]|\\.)*"' % key.encode(), data))
    if not found:
        return data
    first = found[0]
    changed = data[: first.end(1)] + orjson.dumps(value) + data[first.end() :]
    if len(found) == 1:
        return changed
    said = orjson.loads(data)
    wanted = _with(said, key, value, within)
    return changed if orjson.loads(changed) == wanted else orjson.dumps(wanted)


def _with(said: dict[str, Any], key: str, value: str, within: str | None) -> dict[str, Any]:
    if within is not None:
        return said | {within: _with(said[within], key, value, None)}
    return said | {key: value} if key in said else said
