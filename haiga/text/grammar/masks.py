"""Grammars compiled for one tokenizer, and the token masks they give.

Rule: compiling is bounded, and what is compiled is kept by its content; a matcher belongs to one answer, grammars to
any thread.
"""

import re
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import llguidance
import llguidance.numpy

from haiga.core.errors import Invalid
from haiga.text.detokenizer import byte_level, fallback_byte
from haiga.text.grammar.rules import LARGEST, said
from haiga.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KEPT = 64


class Matcher:
    """The state of one answer under a grammar."""

    def __init__(self, inner: llguidance.LLMatcher) -> None:
        self._inner = inner

    def fill(self, words: "NDArray[np.int32]") -> None:
        """Write which tokens may come next into `words` [(vocabulary + 31) // 32]: bit i % 32 of word i // 32.

        An end token's bit is set where the answer may end.
        """
        llguidance.numpy.fill_next_token_bitmask(self._inner, words.reshape(1, -1))

    def accept(self, token: int) -> bool:
        """Move on by the token that was chosen, end tokens apart; False when the grammar does not allow it."""
        return bool(self._inner.try_consume_tokens([token]) == 1)

    def forced(self) -> list[int]:
        """The tokens that can only come next, one after the other; [] where there is a choice."""
        tokens: list[int] = self._inner.compute_ff_tokens()
        return tokens

    @property
    def may_end(self) -> bool:
        """Whether the answer is complete as it stands."""
        return bool(self._inner.is_accepting())

    @property
    def ended(self) -> bool:
        """Whether nothing but an end token may follow."""
        return bool(self._inner.is_stopped())

    @property
    def problem(self) -> str | None:
        """Why the matcher gave up, None while it works."""
        return str(self._inner.get_error()) or None


class Grammars:
    """Compiles grammars for a tokenizer. `ends`: the tokens that end an answer. `size`: the width of the logits,
    where it is larger than the vocabulary."""

    def __init__(self, tokenizer: Tokenizer, ends: Sequence[int], size: int | None = None) -> None:
        self.special = {text: number for text, number in tokenizer.added.items() if number in tokenizer.special_ids}
        wrapped = llguidance.TokenizerWrapper(_Vocabulary(tokenizer, ends, max(size or 0, len(tokenizer))))
        self._tokenizer = llguidance.LLTokenizer(wrapped, eos_token=list(ends))
        self._limits = llguidance.LLParserLimits(verbose_errors=False)
        self._compiled: OrderedDict[str, llguidance.LLMatcher] = OrderedDict()
        self._lock = threading.Lock()  # over what is kept; never held while something is compiled

    @property
    def words(self) -> int:
        """How many 32-bit words a mask has."""
        return int((self._tokenizer.vocab_size + 31) // 32)

    def matcher(self, grammar: str, field: str | None = None) -> Matcher:
        """A fresh matcher. Raises Invalid, at `field`, naming what cannot be enforced or is too large."""
        with self._lock:
            compiled = self._compiled.get(grammar)
        if compiled is None:
            compiled = self._compile(grammar, field)
        with self._lock:
            self._compiled[grammar] = compiled
            self._compiled.move_to_end(grammar)
            if len(self._compiled) > KEPT:
                self._compiled.popitem(last=False)
            return Matcher(compiled.deep_copy())

    def keeps(self, grammar: str) -> bool:
        """Whether a matcher of this grammar is there at once."""
        with self._lock:
            return grammar in self._compiled

    def _compile(self, grammar: str, field: str | None) -> llguidance.LLMatcher:
        if len(grammar) > LARGEST:
            raise Invalid("the schema is too large to be enforced", field=field)
        text = llguidance.LLMatcher.grammar_from_lark(grammar)
        matcher = llguidance.LLMatcher(self._tokenizer, text, log_level=0, limits=self._limits)
        if matcher.is_error():
            raise Invalid(said(matcher.get_error()), field=field)
        return matcher


class _Vocabulary:
    """A tokenizer as llguidance wants it: the bytes of every token."""

    def __init__(self, tokenizer: Tokenizer, ends: Iterable[int], size: int) -> None:
        self._tokenizer = tokenizer
        self.eos_token_id = next(iter(ends))
        self.bos_token_id = tokenizer.id(tokenizer.bos) if tokenizer.bos else None
        self.special_token_ids = sorted(tokenizer.special_ids | set(ends))
        self.tokens = [token_bytes(tokenizer, number) for number in range(size)]
        control = sorted((text for text, number in tokenizer.added.items() if number in tokenizer.special_ids), key=len)
        spelled = "|".join(map(re.escape, (text for text in reversed(control) if len(text) > 1)))
        self._control = re.compile(spelled) if spelled else None

    def __call__(self, text: str) -> list[int]:
        """Ids of text that can only come next. A control token that it spells is text too, so it is encoded in two
        parts, of which neither is one."""
        ids, start = [], 0
        for found in self._control.finditer(text) if self._control else ():
            ids += self._tokenizer.encode(text[start : found.start() + 1], special=False)
            start = found.start() + 1
        return ids + self._tokenizer.encode(text[start:], special=False)


def token_bytes(tokenizer: Tokenizer, number: int) -> bytes:
    """The bytes that a token adds to a text; b"" for an id the vocabulary does not have."""
    piece = tokenizer.piece(number)
    if piece is None:
        return b""
    decoding = tokenizer.decoding
    if number in tokenizer.special_ids or decoding.kind == "window":
        return piece.encode("utf-8")
    if decoding.kind == "bytes":
        return byte_level(piece)
    byte = fallback_byte(piece) if decoding.byte_fallback else None
    return bytes([byte]) if byte is not None else piece.replace(decoding.space, " ").encode("utf-8")
