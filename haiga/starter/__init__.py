"""The models that ship with haiga: small trained checkpoints, found by path.

Rule: no code here but the way to the files; each folder's README.md is the model's card.
"""

from pathlib import Path


def text_path() -> Path:
    """The folder of the text model: config, tokenizer and weights as a Hugging Face directory."""
    return Path(__file__).parent / "text"


def image_path() -> Path:
    """The folder of the model that makes pictures, in diffusers' layout. Without a model_index.json it is not there."""
    return Path(__file__).parent / "image"


def moderation_path() -> Path:
    """The folder of the moderation classifier: config.json and weights. Without a config.json there it is not there."""
    return Path(__file__).parent / "moderation"
