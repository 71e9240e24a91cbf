"""The tower in torch: SigLIP's transformer and Idefics3's connector, written for training speed.

Rule: the numbers here equal those of transformers' Idefics3 on the checkpoint that `network.write` writes.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPS = 1e-6


@dataclass(frozen=True, slots=True)
class Eyes:
    """Sizes of the tower; the defaults have 2.0 million parameters. `fold`: patches along a side that become one token
    of the text model, whose width is `out`."""

    image: int = 80
    patch: int = 10
    fold: int = 2
    width: int = 192
    layers: int = 5
    heads: int = 4
    mlp_width: int = 512
    out: int = 256

    @property
    def side(self) -> int:
        """Patches along a side."""
        return self.image // self.patch

    @property
    def tokens(self) -> int:
        """How many tokens of the text model a picture is."""
        return (self.side // self.fold) ** 2


class Layer(nn.Module):
    """States [batch, patches, width] to the same; every patch sees all."""

    def __init__(self, eyes: Eyes) -> None:
        super().__init__()
        width = eyes.width
        self.heads = eyes.heads
        self.attention_norm = nn.LayerNorm(width, EPS)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.mlp_norm = nn.LayerNorm(width, EPS)
        self.wide = nn.Linear(width, eyes.mlp_width)
        self.narrow = nn.Linear(eyes.mlp_width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        heads = self.qkv(self.attention_norm(x)).view(batch, length, 3, self.heads, width // self.heads)
        q, k, v = heads.permute(2, 0, 3, 1, 4)
        # PyTorch's fused attention takes three times as long backwards on a CPU at these sizes
        seen = (q * (width // self.heads) ** -0.5 @ k.transpose(-1, -2)).softmax(-1)
        mixed = (seen @ v).transpose(1, 2).reshape(batch, length, width)
        x = x + self.out(mixed)
        inner = F.gelu(self.wide(self.mlp_norm(x)), approximate="tanh")
        return x + self.narrow(inner)  # type: ignore[no-any-return]


class Tower(nn.Module):
    """Patches [batch, side * side, 3 * patch * patch], scaled to -1..1, to tokens [batch, tokens, out]."""

    def __init__(self, eyes: Eyes) -> None:
        super().__init__()
        self.eyes = eyes
        self.kernel = nn.Linear(3 * eyes.patch**2, eyes.width)
        self.places = nn.Parameter(torch.zeros(eyes.side**2, eyes.width))
        self.layers = nn.ModuleList(Layer(eyes) for _ in range(eyes.layers))
        self.norm = nn.LayerNorm(eyes.width, EPS)
        self.connector = nn.Linear(eyes.width * eyes.fold**2, eyes.out, bias=False)

    def states(self, patches: Tensor, until: int, first: int = 0) -> Tensor:
        """The states behind layer `until`; with `first` given, `patches` are those behind layer `first`."""
        x = self.kernel(patches) + self.places if not first else patches
        for layer in self.layers[first:until]:
            x = layer(x)
        return x

    def folded(self, states: Tensor) -> Tensor:
        """The last layer's states as tokens."""
        eyes, batch = self.eyes, len(states)
        side, fold = eyes.side // eyes.fold, eyes.fold
        cut = self.norm(states).view(batch, side, fold, side, fold, eyes.width)
        return self.connector(cut.permute(0, 1, 3, 2, 4, 5).reshape(batch, side * side, -1))  # type: ignore[no-any-return]

    def forward(self, patches: Tensor) -> Tensor:
        return self.folded(self.states(patches, self.eyes.layers))


def patches_of(pixels: Tensor, eyes: Eyes) -> Tensor:
    """Pixels [batch, image, image, 3] of 0..255 as the tower takes them."""
    side, patch = eyes.side, eyes.patch
    cut = (pixels.float() / 127.5 - 1).view(-1, side, patch, side, patch, 3)
    return cut.permute(0, 1, 3, 5, 2, 4).reshape(-1, side * side, 3 * patch**2)


@torch.no_grad()
def begin_local(tower: Tower, local: int) -> None:
    """Weights with which the first `local` layers look at their neighbours, as a convolution does, so that little has
    to be seen before patches are put together. The last channels of a state hold its place as waves; a head's query is
    its place moved by one patch or two, its key the place itself (as in arXiv 2103.10697, without its gate)."""
    eyes = tower.eyes
    width, size, side = eyes.width, eyes.width // eyes.heads, eyes.side
    waves = torch.arange(1, side + 1) * math.pi / side
    kept = 4 * side  # channels of places
    if kept > min(width // 2, size):
        return
    at = torch.arange(side)[:, None] * waves
    along = torch.cat((at.cos(), at.sin()), dim=1)
    across, down = along.repeat(side, 1), along.repeat_interleave(side, 0)
    nn.init.normal_(tower.kernel.weight, std=(3 * eyes.patch**2) ** -0.5)
    tower.kernel.weight[-kept:] = 0
    tower.places[:, -kept:] = torch.cat((across, down), dim=1)
    for number, layer in enumerate(tower.layers):
        assert isinstance(layer, Layer)
        for part, scale in ((layer.qkv, 1.0), (layer.wide, 1.0), (layer.out, 0.5), (layer.narrow, 0.5)):
            nn.init.normal_(part.weight, std=scale * part.in_features**-0.5)
            nn.init.zeros_(part.bias)
        layer.out.weight[-kept:] = 0
        layer.narrow.weight[-kept:] = 0
        if number < local:
            for head in range(eyes.heads):
                _look(layer, width, size, head, _offset(number, head), waves)


def _offset(number: int, head: int) -> tuple[int, int]:
    """Patches to the right and down that a head begins to look at."""
    far, slanted = (1, 1, 2, 1)[number % 4], number % 4 in (1,)
    steps = ((1, 1), (-1, 1), (1, -1), (-1, -1)) if slanted else ((1, 0), (-1, 0), (0, 1), (0, -1))
    right, down = steps[head % 4]
    return right * far, down * far


def _look(layer: Layer, width: int, size: int, head: int, offset: tuple[int, int], waves: Tensor) -> None:
    count = len(waves)
    q = layer.qkv.weight[head * size : (head + 1) * size]
    k = layer.qkv.weight[width + head * size : width + (head + 1) * size]
    q.normal_(std=0.02)
    k.normal_(std=0.02)
    strength = 1.1 * (size / 48) ** 0.25 * (8 / count) ** 0.5
    for axis, far in enumerate(offset):
        start = axis * 2 * count
        for wave in range(count):
            cos, sin = start + wave, start + count + wave
            from_cos, from_sin = width - 4 * count + cos, width - 4 * count + sin
            turn = float(waves[wave]) * far
            k[cos, from_cos] = k[sin, from_sin] = strength
            q[cos, from_cos], q[cos, from_sin] = strength * math.cos(turn), -strength * math.sin(turn)
            q[sin, from_sin], q[sin, from_cos] = strength * math.cos(turn), strength * math.sin(turn)
