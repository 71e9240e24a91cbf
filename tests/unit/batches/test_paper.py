"""Input files to lines, however they are chopped, and results to lines that are the same every time."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from haiga.core.jobs import Batch, Papers, Result
from haiga.wire.openai_batches import paper
from haiga.wire.openai_batches.paper import BatchPaper, LineReader

URL = "/v1/embeddings"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
VALUES = st.text(max_size=5) | st.integers(-9, 9)
BODIES = st.lists(st.dictionaries(st.text(max_size=3), VALUES, max_size=3), max_size=6)
LINES = st.lists(st.binary(max_size=20) | JSON.map(orjson.dumps), max_size=5)
BATCH = Batch("batch_1", "w", URL, 0, 9, papers=Papers("file-1", 9))


def line(number: int, body: Any) -> bytes:
    return json.dumps({"custom_id": f"c{number}", "method": "POST", "url": URL, "body": body}).encode()


def read(data: bytes, size: int) -> tuple[list[tuple[str, bytes]], LineReader]:
    reader = LineReader(URL)
    found = [each for at in range(0, len(data), size) for each in reader.feed(data[at : at + size])]
    return [*found, *reader.close()], reader


@given(BODIES, st.integers(1, 60), st.sampled_from([b"\n", b"\r\n", b"\n\n"]), st.booleans())
def test_any_chopping_gives_the_requests(bodies: list[Any], size: int, end: bytes, closed: bool) -> None:
    data = end.join(line(i, body) for i, body in enumerate(bodies)) + (end if closed else b"")
    found, reader = read(data, size)
    assert [(f"c{i}", body) for i, body in enumerate(bodies)] == [(id, json.loads(body)) for id, body in found]
    assert (not bodies) == bool(reader.problems)


@given(LINES, st.integers(1, 40))
def test_whatever_the_file_is_every_line_is_read_or_named(lines: list[bytes], size: int) -> None:
    data = b"\n".join(lines)
    found, reader = read(data, size)
    there = sum(bool(each.strip()) for each in data.split(b"\n"))
    assert max(there, 1) == len(found) + len(reader.problems)


def test_a_file_that_is_too_long_is_read_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paper, "MAX_REQUESTS", 3)
    _, reader = read(b"\n".join(line(i, {}) for i in range(9)), 1000)
    assert [("too_many_tasks", 4)] == [(problem.code, problem.line) for problem in reader.problems]
    monkeypatch.setattr(paper, "LONGEST", 1000)
    _, reader = read(line(0, {}) + b"\n" + b"x" * 5000, 100)
    assert [("line_too_long", 2)] == [(problem.code, problem.line) for problem in reader.problems]
    assert reader.hopeless


def test_one_model_is_told_and_several_are_not() -> None:
    for models, told in ((["a", "a"], "a"), (["a", "b"], None)):
        _, reader = read(b"\n".join(line(i, {"model": name}) for i, name in enumerate(models)), 9)
        assert told == reader.model


def test_a_result_s_line_says_what_became_of_it() -> None:
    told = b'{"response":{"status_code":200,"request_id":"r","body":{"usage":{"a":1}}},"error":null}'
    results = {
        name: json.loads(BatchPaper().result(BATCH, result))
        for name, result in {
            "plain": Result("c", told, position=10),
            "reused": Result("c", told, reused=True),
            "canceled": Result("c", b"{}", state="canceled"),
            "expired": Result("c", b"{}", state="expired"),
        }.items()
    }
    assert {"id": "batch_req_100000a", "custom_id": "c", **json.loads(told)} == results["plain"]
    assert {"a": 1, "haiga_reused": True} == results["reused"]["response"]["body"]["usage"]
    for name, code in (("canceled", "batch_cancelled"), ("expired", "batch_expired")):
        assert (None, code) == (results[name]["response"], results[name]["error"]["code"])
