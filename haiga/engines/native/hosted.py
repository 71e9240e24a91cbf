"""What every model run by a process of its own has: its card, its memory, its process, and how many ask it now."""

from collections.abc import Iterator
from contextlib import contextmanager

from haiga.core.ports import ModelCard
from haiga.engines.native.lanes import Lanes
from haiga.engines.native.process import EngineProcess


class Hosted:
    """`command` starts the process; `memory` is the bytes it is expected to hold (weights, KV pool, overhead); `saving`
    is the seconds that the process may take to save things at its end."""

    def __init__(self, card: ModelCard, command: list[str], memory: int, saving: float = 0.0) -> None:
        self._card = card
        self._memory = memory
        self._busy = 0
        self._process = EngineProcess(card.name, command, saving)
        self._lanes = Lanes()

    @property
    def card(self) -> ModelCard:
        return self._card

    @property
    def memory(self) -> int:
        return self._memory

    @property
    def busy(self) -> int:
        return self._busy

    @property
    def process(self) -> EngineProcess:
        return self._process

    async def start(self) -> None:
        ready = await self._process.start()
        self._memory = max(self._memory, ready.memory)  # the KV pool's pages come in as they are first used

    async def close(self) -> None:
        await self._process.close()

    @contextmanager
    def _place(self) -> Iterator[None]:
        """A place among the requests under way."""
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1
