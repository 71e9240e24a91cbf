"""Pixels: cut, resized, scaled, laid out as patches.

Rule: resizing is Pillow's, on 8 bits, as in the processors that models were trained behind; all else is numpy.
Shapes: pixels [height, width, 3], of 8 bits, or scaled to float32.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.Image import Resampling

from haiga.core.pictures import Picture
from haiga.models.fields import Fields

Pixels: TypeAlias = NDArray[np.uint8]
Scaled: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Scale:
    """From 8 bits to what a tower is fed: (pixel * factor - mean) / deviation, by colour."""

    factor: float
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def of(self, pixels: Pixels) -> Scaled:
        """The pixels scaled."""
        mean, deviation = np.asarray(self.mean), np.asarray(self.deviation)
        slope, start = (self.factor / deviation).astype(np.float32), (mean / deviation).astype(np.float32)
        scaled: Scaled = np.multiply(pixels, slope, dtype=np.float32)
        np.subtract(scaled, start, out=scaled)
        return scaled


def read_scale(config: Fields, mean: tuple[float, ...], deviation: tuple[float, ...]) -> Scale:
    """The scale that a processor's config gives. Raises Invalid naming the field."""
    factor = config.number("rescale_factor", 1 / 255) if config.flag("do_rescale", True) else 1.0
    if not config.flag("do_normalize", True):
        return Scale(factor, (0.0,) * 3, (1.0,) * 3)
    return Scale(factor, _colours(config, "image_mean", mean), _colours(config, "image_std", deviation))


def _colours(config: Fields, name: str, default: tuple[float, ...]) -> tuple[float, ...]:
    values = config.sequence(name, 3)
    if values is None:
        return default
    if not all(isinstance(each, int | float) for each in values) or (name == "image_std" and 0 in values):
        raise config.refuse(name, f"is {values!r}, not a number for each colour")
    return tuple(float(each) for each in values[:3])


def read_resampling(config: Fields, default: Resampling) -> Resampling:
    """The filter that a processor's config names by Pillow's number. Raises Invalid naming the field."""
    number = config.integer("resample", default, least=0)
    try:
        return Resampling(number)
    except ValueError:
        raise config.refuse("resample", f"is {number}, no filter of Pillow's") from None


def pixels_of(picture: Picture) -> Pixels:
    """The picture's pixels, a view of its bytes."""
    return np.frombuffer(picture.rgb, np.uint8).reshape(picture.height, picture.width, 3)


def resize(pixels: Pixels, width: int, height: int, resampling: Resampling) -> Pixels:
    """The pixels in another size."""
    return np.asarray(Image.fromarray(pixels).resize((width, height), resampling))


def patches(pixels: Scaled, size: int) -> Scaled:
    """Pixels cut into squares of `size`, row by row, colours outermost in each: [squares, 3 * size * size]."""
    rows, columns = pixels.shape[0] // size, pixels.shape[1] // size
    cut = pixels[: rows * size, : columns * size].reshape(rows, size, columns, size, 3)
    return np.ascontiguousarray(cut.transpose(0, 2, 4, 1, 3)).reshape(rows * columns, 3 * size * size)
