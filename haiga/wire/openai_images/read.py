"""What OpenAI's Images API is asked, read.

Rule: what OpenAI's models can and diffusion models cannot is refused by name; what they are told besides (steps, seed,
guidance) stands in the same body. Forms carry their numbers as text.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from pydantic import ConfigDict, Field

from haiga.core.errors import Invalid, Unsupported
from haiga.core.images import ImageRequest
from haiga.wire.body import read_object
from haiga.wire.openai_body import Shape, read_shape

Quality: TypeAlias = Literal["low", "medium", "high", "xhigh", "max", "auto", "standard", "hd"]
Format: TypeAlias = Literal["png", "jpeg", "webp"]
STEPS: Mapping[str, int] = {"low": 10, "high": 30, "hd": 30, "xhigh": 40, "max": 50}  # others: what the model has
SIZE = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})")
COMPRESSION = 100  # unless the request says otherwise
ABSENT = ("svg", "markup", "frame_count", "frame_duration_ms")
EVERYTHING, SIMILAR = 1.0, 0.6  # how much of a picture is made anew where a mask says, and in a variation


class _Painted(Shape):
    """What all three have."""

    model_config = ConfigDict(extra="allow", defer_build=True, strict=True)

    model: str | None = None
    n: int | None = Field(default=None, ge=1, le=10)
    size: str | None = None
    response_format: Literal["url", "b64_json"] | None = None
    user: str | None = None
    negative_prompt: str = ""
    steps: int | None = Field(default=None, ge=1, le=500)
    seed: int | None = Field(default=None, ge=0, lt=1 << 63)
    guidance_scale: float | None = Field(default=None, ge=0, le=100)
    sampler: str | None = None
    scheduler: str | None = None
    strength: float | None = Field(default=None, ge=0, le=1)


class _Prompted(_Painted):
    prompt: str = Field(min_length=1, max_length=64 << 10)
    quality: Quality | None = None
    background: Literal["transparent", "opaque", "auto"] | None = None
    output_format: Literal["png", "jpeg", "webp", "gif", "svg"] | None = None
    output_compression: int | None = Field(default=None, ge=0, le=100)
    stream: bool | None = None
    partial_images: int | None = Field(default=None, ge=0, le=3)


class ImageGenerationBody(_Prompted):
    """The body of POST /v1/images/generations."""

    moderation: Literal["low", "auto"] | None = None
    style: Literal["vivid", "natural"] | None = None


class ImageEditForm(_Prompted):
    """The fields of the form of POST /v1/images/edits, which has the pictures besides."""

    model_config = ConfigDict(extra="allow", defer_build=True, strict=False)

    input_fidelity: Literal["high", "low"] | None = None


class ImageVariationForm(_Painted):
    """The fields of the form of POST /v1/images/variations, which has the picture besides."""

    model_config = ConfigDict(extra="allow", defer_build=True, strict=False)


@dataclass(frozen=True, slots=True)
class AskedImages:
    """A request, and how its pictures are wanted. `url`: by their addresses. `partial`: how often they are shown
    before they are done, in a stream; `kind` is what the stream calls its events."""

    request: ImageRequest
    kind: Literal["image_generation", "image_edit"] = "image_generation"
    format: Format = "png"
    compression: int = COMPRESSION
    quality: str = "auto"
    url: bool = False
    stream: bool = False
    partial: int = 0


def read_generation(body: bytes, default: str) -> AskedImages:
    """The body of POST /v1/images/generations; `default` is the model where it names none. Raises Invalid and
    Unsupported."""
    shape = read_shape(ImageGenerationBody, _present(read_object(body)))
    return _prompted(shape, default, "image_generation")


def read_edit(fields: Mapping[str, Any], default: str, masked: bool) -> AskedImages:
    """The fields of POST /v1/images/edits, without the pictures. Raises as `read_generation`."""
    shape = read_shape(ImageEditForm, _present(fields))
    return _prompted(shape, default, "image_edit", EVERYTHING if masked else 0.75)


def read_variation(fields: Mapping[str, Any], default: str) -> AskedImages:
    """The fields of POST /v1/images/variations, without the picture. Raises as `read_generation`."""
    shape = read_shape(ImageVariationForm, _present(fields))
    return AskedImages(_request(shape, "", default, SIMILAR), url=shape.response_format == "url")


def _present(told: Mapping[str, Any]) -> dict[str, Any]:
    """Without what was left open. Raises Unsupported for what is not offered."""
    said = {name: value for name, value in told.items() if value is not None}
    for name in ABSENT:
        if name in said:
            raise Unsupported(f"Unsupported parameter: '{name}'.", field=name, code="unsupported_parameter")
    return said


def _prompted(
    shape: _Prompted, default: str, kind: Literal["image_generation", "image_edit"], strength: float = 0.75
) -> AskedImages:
    if shape.background == "transparent":
        raise Unsupported("Transparent backgrounds are not supported", field="background", code="unsupported_value")
    if shape.output_format in ("gif", "svg"):
        raise Unsupported("Supported values are: 'png', 'jpeg', and 'webp'.", field="output_format")
    request = _request(shape, shape.prompt, default, strength, STEPS.get(shape.quality or ""))
    partial = shape.partial_images or 0
    return AskedImages(
        request,
        kind,
        shape.output_format or "png",  # type: ignore[arg-type]
        COMPRESSION if shape.output_compression is None else shape.output_compression,
        shape.quality or "auto",
        url=shape.response_format == "url",
        stream=bool(shape.stream),
        partial=partial if shape.stream else 0,
    )


def _request(shape: _Painted, prompt: str, default: str, strength: float, steps: int | None = None) -> ImageRequest:
    width, height = _size(shape.size)
    return ImageRequest(
        shape.model or default,
        prompt,
        shape.negative_prompt,
        width,
        height,
        shape.steps or steps,
        shape.guidance_scale,
        shape.seed,
        shape.n or 1,
        sampler=shape.sampler,
        schedule=shape.scheduler,
        strength=strength if shape.strength is None else shape.strength,
        previews=bool(getattr(shape, "stream", False) and getattr(shape, "partial_images", 0)),
    )


def _size(told: str | None) -> tuple[int | None, int | None]:
    if told is None or told == "auto":
        return None, None
    if (found := SIZE.fullmatch(told)) is None:
        raise Invalid(
            f"Invalid value: '{told[:40]}'. Expected 'auto' or WIDTHxHEIGHT in pixels.",
            field="size",
            code="invalid_value",
        )
    return int(found[1]), int(found[2])
