"""What is asked for again and again."""

import pytest
from starlette.requests import Request

from haiga.web.polling import polled

BODY = b'{"status":"in_progress"}'
TAG = polled(Request({"type": "http", "headers": []}), BODY, True).headers["etag"]


def asked(*tags: str) -> Request:
    return Request({"type": "http", "headers": [(b"if-none-match", tag.encode()) for tag in tags]})


@pytest.mark.parametrize("tags", [[TAG], [f"W/{TAG}"], ['"other"', TAG], [f'"other" , {TAG}'], ["*"]])
def test_who_has_it_gets_no_body_and_learns_when_to_ask_again(tags: list[str]) -> None:
    answer = polled(asked(*tags), BODY, live=True, again=3)
    assert (304, b"", TAG, "3") == (
        answer.status_code,
        answer.body,
        answer.headers["etag"],
        answer.headers["retry-after"],
    )


@pytest.mark.parametrize("tags", [[], [""], ['"other"'], [TAG.strip('"')]])
def test_who_has_something_else_gets_the_body(tags: list[str]) -> None:
    answer = polled(asked(*tags), BODY, live=False)
    assert (200, BODY, False) == (answer.status_code, answer.body, "retry-after" in answer.headers)


def test_another_body_has_another_tag() -> None:
    assert 200 == polled(asked(TAG), BODY + b" ", live=True).status_code
