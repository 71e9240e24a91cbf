"""Parts of texts taken out. Rule: what a span covers is gone, and nothing beside it."""

from collections.abc import Iterable, Sequence

from haiga.core.moderation import Span
from haiga.core.policies import MASK


def masked(text: str, spans: Iterable[Span]) -> str:
    """The text with each span replaced; spans that touch become one."""
    pieces, at = [], 0
    for start, end in merged(spans):
        pieces += [text[at:start], MASK]
        at = end
    return "".join([*pieces, text[at:]])


def merged(spans: Iterable[Span]) -> Sequence[tuple[int, int]]:
    """The spans in order, those that touch as one."""
    found: list[tuple[int, int]] = []
    for span in sorted(spans, key=lambda span: span.start):
        if found and span.start <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], span.end)
        elif span.end > span.start:
            found.append((span.start, span.end))
    return found
