"""Adapter files: what they mean, and one clear line for whatever is wrong with them."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from haiga.core.errors import Invalid, Unsupported
from haiga.models.adapters import Linear, is_adapter, open_adapter, read_base
from haiga.models.adapters.config import read_lora
from haiga.models.adapters.widen import widen
from haiga.models.weights.checkpoint import decode_bf16
from tests.unit.mutants import ODD

LAYERS = {
    f"model.layers.{number}.{name}": Linear(inner, outer)
    for number in range(2)
    for name, inner, outer in (("self_attn.q_proj", 8, 12), ("mlp.down_proj", 6, 8))
}
STEM = "base_model.model.model.layers.0.self_attn.q_proj"
Change = Callable[[dict[str, Any], dict[str, np.ndarray[Any, Any]]], None]


def write(directory: Path, change: Change = lambda config, tensors: None) -> Path:
    chance = np.random.default_rng(0)
    config: dict[str, Any] = {
        "peft_type": "LORA",
        "r": 2,
        "lora_alpha": 8,
        "target_modules": ["q_proj", "down_proj"],
        "base_model_name_or_path": "org/base",
    }
    tensors = {}
    for name, layer in LAYERS.items():
        for part, shape in (("A", (2, layer.inner)), ("B", (layer.outer, 2))):
            tensors[f"base_model.model.{name}.lora_{part}.weight"] = chance.standard_normal(shape).astype(np.float32)
    change(config, tensors)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "adapter_config.json").write_text(json.dumps(config))
    save_file(tensors, directory / "adapter_model.safetensors")
    return directory


def set_(**fields: Any) -> Change:
    return lambda config, tensors: config.update(fields)


def put(name: str, value: Any) -> Change:
    return lambda config, tensors: tensors.update({name: np.asarray(value, np.float32)})


def drop(name: str) -> Change:
    def change(config: dict[str, Any], tensors: dict[str, Any]) -> None:
        del tensors[name]

    return change


def test_what_it_was_trained_on_is_read(tmp_path: Path) -> None:
    directory = write(tmp_path)
    assert is_adapter(directory)
    assert "org/base" == read_base(directory)


@pytest.mark.parametrize(
    ("config", "scale"),
    [
        ({}, 8 / 2),
        ({"use_rslora": True}, 8 / 2**0.5),
        ({"alpha_pattern": {"q_proj": 3}}, 3 / 2),
        ({"alpha_pattern": {"down_proj": 3}}, 8 / 2),
        ({"alpha_pattern": {"model.layers.0.self_attn.q_proj": 5}}, 5 / 2),
    ],
)
def test_the_scale_is_peft_s_and_lies_in_the_second_factor(
    tmp_path: Path, config: dict[str, Any], scale: float
) -> None:
    directory = write(tmp_path, set_(**config))
    down, up = open_adapter(directory, LAYERS).factors("model.layers.0.self_attn.q_proj")
    tensors = load_file(directory / "adapter_model.safetensors")
    np.testing.assert_array_equal(tensors[f"{STEM}.lora_A.weight"], down)
    np.testing.assert_allclose(tensors[f"{STEM}.lora_B.weight"].T * scale, up, rtol=1e-6)


@pytest.mark.parametrize(("kind", "read"), [(np.float16, lambda bits: bits.view(np.float16)), (np.uint16, decode_bf16)])
@pytest.mark.parametrize("scale", [1.0, 0.3, 70000.0])
def test_every_number_of_16_bits_is_widened_to_the_last_bit(kind: Any, read: Any, scale: float) -> None:
    every = np.arange(1 << 16, dtype=np.uint16)
    with np.errstate(all="ignore"):
        expected = read(every).astype(np.float32) * np.float32(scale)
    fine = np.isfinite(expected)
    square = np.resize(every[fine], (3, fine.sum() // 3))
    actual = np.empty(square.T.shape, np.float32)
    widen(square.view(kind).T, scale, actual)
    np.testing.assert_array_equal(np.resize(expected[fine], square.shape).T.view(np.uint32), actual.view(np.uint32))


def test_factors_are_written_as_they_are_read(tmp_path: Path) -> None:
    adapter = open_adapter(write(tmp_path), LAYERS)
    for layer in adapter.ranks:
        expected = adapter.factors(layer)
        actual = tuple(np.empty(factor.shape, np.float32) for factor in expected)
        adapter.write(layer, *actual)
        np.testing.assert_array_equal(np.concatenate(expected, 1), np.concatenate(actual, 1))


def test_names_of_another_class_of_the_model_are_found(tmp_path: Path) -> None:
    def rename(config: dict[str, Any], tensors: dict[str, Any]) -> None:
        for name in list(tensors):
            tensors[name.replace("model.layers", "model.language_model.layers", 1)] = tensors.pop(name)

    assert LAYERS.keys() == open_adapter(write(tmp_path, rename), LAYERS).ranks.keys()


def test_the_same_files_have_the_same_key(tmp_path: Path) -> None:
    first, second = (open_adapter(write(tmp_path / name), LAYERS) for name in ("one", "two"))
    other = open_adapter(write(tmp_path / "three", set_(lora_alpha=9)), LAYERS)
    assert first.key == second.key != other.key


@pytest.mark.parametrize(
    ("change", "error", "line"),
    [
        (set_(peft_type="IA3"), Unsupported, "peft_type 'IA3' is not supported"),
        (set_(use_dora=True), Unsupported, "use_dora is not supported"),
        (set_(modules_to_save=["lm_head"]), Unsupported, "modules_to_save is not supported"),
        (set_(bias="all"), Unsupported, "bias 'all' is not supported"),
        (set_(init_lora_weights="pissa_niter_4"), Unsupported, "init_lora_weights 'pissa_niter_4' is not supported"),
        (set_(rank_pattern={"(a+)+$": 4}), Unsupported, "rank_pattern: .* is not supported"),
        (set_(r=0), Invalid, "r is 0, less than 1"),
        (set_(r=10**9), Invalid, "r is 1000000000, more than 512"),
        (set_(r=3), Invalid, r"lora_A.weight has shape \[2, \d\], expected \[3, \d\]"),
        (set_(lora_alpha=float("nan")), Invalid, "lora_alpha is nan, not a finite number"),
        (set_(lora_alpha=1e300), Invalid, "out of the range of numbers"),
        (drop(f"{STEM}.lora_B.weight"), Invalid, f"tensor {STEM}.lora_B.weight is missing"),
        (drop(f"{STEM}.lora_A.weight"), Invalid, f"tensor {STEM}.lora_A.weight is missing"),
        (put(f"{STEM}.lora_A.weight", np.full((2, 8), np.nan)), Invalid, "numbers that are not finite"),
        (put(f"{STEM}.lora_A.weight", np.ones((2, 9))), Invalid, r"has shape \[2, 9\], expected \[2, 8\]"),
        (put(f"{STEM}.lora_magnitude_vector", np.ones(12)), Unsupported, "lora_magnitude_vector is not supported"),
        (put("base_model.model.lm_head.lora_A.weight", np.ones((2, 8))), Unsupported, "lm_head is no layer"),
        (
            put("base_model.model.model.layers.7.self_attn.q_proj.lora_A.weight", np.ones((2, 8))),
            Unsupported,
            "layers.7.self_attn.q_proj is no layer",
        ),
    ],
)
def test_what_is_wrong_is_one_line_that_names_it(
    tmp_path: Path, change: Change, error: type[Exception], line: str
) -> None:
    directory = write(tmp_path, change)
    with pytest.raises(error, match=line) as told:
        open_adapter(directory, LAYERS)
    assert "\n" not in str(told.value)


def test_a_layer_that_was_trained_and_has_no_tensors_is_missed(tmp_path: Path) -> None:
    def change(config: dict[str, Any], tensors: dict[str, Any]) -> None:
        for part in "AB":
            del tensors[f"{STEM}.lora_{part}.weight"]

    with pytest.raises(Invalid, match=r"layer model\.layers\.0\.self_attn\.q_proj is one of target_modules"):
        open_adapter(write(tmp_path / "whole", change), LAYERS)

    def narrowed(config: dict[str, Any], tensors: dict[str, Any]) -> None:
        change(config, tensors)
        config["layers_to_transform"] = [1]

    assert 3 == len(open_adapter(write(tmp_path / "narrow", narrowed), LAYERS).ranks)


def test_500_mutants_are_refused_in_a_line_or_harmless(tmp_path: Path) -> None:
    good, chance = write(tmp_path / "good"), random.Random(0)
    refused = 0
    for _ in range(500):
        directory = Path(shutil.copytree(good, tmp_path / "mutant", dirs_exist_ok=True))
        chance.choice([damage_bytes, damage_config])(chance, directory)
        try:
            adapter = open_adapter(directory, LAYERS)
            assert all(np.isfinite(factor).all() for layer in adapter.ranks for factor in adapter.factors(layer))
        except (Invalid, Unsupported) as problem:
            refused += 1
            assert "\n" not in str(problem)
    assert refused > 100


def damage_bytes(chance: random.Random, directory: Path) -> None:
    file = directory / chance.choice(["adapter_model.safetensors", "adapter_config.json"])
    content = bytearray(file.read_bytes())
    if chance.random() < 0.2:
        del content[chance.randrange(len(content)) :]
    else:
        for _ in range(chance.randint(1, 4)):
            content[chance.randrange(min(len(content), 1200))] = chance.randrange(256)
    file.write_bytes(content)


def damage_config(chance: random.Random, directory: Path) -> None:
    fields = json.loads((directory / "adapter_config.json").read_text())
    names = [*fields, "rank_pattern", "alpha_pattern", "use_rslora", "use_dora", "bias", "modules_to_save"]
    fields[chance.choice(names)] = chance.choice([*ODD, {"q_proj": chance.choice(ODD)}])
    (directory / "adapter_config.json").write_text(json.dumps(fields))


def test_a_whole_read_of_the_config_names_its_fields(tmp_path: Path) -> None:
    lora = read_lora(write(tmp_path, set_(rank_pattern={"down_proj": 4}, target_modules="all-linear")))
    assert (4, 2) == (lora.rank_of("model.layers.0.mlp.down_proj"), lora.rank_of("model.layers.0.self_attn.q_proj"))
    assert () == lora.targets
