"""What can be asked of a model that makes pictures, and what it says while it does.

Rule: an answer names everything that made it, so that the same request gives the same bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from haiga.core.pictures import Picture

Fill: TypeAlias = Literal["original", "fill", "noise", "nothing"]
ControlMode: TypeAlias = Literal["balanced", "prompt", "control"]


@dataclass(frozen=True, slots=True)
class Inpaint:
    """Only where `mask` is white is the source made anew; black where `inverted`. blur: radius in pixels. padding:
    pixels around the mask that are worked on alone, enlarged; None for the whole picture. fill: what is under the mask
    to begin with: the source, the colours around it, noise, or nothing."""

    mask: Picture
    blur: int = 4
    inverted: bool = False
    padding: int | None = None
    fill: Fill = "original"


@dataclass(frozen=True, slots=True)
class Hires:
    """A second pass: the picture enlarged `scale` times, or to width and height, then made anew at `strength`, 0 to 1,
    in `steps` (None: as many as the first), by another sampler and other sigmas, and after other prompts, where they
    are named."""

    scale: float = 2.0
    strength: float = 0.7
    steps: int | None = None
    upscaler: str = "Lanczos"
    width: int | None = None
    height: int | None = None
    sampler: str | None = None
    schedule: str | None = None
    prompt: str | None = None
    negative: str | None = None


@dataclass(frozen=True, slots=True)
class Variation:
    """The first noise is led towards that of another seed, by `strength`, 0 to 1. All pictures of the request then have
    its seed, each further one the next `seed` of these."""

    seed: int
    strength: float


@dataclass(frozen=True, slots=True)
class Control:
    """A unit of ControlNet: `model` by its name, led by what `preprocessor` makes of the picture (the request's source
    where there is none), from the share `begin` of the steps to the share `end`."""

    model: str
    picture: Picture | None = None
    preprocessor: str = "none"
    weight: float = 1.0
    begin: float = 0.0
    end: float = 1.0
    mode: ControlMode = "balanced"


@dataclass(frozen=True, slots=True)
class Reference:
    """A picture that an IP-Adapter, by its name, shows to the model."""

    model: str
    picture: Picture
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class UpscaleRequest:
    """A picture, larger: `scale` times, or to width and height, what juts out of these cut off if `crop`. second:
    another upscaler, whose result is mixed in by `visibility`, 0 to 1."""

    model: str
    picture: Picture
    upscaler: str = "Lanczos"
    scale: float = 2.0
    width: int | None = None
    height: int | None = None
    crop: bool = True
    second: str | None = None
    visibility: float = 0.0


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """One job for one model; None leaves a choice to the model.

    width, height: pixels. guidance: the scale of classifier-free guidance. seed: of the first picture, each further one
    has the next. source: what to begin from, kept the more the smaller `strength` is (0 to 1). clip_skip: last layers
    of the text encoder that are left out. together: pictures in one batch of the denoiser. tiling: edges fit to each
    other. eta: of the sampler's noise. vae: another decoder, by its name. previews: whether steps show how it looks.
    beside: pictures that the model is shown with the source. upscale: no picture is made, this one is enlarged. each:
    the prompts of each picture, as `prompts`, where they are not the same; the request's own are then the first's.
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
    variation: Variation | None = None
    eta: float | None = None
    vae: str | None = None
    controls: tuple[Control, ...] = ()
    references: tuple[Reference, ...] = ()
    previews: bool = False
    beside: tuple[Picture, ...] = ()
    upscale: UpscaleRequest | None = None
    each: tuple[Mapping[str, str], ...] = ()

    @property
    def prompts(self) -> dict[str, str]:
        """All that it says, by the paths of the fields."""
        found: dict[str, str | None] = {"prompt": self.prompt, "negative_prompt": self.negative}
        if self.hires:
            found |= {"hires.prompt": self.hires.prompt, "hires.negative_prompt": self.hires.negative}
        return {path: text for path, text in found.items() if text is not None}

    def saying(self, prompts: Mapping[str, str]) -> "ImageRequest":
        """The same with other prompts, by the paths of `prompts`."""
        hires = self.hires
        if hires is not None:
            again = prompts.get("hires.prompt"), prompts.get("hires.negative_prompt")
            hires = replace(hires, prompt=again[0], negative=again[1])
        return replace(self, prompt=prompts["prompt"], negative=prompts["negative_prompt"], hires=hires)

    def saying_each(self, prompts: Sequence[Mapping[str, str]]) -> "ImageRequest":
        """The same with the prompts of each picture."""
        differ = any(said != prompts[0] for said in prompts)
        return replace(self.saying(prompts[0]), each=tuple(prompts) if differ else ())

    def seed_of(self, place: int, first: int | None = None) -> int:
        """Of the picture at that place; those of a variation have one. `first`: that of the first, where the request
        names none."""
        varied = self.variation is not None and self.variation.strength
        return (first if first is not None else self.seed or 0) + (0 if varied else place)

    @property
    def parts(self) -> Sequence["ImageRequest"]:
        """What is asked of a model at a time: all pictures, or each with its own prompts."""
        return [self._part(place) for place in range(self.count)] if self.each else [self]

    def _part(self, place: int) -> "ImageRequest":
        variation = self.variation and replace(self.variation, seed=self.variation.seed + place)
        one = replace(self, seed=self.seed_of(place), count=1, together=1, variation=variation, each=())
        return one.saying(self.each[place])


@dataclass(frozen=True, slots=True)
class Progress:
    """Steps done of all that the job has, its pictures and passes together, and how it looks so far."""

    step: int
    steps: int
    preview: Picture | None = None


@dataclass(frozen=True, slots=True)
class Painted:
    """A picture, its seed, and what made it, in infotext's names. `reason`: why the model was run as these say; it has
    what was measured, which differs from one time to another."""

    picture: Picture
    seed: int
    parameters: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
