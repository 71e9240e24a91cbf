"""What is installed: the models that come along are whole."""

import json
import tomllib
from pathlib import Path

from haiga.starter import image_path, text_path

ROOT = Path(__file__).parents[2]
PATTERNS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["haiga"]


def test_every_file_of_the_starters_is_packed() -> None:
    packed = {file for pattern in PATTERNS for file in (ROOT / "haiga").glob(pattern)}
    files = {file for file in text_path().parent.rglob("*") if file.is_file() and file.suffix not in (".py", ".pyc")}
    assert files
    assert set() == files - packed


def test_every_part_of_the_image_starter_is_there_in_safetensors() -> None:
    index = json.loads((image_path() / "model_index.json").read_text())
    parts = {name for name, told in index.items() if isinstance(told, list) and told[0]}
    assert {"scheduler", "text_encoder", "tokenizer", "unet", "vae"} == parts
    assert {"text_encoder", "unet", "vae"} == {file.parent.name for file in image_path().glob("*/*.safetensors")}
    assert 20 << 20 > sum(file.stat().st_size for file in image_path().rglob("*"))
