"""Decoding in processes of their own: bounded, and gone when something goes wrong."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from haiga.core.errors import Invalid, Oversized
from haiga.core.pictures import Picture
from haiga.services.decoding import decoder as module
from haiga.services.decoding.decoder import BROKEN, Decoder, PictureWish
from tests.papers import coded, pdf, plain

WISH = PictureWish(side=8000, edge=1568, patches=1568)


@pytest.fixture
async def decoder() -> AsyncIterator[Decoder]:
    made = Decoder()
    yield made
    await made.close()


def children() -> set[int]:
    """This process's children."""
    return set(map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()))


async def test_a_picture_is_what_core_says_a_picture_is(decoder: Decoder) -> None:
    assert Picture.of(bytes([255, 0, 0]) * 48, 8, 6) == await decoder.picture(coded(plain()), WISH)


async def test_pages_come_with_pictures_where_an_edge_is_given(decoder: Decoder) -> None:
    pages = [page async for page in decoder.pages(pdf("one", "two"), 100, 60)]
    assert [(1, "one", 40, 60), (2, "two", 40, 60)] == [
        (page.number, page.text, page.picture.width, page.picture.height) for page in pages if page.picture
    ]
    assert [None] == [page.picture async for page in decoder.pages(pdf("one"), 100, 0)]


async def test_a_refusal_leaves_the_process_for_the_next_job(decoder: Decoder) -> None:
    before = children()
    with pytest.raises(Invalid, match="password protected"):
        [page async for page in decoder.pages(pdf("a", password="b"), 100, 0)]
    first = children() - before
    with pytest.raises(Oversized, match="8000 pixels"):
        await decoder.picture(coded(plain(1, (8001, 1), "1")), WISH)
    await decoder.picture(coded(plain()), WISH)
    assert first == children() - before
    assert 1 == len(first)


async def test_what_takes_too_much_memory_is_refused_and_the_next_job_runs() -> None:
    small = Decoder(memory=400 << 20)
    with pytest.raises(Invalid, match=BROKEN):
        await small.picture(coded(plain(0, (8000, 8000), "L")), WISH)
    assert (8, 6) == ((picture := await small.picture(coded(plain()), WISH)).width, picture.height)
    await small.close()


async def test_what_takes_too_long_is_ended_and_the_next_job_runs() -> None:
    hasty = Decoder(seconds=0.02)
    with pytest.raises(Invalid, match=BROKEN):
        await hasty.picture(coded(plain(0, (4000, 4000), "L")), WISH)
    assert 8 == (await hasty.picture(coded(plain()), WISH)).width
    await hasty.close()


async def test_a_process_that_dies_is_replaced(decoder: Decoder) -> None:
    before = children()
    await decoder.picture(coded(plain()), WISH)
    for child in children() - before:
        os.kill(child, 9)
    with suppress(Invalid):  # it is only noticed by the next job
        await decoder.picture(coded(plain()), WISH)
    assert 8 == (await decoder.picture(coded(plain()), WISH)).width


async def test_a_caller_who_goes_away_takes_the_process_with_them(decoder: Decoder) -> None:
    before = children()
    pages = decoder.pages(pdf(*"abcdefgh"), 100, 1000)
    await anext(pages)
    assert 1 == len(children() - before)
    await pages.aclose()
    assert set() == children() - before
    assert 8 == (await decoder.picture(coded(plain()), WISH)).width


async def test_no_more_processes_run_than_are_allowed(decoder: Decoder) -> None:
    before = children()
    pictures = await asyncio.gather(*(decoder.picture(coded(plain()), WISH) for _ in range(8)))
    assert 8 == len(pictures)
    assert 1 <= len(children() - before) <= 2


async def test_a_process_with_nothing_to_do_is_ended(decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IDLE", 0.01)
    before = children()
    await decoder.picture(coded(plain()), WISH)
    while children() - before:
        await asyncio.sleep(0.01)
    assert 8 == (await decoder.picture(coded(plain()), WISH)).width


async def test_closing_ends_the_processes(decoder: Decoder) -> None:
    before = children()
    await decoder.picture(coded(plain()), WISH)
    await decoder.close()
    assert set() == children() - before
