"""A model under an adapter: the engine of its base, asked for with the adapter's weights beside.

Rule: there is one process, one pool and one queue, the base's. What the adapter has of its own is a name, and the
blocks of keys and values that were computed under it.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

from haiga.core.generation import Event, TextRequest
from haiga.core.load import Load
from haiga.core.ports import ModelCard
from haiga.engines.native.engine import NativeEngine
from haiga.engines.native.protocol import Mounted
from haiga.models.adapters import Adapter, open_adapter

NUMBER = 4  # bytes of a number, whatever the file has


class AdaptedEngine:
    """The model `name`, which is `base` under an adapter."""

    def __init__(self, name: str, base: NativeEngine, adapter: Adapter, created: int) -> None:
        card = base.card
        able, precision = replace(card.capabilities, embeddings=False), f"{card.precision}, adapter {adapter.key}"
        self._card = replace(
            card,
            name=name,
            display_name=name,
            created=created,
            capabilities=able,
            dimensions=0,
            precision=precision,
            parent=card.name,
        )
        self.base = base
        self._mounted = Mounted(str(adapter.directory), adapter.key)

    @property
    def card(self) -> ModelCard:
        return self._card

    @property
    def memory(self) -> int:
        return self.base.memory

    @property
    def busy(self) -> int:
        return self.base.busy

    @property
    def pool(self) -> int:
        """Tokens that the base's KV pool holds."""
        return self.base.pool

    @property
    def load(self) -> Load:
        return self.base.load

    async def count(self, request: TextRequest) -> int:
        return await self.base.count(request)

    async def generate(self, request: TextRequest) -> AsyncGenerator[Event, None]:
        async with aclosing(self.base.generate(request, self._mounted)) as events:
            async for event in events:
                yield event

    async def start(self) -> None:
        await self.base.start()

    async def close(self) -> None:
        await self.base.close()


def open_adapted(name: str, directory: Path, base: NativeEngine) -> AdaptedEngine:
    """`base` under the adapter in `directory`, checked: every tensor is read once. Raises Invalid and Unsupported
    naming the file, the field or the tensor."""
    layers = base.layers
    adapter = open_adapter(directory.resolve(), layers)
    places = {*adapter.ranks, *base.plant.adapted}
    width = sum(layers[place].inner + layers[place].outer for place in places)
    base.expect(places, width * max(adapter.ranks.values()) * (base.plant.slots + 1) * NUMBER)
    return AdaptedEngine(name, base, adapter, int(directory.stat().st_mtime))
