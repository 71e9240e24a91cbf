"""What lies beside a model does what diffusers does with it, and nothing of it is left afterwards."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model_state_dict
from safetensors.torch import save_file

from haiga.core.errors import Invalid
from haiga.core.images import Painted
from haiga.engines.diffusers.painter import Painter
from haiga.engines.diffusers.pixels import image_of
from haiga.engines.diffusers.shelf import Shelf
from tests.parity.painting.drawn import SIDE, Pipelines, asked, difference, own, painted
from tests.pipelines import made

SIZE = {"width": SIDE, "height": SIDE}
PARTS = {"sd15": "unet", "flux": "transformer"}


def make_lora(family: str, file: Path, seed: int) -> Path:
    """A LoRA for the family's denoiser and text encoder, with no zeros in it."""
    pipeline = made(family)
    torch.manual_seed(seed)
    layers: dict[str, Any] = {}
    for part in (PARTS[family], "text_encoder"):
        targets = ["to_q", "to_v"] if part != "text_encoder" else ["q_proj", "v_proj"]
        module = getattr(pipeline, part)
        module.add_adapter(LoraConfig(r=2, lora_alpha=2, target_modules=targets, init_lora_weights=False))
        layers[f"{part}_lora_layers"] = get_peft_model_state_dict(module)
    file.parent.mkdir(parents=True, exist_ok=True)
    pipeline.save_lora_weights(file.parent, weight_name=file.name, **layers)
    return file


def first(painter: Painter, prompt: str, **changes: Any) -> Painted:
    return next(iter(painter.paint(type(asked())("tiny", prompt, width=SIDE, height=SIDE, steps=3, **changes), 1)))


@pytest.mark.parametrize("family", PARTS)
def test_loras_by_weight_are_diffusers_own_and_leave_nothing_behind(family: str, tmp_path: Path) -> None:
    files = [make_lora(family, tmp_path / "Lora" / f"{name}.safetensors", n) for n, name in enumerate("ab")]
    pipeline = made(family)
    plain = painted(pipeline)
    for n, file in enumerate(files):
        pipeline.load_lora_weights(file.parent, weight_name=file.name, adapter_name=f"x{n}")
    weights = {PARTS[family]: 0.5, "text_encoder": 0.25}
    pipeline.set_adapters(["x0", "x1"], [weights, dict.fromkeys(weights, 2.0)])
    both = own(pipeline, **SIZE)
    painter = Painter(made(family), "tiny", Shelf(tmp_path))
    told = first(painter, "a cat <lora:a:0.25:0.5> <lora:b:2>")
    assert 0 == difference(both, image_of(told.picture))
    assert ["a", "b"] == [each.split(":")[0].strip() for each in told.parameters["Lora hashes"].split(",")]
    assert 0 == difference(plain, image_of(first(painter, "a cat").picture))
    assert 0 < difference(plain, image_of(first(painter, "a cat <lora:b:1>").picture))


def test_a_file_that_is_written_anew_is_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "loras" / "a.safetensors"
    painter = Painter(made("sd15"), "tiny", Shelf(tmp_path))
    make_lora("sd15", file, 1)
    before = first(painter, "a cat <lora:a>")
    make_lora("sd15", file, 2)
    assert before.picture.digest != first(painter, "a cat <lora:a>").picture.digest
    make_lora("sd15", file, 1)
    assert before.picture.digest == first(painter, "a cat <lora:a>").picture.digest


def test_what_is_not_there_does_not_fit_or_is_a_pickle_is_refused_by_name(tmp_path: Path) -> None:
    make_lora("flux", tmp_path / "loras" / "flux.safetensors", 1)
    (tmp_path / "loras" / "text.safetensors").write_text("a cat")
    save_file({"nothing": torch.zeros(2)}, tmp_path / "loras" / "empty.safetensors")
    torch.save({"x": torch.zeros(1)}, tmp_path / "loras" / "old.pt")
    painter = Painter(made("sd15"), "tiny", Shelf(tmp_path))
    plain = first(painter, "a cat").picture.digest
    for name, why in (
        ("flax", "near it: flux.*empty, flux, text"),
        ("flux", "flux"),
        ("text", "text"),
        ("empty", "empty"),
        ("old", "pickle"),
    ):
        with pytest.raises(Invalid, match=why):
            first(painter, f"a cat <lora:{name}:1>")
    assert plain == first(painter, "a cat").picture.digest


@pytest.mark.parametrize(("family", "keys"), [("sd15", ["emb_params"]), ("sdxl", ["clip_l", "clip_g"])])
def test_a_words_embedding_is_diffusers_own_and_leaves_nothing_behind(
    family: str, keys: list[str], tmp_path: Path
) -> None:
    torch.manual_seed(3)
    vectors = {key: torch.randn(2, 32) for key in keys}
    (tmp_path / "embeddings").mkdir()
    save_file(vectors, tmp_path / "embeddings" / "Mine.safetensors")
    theirs = made(family)
    for key, end in zip(keys, ("", "_2"), strict=False):
        part = {"tokenizer": getattr(theirs, f"tokenizer{end}"), "text_encoder": getattr(theirs, f"text_encoder{end}")}
        theirs.load_textual_inversion(vectors[key], token="<mine>", **part)
    expected = own(theirs, prompt="a <mine> cat", **SIZE)
    painter = Painter(made(family), "tiny", Shelf(tmp_path))
    plain = first(painter, "a minecat").picture.digest
    told = first(painter, "a Mine cat")
    assert difference(expected, image_of(told.picture)) <= 1
    assert told.parameters["TI hashes"].startswith("Mine: ")
    assert plain == first(painter, "a minecat").picture.digest


def test_pickles_are_read_as_weights_and_only_where_they_are_allowed(tmp_path: Path) -> None:
    (tmp_path / "embeddings").mkdir()
    torch.save({"string_to_param": {"*": torch.ones(1, 32)}}, tmp_path / "embeddings" / "old.pt")
    torch.save({"run": Painter}, tmp_path / "embeddings" / "evil.pt")
    closed, opened = (Painter(made("sd15"), "tiny", Shelf(tmp_path, pickles=each)) for each in (False, True))
    assert first(closed, "a old cat").picture.digest != first(opened, "a old cat").picture.digest
    with pytest.raises(Invalid, match="refused"):
        first(opened, "an evil cat")


def test_another_vae_decodes_one_request(tmp_path: Path, pipelines: Pipelines) -> None:
    theirs = made("sd15")
    torch.manual_seed(9)
    for weight in theirs.vae.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    theirs.vae.save_pretrained(tmp_path / "vae" / "folder")
    save_file(theirs.vae.state_dict(), tmp_path / "vae" / "file.safetensors")
    made("flux").vae.save_pretrained(tmp_path / "vae" / "wrong")
    made("z-image").vae.save_pretrained(tmp_path / "vae" / "wide")
    painter = Painter(pipelines("sd15"), "tiny", Shelf(tmp_path))
    plain = first(painter, "a cat").picture.digest
    for name in ("folder", "file"):
        assert 0 == difference(own(theirs, **SIZE), image_of(first(painter, "a cat", vae=name).picture))
    with pytest.raises(Invalid, match="latents"):
        first(painter, "a cat", vae="wide")
    assert plain == first(painter, "a cat").picture.digest
