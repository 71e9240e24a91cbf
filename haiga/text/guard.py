"""Keeps content from spelling control tokens.

Rule: a control token in what somebody wrote is broken after its first character by a private-use character, before
the template sees it; the prompt is then encoded in the parts between those characters, so that the tokenizer never
meets the token whole. What the template itself writes is left alone.

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


class Guard:
    """The control tokens of one tokenizer and template."""

    def __init__(self, tokenizer: Tokenizer, source: str) -> None:
        control = [text for text, number in tokenizer.added.items() if number in tokenizer.special_ids]
        control += [text for text in tokenizer.added if _is_markup(text) and text in source]
        self._pattern = _broken_after_first(text for text in control if len(text) > 1)

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


def private_characters(texts: Iterable[str], count: int) -> list[str]:
    """`count` private-use characters that none of `texts` contains."""
    used = {character for text in texts for character in _PRIVATE.findall(text)}
    free = [chr(code) for code in _RANGE if chr(code) not in used][:count]
    if len(free) < count:
        raise Invalid("the request uses up the private-use characters of Unicode", field="messages")
    return free


def _is_markup(text: str) -> bool:
    return not text.isalnum() and not text.isspace()


_Trie: TypeAlias = dict[str, "_Trie"]


def _broken_after_first(texts: Iterable[str]) -> re.Pattern[str] | None:
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
