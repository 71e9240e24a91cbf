"""JSON values of any kind, and bodies with any part of them replaced by one."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=6)
)
WORDS = st.sampled_from(
    [
        "type",
        "role",
        "content",
        "text",
        "name",
        "function",
        "user",
        "auto",
        "tool",
        "id",
        "arguments",
        "http://x",
        "data:",
    ]
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any) -> Iterator[tuple[Any, ...]]:
    """The path of every value inside."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield (key,)
        yield from ((key, *rest) for rest in places(part))


def with_value(body: dict[str, Any], place: tuple[Any, ...], value: Any) -> dict[str, Any]:
    changed = deepcopy(body)
    target = changed
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = value
    return changed


@st.composite
def spoilt(draw: st.DrawFn, body: dict[str, Any]) -> dict[str, Any]:
    """The body with one or two of its values replaced, and a field more."""
    for _ in range(draw(st.integers(0, 2))):
        body = with_value(body, draw(st.sampled_from(sorted(places(body), key=str))), draw(VALUES))
    return {**body, **draw(st.dictionaries(WORDS, VALUES, max_size=1))}
