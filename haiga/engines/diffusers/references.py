"""IP-Adapters: pictures that are shown to a model beside its prompt.

Rule: the model's attention is as it was when the request is over.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import transformers

from haiga.core.errors import Invalid, Unsupported
from haiga.core.images import Reference
from haiga.engines.diffusers.loading import denoiser
from haiga.engines.diffusers.pixels import image_of
from haiga.engines.diffusers.shelf import SAFE, Shelf
from haiga.engines.diffusers.tensors import tensors

FIELD = "ip_adapter"
ENCODER = "image_encoder"


class References:
    """The IP-Adapters on a shelf, for a pipeline. One is a folder: its weights, and what reads pictures for it in
    `image_encoder`."""

    def __init__(self, pipeline: Any, shelf: Shelf) -> None:
        self._pipeline = pipeline
        self._shelf = shelf

    @contextmanager
    def worn(self, shown: Sequence[Reference]) -> Iterator[dict[str, Any]]:
        """While this lasts, the model looks at the pictures; what a pipeline is called with. Raises Invalid for files
        that do not fit, and Unsupported for models that cannot have any."""
        if not shown:
            yield {}
            return
        pipeline = self._pipeline
        if not hasattr(pipeline, "load_ip_adapter") or not hasattr(pipeline, "feature_extractor"):
            name = type(pipeline).__name__.removesuffix("Pipeline")
            raise Unsupported(f"{name} cannot have IP-Adapters", field=FIELD)
        own, attending = (pipeline.image_encoder, pipeline.feature_extractor), dict(denoiser(pipeline).attn_processors)
        paths = [self._shelf.find("ip_adapters", each.model, FIELD) for each in shown]
        try:
            self._load(paths)
            pipeline.set_ip_adapter_scale([each.weight for each in shown])
            yield {"ip_adapter_image": [image_of(each.picture) for each in shown]}
        finally:
            pipeline.unload_ip_adapter()
            denoiser(pipeline).set_attn_processor(attending)  # diffusers puts new ones, without what was set of them
            pipeline.register_modules(image_encoder=own[0], feature_extractor=own[1])

    def _load(self, paths: Sequence[Path]) -> None:
        if len({_encoder(path) for path in paths}) > 1:
            raise Unsupported("IP-Adapters together must read pictures with one encoder", field=FIELD)
        names = ", ".join(path.name for path in paths)
        try:
            encoder = _read_encoder(paths[0])
            self._pipeline.register_modules(image_encoder=encoder, feature_extractor=_looks(encoder))
            weights = [_nested(tensors(_weights(path), FIELD)) for path in paths]
            self._pipeline.load_ip_adapter(weights, subfolder=[""] * len(paths), weight_name=[""] * len(paths))
        except (ValueError, KeyError, RuntimeError, OSError, StopIteration) as problem:
            raise Invalid(f"the IP-Adapter {names} does not fit this model: {problem}", field=FIELD) from None
        self._pipeline.image_encoder.to(device=self._pipeline._execution_device, dtype=denoiser(self._pipeline).dtype)


def _encoder(path: Path) -> str:
    return (path / ENCODER / "config.json").read_text() if (path / ENCODER / "config.json").exists() else ""


def _weights(path: Path) -> Path:
    """The folder's one file of weights."""
    return next(file for file in sorted(path.iterdir()) if file.suffix == SAFE)


def _read_encoder(path: Path) -> Any:
    config = transformers.AutoConfig.from_pretrained(path / ENCODER, local_files_only=True)
    kind = "SiglipVisionModel" if "siglip" in config.model_type else "CLIPVisionModelWithProjection"
    return getattr(transformers, kind).from_pretrained(path / ENCODER, use_safetensors=True, local_files_only=True)


def _looks(encoder: Any) -> Any:
    """How pictures are prepared for an encoder, without torchvision."""
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    side = encoder.config.image_size
    return CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size={"height": side, "width": side})


def _nested(weights: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By the first part of their names, as diffusers takes them."""
    parts: dict[str, dict[str, Any]] = {"image_proj": {}, "ip_adapter": {}}
    for name, weight in weights.items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = weight
    return parts
