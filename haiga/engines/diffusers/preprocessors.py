"""What a ControlNet is shown of a picture: edges, lines, tiles; depth through a model that the user has.

Rule: a name means one thing or is refused with the list; what needs a model says so.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps

from haiga.core.errors import Invalid, Unsupported
from haiga.engines.diffusers.shelf import Shelf

FIELD = "preprocessor"
Preprocessor: TypeAlias = Callable[[Image.Image], Image.Image]
Values: TypeAlias = NDArray[np.float32]
WEAK, STRONG = 100.0, 200.0  # gradients of an edge that goes on and of one that begins, as ControlNet's are by default
TILE = 4  # times that a tile loses of its detail
OF_MODELS = ("depth", "pose", "openpose", "normal", "seg", "hed", "mlsd", "scribble")  # what names of others begin with


def preprocessor(name: str, shelf: Shelf) -> Preprocessor:
    """Raises Invalid for an unknown name, and Unsupported for one that needs a model that is not there."""
    if name.lower() in BUILT_IN:
        return BUILT_IN[name.lower()]
    have = shelf.names("preprocessors")
    if name in have:
        return _depth(shelf.find("preprocessors", name, FIELD))
    if name.lower().startswith(OF_MODELS):
        raise Unsupported(
            f"the preprocessor {name!r} needs a model: put it into preprocessors/{name}, or send its picture with none",
            field=FIELD,
        )
    known = ", ".join([*BUILT_IN, *have])
    raise Invalid(f"there is no preprocessor {name!r}. Those there are: {known}", field=FIELD)


def canny(image: Image.Image) -> Image.Image:
    """Edges one pixel wide, white on black (Canny 1986)."""
    grey = np.asarray(image.convert("L").filter(ImageFilter.GaussianBlur(1)), np.float32)
    across, down = _sobel(grey), _sobel(grey.T).T
    strength = np.hypot(across, down)
    thin = np.where(_is_ridge(strength, across, down), strength, 0)
    edges = _joined(thin >= STRONG, thin >= WEAK)
    return Image.fromarray(np.where(edges, 255, 0).astype(np.uint8)).convert("RGB")


def line(image: Image.Image) -> Image.Image:
    """What is darker than around it, white on black, as strong as ControlNet's "lineart_standard" has it."""
    grey = np.asarray(image.convert("L"), np.float32)
    around = np.asarray(image.convert("L").filter(ImageFilter.GaussianBlur(6)), np.float32)
    darker = np.clip(around - grey, 0, 255)
    seen = darker[darker > 8]
    middle = max(16.0, float(np.median(seen)) if seen.size else 16.0)
    return Image.fromarray(np.clip(darker / middle * 127, 0, 255).astype(np.uint8)).convert("RGB")


def tile(image: Image.Image) -> Image.Image:
    """The picture without its finest detail."""
    small = image.resize((max(1, image.width // TILE), max(1, image.height // TILE)), Image.Resampling.BOX)
    return small.resize(image.size, Image.Resampling.BICUBIC)


BUILT_IN: Mapping[str, Preprocessor] = {
    "none": lambda image: image,
    "canny": canny,
    "edge": canny,
    "line": line,
    "lineart_standard": line,
    "tile": tile,
    "tile_resample": tile,
    "invert": ImageOps.invert,
}


# --- edges ---


def _sobel(grey: Values) -> Values:
    """The gradient from left to right."""
    wide = np.pad(grey, 1, mode="edge")
    slope = wide[:, 2:] - wide[:, :-2]
    made: Values = slope[:-2] + 2 * slope[1:-1] + slope[2:]
    return made


def _is_ridge(strength: Values, across: Values, down: Values) -> NDArray[np.bool_]:
    """Whether no neighbour is stronger in the direction of the gradient, one of four."""
    wide = np.pad(strength, 1)
    height, width = strength.shape
    turn = np.round(np.arctan2(down, across) / (np.pi / 4)).astype(int) % 4
    kept = np.zeros_like(strength, bool)
    for number, (row, column) in enumerate(((0, 1), (1, 1), (1, 0), (1, -1))):
        ahead = wide[1 + row : 1 + row + height, 1 + column : 1 + column + width]
        behind = wide[1 - row : 1 - row + height, 1 - column : 1 - column + width]
        kept |= (turn == number) & (strength >= ahead) & (strength > behind)
    return kept


def _joined(begun: NDArray[np.bool_], possible: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What is possible and hangs together with what has begun."""
    while True:
        wide = np.pad(begun, 1)
        grown = sum(
            wide[r : r + begun.shape[0], c : c + begun.shape[1]].astype(np.uint8) for r in range(3) for c in range(3)
        )
        more = (np.asarray(grown) > 0) & possible
        if (more == begun).all():
            return begun
        begun = more


# --- depth ---


def _depth(path: Path) -> Preprocessor:
    """A depth model in transformers' layout."""
    from transformers import AutoModelForDepthEstimation  # imported when it is wanted: it takes a second

    try:
        model = AutoModelForDepthEstimation.from_pretrained(path, use_safetensors=True, local_files_only=True).eval()
    except (ValueError, OSError, KeyError) as problem:
        raise Unsupported(
            f"the preprocessor {path.name!r} is no depth model that can be read ({problem}); send the picture that it "
            "would make with none",
            field=FIELD,
        ) from None
    looks = _looks(path)

    def seen(image: Image.Image) -> Image.Image:
        with torch.no_grad():
            depth = model(pixel_values=_pixels(image, looks)).predicted_depth[0]
        low, high = float(depth.min()), float(depth.max())
        grey = ((depth - low) / max(high - low, 1e-6) * 255).round().to(torch.uint8).cpu().numpy()
        return Image.fromarray(grey).resize(image.size, Image.Resampling.BICUBIC).convert("RGB")

    return seen


def _looks(path: Path) -> Mapping[str, Any]:
    """How the model's own image processor prepares pictures."""
    file = path / "preprocessor_config.json"
    told: Mapping[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return told


def _pixels(image: Image.Image, looks: Mapping[str, Any]) -> torch.Tensor:
    size = looks.get("size", {"width": 384, "height": 384})
    small = image.convert("RGB").resize((size["width"], size["height"]), Image.Resampling.BICUBIC)
    mean, spread = (np.asarray(looks.get(name, [0.5] * 3), np.float32) for name in ("image_mean", "image_std"))
    values = (np.asarray(small, np.float32) / 255 - mean) / spread
    return torch.from_numpy(values.transpose(2, 0, 1)[None])
