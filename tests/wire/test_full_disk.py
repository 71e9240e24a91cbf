"""A disk that is full or cannot be written to: whoever wants something kept is told so in the API's own words, and what
was kept before stays."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from haiga.engines.fake import CARD, FakeEngine
from haiga.services.batches import Batches, Worker
from haiga.services.inference import Inference
from haiga.services.models import Models
from haiga.services.responses import Responses
from haiga.stores.batches import DatabaseBatches
from haiga.stores.chats import DatabaseChats
from haiga.stores.connect import connect
from haiga.stores.responses import DatabaseResponses
from haiga.web.app import Services, WebSettings, create_app
from haiga.wire.anthropic.batches import ENDPOINT, MessageLines
from tests.wire.openai_server import OneKey

HI = {"model": "fake", "messages": [{"role": "user", "content": "hi " * 2000}], "store": True}
ASKED = {"model": "fake", "input": "hi " * 2000}
LINE = {"model": "fake", "max_tokens": 9, "messages": [{"role": "user", "content": "hi " * 2000}]}
FULL, READ_ONLY = "PRAGMA max_page_count=1", "PRAGMA query_only=1"
ROOM, WRITABLE = "PRAGMA max_page_count=4294967294", "PRAGMA query_only=0"
SLOW = FakeEngine(replace(CARD, name="slow"), pace=0.02)


@dataclass
class Kept:
    """A server that keeps things, and what its connections to the database begin with whenever they are used."""

    client: httpx.AsyncClient
    trouble: str | None = None

    def begin(self, raw: Any) -> None:
        for pragma in (ROOM, WRITABLE, *([self.trouble] if self.trouble else [])):
            raw.execute(pragma)

    async def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        return await self.client.post(
            path, json=body, headers={"anthropic-version": "2023-06-01"} if "mess" in path else {}
        )


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Kept]:
    async with connect(tmp_path / "db") as database:
        app = create_app(_services(database))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            it = Kept(client)
            event.listen(database.sync_engine, "checkout", lambda raw, *_: it.begin(raw))
            yield it


def _services(database: AsyncEngine) -> Services:
    inference, lines, web = (
        Inference(Models({"fake": FakeEngine(), "slow": SLOW})),
        DatabaseBatches(database),
        WebSettings(open=False),
    )
    worker = Worker(inference, lines, {ENDPOINT: MessageLines()}, web.new_id)
    kept, chats = Responses(inference, DatabaseResponses(database), lease=0.5), DatabaseChats(database)
    return Services(OneKey(), inference, web, responses=kept, chats=chats, batches=Batches(lines, worker.wake))


@pytest.mark.parametrize(("trouble", "words"), [(FULL, "disk is full"), (READ_ONLY, "readonly database")])
async def test_what_cannot_be_kept_is_refused_in_the_apis_own_shape_and_nothing_kept_is_lost(
    kept: Kept, caplog: pytest.LogCaptureFixture, trouble: str, words: str
) -> None:
    paths = ("/v1/chat/completions", "/v1/responses")
    before = [(await kept.post(path, body)).json()["id"] for path, body in zip(paths, (HI, ASKED), strict=True)]
    kept.trouble = trouble
    for path, body in (
        (paths[0], HI),
        (paths[1], ASKED),
        (paths[1], ASKED | {"background": True}),
        ("/v1/conversations", {"metadata": {"k": "v"}, "items": [{"role": "user", "content": "hi " * 2000}]}),
        ("/v1/messages/batches", {"requests": [{"custom_id": "a", "params": LINE}]}),
    ):
        answer = await kept.post(path, body)
        assert words in answer.json()["error"]["message"], path
        assert {FULL: (503, 529), READ_ONLY: (500,)}[trouble].count(answer.status_code)
        assert ("60" if trouble == FULL else None) == answer.headers.get("retry-after")
    kept.trouble = None
    for path, id in zip(paths, before, strict=True):
        assert id == (await kept.client.get(f"{path}/{id}")).json()["id"]
    assert [] == [record.message for record in caplog.records if record.exc_info]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
async def test_a_stream_that_cannot_be_kept_ends_with_the_error(kept: Kept, path: str) -> None:
    kept.trouble = FULL
    answer = await kept.post(path, (HI if "chat" in path else ASKED) | {"stream": True})
    assert (200, "disk is full") == (
        answer.status_code,
        "disk is full" if "disk is full" in answer.text else answer.text,
    )
    assert "[DONE]" not in answer.text and "response.completed" not in answer.text


async def test_a_background_response_that_cannot_be_kept_is_found_as_failed(kept: Kept) -> None:
    asked = ASKED | {"model": "slow", "background": True, "input": "long enough " * 25}
    path = f"/v1/responses/{(await kept.post('/v1/responses', asked)).json()['id']}"
    kept.trouble = READ_ONLY
    while (found := await kept.client.get(path)).json().get("status") in ("queued", "in_progress"):
        await asyncio.sleep(0.01)
    assert "readonly database" in found.json()["error"]["message"]
    kept.trouble = None
    assert "failed" == (await kept.client.get(path)).json()["status"]
