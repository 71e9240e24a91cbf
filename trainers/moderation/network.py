"""The classifier as torch trains it; `haiga/models/classifier.py` builds the same graph for use.

Rule: word vectors are means of their pieces' rows; three convolutions see words beside each other, one attention layer
words far apart; the pooled text gives a logit per category.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Shape:
    rows: int = 1 << 16
    grams: int = 24
    width: int = 64
    hidden: int = 128
    heads: int = 4
    window: int = 128
    dilations: tuple[int, ...] = (1, 2, 4)


class Network(nn.Module):
    def __init__(self, shape: Shape, categories: int) -> None:
        super().__init__()
        self.shape = shape
        self.table = nn.EmbeddingBag(shape.rows, shape.width, mode="mean", padding_idx=0, sparse=True)
        nn.init.normal_(self.table.weight, std=0.3)
        with torch.no_grad():
            self.table.weight[0] = 0
        self.enter = nn.Linear(shape.width, shape.hidden)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(shape.hidden, shape.hidden, 3, padding=d, dilation=d) for d in shape.dilations
        )
        self.norms = nn.ModuleList(nn.LayerNorm(shape.hidden) for _ in shape.dilations)
        self.query, self.key, self.value, self.mix = (nn.Linear(shape.hidden, shape.hidden) for _ in range(4))
        self.norm = nn.LayerNorm(shape.hidden)
        self.look = nn.Linear(shape.hidden, 1)
        self.inner = nn.Linear(2 * shape.hidden, shape.hidden)
        self.outer = nn.Linear(shape.hidden, categories)
        self.drop = nn.Dropout(0.2)

    def forward(self, rows: Tensor) -> Tensor:
        """Logits [B, categories] of rows [B, T, grams]."""
        return self.judge(self.features(self.vectors(rows), there(rows[:, :, 0])))

    def judge(self, features: Tensor) -> Tensor:
        """Logits [B, categories] of features [B, hidden]."""
        logits: Tensor = self.outer(self.drop(features))
        return logits

    def vectors(self, rows: Tensor) -> Tensor:
        """The words' vectors, [..., width] of rows [..., grams]."""
        vectors: Tensor = self.table(rows.flatten(0, -2)).unflatten(0, rows.shape[:-1])
        return vectors

    def features(self, x: Tensor, there: Tensor) -> Tensor:
        """What the last layer reads, [B, hidden]: of words' vectors [B, T, width], and where they are [B, T, 1]."""
        x = F.gelu(self.enter(self.drop(x))) * there
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = x + F.gelu(convolution(norm(x * there).mul(there).transpose(1, 2)).transpose(1, 2)) * there
        x = self.norm(x + self.attend(x, there))
        away = (there - 1) * 1e4
        weights = torch.softmax(self.look(x) + away, 1)
        pooled = torch.cat([(weights * x).sum(1), (x + away).amax(1)], -1)
        return F.gelu(self.inner(pooled))

    def attend(self, x: Tensor, there: Tensor) -> Tensor:
        batch, length, hidden = x.shape
        heads, size = self.shape.heads, hidden // self.shape.heads
        q, k, v = (f(x).view(batch, length, heads, size).transpose(1, 2) for f in (self.query, self.key, self.value))
        scores = q @ k.transpose(2, 3) / size**0.5 + ((there - 1) * 1e4).view(batch, 1, 1, length)
        mixed = torch.softmax(scores, -1) @ v
        answer: Tensor = self.mix(mixed.transpose(1, 2).reshape(batch, length, hidden))
        return answer


def there(words: Tensor) -> Tensor:
    """Where a word is not 0: [..., 1]."""
    return (words != 0).float()[..., None]
