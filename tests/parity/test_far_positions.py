"""A rope turns by the distance of two tokens: far from the beginning the same tokens say the same in any arithmetic."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from haiga.core.ports import Row
from haiga.engines.native.runner import OpenVINORunner
from haiga.models.weights import Packing
from tests.checkpoints import make_checkpoint, random_tokens

COUNT, SURE = 160, 40  # tokens, of which the last see nothing from before the first: two layers with a window of 40
FAR = 32 * 6000


def last(runner: OpenVINORunner, past: int) -> NDArray[np.float32]:
    blocks = [5] * (past // 32) + list(range(5))
    return runner.step([Row(random_tokens(COUNT), past, blocks, SURE)]).copy()


@pytest.mark.parametrize(("weights", "bound"), [("f32", 0.02), ("bf16", 0.06), ("int8", 0.06)])
def test_the_same_tokens_say_the_same_at_position_192000(tmp_path: Path, weights: Packing, bound: float) -> None:
    directory = make_checkpoint(tmp_path, "mistral", sliding_window=40, max_position_embeddings=FAR + 1000)
    runner = OpenVINORunner.load(directory, weights, "u8" if weights != "f32" else "f32", blocks=6, exact=False)
    runner.step([Row(random_tokens(32), 0, [5], 0)])
    near, far = last(runner, 0), last(runner, FAR)
    runner.close()
    assert bound > (far - near).std() / near.std()
