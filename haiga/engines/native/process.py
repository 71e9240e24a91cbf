"""One engine process: started, watched, spoken to, and started again when it dies.

Rule: whatever happens to the process, every request in flight gets an answer or a clean error, at once.
"""

import asyncio
import logging
import socket
import sys
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import orjson

from haiga.core.errors import Dead, Failed, HaigaError
from haiga.engines.native import protocol
from haiga.engines.native.protocol import Ready, Submission, Text, Update

log = logging.getLogger(__name__)

START_LIMIT = 600.0  # seconds for a start: the first load of a big model converts and packs its weights
SILENCE = 60.0  # seconds without a sign of life after which a child is taken for hung
GRACE = 5.0  # seconds a child gets to end by itself once its socket is closed
PATIENCE = 60.0  # seconds a new request waits for a process that is being started again
RESTART_PAUSE = (0.0, 1.0, 5.0, 30.0)  # seconds before each attempt to start again, the last one repeated


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
    """Keeps one child process alive between `start` and `close`.

    `command` is the child's argument vector; the number of its socket is appended. `name` is the model's, for errors.
    saving: seconds that it may take to save things at its end.
    """

    def __init__(self, name: str, command: Sequence[str], saving: float = 0.0) -> None:
        self._name = name
        self._saving = saving
        self._command = tuple(command)
        self._ids = count(1)
        self._answers: dict[int, Answer] = {}
        self._ready: asyncio.Future[Ready] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._up = asyncio.Event()
        self._child: asyncio.subprocess.Process | None = None
        self.stats: Mapping[str, Any] = {}

    @property
    def in_flight(self) -> int:
        return len(self._answers)

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        return self._child.pid if self._child and self._child.returncode is None else None

    async def start(self) -> Ready:
        """Start the child and wait until it can answer. Raises Invalid with the child's own words when it cannot."""
        self._ready = asyncio.get_running_loop().create_future()
        self._watch = asyncio.create_task(self._supervise(), name=f"engine {self._name}")
        try:
            return await asyncio.wait_for(asyncio.shield(self._ready), START_LIMIT)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """End the child; requests in flight end with Dead."""
        watch, self._watch = self._watch, None
        if watch:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
            self._lose("was unloaded")

    async def open(self, submission: Submission | Text) -> Answer:
        """Hand a request over, waiting for a process that is being started again. Raises Dead when it stays down."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._up.wait()
        except TimeoutError:
            raise Dead(f"the engine of model {self._name} is down") from None
        answer = self._answers[submission.id] = Answer()
        self._send(protocol.submit(submission))
        return answer

    def _send(self, frame: bytes) -> None:
        if self._writer:
            self._writer.write(frame)

    def clear_cache(self) -> None:
        """Forget every KV block that no request is using."""
        self._send(protocol.clear_cache())

    def next_id(self) -> int:
        return next(self._ids)

    def discard(self, id: int, *, finished: bool) -> None:
        """Forget a request; an unfinished one is aborted at the engine's next step."""
        if self._answers.pop(id, None) and not finished:
            self._send(protocol.abort(id))

    async def _supervise(self) -> None:
        """Run children one after another until closed; a first one that cannot start is the caller's error."""
        attempt = 0
        while True:
            try:
                came_up = await self._run_child()
            except OSError as error:  # no process, descriptor or memory to be had now; there may be later
                came_up = False
                log.warning("the engine of model %s could not be started: %s", self._name, error)
            self._lose("stopped unexpectedly and is being started again")
            if not came_up:
                self._settle(Failed(f"the engine of model {self._name} could not be started"))
            attempt = 0 if came_up else attempt + 1
            await asyncio.sleep(RESTART_PAUSE[min(attempt, len(RESTART_PAUSE) - 1)])

    async def _run_child(self) -> bool:
        """One child from start to end; whether it came up."""
        ours, theirs = socket.socketpair()
        try:
            self._child = await asyncio.create_subprocess_exec(
                *self._command, str(theirs.fileno()), pass_fds=[theirs.fileno()], stdin=asyncio.subprocess.DEVNULL
            )
            reader, writer = await asyncio.open_connection(sock=ours)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        try:
            return await self._listen(reader, writer)
        finally:
            self._up.clear()
            self._writer = None
            writer.close()
            await _reap(self._child, GRACE + self._saving)

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        came_up = False
        try:
            while True:
                report = await asyncio.wait_for(_read(reader), SILENCE)
                if report["is"] == "ready":
                    came_up, self._writer = True, writer
                    self._up.set()
                self._hear(report)
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            return came_up

    def _hear(self, report: Mapping[str, Any]) -> None:
        match report["is"]:
            case "step":
                self.stats = report["stats"]
                for fields in report["updates"]:
                    self._deliver(protocol.read_update(fields))
            case "embedded":
                for update in protocol.read_embedded(report):
                    self._deliver(update)
            case "ready":
                self._settle(Ready(report["blocks"], report["block_size"], report["memory"]))
            case "refused":
                self._settle(protocol.read_error(report["error"]))

    def _settle(self, outcome: Ready | HaigaError) -> None:
        """Tell whoever waits in `start`; later restarts have nobody waiting."""
        if self._ready is None or self._ready.done():
            return
        if isinstance(outcome, Ready):
            self._ready.set_result(outcome)
        else:
            self._ready.set_exception(outcome)

    def _deliver(self, update: Update) -> None:
        answer = self._answers.get(update.id)
        if answer is None:
            return  # aborted while this step ran
        if update.error is not None:
            answer.fail(update.error)
        else:
            answer.put(update)

    def _lose(self, how: str) -> None:
        """The child is gone: every request in flight ends with a clean error."""
        lost, self._answers = self._answers, {}
        for answer in lost.values():
            answer.fail(Dead(f"the engine of model {self._name} {how}"))


async def _read(reader: asyncio.StreamReader) -> dict[str, Any]:
    (length,) = protocol.HEADER.unpack(await reader.readexactly(protocol.HEADER.size))
    report: dict[str, Any] = orjson.loads(await reader.readexactly(length))
    return report


async def _reap(child: asyncio.subprocess.Process, grace: float) -> None:
    """A child whose socket is closed ends by itself; one that hangs is killed. None is left behind."""
    try:
        await asyncio.wait_for(child.wait(), grace)
    except TimeoutError:
        pass
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


def child_command(module: str, *arguments: str) -> list[str]:
    """The argument vector that runs one of our modules in a fresh interpreter."""
    return [sys.executable, "-m", module, *arguments]
