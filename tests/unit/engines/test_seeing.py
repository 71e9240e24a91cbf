"""Pictures beside the loop and in a step: seen once, bounded, the urgent first; places and pieces of rows."""

import itertools
import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import orjson
import pytest

from haiga.core.generation import Sampling
from haiga.core.pictures import Picture, Placed, Seen
from haiga.core.ports import Row
from haiga.engines.frames import HEADER
from haiga.engines.native import protocol
from haiga.engines.native.pictured import pieces, place_features, token_kinds, turned_places
from haiga.engines.native.protocol import Submission
from haiga.engines.native.seeing import Eye, Lane

RED, BLUE = Picture.of(b"\xff\0\0" * 2, 2, 1), Picture.of(b"\0\0\xff" * 2, 1, 2)


class Counted:
    """A tower of four features of eight bytes each, which counts what it is shown."""

    def __init__(self) -> None:
        self.sight = SimpleNamespace(mutual=False)
        self.shown: list[str] = []

    def features(self, picture: Picture) -> Any:
        self.shown.append(picture.digest)
        return np.zeros((4, 2), np.float32)


def placed(picture: Picture) -> Placed:
    return Placed(picture, ((3, 4),))


def test_a_picture_is_read_once_for_each_workspace() -> None:
    tower = Counted()
    eye = Eye(tower)  # type: ignore[arg-type]
    for salt in ("a", "a", "b"):
        eye.see(placed(RED), salt)
    assert [RED.digest, RED.digest] == tower.shown


def test_the_picture_that_was_used_longest_ago_is_forgotten_first() -> None:
    tower = Counted()
    eye = Eye(tower, kept=64)  # type: ignore[arg-type]
    third = Picture.of(b"\0\xff\0", 1, 1)
    for picture in (RED, BLUE, RED, third, RED, BLUE):
        eye.see(placed(picture), "a")
    assert [RED.digest, BLUE.digest, third.digest, BLUE.digest] == tower.shown


def test_urgent_work_goes_first() -> None:
    lane, gate, done = Lane("test"), threading.Event(), threading.Event()
    order: list[str] = []
    lane.put(True, gate.wait)  # type: ignore[arg-type]
    for urgent, name in ((False, "batch"), (True, "first"), (True, "second")):
        lane.put(urgent, lambda name=name: order.append(name))  # type: ignore[misc]
    lane.put(False, done.set)
    gate.set()
    assert done.wait(10)
    assert ["first", "second", "batch"] == order


def test_pictures_cross_the_socket_as_they_are_each_once() -> None:
    pictures = [Placed(RED, ((1, 2), (5, 1)), (1, 3)), Placed(BLUE, ((8, 1),)), Placed(RED, ((10, 3),), (1, 3))]
    asked = Submission(7, [1, 2], Sampling(), 5, [4], "batch", "s", pictures=pictures)
    sent = protocol.submit(asked)
    (length,) = HEADER.unpack(sent[: HEADER.size])
    command, pixels = orjson.loads(sent[4 : 4 + length]), sent[4 + length :]
    assert RED.rgb + BLUE.rgb == pixels
    assert len(pixels) == command["bytes"]
    assert pictures == protocol.read_submission(command, pixels).pictures


def seen(first: int, count: int, grid: tuple[int, int] | None = None, mutual: bool = False) -> Seen:
    features = np.arange(first, first + count, dtype=np.float32)[:, None]
    return Seen(b"x", ((first, count),), features, grid, mutual)


@pytest.mark.parametrize("cuts", [[0, 14], [0, 4, 14], [0, 5, 6, 13, 14]])
def test_features_go_to_their_places_however_rows_are_cut(cuts: list[int]) -> None:
    pictures = (seen(3, 4), seen(9, 3))
    found = []
    for begin, end in itertools.pairwise(cuts):
        rows = [Row([0, 0], 0, [1], 0), Row([0] * (end - begin), begin, [0], 0, pictures=pictures)]
        places, features = place_features(rows, 1)
        assert (places - 2 + begin).tolist() == features[:, 0].tolist()
        assert [int(at in places) for at in range(2 + end - begin)] == token_kinds(rows).tolist()
        found += features[:, 0].tolist()
    assert [3, 4, 5, 6, 9, 10, 11] == found


@pytest.mark.parametrize("cuts", [[0, 16], [0, 3, 5, 11, 16], list(range(17))])
def test_positions_count_rows_and_columns_and_go_on_behind_the_larger(cuts: list[int]) -> None:
    pictures = (seen(2, 6, (2, 3)), seen(9, 4, (2, 2)))
    parts = [
        turned_places([Row([0] * (end - begin), begin, [0], 0, pictures=pictures)])
        for begin, end in itertools.pairwise(cuts)
    ]
    expected = [
        [0, 1, 2, 2, 2, 2, 2, 2, 5, 6, 6, 6, 6, 8, 9, 10],
        [0, 1, 2, 2, 2, 3, 3, 3, 5, 6, 6, 7, 7, 8, 9, 10],
        [0, 1, 2, 3, 4, 2, 3, 4, 5, 6, 7, 6, 7, 8, 9, 10],
    ]
    assert expected == np.concatenate(parts, axis=1).tolist()


def test_a_picture_whose_tokens_see_each_other_is_one_piece() -> None:
    row = Row(list(range(8)), 10, [0, 1], 3, pictures=(seen(12, 4, mutual=True),))
    found = [
        (piece.whole, [(part.past, list(part.tokens), part.sampled) for part in piece.rows])
        for piece in pieces(row, True)
    ]
    expected = [
        (False, [(10, [0], 0), (11, [1], 0)]),
        (True, [(12, [2, 3, 4, 5], 1)]),
        (False, [(16, [6], 1), (17, [7], 1)]),
    ]
    assert expected == found
