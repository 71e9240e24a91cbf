"""Pictures in a step: which of its tokens stand for which features, and where tokens are in a picture.

Rule: a chunk may begin or end anywhere, inside a picture too; what comes out depends on the places alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from haiga.core.pictures import Seen
from haiga.core.ports import Row

Places = NDArray[np.int64]


def place_features(rows: Sequence[Row], width: int) -> tuple[Places, NDArray[np.float32]]:
    """The tokens of a step that stand for pictures [P], as indices into all its tokens, and their features
    [P, width]."""
    places: list[Places] = [np.empty(0, np.int64)]
    features: list[NDArray[np.float32]] = [np.empty((0, width), np.float32)]
    start = 0
    for row in rows:
        for first, last, part in _parts(row):
            places.append(np.arange(first, last, dtype=np.int64) + (start - row.past))
            features.append(part)
        start += len(row.tokens)
    return np.concatenate(places), np.ascontiguousarray(np.concatenate(features))


def _parts(row: Row) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
    """The stretches of the row's places that stand for pictures: first, behind the last, features."""
    end = row.past + len(row.tokens)
    for seen in row.pictures:
        if seen.end <= row.past or seen.first >= end:
            continue
        at = 0
        for first, count in seen.spans:
            low, high = max(first, row.past), min(first + count, end)
            if low < high:
                yield low, high, seen.features[at + low - first : at + high - first]
            at += count


def token_kinds(rows: Sequence[Row]) -> NDArray[np.int32]:
    """1 for tokens of a step that stand for pictures, 0 for others [T]."""
    kinds = np.zeros(sum(len(row.tokens) for row in rows), np.int32)
    start = 0
    for row in rows:
        for first, last, _ in _parts(row):
            kinds[first - row.past + start : last - row.past + start] = 1
        start += len(row.tokens)
    return kinds


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows that follow each other in a sequence: one token each, which may run side by side because the op writes all
    keys before it reads any; or one, a picture's `whole` span."""

    rows: list[Row]
    whole: bool = False


def pieces(row: Row, mutual: bool) -> list[Piece]:
    """The row for a step whose logits depend on the sequence alone. mutual: the tokens of a picture see each other."""
    spans = {first - row.past: last - row.past for first, last, _ in _parts(row)} if mutual else {}
    found: list[Piece] = []
    at = 0
    while at < len(row.tokens):
        end = spans.get(at, at + 1)
        part = _cut(row, at, end)
        if at in spans or not found or found[-1].whole:
            found.append(Piece([part], at in spans))
        else:
            found[-1].rows.append(part)
        at = end
    return found


def _cut(row: Row, at: int, end: int) -> Row:
    """The row's tokens from `at` to `end`."""
    first = len(row.tokens) - row.sampled
    sampled = min(max(end - first, 0), end - at)
    return replace(row, tokens=row.tokens[at:end], past=row.past + at, sampled=sampled)


def turned_places(rows: Sequence[Row]) -> Places:
    """Positions [3, T] in time, rows and columns of a decoder whose rope turns by all three: a picture's tokens are at
    one time, in its rows and columns; what follows goes on behind the largest (arXiv 2409.12191)."""
    return np.concatenate([_turned(row) for row in rows], axis=1)


def _turned(row: Row) -> Places:
    end = row.past + len(row.tokens)
    places = np.broadcast_to(np.arange(row.past, end, dtype=np.int64), (3, end - row.past)).copy()
    saved = 0  # places that pictures so far took less than they have tokens
    for seen in row.pictures:
        if seen.grid is None or seen.first >= end:
            break
        low, high = max(seen.first, row.past), min(seen.end, end)
        if low < high:
            inside = _inside(seen, saved)[:, low - seen.first : high - seen.first]
            places[:, low - row.past : high - row.past] = inside
        saved += seen.end - seen.first - max(seen.grid)
        behind = max(0, seen.end - row.past)
        places[:, behind:] = np.arange(row.past + behind, end, dtype=np.int64) - saved
    return places


def _inside(seen: Seen, saved: int) -> Places:
    """Positions [3, tokens] of one picture's tokens."""
    assert seen.grid is not None
    rows, columns = (part.reshape(-1) for part in np.indices(seen.grid, dtype=np.int64))
    return np.stack([np.zeros_like(rows), rows, columns]) + (seen.first - saved)
