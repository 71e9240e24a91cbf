"""Texts as people disguise them: capitals, letters set apart, digits for letters, look-alike letters, slips.

Rule: a disguise never changes what a reader reads.
"""

import random

_DIGITS = str.maketrans("oieast", "013457")
_SIGNS = str.maketrans("asi", "@$!")
_ALIKE = str.maketrans("aceopxyi", "асеорхуі")
KINDS = ("capitals", "apart", "digits", "signs", "alike", "drawn", "accents")


def disguised(text: str, kind: str, chance: random.Random) -> str:
    """The text with about half of its longer words in a disguise of this kind."""
    if kind == "capitals":
        return text.upper()
    words = text.split(" ")
    return " ".join(_word(word, kind) if len(word) > 3 and chance.random() < 0.5 else word for word in words)


def _word(word: str, kind: str) -> str:
    if kind == "apart":
        return " ".join(word) if word.isalpha() else word
    if kind == "drawn":
        return "".join(char * 3 if char in "aeiou" else char for char in word)
    if kind == "accents":
        return "".join(char + "\u0301" if char in "aeiou" else char for char in word)
    return word[0] + word[1:].translate({"digits": _DIGITS, "signs": _SIGNS, "alike": _ALIKE}[kind])
