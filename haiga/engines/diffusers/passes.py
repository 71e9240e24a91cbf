"""One run of a pipeline: the pictures of a call that it makes, and what a request has beside its prompt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image

from haiga.core.palette import Sampling
from haiga.engines.diffusers.asked import run_steps
from haiga.engines.diffusers.controls import Lead
from haiga.engines.diffusers.embeddings import Words
from haiga.text.image_prompts import Prompt


@dataclass(frozen=True, slots=True)
class Pass:
    """One run of a pipeline for some pictures of a call. `begun`: what it begins from: a picture, several that it
    combines, or latents [pictures, channels, height, width]. `latents`: whether it ends with these."""

    places: list[int]
    width: int
    height: int
    steps: int
    sampling: Sampling
    prompt: Prompt
    negative: Prompt
    begun: "Image.Image | Sequence[Image.Image] | torch.Tensor | None" = None
    mask: Image.Image | None = None
    strength: float = 1.0
    latents: bool = False

    @property
    def run(self) -> int:
        return self.steps if self.begun is None else run_steps(self.steps, self.strength)


@dataclass(frozen=True, slots=True)
class Beside:
    """What a request has beside its prompt: what words stand for, what leads it, what a pipeline is shown."""

    words: list[Words]
    lead: Lead
    shown: Mapping[str, Any]
