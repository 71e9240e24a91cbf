"""LoRA adapters against transformers with the same product merged into its weights, mixed in one batch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from haiga.batching.blocks import BlockPool
from haiga.batching.scheduler import Scheduler
from haiga.batching.sequence import Request
from haiga.core.ports import Adapter, Row
from haiga.engines.native.runner import OpenVINORunner
from haiga.models.adapters import linear_layers, open_adapter
from haiga.models.sources import open_tensors
from tests.adapters import ALL, ATTENTION, make_adapter, merged
from tests.checkpoints import load_reference, make_checkpoint, random_tokens, reference_logits

Array = np.ndarray[Any, np.dtype[np.float32]]
FAMILIES: dict[str, tuple[dict[str, Any], Sequence[str]]] = {
    "llama": ({}, ALL),
    "qwen2": ({}, ALL),
    "gemma3_text": (
        {"head_dim": 16, "sliding_window": 32, "layer_types": ["sliding_attention", "full_attention"]},
        ALL,
    ),
    "phi3": ({}, ("qkv_proj", "o_proj", "gate_up_proj", "down_proj")),
    "qwen3_moe": (
        {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "head_dim": 16},
        ATTENTION,
    ),
    "olmo2": ({}, ALL),
}


def opened(base: Path, *directories: Path) -> list[Adapter]:
    layers = linear_layers(open_tensors(base))
    return [open_adapter(directory, layers) for directory in directories]


def adapted(adapters: Sequence[Adapter]) -> set[str]:
    return {layer for adapter in adapters for layer in adapter.ranks}


def prompt(at: int) -> list[int]:
    return random_tokens(40 + 17 * at, at)


def run(runner: OpenVINORunner, wanted: Sequence[Adapter | None], chunks: Sequence[int]) -> list[Array]:
    """Logits of every position of prompt(at) for each sequence at, in steps of so many tokens of each."""
    past, found = 0, [[] for _ in wanted]  # type: list[list[Array]]
    for count in chunks:
        pieces = [prompt(at)[past : past + count] for at in range(len(wanted))]
        rows = [
            Row(piece, past, range(4 * at, 4 * at + 4), len(piece), adapter=adapter)
            for at, (piece, adapter) in enumerate(zip(pieces, wanted, strict=True))
            if piece
        ]
        logits = runner.step(rows)
        ends = np.cumsum([row.sampled for row in rows])[:-1]
        own = [at for at, piece in enumerate(pieces) if piece]
        for at, part in zip(own, np.split(logits, ends), strict=True):
            found[at].append(part.copy())
        past += count
    return [np.concatenate(parts) for parts in found]


@pytest.mark.parametrize("family", FAMILIES)
def test_adapters_mixed_in_a_batch_give_the_logits_of_merged_weights(tmp_path: Path, family: str) -> None:
    config, targets = FAMILIES[family]
    base = make_checkpoint(tmp_path / "base", family, num_hidden_layers=2, **config)
    wide = make_adapter(tmp_path / "wide", base, targets, rank=6, seed=1)
    thin = make_adapter(tmp_path / "thin", base, targets[:2], rank=3, alpha=5, seed=2)
    first, second = opened(base, wide, thin)
    wanted = [first, None, second, first]
    models = [merged(base, wide), load_reference(base), merged(base, thin), merged(base, wide)]
    expected = [reference_logits(model, prompt(at)) for at, model in enumerate(models)]
    for exact in (True, False):
        runner = OpenVINORunner.load(base, "f32", "f32", 16, adapted=adapted([first, second]), exact=exact)
        for chunks in ([200], [7, 1, 30, 200]):
            actual = run(runner, wanted, chunks)
            for ours, theirs in zip(actual, expected, strict=True):
                np.testing.assert_allclose(ours, theirs, atol=3e-4)
        runner.close()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("adapted") / "base"
    return make_checkpoint(directory, hidden_size=128, intermediate_size=384, head_dim=64)


def several(base: Path, count: int, **more: Any) -> list[Adapter]:
    """Adapters of different ranks."""
    made = [make_adapter(base.parent / f"{at}", base, rank=2 + at, seed=at, **more) for at in range(count)]
    return opened(base, *made)


def test_f32_logits_under_an_adapter_are_bit_identical_whatever_else_runs(base: Path) -> None:
    first, second = several(base, 2)
    runner = OpenVINORunner.load(base, "f32", "f32", 16, adapted=adapted([first, second]))
    alone = run(runner, [second], [1] * 40)[0]
    for wanted, chunks in (([second], [40]), ([second, first, None, second], [20, 20, 100]), ([second, None], [7, 99])):
        np.testing.assert_array_equal(run(runner, wanted, chunks)[0], alone)
    runner.close()


def test_a_base_beside_adapters_answers_as_one_that_has_none(base: Path) -> None:
    adapters = several(base, 2)
    plain = OpenVINORunner.load(base, "f32", "f32", 16)
    expected = run(plain, [None], [40])[0]
    runner = OpenVINORunner.load(base, "f32", "f32", 16, adapted=adapted(adapters))
    np.testing.assert_array_equal(run(runner, [None], [40])[0], expected)
    np.testing.assert_array_equal(run(runner, [None, *adapters], [30, 100])[0], expected)
    plain.close()
    runner.close()


@pytest.mark.parametrize("exact", [True, False])
def test_more_adapters_than_slots_run_in_parts(base: Path, exact: bool) -> None:
    adapters = several(base, 3)
    runner = OpenVINORunner.load(base, "f32", "f32", 16, adapted=adapted(adapters), slots=2, exact=exact)
    expected = [run(runner, [None] * at + [each], [200])[at] for at, each in enumerate(adapters)]
    for actual, wanted in zip(run(runner, adapters, [5, 200]), expected, strict=True):
        np.testing.assert_allclose(actual, wanted, atol=1e-4)
    runner.close()


def test_who_is_sent_back_for_blocks_goes_on_under_its_own_adapter(base: Path) -> None:
    adapters = several(base, 3)
    runner = OpenVINORunner.load(base, "f32", "f32", 7, adapted=adapted(adapters), slots=2)
    requests = [
        Request(f"{at}", tuple(random_tokens(40, at)), 30, salt=bytes([at]), adapter=adapter)
        for at, adapter in enumerate([*adapters, None])
    ]
    _, alone = zip(*(answers(runner, [each]) for each in requests), strict=True)
    preemptions, together = answers(runner, requests)
    assert preemptions > 0
    assert {name: tokens for one in alone for name, tokens in one.items()} == together
    assert len(set(map(tuple, together.values()))) == len(requests)
    runner.close()


def answers(runner: OpenVINORunner, requests: Sequence[Request]) -> tuple[int, dict[str, list[int]]]:
    """How often somebody was sent back, and the greedy answers."""
    scheduler = Scheduler(BlockPool(runner.blocks, 32), 64, 4, 256, slots=2)
    for request in requests:
        scheduler.add(request)
    told: dict[str, list[int]] = {request.id: [] for request in requests}
    while scheduler.running + scheduler.waiting:
        plan = scheduler.plan(0.0)
        for advance in scheduler.commit(plan, [[int(row.argmax())] for row in runner.step(plan.rows)], 0.0):
            told[advance.id] += advance.tokens
    return scheduler.preemptions, told


def test_an_adapter_over_packed_weights_adds_what_it_adds_in_floats(base: Path) -> None:
    (adapter,) = several(base, 1, spread=0.1)
    runner = OpenVINORunner.load(base, "int8", "u8", 16, adapted=adapted([adapter]))
    with_it, without = run(runner, [adapter], [40])[0], run(runner, [None], [40])[0]
    true = reference_logits(merged(base, base.parent / "0"), prompt(0))
    assert (with_it - true).std() < 0.15 * true.std()
    assert (without - true).std() > 0.5 * true.std()
    runner.close()


def test_ranks_and_scales_of_single_layers_and_stabilised_ones_are_peft_s(base: Path) -> None:
    directory = make_adapter(base.parent / "stable", base, rank=4, alpha=6, use_rslora=True)
    (adapter,) = opened(base, directory)
    runner = OpenVINORunner.load(base, "f32", "f32", 16, adapted=adapter.ranks.keys())
    expected = reference_logits(merged(base, directory, scale=6 / 4**0.5), prompt(0))
    np.testing.assert_allclose(run(runner, [adapter], [40])[0], expected, atol=3e-4)
    runner.close()
