"""Whatever a body holds, reading it gives a value or an error that says what is wrong."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haiga.core.errors import Invalid, NotFound, Unsupported
from haiga.wire.openai_chat.read import read_chat
from haiga.wire.openai_completions import read_completion
from haiga.wire.openai_errors import write_error
from haiga.wire.openrouter.read import read_router_chat
from tests.unit.wire.openai.bodies import CHAT, COMPLETION, ROUTER
from tests.unit.wire.openai.junk import VALUES, spoilt

READERS: list[tuple[Callable[[bytes], Any], dict[str, Any]]] = [
    (read_chat, CHAT),
    (read_completion, COMPLETION),
    (read_router_chat, ROUTER),
]
SPOILT = st.sampled_from(READERS).flatmap(lambda pair: st.tuples(st.just(pair[0]), spoilt(pair[1])))


def outcome(read: Callable[[bytes], Any], body: bytes) -> str:
    try:
        read(body)
    except (Invalid, Unsupported, NotFound) as error:
        assert orjson.loads(write_error(error).body)["error"]["message"]
        return "refused"
    return "read"


@settings(max_examples=300, deadline=None)
@given(SPOILT)
def test_a_spoilt_body_is_read_or_refused(spoilt: tuple[Callable[[bytes], Any], dict[str, Any]]) -> None:
    assert outcome(spoilt[0], orjson.dumps(spoilt[1])) in ("read", "refused")


@given(st.sampled_from(READERS), VALUES)
def test_any_json_is_read_or_refused(reader: tuple[Callable[[bytes], Any], Any], value: Any) -> None:
    assert outcome(reader[0], orjson.dumps(value)) in ("read", "refused")


@pytest.mark.parametrize("read", [reader for reader, _ in READERS])
@pytest.mark.parametrize("body", [b"", b"{", b"[" * 5000, b"\xff\xfe", b"null", b'{"model":' * 500, b'"\\ud800"'])
def test_what_is_no_json_object_is_refused(read: Callable[[bytes], Any], body: bytes) -> None:
    assert "refused" == outcome(read, body)


@pytest.mark.parametrize(("read", "body"), READERS)
def test_the_bodies_that_are_spoilt_are_good(read: Callable[[bytes], Any], body: dict[str, Any]) -> None:
    assert "read" == outcome(read, orjson.dumps(body))
