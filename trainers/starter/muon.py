"""Muon: momentum whose update is made orthogonal (kellerjordan.github.io/posts/muon, arXiv 2502.16982).

Rule: only plain products of contiguous bfloat16 matrices, which are what is fast on a CPU.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonal(matrix: Tensor, iterations: int = 5) -> Tensor:
    """A nearly orthogonal matrix with the same singular vectors, by Newton-Schulz in bfloat16."""
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix).to(torch.bfloat16).contiguous()
    x = x / (float(matrix.norm()) + 1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(iterations):
        square = x @ x.T
        x = a * x + (b * square + c * (square @ square)) @ x
    return (x.T if tall else x).to(matrix.dtype)


class Muon(torch.optim.Optimizer):
    """For matrices only. The update has the root mean square 0.2 that AdamW's usually has, so rates carry over."""

    def __init__(self, matrices: Sequence[torch.nn.Parameter], lr: float, momentum: float, weight_decay: float) -> None:
        super().__init__(matrices, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for matrix in group["params"]:
                self.turn(matrix, group["lr"], group["momentum"], group["weight_decay"])

    def turn(self, matrix: torch.nn.Parameter, lr: float, momentum: float, weight_decay: float) -> None:
        gradient = matrix.grad
        if gradient is None:
            return
        mean: Tensor = self.state[matrix].setdefault("mean", torch.zeros_like(gradient))
        mean.lerp_(gradient, 1 - momentum)
        size = lr * 0.2 * max(matrix.shape) ** 0.5
        matrix.mul_(1 - lr * weight_decay).add_(orthogonal(gradient.lerp(mean, momentum)), alpha=-size)
