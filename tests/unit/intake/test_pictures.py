"""Pictures of every kind to upright, opaque RGB of 8 bits."""

from itertools import product
from typing import Any

import pytest
from PIL import Image, ImageChops

from haiga.services.decoding.pictures import open_picture, read_picture
from haiga.services.decoding.refusal import Refusal
from haiga.services.decoding.sizes import fitted
from tests.papers import coded, plain

WISH = {"side": 8000, "why": "", "edge": 1568, "patches": 1568, "exact": False}
RED, WHITE, HALF = (255, 0, 0), (255, 255, 255), (255, 127, 127)


def read(data: bytes, **wish: Any) -> Image.Image:
    return read_picture(open_picture(data, WISH | wish), WISH | wish)


def colour(data: bytes) -> tuple[int, ...]:
    """The middle pixel's colour."""
    picture = read(data)
    assert picture.mode == "RGB"
    pixel = picture.getpixel((picture.width // 2, picture.height // 2))
    assert isinstance(pixel, tuple)
    return pixel


def near(one: tuple[int, ...], other: tuple[int, ...], by: int) -> bool:
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) <= by


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "GIF", "WEBP"])
def test_every_format_keeps_its_colour(format_: str) -> None:
    assert near(RED, colour(coded(plain(), format_)), 3)


@pytest.mark.parametrize(
    ("mode", "value", "expected"),
    [
        ("1", 1, WHITE),
        ("L", 90, (90, 90, 90)),
        ("LA", (90, 255), (90, 90, 90)),
        ("LA", (0, 0), WHITE),
        ("RGBA", (255, 0, 0, 255), RED),
        ("RGBA", (255, 0, 0, 0), WHITE),
        ("RGBA", (255, 0, 0, 128), HALF),
        ("I;16", 0x5A5A, (90, 90, 90)),
        ("I;16", 0xFFFF, WHITE),
    ],
)
def test_greys_transparent_and_deep_pixels_come_out_right(mode: str, value: Any, expected: tuple[int, ...]) -> None:
    assert near(expected, colour(coded(plain(value, mode=mode))), 1)


def test_a_palette_keeps_its_colours_and_its_transparent_ones_are_white() -> None:
    picture = plain(1, mode="P")
    picture.putpalette([0, 0, 0, 255, 0, 0])
    assert RED == colour(coded(picture))
    assert WHITE == colour(coded(picture, transparency=1))
    assert WHITE == colour(coded(picture, "GIF", transparency=1))


def test_a_transparent_colour_of_a_picture_without_alpha_is_white() -> None:
    assert WHITE == colour(coded(plain(), transparency=RED))
    assert WHITE == colour(coded(plain(7, mode="L"), transparency=7))


def test_ink_of_a_printed_picture_becomes_its_colour() -> None:
    cyan = coded(plain((255, 0, 0, 0), mode="CMYK"), "JPEG")
    assert near((0, 255, 255), colour(cyan), 3)


def test_the_first_frame_is_the_picture() -> None:
    frames = [plain(RED), plain((0, 0, 255))]
    for format_ in ("GIF", "WEBP", "PNG"):
        data = coded(frames[0], format_, save_all=True, append_images=frames[1:], lossless=True)
        assert near(RED, colour(data), 1)


@pytest.mark.parametrize(("turn", "format_"), list(product(range(1, 9), ("JPEG", "PNG", "WEBP"))))
def test_pictures_are_turned_as_their_exif_says(turn: int, format_: str) -> None:
    shown = Image.new("RGB", (16, 8), WHITE)
    shown.paste(RED, (0, 0, 8, 4))
    backwards = {
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }
    kept = shown
    for step in backwards.get(turn, []):
        kept = kept.transpose(step)
    exif = Image.Exif()
    exif[0x0112] = turn
    quality = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(format_, {})
    upright = read(coded(kept, format_, exif=exif, **quality))
    assert shown.size == upright.size
    assert max(high for _, high in ImageChops.difference(shown, upright).getextrema()) < 60


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_leaves_the_picture_as_it_is() -> None:
    data = coded(plain(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\xff\xff")
    assert near(RED, colour(data), 3)


def test_too_large_a_side_is_refused_before_a_pixel_is_decoded() -> None:
    bomb = coded(plain(1, (9000, 10), "1"))
    with pytest.raises(Refusal, match=r"^At least one of the image dimensions exceed max allowed size: 8000 pixels$"):
        open_picture(bomb[:60], WISH)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "GIF", "WEBP"])
def test_a_picture_cut_short_is_refused_with_a_reason(format_: str) -> None:
    whole = coded(Image.effect_noise((64, 64), 90).convert("RGB"), format_)
    with pytest.raises(Refusal, match=r"^Could not process image: .+"):
        read(whole[: len(whole) // 2])


def test_what_is_no_picture_of_the_four_formats_is_refused() -> None:
    with pytest.raises(Refusal, match="Could not process image"):
        read(coded(plain(), "BMP"))


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((100, 100), (100, 100)),
        ((1568, 784), (1568, 784)),
        ((3136, 1568), (1568, 784)),
        ((2000, 2000), (1092, 1092)),
        ((1, 8000), (1, 1568)),
        ((8000, 3), (1568, 1)),
    ],
)
def test_larger_pictures_fit_the_documented_edge_and_tokens(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert expected == fitted(size, 1568, 1568)
    assert expected == read(coded(plain(0, size, "L"))).size


def test_a_picture_that_must_not_be_made_smaller_is_refused_with_the_size_that_fits() -> None:
    with pytest.raises(Refusal, match="is 2000x2000 pixels and would be downsized: at most 1092x1092 pixels fit"):
        open_picture(coded(plain(0, (2000, 2000), "1")), WISH | {"exact": True})


def test_a_transparent_picture_that_is_made_smaller_has_no_dark_edges() -> None:
    picture = Image.new("RGBA", (400, 400), (0, 0, 0, 0))
    picture.paste((255, 255, 255, 255), (100, 100, 300, 300))
    smaller = read(coded(picture), edge=100)
    assert (100, 100) == smaller.size
    assert all(low >= 254 for low, _ in smaller.getextrema())
