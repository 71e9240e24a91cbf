"""The table's beginning: rows whose means are what each word means.

Rule: of the words' vectors the directions in which they differ most are kept, as many as the table is wide.
"""

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from haiga.text.grams import Grams
from trainers.moderation.network import Network

STEPS = 900
BATCH = 2048
SPREAD = 0.3  # of the targets, as rows are spread that begin by chance


def begin(network: Network, words: Mapping[str, NDArray[np.float32]], seed: int) -> float:
    """Fit the table to the words' vectors. Returns the share of their variance that is then explained."""
    shape, chance = network.shape, np.random.default_rng(seed)
    wanted = torch.from_numpy(_main(np.stack(list(words.values())).astype(np.float32), shape.width))
    grams = Grams(shape.rows, shape.grams)
    rows = torch.from_numpy(grams.table(list(words), len(words))).long()
    optimizer = torch.optim.SparseAdam(network.table.parameters(), lr=0.02)
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = 0.02 * (1 - step / STEPS) + 1e-4
        pick = torch.from_numpy(chance.choice(len(words), min(BATCH, len(words)), replace=False))
        loss = F.mse_loss(network.table(rows[pick]), wanted[pick])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        return 1 - float(F.mse_loss(network.table(rows), wanted) / wanted.var(0).mean())


def _main(vectors: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """The first `width` principal components, [N, width], evened out by half (arXiv 1702.01417 drops the largest)."""
    centred = vectors - vectors.mean(0)
    values, axes = np.linalg.eigh(centred.T @ centred / len(vectors))
    found = centred @ axes[:, ::-1][:, :width] / values[::-1][:width] ** 0.25
    spread: NDArray[np.float32] = (found / found.std() * SPREAD).astype(np.float32)
    return spread
