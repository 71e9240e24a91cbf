"""The adapters of an engine process: opened when a request first names one, and the graph with a place for them.

Rule: nothing here runs on the loop's thread, so that nobody waits but the requests that want the adapter. For an
adapter of a layer that the graph has no place for, the graph is built anew from the packed weights that are there,
while the old one goes on; keys and values stay.
"""

from collections import OrderedDict
from collections.abc import Mapping
from functools import cached_property, partial
from pathlib import Path

from haiga.batching.loop import Loop
from haiga.core.errors import Failed
from haiga.engines.native.protocol import Mounted
from haiga.engines.native.runner import OpenVINORunner
from haiga.models.adapters import Adapter, Linear, linear_layers, open_adapter
from haiga.models.sources import open_tensors

_OPEN = 256  # adapters kept open; those that run stay open besides


class Mounting:
    """The adapters over the model in `directory`, which `runner` runs in `loop`."""

    def __init__(self, directory: Path, runner: OpenVINORunner, loop: Loop) -> None:
        self._directory, self._runner, self._loop = directory, runner, loop
        self._open: OrderedDict[str, Adapter] = OrderedDict()
        self._places = runner.adapted

    def at_hand(self, wanted: Mounted) -> Adapter | None:
        """The adapter, if it is open."""
        return self._open.get(wanted.key)

    def mount(self, wanted: Mounted) -> Adapter:
        """The adapter, opened if need be; for one thread. Raises Invalid and Unsupported for its files, Failed when
        they are not what was added."""
        if wanted.key not in self._open:
            adapter = open_adapter(Path(wanted.directory), self._layers)
            if adapter.key != wanted.key:
                raise Failed(f"the files of the adapter in {wanted.directory} have changed since it was added")
            self._make_place(adapter)
            self._open[wanted.key] = adapter
        self._open.move_to_end(wanted.key)
        if len(self._open) > _OPEN:
            self._open.popitem(last=False)
        return self._open[wanted.key]

    @cached_property
    def _layers(self) -> Mapping[str, Linear]:
        return linear_layers(open_tensors(self._directory))

    def _make_place(self, adapter: Adapter) -> None:
        if adapter.ranks.keys() <= self._places:
            return
        places = self._places | adapter.ranks.keys()
        loaded = self._runner.rebuilt(places)
        self._loop.call(partial(self._runner.adopt, loaded))
        self._places = places
