"""How long things are kept, as the server was told."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.wire.limited_server import Running, running

HOUR = 3600
ASKED: Any = [{"role": "user", "content": "hi"}]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path, keep_responses="1h", keep_files="2h") as server:
        yield server


@pytest.fixture
def client(served: Running) -> openai.OpenAI:
    made = openai.OpenAI(base_url=f"{served.url}/v1", api_key=served.key(), max_retries=0)
    served.clients.append(made)
    return made


def lifetimes(directory: Path, table: str) -> list[int]:
    with sqlite3.connect(directory / "haiga.db") as database:
        return [life for (life,) in database.execute(f"SELECT expires_at - created_at FROM {table}")]


def test_what_is_kept_of_answers_ends_when_the_server_was_told(client: openai.OpenAI, tmp_path: Path) -> None:
    client.responses.create(model="fake", input="hi")
    client.chat.completions.create(model="fake", messages=ASKED, store=True)
    client.conversations.create()
    assert {table: [HOUR] for table in ("responses", "chats", "conversations")} == {
        table: lifetimes(tmp_path, table) for table in ("responses", "chats", "conversations")
    }


def test_no_file_outlives_the_server_s_time_and_one_s_own_may_be_shorter(client: openai.OpenAI) -> None:
    def life(**more: Any) -> int:
        made = client.files.create(file=("a.txt", b"text"), purpose="user_data", **more)
        return (made.expires_at or 0) - made.created_at

    assert 2 * HOUR == life()
    assert 2 * HOUR == life(expires_after={"anchor": "created_at", "seconds": 24 * HOUR})
    assert HOUR == life(expires_after={"anchor": "created_at", "seconds": HOUR})
