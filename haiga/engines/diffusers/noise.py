"""What a picture begins from: its seed's noise, led towards another's, and what is under a mask.

Rule: noise is drawn on the processor, so that a seed means the same picture on every device; and it is changed where
every pipeline draws it, so that each can do what one can.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from PIL import Image

from haiga.core.errors import Unsupported
from haiga.core.images import Fill, Variation

UNDER_MASK = 1 << 32  # added to a seed for what is under a mask, so that it is not the noise that is added to it


def generators(seeds: Sequence[int]) -> Any:
    """One for each picture; as diffusers has it, alone for one."""
    each = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
    return each if len(each) > 1 else each[0]


@contextmanager
def varied(pipeline: Any, variation: Variation | None, seeds: Sequence[int]) -> Iterator[None]:
    """While this lasts, the first noise of each picture is led towards that of the variation's seed, the next one's
    for each further picture; `seeds` are these."""
    if variation is None or not variation.strength:
        yield
        return
    own, place = _drawing(pipeline)

    def draw(shape: Any, generator: Any = None, **options: Any) -> torch.Tensor:
        noise: torch.Tensor = own(shape, generator=generator, **options)
        return between(noise, own(shape, generator=generators(seeds), **options), variation.strength)

    place["randn_tensor"] = draw
    try:
        yield
    finally:
        place["randn_tensor"] = own


def between(one: torch.Tensor, other: torch.Tensor, share: float) -> torch.Tensor:
    """Noise on the arc from one to the other, picture by picture, so that it stays as strong (Shoemake 1985)."""
    a, b = one.flatten(1).double(), other.flatten(1).double()
    cosine = (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1))
    angle = torch.arccos(cosine.clamp(-1, 1)).unsqueeze(1)
    mixed = (torch.sin((1 - share) * angle) * a + torch.sin(share * angle) * b) / torch.sin(angle)
    return torch.where(angle < 1e-4, a, mixed).to(one.dtype).reshape(one.shape)


@contextmanager
def filled(scheduler: Any, fill: Fill, mask: Image.Image | None, seeds: Sequence[int]) -> Iterator[None]:
    """While this lasts, the picture that noise is first added to has noise or nothing where the mask is."""
    if mask is None or fill not in ("noise", "nothing"):
        yield
        return
    name, place = ("scale_noise", 0) if hasattr(scheduler, "scale_noise") else ("add_noise", 0)
    own: Callable[..., torch.Tensor] = getattr(scheduler, name)

    def added(*args: Any, **options: Any) -> torch.Tensor:
        delattr(scheduler, name)
        changed = _emptied(args[place], mask, fill, seeds)
        return own(changed, *args[1:], **options)

    setattr(scheduler, name, added)
    try:
        yield
    finally:
        vars(scheduler).pop(name, None)


def _emptied(latents: torch.Tensor, mask: Image.Image, fill: Fill, seeds: Sequence[int]) -> torch.Tensor:
    """latents: [pictures, channels, ..., height, width]"""
    size = (latents.shape[-1], latents.shape[-2])
    inside = torch.tensor(list(mask.resize(size).tobytes()), dtype=torch.uint8).reshape(size[1], size[0]) > 127
    instead = torch.zeros_like(latents)
    if fill == "noise":
        drawn = [torch.randn(latents.shape[1:], generator=generators([seed + UNDER_MASK])) for seed in seeds]
        instead = torch.stack(drawn).to(latents)
    return torch.where(inside.to(latents.device), instead, latents)


def _drawing(pipeline: Any) -> tuple[Callable[..., torch.Tensor], dict[str, Any]]:
    """What a pipeline draws its noise with, and the names that it finds it under."""
    place = getattr(getattr(pipeline, "prepare_latents", None), "__globals__", {})
    if "randn_tensor" not in place:
        name = type(pipeline).__name__.removesuffix("Pipeline")
        raise Unsupported(f"{name} cannot vary a picture by a second seed", field="subseed_strength")
    return place["randn_tensor"], place
