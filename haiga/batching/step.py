"""One step: what is planned for it, and what it did.

Rule: values, and how tokens are shared out; who gets to run is the scheduler's.
"""

from collections.abc import Sequence as Items
from dataclasses import dataclass

from haiga.batching.cold import Fetch, Stored
from haiga.batching.sequence import Sequence
from haiga.core.generation import StopReason, Usage
from haiga.core.ports import Row


@dataclass(frozen=True, slots=True)
class Plan:
    """One step: `rows` for the runner and, in the same order, whose they are; `fetches` begin with it."""

    rows: tuple[Row, ...]
    sequences: tuple[Sequence, ...]
    fetches: tuple[Fetch, ...] = ()

    @property
    def sampled(self) -> list[tuple[Row, Sequence]]:
        """The rows that logits are wanted of, `row.sampled` of each, and whose they are."""
        return [pair for pair in zip(self.rows, self.sequences, strict=True) if pair[0].sampled]


@dataclass(frozen=True, slots=True)
class Advance:
    """What a step did for one sequence.

    tokens: newly generated, an end token included. stop: why it has ended, if it has. usage: the prompt's tokens by
    origin, fixed at the first admission, and output so far. prefilled: prompt tokens computed or reused so far;
    being sent back does not lower it. Where blocks can be kept outside the pool, stored: those worth it by now; used:
    all that a sequence leaves behind, by address and whether they are local layers', its beginning first.
    """

    id: str
    tokens: tuple[int, ...]
    stop: StopReason | None
    usage: Usage
    prefilled: int
    stored: tuple[Stored, ...] = ()
    used: tuple[tuple[bytes, bool], ...] = ()


def share(gaps: Items[int], budget: int) -> list[int]:
    """How many tokens each prefill gets, oldest first: rule 5. All of the budget is used if there is work for it."""
    if not gaps:
        return []
    shares = [min(gaps[0], budget - budget // 2)] + [0] * (len(gaps) - 1)
    left = budget - shares[0]
    for index in sorted(range(1, len(gaps)), key=gaps.__getitem__):
        shares[index] = min(gaps[index], left)
        left -= shares[index]
    shares[0] += min(gaps[0] - shares[0], left)
    return shares


def answers(decodes: Items[Sequence]) -> bool:
    """Whether somebody waits for the next token of one of them: nobody does for a promoted batch sequence's."""
    return any(sequence.request.priority == "interactive" for sequence in decodes)
