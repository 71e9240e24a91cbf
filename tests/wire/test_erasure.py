"""A workspace deleted over HTTP: nothing of it is left, in any table nor in the files, and everything of others is."""

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest

from haiga.engines.fake_painter import FakePainter
from tests.wire.limited_server import Running, running

SECRETS = {"gone": b"quicksilver-of-the-lost", "stays": b"granite-of-the-kept"}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path, painters=[FakePainter()], allow_fetch="127.0.0.1") as server:
        yield server


def leave_traces(served: Running, workspace: str, word: str) -> None:
    """Something of everything that is kept for a workspace, with a word in it."""
    key = served.key(f"key-{workspace}", workspace)
    gpt = openai.OpenAI(base_url=f"{served.url}/v1", api_key=key, max_retries=0)
    claude = anthropic.Anthropic(base_url=served.url, api_key=key, max_retries=0)
    served.clients += [gpt, claude]
    asked: Any = [{"role": "user", "content": word}]
    gpt.chat.completions.create(model="fake", messages=asked, store=True, metadata={"about": word})
    talk = gpt.conversations.create(items=[{"type": "message", "role": "user", "content": word}])
    gpt.responses.create(model="fake", input=word, conversation=talk.id)
    gpt.files.create(file=(f"{word}.txt", word.encode() * 100), purpose="user_data")
    claude.messages.batches.create(
        requests=[{"custom_id": "1", "params": {"model": "fake", "max_tokens": 9, "messages": asked}}]
    )
    gpt.uploads.create(filename=word, mime_type="text/plain", bytes=9, purpose="assistants")
    gpt.embeddings.create(model="vectors", input=word, user=word)
    gpt.images.generate(prompt=word)
    headers = {"authorization": f"Bearer {key}"}
    hook = {"name": word, "url": "http://127.0.0.1:9/", "event_types": ["batch.completed"]}
    httpx.post(f"{served.url}/v1/webhook_endpoints", json=hook, headers=headers).raise_for_status()


def found_in(directory: Path, word: bytes) -> set[str]:
    """Where in all bytes that the server keeps the word is."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    return {str(path.relative_to(directory)) for path in files if word in path.read_bytes()}


def rows(directory: Path, workspace: str) -> dict[str, int]:
    with sqlite3.connect(directory / "haiga.db") as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        owned = [
            each for each in tables if "workspace" in [row[1] for row in database.execute(f"PRAGMA table_info({each})")]
        ]
        count = "SELECT count(*) FROM {} WHERE workspace = ?"
        return {table: database.execute(count.format(table), (workspace,)).fetchone()[0] for table in owned}


def test_nothing_of_a_deleted_workspace_is_left(served: Running, tmp_path: Path) -> None:
    boss = served.key("boss", admin=True)
    for workspace, word in SECRETS.items():
        leave_traces(served, workspace, word.decode())
    for _ in range(100):  # the batches' answers, and what was used
        if rows(tmp_path, "gone")["usage"] >= 4:
            break
        served.do(served.server._last[0].flush())
        time.sleep(0.05)
    before = rows(tmp_path, "gone")
    assert {
        "api_keys",
        "batches",
        "chats",
        "conversations",
        "files",
        "image_jobs",
        "image_pictures",
        "responses",
        "uploads",
        "usage",
        "webhooks",
    } <= {table for table, count in before.items() if count}
    assert "haiga.db" in str(found_in(tmp_path, SECRETS["gone"])) and "blobs" in str(
        found_in(tmp_path, SECRETS["gone"])
    )
    kept = rows(tmp_path, "stays")
    admin = anthropic.Anthropic(base_url=served.url, api_key=boss)
    served.clients.append(admin)
    doomed = next(each for each in admin.organization.workspaces.list() if each.name == "gone")
    told = httpx.delete(f"{served.url}/v1/organizations/workspaces/{doomed.id}", headers={"x-api-key": boss})
    assert (200, "workspace_deleted", 1) == (told.status_code, told.json()["type"], told.json()["rows"]["files"])
    assert dict.fromkeys(before, 0) == rows(tmp_path, "gone")
    assert set() == found_in(tmp_path, SECRETS["gone"])
    assert kept == rows(tmp_path, "stays") | {"usage": kept["usage"]}
    assert len(found_in(tmp_path, SECRETS["stays"])) >= 2
    again = httpx.delete(f"{served.url}/v1/organizations/workspaces/{doomed.id}", headers={"x-api-key": boss})
    assert 404 == again.status_code
    with sqlite3.connect(tmp_path / "haiga.db") as database:
        (line,) = database.execute("SELECT details FROM audit_log WHERE action = 'workspace.deleted'")
    assert '"files":1' in line[0]
