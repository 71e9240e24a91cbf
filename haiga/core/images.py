"""What can be asked of a model that makes pictures, and what it says while it does.

Rule: an answer names everything that made it, so that the same request gives the same bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from haiga.core.pictures import Picture

Fill: TypeAlias = Literal["original", "fill", "noise", "nothing"]


@dataclass(frozen=True, slots=True)
class Inpaint:
    """Only where `mask` is white is the source made anew; black where `inverted`. blur: radius in pixels. padding:
    pixels around the mask that are worked on alone, enlarged; None for the whole picture."""

    mask: Picture
    blur: int = 4
    inverted: bool = False
    padding: int | None = None


@dataclass(frozen=True, slots=True)
class Hires:
    """A second pass: the picture enlarged `scale` times, then made anew at `strength`, 0 to 1, in `steps` (None: as
    many as the first)."""

    scale: float = 2.0
    strength: float = 0.7
    steps: int | None = None
    upscaler: str = "Lanczos"


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """One job for one model; None leaves a choice to the model.

    width, height: pixels. guidance: the scale of classifier-free guidance. seed: of the first picture, each further one
    has the next. source: what to begin from, kept the more the smaller `strength` is (0 to 1). clip_skip: last layers
    of the text encoder that are left out. together: pictures in one batch of the denoiser.
    """

    model: str
    prompt: str
    negative: str = ""
    width: int | None = None
    height: int | None = None
    steps: int | None = None
    guidance: float | None = None
    seed: int | None = None
    count: int = 1
    together: int = 1
    sampler: str | None = None
    schedule: str | None = None
    clip_skip: int = 0
    source: Picture | None = None
    strength: float = 0.75
    inpaint: Inpaint | None = None
    hires: Hires | None = None
    tiling: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """Steps done of all that the job has, its pictures and passes together, and how it looks so far."""

    step: int
    steps: int
    preview: Picture | None = None


@dataclass(frozen=True, slots=True)
class Painted:
    """A picture, its seed, and what made it, in infotext's names."""

    picture: Picture
    seed: int
    parameters: Mapping[str, str] = field(default_factory=dict)
