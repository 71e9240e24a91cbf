"""Which rows of a step run together, when they belong to several adapters.

Rule: pure. In a part every adapter is given as many rows as the one with the most, so that all are one batched product;
what is filled up is computed for nothing. A part of its own costs another pass over the base's weights. Rows of the
base alone cost neither: they go with the first part.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

WASTE = 128  # tokens filled up, from where another pass is cheaper


def split(adapters: Sequence[str | None], lengths: Sequence[int], most: int) -> list[list[int]]:
    """The indices of rows with these adapters and lengths in tokens, in parts of at most `most` adapters each."""
    tokens: Counter[str] = Counter()
    for adapter, length in zip(adapters, lengths, strict=True):
        if adapter is not None:
            tokens[adapter] += length
    groups = list(_groups(tokens, most)) or [()]
    return [list(_rows(adapters, group, first=group is groups[0])) for group in groups]


def _groups(tokens: Counter[str], most: int) -> Iterator[tuple[str, ...]]:
    """Adapters of about as many tokens, those with most first."""
    group: list[str] = []
    waste = 0
    for adapter, count in tokens.most_common():
        more = tokens[group[0]] - count if group else 0
        if len(group) == most or waste + more > WASTE:
            yield tuple(group)
            group, waste, more = [], 0, 0
        group.append(adapter)
        waste += more
    if group:
        yield tuple(group)


def _rows(adapters: Sequence[str | None], group: tuple[str, ...], first: bool) -> Iterator[int]:
    return (at for at, adapter in enumerate(adapters) if adapter in group or (first and adapter is None))
