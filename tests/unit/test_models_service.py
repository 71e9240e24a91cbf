"""Models by name: loaded on first use, unloaded least recently used under a budget, never while in use."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from haiga.core.embedding import EmbeddingRequest, Embeddings
from haiga.core.errors import Busy, Failed, NotFound, Unsupported
from haiga.core.generation import Event, Finished, TextRequest, Usage
from haiga.core.ports import ModelCard
from haiga.services import models as module
from haiga.services.models import Models


class Weighing:
    """An engine that only weighs something, and remembers being started and closed."""

    def __init__(self, name: str, memory: int, log: list[str], fails: bool = False) -> None:
        self.card = ModelCard(name, name, 0, 100, 100)
        self.memory = memory
        self._log = log
        self._fails = fails
        self.busy = 0

    async def start(self) -> None:
        await asyncio.sleep(0)
        self._log.append(f"+{self.card.name}")
        if self._fails:
            raise Failed("no weights")

    async def close(self) -> None:
        self._log.append(f"-{self.card.name}")

    async def count(self, request: TextRequest) -> int:
        return 1

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        return Embeddings((), 0)

    async def generate(self, request: TextRequest) -> AsyncGenerator[Event, None]:
        yield Finished("end_turn", Usage())


def offer(log: list[str], budget: int | None = None, **sizes: int) -> Models:
    return Models({name: Weighing(name, size, log) for name, size in sizes.items()}, budget=budget)


async def touch(models: Models, name: str) -> None:
    async with models.use(name):
        pass


def test_the_first_model_is_listed_first() -> None:
    assert ["b", "a"] == [card.name for card in offer([], b=1, a=1).cards()]


def test_an_alias_pattern_answers_unless_a_model_has_the_name() -> None:
    engines = {name: Weighing(name, 1, []) for name in ("claude-real", "starter")}
    models = Models(engines, aliases=[("claude-*", "starter"), ("*", "claude-real")])
    assert ["claude-real", "starter", "claude-real"] == [models.resolve(n) for n in ("claude-real", "claude-x", "gpt")]


def test_an_unknown_name_is_not_found() -> None:
    with pytest.raises(NotFound, match="model: gpt"):
        offer([], a=1).resolve("gpt")


async def test_many_first_uses_load_once() -> None:
    log: list[str] = []
    models = offer(log, a=1)
    await asyncio.gather(*(touch(models, "a") for _ in range(5)))
    assert ["+a"] == log


async def test_the_least_recently_used_is_unloaded_for_one_that_does_not_fit() -> None:
    log: list[str] = []
    models = offer(log, budget=2, a=1, b=1, c=1)
    for name in ("a", "b", "a", "c"):
        await touch(models, name)
    assert ["+a", "+b", "-b", "+c"] == log


async def test_a_model_in_use_is_not_unloaded() -> None:
    log: list[str] = []
    models = offer(log, budget=1, a=1, b=1)
    async with models.use("a"):
        waiting = asyncio.create_task(touch(models, "b"))
        for _ in range(20):
            await asyncio.sleep(0)
        assert ["+a"] == log
    await waiting
    assert ["+a", "-a", "+b"] == log


async def test_waiting_for_memory_ends_in_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.01)
    models = offer([], budget=1, a=1, b=1)
    async with models.use("a"):
        with pytest.raises(Busy):
            await touch(models, "b")
    await touch(models, "b")


async def test_a_model_over_the_whole_budget_says_so() -> None:
    with pytest.raises(Failed, match="over the memory budget"):
        await touch(offer([], budget=1 << 20, a=2 << 20), "a")


async def test_a_failed_start_can_be_tried_again() -> None:
    log: list[str] = []
    engine = Weighing("a", 1, log, fails=True)
    models = Models({"a": engine})
    with pytest.raises(Failed, match="no weights"):
        await touch(models, "a")
    engine._fails = False
    await touch(models, "a")
    assert ["+a", "+a"] == log


async def test_a_cancelled_load_leaves_the_seat_for_the_next() -> None:
    log: list[str] = []
    models = offer(log, a=1)
    first = asyncio.create_task(touch(models, "a"))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await touch(models, "a")
    assert "+a" == log[-1]


def with_embedders(log: list[str], budget: int | None = None) -> Models:
    """`a` writes text and has an embedder of its own, `b` makes embeddings alone, `c` makes none."""
    engines = {name: Weighing(name, 1, log) for name in "ac"}
    embedders = {name: Weighing(f"{name} embedder", 1, log) for name in "ab"}
    return Models(engines, [("vectors", "b")], budget, embedders)


async def test_embeddings_are_loaded_by_themselves_under_the_same_budget() -> None:
    log: list[str] = []
    models = with_embedders(log, budget=1)
    await touch(models, "a")
    async with models.embed("a"):
        pass
    await touch(models, "a")
    assert ["+a", "-a", "+a embedder", "-a embedder", "+a"] == log


async def test_a_model_is_asked_only_for_what_it_does() -> None:
    models = with_embedders([])
    assert ["a", "c", "b embedder"] == [card.name for card in models.cards()]
    with pytest.raises(Unsupported, match="model b makes embeddings only"):
        await touch(models, "vectors")
    with pytest.raises(Unsupported, match="model b makes embeddings only"):
        models.engine("b")
    with pytest.raises(Unsupported, match="model c makes no embeddings"):
        async with models.embed("c"):
            pass
    async with models.loaded("b"):
        assert models.ready
