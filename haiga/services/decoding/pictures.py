"""A picture's file to pixels that a model reads: upright, opaque, 8 bits of red, green and blue, not too large.

Rule: the size is read from the header and judged before anything is decoded. Of a moving picture the first frame is
the picture; what is transparent is seen on white.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from PIL import Image, ImageChops, ImageOps

from haiga.services.decoding.refusal import OVERSIZED, Refusal, told
from haiga.services.decoding.sizes import fitted

FORMATS = ("JPEG", "PNG", "GIF", "WEBP")
ORIENTATION = 0x0112
TURNED = range(5, 9)  # orientations that swap width and height
WHITE = (255, 255, 255, 255)
Image.MAX_IMAGE_PIXELS = None  # the sides are judged here, before Pillow would


def open_picture(data: bytes, wish: Mapping[str, Any]) -> Image.Image:
    """The picture in `data`, of which no more than the header is read. `wish`: `side`, the most pixels of either side,
    and why (`why`); `edge` and `patches`, to what it is made smaller; `exact`: refuse it rather than make it smaller;
    `alpha`: of one that is not opaque, how opaque it is; `holes`: how much it is not. Raises Refusal."""
    with refusing():
        picture = Image.open(BytesIO(data), formats=FORMATS)
        _judge(picture.size, wish)
        return picture


def read_picture(picture: Image.Image, wish: Mapping[str, Any]) -> Image.Image:
    """The opened picture as mode RGB. Raises Refusal."""
    with refusing():
        return _read(picture, wish)


@contextmanager
def refusing() -> Iterator[None]:
    """Whatever a decoder raises, as a Refusal."""
    try:
        yield
    except (Refusal, MemoryError):
        raise
    except Exception as problem:  # a decoder fails in as many ways as there are damaged files
        raise Refusal(f"Could not process image: {told(problem)}") from None


def _judge(size: tuple[int, int], wish: Mapping[str, Any]) -> None:
    if min(size) < 1:
        raise Refusal("Could not process image: it has no pixels")
    if max(size) > wish["side"]:
        raise Refusal(
            f"At least one of the image dimensions exceed max allowed size{wish['why']}: {wish['side']} pixels",
            OVERSIZED,
        )
    best = fitted(size, wish["edge"], wish["patches"])
    if wish["exact"] and best != size:
        raise Refusal(
            f"the image is {size[0]}x{size[1]} pixels and would be downsized: at most {best[0]}x{best[1]} pixels fit"
        )


def _read(picture: Image.Image, wish: Mapping[str, Any]) -> Image.Image:
    turn = picture.getexif().get(ORIENTATION, 1)
    size = fitted(picture.size, wish["edge"], wish["patches"])
    if picture.format == "JPEG" and picture.mode in ("RGB", "L"):
        picture.draft(picture.mode, (2 * size[0], 2 * size[1]))  # no more detail than twice what is kept
    picture.load()
    picture = _colours(picture)
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    seen = _holes if wish.get("holes") else _alpha if wish.get("alpha") else _opaque
    return _upright(seen(picture), turn)


def _colours(picture: Image.Image) -> Image.Image:
    """As RGB or RGBA, whatever it was kept as."""
    if picture.mode.startswith("I"):  # 16 bits of grey, which Pillow would cut off at 255
        picture = picture.convert("I").point(lambda value: value / 257.0).convert("L")
    if picture.has_transparency_data:
        return picture.convert("RGBA")
    return picture.convert("RGB")


def _alpha(picture: Image.Image) -> Image.Image:
    """How opaque it is, as grey; what is opaque all over is seen as it is."""
    if picture.mode == "RGBA" and picture.getchannel("A").getextrema() != (255, 255):
        return picture.getchannel("A").convert("RGB")
    return _opaque(picture)


def _holes(picture: Image.Image) -> Image.Image:
    """Black where it is opaque, white where nothing of it is seen."""
    if picture.mode == "RGB":
        return Image.new("RGB", picture.size)
    return ImageChops.invert(picture.getchannel("A")).convert("RGB")


def _opaque(picture: Image.Image) -> Image.Image:
    if picture.mode == "RGB":
        return picture
    return Image.alpha_composite(Image.new("RGBA", picture.size, WHITE), picture).convert("RGB")


def _upright(picture: Image.Image, turn: Any) -> Image.Image:
    if turn not in range(2, 9):
        return picture
    picture.getexif()[ORIENTATION] = turn
    return ImageOps.exif_transpose(picture)
