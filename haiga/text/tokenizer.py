"""A checkpoint's tokenizer: text to token ids and back.

Rule: read from `tokenizer.json` and its neighbours, nothing is guessed; a file that is missing or damaged is named.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import tokenizers

from haiga.core.errors import Invalid
from haiga.text.detokenizer import Decoding, Detokenizer, decoding_of

SPECIAL_NAMES = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token")


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids and, for each, where its characters end in the text that was encoded."""

    ids: list[int]
    ends: list[int]


class Tokenizer:
    """Text to ids and back. `special` maps the names templates use (`bos_token` …) to the tokens' texts."""

    def __init__(self, inner: tokenizers.Tokenizer, special: Mapping[str, str] | None = None) -> None:
        inner.no_padding()
        inner.no_truncation()
        self._inner = inner
        self.special = dict(special or {})
        added = inner.get_added_tokens_decoder()
        self.added: Mapping[str, int] = {token.content: number for number, token in added.items()}
        self.special_ids = frozenset(number for number, token in added.items() if token.special)
        self.decoding: Decoding = decoding_of(inner)
        self.adds_prefix = _adds_prefix(inner)
        self._size = 1 + max(inner.get_vocab(with_added_tokens=True).values(), default=-1)

    @classmethod
    def load(cls, directory: Path) -> "Tokenizer":
        """The tokenizer of the checkpoint in `directory`.

        Raises Invalid naming the file that is missing or damaged.
        """
        path = directory / "tokenizer.json"
        if not path.is_file():
            raise Invalid(f"{path}: no such file")
        try:
            inner = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # the package raises bare Exception for whatever is wrong
            raise Invalid(f"{path}: not a tokenizer: {error}") from error
        return cls(inner, special_tokens(directory))

    def __len__(self) -> int:
        """The vocabulary's size: the largest id + 1."""
        return self._size

    @property
    def lossless(self) -> bool:
        """Whether every character has tokens of its own, so that no unknown token stands for many."""
        return self.decoding.kind == "bytes" or self.decoding.byte_fallback

    @cached_property
    def longest(self) -> int:
        """Characters that one token stands for at most."""
        return max(map(len, self._inner.get_vocab()), default=1)

    @property
    def eos(self) -> str | None:
        """The text of the end token that the tokenizer's own files name."""
        return self.special.get("eos_token")

    @property
    def bos(self) -> str | None:
        """The text of the token that begins every text, where there is one."""
        return self.special.get("bos_token")

    def id(self, token: str) -> int | None:
        """The id of the token written `token`, None when there is none."""
        number: int | None = self._inner.token_to_id(token)
        return number

    def piece(self, number: int) -> str | None:
        """The token as the vocabulary writes it (`Ġthe`, `▁the`, `<0x0A>`), None for an id it does not have."""
        token: str | None = self._inner.id_to_token(number)
        return token

    def encode(self, text: str, special: bool = True) -> list[int]:
        """Ids of `text`; with `special` the tokenizer adds its own first and last tokens (`<s>`)."""
        ids: list[int] = self._inner.encode(text, add_special_tokens=special).ids
        return ids

    def encode_with_ends(self, text: str, special: bool = False) -> Encoded:
        """Ids of `text`, and where each token's characters end in it."""
        encoding = self._inner.encode(text, add_special_tokens=special)
        return Encoded(encoding.ids, [end for _, end in encoding.offsets])

    def encode_inside(self, text: str) -> Encoded:
        """Ids of a text that goes on from another: encoded after a line break that is then taken away, so that no blank
        is put before it."""
        if not self.adds_prefix:
            return self.encode_with_ends(text)
        lead = self.encode_with_ends("\n").ids
        encoded = self.encode_with_ends("\n" + text)
        if encoded.ids[: len(lead)] != lead:
            return self.encode_with_ends(text)
        return Encoded(encoded.ids[len(lead) :], [end - 1 for end in encoded.ends[len(lead) :]])

    def starts(self, text: str, special: bool = True) -> list[int]:
        """Where each token's characters begin in `text`."""
        return [start for start, _ in self._inner.encode(text, add_special_tokens=special).offsets]

    def spelling(self) -> Detokenizer:
        """Tokens to text with nothing left out."""
        return Detokenizer(self, show=self.special_ids, continues=True)

    def decode(self, ids: Sequence[int], skip_special: bool = True) -> str:
        """The text of `ids`: what a `Detokenizer` gives for them, all at once."""
        shown = frozenset() if skip_special else self.special_ids
        whole = Detokenizer(self, show=shown)
        return whole.add(ids) + whole.finish()

    def token_text(self, number: int) -> str:
        """One token as text, special ones by name; bytes that are no character alone are shown as U+FFFD."""
        single = self.spelling()
        return single.add([number]) + single.finish()

    def to_json(self) -> str:
        """The tokenizer as tokenizer.json text, for libraries that build their own tables from it."""
        text: str = self._inner.to_str()
        return text

    def decode_whole(self, pieces: Sequence[str]) -> str:
        """Vocabulary pieces through the tokenizer's own decoder."""
        decoder = self._inner.decoder
        text: str = decoder.decode(list(pieces)) if decoder else " ".join(pieces)
        return text


def _adds_prefix(inner: tokenizers.Tokenizer) -> bool:
    """Whether the tokenizer puts a blank before the first word of whatever it encodes."""
    tokens = inner.encode("a", add_special_tokens=False).tokens
    return bool(tokens) and tokens[0][:1] in ("▁", "Ġ")


def special_tokens(directory: Path) -> dict[str, str]:
    """Texts of the named special tokens: special_tokens_map.json under tokenizer_config.json."""
    merged = {**read_json(directory / "special_tokens_map.json"), **read_json(directory / "tokenizer_config.json")}
    return {name: text for name in SPECIAL_NAMES if (text := _token_text(merged.get(name)))}


def _token_text(value: Any) -> str | None:
    content = value.get("content") if isinstance(value, dict) else value
    return content if isinstance(content, str) else None


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in an optional file, {} where there is no file. Raises Invalid naming a damaged one."""
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise Invalid(f"{path}: not JSON: {error}") from error
    if not isinstance(value, dict):
        raise Invalid(f"{path}: not a JSON object")
    return value
