"""ControlNets: what leads a picture beside its prompt.

Rule: a unit is read when it is asked for and stays loaded for a while; a picture that is not led by one is made
without.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
from PIL import Image

from haiga.core.errors import Invalid, Unsupported
from haiga.core.images import Control, ImageRequest
from haiga.engines.diffusers.pixels import fitted, image_of
from haiga.engines.diffusers.preprocessors import preprocessor
from haiga.engines.diffusers.shelf import Shelf

KEPT = 2  # ControlNets that stay loaded, beside those in use
FIELD = "controlnet"
SOFT = 0.825  # how much weaker each layer further from the middle is where the prompt is to be heeded more


@dataclass(frozen=True, slots=True)
class Lead:
    """The units of a request: the networks, and what each is shown, in its picture's own size."""

    units: Sequence[Control] = ()
    nets: Sequence[Any] = ()
    shown: Sequence[Image.Image] = ()

    @property
    def net(self) -> Any:
        """What a pipeline takes as its `controlnet`."""
        return self.nets[0] if len(self.nets) == 1 else list(self.nets)

    def options(self, known: Any, size: tuple[int, int]) -> dict[str, Any]:
        """What the pipeline is called with, for pictures of that size."""
        if not self.units:
            return {}
        images = [fitted(image, size) for image in self.shown]
        told: dict[str, list[Any]] = {
            "control_image" if "control_image" in known else "image": images,
            "controlnet_conditioning_scale": [unit.weight for unit in self.units],
            "control_guidance_start": [unit.begin for unit in self.units],
            "control_guidance_end": [unit.end for unit in self.units],
        }
        options = {name: each if len(images) > 1 else each[0] for name, each in told.items()}
        return options | self._guess(known)

    def _guess(self, known: Any) -> dict[str, Any]:
        modes = {unit.mode for unit in self.units}
        if modes == {"balanced"}:
            return {}
        if "guess_mode" not in known:
            raise Unsupported("this model's ControlNets know no mode but balanced", field=FIELD)
        if "control" in modes and len(modes) > 1:
            raise Unsupported("either all units are more important than the prompt or none is", field=FIELD)
        return {"guess_mode": True} if "control" in modes else {}

    @contextmanager
    def leading(self) -> Iterator[None]:
        """While this lasts, units that are to be softer are."""
        soft = [net for unit, net in zip(self.units, self.nets, strict=True) if unit.mode == "prompt"]
        for net in soft:
            net.forward = _softened(net.forward)
        try:
            yield
        finally:
            for net in soft:
                del net.forward


class Controls:
    """The ControlNets on a shelf, for a pipeline."""

    def __init__(self, pipeline: Any, shelf: Shelf) -> None:
        self._pipeline = pipeline
        self._shelf = shelf
        self._loaded: dict[tuple[Path, int], Any] = {}

    def lead(self, request: ImageRequest) -> Lead:
        """Raises Invalid for units that cannot be."""
        for unit in request.controls:
            if not 0 <= unit.begin < unit.end <= 1:
                raise Invalid(f"{unit.begin:g} to {unit.end:g} is no part of the steps", field=FIELD)
        nets = [self._held(self._shelf.find("controlnets", unit.model, FIELD)) for unit in request.controls]
        self._drop(len(nets))
        return Lead(request.controls, nets, [self._shown(unit, request) for unit in request.controls])

    def _shown(self, unit: Control, request: ImageRequest) -> Image.Image:
        picture = unit.picture or request.source
        if picture is None:
            raise Invalid(f"the unit {unit.model!r} needs a picture", field=FIELD)
        return preprocessor(unit.preprocessor, self._shelf)(image_of(picture))

    def _held(self, path: Path) -> Any:
        key = path, path.stat().st_mtime_ns
        net = self._loaded.pop(key, None)
        if net is None:
            base = getattr(self._pipeline, "unet", None) or self._pipeline.transformer
            net = _read(path).to(device=self._pipeline._execution_device, dtype=base.dtype).eval()
        self._loaded[key] = net
        return net

    def _drop(self, used: int) -> None:
        while len(self._loaded) > max(KEPT, used):
            del self._loaded[next(iter(self._loaded))]


def _read(path: Path) -> Any:
    try:
        kind = diffusers.ControlNetModel.load_config(path)["_class_name"]
        if "ControlNet" not in kind:
            raise ValueError(f"it is a {kind}")
        return getattr(diffusers, kind).from_pretrained(path, use_safetensors=True, local_files_only=True)
    except (ValueError, OSError, KeyError, AttributeError, RuntimeError) as problem:
        raise Invalid(f"the ControlNet {path.name!r} cannot be read: {problem}", field=FIELD) from None


def _softened(forward: Any) -> Any:
    """Of what a ControlNet adds, less the further from the middle of the UNet, as A1111's extension does it for "My
    prompt is more important"."""

    def soft(*args: Any, **options: Any) -> Any:
        down, middle = forward(*args, **{**options, "return_dict": False})
        return [each * SOFT ** (len(down) - place) for place, each in enumerate(down)], middle

    return soft
