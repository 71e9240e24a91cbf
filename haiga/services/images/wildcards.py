"""Wildcards in the prompts of a request: lines of the files in a folder.

Rule: the seed of a picture decides what its prompts become. Files are read anew when they have changed; names are
looked up among those that are there, so that a request never leads to a path.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from random import Random
from typing import TypeAlias

from haiga.core.errors import Invalid
from haiga.core.images import ImageRequest
from haiga.text.image_prompts import Deck, expand, may_expand

FILES = 1000
LARGEST = 1 << 20  # bytes of a file
TOGETHER = 16 << 20  # bytes of all of them
MOST = 256 << 10  # characters of all prompts of all pictures of a request with wildcards
Cards: TypeAlias = Mapping[str, Sequence[str]]
_Read: TypeAlias = tuple[tuple[int, int, bool], Sequence[str]]
log = logging.getLogger(__name__)


class WildcardFolder:
    """A folder that may not be there, with files `name.txt`, in folders of its own too: a choice a line. Empty lines
    and those that begin with # are none."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: Mapping[str, _Read] = {}

    def cards(self) -> Cards:
        """The lines by the files' names, such as `colour` or `animals/cat`."""
        read: dict[str, _Read] = {}
        room = TOGETHER
        for name, file in islice(self._files(), FILES):
            with suppress(FileNotFoundError):  # gone by now
                state = file.stat()
                room -= state.st_size
                stamp = state.st_mtime_ns, state.st_size, room >= 0
                known = self._read.get(name)
                read[name] = known if known and known[0] == stamp else (stamp, _lines(file, room >= 0))
        self._read = read
        return {name: lines for name, (_, lines) in read.items()}

    def _files(self) -> Iterator[tuple[str, Path]]:
        for place, folders, files in os.walk(self._folder):
            folders.sort()
            for file in (Path(place, name) for name in sorted(files) if name.endswith(".txt")):
                if file.is_file():  # neither a pipe nor a device
                    yield file.relative_to(self._folder).with_suffix("").as_posix(), file


async def with_wildcards(request: ImageRequest, cards: Callable[[], Cards]) -> ImageRequest:
    """The request, which has a seed, with the wildcards and choices of its prompts drawn, for each picture anew. Raises
    Invalid."""
    if not any(map(may_expand, request.prompts.values())):
        return request
    return await asyncio.to_thread(lambda: _expanded(request, Deck(cards())))


def _expanded(request: ImageRequest, deck: Deck) -> ImageRequest:
    said, room = [], MOST - request.count * sum(map(len, request.prompts.values()))
    for place in range(request.count):
        drawn = {path: _drawn(path, text, deck, request.seed_of(place)) for path, text in request.prompts.items()}
        room -= sum(map(len, drawn.values()))
        if room < 0:
            raise Invalid(f"prompts of all pictures with wildcards have more than {MOST} characters", field="prompt")
        said.append(drawn)
    return request.saying_each(said)


def _drawn(path: str, text: str, deck: Deck, seed: int) -> str:
    """Each prompt is drawn from the beginning, so that both passes of a picture that say the same mean the same."""
    try:
        return expand(text, deck, Random(seed).random)
    except Invalid as error:
        error.field = path
        raise


def _lines(file: Path, room: bool) -> Sequence[str]:
    """The choices in a file; none, and a warning, where it cannot be used."""
    try:
        with file.open("rb") as opened:
            data = opened.read(LARGEST + 1)
        if len(data) > LARGEST or not room:
            raise Invalid(f"files have at most {LARGEST >> 20} MiB, and {TOGETHER >> 20} MiB together")
        lines = [line.strip() for line in data.decode("utf-8-sig").splitlines()]
        return [line for line in lines if line and not line.startswith("#")]
    except (OSError, UnicodeDecodeError, Invalid) as problem:
        log.warning("wildcards without %s: %s", file, problem)
        return ()
