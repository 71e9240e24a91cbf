"""Pools: memory goes to both kinds of layers as they need it."""

from dataclasses import replace

import pytest

from haiga.batching.local import least_blocks
from haiga.core.errors import Invalid
from haiga.core.generation import Sampling
from haiga.core.ports import Horizon
from haiga.engines.native.pools import POOL_LIMIT, Pools, plan_pools, pool_bytes
from haiga.models.description import Description

PLAIN = Description("LlamaForCausalLM", 4, 2, 64, 256, 300, 4096, (), None, Sampling(), ((8, 8),), (), 0)
LOCAL = replace(PLAIN, horizon=Horizon(128, chunked=True), local_layers=3)
CONTEXT, BUDGET = 4096, 512


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


def test_memory_for_less_than_two_blocks_is_refused() -> None:
    with pytest.raises(Invalid, match="1000 bytes hold no two blocks of"):
        plan_pools(LOCAL, "u8", CONTEXT, 1000, BUDGET)
