"""Whatever comes as a body, reading it gives a request or a core error."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haiga.core.errors import HaigaError, Invalid
from haiga.wire.anthropic.messages_in import read_count, read_message
from tests.unit.wire.anthropic.bodies import EPHEMERAL, NEW, OLD


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"a"',
        b"\xff\xfe",
        b'{"model": "\xff"}',
        b'{"max_tokens": NaN}',
        b'{"max_tokens": 1e999}',
        b'{"model": "\\ud800"}',
        b'{"a": 1} {"b": 2}',
        b"[" * 100_000,
        b'{"a": [' + b"[]," * 1_000_000 + b"1]}",
        b'{"a":' * 200 + b"1" + b"}" * 200,
        b'{"a":' * 1000 + b"1" + b"}" * 1000,
    ],
)
def test_bytes_that_are_no_json_object_are_refused_with_a_reason(junk: bytes):
    with pytest.raises(Invalid) as caught:
        read_message(junk, OLD)
    assert len(str(caught.value)) > 10


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
TYPES = ["text", "image", "document", "search_result", "thinking", "tool_use", "tool_result", "compaction", "hologram"]
BLOCKS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(TYPES) | VALUES,
        "text": VALUES,
        "source": st.fixed_dictionaries({"type": st.sampled_from(["base64", "url", "file", "content"])}) | VALUES,
        "content": VALUES,
        "tool_use_id": st.text(max_size=3),
        "id": st.text(max_size=3),
        "input": VALUES,
        "cache_control": st.just(EPHEMERAL) | VALUES,
        "citations": VALUES,
    },
)
MESSAGES = st.fixed_dictionaries(
    {},
    optional={"role": st.sampled_from(["user", "assistant", "system"]) | VALUES, "content": st.lists(BLOCKS) | VALUES},
)
BODIES = st.fixed_dictionaries(
    {"model": st.just("m") | VALUES, "max_tokens": st.just(5) | VALUES},
    optional=dict.fromkeys(
        [
            "system",
            "tools",
            "tool_choice",
            "thinking",
            "metadata",
            "stop_sequences",
            "temperature",
            "thread",
            "output_config",
        ],
        VALUES,
    )
    | {"messages": st.lists(MESSAGES, max_size=3) | VALUES, "tools": st.lists(BLOCKS, max_size=2) | VALUES},
)


@settings(deadline=None)
@given(value=VALUES | BODIES, version=st.sampled_from([OLD, NEW]))
def test_whatever_json_comes_it_is_a_request_or_a_core_error(value: Any, version: str):
    try:
        raw = orjson.dumps(value)
    except TypeError:  # integers over 64 bits, which this JSON writer does not know
        return
    for reader in (read_message, read_count):
        try:
            reader(raw, version)
        except HaigaError as error:
            assert str(error)


@given(raw=st.binary(max_size=40))
def test_whatever_bytes_come_they_are_a_core_error(raw: bytes):
    with pytest.raises(HaigaError):
        read_message(raw, OLD)
