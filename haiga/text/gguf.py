"""A tokenizer and a chat template out of the metadata of a GGUF file.

Rule: the same tokenizer as a tokenizer.json would give, made of the vocabulary, merges or scores that the metadata
holds; how text is split before is known by the name that llama.cpp's converter gave it, and an unknown name is refused.
Keys: gguf-py/gguf/constants.py of llama.cpp. Defaults where a key is absent: its src/llama-vocab.cpp.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors

from haiga.core.errors import Invalid
from haiga.text.template import ChatTemplate
from haiga.text.tokenizer import Tokenizer

Metadata = Mapping[str, Any]

_NORMAL, _UNKNOWN, _CONTROL, _USER, _BYTE = 1, 2, 3, 4, 6  # tokenizer.ggml.token_type
_LONGEST_PIECE = 256  # characters; longer ones are not looked into for merges
_SPECIAL = {
    "bos_token": "bos",
    "eos_token": "eos",
    "unk_token": "unknown",
    "pad_token": "padding",
    "sep_token": "seperator",  # so llama.cpp spells it
    "mask_token": "mask",
}
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
    r"\s+(?!\S)|\s+"
)
_TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True, slots=True)
class _Splitting:
    """How text is cut before its bytes are merged.

    digits: each is cut off; words: one that is a token is not merged from bytes; begins: a text begins with bos unless
    the metadata says otherwise; composed: text is put into Unicode's composed form.
    """

    patterns: tuple[str, ...] = ()
    digits: bool = False
    words: bool = False
    begins: bool = False
    composed: bool = False

    def pre_tokenizer(self) -> Any:
        cuts = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in self.patterns]
        digits = [pre_tokenizers.Digits(individual_digits=True)] if self.digits else []
        level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not self.patterns)
        return pre_tokenizers.Sequence([*cuts, *digits, level])


_LLAMA_BPE = _Splitting((_LLAMA3,), words=True, begins=True)
_QWEN2 = _Splitting((_LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}"),), composed=True)
_SPLITTINGS = {
    "default": _Splitting((r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", r"[0-9][0-9][0-9]")),
    "gpt-2": _Splitting(),
    "llama-bpe": _LLAMA_BPE,
    "llama3": _LLAMA_BPE,
    "llama-v3": _LLAMA_BPE,
    "smaug-bpe": _Splitting((_LLAMA3,)),
    "qwen2": _QWEN2,
    "deepseek-r1-qwen": _QWEN2,
    "smollm": _Splitting(digits=True),
    "refact": _Splitting(digits=True),
    "starcoder": _Splitting(digits=True),
    "command-r": _Splitting(digits=True, composed=True),
    "gpt-4o": _Splitting((_O200K,)),
    "llama4": _Splitting((_O200K,)),
    "dbrx": _Splitting((_LLAMA3,)),
    "olmo": _Splitting(),
    "chatglm-bpe": _Splitting((_LLAMA3,)),
    "glm4": _Splitting((_LLAMA3,)),
    "tekken": _Splitting((_TEKKEN,), words=True, begins=True),
}


def gguf_tokenizer(source: str, metadata: Metadata) -> Tokenizer:
    """The tokenizer that `metadata` describes. Raises Invalid naming `source` and the key that is wrong."""
    vocabulary = _Vocabulary(source, metadata)
    build = _BUILDERS.get(str(metadata.get("tokenizer.ggml.model")))
    if build is None:
        raise vocabulary.refuse("model", f"is {metadata.get('tokenizer.ggml.model')!r}; supported: gpt2, llama, t5")
    try:
        inner, begins = build(vocabulary)
        _add_tokens(inner, vocabulary)
        _frame(inner, vocabulary, begins)
        return Tokenizer(inner, vocabulary.special())
    except Invalid:
        raise
    except Exception as error:  # the package raises bare Exception for whatever is wrong
        raise Invalid(f"{source}: tokenizer.ggml: not a tokenizer: {error}") from error


def gguf_template(source: str, metadata: Metadata) -> ChatTemplate | None:
    """The chat template in `metadata`, None where it has none. Raises Invalid for one that is damaged."""
    plain, tools = (metadata.get(f"tokenizer.chat_template{which}") for which in ("", ".tool_use"))
    if not isinstance(plain, str) or not plain:
        return None
    special = _Vocabulary(source, metadata).special()
    return ChatTemplate(plain, special, tool_source=tools if isinstance(tools, str) else None)


class _Vocabulary:
    """The tokens that metadata lists, and access to what it says about them."""

    def __init__(self, source: str, metadata: Metadata) -> None:
        self._source, self._metadata = source, metadata
        self.tokens: Sequence[str] = self.listed("tokens", str)
        self.kinds: Sequence[int] = self.listed("token_type", int, len(self.tokens), [_NORMAL] * len(self.tokens))
        self.ids = {token: number for number, token in reversed(list(enumerate(self.tokens)))}  # of equals the first

    def listed(self, key: str, kind: type, length: int | None = None, default: Sequence[Any] | None = None) -> Any:
        value = self._metadata.get(f"tokenizer.ggml.{key}", default)
        if not isinstance(value, list) or not all(isinstance(each, kind) for each in value):
            raise self.refuse(key, "is missing or no list of the right kind")
        if length is not None and len(value) != length:
            raise self.refuse(key, f"has {len(value)} entries for {length} tokens")
        return value

    def flag(self, key: str, default: bool) -> bool:
        value = self._metadata.get(f"tokenizer.ggml.{key}", default)
        return value if isinstance(value, bool) else default

    def octets(self, key: str) -> bytes:
        """Bytes, which GGUF keeps as a list of numbers."""
        value = self._metadata.get(f"tokenizer.ggml.{key}", b"")
        if not isinstance(value, bytes | list) or any(not isinstance(at, int) or not -129 < at < 256 for at in value):
            raise self.refuse(key, "is no list of bytes")
        return bytes(at & 0xFF for at in value)

    def text(self, key: str, default: str) -> str:
        return str(self._metadata.get(f"tokenizer.ggml.{key}", default))

    def token(self, name: str) -> str | None:
        """The token that `NAME_token_id` names."""
        number = self._metadata.get(f"tokenizer.ggml.{name}_token_id")
        if not isinstance(number, int) or number == 0xFFFFFFFF:  # llama.cpp's "none"
            return None
        if not 0 <= number < len(self.tokens):
            raise self.refuse(f"{name}_token_id", f"is {number}, there are {len(self.tokens)} tokens")
        return self.tokens[number]

    def special(self) -> dict[str, str]:
        named = {theirs: self.token(ours) for theirs, ours in _SPECIAL.items()}
        return {name: token for name, token in named.items() if token is not None}

    def refuse(self, key: str, problem: str) -> Invalid:
        return Invalid(f"{self._source}: tokenizer.ggml.{key} {problem}")


def _byte_level(vocabulary: _Vocabulary) -> tuple[tokenizers.Tokenizer, bool]:
    """GPT-2's kind: bytes written as characters, merged in the order of `merges`."""
    name = vocabulary.text("pre", "default")
    splitting = _SPLITTINGS.get(name)
    if splitting is None:
        raise vocabulary.refuse("pre", f"{name!r} is not supported; supported: {', '.join(_SPLITTINGS)}")
    merges = [_pair(merge) for merge in vocabulary.listed("merges", str)]
    inner = tokenizers.Tokenizer(models.BPE(vocab=vocabulary.ids, merges=merges, ignore_merges=splitting.words))
    if splitting.composed:
        inner.normalizer = normalizers.NFC()
    inner.pre_tokenizer = splitting.pre_tokenizer()
    inner.decoder = decoders.ByteLevel()
    return inner, splitting.begins


