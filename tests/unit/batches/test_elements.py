"""A long list's objects come out whole, however the text is chopped; what is no such list is refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haiga.core.errors import Invalid, TooLarge
from haiga.wire import elements
from haiga.wire.elements import Elements

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text('ab"\\[]{}:,é', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('a"\\{', max_size=3), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.lists(st.dictionaries(st.text('k"\\]', max_size=3), VALUES, max_size=3), max_size=5)


def read(body: bytes, size: int = 7) -> list[Any]:
    reader = Elements("requests")
    found = [item for at in range(0, len(body), size) for item in reader.feed(body[at : at + size])]
    assert len(found) == reader.close()
    return [json.loads(item) for item in found]


@given(OBJECTS, st.dictionaries(st.text('r"\\[', max_size=3), VALUES, max_size=2), st.integers(1, 40), st.booleans())
def test_any_chopping_gives_the_objects_as_they_are(
    objects: list[Any], around: dict[str, Any], size: int, plain: bool
) -> None:
    body = {**around, "requests": objects, "more": [{"requests": [{}]}]}
    assert objects == read(json.dumps(body, ensure_ascii=plain, indent=1 if plain else None).encode(), size)


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("", "not valid JSON"),
        ("[]", "Input should be a valid dictionary"),
        ("{}", "requests: Field required"),
        ('{"requests": {"a": 1}}', "requests: Input should be a valid list"),
        ('{"requests": [{}, 3]}', "requests.1: Input should be a valid dictionary"),
        ('{"requests": [[{}]]}', "requests.0: Input should be a valid dictionary"),
        ('{"requests": [{}], "requests": [{}, {}]}', "requests: The field is there more than once"),
        ('{"requests": [{} {}]}', "not valid JSON"),
        ('{"requests": [{}', "not valid JSON"),
        ('{"requests": [{}]} x', "not valid JSON"),
        ('{"requests": ["' + "x" * 30, "not valid JSON"),
        ('{"requests": [' + "[" * 100_000, "nested more than 128 levels"),
        ('{"requests": [{"a": ' + "[" * 100_000, "nested more than 128 levels"),
    ],
)
def test_what_is_no_list_of_objects_is_refused_by_name(body: str, complaint: str) -> None:
    with pytest.raises(Invalid, match=complaint):
        read(body.encode(), 1000)


def test_an_object_or_a_frame_that_is_too_large_is_refused_while_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elements, "ITEM_LIMIT", 50)
    monkeypatch.setattr(elements, "FRAME_LIMIT", 90)
    with pytest.raises(TooLarge, match=r"requests\.1: exceeds the maximum size of 50 bytes"):
        Elements("requests").feed(b'{"requests":[{"a":1},{"a":"' + b"x" * 60)
    with pytest.raises(Invalid, match="outside the objects"):
        Elements("requests").feed(b'{"a":"' + b"x" * 100)
