"""OpenAI's Images API, with what a diffusion model can be told besides."""

from haiga.wire.openai_images.read import (
    AskedImages,
    ImageEditForm,
    ImageGenerationBody,
    ImageVariationForm,
    read_edit,
    read_generation,
    read_variation,
)
from haiga.wire.openai_images.write import ImagesAnswer, ImageStream, write_images

__all__ = [
    "AskedImages",
    "ImageEditForm",
    "ImageGenerationBody",
    "ImageStream",
    "ImageVariationForm",
    "ImagesAnswer",
    "read_edit",
    "read_generation",
    "read_variation",
    "write_images",
]
