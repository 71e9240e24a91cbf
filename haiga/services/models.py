"""Model names to running engines: loaded on first use, unloaded least recently used under a memory budget.

Rule: an engine in use is never unloaded. Whoever wants a model that does not fit waits for another to fall idle.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from haiga.core.errors import Busy, Failed, Invalid, NotFound, Unsupported
from haiga.core.load import Load
from haiga.core.ports import Elsewhere, Embedder, Engine, ImageEngine, ModelCard
from haiga.core.records import Price

PATIENCE = 30.0  # seconds that a request waits for memory before it is told to come back


@dataclass(slots=True)
class _Seat:
    """One model's place: its engine, who uses it now, and when it was last asked for."""

    engine: Engine | Embedder | ImageEngine
    state: Literal["cold", "loading", "ready", "unloading"] = "cold"
    users: int = 0
    last_used: int = 0

    @property
    def resident(self) -> bool:
        return self.state != "cold"

    @property
    def idle(self) -> bool:
        return self.state == "ready" and self.users == 0


class Models:
    """The models this server offers, first added first listed, those that only make embeddings last.

    `aliases` maps patterns ("claude-*") to names, first match wins, a real name beats any pattern. `budget` bounds
    the memory of loaded engines in bytes; None leaves it to the machine. `embedders` make the embeddings of the models
    of their names; one is loaded and unloaded by itself, as an engine is. A model whose card has a `parent` is loaded
    and unloaded with that one; such models come and go. `elsewhere` are models that are not here, and so are neither
    loaded nor in the budget; names and aliases of this server come before theirs. `painters` make pictures, under the
    same budget as all others.
    """

    def __init__(
        self,
        engines: Mapping[str, Engine],
        aliases: Sequence[tuple[str, str]] = (),
        budget: int | None = None,
        embedders: Mapping[str, Embedder] | None = None,
        elsewhere: Elsewhere | None = None,
        painters: Mapping[str, ImageEngine] | None = None,
    ) -> None:
        self._engines, self._embedders = dict(engines), dict(embedders or {})
        self._writing = {name: _Seat(engine) for name, engine in self._engines.items() if not engine.card.parent}
        own = tuple(self._writing.values())
        self._writing |= {name: self._writing[e.card.parent] for name, e in self._engines.items() if e.card.parent}
        self._embedding = {name: _Seat(embedder) for name, embedder in self._embedders.items()}
        self._painters = dict(painters or {})
        self._painting = {name: _Seat(painter) for name, painter in self._painters.items()}
        self._seats = (*own, *self._embedding.values(), *self._painting.values())
        self._aliases = tuple(aliases)
        self._budget = budget
        self._elsewhere = elsewhere
        self._changed = asyncio.Condition()
        self._clock = 0
        self.ready = False
        """Whether a model has been loaded since the start."""

    def rename(self, aliases: Sequence[tuple[str, str]]) -> None:
        """Answer to other names from now on."""
        self._aliases = tuple(aliases)

    def check(self, aliases: Sequence[tuple[str, str]]) -> None:
        """Raises Invalid for an alias of a model that is not there."""
        for pattern, name in aliases:
            if not self._has(name):
                raise Invalid(f"{pattern}={name}: there is no model {name}", field="aliases")

    def cards(self) -> list[ModelCard]:
        alone = [embedder.card for name, embedder in self._embedders.items() if name not in self._engines]
        own = [
            *(engine.card for engine in self._engines.values()),
            *alone,
            *(each.card for each in self._painters.values()),
        ]
        taken = {card.name for card in own}
        away = self._elsewhere.cards() if self._elsewhere else ()
        return [*own, *(card for card in away if card.name not in taken)]

    def resolve(self, name: str) -> str:
        """The name of the model that answers to `name`. Raises NotFound in the API's words."""
        if self._has(name):
            return name
        for pattern, target in self._aliases:
            if fnmatchcase(name, pattern):
                return target
        if self._away(name):
            return name
        raise NotFound(f"model: {name}")

    def _has(self, name: str) -> bool:
        return name in self._writing or name in self._embedding or name in self._painting

    def _away(self, name: str) -> Engine | None:
        """Who answers to a name elsewhere."""
        return self._elsewhere.engine(name) if self._elsewhere else None

    def card(self, name: str) -> ModelCard:
        resolved = self.resolve(name)
        if not self._has(resolved) and (away := self._away(resolved)):
            return away.card
        return (self._engines.get(resolved) or self._embedders.get(resolved) or self._painters[resolved]).card

    def loads(self) -> dict[str, Load]:
        """How busy each model is that is loaded and writes text."""
        own = {name: seat for name, seat in self._writing.items() if seat.engine is self._engines[name]}
        return {name: self._engines[name].load for name, seat in own.items() if seat.state == "ready"}

    def adopt(self, engine: Engine, instead: bool = False) -> None:
        """Offer one more model, which has a parent; `instead` of one of its name that has a parent too. Raises Invalid
        for a name that is taken."""
        name = engine.card.name
        free = not self._has(name)
        if not free and not (instead and name in self._engines and self._engines[name].card.parent):
            raise Invalid(f"there is a model {name} already", field="lora_name")
        self._writing[name] = self._writing[engine.card.parent]
        self._engines[name] = engine

    def abandon(self, name: str) -> None:
        """Offer a model no longer that has a parent; who is being answered still is. Raises NotFound."""
        engine = self._engines.get(name)
        if engine is None or not engine.card.parent:
            raise NotFound(f"adapter: {name}")
        del self._engines[name], self._writing[name]

    def told_price(self, name: str) -> Price | None:
        """What whoever runs a model elsewhere says that it costs."""
        try:
            return self.card(name).price
        except NotFound:
            return None

    def take_tools(self, name: str) -> bool:
        """Whether the model that answers to `name` can be given tools. Raises NotFound."""
        return self.card(name).capabilities.tools

    def engine(self, name: str) -> Engine:
        """The engine for work that needs no loaded weights (counting). Raises NotFound and Unsupported."""
        resolved = self._writer(name)
        return self._engines.get(resolved) or self._there(resolved)

    def _there(self, name: str) -> Engine:
        engine = self._away(name)
        if engine is None:
            raise NotFound(f"model: {name}")
        return engine

    @asynccontextmanager
    async def use(self, name: str) -> AsyncIterator[Engine]:
        """The engine behind a name, loaded, and kept loaded until the block ends.

        Raises NotFound, Unsupported when the model writes no text, Busy when no memory came free in time, and whatever
        the engine's start raises.
        """
        resolved = self._writer(name)
        if resolved not in self._engines:
            yield self._there(resolved)
            return
        engine = self._engines[resolved]  # it may be abandoned while its parent is loaded
        async with self._held(self._writing[resolved]):
            yield engine

    @asynccontextmanager
    async def embed(self, name: str) -> AsyncIterator[Embedder]:
        """Who makes the embeddings of the model behind a name, as `use`."""
        resolved = self.resolve(name)
        if resolved not in self._embedders:
            away = self._elsewhere.embedder(resolved) if self._elsewhere and resolved not in self._engines else None
            if away is None:
                raise Unsupported(f"model {resolved} makes no embeddings", field="model")
            yield away
            return
        async with self._held(self._embedding[resolved]):
            yield self._embedders[resolved]

    @asynccontextmanager
    async def paint(self, name: str) -> AsyncIterator[ImageEngine]:
        """Who makes the pictures of the model behind a name, as `use`."""
        resolved = self.resolve(name)
        if resolved not in self._painters:
            raise Unsupported(f"model {resolved} makes no pictures", field="model")
        async with self._held(self._painting[resolved]):
            yield self._painters[resolved]

    def painters_loaded(self) -> set[str]:
        """The models that can make pictures at once."""
        return {name for name, seat in self._painting.items() if seat.state == "ready"}

    @asynccontextmanager
    async def loaded(self, name: str | None) -> AsyncIterator[None]:
        """Have a model loaded, whatever it does, until the block ends; None where all of them run elsewhere. Raises as
        `use`."""
        if name is None:
            self.ready = True
            yield
            return
        resolved = self.resolve(name)
        seat = self._writing.get(resolved) or self._embedding.get(resolved) or self._painting[resolved]
        async with self._held(seat):
            yield

    def _writer(self, name: str) -> str:
        resolved = self.resolve(name)
        if resolved in self._embedders and resolved not in self._engines:
            raise Unsupported(f"model {resolved} makes embeddings only, it writes no text", field="model")
        if resolved in self._painters:
            raise Unsupported(f"model {resolved} makes pictures only, it writes no text", field="model")
        return resolved

    @asynccontextmanager
    async def _held(self, seat: _Seat) -> AsyncIterator[None]:
        await self._acquire(seat)
        try:
            yield
        finally:
            await self._release(seat)

    async def close(self) -> None:
        """Unload everything, whether in use or not."""
        if self._elsewhere:
            await self._elsewhere.close()
        await asyncio.gather(*(seat.engine.close() for seat in self._seats if seat.resident))

    async def _acquire(self, seat: _Seat) -> None:
        async with self._changed:
            self._clock += 1
            seat.last_used = self._clock
            seat.users += 1
        try:
            await self._ready(seat)
        except BaseException:
            await self._release(seat)
            raise

    async def _release(self, seat: _Seat) -> None:
        async with self._changed:
            seat.users -= 1
            self._changed.notify_all()

    async def _ready(self, seat: _Seat) -> None:
        """Return once the seat is ready, loading it if nobody else does."""
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: seat.state in ("cold", "ready"))
                if seat.state == "ready":
                    return
                seat.state = "loading"
            await self._load(seat)

    async def _load(self, seat: _Seat) -> None:
        outcome: Literal["cold", "ready"] = "cold"
        try:
            await self._make_room(seat)
            await seat.engine.start()
            outcome = "ready"
        finally:
            await self._settle(seat, outcome)

    async def _settle(self, seat: _Seat, state: Literal["cold", "ready"]) -> None:
        async with self._changed:
            seat.state = state
            self.ready = self.ready or state == "ready"
            self._changed.notify_all()

    async def _make_room(self, seat: _Seat) -> None:
        if self._budget is None:
            return
        name, need = seat.engine.card.name, seat.engine.memory
        if need > self._budget:
            raise Failed(f"model {name} needs {need >> 20} MiB, over the memory budget of {self._budget >> 20} MiB")
        while (victim := await self._victim(seat)) is not None:
            try:
                await victim.engine.close()
            finally:
                await self._settle(victim, "cold")

    async def _victim(self, seat: _Seat) -> _Seat | None:
        """The seat to unload next so that `seat` fits; None when it fits. Waits while every other one is in use."""
        try:
            async with asyncio.timeout(PATIENCE), self._changed:
                await self._changed.wait_for(lambda: self._fits(seat) or self._idle())
                if self._fits(seat):
                    return None
                victim = min(self._idle(), key=lambda other: other.last_used)
                victim.state = "unloading"
                return victim
        except TimeoutError:
            raise Busy(f"no memory came free for model {seat.engine.card.name}", retry_after=PATIENCE) from None

    def _fits(self, seat: _Seat) -> bool:
        others = sum(other.engine.memory for other in self._seats if other.resident and other is not seat)
        return self._budget is None or others + seat.engine.memory <= self._budget

    def _idle(self) -> list[_Seat]:
        return [seat for seat in self._seats if seat.idle]