def _pair(merge: str) -> tuple[str, str]:
    at = merge.find(" ", 1)
    return merge[:at], merge[at + 1 :]


def _sentence_pieces(vocabulary: _Vocabulary) -> tuple[tokenizers.Tokenizer, bool]:
    """SentencePiece's kind: characters merged by score, blanks written ▁, bytes where no piece fits."""
    model = models.BPE(
        vocab=vocabulary.ids,
        merges=_merges(vocabulary),
        unk_token=vocabulary.token("unknown") or _first(vocabulary, _UNKNOWN),
        fuse_unk=True,
        byte_fallback=True,
    )
    return _spaced(tokenizers.Tokenizer(model), vocabulary), True


def _unigram(vocabulary: _Vocabulary) -> tuple[tokenizers.Tokenizer, bool]:
    """SentencePiece's other kind: the likeliest of all ways to cut a text into pieces."""
    scores = vocabulary.listed("scores", float, len(vocabulary.tokens))
    unknown = vocabulary.token("unknown") or _first(vocabulary, _UNKNOWN)
    vocab = list(zip(vocabulary.tokens, scores, strict=True))
    known = None if unknown is None else vocabulary.ids[unknown]
    model = models.Unigram(vocab=vocab, unk_id=known, byte_fallback=_BYTE in vocabulary.kinds)
    return _spaced(tokenizers.Tokenizer(model), vocabulary), False


