"""Pictures, larger: by resampling, or by a network of the user's."""

from haiga.engines.diffusers.upscaling.upscalers import Upscalers

__all__ = ["Upscalers"]
