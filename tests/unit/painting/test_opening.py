"""What is said where pictures cannot be made, and of models that are not loaded."""

import json
from pathlib import Path

import pytest

from haiga.core.errors import Invalid
from haiga.engines.diffusers.opening import lacking, parts_of


def test_a_missing_library_is_named_with_what_adds_it() -> None:
    told = "this server makes no pictures: no_such_library is not installed; add it with pip install 'haiga[images]'"
    assert told == lacking(("json", "no_such_library"))
    assert None is lacking(("json",))


def test_a_model_is_told_by_its_family_and_the_bytes_of_its_parts(tmp_path: Path) -> None:
    index = {"_class_name": "FluxPipeline", "vae": ["diffusers", "AutoencoderKL"], "scheduler": ["diffusers", "S"]}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    (tmp_path / "vae").mkdir()
    (tmp_path / "vae" / "diffusion_pytorch_model.safetensors").write_bytes(bytes(12))
    (tmp_path / "vae" / "config.json").write_text("{}")
    assert ("Flux", {"vae": 12}) == parts_of(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}"])
def test_an_index_that_says_nothing_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "model_index.json").write_text(text)
    with pytest.raises(Invalid, match=r"model_index\.json"):
        parts_of(tmp_path)
