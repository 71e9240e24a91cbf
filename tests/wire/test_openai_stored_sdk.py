"""Chat completions that are kept, through the official openai SDK."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import openai
import pytest
from openai import OpenAI
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from haiga.engines.fake import FakeEngine
from haiga.stores.chats import DatabaseChats
from haiga.stores.connect import connect
from tests.wire.openai_server import services, serving

PARTS = [{"type": "text", "text": "one"}, {"type": "text", "text": " two"}]
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": PARTS}]


async def migrate(file: Path) -> None:
    async with connect(file):
        pass


@pytest.fixture
def client(tmp_path: Path) -> Iterator[OpenAI]:
    file = tmp_path / "haiga.db"
    asyncio.run(migrate(file))
    chats = DatabaseChats(create_async_engine(f"sqlite+aiosqlite:///{file}", poolclass=NullPool))
    with (
        serving(replace(services([FakeEngine()]), chats=chats)) as url,
        OpenAI(base_url=f"{url}/v1", api_key="x") as it,
    ):
        yield it


def test_only_what_asks_for_it_is_kept(client: OpenAI) -> None:
    client.chat.completions.create(model="fake", messages=MESSAGES)
    kept = client.chat.completions.create(model="fake", messages=MESSAGES, store=True, metadata={"k": "v"})
    assert [kept.id] == [chat.id for chat in client.chat.completions.list()]
    again = client.chat.completions.retrieve(kept.id)
    assert {"k": "v"} == again.metadata
    assert kept.model_dump(exclude={"metadata"}) == again.model_dump(exclude={"metadata"})


def test_a_stream_is_kept_whole_by_the_time_it_ends(client: OpenAI) -> None:
    stream = client.chat.completions.create(model="fake", messages=MESSAGES, store=True, stream=True, n=2)
    ids = {chunk.id for chunk in stream}
    kept = client.chat.completions.retrieve(ids.pop())
    assert (set(), ["one two", "one two"]) == (ids, [choice.message.content for choice in kept.choices])


def test_messages_come_back_as_they_were_sent(client: OpenAI) -> None:
    kept = client.chat.completions.create(model="fake", messages=MESSAGES, store=True)
    first, second = client.chat.completions.messages.list(kept.id)
    assert ("system", "Be brief.", None) == (first.role, first.content, first.content_parts)
    assert ("user", None, PARTS) == (second.role, second.content, [part.to_dict() for part in second.content_parts])
    page = client.chat.completions.messages.list(kept.id, limit=1, order="desc")
    assert ([second.id], True) == ([message.id for message in page.data], page.has_more)
    assert [second.id] == [message.id for message in client.chat.completions.messages.list(kept.id, after=first.id)]


def test_lists_come_in_pages_and_by_metadata(client: OpenAI) -> None:
    ids = [
        client.chat.completions.create(model="fake", messages=MESSAGES, store=True, metadata={"i": str(i)}).id
        for i in range(3)
    ]
    assert set(ids) == {chat.id for chat in client.chat.completions.list(limit=1)}
    assert [ids[1]] == [chat.id for chat in client.chat.completions.list(metadata={"i": "1"})]
    assert [] == list(client.chat.completions.list(model="other"))


def test_metadata_can_be_changed_and_the_whole_deleted(client: OpenAI) -> None:
    kept = client.chat.completions.create(model="fake", messages=MESSAGES, store=True)
    assert {"a": "b"} == client.chat.completions.update(kept.id, metadata={"a": "b"}).metadata
    assert {"a": "b"} == client.chat.completions.retrieve(kept.id).metadata
    assert client.chat.completions.delete(kept.id).deleted
    for look in (client.chat.completions.retrieve, client.chat.completions.delete):
        with pytest.raises(openai.NotFoundError):
            look(kept.id)
