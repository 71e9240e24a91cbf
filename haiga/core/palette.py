"""What can be named in a request for pictures."""

from collections.abc import Mapping
from dataclasses import dataclass, field


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
