"""The log's lines: what they say of a request, and that nobody else can write one."""

import json
import logging
import sys
from collections.abc import Iterator

import pytest

from haiga.cli.logs import JsonLines, TextLines
from haiga.core.generation import Usage
from haiga.core.records import Record
from haiga.services import requests


@pytest.fixture
def request_() -> Iterator[requests.Asked]:
    made = requests.Asked("req_1", "POST", "/v1/messages", status=200, key="key_1", workspace="team")
    token = requests.asked.set(made)
    yield made
    requests.asked.reset(token)


def line(message: str, **extra: object) -> logging.LogRecord:
    record = logging.LogRecord("haiga.web", logging.INFO, __file__, 1, message, (), None)
    record.created = 0.5
    record.__dict__.update(extra)
    return record


def test_a_request_s_line_adds_up_what_its_models_used(request_: requests.Asked) -> None:
    requests.add(Record(1, "team", "big", outcome="overloaded", usage=Usage(input=3)))
    requests.add(Record(1, "team", "small", usage=Usage(input=3, cache_read=32, output=7)))
    said = request_.said()
    assert isinstance(said.pop("duration_ms"), int)
    assert {
        "method": "POST",
        "path": "/v1/messages",
        "status": 200,
        "key": "key_1",
        "workspace": "team",
        "model": "small",
        "input_tokens": 38,
        "output_tokens": 7,
        "outcome": "succeeded",
    } == said


def test_a_request_without_an_answer_was_cancelled() -> None:
    assert "cancelled" == requests.Asked("req_1", "GET", "/").said()["outcome"]


def test_a_record_outside_of_any_request_is_left_alone() -> None:
    requests.add(Record(1, "team", "m"))


def test_text_is_one_line_whatever_a_client_chose(request_: requests.Asked) -> None:
    written = TextLines().format(line("no\nline\x1b[2J é", said={"model": 'a "b"\nERROR fake', "status": 200}))
    assert (
        r"1970-01-01T00:00:00.500Z INFO no\nline\x1b[2J é request_id=req_1"
        r' model="a \"b\"\nERROR fake" status=200' == written
    )


def test_json_is_one_object_with_the_traceback_and_the_request_s_id(request_: requests.Asked) -> None:
    try:
        raise ValueError("why")
    except ValueError:
        record = line("broken", exc_info=sys.exc_info())
    written = JsonLines().format(record)
    assert 1 == len(written.splitlines())
    read = json.loads(written)
    assert read.pop("traceback").endswith("ValueError: why")
    assert {
        "time": "1970-01-01T00:00:00.500Z",
        "level": "info",
        "logger": "haiga.web",
        "message": "broken",
        "request_id": "req_1",
    } == read
