"""Local layers keep what they see and no more: long answers over a pool of a few blocks agree with transformers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from haiga.batching.blocks import BlockPool
from haiga.batching.local import least_blocks
from haiga.batching.scheduler import Scheduler
from haiga.batching.sequence import Request
from haiga.engines.native.runner import OpenVINORunner
from haiga.models.description import describe
from tests.checkpoints import load_reference, make_checkpoint, random_tokens, reference_logits

BUDGET = 48
LLAMA4 = {
    "num_local_experts": 4,
    "intermediate_size_mlp": 96,
    "attention_chunk_size": 64,
    "num_hidden_layers": 4,
    "floor_scale": 16,
}
MIXED = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 40}
CASES: dict[str, dict[str, Any]] = {
    "llama4_text": LLAMA4,
    "mistral": {"sliding_window": 40},
    "gpt_oss": {**MIXED, "num_local_experts": 4, "num_experts_per_tok": 2},
}


def run(scheduler: Scheduler, runner: OpenVINORunner, requests: dict[str, list[int]]) -> dict[str, list[int]]:
    """Greedy answers."""
    for name, prompt in requests.items():
        scheduler.add(Request(name, tuple(prompt), 40))
    answers: dict[str, list[int]] = {name: [] for name in requests}
    while scheduler.running + scheduler.waiting:
        plan = scheduler.plan(0.0)
        chosen = [[int(row.argmax())] for row in runner.step(plan.rows)]
        for advance in scheduler.commit(plan, chosen, 0.0):
            answers[advance.id] += advance.tokens
        scheduler.check_integrity()
    return answers


@pytest.mark.parametrize(("kind", "config"), CASES.items(), ids=CASES.keys())
def test_long_answers_agree_while_old_blocks_are_given_back(tmp_path: Path, kind: str, config: dict[str, Any]) -> None:
    directory = make_checkpoint(tmp_path, kind, head_dim=32, **config)
    horizon = describe(directory).horizon
    assert horizon
    least = least_blocks(horizon, BUDGET, 32)
    runner = OpenVINORunner.load(directory, "f32", "f32", blocks=40, local_blocks=least + 2, exact=False)
    pools = BlockPool(runner.blocks, 32), BlockPool(runner.local_blocks, 32)
    scheduler = Scheduler(pools[0], BUDGET, 4, 512, horizon=runner.horizon, local=pools[1])
    requests = {"long": random_tokens(200, 1), "short": random_tokens(20, 2)}
    answers = run(scheduler, runner, requests)
    requests["next"] = [*requests["long"], *answers["long"], *random_tokens(30, 3)]
    answers |= run(scheduler, runner, {"next": requests["next"]})
    runner.close()
    model = load_reference(directory)
    for name, answer in answers.items():
        logits = reference_logits(model, [*requests[name], *answer])[len(requests[name]) - 1 : -1]
        best = logits.max(1)
        np.testing.assert_allclose(logits[np.arange(len(answer)), answer], best, atol=1e-4)


def test_a_layer_that_keeps_to_chunks_costs_nothing_per_token_of_a_long_text(tmp_path: Path) -> None:
    description = describe(make_checkpoint(tmp_path, "llama4_text", head_dim=32, **LLAMA4))
    assert 3 * description.kv_bytes("u8") == description.local_kv_bytes("u8")
