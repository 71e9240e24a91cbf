"""The tokenizer and the chat template of a model, wherever they are kept.

Rule: a directory has files for them, a GGUF file has them in its metadata; nobody else tells the two apart for text.
"""

from pathlib import Path

from haiga.models.gguf import is_gguf, read_parts
from haiga.text.gguf import gguf_template, gguf_tokenizer
from haiga.text.pieces import pieces_tokenizer
from haiga.text.template import ChatTemplate
from haiga.text.tokenizer import Tokenizer


def load_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer of the model at `path`. Raises Invalid and Unsupported naming the file."""
    if is_gguf(path):
        return gguf_tokenizer(str(path), read_parts(path).metadata)
    alone = (path / "tokenizer.model").is_file() and not (path / "tokenizer.json").exists()
    return pieces_tokenizer(path) if alone else Tokenizer.load(path)


def load_template(path: Path) -> ChatTemplate | None:
    """The chat template of the model at `path`, None when it has none. Raises Invalid naming the file."""
    return gguf_template(str(path), read_parts(path).metadata) if is_gguf(path) else ChatTemplate.load(path)
