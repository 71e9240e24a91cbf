"""How a picture looks before it is done: its latents as colours, or through a tiny decoder beside the model.

Rule: a preview costs little beside a step: no more than RATE in a second, none larger than SIDE.

The colours of latents are nearly linear in them. What they are is found once for each model: its own encoder is shown
patches of colour, and the latents that these give are fitted to the colours by least squares.
"""

import json
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import diffusers
import numpy as np
import torch
from PIL import Image

from haiga.core.pictures import Picture
from haiga.engines.diffusers.counting import Look
from haiga.engines.diffusers.pixels import picture_of

RATE = 4  # previews in a second, at most
SIDE = 256  # pixels of a preview's longer side, at most
PATCHES = 24  # colours that the encoder is shown, in each direction; each over so many latents:
SPREAD = 2


class Previews:
    """Those of a pipeline. tiny: a decoder that takes its latents as they are sampled."""

    def __init__(self, pipeline: Any, tiny: Any = None, clock: Callable[[], float] = monotonic) -> None:
        self._pipeline = pipeline
        self._tiny = tiny
        self._clock = clock
        self._colours: torch.Tensor | None = None
        self._next = 0.0

    @property
    def able(self) -> bool:
        """Whether there is a way to see this model's latents."""
        return self._tiny is not None or type(self._pipeline.vae).__name__ == "AutoencoderKL"

    def look(self, width: int, height: int) -> Look | None:
        """What shows latents of pictures of that size; None where nothing can."""
        self._next = 0.0
        return (lambda latents: self._seen(latents, width, height)) if self.able else None

    def _seen(self, latents: torch.Tensor, width: int, height: int) -> Picture | None:
        if self._clock() < self._next:
            return None
        self._next = self._clock() + 1 / RATE
        with torch.no_grad():
            spatial = self._unpacked(latents[:1], width, height).float()
            image = self._decoded(spatial) if self._tiny is not None else self._coloured(spatial)
        share = min(1.0, SIDE / max(width, height))
        return picture_of(image.resize((round(width * share), round(height * share)), Image.Resampling.BICUBIC))

    def _unpacked(self, latents: torch.Tensor, width: int, height: int) -> torch.Tensor:
        """[1, channels, height, width]"""
        if latents.ndim == 3:
            latents = self._pipeline._unpack_latents(latents, height, width, self._pipeline.vae_scale_factor)
        return latents[:, :, 0] if latents.ndim == 5 else latents

    def _decoded(self, latents: torch.Tensor) -> Image.Image:
        weight = next(self._tiny.parameters())
        made = self._tiny.decode(latents.to(weight), return_dict=False)[0][0]
        return _image(made.float() / 2 + 0.5)

    def _coloured(self, latents: torch.Tensor) -> Image.Image:
        if self._colours is None:
            self._colours = fitted_colours(self._pipeline.vae).to(latents)
        weights, bias = self._colours[:-1], self._colours[-1]
        return _image(torch.einsum("chw,cr->rhw", latents[0], weights) + bias.reshape(3, 1, 1))


def fitted_colours(vae: Any) -> torch.Tensor:
    """[channels + 1, 3]: what each channel of a latent gives to red, green and blue, and what there is without any."""
    factor = 2 ** (len(vae.config.block_out_channels) - 1)
    side = PATCHES * SPREAD * factor
    patches = np.random.default_rng(0).integers(0, 256, (PATCHES, PATCHES, 3), np.uint8)
    shown = Image.fromarray(patches).resize((side, side), Image.Resampling.BICUBIC)
    wanted = torch.from_numpy(np.asarray(shown, np.float32) / 255).permute(2, 0, 1)
    weight = next(vae.parameters())
    with torch.no_grad():
        latents = vae.encode((wanted * 2 - 1)[None].to(weight)).latent_dist.mode().float().cpu()[0]
    shift = vae.config.shift_factor or 0
    rows = ((latents - shift) * vae.config.scaling_factor).flatten(1).T
    small = torch.nn.functional.avg_pool2d(wanted, factor).flatten(1).T
    found: torch.Tensor = torch.linalg.lstsq(torch.cat([rows, torch.ones(len(rows), 1)], 1), small).solution
    return found


def tiny_decoder(directory: Path) -> Any:
    """The AutoencoderTiny in a folder of a model's directory, if there is one."""
    for file in sorted(directory.glob("*/config.json")):
        if json.loads(file.read_text()).get("_class_name") == "AutoencoderTiny":
            kind: Any = diffusers.AutoencoderTiny
            return kind.from_pretrained(file.parent, use_safetensors=True, local_files_only=True)
    return None


def _image(values: torch.Tensor) -> Image.Image:
    """values: [3, height, width] of 0 to 1"""
    return Image.fromarray((values.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy())
