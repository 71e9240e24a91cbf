"""A painting process: one pipeline, one job at a time, in the order in which they come.

Rule: a command is heard while a step runs, so that a job stops before its next one; whatever happens to a job, it has
one last word.

    python -m haiga.engines.diffusers.child '{"directory": …, "name": …, "setup": …}' SOCKET
"""

import logging
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeAlias

import orjson

from haiga.core.errors import Cancelled, Failed, HaigaError
from haiga.core.images import Painted, Progress
from haiga.engines import frames
from haiga.engines.diffusers import protocol
from haiga.engines.diffusers.counting import Stopped
from haiga.engines.diffusers.painter import Painter
from haiga.engines.diffusers.setup import Setup
from haiga.engines.link import Link, resident_bytes

log = logging.getLogger(__name__)

Job: TypeAlias = Callable[[Callable[[Progress], None], Callable[[], bool]], Iterator[Painted]]


def main() -> None:
    logging.getLogger("diffusers").setLevel(logging.ERROR)
    told = orjson.loads(sys.argv[1])
    link = Link.inherited(sys.argv[2])
    try:
        painter = Painter.load(Path(told["directory"]), told["name"], Setup.read(told["setup"]))
    except Exception as error:  # a directory of somebody's may be wrong in any way; the server must hear of it
        reason = error if isinstance(error, HaigaError) else Failed(f"{told['directory']}: {error}")
        link.send(frames.refused(reason))
        return
    easel = Easel(painter, link)
    decision = painter.decision
    link.send(protocol.ready(resident_bytes(), decision.told, decision.reasons))
    link.listen(easel.obey)
    easel.work()


class Easel:
    """Takes commands to the painter."""

    def __init__(self, painter: Painter, link: Link) -> None:
        self._painter = painter
        self._link = link
        self._jobs: SimpleQueue[tuple[int, Job]] = SimpleQueue()
        self._stopped: set[int] = set()
        self._skip = threading.Event()
        self._lock = threading.Lock()

    def obey(self, command: Mapping[str, Any], pixels: bytes) -> None:
        match command["do"]:
            case "paint":
                request, seed = protocol.read_paint(command, pixels)
                self._jobs.put((command["id"], partial(self._painter.paint, request, seed, skipped=self._skipped)))
            case "upscale":
                self._jobs.put((command["id"], partial(self._painter.upscale, protocol.read_upscale(command, pixels))))
            case "stop":
                with self._lock:
                    self._stopped.add(command["id"])
            case "skip":
                self._skip.set()

    def work(self) -> None:
        """Job after job, until the process ends."""
        while True:
            id, job = self._jobs.get()
            self._skip.clear()
            self._link.send(protocol.ended(id, self._do(id, job)))
            with self._lock:
                self._stopped.discard(id)

    def _skipped(self) -> bool:
        """Once for each time that it is said."""
        said = self._skip.is_set()
        self._skip.clear()
        return said

    def _do(self, id: int, job: Job) -> HaigaError | None:
        def tell(progress: Progress) -> None:
            self._link.send(protocol.progress(id, progress))

        try:
            for picture in job(tell, lambda: id in self._stopped):
                self._link.send(protocol.painted(id, picture))
        except Stopped:
            return Cancelled("the job was cancelled")
        except HaigaError as error:
            return error
        except Exception as error:
            log.exception("unexpected error in a job")
            return Failed(f"the picture could not be made: {error}")
        return None


if __name__ == "__main__":
    main()
