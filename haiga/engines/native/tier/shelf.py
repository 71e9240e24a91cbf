"""A directory of KV blocks, one file each, for as many models and processes as there are.

Rule: the files are the only truth. Their ages are their times of last use, the oldest go first when room is needed,
whichever model's they are; any process may write, use and delete them, and none relies on finding one.

    ROOT/<model>/<owner>/<address>.kv, .local     model: a digest of what made the blocks; owner: the mark in addresses
    ROOT/<owner>.deleted                          from its time on, nothing older of this owner may be written
"""

import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import orjson

from haiga.batching.blocks import mark
from haiga.engines.native.tier.files import Content, file_size, read_block, write_block

_ABOUT = "about.json"
_DELETED = ".deleted"
_ROOM = 16  # where there is no room, this part of the limit is made free; after so much others' files are looked at
_STALE = 3600.0  # seconds after which a draft or a sign of deletion means nothing to any process
_SLACK = 0.02  # seconds that a file's time may lie behind the clock
_OWNER = -8  # an address ends with its owner's mark
_BLOCK = re.compile(r"[0-9a-f]{48}\.(kv|local)")
_SIGN = re.compile(r"[0-9a-f]{16}\.deleted")
_FOLDER = re.compile(r"[0-9a-f]{16}|[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class _File:
    used: float
    size: int
    path: Path


class Shelf:
    """The blocks of one model in `root`; `limit` is the bytes of all models' together. identity: what their content
    depends on besides the tokens. sizes: bytes of a block of the pool, and of the local layers' one.

    Several processes that write at once may exceed the limit, each by a sixteenth: after so much it looks again.
    """

    def __init__(self, root: Path, identity: Mapping[str, str], sizes: tuple[int, int], limit: int) -> None:
        self._root, self._sizes, self._limit = root, sizes, limit
        self._identity = orjson.dumps(identity, option=orjson.OPT_SORT_KEYS)
        self._folder = root / sha256(self._identity).hexdigest()[:32]
        self._known: set[tuple[bytes, bool]] = set()
        self._began = time.time()
        self._seen: dict[bytes, float] = {}  # signs of deletion by owner, and the time of each
        self._written = 0  # since the last look
        self.total = 0
        self.evicted = 0
        root.parent.mkdir(parents=True, exist_ok=True)
        root.mkdir(mode=0o700, exist_ok=True)
        self._folder.mkdir(mode=0o700, exist_ok=True)
        (self._folder / _ABOUT).write_bytes(self._identity)
        self._sweep()
        self._trim(0)

    @property
    def capacity(self) -> int:
        """How many blocks of the pool there is room for."""
        return self._limit // (self._sizes[False] or self._sizes[True])

    def has(self, address: bytes, local: bool) -> bool:
        return (address, local) in self._known

    def write(self, address: bytes, local: bool, content: Content, since: float) -> bool:
        """Keep a block that was there at `since`, unless its owner was deleted later or the limit is too low for it;
        whether it is kept. Raises OSError."""
        owner = address[_OWNER:]
        size = file_size(self._identity, len(content))
        stale = self._written + size > self._limit // _ROOM
        if (stale or self.total + size > self._limit) and not self._trim(size):
            return False
        path = self._path(address, local)
        write_block(path, self._identity, address, content)
        self.total += size
        self._written += size
        if self._deleted_at(owner) > min(self._seen.get(owner, self._began), since - _SLACK):
            path.unlink(missing_ok=True)
            return False
        self._known.add((address, local))
        return True

    def touch(self, blocks: Sequence[tuple[bytes, bool]]) -> None:
        """These were used just now; the first count as used last, so that a text's beginning outlasts its end."""
        now = time.time_ns()
        for index, (address, local) in enumerate(blocks):
            with suppress(FileNotFoundError):
                os.utime(self._path(address, local), ns=(now, now - index * 1000))

    def read(self, address: bytes, local: bool) -> Content | None:
        """A block. None where it is damaged: it is deleted then. Raises OSError."""
        path = self._path(address, local)
        try:
            content = read_block(path, self._identity, address, self._sizes[local])
        except OSError:
            self._known.discard((address, local))
            raise
        if content is None:
            self._known.discard((address, local))
            path.unlink(missing_ok=True)
            return None
        return content

    def clear(self) -> None:
        """Delete this model's blocks."""
        self._known.clear()
        for owner in _folders(self._folder):
            shutil.rmtree(owner, ignore_errors=True)
        self.total = sum(file.size for file in self._files())

    def deleted(self) -> list[bytes]:
        """The owners deleted since the last call, or since the start: what is in memory of theirs is to go."""
        gone = []
        for owner, at in ((owner, self._deleted_at(owner)) for owner in _signs(self._root)):
            if at > self._seen.get(owner, self._began):
                self._seen[owner] = at
                gone.append(owner)
        for owner in gone:
            self._known = {each for each in self._known.copy() if each[0][_OWNER:] != owner}
        return gone

    def _deleted_at(self, owner: bytes) -> float:
        try:
            return (self._root / f"{owner.hex()}{_DELETED}").stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def _path(self, address: bytes, local: bool) -> Path:
        name = address[:_OWNER].hex() + (".local" if local else ".kv")
        return self._folder / address[_OWNER:].hex() / name

    def _trim(self, wanted: int) -> bool:
        """See what is there, and delete what was not used for longest until there is room; whether there is."""
        files = sorted(self._files(), key=lambda file: file.used)
        self.total = sum(file.size for file in files)
        if self.total + wanted > self._limit:
            room = max(wanted, self._limit // _ROOM)
            for file in files:
                if self.total + room <= self._limit:
                    break
                file.path.unlink(missing_ok=True)
                self.total -= file.size
                self.evicted += 1
        self._written = 0
        self._known = set(map(_key, self._own()))
        return self.total + wanted <= self._limit

    def _files(self) -> Iterator[_File]:
        for model in _folders(self._root):
            for owner in _folders(model):
                yield from _blocks(owner)

    def _own(self) -> Iterator[Path]:
        for owner in _folders(self._folder):
            yield from (file.path for file in _blocks(owner))

    def _sweep(self) -> None:
        """Drafts that a killed process left, and signs of deletion that every process has seen."""
        old = time.time() - _STALE
        drafts = (each for model in _folders(self._root) for owner in _folders(model) for each in owner.glob(".*"))
        for each in (*drafts, *self._root.glob(f"*{_DELETED}")):
            with suppress(FileNotFoundError):
                if each.stat().st_mtime < old:
                    each.unlink()


def erase(root: Path, workspace: str) -> None:
    """Delete a workspace's blocks of all models, and have running engines forget those that they hold."""
    if not root.is_dir():
        return
    owner = mark(workspace.encode()).hex()
    (root / f"{owner}{_DELETED}").touch(mode=0o600)  # before, so that what is written from now on is deleted again
    for model in _folders(root):
        shutil.rmtree(model / owner, ignore_errors=True)


def forget_model(root: Path, directory: Path) -> None:
    """Delete the blocks that the model in a directory made, under any settings."""
    for folder in _folders(root) if root.is_dir() else ():
        with suppress(FileNotFoundError, orjson.JSONDecodeError):
            if orjson.loads((folder / _ABOUT).read_bytes()).get("model") == str(directory):
                shutil.rmtree(folder, ignore_errors=True)


def _signs(root: Path) -> list[bytes]:
    names = [each.name for each in root.glob(f"*{_DELETED}")]
    return [bytes.fromhex(name.removesuffix(_DELETED)) for name in names if _SIGN.fullmatch(name)]


def _folders(path: Path) -> list[Path]:
    try:
        with os.scandir(path) as entries:
            folders = [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
            return [Path(entry.path) for entry in folders if _FOLDER.fullmatch(entry.name)]
    except FileNotFoundError:
        return []


def _blocks(owner: Path) -> Iterator[_File]:
    try:
        with os.scandir(owner) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    if _BLOCK.fullmatch(entry.name):
                        found = entry.stat(follow_symlinks=False)
                        yield _File(found.st_mtime, found.st_size, Path(entry.path))
    except FileNotFoundError:  # erased meanwhile
        return


def _key(path: Path) -> tuple[bytes, bool]:
    return bytes.fromhex(path.stem) + bytes.fromhex(path.parent.name), path.suffix == ".local"
