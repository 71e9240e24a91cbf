"""Pictures on their way to a pipeline and back: fitted, masked, cut out and put back.

Rule: what is outside of a mask stays as it was, pixel for pixel but for the mask's soft edge.
"""

from dataclasses import dataclass
from typing import TypeAlias

from PIL import Image, ImageFilter, ImageOps

from haiga.core.errors import Invalid
from haiga.core.images import Inpaint
from haiga.core.pictures import Picture

Box: TypeAlias = tuple[int, int, int, int]
BLURS = (256, 64, 16, 4, 1)  # pixels; how far colours reach under a mask, as A1111's masking.fill does


def picture_of(image: Image.Image) -> Picture:
    rgb = image.convert("RGB")
    return Picture.of(rgb.tobytes(), rgb.width, rgb.height)


def image_of(picture: Picture) -> Image.Image:
    return Image.frombytes("RGB", (picture.width, picture.height), picture.rgb)


def fitted(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Of that size, what juts out cut off."""
    return image if image.size == size else ImageOps.fit(image, size, Image.Resampling.LANCZOS)


@dataclass(frozen=True, slots=True)
class Work:
    """What a pipeline works on of a picture: `image` and `mask` in the canvas's size; `whole` and `box` say where that
    belongs, `soft` [whole's size] how much of the new picture shows."""

    image: Image.Image
    mask: Image.Image
    whole: Image.Image
    box: Box
    soft: Image.Image

    @classmethod
    def of(cls, source: Picture, inpaint: Inpaint, size: tuple[int, int], canvas: tuple[int, int]) -> "Work":
        """`size`: of the picture, unless only the masked part is worked on; `canvas`: what the pipeline paints in.
        Raises Invalid for a mask with nothing in it where only the masked part is worked on."""
        whole = image_of(source) if inpaint.padding is not None else fitted(image_of(source), size)
        mask = fitted(image_of(inpaint.mask).convert("L"), whole.size)
        mask = ImageOps.invert(mask) if inpaint.inverted else mask
        box = (0, 0, *whole.size) if inpaint.padding is None else _around(mask, inpaint.padding, canvas)
        image = _filled(whole, mask) if inpaint.fill == "fill" else whole
        soft = mask.filter(ImageFilter.GaussianBlur(inpaint.blur)) if inpaint.blur else mask
        return cls(_cut(image, box, canvas), _cut(mask, box, canvas), whole, box, soft)

    def put_back(self, made: Image.Image) -> Image.Image:
        """The whole picture with what was made in it."""
        left, top, right, bottom = self.box
        new = self.whole.copy()
        new.paste(resized(made.convert("RGB"), (right - left, bottom - top)), (left, top))
        return Image.composite(new, self.whole, self.soft)


def _cut(image: Image.Image, box: Box, size: tuple[int, int]) -> Image.Image:
    return resized(image.crop(box), size)


def resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Of that size, as wide and as high as it takes."""
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)


def _around(mask: Image.Image, padding: int, size: tuple[int, int]) -> Box:
    """The box of all that is masked, `padding` wider, of the shape of `size` as far as the picture allows."""
    found = mask.getbbox()
    if found is None:
        raise Invalid("the mask has nothing in it", field="mask")
    left, right = _stretched(max(0, found[0] - padding), min(mask.width, found[2] + padding), 0, mask.width)
    top, bottom = _stretched(max(0, found[1] - padding), min(mask.height, found[3] + padding), 0, mask.height)
    width, height = right - left, bottom - top
    if width * size[1] > height * size[0]:
        top, bottom = _stretched(top, bottom, width * size[1] // size[0], mask.height)
    else:
        left, right = _stretched(left, right, height * size[0] // size[1], mask.width)
    return left, top, right, bottom


def _stretched(low: int, high: int, length: int, most: int) -> tuple[int, int]:
    """A span of that length at least about the same middle, kept within `most`."""
    length = min(max(length, high - low), most)
    low = min(max(0, (low + high - length) // 2), most - length)
    return low, low + length


def _filled(image: Image.Image, mask: Image.Image) -> Image.Image:
    """With the colours around the mask spread under it."""
    outside = Image.new("RGBA", image.size)
    outside.paste(image.convert("RGBA"), mask=ImageOps.invert(mask))
    spread = Image.new("RGBA", image.size)
    for radius in BLURS:
        blurred = outside.convert("RGBa").filter(ImageFilter.GaussianBlur(radius)).convert("RGBA")
        for _ in range(3):
            spread.alpha_composite(blurred)
    spread.alpha_composite(outside)
    return Image.composite(spread.convert("RGB"), image, mask)
