"""Pools: memory goes to both kinds of layers as they need it."""

from dataclasses import replace

import pytest

from haiga.batching.blocks import BlockPool
from haiga.batching.local import least_blocks
from haiga.batching.scheduler import Scheduler
from haiga.batching.sequence import Request
from haiga.core.errors import Invalid
from haiga.core.generation import Sampling
from haiga.core.ports import Horizon
from haiga.engines.native.pools import POOL_LIMIT, Pools, plan_pools, pool_bytes
from haiga.models.description import Description
from haiga.models.load import CacheType

PLAIN = Description("LlamaForCausalLM", 4, 2, 64, 256, 300, 4096, (), None, Sampling(), ((8, 8),), (), 0)
LOCAL = replace(PLAIN, horizon=Horizon(128, chunked=True), local_layers=3)
CONTEXT, BUDGET = 4096, 512
CACHES: tuple[CacheType, CacheType] = ("u8", "u4")


def test_a_model_without_local_layers_has_one_pool_of_two_contexts() -> None:
    assert Pools(256, 0) == plan_pools(PLAIN, "u8", CONTEXT, None, BUDGET)


@pytest.mark.parametrize("memory", [1 << 20, 8 << 20, 100 << 20])
def test_what_is_asked_for_is_used_up_and_not_more(memory: int) -> None:
    for description in (PLAIN, LOCAL):
        pools = plan_pools(description, "u8", CONTEXT, memory, BUDGET)
        taken = pool_bytes(description, "u8", pools.blocks, pools.local)
        assert 0 <= memory - taken < 32 * (description.kv_bytes("u8") + description.local_kv_bytes("u8"))


def test_local_layers_leave_more_room_for_long_texts() -> None:
    memory = 64 << 20
    plain, local = (plan_pools(each, "u8", CONTEXT, memory, BUDGET) for each in (PLAIN, LOCAL))
    assert 16 * least_blocks(Horizon(128, chunked=True), BUDGET, 32) == local.local
    assert 2 * plain.blocks < local.blocks


def test_there_is_a_limit_that_nobody_need_ask_for() -> None:
    for description in (PLAIN, LOCAL):
        pools = plan_pools(description, "u8", 100_000_000, None, BUDGET)
        assert POOL_LIMIT >= pool_bytes(description, "u8", pools.blocks, pools.local)


@pytest.mark.parametrize("cache", ["f32", "u8", "u4"])
@pytest.mark.parametrize("memory", [300_000, 700_000, 900_000, 3 << 20, 40 << 20])
def test_a_pool_that_is_granted_serves_a_sequence_of_the_context_told(memory: int, cache: CacheType) -> None:
    try:
        pools = plan_pools(LOCAL, cache, CONTEXT, memory, BUDGET)
    except Invalid:
        needed = least_blocks(Horizon(128, chunked=True), BUDGET, 32)
        assert memory < pool_bytes(LOCAL, cache, 2, needed)
        return
    told = min(CONTEXT, 32 * pools.blocks)
    assert memory >= pool_bytes(LOCAL, cache, pools.blocks, pools.local)
    whole, near = BlockPool(pools.blocks, 32), BlockPool(pools.local, 32)
    scheduler = Scheduler(whole, BUDGET, 4, CONTEXT, horizon=LOCAL.horizon, local=near)
    scheduler.add(Request("", tuple(range(told - 1)), 1))
    while scheduler.running + scheduler.waiting:
        plan = scheduler.plan(0.0)
        scheduler.commit(plan, [[1] for _ in plan.sampled], 0.0)
    assert (told, pools.blocks) == (scheduler.context, whole.free_count)


def test_u4_has_room_for_almost_twice_the_text_of_u8() -> None:
    coarse, coarser = (plan_pools(PLAIN, cache, 1 << 20, 8 << 20, BUDGET).blocks for cache in CACHES)
    assert 1.7 < coarser / coarse < 2


def test_memory_for_less_than_two_blocks_is_refused() -> None:
    with pytest.raises(Invalid, match="1000 bytes hold no two blocks of"):
        plan_pools(LOCAL, "u8", CONTEXT, 1000, BUDGET)
