"""Pictures to features, beside the loop: what takes long is done once for each picture, the urgent ones first.

Rule: features are kept by workspace and content up to a number of bytes, the least recently used going first; what a
request uses is its own as long as it runs.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from itertools import count
from queue import PriorityQueue

from haiga.core.pictures import Placed, Seen
from haiga.models.vision.load import Tower
from haiga.models.vision.sight import Features

KEPT = 256 << 20  # bytes of features that no request is using


class Eye:
    """A tower, and the features of what it has seen lately. For one thread."""

    def __init__(self, tower: Tower, kept: int = KEPT) -> None:
        self._tower = tower
        self._limit = kept
        self._known: OrderedDict[tuple[str, str], Features] = OrderedDict()
        self._size = 0
        self.read = 0

    def see(self, placed: Placed, salt: str) -> Seen:
        """The picture in its place. Raises Failed when the tower refuses it."""
        digest = placed.picture.digest
        features = self._known.get((salt, digest))
        if features is None:
            features = self._tower.features(placed.picture)
            self.read += 1
            self._keep((salt, digest), features)
        else:
            self._known.move_to_end((salt, digest))
        return Seen(bytes.fromhex(digest), placed.spans, features, placed.grid, self._tower.sight.mutual)

    def _keep(self, name: tuple[str, str], features: Features) -> None:
        self._known[name] = features
        self._size += features.nbytes
        while self._size > self._limit:
            _, oldest = self._known.popitem(last=False)
            self._size -= oldest.nbytes


class Lane:
    """One thread that works off what it is given: urgent work first, else in order."""

    def __init__(self, name: str) -> None:
        self._work: PriorityQueue[tuple[bool, int, Callable[[], None]]] = PriorityQueue()
        self._numbers = count()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def put(self, urgent: bool, work: Callable[[], None]) -> None:
        """Have `work` done; it must not raise."""
        self._work.put((not urgent, next(self._numbers), work))

    def _run(self) -> None:
        while True:
            _, _, work = self._work.get()
            work()
