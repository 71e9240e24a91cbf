"""What can be named in a request for pictures: samplers, ways to enlarge, and what lies on the shelf at this moment."""

from dataclasses import replace

from haiga.core.palette import Palette
from haiga.engines.diffusers.asked import LATENT_MODES
from haiga.engines.diffusers.samplers import NAMES
from haiga.engines.diffusers.shelf import Shelf
from haiga.engines.diffusers.upscaling.resampling import RESAMPLERS


def palette(shelf: Shelf) -> Palette:
    """Reads the shelf's folders anew each time."""
    return replace(
        NAMES,
        upscalers=(*RESAMPLERS, *shelf.names("upscalers")),
        latent_upscalers=tuple(LATENT_MODES),
        loras=tuple(shelf.names("loras")),
        vaes=tuple(shelf.names("vaes")),
        embeddings=tuple(shelf.names("embeddings")),
        controls=(*shelf.names("controlnets"), *shelf.names("ip_adapters")),
    )
