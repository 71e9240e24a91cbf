"""Who does the paperwork of batches with files: reads the lines out of the input file, writes results to others.

Rule: a batch's papers are one clerk's at a time, until it says nothing for a while; then another begins anew. An input
file becomes lines as a whole or not at all, and results become files together with the batch's end.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Protocol

from haiga.core.access import Caller
from haiga.core.errors import NotFound
from haiga.core.files import FileSpec, KeptFile
from haiga.core.jobs import Batch, Line, Papers, Problem, Result
from haiga.core.ports import BatchStore, Draft
from haiga.services.files import Files
from haiga.services.rounds import Rounds

LEASE = 20.0  # seconds after which a clerk that says nothing has lost its papers
POLL = 1.0  # seconds between two looks for what other processes brought
GRACE = 1.0  # seconds to end what is under way, when the server stops
PAUSE = 5.0  # seconds to wait when something cannot be read or written
CHUNK = 1 << 20  # bytes of lines kept, or of results written, between two signs of life
SPARE = 200  # bytes that a line takes besides its params
PURPOSE, TYPE = "batch_output", "application/jsonl"


class Reader(Protocol):
    """A file that arrives in pieces, to lines."""

    @property
    def problems(self) -> Sequence[Problem]:
        """What is wrong with it so far; enough of them, and it need not be read on."""

    @property
    def hopeless(self) -> bool:
        """Whether it need not be read on."""

    @property
    def model(self) -> str | None:
        """The model that all lines name."""

    def feed(self, piece: bytes) -> list[tuple[str, bytes]]:
        """The lines that a piece completes, as custom id and params."""

    def close(self) -> list[tuple[str, bytes]]:
        """The last lines."""


class Paper(Protocol):
    """How input files are read, and results written."""

    def reader(self, endpoint: str) -> Reader:
        """For the lines of an input file."""

    def result(self, batch: Batch, result: Result) -> bytes:
        """A line of a file of results."""


class Clerk:
    """Reads and writes the `files` of the batches in `store`, from `start` to `close`; `wake` tells whoever runs lines
    that there are new ones. `lease` is seconds, `clock` gives unix seconds."""

    def __init__(
        self,
        store: BatchStore,
        files: Files,
        paper: Paper,
        wake: Callable[[], None],
        *,
        lease: float = LEASE,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._files = files
        self._paper = paper
        self._wake = wake
        self._lease = lease
        self._clock = clock
        self._name = f"clerk_{secrets.token_hex(8)}"
        trouble = "a batch's files cannot be read or written yet"
        self._rounds = Rounds(self._name, self._turn, rest=lambda: POLL, pause=PAUSE, trouble=trouble)

    def start(self) -> None:
        self._rounds.start()

    def wake(self) -> None:
        """There is something new in the store."""
        self._rounds.wake()

    async def close(self) -> None:
        """Stop; what was begun is begun anew by whoever comes next."""
        await self._rounds.close(GRACE)

    async def _turn(self) -> bool:
        """One batch's papers; whether there was one."""
        batch = await self._store.take_papers(self._name, self._now(), self._until())
        if batch is None or batch.papers is None:
            return False
        try:
            await (self._read if batch.status == "validating" else self._write)(batch, batch.papers)
        except BaseException:
            await self._store.hold_papers(self._name, batch.id, 0)  # for whoever comes next to take at once
            raise
        return True

    # --- reading ---

    async def _read(self, batch: Batch, papers: Papers) -> None:
        """The input file becomes the batch's lines, or its problems."""
        await self._store.clear(self._name, batch.id)
        reader = self._paper.reader(batch.endpoint)
        total = 0
        try:
            file = await self._files.get(Caller(workspace=batch.workspace), papers.input)
        except NotFound as error:
            return await self._fail(batch, papers, [Problem("file_not_found", error.message, param="input_file_id")])
        async with aclosing(self._lines(reader, file)) as portions:
            async for portion in portions:
                lines = [Line(batch.id, total + i, *line) for i, line in enumerate(portion)]
                total += len(lines)
                await self._store.fill(lines)
                if not await self._store.hold_papers(self._name, batch.id, self._until()):
                    return await self._store.clear(self._name, batch.id)
        if reader.problems:
            return await self._fail(batch, papers, reader.problems)
        begun = replace(papers, model=reader.model, begun_at=self._now())
        begun_batch = replace(batch, status="in_progress", total=total, papers=begun)
        if not await self._store.conclude(self._name, begun_batch):
            return await self._store.clear(self._name, batch.id)
        return self._wake()

    async def _lines(self, reader: Reader, file: KeptFile) -> AsyncGenerator[list[tuple[str, bytes]], None]:
        """Lines by the chunk; when something is wrong with one, those after it are looked at and not given."""
        held: list[tuple[str, bytes]] = []
        size = 0
        async with aclosing(self._files.read(file)) as pieces:
            async for piece in pieces:
                found = await asyncio.to_thread(reader.feed, piece)
                if reader.hopeless:
                    return
                held += found
                size += sum(len(params) + SPARE for _, params in found)
                if size >= CHUNK and not reader.problems:
                    yield held
                    held, size = [], 0
                elif reader.problems:
                    held.clear()
        held += await asyncio.to_thread(reader.close)
        if held and not reader.problems:
            yield held

    async def _fail(self, batch: Batch, papers: Papers, problems: Sequence[Problem]) -> None:
        await self._store.clear(self._name, batch.id)
        told = replace(papers, problems=tuple(problems))
        await self._store.conclude(self._name, replace(batch, status="failed", ended_at=self._now(), papers=told))

    # --- writing ---

    async def _write(self, batch: Batch, papers: Papers) -> None:
        """The results become files, together with the batch's end."""
        caller = Caller(workspace=batch.workspace)
        async with self._files.blobs.draft() as output, self._files.blobs.draft() as errors:
            drafts = {"output": output, "errors": errors}
            if not (used := await self._put(batch, drafts)):
                return
            made: dict[str, KeptFile] = {}
            for name in sorted(used):
                spec = FileSpec(f"{batch.id}_{name}.jsonl", TYPE, PURPOSE, papers.lifetime, made=True)
                made[name] = self._files.described(caller, "file-", spec, await drafts[name].keep())
            ids = {name: file.id for name, file in made.items()}
            filed = replace(papers, output=ids.get("output"), errors=ids.get("errors"))
            ended = replace(batch, status="ended", ended_at=self._now(), papers=filed)
            await self._store.conclude(self._name, ended, list(made.values()))

    async def _put(self, batch: Batch, drafts: dict[str, Draft]) -> set[str]:
        """Every result into its file; which of them have any: none when the papers were taken away."""
        used: set[str] = set()
        size = 0
        async for result in self._store.results(batch.id):
            name = "output" if result.state == "succeeded" else "errors"
            line = self._paper.result(batch, result)
            await drafts[name].write(line)
            used.add(name)
            size += len(line)
            if size >= CHUNK:
                size = 0
                if not await self._store.hold_papers(self._name, batch.id, self._until()):
                    return set()
        return used

    def _now(self) -> int:
        return int(self._clock())

    def _until(self) -> int:
        return int(self._clock() + self._lease) + 1
