"""Drafts: tokens that are likely to come next, tried in one step instead of one after another.

The rule of this file: a draft is a guess and nothing more. A step gives logits behind every drafted token; the token
that would have been chosen anyway is chosen from each in turn, and the first that is not the drafted one ends the
draft (speculative decoding with a deterministic draft: Leviathan et al. 2023, where the guess has all the probability).
So the answer is the one without drafts, greedy or sampled, as far as logits do not depend on what else is in the step.
"""

from bisect import bisect_left
from collections.abc import Sequence

_LONGEST = 16  # tokens in one draft


class Drafter:
    """Drafts from a text that the answer is expected to follow: from where it does, and anew from wherever its last two
    tokens stand there. Drafts grow while they are right."""

    def __init__(self, text: Sequence[int]) -> None:
        self._text = tuple(text)
        self._places: dict[tuple[int, int], list[int]] = {}  # a pair of tokens, and what follows each time it stands
        for place, pair in enumerate(zip(self._text, self._text[1:], strict=False), 2):
            self._places.setdefault(pair, []).append(place)
        self._next: int | None = 0
        self._reached = 0
        self._last = -1
        self._reach = _LONGEST // 2

    def draft(self, most: int) -> tuple[int, ...]:
        """What comes next if the answer goes on as the text does, `most` tokens of it."""
        if self._next is None:
            return ()
        return self._text[self._next : self._next + min(most, self._reach)]

    def told(self, drafted: int, right: int) -> None:
        """How many tokens of a draft were the ones chosen."""
        self._reach = min(2 * self._reach, _LONGEST) if right == drafted else max(2, right)

    def follow(self, token: int) -> None:
        """The answer's next token."""
        if self._next is not None and self._text[self._next : self._next + 1] == (token,):
            self._next += 1
        else:
            self._next = self._after((self._last, token))
        self._last = token
        self._reached = self._reached if self._next is None else self._next

    def _after(self, pair: tuple[int, int]) -> int | None:
        """What follows the pair the next time it stands in the text, or else the first time."""
        places = self._places.get(pair)
        if not places:
            return None
        at = bisect_left(places, self._reached)
        return places[at] if at < len(places) else places[0]
