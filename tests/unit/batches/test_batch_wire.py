"""Bodies that make batches, and lines of results."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from haiga.core.errors import HaigaError
from haiga.core.jobs import Batch, Counts, Line, Result, Rules
from haiga.wire.anthropic.answers import BatchAnswer
from haiga.wire.anthropic.batches import BatchReader, MessageLines, write_batch, write_result

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
REQUEST = st.fixed_dictionaries({}, optional={"custom_id": JSON | st.just("a"), "params": JSON | st.just({})})


@given(st.binary(max_size=40) | st.dictionaries(st.just("requests") | st.text(max_size=3), st.lists(REQUEST)) | JSON)
def test_whatever_the_body_is_it_is_read_or_refused(body: Any) -> None:
    reader = BatchReader()
    try:
        found = reader.feed(body if isinstance(body, bytes) else orjson.dumps(body, default=str))
        assert len(found) == reader.close()
        assert all(isinstance(json.loads(params), dict) for _, params in found)
    except (HaigaError, orjson.JSONEncodeError):
        pass


@given(st.dictionaries(st.sampled_from(["model", "messages", "max_tokens", "stream", "speed", "thread", "x"]), JSON))
def test_whatever_the_params_are_they_are_read_or_refused(params: Any) -> None:
    try:
        raw = orjson.dumps(params)
    except orjson.JSONEncodeError:  # an integer beyond 64 bits, which no body holds
        return
    try:
        MessageLines().read(Line("b", 0, "a", raw, rules=Rules("2023-06-01")))
    except HaigaError as error:
        assert json.loads(MessageLines().failed(error, id="req_1"))["error"]["request_id"] == "req_1"


@pytest.mark.parametrize("status", ["in_progress", "canceling", "ended"])
def test_a_batch_has_the_shape_that_is_described_and_counts_every_line(status: Any) -> None:
    counts = Counts(1, 2, 3, 4, output_tokens=9)
    batch = Batch("msgbatch_1", "w", "/v1/messages", 0, 86400, status, total=10, counts=counts, ended_at=5)
    told = BatchAnswer.model_validate_json(write_batch(batch, "http://host/"), strict=True)
    shown = told.request_counts.model_dump()
    assert 10 == sum(shown.values())
    assert (10 if status != "ended" else 0) == shown["processing"]
    assert (status == "ended") == (told.results_url == "http://host/v1/messages/batches/msgbatch_1/results")
    assert ("1970-01-01T00:00:00Z", "1970-01-02T00:00:00Z") == (told.created_at, told.expires_at)


def test_a_result_is_one_line_that_says_when_it_was_reused() -> None:
    result = b'{"type":"succeeded","message":{"usage":{"input_tokens":1}}}'
    assert b'{"custom_id":"a","result":%b}\n' % result == write_result(Result("a", result))
    reused = json.loads(write_result(Result("a", result, reused=True)))
    assert {"input_tokens": 1, "haiga_reused": True} == reused["result"]["message"]["usage"]
