"""The requests that documents show get the answers that documents show."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tests.docs.examples import PAGES, Example, Refusal, examples, pretty, refusals, shown, timeless
from tests.docs.server import client


@pytest.fixture
async def connected(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with client(tmp_path) as made:
        yield made


@pytest.mark.parametrize("page", PAGES)
async def test_every_example_is_answered_as_shown(connected: httpx.AsyncClient, page: str) -> None:
    """In the order of the page, on one server: what one request keeps, a later one finds."""
    for example in examples(page):
        response = await example.request.send(connected)
        assert example.status == response.status_code, response.text
        assert told(example) == shown(response)


def told(example: Example) -> str:
    """The answer in the page, its JSON laid out as that of a response is."""
    if example.answer.language == "text":
        return example.answer.text
    return timeless(pretty(json.loads(example.answer.text))) + "\n"


@pytest.mark.parametrize("page", PAGES)
async def test_every_refusal_is_in_these_words(connected: httpx.AsyncClient, page: str) -> None:
    expected = list(refusals(page))
    assert expected
    assert expected == [await refused(connected, refusal) for refusal in expected]


async def refused(connected: httpx.AsyncClient, refusal: Refusal) -> Refusal:
    """The refusal as it is now."""
    response = await refusal.request.send(connected)
    return replace(refusal, status=response.status_code, message=response.json()["error"]["message"])
