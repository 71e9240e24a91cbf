"""What can be asked of a model that makes embeddings, and the answer: one vector for each text.

Rule: a text is embedded whole or refused, never cut.
"""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from haiga.core.generation import Served

Passage: TypeAlias = str | tuple[int, ...]  # a text, or its token ids as they stand
Vector: TypeAlias = "array[float]"  # of typecode "f": 32 bits each

MOST_TOKENS = 300_000  # of all texts of one request together


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """Texts to be embedded, each by itself. `dimensions`: how many of a vector's first numbers are wanted, None for
    all. `trace`: headers by which whoever makes them elsewhere joins the trace."""

    model: str
    inputs: tuple[Passage, ...]
    dimensions: int | None = None
    workspace: str = "default"
    user: str | None = None
    trace: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Embeddings:
    """The vectors in the order of the texts; `tokens` of all of them, the tokenizer's own first and last included.
    `by` says who made them, where another server did."""

    vectors: tuple[Vector, ...]
    tokens: int
    by: Served | None = None
