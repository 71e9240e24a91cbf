"""Token ids to text while they arrive.

Rule: no piece ever holds half a character, and the pieces join to what decoding the whole at once gives. Where the
tokenizer's decoder is one of the two families that language models use (bytes written as characters; metaspace with
byte fallback), a token is its bytes and an incremental UTF-8 decoder does the rest: constant work per token. Any
other decoder is asked over a sliding window of the last tokens.
"""

import codecs
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import tokenizers

REPLACEMENT = "\ufffd"
WINDOW = 8


@dataclass(frozen=True, slots=True)
class Decoding:
    """How a tokenizer's pieces become text.

    kind: `bytes` (GPT-2's characters for bytes), `metaspace` (`space` stands for a blank, `<0x0A>` for a byte),
    `window` (anything else: ask the decoder itself). strip: how many leading blanks a text loses, `first` that the
    first piece loses its blanks instead.
    """

    kind: Literal["bytes", "metaspace", "window"]
    space: str = "▁"
    strip: int = 0
    first: bool = False
    byte_fallback: bool = False


class Vocabulary(Protocol):
    """What a Detokenizer needs of a tokenizer."""

    decoding: Decoding
    special_ids: frozenset[int]

    def piece(self, number: int) -> str | None: ...

    def decode_whole(self, pieces: Sequence[str]) -> str: ...


def decoding_of(inner: tokenizers.Tokenizer) -> Decoding:
    """Which of the families the tokenizer's decoder belongs to."""
    if inner.decoder is None:
        return Decoding("window")
    return _recognise(json.loads(inner.decoder.__getstate__()))


def _recognise(decoder: dict[str, Any]) -> Decoding:
    match decoder:
        case {"type": "ByteLevel"} | {"type": "Sequence", "decoders": [{"type": "ByteLevel"}]}:
            return Decoding("bytes")
        case {"type": "Metaspace", "replacement": str(space), "prepend_scheme": str(scheme)}:
            return Decoding("metaspace", space, first=scheme != "never")
        case {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": str(space)}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                *rest,
            ],
        }:
            return _with_strip(Decoding("metaspace", space, byte_fallback=True), rest)
    return Decoding("window")


def _with_strip(decoding: Decoding, rest: list[dict[str, Any]]) -> Decoding:
    match rest:
        case []:
            return decoding
        case [{"type": "Strip", "content": " ", "start": int(start), "stop": 0}]:
            return Decoding("metaspace", decoding.space, strip=start, byte_fallback=True)
    return Decoding("window")


class Detokenizer:
    """One text under way. Special tokens are left out but for the ids in `show`, and so are the ids in `hide`.

    `continues`: the text goes on from another (a prefill), so that its leading blank is kept.
    """

    def __init__(
        self, vocabulary: Vocabulary, *, show: Iterable[int] = (), hide: Iterable[int] = (), continues: bool = False
    ) -> None:
        self._hidden = (vocabulary.special_ids - frozenset(show)).union(hide)
        self._vocabulary = vocabulary
        window = vocabulary.decoding.kind == "window"
        self._state: _Bytes | _Window = _Window(vocabulary) if window else _Bytes(vocabulary.decoding, continues)

    def add(self, ids: Iterable[int]) -> str:
        """The text that became certain with `ids`; ids outside the vocabulary have none."""
        pieces = (self._vocabulary.piece(number) for number in ids if number not in self._hidden)
        return "".join(self._state.add(piece) for piece in pieces if piece is not None)

    def finish(self) -> str:
        """What was held back: an unfinished character as U+FFFD."""
        return self._state.finish()


class _Bytes:
    """Pieces that are bytes, through an incremental UTF-8 decoder."""

    def __init__(self, decoding: Decoding, continues: bool) -> None:
        self._decoding = decoding
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._strip = 0 if continues else decoding.strip
        self._first = decoding.first and not continues

    def add(self, piece: str) -> str:
        return self._stripped(self._utf8.decode(self._bytes(piece)))

    def finish(self) -> str:
        return self._stripped(self._utf8.decode(b"", final=True))

    def _bytes(self, piece: str) -> bytes:
        if self._decoding.kind == "bytes":
            return byte_level(piece)
        if self._decoding.byte_fallback and (byte := fallback_byte(piece)) is not None:
            return bytes([byte])
        blank, self._first = "" if self._first else " ", False
        return piece.replace(self._decoding.space, blank).encode("utf-8")

    def _stripped(self, text: str) -> str:
        while text and self._strip:
            text, self._strip = (text[1:], self._strip - 1) if text[0] == " " else (text, 0)
        return text


class _Window:
    """The tokenizer's own decoder over the last pieces: what the newest add to the ones already shown."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._decode = vocabulary.decode_whole
        self._pieces: list[str] = []
        self._shown = 0

    def add(self, piece: str) -> str:
        self._pieces.append(piece)
        text = self._new()
        if text.endswith(REPLACEMENT) and len(self._pieces) - self._shown < WINDOW:
            return ""
        self._pieces = self._pieces[self._shown :]
        self._shown = len(self._pieces)
        return text

    def finish(self) -> str:
        return self._new()

    def _new(self) -> str:
        before = self._decode(self._pieces[: self._shown]) if self._shown else ""
        return self._decode(self._pieces)[len(before) :]


def byte_level(piece: str) -> bytes:
    """The bytes that a byte-level piece stands for; a piece with any other character is taken as it is written."""
    try:
        return bytes([_BYTES[character] for character in piece])
    except KeyError:
        return piece.encode("utf-8")


def fallback_byte(piece: str) -> int | None:
    """The byte that a piece like `<0x0A>` stands for."""
    if len(piece) != 6 or not piece.startswith("<0x") or not piece.endswith(">"):
        return None
    try:
        return int(piece[3:5], 16)
    except ValueError:
        return None


def _byte_table() -> dict[str, int]:
    """GPT-2's characters for bytes: printable Latin-1 stands for itself, the other bytes for U+0100 and on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + place): byte for place, byte in enumerate(others)}


_BYTES = _byte_table()
