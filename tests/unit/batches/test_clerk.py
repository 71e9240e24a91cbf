"""The clerk: whatever breaks off, a file becomes lines once, and results become files once."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from haiga.core.access import Caller
from haiga.core.errors import Busy
from haiga.core.files import FileSpec, KeptFile
from haiga.core.jobs import Batch, Line, Papers, Result, Rules
from haiga.engines.fake import FakeEngine
from haiga.services.batches import Batches, Clerk, Worker, clerk
from haiga.services.files import Files
from haiga.services.inference import Inference
from haiga.services.models import Models
from haiga.stores.batches import DatabaseBatches
from haiga.stores.blobs import DiskBlobs
from haiga.stores.connect import connect
from haiga.stores.files import DatabaseFiles
from haiga.wire.openai_batches.lines import openai_lines
from haiga.wire.openai_batches.paper import BatchPaper

URL = "/v1/chat/completions"
ME = Caller(workspace="w")
NUMBER = 30


class Breaking(DatabaseBatches):
    """A store whose clerk dies, loses its papers, or cannot write, at one moment each."""

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine)
        self.broken: set[str] = set()

    def once(self, name: str) -> bool:
        first, _ = name not in self.broken, self.broken.add(name)
        return first

    async def fill(self, lines: Sequence[Line]) -> None:
        await super().fill(lines)
        if self.once("after lines"):
            raise Busy("the disk is full")

    async def hold_papers(self, clerk: str, id: str, until: int) -> bool:
        if until and self.once("lost"):
            await super().hold_papers(clerk, id, 0)
            return False
        return await super().hold_papers(clerk, id, until)

    async def results(self, id: str) -> AsyncIterator[Result]:
        async for result in super().results(id):
            yield result
            if self.once("half written"):
                raise Busy("the disk is full")

    async def conclude(self, clerk: str, batch: Batch, files: Sequence[KeptFile] = ()) -> bool:
        if self.once(f"before {batch.status}"):
            raise Busy("the disk is full")
        done = await super().conclude(clerk, batch, files)
        if self.once(f"after {batch.status}"):
            raise Busy("nobody heard it")
        return done


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"POLL": 0.005, "PAUSE": 0.005, "CHUNK": 1000}.items():
        monkeypatch.setattr(clerk, name, value)


@asynccontextmanager
async def working(directory: Path, clerks: int) -> AsyncGenerator[tuple[Batches, Files, FakeEngine], None]:
    async with connect(directory / "db") as database:
        store, engine = Breaking(database), FakeEngine()
        files = Files(DatabaseFiles(database), DiskBlobs(directory / "blobs"))
        forms = openai_lines(lambda kind: f"{kind}_1")
        worker = Worker(Inference(Models({"fake": engine})), store, forms, lambda kind: f"{kind}_1", lease=1)
        several = [Clerk(store, files, BatchPaper(), worker.wake) for _ in range(clerks)]
        for each in (worker, *several):
            each.start()
        yield Batches(store, worker.wake), files, engine
        for each in (worker, *several):
            await each.close()
        assert {"after lines", "lost", "half written", "before ended", "after ended"} <= store.broken


async def keep(files: Files, lines: Sequence[object]) -> KeptFile:
    data = b"\n".join(json.dumps(line).encode() for line in lines)
    async with files.receiving(ME, len(data)) as incoming:
        await incoming.write(data)
        return await incoming.keep("file-", FileSpec("in.jsonl", "application/jsonl", "batch"))


def line(number: int) -> object:
    body = {"model": "fake" if number % 3 else "none", "messages": [{"role": "user", "content": f"say {number}"}]}
    return {"custom_id": f"c{number}", "method": "POST", "url": URL, "body": body}


@pytest.mark.parametrize("clerks", [1, 3])
async def test_whatever_breaks_off_every_line_has_one_result_in_one_file(tmp_path: Path, clerks: int) -> None:
    async with working(tmp_path, clerks) as (batches, files, _):
        input = await keep(files, [line(i) for i in range(NUMBER)])
        batch = await batches.create_filed(ME, "batch", URL, Rules(), Papers(input.id, 3600))
        async with asyncio.timeout(30):
            while not (batch := await batches.get(ME, batch.id, filed=True)).over:
                await asyncio.sleep(0.005)
        assert batch.papers and batch.papers.output and batch.papers.errors
        assert ("ended", NUMBER, 20, 10) == (batch.status, batch.total, batch.counts.succeeded, batch.counts.errored)
        told = []
        for id in (batch.papers.output, batch.papers.errors):
            file = await files.get(ME, id)
            data = b"".join([piece async for piece in files.read(file)])
            told += [json.loads(each)["custom_id"] for each in data.splitlines()]
        assert sorted(f"c{i}" for i in range(NUMBER)) == sorted(told)
        page = await files.list(ME, 99)
        assert {input.id, batch.papers.output, batch.papers.errors} == {file.id for file in page.files}


async def test_an_input_file_that_is_gone_fails_the_batch(tmp_path: Path) -> None:
    async with connect(tmp_path / "db") as database:
        store = DatabaseBatches(database)
        files = Files(DatabaseFiles(database), DiskBlobs(tmp_path / "blobs"))
        working = Clerk(store, files, BatchPaper(), lambda: None)
        batches = Batches(store, lambda: None, working.wake)
        batch = await batches.create_filed(ME, "batch", URL, Rules(), Papers("file-none", 3600))
        working.start()
        async with asyncio.timeout(30):
            while not (batch := await batches.get(ME, batch.id, filed=True)).over:
                await asyncio.sleep(0.005)
        await working.close()
        assert batch.papers and ["file_not_found"] == [problem.code for problem in batch.papers.problems]
