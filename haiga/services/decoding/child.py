"""The decoding process: jobs on standard input, what came of them on standard output.

Rule: it has no more memory than it was told, writes no files, and the kernel ends it when a picture or a page takes
more processor time than it was told. Whoever started it sees its end and starts another.
"""

import json
import os
import resource
import signal
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

from haiga.core.pictures import Picture
from haiga.services.decoding.frames import frame, read_frame
from haiga.services.decoding.metadata import read_texts
from haiga.services.decoding.pages import read_pages
from haiga.services.decoding.pictures import open_picture, read_picture
from haiga.services.decoding.refusal import Refusal

CLOCKED = 16_000_000  # pixels of a picture that the clock allows for; a larger one has more time


def main() -> None:
    """Serve jobs until standard input ends. The one argument: `memory` in bytes, `seconds` of processor time."""
    bounds = json.loads(sys.argv[1])
    given, taken = sys.stdin.buffer, os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # a library's own words are no frames
    _bound(bounds["memory"])
    _write(taken, {"last": True})
    while (job := read_frame(given)) is not None:
        for head, payload in _answers(*job, bounds["seconds"]):
            _write(taken, head, payload)


def _bound(memory: int) -> None:
    for what, limit in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 32),
    ):
        resource.setrlimit(what, (limit, limit))


def _write(taken: BinaryIO, head: dict[str, Any], payload: bytes = b"") -> None:
    for piece in frame(head, payload):
        taken.write(piece)
    taken.flush()


def _answers(head: dict[str, Any], data: bytes, seconds: float) -> Iterator[tuple[dict[str, Any], bytes]]:
    """What comes of a job. The clock runs while something is decoded, and is wound up for each picture or page."""
    found = JOBS[head["do"]](head, data, seconds)
    try:
        while True:
            _wind(seconds)
            answer = next(found, None)
            _wind(0)
            if answer is None:
                break
            yield answer
        yield {"last": True}, b""
    except Refusal as refusal:
        _wind(0)
        yield {"last": True, "refused": refusal.reason, "code": refusal.code}, b""
    except MemoryError:
        os._exit(1)  # what is left of its memory may be of no use any more


def _wind(seconds: float) -> None:
    """So much processor time from now on; 0 for any. The signal ends this process: nobody handles it."""
    signal.setitimer(signal.ITIMER_PROF, seconds)


def _picture(head: dict[str, Any], data: bytes, seconds: float) -> Iterator[tuple[dict[str, Any], bytes]]:
    picture = open_picture(data, head)
    _wind(seconds * max(1.0, picture.width * picture.height / CLOCKED))
    shown = read_picture(picture, head)
    yield _shown(shown.width, shown.height, shown.tobytes())


def _texts(head: dict[str, Any], data: bytes, seconds: float) -> Iterator[tuple[dict[str, Any], bytes]]:
    picture = open_picture(data, head)
    _wind(seconds * max(1.0, picture.width * picture.height / CLOCKED))
    yield {}, json.dumps(read_texts(picture)).encode()


def _pages(head: dict[str, Any], data: bytes, seconds: float) -> Iterator[tuple[dict[str, Any], bytes]]:
    for page in read_pages(data, head["limit"], head["edge"]):
        shown, rgb = _shown(page.width, page.height, page.rgb)
        yield {**shown, "number": page.number, "text": page.text}, rgb


def _shown(width: int, height: int, rgb: bytes) -> tuple[dict[str, Any], bytes]:
    """With its digest, taken here, where that keeps nobody waiting."""
    digest = Picture.of(rgb, width, height).digest if rgb else ""
    return {"width": width, "height": height, "digest": digest}, rgb


JOBS = {"picture": _picture, "pages": _pages, "texts": _texts}

if __name__ == "__main__":
    main()
