"""Keys and values in files: a conversation that comes back is not computed again, whatever happened to the process, and
its answer is the one that computing gives."""

import os
import re
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from haiga.core.generation import Reply
from haiga.engines.native import tier
from haiga.engines.native.engine import NativeEngine
from haiga.engines.native.opening import Found, NativeOptions, open_engine
from tests.e2e.test_engine_process import answer, ask, pid_of, until
from tests.e2e.test_serve import OLD, serving
from tests.served import make_model

LONG = "a long conversation " * 15  # a token each letter
CHUNKED: dict[str, Any] = {
    "model_type": "llama4_text",
    "num_hidden_layers": 4,
    "num_local_experts": 2,
    "attention_chunk_size": 64,
    "head_dim": 32,
}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("tiny"))


@asynccontextmanager
async def running(directory: Path, kept: Path, disk: int = 1 << 30, **options: Any) -> AsyncIterator[NativeEngine]:
    how = NativeOptions(kv_memory=8 << 20, kv_disk=disk, kv_dir=kept, **options)
    engine = open_engine(Found.at("tiny", directory, created=0), how)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()


def files(kept: Path) -> list[Path]:
    return [path for path in kept.rglob("*") if path.suffix in (".kv", ".local")]


async def answered(directory: Path, kept: Path, **options: Any) -> Reply:
    """The answer of an engine that then ends in good order."""
    async with running(directory, kept, **options) as engine:
        return await answer(engine, ask(LONG))


async def test_after_a_restart_what_was_computed_is_read(directory: Path, tmp_path: Path) -> None:
    first = await answered(directory, tmp_path / "kv")
    async with running(directory, tmp_path / "kv") as engine:
        again = await answer(engine, ask(LONG))
        whole = again.usage.prompt // 32 * 32
        assert (0, whole) == (first.usage.cache_read, again.usage.cache_read)
        assert first.content == again.content
        assert (whole, True) == (engine.load.restored_tokens, engine.load.disk_bytes > 0)


async def test_after_the_process_was_killed_too(directory: Path, tmp_path: Path) -> None:
    async with running(directory, tmp_path / "kv") as engine:
        first = await answer(engine, ask(LONG))
        await until(lambda: len(files(tmp_path / "kv")) >= first.usage.prompt // 32)
        killed = pid_of(engine)
        os.kill(killed, signal.SIGKILL)
        await until(lambda: engine.process.pid not in (None, killed))
        again = await answer(engine, ask(LONG))
        assert (first.content, first.usage.prompt // 32 * 32) == (again.content, again.usage.cache_read)


async def test_coarse_caches_come_back_as_they_were(directory: Path, tmp_path: Path) -> None:
    first = await answered(directory, tmp_path / "kv", cache="u4")
    again = await answered(directory, tmp_path / "kv", cache="u4")
    assert again.usage.cache_read > 200
    assert first.content == again.content


async def test_models_with_local_layers_go_on_as_well(tmp_path: Path) -> None:
    directory = make_model(tmp_path / "model", **CHUNKED)
    first = await answered(directory, tmp_path / "kv")
    again = await answered(directory, tmp_path / "kv")
    assert (first.content, first.usage.prompt // 32 * 32) == (again.content, again.usage.cache_read)
    assert {".kv", ".local"} == {file.suffix for file in files(tmp_path / "kv")}


async def test_damaged_and_missing_files_are_computed_again(directory: Path, tmp_path: Path) -> None:
    first = await answered(directory, tmp_path / "kv")
    for number, file in enumerate(sorted(files(tmp_path / "kv"), key=lambda file: file.stat().st_mtime)):
        if number % 4 == 1:
            file.write_bytes(file.read_bytes()[:-100] + bytes(100))
        elif number % 4 == 3:
            file.unlink()
    async with running(directory, tmp_path / "kv") as engine:
        again = await answer(engine, ask(LONG))
        assert first.content == again.content
        assert first.usage.prompt > again.usage.cache_read
        assert engine.load.disk_damaged > 0


async def test_workspaces_do_not_share_files_and_a_deleted_one_leaves_none(directory: Path, tmp_path: Path) -> None:
    mine = replace(ask(LONG), workspace="mine")
    async with running(directory, tmp_path / "kv") as engine:
        await answer(engine, mine)
        assert 0 == (await answer(engine, ask(LONG))).usage.cache_read
    both = len(files(tmp_path / "kv"))
    async with running(directory, tmp_path / "kv") as engine:
        assert (await answer(engine, mine)).usage.cache_read > 200
        tier.erase(tmp_path / "kv", "mine")
        assert both == 2 * len(files(tmp_path / "kv"))
    assert both == 2 * len(files(tmp_path / "kv")), "nothing of it was written at the end"
    async with running(directory, tmp_path / "kv") as engine:
        assert 0 == (await answer(engine, mine)).usage.cache_read


async def test_the_files_stay_within_their_limit(directory: Path, tmp_path: Path) -> None:
    limit = 400_000
    async with running(directory, tmp_path / "kv", disk=limit) as engine:
        for number in range(6):
            await answer(engine, ask(f"{number} {LONG}"))
        assert limit >= sum(file.stat().st_size for file in files(tmp_path / "kv"))
        assert engine.load.disk_evicted > 0


async def test_a_disk_that_goes_away_stops_nobody(directory: Path, tmp_path: Path) -> None:
    async with running(directory, tmp_path / "kv") as engine:
        first = await answer(engine, ask(LONG))
        shutil.rmtree(tmp_path / "kv")
        engine.process.clear_cache()
        assert first.content == (await answer(engine, ask(LONG))).content


def test_a_server_goes_on_where_the_last_one_stopped_and_a_deleted_workspace_is_gone(tmp_path: Path) -> None:
    with serving(tmp_path, "--kv-disk", "200MB") as server:
        first = server.ask(LONG)
        assert 0 == first.usage.cache_read_input_tokens
    with serving(tmp_path, "--kv-disk", "200MB") as server:
        again = server.ask(LONG)
        assert again.content == first.content
        assert (first.usage.input_tokens - 1) // 32 * 32 == again.usage.cache_read_input_tokens
        told = httpx.get(f"{server.url}/metrics").text
        hits = re.search(r'^haiga_kv_disk_hit_tokens_total\{model="starter"\} (\S+)', told, re.MULTILINE)
        assert hits and again.usage.cache_read_input_tokens == float(hits[1])
        assert re.search(r'^haiga_kv_disk_bytes\{model="starter"\} [1-9]', told, re.MULTILINE)
        workspaces = f"{server.url}/v1/organizations/workspaces"
        made = httpx.post(workspaces, json={"name": "default"}, headers=OLD).json()  # an open server's has no row
        assert httpx.delete(f"{workspaces}/{made['id']}", headers=OLD).is_success
        assert [] == files(tmp_path / "kv")
