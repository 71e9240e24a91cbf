"""Text as a classifier reads it: words with their places, disguises taken off.

Rule: what a reader sees as the same word becomes the same word: case, accents, look-alike letters of other scripts,
digits and signs for letters, letters set apart, letters drawn out. Every word keeps its place in the text as given.
Time is linear in the length of the text.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

LONGEST = 30  # characters of a word that are looked at
_LOOKS = {
    "а": "a", "в": "b", "е": "e", "ё": "e", "з": "3", "і": "i", "ї": "i", "ј": "j", "к": "k", "м": "m", "н": "h",
    "о": "o", "р": "p", "с": "c", "т": "t", "у": "y", "х": "x", "ѕ": "s", "ԁ": "d", "ԛ": "q", "ԝ": "w", "һ": "h",
    "α": "a", "β": "b", "ε": "e", "η": "n", "ι": "i", "κ": "k", "ν": "v", "ο": "o", "ρ": "p", "τ": "t", "υ": "u",
    "χ": "x", "ω": "w", "ϲ": "c", "γ": "y", "μ": "u", "ı": "i", "ł": "l", "ø": "o", "đ": "d", "ħ": "h", "ŧ": "t",
    "ɑ": "a", "ɡ": "g", "ɩ": "i", "ʏ": "y", "ᴀ": "a", "ʙ": "b", "ᴄ": "c", "ᴅ": "d", "ᴇ": "e", "ɢ": "g", "ʜ": "h",
    "ɪ": "i", "ᴊ": "j", "ᴋ": "k", "ʟ": "l", "ᴍ": "m", "ɴ": "n", "ᴏ": "o", "ᴘ": "p", "ʀ": "r", "ѵ": "v", "ᴛ": "t",
    "ᴜ": "u", "ᴠ": "v", "ᴡ": "w", "ᴢ": "z", "’": "'", "‘": "'", "“": '"', "”": '"', "`": "'",
}  # fmt: skip
_SIGNS = str.maketrans("0134578@$!|€+", "oieastbasilet")
_TOKEN = re.compile(
    r"(?P<url>https?://\S+|www\.\S+)"
    r"|(?P<user>@[a-z0-9_]{2,})(?![\w$*])"
    r"|(?P<number>\d+(?:[.,:]\d+)*)(?![\w@$*])"
    r"|(?P<run>[\w@$*€|!']+)"
    r"|(?P<sign>[?.,:;\"()])"
)
_APART = re.compile(r"(?<![^\W_])[^\W\d_](?P<sign>[ ._*-])[^\W\d_](?:(?P=sign)[^\W\d_])+(?![^\W_])")
_EDGES = "!|'_"
_DRAWN = re.compile(r"([aeiou])\1{2,}")
_STRETCHED = re.compile(r"(.)\1{2,}")


@dataclass(frozen=True, slots=True)
class Word:
    """A word without its disguise, and where it stands: [start, end) in characters of the text as given."""

    text: str
    start: int
    end: int


def words(text: str) -> Sequence[Word]:
    """The words and signs of a text, in order."""
    folded, places = _fold(text)
    return [Word(word, places[start], places[end - 1] + 1) for word, start, end in _tokens(folded)]


def _fold(text: str) -> tuple[str, Sequence[int]]:
    """The text in plain small letters, and for each of its characters the place it came from."""
    if text.isascii():
        return text.lower(), range(len(text))
    folded = [(plain, place) for place, char in enumerate(text) for plain in _plain(char)]
    return "".join(plain for plain, _ in folded), [place for _, place in folded]


def _plain(char: str) -> str:
    if unicodedata.category(char) in {"Cf", "Mn"}:
        return ""
    parts = unicodedata.normalize("NFKD", char).lower()
    return "".join(_LOOKS.get(part, part) for part in parts if unicodedata.category(part) not in {"Cf", "Mn"})


def _tokens(folded: str) -> Iterator[tuple[str, int, int]]:
    apart = {match.start(): match.end() for match in _APART.finditer(folded)}
    drawn = _STRETCHED.search(folded) is not None
    for match in _matches(folded, apart) if apart else _TOKEN.finditer(folded):
        start, kind = match.start(), match.lastgroup
        if start in apart:
            end = apart[start]
            yield _undisguised(re.sub(r"[ ._*-]", "", folded[start:end])), start, end
        elif kind == "run":
            run = match.group()
            if drawn or not run.isalpha():
                yield from _parts(run, start)
            else:  # as most are: nothing to take off, which is worth knowing before it is looked for
                yield run[:LONGEST], start, match.end()
        else:
            yield match.group() if kind == "sign" else f"<{kind}>", start, match.end()


def _matches(folded: str, apart: Mapping[int, int]) -> Iterator[re.Match[str]]:
    """The tokens, of which those that begin with a word set `apart` take all of it."""
    place = 0
    while match := _TOKEN.search(folded, place):
        place = apart.get(match.start(), match.end())
        yield match


def _parts(run: str, start: int) -> Iterator[tuple[str, int, int]]:
    """The word in a run of letters, digits and signs that stand for letters, and the exclamation mark after it."""
    word = run.strip(_EDGES)
    first = start + run.index(word)
    if any(char.isalpha() for char in word):
        yield _undisguised(word), first, first + len(word)
    elif any(char.isdigit() for char in word):
        yield "<number>", first, first + len(word)
    if "!" in (rest := run[first - start + len(word) :]):
        place = first + len(word) + rest.index("!")
        yield "!", place, place + 1


def _undisguised(word: str) -> str:
    if not word.isalpha():
        word = word.translate(_SIGNS)
    return _STRETCHED.sub(r"\1\1", _DRAWN.sub(r"\1", word[:LONGEST]))
