"""What every model run by a process of its own has beside its standing: that process, and threads for its texts."""

from haiga.core.ports import ModelCard
from haiga.engines.native.lanes import Lanes
from haiga.engines.native.process import EngineProcess
from haiga.engines.standing import Standing


class Hosted(Standing):
    """`command` starts the process; `memory` is the bytes it is expected to hold (weights, KV pool, overhead); `saving`
    is the seconds that the process may take to save things at its end."""

    def __init__(self, card: ModelCard, command: list[str], memory: int, saving: float = 0.0) -> None:
        super().__init__(card, memory)
        self._process = EngineProcess(card.name, command, saving)
        self._lanes = Lanes()

    @property
    def process(self) -> EngineProcess:
        return self._process

    async def start(self) -> None:
        ready = await self._process.start()
        self._memory = max(self._memory, ready.memory)  # the KV pool's pages come in as they are first used

    async def close(self) -> None:
        await self._process.close()
