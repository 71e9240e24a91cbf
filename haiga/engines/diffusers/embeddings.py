"""Textual inversion: words of a prompt that stand for vectors from a file.

Rule: tokenizer and text encoder stay as they are; the vectors take the places of tokens while the encoder runs, so that
nothing of them is left.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, TypeAlias

import torch

from haiga.core.errors import Invalid
from haiga.engines.diffusers.shelf import Shelf
from haiga.engines.diffusers.tensors import tensors

FIELD = "prompt"
KEYS = (("clip_l",), ("clip_g",))  # what Stable Diffusion XL's files call the vectors of its first and second encoder
Token: TypeAlias = int | torch.Tensor  # a token, or the vector in a token's place


@dataclass(frozen=True, slots=True)
class Words:
    """Words with the vectors that stand for them in one text encoder, [vectors, width] each."""

    vectors: Mapping[str, torch.Tensor] = field(default_factory=dict)

    def tokens(self, text: str, tokenizer: Any) -> list[Token]:
        """The text's tokens, with vectors where the words are."""
        if not self.vectors:
            return list(tokenizer(text, add_special_tokens=False).input_ids)
        pieces = _pattern(list(self.vectors)).split(text)
        found: list[Token] = []
        for piece in pieces:
            if piece in self.vectors:
                found += list(self.vectors[piece])
            elif piece.strip():
                found += tokenizer(piece, add_special_tokens=False).input_ids
        return found


@contextmanager
def placed(model: Any, tokens: Sequence[Sequence[Token]]) -> Iterator[torch.Tensor]:
    """Token ids [windows, tokens] for an encoder, which sees the vectors among them while this lasts."""
    vectors = [token for row in tokens for token in row if isinstance(token, torch.Tensor)]
    ids = torch.tensor(
        [[0 if isinstance(token, torch.Tensor) else token for token in row] for row in tokens], device=model.device
    )
    if not vectors:
        yield ids
        return
    where = torch.tensor([[isinstance(token, torch.Tensor) for token in row] for row in tokens], device=model.device)

    def fill(layer: Any, args: Any, embedded: torch.Tensor) -> torch.Tensor:
        embedded = embedded.clone()
        embedded[where] = torch.stack(vectors).to(embedded)
        return embedded

    hook = _table(model).register_forward_hook(fill)
    try:
        yield ids
    finally:
        hook.remove()


class Embeddings:
    """Those on a shelf. `encoders`: the text encoders, first and second."""

    def __init__(self, encoders: Sequence[Any], shelf: Shelf) -> None:
        self._encoders = encoders
        self._shelf = shelf

    def read(self, *texts: str) -> tuple[list[Words], dict[str, str]]:
        """For each encoder what the texts' words stand for, and what infotexts say of that. Raises Invalid for files
        that do not fit."""
        names = self._shelf.names("embeddings") if self._encoders else []
        used = sorted({match[1] for text in texts for match in _pattern(names).finditer(text)}) if names else []
        files = {name: tensors(self._shelf.find("embeddings", name, FIELD), FIELD) for name in used}
        words = [
            Words({name: _vectors(name, held, place, encoder) for name, held in files.items()})
            for place, encoder in enumerate(self._encoders)
        ]
        told = ", ".join(f"{name}: {_digest(held)}" for name, held in files.items())
        return words, {"TI hashes": told} if told else {}


def _pattern(names: Sequence[str]) -> re.Pattern[str]:
    """Whole words, the longest first."""
    told = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return re.compile(rf"(?<![\w-])({told})(?![\w-])")


def _vectors(name: str, held: Mapping[str, torch.Tensor], place: int, encoder: Any) -> torch.Tensor:
    keys = [key for key in KEYS[place] if key in held] or ([next(iter(held))] if len(held) == 1 else [])
    width = _table(encoder).weight.shape[1]
    found = held[keys[0]] if keys else torch.empty(0)
    found = found[None] if found.ndim == 1 else found
    if found.ndim != 2 or found.shape[1] != width or not found.shape[0]:
        raise Invalid(f"the embedding {name!r} has no vectors of {width} numbers, as this model wants", field=FIELD)
    return found


def _table(model: Any) -> Any:
    return model.get_input_embeddings()


def _digest(held: Mapping[str, torch.Tensor]) -> str:
    made = sha256()
    for key in sorted(held):
        made.update(held[key].float().contiguous().numpy().tobytes())
    return made.hexdigest()[:12]
