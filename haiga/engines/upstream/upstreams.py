"""All upstreams together; implements core.ports.Elsewhere.

Rule: a name goes to the first upstream that offers it. An offline server asks none but those on this machine.
"""

import asyncio
import ipaddress
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from haiga.core.embedding import EmbeddingRequest, Embeddings
from haiga.core.errors import Unsupported
from haiga.core.generation import Event, TextRequest
from haiga.core.load import Load
from haiga.core.ports import Embedder, Engine, ModelCard
from haiga.core.upstreams import KnownModel, Upstream
from haiga.engines.upstream.breaker import Breakers
from haiga.engines.upstream.engine import FORMS, MODEST, Counts, UpstreamEngine, card
from haiga.engines.upstream.line import Line


class Upstreams:
    """`keys` are by an upstream's name, `tags` gives those of a model. `clock` gives seconds, for breakers."""

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        keys: Mapping[str, str] | None = None,
        *,
        offline: bool = False,
        tags: Callable[[str], tuple[str, ...]] = lambda name: (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        keys = keys or {}
        self._lines = [Line(upstream, keys.get(upstream.name)) for upstream in upstreams]
        self._breakers = {upstream.name: Breakers(clock) for upstream in upstreams}
        self._counts = {upstream.name: Counts() for upstream in upstreams}
        self._known = {upstream.name: {told.name: told for told in upstream.known} for upstream in upstreams}
        self._offline = offline
        self._tags = tags

    @property
    def names(self) -> list[str]:
        """What the upstreams are called, in their order."""
        return [line.upstream.name for line in self._lines]

    def engine(self, name: str) -> Engine | None:
        """Who answers to the name; one that refuses, where this server is offline."""
        return self._there(name)

    def embedder(self, name: str) -> Embedder | None:
        """Who makes the embeddings of the model of that name; None where that API has none."""
        there = self._there(name)
        return None if there is None or there.card.forms == FORMS["anthropic"] else there

    def _there(self, name: str) -> "UpstreamEngine | Unreached | None":
        for line in self._lines:
            upstream = line.upstream
            if theirs := upstream.theirs(name):
                told = self._known[upstream.name].get(theirs)
                own = self._card(name, upstream, told or KnownModel(theirs))
                if self._offline and not is_here(upstream.url):
                    return Unreached(own)
                made = (self._breakers[upstream.name], self._counts[upstream.name])
                return UpstreamEngine(own, theirs, line, *made, (told and told.max_output) or MODEST)
        return None

    def cards(self) -> list[ModelCard]:
        """The models that are known by name, an upstream's together; of two that are called alike here, the first."""
        found: dict[str, ModelCard] = {}
        for line in self._lines:
            upstream = line.upstream
            if self._offline and not is_here(upstream.url):
                continue
            for name, told in _offered(upstream, self._known[upstream.name]):
                found.setdefault(name, self._card(name, upstream, told))
        return list(found.values())

    def _card(self, name: str, upstream: Upstream, told: KnownModel) -> ModelCard:
        return replace(card(name, upstream, told), tags=self._tags(name))

    async def close(self) -> None:
        await asyncio.gather(*(line.close() for line in self._lines))


def _offered(upstream: Upstream, known: Mapping[str, KnownModel]) -> list[tuple[str, KnownModel]]:
    named = [(here, known.get(there, KnownModel(there))) for here, there in upstream.models if "*" not in here]
    return [*named, *((name, told) for told in known.values() if (name := upstream.ours(told.name)))]


class Unreached:
    """A model of an upstream that an offline server does not ask."""

    def __init__(self, card: ModelCard) -> None:
        self.card = card
        self.memory = self.busy = 0
        self.load = Load()

    async def start(self) -> None:
        """There is nothing to start."""

    async def close(self) -> None:
        """There is nothing to end."""

    async def count(self, request: TextRequest) -> int:
        raise self._refusal()

    async def generate(self, request: TextRequest) -> AsyncGenerator[Event, None]:
        raise self._refusal()
        yield

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        raise self._refusal()

    def _refusal(self) -> Unsupported:
        where = f"model {self.card.name} is run by the upstream {self.card.provider}"
        return Unsupported(f"{where}, and this server is offline", field="model", code="upstream_offline")


def is_here(url: str) -> bool:
    """Whether an address is on this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
