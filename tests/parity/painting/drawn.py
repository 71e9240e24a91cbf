"""Pictures and requests that painting is tested with."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from PIL import Image, ImageChops, ImageDraw

from haiga.core.images import ImageRequest
from haiga.core.pictures import Picture
from haiga.engines.diffusers.painter import Painter
from haiga.engines.diffusers.pixels import image_of, picture_of

Pipelines = Callable[[str], Any]
SIDE = 64


def asked(**changes: Any) -> ImageRequest:
    return ImageRequest("tiny", "a cat", **{"width": SIDE, "height": SIDE, "steps": 3, **changes})


def painted(pipeline: Any, seed: int = 1, **changes: Any) -> Image.Image:
    """The request's first picture."""
    return image_of(next(iter(Painter(pipeline, "tiny").paint(asked(**changes), seed))).picture)


def own(pipeline: Any, seed: int = 1, **options: Any) -> Image.Image:
    """What diffusers makes of the same by itself."""
    told = {"prompt": "a cat", "num_inference_steps": 3, **options}
    image: Image.Image = pipeline(**told, generator=torch.Generator().manual_seed(seed)).images[0]
    return image.convert("RGB")


def scene(side: int = SIDE) -> Picture:
    """A picture with something everywhere."""
    image = Image.linear_gradient("L").resize((side, side))
    colours = Image.merge("RGB", (image, image.rotate(90), image.rotate(180)))
    ImageDraw.Draw(colours).ellipse((side // 4, side // 4, side // 2, side // 2), fill=(200, 30, 90))
    return picture_of(colours)


def box_mask(side: int = SIDE) -> Picture:
    """White from a quarter to a half of each side."""
    mask = Image.new("L", (side, side))
    ImageDraw.Draw(mask).rectangle((side // 4, side // 4, side // 2 - 1, side // 2 - 1), fill=255)
    return picture_of(mask.convert("RGB"))


def difference(one: Image.Image, other: Image.Image) -> int:
    """The most that a channel of a pixel differs by, of 255; 256 for pictures of other sizes."""
    if one.size != other.size:
        return 256
    return max(high for _, high in ImageChops.difference(one, other).getextrema())


@contextmanager
def latents(pipeline: Any) -> Iterator[list[torch.Tensor]]:
    """What is decoded meanwhile."""
    seen: list[torch.Tensor] = []
    decode = pipeline.vae.decode

    def decoded(z: torch.Tensor, *args: Any, **options: Any) -> Any:
        seen.append(z.clone())
        return decode(z, *args, **options)

    pipeline.vae.decode = decoded
    try:
        yield seen
    finally:
        del pipeline.vae.decode
