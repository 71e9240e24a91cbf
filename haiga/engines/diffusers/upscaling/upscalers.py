"""Enlarging by name: resampling, or a network from the shelf, tile by tile.

Rule: a picture comes out in the very size that was asked for; a name is looked up, never guessed.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps

from haiga.core.errors import Invalid
from haiga.core.images import UpscaleRequest
from haiga.engines.diffusers.pixels import image_of
from haiga.engines.diffusers.shelf import Shelf
from haiga.engines.diffusers.tensors import tensors
from haiga.engines.diffusers.upscaling.reading import network
from haiga.engines.diffusers.upscaling.resampling import RESAMPLERS, resampled

FIELD = "upscaler"
TILE, MARGIN = 192, 16  # pixels of a tile's side, and how many of its neighbours' it sees
TIMES = 3  # how often a network is applied to come to a size
MOST_PIXELS = 32 << 20  # of an enlarged picture


def nothing() -> None:
    """What is done between two tiles if nobody waits for it."""


class Upscalers:
    """All there are; the network used last stays loaded."""

    def __init__(self, shelf: Shelf, device: Any = "cpu") -> None:
        self._shelf = shelf
        self._device = device
        self._last: tuple[tuple[Path, int], Any] | None = None

    @property
    def names(self) -> list[str]:
        return [*RESAMPLERS, *self._shelf.names("upscalers")]

    def check(self, name: str) -> None:
        """Raises Invalid with the list for an unknown name."""
        if name not in self.names:
            raise Invalid(
                f"there is no upscaler {name!r}. Those there are: {', '.join(self.names)}",
                field=FIELD,
            )

    def to(
        self, image: Image.Image, size: tuple[int, int], name: str, between: Callable[[], None] = nothing
    ) -> Image.Image:
        """The picture in that size. between: called between tiles. Raises Invalid for an unknown name, Unsupported for
        weights of another network."""
        self.check(name)
        if name in RESAMPLERS:
            return resampled(image, size, name)
        net = self._held(self._shelf.find("upscalers", name, FIELD), name)
        for _ in range(TIMES):
            if image.width >= size[0] and image.height >= size[1]:
                break
            image = _enlarged(net, image, between, self._device)
        return resampled(image, size, "Lanczos")

    def enlarged(self, request: UpscaleRequest, between: Callable[[], None] = nothing) -> Image.Image:
        """Raises Invalid for sizes that cannot be, too."""
        image = image_of(request.picture)
        scale = _scale(request)
        size = round(image.width * scale), round(image.height * scale)
        if min(size) < 1 or size[0] * size[1] > MOST_PIXELS:
            raise Invalid(f"{size[0]}x{size[1]} is no size from 1 to {MOST_PIXELS} pixels", field="upscaling_resize")
        made = self.to(image, size, request.upscaler, between)
        if request.second and request.visibility:
            made = Image.blend(made, self.to(image, size, request.second, between), request.visibility)
        if request.crop and request.width and request.height:
            made = ImageOps.fit(made, (request.width, request.height), Image.Resampling.LANCZOS)
        return made

    def _held(self, path: Path, name: str) -> Any:
        key = path, path.stat().st_mtime_ns
        if self._last is None or self._last[0] != key:
            self._last = key, network(tensors(path, FIELD), name).to(self._device)
        return self._last[1]


def _scale(request: UpscaleRequest) -> float:
    """That by which the picture fills width and height, where these are given."""
    wanted = [(request.width, request.picture.width), (request.height, request.picture.height)]
    sides = [to / of for to, of in wanted if to is not None]
    return max(sides) if sides else request.scale


def _enlarged(net: Any, image: Image.Image, between: Callable[[], None], device: Any) -> Image.Image:
    """By the network's scale, tile by tile."""
    pixels = torch.from_numpy(np.asarray(image.convert("RGB"), np.float32).transpose(2, 0, 1) / 255)
    made = torch.empty(3, image.height * net.scale, image.width * net.scale, dtype=torch.uint8)
    for top, bottom in _spans(image.height):
        for left, right in _spans(image.width):
            between()
            rows, columns = _wider(top, bottom, image.height), _wider(left, right, image.width)
            part = _run(net, pixels[:, rows, columns].to(device)).cpu()
            down, across = (top - rows.start) * net.scale, (left - columns.start) * net.scale
            inner = part[:, down : down + (bottom - top) * net.scale, across : across + (right - left) * net.scale]
            made[:, top * net.scale : bottom * net.scale, left * net.scale : right * net.scale] = inner
    return Image.fromarray(made.permute(1, 2, 0).numpy())


def _run(net: Any, part: torch.Tensor) -> torch.Tensor:
    """A tile [3, height, width], filled up by its own edge to what the network can take."""
    height, width = part.shape[1:]
    more = (0, -width % net.multiple, 0, -height % net.multiple)
    with torch.no_grad():
        made = net(torch.nn.functional.pad(part[None], more, mode="replicate"))[0]
    whole: torch.Tensor = (made[:, : height * net.scale, : width * net.scale].clamp(0, 1) * 255).round()
    return whole.to(torch.uint8)


def _spans(length: int) -> Iterator[tuple[int, int]]:
    for start in range(0, length, TILE):
        yield start, min(start + TILE, length)


def _wider(start: int, end: int, length: int) -> slice:
    return slice(max(0, start - MARGIN), min(length, end + MARGIN))
