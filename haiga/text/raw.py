"""Prompts without a chat template: continued as they stand, filled in before a suffix, or given back token by token.

Rule: what spells a control token is one, here alone; and no second BOS is put before a first.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from haiga.core.errors import Invalid, Unsupported
from haiga.text.tokenizer import Tokenizer

Raw: TypeAlias = str | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Infill:
    """The control tokens between which a model fills in: before, suffix, and where the answer begins; `ends` are those
    that end it."""

    before: str
    suffix: str
    middle: str
    ends: tuple[str, ...]


# CodeLlama (Roziere et al. 2023), Qwen2.5-Coder and CodeGemma, StarCoder (Li et al. 2023), DeepSeek-Coder
INFILLS = (
    Infill("▁<PRE>", "▁<SUF>", "▁<MID>", ("▁<EOT>",)),
    Infill(
        "<|fim_prefix|>",
        "<|fim_suffix|>",
        "<|fim_middle|>",
        ("<|endoftext|>", "<|fim_pad|>", "<|file_sep|>", "<|repo_name|>", "<|file_separator|>"),
    ),
    Infill("<fim_prefix>", "<fim_suffix>", "<fim_middle>", ("<|endoftext|>", "<fim_pad>", "<file_sep>")),
    Infill("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>", ("<｜end▁of▁sentence｜>",)),
)


def infill_of(added: Mapping[str, int]) -> Infill | None:
    """How a model with these added tokens fills in; None for one that cannot."""
    return next((each for each in INFILLS if {each.before, each.suffix, each.middle} <= added.keys()), None)


def raw_tokens(tokenizer: Tokenizer, raw: Raw) -> list[int]:
    """The prompt as token ids. Raises Invalid for an empty one and for ids that are none."""
    ids = tokenizer.encode(raw, special=not _begun(tokenizer, raw)) if isinstance(raw, str) else list(raw)
    unknown = next((id for id in ids if not 0 <= id < len(tokenizer)), None)
    if unknown is not None:
        raise Invalid(f"there is no token {unknown}", field="prompt")
    if not ids:
        raise Invalid("the prompt has no tokens", field="prompt")
    return ids


def infill_tokens(tokenizer: Tokenizer, prefix: Raw, suffix: str) -> tuple[list[int], tuple[int, ...]]:
    """The prompt that asks for what stands between `prefix` and `suffix`, in the order prefix, suffix, middle; and the
    ids that end the answer. Raises Unsupported for a model without infill tokens."""
    infill = infill_of(tokenizer.added)
    if infill is None:
        raise Unsupported("the model has no infill tokens", field="suffix")
    before, behind, middle = (tokenizer.added[each] for each in (infill.before, infill.suffix, infill.middle))
    start = tokenizer.encode(prefix, special=False) if isinstance(prefix, str) else list(prefix)
    ids = [*_lead(tokenizer), before, *start, behind, *tokenizer.encode_inside(suffix).ids, middle]
    return ids, tuple(tokenizer.added[each] for each in infill.ends if each in tokenizer.added)


def spelled(tokenizer: Tokenizer, raw: Raw) -> tuple[str, list[int]]:
    """The prompt as text, and where in it each of its tokens begins; a token that the tokenizer puts before a text
    takes up none of it, those that share a character share its place."""
    if isinstance(raw, str):
        return raw, tokenizer.starts(raw, special=not _begun(tokenizer, raw))
    whole, starts = tokenizer.spelling(), []
    text = ""
    for id in raw:
        starts.append(len(text))
        text += whole.add([id])
    return text + whole.finish(), starts


def _begun(tokenizer: Tokenizer, raw: str) -> bool:
    return tokenizer.bos is not None and raw.startswith(tokenizer.bos)


def _lead(tokenizer: Tokenizer) -> list[int]:
    """What the tokenizer puts before every text: its BOS, if it does."""
    bos = tokenizer.id(tokenizer.bos) if tokenizer.bos else None
    return [id for id in tokenizer.encode("")[:1] if id == bos]
