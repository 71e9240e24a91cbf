"""The starter model that ships with haiga: a small trained checkpoint, found by path.

Rule: no code here but the way to the files; `haiga/starter/text/README.md` is the model's card.
"""

from pathlib import Path


def text_path() -> Path:
    """The folder of the text model: config, tokenizer and weights as a Hugging Face directory."""
    return Path(__file__).parent / "text"
