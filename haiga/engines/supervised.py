"""One process that runs a model: started, watched, spoken to, and started again when it dies.

Rule: whoever waits for something of the process is told at once when it is gone.
"""

import asyncio
import logging
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from haiga.core.errors import Dead, Failed, HaigaError
from haiga.engines.frames import HEADER, read_error

log = logging.getLogger(__name__)

START_LIMIT = 600.0  # seconds for a start: the first load of a big model converts and packs its weights
SILENCE = 60.0  # seconds without a sign of life after which a child is taken for hung
GRACE = 5.0  # seconds a child gets to end by itself once its socket is closed
PATIENCE = 60.0  # seconds a new request waits for a process that is being started again
RESTART_PAUSE = (0.0, 1.0, 5.0, 30.0)  # seconds before each attempt to start again, the last one repeated


class Supervised:
    """Keeps one child process alive between `start` and `close`.

    `command` is the child's argument vector, from its next start on; the number of its socket is appended. `name` is
    the model's, for errors. The child says `ready` when it can answer, or `refused`. `hear` gets every other report
    with the bytes behind it; `lost` is told why when the child is gone. saving: seconds that it may take to save
    things at its end.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        hear: Callable[[Mapping[str, Any], bytes], None],
        lost: Callable[[Dead], None],
        saving: float = 0.0,
    ) -> None:
        self._name = name
        self._saving = saving
        self.command = command
        self._hear = hear
        self._lost = lost
        self._ready: asyncio.Future[Mapping[str, Any]] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._up = asyncio.Event()
        self._child: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        return self._child.pid if self._child and self._child.returncode is None else None

    async def start(self) -> Mapping[str, Any]:
        """Start the child and wait until it can answer: what it says then. Raises Invalid with the child's own words
        when it cannot."""
        self._ready = asyncio.get_running_loop().create_future()
        self._watch = asyncio.create_task(self._supervise(), name=f"engine {self._name}")
        try:
            async with asyncio.timeout(START_LIMIT):
                return await asyncio.shield(self._ready)
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

    async def up(self) -> None:
        """Wait for a child that is being started again. Raises Dead when it stays down."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not self._up.is_set():  # it may have come up and gone before whoever waits is woken
                    await self._up.wait()
        except TimeoutError:
            raise Dead(f"the engine of model {self._name} is down") from None

    def send(self, frame: bytes) -> None:
        """Say something to the child; when there is none just now, nobody hears it."""
        if self._writer:
            self._writer.write(frame)

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
                *self.command, str(theirs.fileno()), pass_fds=[theirs.fileno()], stdin=asyncio.subprocess.DEVNULL
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
                # not wait_for, which forgets that it is cancelled when a report comes at the same moment
                async with asyncio.timeout(SILENCE):
                    report, data = await _read(reader)
                match report["is"]:
                    case "ready":
                        came_up, self._writer = True, writer
                        self._up.set()
                        self._settle(report)
                    case "refused":
                        self._settle(read_error(report["error"]))
                    case _:
                        self._hear(report, data)
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            return came_up

    def _settle(self, outcome: Mapping[str, Any] | HaigaError) -> None:
        """Tell whoever waits in `start`; later restarts have nobody waiting."""
        if self._ready is None or self._ready.done():
            return
        if isinstance(outcome, HaigaError):
            self._ready.set_exception(outcome)
        else:
            self._ready.set_result(outcome)

    def _lose(self, how: str) -> None:
        self._lost(Dead(f"the engine of model {self._name} {how}"))


async def _read(reader: asyncio.StreamReader) -> tuple[Mapping[str, Any], bytes]:
    (length,) = HEADER.unpack(await reader.readexactly(HEADER.size))
    report: Mapping[str, Any] = orjson.loads(await reader.readexactly(length))
    return report, await reader.readexactly(report.get("bytes", 0))


async def _reap(child: asyncio.subprocess.Process, grace: float) -> None:
    """A child whose socket is closed ends by itself; one that hangs is killed. None is left behind."""
    try:
        async with asyncio.timeout(grace):
            await child.wait()
    except TimeoutError:
        pass
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


def child_command(module: str, *arguments: str) -> list[str]:
    """The argument vector that runs one of our modules in a fresh interpreter."""
    return [sys.executable, "-m", module, *arguments]