def _spaced(inner: tokenizers.Tokenizer, vocabulary: _Vocabulary) -> tokenizers.Tokenizer:
    """Blanks written ▁, after whatever is done to a text before; and back."""
    prefix, charsmap = vocabulary.flag("add_space_prefix", True), vocabulary.octets("precompiled_charsmap")
    before: list[Any] = [normalizers.Precompiled(charsmap)] if charsmap else []
    if vocabulary.flag("remove_extra_whitespaces", False):
        before += [normalizers.Replace(Regex(" {2,}"), " "), normalizers.Strip()]
    before += [normalizers.Prepend("▁")] if prefix else []
    inner.normalizer = normalizers.Sequence([*before, normalizers.Replace(" ", "▁")])
    after = [decoders.Strip(" ", 1, 0)] if prefix else []
    inner.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *after])
    return inner


def _merges(vocabulary: _Vocabulary) -> list[tuple[str, str]]:
    """Every way to put a piece together from two others, the best piece's first."""
    scores = vocabulary.listed("scores", float, len(vocabulary.tokens))
    ids = vocabulary.ids
    found: list[tuple[float, int, int, str, str]] = []
    for piece, kind, score in zip(vocabulary.tokens, vocabulary.kinds, scores, strict=True):
        if kind != _NORMAL or len(piece) > _LONGEST_PIECE:
            continue
        for at in range(1, len(piece)):
            left, right = piece[:at], piece[at:]
            if left in ids and right in ids:
                found.append((-score, ids[left], ids[right], left, right))
    return [(left, right) for *_, left, right in sorted(found)]


def _first(vocabulary: _Vocabulary, kind: int) -> str | None:
    return next((token for token, each in zip(vocabulary.tokens, vocabulary.kinds, strict=True) if each == kind), None)


def _add_tokens(inner: tokenizers.Tokenizer, vocabulary: _Vocabulary) -> None:
    """Control tokens, and those that users added, which are found in text as they are written."""
    for number, (token, kind) in enumerate(zip(vocabulary.tokens, vocabulary.kinds, strict=True)):
        if token and kind in (_UNKNOWN, _CONTROL, _USER) and vocabulary.ids[token] == number:
            added = AddedToken(token, normalized=False, special=kind != _USER)
            inner.add_special_tokens([added]) if added.special else inner.add_tokens([added])


def _frame(inner: tokenizers.Tokenizer, vocabulary: _Vocabulary, begins: bool) -> None:
    """What stands before and after every text."""
    first = vocabulary.token("bos") if vocabulary.flag("add_bos_token", begins) else None
    last = vocabulary.token("eos") if vocabulary.flag("add_eos_token", False) else None
    steps: list[Any] = (
        [processors.ByteLevel(trim_offsets=False)] if isinstance(inner.decoder, decoders.ByteLevel) else []
    )
    if first is not None or last is not None:
        ends = {token: vocabulary.ids[token] for token in (first, last) if token is not None}
        single = [part for part in (first, "$A", last) if part is not None]
        pair = [*single, *(f"{part}:1" for part in (first, "$B", last) if part is not None)]
        steps.append(processors.TemplateProcessing(single=single, pair=pair, special_tokens=list(ends.items())))
    if steps:
        inner.post_processor = processors.Sequence(steps)


_BUILDERS: dict[str, Callable[[_Vocabulary], tuple[tokenizers.Tokenizer, bool]]] = {
    "gpt2": _byte_level,
    "llama": _sentence_pieces,
    "t5": _unigram,
}
