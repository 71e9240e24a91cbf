"""What can be named in a request for pictures, and which names mean what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from haiga.core.errors import Invalid
from haiga.core.images import ImageRequest

USUAL = "Euler"  # the sampler where sigmas alone are named


@dataclass(frozen=True, slots=True)
class Sampling:
    """A sampler by its own name, None for the model's, and its sigmas."""

    sampler: str | None = None
    schedule: str = "Automatic"


@dataclass(frozen=True, slots=True)
class Palette:
    """Names by kind. `samplers`: each with its other names. `latent_upscalers` enlarge before there is a picture.
    `styles`: each with its prompt and its negative prompt."""

    samplers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    schedules: tuple[str, ...] = ()
    upscalers: tuple[str, ...] = ()
    latent_upscalers: tuple[str, ...] = ()
    loras: tuple[str, ...] = ()
    vaes: tuple[str, ...] = ()
    embeddings: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    styles: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def passes(self, request: ImageRequest) -> tuple[Sampling, Sampling]:
        """How both passes of a request are sampled; the second as the first, but for what it names itself. Raises
        Invalid as `sampling`."""
        first = self.sampling(request.sampler, request.schedule)
        hires = request.hires
        if hires is None or not (hires.sampler or hires.schedule):
            return first, first
        if hires.sampler:
            return first, self.sampling(hires.sampler, hires.schedule or request.schedule, "hires.")
        return first, self.sampling(first.sampler, hires.schedule, "hires.")

    def sampling(self, sampler: str | None, schedule: str | None = None, within: str = "") -> Sampling:
        """By their own names, whatever their case; "DPM++ 2M Karras" names a sampler and its sigmas. Raises Invalid
        for unknown ones, with the list; `within` is the path of the fields."""
        if not sampler and not schedule:
            return Sampling()
        samplers = {alias.lower(): name for name, others in self.samplers.items() for alias in (name, *others)}
        schedules = {name.lower(): name for name in self.schedules}
        wanted, kind = _folded(sampler or USUAL), _folded(schedule or "Automatic")
        if wanted not in samplers:
            for name in schedules:
                if wanted.endswith(f" {name}") and wanted.removesuffix(f" {name}") in samplers:
                    wanted, kind = wanted.removesuffix(f" {name}"), name
        if wanted not in samplers:
            known = [*self.samplers, *(alias for others in self.samplers.values() for alias in others)]
            raise _unknown("sampler", sampler or USUAL, known, within)
        if kind not in schedules:
            raise _unknown("scheduler", schedule or "", self.schedules, within)
        return Sampling(samplers[wanted], schedules[kind])


def _folded(name: str) -> str:
    return " ".join(name.split()).lower()


def _unknown(what: str, name: str, known: Sequence[str], within: str) -> Invalid:
    near = get_close_matches(name, known, 3)
    meant = f"; near it: {', '.join(near)}" if near else ""
    have = ", ".join(known) or "none"
    return Invalid(f"{what} {name[:100]!r} is not known{meant}. Known are {have}", field=f"{within}{what}")
