"""Pictures in other sizes, with no model."""

import pytest

from haiga.core.errors import Invalid, TooLarge
from haiga.core.images import UpscaleRequest
from haiga.core.pictures import Picture
from haiga.services.images.resizing import enlarged, fitted

RED, BLUE = bytes([200, 0, 0]), bytes([0, 0, 200])
HALVES = Picture.of((RED * 4 + BLUE * 4) * 4, 8, 4)  # red on the left, blue on the right


def pixel(picture: Picture, x: int, y: int) -> bytes:
    at = (y * picture.width + x) * 3
    return picture.rgb[at : at + 3]


def test_a_picture_of_that_size_is_as_it_was() -> None:
    assert HALVES is fitted(HALVES, (8, 4), "fill")


def test_stretched_it_has_all_and_cropped_its_middle() -> None:
    stretched, cropped = fitted(HALVES, (64, 64), "stretch"), fitted(HALVES, (4, 4), "crop")
    assert [(64, 64), (4, 4)] == [(each.width, each.height) for each in (stretched, cropped)]
    assert [RED, BLUE] == [pixel(stretched, 2, 32), pixel(stretched, 61, 32)]


def test_filled_it_is_whole_with_its_edges_drawn_out() -> None:
    filled = fitted(HALVES, (8, 16), "fill")
    assert [RED, BLUE, RED, BLUE] == [pixel(filled, *at) for at in ((1, 0), (6, 0), (1, 15), (6, 15))]


def test_enlarged_it_is_so_many_times_as_large_or_of_a_size() -> None:
    doubled = enlarged(UpscaleRequest("", HALVES, "Nearest", 2.0))
    sized = enlarged(UpscaleRequest("", HALVES, "Lanczos", width=10, height=10))
    covering = enlarged(UpscaleRequest("", HALVES, "Lanczos", width=10, height=10, crop=False))
    assert [(16, 8), (10, 10), (20, 10)] == [(each.width, each.height) for each in (doubled, sized, covering)]
    assert RED == pixel(doubled, 7, 0)


def test_a_second_upscaler_is_mixed_in() -> None:
    one, other = (enlarged(UpscaleRequest("", HALVES, name, 3.0)) for name in ("Nearest", "Bicubic"))
    mixed = enlarged(UpscaleRequest("", HALVES, "Nearest", 3.0, second="Bicubic", visibility=1.0))
    assert (True, False) == (mixed.rgb == other.rgb, mixed.rgb == one.rgb)


def test_what_is_not_there_or_would_be_too_large_is_refused() -> None:
    with pytest.raises(Invalid, match="Lanczos"):
        enlarged(UpscaleRequest("", HALVES, "../../etc/passwd"))
    with pytest.raises(TooLarge):
        enlarged(UpscaleRequest("", HALVES, "Lanczos", width=8192, height=8192))
