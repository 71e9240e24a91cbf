"""A request with nothing left open: sizes, steps, prompts, the passes that it takes.

Rule: what a model cannot do is refused before its first step, by the field's name.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from haiga.core.errors import Invalid
from haiga.core.images import ImageRequest
from haiga.core.palette import Sampling
from haiga.engines.diffusers.samplers import NAMES
from haiga.text.image_prompts import Network, Prompt, networks, parse

STEPS = 20
MULTIPLE = 8  # pixels; what sides are a multiple of, unless the pipeline wants more
MOST_PIXELS = 2048 * 2048
LATENT_MODES = {  # A1111's names for enlarging latents, as torch calls the ways
    "Latent": ("bilinear", False),
    "Latent (antialiased)": ("bilinear", True),
    "Latent (bicubic)": ("bicubic", False),
    "Latent (bicubic antialiased)": ("bicubic", True),
    "Latent (nearest)": ("nearest", False),
    "Latent (nearest-exact)": ("nearest-exact", False),
}


@dataclass(frozen=True, slots=True)
class Second:
    """The second pass: its size in pixels, steps, sampler and prompts."""

    width: int
    height: int
    steps: int
    strength: float
    sampling: Sampling
    prompt: Prompt
    negative: Prompt


@dataclass(frozen=True, slots=True)
class Call:
    """What is made. `canvas`: width and height in which the first pass paints, those of the picture unless the model
    knows its own size alone. `second` after `width` and `height`, where there are two passes."""

    request: ImageRequest
    prompt: Prompt
    negative: Prompt
    networks: tuple[Network, ...]
    width: int
    height: int
    steps: int
    seed: int
    sampling: Sampling
    canvas: tuple[int, int]
    second: Second | None = None

    @classmethod
    def of(cls, request: ImageRequest, seed: int, side: int, own_size: bool = False) -> "Call":
        """`side`: pixels of the pictures that the model was trained on; `own_size`: it paints these alone. Raises
        Invalid."""
        steps = request.steps or STEPS
        text, wanted = networks(request.prompt)
        width, height = _size(request, side)
        sampling, again = NAMES.passes(request)
        prompt, negative = parse(text, steps), parse(request.negative, steps)
        said = _said_again(request, prompt, negative, wanted, steps)
        second = _second(request, width, height, steps, again, said)
        _check(request)
        canvas = (side, side) if own_size else (width, height)
        return cls(request, prompt, negative, wanted, width, height, steps, seed, sampling, canvas, second)

    @property
    def batches(self) -> Iterator[list[int]]:
        """Places of the pictures that the denoiser makes together."""
        for first in range(0, self.request.count, self.request.together):
            yield list(range(self.request.count))[first : first + self.request.together]

    @property
    def first_steps(self) -> int:
        """Steps that the first pass makes."""
        return run_steps(self.steps, self.request.strength) if self.request.source else self.steps

    @property
    def total(self) -> int:
        """Steps of all pictures and passes."""
        return self.steps_to(self.request.count - 1)

    def steps_to(self, place: int) -> int:
        """Steps until the picture at `place` is there, as they are counted: the first pass for each batch, the second
        for each picture."""
        second = run_steps(self.second.steps, self.second.strength) if self.second else 0
        return (place // self.request.together + 1) * self.first_steps + (place + 1) * second

    def seeds(self, places: list[int]) -> list[int]:
        return [self.request.seed_of(place, self.seed) for place in places]

    def subseeds(self, places: list[int]) -> list[int]:
        """Variations' seeds; the seeds themselves where nothing is varied."""
        first = self.request.variation.seed if self.request.variation else self.seed
        return [first + place for place in places]


def run_steps(steps: int, strength: float) -> int:
    """Steps that are made of those asked for, where a picture is kept in part."""
    return min(steps, max(1, int(steps * strength)))


def _size(request: ImageRequest, side: int) -> tuple[int, int]:
    if request.source is not None and request.width is None and request.height is None:
        return request.source.width // MULTIPLE * MULTIPLE, request.source.height // MULTIPLE * MULTIPLE
    width, height = request.width or side, request.height or side
    _check_size(width, height)
    return width, height


def _check_size(width: int, height: int) -> None:
    for side, name in ((width, "width"), (height, "height")):
        if side % MULTIPLE or side < MULTIPLE:
            raise Invalid(f"{name} must be a multiple of {MULTIPLE}, not {side}", field=name)
    if width * height > MOST_PIXELS:
        raise Invalid(f"{width}x{height} is more than {MOST_PIXELS} pixels", field="width")


def _second(
    request: ImageRequest, width: int, height: int, steps: int, sampling: Sampling, said: tuple[Prompt, Prompt]
) -> Second | None:
    hires = request.hires
    if hires is None:
        return None
    scaled = [int(side * hires.scale) // MULTIPLE * MULTIPLE for side in (width, height)]
    to = hires.width or scaled[0], hires.height or scaled[1]
    _check_size(*to)
    return Second(*to, hires.steps or steps, hires.strength, sampling, *said)


def _said_again(
    request: ImageRequest, prompt: Prompt, negative: Prompt, wanted: Sequence[Network], steps: int
) -> tuple[Prompt, Prompt]:
    """The second pass's prompts: its own, or the first's. Raises Invalid for LoRAs that the first has not."""
    hires = request.hires
    if hires is not None and hires.prompt is not None:
        text, named = networks(hires.prompt)
        if not set(named) <= set(wanted):
            raise Invalid("LoRAs are for both passes: name them in the prompt", field="hires.prompt")
        prompt = parse(text, steps)
    if hires is not None and hires.negative is not None:
        negative = parse(hires.negative, steps)
    return prompt, negative


def _check(request: ImageRequest) -> None:
    shares = [("strength", request.strength)]
    shares += [("hires.strength", request.hires.strength)] if request.hires else []
    shares += [("subseed_strength", request.variation.strength)] if request.variation else []
    for field, share in shares:
        if not 0 <= share <= 1:
            raise Invalid(f"must be from 0 to 1, not {share:g}", field=field)
    if request.count < 1 or request.together < 1:
        raise Invalid("there must be at least one picture", field="n")
    if request.inpaint is not None and request.source is None:
        raise Invalid("a mask needs a picture that it is for", field="mask")
    if request.inpaint is not None and request.hires is not None:
        raise Invalid("a second pass is for whole pictures, not for masked ones", field="hires")
