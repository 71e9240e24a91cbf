"""The process of a model that writes text, or makes embeddings: requests in, what it says of each out.

Rule: whatever happens to the process, every request in flight gets an answer or a clean error, at once.
"""

import asyncio
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from haiga.core.errors import Dead, HaigaError
from haiga.engines.native import protocol
from haiga.engines.native.protocol import Ready, Submission, Text, Update
from haiga.engines.supervised import Supervised


class Answer:
    """What the engine said about one request; pieces merge while the reader is away."""

    def __init__(self) -> None:
        self._pieces: list[Update] = []
        self._error: HaigaError | None = None
        self._news = asyncio.Event()

    def put(self, update: Update) -> None:
        self._pieces.append(update)
        self._news.set()

    def fail(self, error: HaigaError) -> None:
        self._error = error
        self._news.set()

    async def take(self) -> list[Update]:
        """Everything new, at least one piece. Raises the error that ended the request."""
        await self._news.wait()
        self._news.clear()
        pieces, self._pieces = self._pieces, []
        if not pieces and self._error:
            raise self._error
        if self._error:
            self._news.set()
        return pieces


class EngineProcess:
    """`command` is the child's argument vector; `name` is the model's, for errors. saving:
    seconds that it may take to save things at its end."""

    def __init__(self, name: str, command: Sequence[str], saving: float = 0.0) -> None:
        self._child = Supervised(name, command, self._hear, self._lose, saving)
        self._ids = count(1)
        self._answers: dict[int, Answer] = {}
        self.stats: Mapping[str, Any] = {}

    @property
    def in_flight(self) -> int:
        return len(self._answers)

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        return self._child.pid

    def run_as(self, command: Sequence[str]) -> None:
        """What is run when it is started the next time."""
        self._child.command = command

    async def start(self) -> Ready:
        """Start the child and wait until it can answer. Raises Invalid with the child's own words when it cannot."""
        report = await self._child.start()
        return Ready(report["blocks"], report["block_size"], report["memory"])

    async def close(self) -> None:
        """End the child; requests in flight end with Dead."""
        await self._child.close()

    async def open(self, submission: Submission | Text) -> Answer:
        """Hand a request over, waiting for a process that is being started again. Raises Dead when it stays down."""
        await self._child.up()
        answer = self._answers[submission.id] = Answer()
        self._child.send(protocol.submit(submission))
        return answer

    def clear_cache(self) -> None:
        """Forget every KV block that no request is using."""
        self._child.send(protocol.clear_cache())

    def next_id(self) -> int:
        return next(self._ids)

    def discard(self, id: int, *, finished: bool) -> None:
        """Forget a request; an unfinished one is aborted at the engine's next step."""
        if self._answers.pop(id, None) and not finished:
            self._child.send(protocol.abort(id))

    def _hear(self, report: Mapping[str, Any], data: bytes) -> None:
        match report["is"]:
            case "step":
                self.stats = report["stats"]
                for fields in report["updates"]:
                    self._deliver(protocol.read_update(fields))
            case "embedded":
                for update in protocol.read_embedded(report):
                    self._deliver(update)

    def _deliver(self, update: Update) -> None:
        answer = self._answers.get(update.id)
        if answer is None:
            return  # aborted while this step ran
        if update.error is not None:
            answer.fail(update.error)
        else:
            answer.put(update)

    def _lose(self, why: Dead) -> None:
        """The child is gone: every request in flight ends with a clean error."""
        lost, self._answers = self._answers, {}
        for answer in lost.values():
            answer.fail(why)
