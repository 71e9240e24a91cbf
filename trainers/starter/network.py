"""The starter's network in torch: the Llama architecture, written for training speed, with Hugging Face tensor names.

Rule: the numbers here equal those of `transformers.LlamaForCausalLM` on the checkpoint that `checkpoint.py` writes.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SHORT = 256  # tokens of a row


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of the network; the defaults are the shipped starter (5.2 million parameters)."""

    vocabulary: int = 4096
    width: int = 256
    layers: int = 6
    heads: int = 4
    kv_heads: int = 2
    head_width: int = 64
    mlp_width: int = 640
    rope_theta: float = 500_000.0
    norm_eps: float = 1e-5
    context: int = 32_768


def rope_table(positions: Tensor, shape: Shape) -> tuple[Tensor, Tensor]:
    """cos and sin, each [batch, 1, length, head_width], for integer positions [batch, length] (arXiv 2104.09864)."""
    half = torch.arange(0, shape.head_width, 2, dtype=torch.float32, device=positions.device)
    angles = positions[:, None, :, None].float() * shape.rope_theta ** (-half / shape.head_width)
    both = torch.cat((angles, angles), dim=-1)
    return both.cos(), both.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return (x * cos + torch.cat((-second, first), dim=-1) * sin).to(x.dtype)


class Norm(nn.Module):
    """Root mean square norm over the last axis, computed in float32."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        return (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight).to(x.dtype)


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal attention, all [batch, heads, length, head_width]. Short rows are computed plainly: PyTorch's fused
    attention takes three times as long backwards there, on a CPU."""
    length = q.shape[-2]
    if length > SHORT:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    later = torch.full((length, length), -math.inf, dtype=q.dtype, device=q.device).triu(1)
    return (q * q.shape[-1] ** -0.5 @ k.transpose(-1, -2) + later).softmax(-1) @ v  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Grouped-query causal attention; q, k, v of `qkv` are cut apart when the checkpoint is written."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.qkv = nn.Linear(shape.width, (shape.heads + 2 * shape.kv_heads) * shape.head_width, bias=False)
        self.out = nn.Linear(shape.heads * shape.head_width, shape.width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        s = self.shape
        batch, length, _ = x.shape
        heads = self.qkv(x).view(batch, length, s.heads + 2 * s.kv_heads, s.head_width).transpose(1, 2)
        turned = rotate(heads[:, : s.heads + s.kv_heads], cos, sin)
        group = s.heads // s.kv_heads
        k = turned[:, s.heads :].repeat_interleave(group, dim=1)
        v = heads[:, s.heads + s.kv_heads :].repeat_interleave(group, dim=1)
        mixed = attend(turned[:, : s.heads], k, v)
        return self.out(mixed.transpose(1, 2).reshape(batch, length, -1))  # type: ignore[no-any-return]


class Mlp(nn.Module):
    """SwiGLU: gate and up stacked in one matrix."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_up = nn.Linear(shape.width, 2 * shape.mlp_width, bias=False)
        self.down = nn.Linear(shape.mlp_width, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.down(F.silu(gate) * up)  # type: ignore[no-any-return]


class Block(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.attention_norm = Norm(shape.width, shape.norm_eps)
        self.attention = Attention(shape)
        self.mlp_norm = Norm(shape.width, shape.norm_eps)
        self.mlp = Mlp(shape)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x), cos, sin)
        return x + self.mlp(self.mlp_norm(x))  # type: ignore[no-any-return]


class Network(nn.Module):
    """Token ids and positions, both [batch, length], to the last hidden state [batch, length, width]."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = Norm(shape.width, shape.norm_eps)
        self.reset()

    def reset(self) -> None:
        """Normal weights, the two matrices that write to the residual stream scaled down by depth (GPT-2)."""
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                writes = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(weight, std=0.02 / (2 * self.shape.layers) ** 0.5 if writes else 0.02)

    def forward(self, ids: Tensor, positions: Tensor) -> Tensor:
        return self.through(self.embedding(ids), positions)

    def through(self, x: Tensor, positions: Tensor) -> Tensor:
        """As `forward`, of embeddings [batch, length, width]."""
        cos, sin = rope_table(positions, self.shape)
        if torch.is_autocast_enabled(x.device.type):
            x, cos, sin = (t.to(torch.bfloat16) for t in (x, cos, sin))
        for block in self.blocks:
            x = block(x, cos, sin)
        return self.norm(x)  # type: ignore[no-any-return]

    def logits(self, hidden: Tensor) -> Tensor:
        return F.linear(hidden, self.embedding.weight)

    def loss(self, ids: Tensor, positions: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Sum of the weighted cross entropies, in nats; all arguments [batch, length]."""
        logits = self.logits(self(ids, positions)).float()
        each = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        return (each * weights.flatten()).sum()
