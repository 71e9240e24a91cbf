"""Enlarging without a model, by the names that other programs have for it.

Rule: a name means one way or is refused with the list of those there are.
"""

from collections.abc import Mapping

from PIL import Image

RESAMPLERS: Mapping[str, Image.Resampling] = {
    "Lanczos": Image.Resampling.LANCZOS,
    "Nearest": Image.Resampling.NEAREST,
    "Bilinear": Image.Resampling.BILINEAR,
    "Bicubic": Image.Resampling.BICUBIC,
    "Hamming": Image.Resampling.HAMMING,
    "Box": Image.Resampling.BOX,
}


def resampled(image: Image.Image, size: tuple[int, int], name: str) -> Image.Image:
    """Of that size. Raises KeyError for a name that is not among RESAMPLERS."""
    return image if image.size == size else image.resize(size, RESAMPLERS[name])
