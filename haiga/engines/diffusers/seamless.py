"""Pictures whose edges fit to each other.

Rule: every convolution sees the picture as a torus while this lasts, and as before afterwards.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

from haiga.core.errors import Unsupported


@contextmanager
def seamless(pipeline: Any, wanted: bool, nets: Sequence[Any] = ()) -> Iterator[None]:
    """nets: those that lead it. Raises Unsupported for a denoiser that is not made of convolutions."""
    if not wanted:
        yield
        return
    if not hasattr(pipeline, "unet"):
        name = type(pipeline).__name__.removesuffix("Pipeline")
        raise Unsupported(f"{name} has no convolutions that could make edges fit", field="tiling")
    layers = [
        layer
        for part in (pipeline.unet, pipeline.vae, *nets)
        for layer in part.modules()
        if isinstance(layer, nn.Conv2d)
    ]
    modes = [layer.padding_mode for layer in layers]
    for layer in layers:
        layer.padding_mode = "circular"
    try:
        yield
    finally:
        for layer, mode in zip(layers, modes, strict=True):
            layer.padding_mode = mode
