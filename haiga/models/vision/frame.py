"""One picture to one square that a tower was made for: padded, resized, cropped, as its processor's config says.

Rule: what CLIP's and SigLIP's processors, and LLaVA's, have in common.
"""

from dataclasses import dataclass

import numpy as np
from PIL.Image import Resampling

from haiga.models.fields import Fields
from haiga.models.vision.pixels import Pixels, Scale, Scaled, patches, read_resampling, read_scale, resize

CLIP_MEAN, CLIP_DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True, slots=True)
class Frame:
    """shortest: pixels that the shorter side is resized to; None: both sides to `size`, width before height, as far as
    it is resized at all. crop: width and height cut from the middle, None for no cut. padding: a colour that a picture
    is made square with beforehand."""

    scale: Scale
    resampling: Resampling
    size: tuple[int, int] | None
    shortest: int | None
    crop: tuple[int, int] | None
    padding: tuple[int, ...] | None

    def pixels(self, pixels: Pixels) -> Pixels:
        """The picture as the tower is to see it, not scaled yet."""
        if self.padding is not None:
            pixels = _squared(pixels, self.padding)
        height, width, _ = pixels.shape
        if self.shortest is not None:
            short, long = min(width, height), max(width, height)
            longer = int(self.shortest * long / short)
            size = (self.shortest, longer) if width <= height else (longer, self.shortest)
            pixels = resize(pixels, *size, self.resampling)
        elif self.size is not None:
            pixels = resize(pixels, *self.size, self.resampling)
        return pixels if self.crop is None else _cropped(pixels, *self.crop)

    def patches(self, pixels: Pixels, size: int) -> Scaled:
        """The picture as a tower's patches."""
        return patches(self.scale.of(self.pixels(pixels)), size)


def read_frame(config: Fields, *, pads: bool, mean: tuple[float, ...], deviation: tuple[float, ...]) -> Frame:
    """The frame that a processor's config gives. pads: whether its `do_pad` makes pictures square. Raises Invalid
    naming the field."""
    size = config.object("size")
    shortest = None if size is None else size.get("shortest_edge")
    if size is None:
        shortest = config.integer("size", 224)
    scale = read_scale(config, mean, deviation)
    resizes = config.flag("do_resize", True)
    return Frame(
        scale=scale,
        resampling=read_resampling(config, Resampling.BICUBIC),
        size=(size.integer("width"), size.integer("height")) if resizes and size is not None and not shortest else None,
        shortest=shortest if resizes else None,
        crop=_read_crop(config),
        padding=tuple(int(each * 255) for each in scale.mean) if pads and config.flag("do_pad", False) else None,
    )


def _read_crop(config: Fields) -> tuple[int, int] | None:
    if not config.flag("do_center_crop", True) or config.get("crop_size") is None:
        return None
    if isinstance(config["crop_size"], int):
        return config.integer("crop_size"), config.integer("crop_size")
    crop = config.object("crop_size")
    assert crop is not None
    return crop.integer("width"), crop.integer("height")


def _squared(pixels: Pixels, colour: tuple[int, ...]) -> Pixels:
    height, width, _ = pixels.shape
    side = max(height, width)
    square = np.empty((side, side, 3), np.uint8)
    square[:] = colour
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = pixels
    return square


def _cropped(pixels: Pixels, width: int, height: int) -> Pixels:
    """The middle; black around it where there is too little."""
    (high, wide, _), edges = pixels.shape, []
    for have, want in ((high, height), (wide, width)):
        more = max(0, want - have)
        edges.append((-(-more // 2), more // 2))
    if any(map(sum, edges)):
        pixels = np.pad(pixels, (*edges, (0, 0)))
    top, left = (high - height) // 2 + edges[0][0], (wide - width) // 2 + edges[1][0]
    return pixels[top : top + height, left : left + width]
