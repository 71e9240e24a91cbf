"""The classifier as torch trains it; `haiga/models/classifier.py` builds the same graph for use.

Rule: word vectors are means of their pieces' rows; convolutions see words beside each other, layers of attention words
far apart; the pooled text gives a logit per category. What a word's place says of the word there is what it learns
language by, before any label.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Shape:
    """`layers` of attention, each with an inner layer `wider` times as wide."""

    rows: int = 1 << 16
    grams: int = 24
    width: int = 64
    hidden: int = 192
    heads: int = 6
    window: int = 128
    dilations: tuple[int, ...] = (1, 2)
    layers: int = 2
    wider: int = 2


class Network(nn.Module):
    def __init__(self, shape: Shape, categories: int) -> None:
        super().__init__()
        self.shape = shape
        self.table = nn.EmbeddingBag(shape.rows, shape.width, mode="mean", padding_idx=0, sparse=True)
        nn.init.normal_(self.table.weight, std=0.3)
        with torch.no_grad():
            self.table.weight[0] = 0
        self.enter = nn.Linear(shape.width, shape.hidden)
        self.convolutions = nn.ModuleList(nn.Linear(3 * shape.hidden, shape.hidden) for _ in shape.dilations)
        self.norms = nn.ModuleList(nn.LayerNorm(shape.hidden) for _ in shape.dilations)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.hidden)
        self.look = nn.Linear(shape.hidden, 1)
        self.inner = nn.Linear(2 * shape.hidden, shape.hidden)
        self.outer = nn.Linear(shape.hidden, categories)
        self.drop, self.drop_words = nn.Dropout(0.1), nn.Dropout(0.15)

    def forward(self, rows: Tensor, places: Tensor) -> Tensor:
        """Logits [B, categories] of texts as places [B, T] in the rows [U, grams] of their words, the first none."""
        features = self.features(self.table(rows)[places], there(places))
        logits: Tensor = self.outer(self.drop(features))
        return logits

    def features(self, x: Tensor, there: Tensor) -> Tensor:
        """What the last layer reads, [B, hidden]: of words' vectors [B, T, width], and where they are [B, T, 1]."""
        x, away = self.read(x, there), (there - 1) * 1e4
        weights = torch.softmax(self.look(x) + away, 1)
        pooled = torch.cat([(weights * x).sum(1), (x + away).amax(1)], -1)
        return F.relu(self.inner(pooled))

    def read(self, x: Tensor, there: Tensor) -> Tensor:
        """What is known of each word in its text, [B, T, hidden]: of words' vectors, and where they are."""
        x = F.relu(self.enter(self.drop_words(x))) * there
        for convolution, norm, dilation in zip(self.convolutions, self.norms, self.shape.dilations, strict=True):
            x = x + self.drop(F.relu(convolution(_beside(norm(x) * there, dilation))) * there)
        away = ((there - 1) * 1e4).transpose(1, 2).unsqueeze(1)
        for layer in self.layers:
            x = layer(x, away)
        known: Tensor = self.norm(x)
        return known


class Layer(nn.Module):
    """Attention, then an inner layer; both read what is normed and add to what is there (arXiv 2002.04745)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        hidden = shape.hidden
        self.heads = shape.heads
        self.norm, self.next_norm = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.attend, self.mix = nn.Linear(hidden, 3 * hidden), nn.Linear(hidden, hidden)
        self.up, self.down = nn.Linear(hidden, shape.wider * hidden), nn.Linear(shape.wider * hidden, hidden)

    def forward(self, x: Tensor, away: Tensor) -> Tensor:
        """[B, T, hidden]; `away` [B, 1, 1, T] is added to how words look at others."""
        batch, length, hidden = x.shape
        parts = self.attend(self.norm(x)).view(batch, length, 3, self.heads, hidden // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(2, 3) * (hidden // self.heads) ** -0.5 + away
        mixed = torch.softmax(scores, -1) @ v
        x = x + self.mix(mixed.transpose(1, 2).reshape(batch, length, hidden))
        answer: Tensor = x + self.down(F.relu(self.up(self.next_norm(x))))
        return answer


def there(words: Tensor) -> Tensor:
    """Where a word is not 0: [..., 1]."""
    return (words != 0).float()[..., None]


def _beside(x: Tensor, distance: int) -> Tensor:
    """Each place with those `distance` before and after it, [B, T, 3 * H] of [B, T, H]."""
    padded, length = F.pad(x, (0, 0, distance, distance)), x.shape[1]
    return torch.cat([padded[:, :length], x, padded[:, 2 * distance :]], -1)
