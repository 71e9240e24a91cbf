"""A1111's options that a caller can set for itself, or for one request.

Rule: an option changes what this caller's next requests mean, never what is loaded: the model that it names is asked by
name. Options that mean nothing here are taken and forgotten, since clients send all that they know.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from haiga.core.errors import Invalid

Format: TypeAlias = Literal["png", "jpeg", "webp"]
FORMATS: Mapping[str, Format] = {"png": "png", "jpg": "jpeg", "jpeg": "jpeg", "webp": "webp"}
AUTOMATIC = ("", "Automatic", "automatic", "None", "none")
_HASH = re.compile(r" \[[0-9a-fA-F]{6,64}\]$")


@dataclass(frozen=True, slots=True)
class Options:
    """`clip_skip`: layers of the text encoder that are left out. `previews`: progress shows how a picture looks so far.
    None leaves a choice to the model or the server."""

    model: str | None = None
    vae: str | None = None
    clip_skip: int = 0
    format: Format = "png"
    quality: int = 90
    previews: bool = True


def with_options(options: Options, asked: Mapping[str, Any], field: str = "") -> Options:
    """The options with those in `asked`, whose path is `field`. Raises Invalid for a value that one cannot have."""
    for name, read in _READERS.items():
        if (value := asked.get(name)) is not None:
            try:
                options = read(options, value)
            except (ValueError, TypeError, OverflowError):
                raise Invalid(f"{str(value)[:100]!r} is none that it can have", field=f"{field}{name}") from None
    return options


def write_options(options: Options) -> dict[str, Any]:
    """As GET /sdapi/v1/options tells them."""
    return {
        "sd_model_checkpoint": options.model,
        "sd_checkpoint_hash": None,
        "sd_vae": options.vae or "Automatic",
        "CLIP_stop_at_last_layers": options.clip_skip + 1,
        "samples_format": "jpg" if options.format == "jpeg" else options.format,
        "jpeg_quality": options.quality,
        "enable_pnginfo": True,
        "save_images_add_number": True,
        "live_previews_enable": options.previews,
        "show_progress_every_n_steps": 1,
    }


def plain(name: str) -> str:
    """A model's name without what A1111 puts behind it in titles."""
    return _HASH.sub("", name.strip()).removesuffix(".safetensors")


def _model(options: Options, value: Any) -> Options:
    return replace(options, model=plain(_text(value)) or options.model)


def _vae(options: Options, value: Any) -> Options:
    return replace(options, vae=None if _text(value) in AUTOMATIC else plain(value))


def _clip_skip(options: Options, value: Any) -> Options:
    return replace(options, clip_skip=_within(int(value), 1, 12) - 1)


def _format(options: Options, value: Any) -> Options:
    if (format := FORMATS.get(_text(value).lower())) is None:
        raise ValueError
    return replace(options, format=format)


def _quality(options: Options, value: Any) -> Options:
    return replace(options, quality=_within(int(value), 1, 100))


def _previews(options: Options, value: Any) -> Options:
    if not isinstance(value, bool):
        raise ValueError
    return replace(options, previews=value)


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 256:
        raise ValueError
    return value


def _within(value: int, least: int, most: int) -> int:
    if not least <= value <= most:
        raise ValueError
    return value


_READERS = {
    "sd_model_checkpoint": _model,
    "sd_vae": _vae,
    "CLIP_stop_at_last_layers": _clip_skip,
    "samples_format": _format,
    "jpeg_quality": _quality,
    "live_previews_enable": _previews,
}
