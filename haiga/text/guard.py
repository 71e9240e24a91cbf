"""Keeps content from spelling control tokens.

Rule: a control token in what somebody wrote is broken after its first character by a private-use character, before
the template sees it; the prompt is then encoded in the parts between those characters, so that the tokenizer never
meets the token whole. What the template itself writes is left alone.

A template may also put a control token together, its own `<` before somebody's word and its own `>` behind. So where
a text begins or ends with a part of a control token, it is rendered once more with that character around it; when
fewer control tokens come out, the template had joined them, and the second rendering is taken.

Control tokens are the tokenizer's special tokens and those other added tokens that the template's source spells.
A control token of one character cannot be broken and is left as it is.
"""

import re
from collections.abc import Iterable
from typing import Any, TypeAlias

from haiga.core.errors import Invalid
from haiga.text.tokenizer import Tokenizer

_PRIVATE = re.compile("[\ue000-\uf8ff]")
_RANGE = range(0xE000, 0xF900)
_NAMING = ("properties", "arguments")
_STRUCTURE = ("role", "type", "id", "tool_call_id")


class Guard:
    """The control tokens of one tokenizer and template."""

    def __init__(self, tokenizer: Tokenizer, source: str) -> None:
        special = [text for text, number in tokenizer.added.items() if number in tokenizer.special_ids]
        markup = [text for text in tokenizer.added if _is_markup(text) and text in source]
        control = sorted({text for text in (*special, *markup) if len(text) > 1})
        self._pattern = _pattern(control)
        self._inside = "\0".join(control)
        self._starts = {text[:length] for text in control for length in range(1, len(text))}
        self._ends = {text[length:] for text in control for length in range(1, len(text))}
        self._longest = max(map(len, control), default=0)

    def broken(self, value: Any, split: str) -> Any:
        """`value` (text, list or mapping) with `split` inside every control token that its texts and keys spell."""
        if self._pattern is None:
            return value
        match value:
            case str():
                return self._pattern.sub(rf"\g<0>{split}", value)
            case dict():
                return {self.broken(key, split): self.broken(each, split) for key, each in value.items()}
            case list():
                return [self.broken(each, split) for each in value]
        return value

    def edged(self, value: Any, split: str, named: bool = False) -> Any:
        """`value` with `split` before and after every text that could be a part of a control token; so the names
        of parameters too (`named`), not the keys that templates look for."""
        match value:
            case str():
                return f"{split}{value}{split}" if self._is_part(value) else value
            case dict():
                return {
                    self.edged(key, split) if named else key: each
                    if key in _STRUCTURE
                    else self.edged(each, split, key in _NAMING)
                    for key, each in value.items()
                }
            case list():
                return [self.edged(each, split) for each in value]
        return value

    def tokens(self, text: str) -> int:
        """How many control tokens a rendered text has."""
        return len(self._pattern.findall(text)) if self._pattern else 0

    def _is_part(self, text: str) -> bool:
        if not text:
            return False
        lengths = range(1, min(len(text), self._longest) + 1)
        return text in self._inside or any(text[-n:] in self._starts or text[:n] in self._ends for n in lengths)


def private_characters(texts: Iterable[str], count: int) -> list[str]:
    """`count` private-use characters that none of `texts` contains."""
    used = {character for text in texts for character in _PRIVATE.findall(text)}
    free = [chr(code) for code in _RANGE if chr(code) not in used][:count]
    if len(free) < count:
        raise Invalid("the request uses up the private-use characters of Unicode", field="messages")
    return free


def replaced(value: Any, old: str, new: str) -> Any:
    """`value` with `old` written as `new` in every text and key."""
    match value:
        case str():
            return value.replace(old, new)
        case dict():
            return {replaced(key, old, new): replaced(each, old, new) for key, each in value.items()}
        case list():
            return [replaced(each, old, new) for each in value]
    return value


def _is_markup(text: str) -> bool:
    return not text.isalnum() and not text.isspace()


_Trie: TypeAlias = dict[str, "_Trie"]


def _pattern(texts: Iterable[str]) -> re.Pattern[str] | None:
    """A pattern that matches the first character of each of `texts`, where the rest of it follows."""
    trie: _Trie = {}
    for text in texts:
        node = trie
        for character in text:
            node = node.setdefault(character, {})
        node[""] = {}
    if not trie:
        return None
    return re.compile("|".join(f"{re.escape(first)}(?={_written(rest)})" for first, rest in trie.items()))


def _written(trie: _Trie) -> str:
    """The shortest of the texts in a trie that matches, as a pattern: longer ones need not be told apart."""
    if "" in trie:
        return ""
    branches = [re.escape(character) + _written(rest) for character, rest in trie.items()]
    return branches[0] if len(branches) == 1 else f"(?:{'|'.join(branches)})"
