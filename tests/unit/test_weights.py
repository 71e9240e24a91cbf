"""Checkpoints: what is read, what is refused and in which words; packing; what a directory says about itself."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from haiga.core.errors import Failed, Invalid
from haiga.models.description import describe
from haiga.models.fields import Fields
from haiga.models.gguf.container import read_container
from haiga.models.load import Settings, cache_file
from haiga.models.registry import find_architecture
from haiga.models.rope import read_rope
from haiga.models.weights import (
    Checkpoint,
    PackedFile,
    PackedWriter,
    check_vocabulary,
    dequantize,
    pack_int4,
    pack_int8,
)
from haiga.models.weights.checkpoint import decode_bf16, encode_bf16
from haiga.models.weights.packing import group_size, store_int4

CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 32,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 64,
    "eos_token_id": 2,
    "bos_token_id": 1,
}
FILE = "model.safetensors"


def write(directory: Path, **config: Any) -> Path:
    (directory / "config.json").write_text(json.dumps({**CONFIG, **config}))
    values = np.arange(32 * 16, dtype=np.float32).reshape(32, 16)
    save_file({"model.embed_tokens.weight": values, "half": values.astype(np.float16)}, directory / FILE)
    return directory


def test_tensors_are_read_in_float32(tmp_path: Path) -> None:
    checkpoint = Checkpoint(write(tmp_path))
    expected = np.arange(512, dtype=np.float32).reshape(32, 16)
    np.testing.assert_array_equal(checkpoint.read("model.embed_tokens.weight", (32, 16)), expected)
    np.testing.assert_array_equal(checkpoint.read("half", (32, 16), slice(3, 5)), expected[3:5])


def test_bf16_is_decoded_exactly_and_encoded_to_the_nearest_even() -> None:
    bits = np.arange(0x7F80, dtype=np.uint16)
    np.testing.assert_array_equal(encode_bf16(decode_bf16(bits)), bits)
    halfway = np.array([0x3F808000, 0x3F818000, 0x3F808001], np.uint32).view(np.float32)
    assert [0x3F80, 0x3F82, 0x3F81] == encode_bf16(halfway).tolist()


def truncate(directory: Path) -> None:
    file = directory / FILE
    file.write_bytes(file.read_bytes()[:-1])


def empty(directory: Path) -> None:
    (directory / FILE).write_bytes(b"")


def huge_header(directory: Path) -> None:
    (directory / FILE).write_bytes((1 << 60).to_bytes(8, "little") + b"{}")


def no_json(directory: Path) -> None:
    (directory / FILE).write_bytes((4).to_bytes(8, "little") + b"{\xff]}")


def no_object(directory: Path) -> None:
    (directory / FILE).write_bytes((2).to_bytes(8, "little") + b"[]")


def entry(shape: Any, offsets: Any) -> Callable[[Path], None]:
    def write_entry(directory: Path) -> None:
        header = json.dumps({"x": {"dtype": "F32", "shape": shape, "data_offsets": offsets}}).encode()
        (directory / FILE).write_bytes(len(header).to_bytes(8, "little") + header + bytes(16))

    return write_entry


def index(table: Any) -> Callable[[Path], None]:
    return lambda directory: (directory / "model.safetensors.index.json").write_text(json.dumps(table)) and None


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda directory: (directory / "config.json").unlink(), r"config\.json: there is no such file"),
        (lambda directory: (directory / "config.json").write_text("{"), r"config\.json: cannot be read as JSON"),
        (
            lambda directory: (directory / "config.json").write_text("[" * 99999),
            r"config\.json: cannot be read as JSON",
        ),
        (lambda directory: (directory / "config.json").write_text("[]"), r"config\.json: holds no JSON object"),
        (lambda directory: (directory / FILE).unlink(), r"model\.safetensors: there is no such file"),
        (truncate, r"model\.safetensors: damaged or truncated \(tensor \S+ ends at byte"),
        (empty, r"model\.safetensors: damaged or truncated"),
        (huge_header, r"model\.safetensors: damaged or truncated"),
        (no_json, r"model\.safetensors: damaged \(its header cannot be read"),
        (no_object, r"model\.safetensors: damaged \(its header is no JSON object"),
        (entry([2, 2], [0, 12]), r"damaged \(tensor x of shape \[2, 2\] has 12 bytes\)"),
        (entry([2, 2], [8, 24]), r"damaged or truncated \(tensor x ends at byte 24 of 16\)"),
        (entry([-2, -2], [0, 16]), r"damaged \(tensor x of shape \[-2, -2\]"),
        (entry("four", [0, 16]), r"damaged \(header entry of tensor x\)"),
        (entry([1e999], [0, 16]), r"damaged \(header entry of tensor x\)"),
        (entry([4], [0]), r"damaged \(header entry of tensor x\)"),
        (index({}), r"index\.json: weight_map is missing"),
        (index({"weight_map": {"x": "../secret.safetensors"}}), "is not a file name in this directory"),
        (index({"weight_map": {"x": "/etc/passwd"}}), "is not a file name in this directory"),
        (index({"weight_map": {"x": ".."}}), "is not a file name in this directory"),
        (index({"weight_map": {"x": "gone.safetensors"}}), r"gone\.safetensors: there is no such file"),
    ],
)
def test_every_damage_is_one_line_that_names_the_file(
    tmp_path: Path, damage: Callable[[Path], None], problem: str
) -> None:
    damage(write(tmp_path))
    with pytest.raises(Invalid, match=problem) as raised:
        Checkpoint(tmp_path)
    assert "\n" not in str(raised.value)


def test_a_missing_tensor_a_wrong_shape_and_wrong_numbers_are_named(tmp_path: Path) -> None:
    values = np.array([1, np.inf], np.float32)
    save_file({"a": values, "b": np.ones(2, np.int32)}, write(tmp_path) / FILE)
    checkpoint = Checkpoint(tmp_path)
    for name, shape, problem in (
        ("gone", (2,), "tensor gone is missing"),
        ("a", (3,), r"tensor a has shape \[2\], expected \[3\]"),
        ("a", (2,), "tensor a holds numbers that are not finite"),
        ("b", (2,), "tensor b is I32; readable are F32, F16, BF16"),
    ):
        with pytest.raises(Invalid, match=problem):
            checkpoint.read(name, shape)


def test_an_unknown_architecture_is_named_with_those_supported() -> None:
    with pytest.raises(
        Invalid, match="architectures: 'FooForCausalLM' is not supported; supported: LlamaForCausalLM, "
    ):
        find_architecture(Fields("config.json", {"architectures": ["FooForCausalLM"]}))
    with pytest.raises(Invalid, match=r"architectures: \(none\) is not supported"):
        find_architecture(Fields("config.json", {}))


def test_a_checkpoint_packed_by_others_is_refused() -> None:
    config = {**CONFIG, "quantization_config": {"quant_method": "gptq", "bits": 4}}
    with pytest.raises(Invalid, match=r"config\.json: quantization_config \(gptq\) is not supported"):
        find_architecture(Fields("config.json", config))


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused() -> None:
    check_vocabulary(31, 32, Path("model"))
    with pytest.raises(Invalid, match="model: the tokenizer's highest token id is 32, but the model's vocabulary"):
        check_vocabulary(32, 32, Path("model"))


@pytest.mark.parametrize("field", ["vocab_size", "hidden_size", "num_hidden_layers"])
@pytest.mark.parametrize("value", [None, 0, -1, 1.5, "16", True, [1]])
def test_a_config_field_of_the_wrong_kind_is_named(tmp_path: Path, field: str, value: Any) -> None:
    with pytest.raises(Invalid, match=rf"config\.json: {field} "):
        describe(write(tmp_path, **{field: value}))


def test_heads_that_do_not_fit_are_named(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"num_attention_heads \(2\) is no multiple of num_key_value_heads \(3\)"):
        describe(write(tmp_path, num_key_value_heads=3))


WEIGHTS = np.random.default_rng(0).normal(size=(6, 256)).astype(np.float32)


def test_int8_is_off_by_half_a_step_of_its_row_at_most() -> None:
    packed = pack_int8(WEIGHTS)
    assert (6, 1, 256) == packed.values.shape
    assert np.all(abs(dequantize(packed) - WEIGHTS) <= abs(WEIGHTS).max(1, keepdims=True) / 127 * 0.5001)


def test_int4_keeps_the_largest_of_each_group_and_is_off_by_one_step_at_most() -> None:
    packed = pack_int4(WEIGHTS)
    assert (6, 2, 128) == packed.values.shape
    groups, restored = WEIGHTS.reshape(6, 2, 128), dequantize(packed).reshape(6, 2, 128)
    largest = abs(groups).argmax(-1, keepdims=True)
    np.testing.assert_allclose(
        np.take_along_axis(restored, largest, -1), np.take_along_axis(groups, largest, -1), rtol=1e-6
    )
    assert np.all(abs(restored - groups) <= abs(packed.scales) * 1.0001)


def test_zeros_stay_zeros() -> None:
    for pack in (pack_int4, pack_int8):
        np.testing.assert_array_equal(dequantize(pack(np.zeros((2, 64), np.float32))), 0)


def test_groups_are_the_largest_that_divide_the_row() -> None:
    assert [128, 64, 32, 100] == [group_size(width) for width in (2048, 960, 96, 100)]


def test_int4_lies_two_to_a_byte_the_first_in_the_low_half() -> None:
    assert [0x21, 0x8F] == store_int4(np.array([1, 2, -1, -8], np.int8)).tolist()


def test_a_packed_file_gives_back_what_was_put_there(tmp_path: Path) -> None:
    writer = PackedWriter(tmp_path / "packed", capacity=1000, tensors=2)
    writer.room("a", 5)[:] = [1, 2, 3, 4, 5]
    writer.room("b", 0)
    assert not (tmp_path / "packed").exists()
    writer.seal()
    packed = PackedFile(tmp_path / "packed")
    for arena in (writer, packed):
        found = arena.find("a")
        assert found is not None
        assert [1, 2, 3, 4, 5] == found.tolist()
        arena.release()
        assert [1, 2, 3, 4, 5] == found.tolist()
    assert packed.find("c") is None


def test_a_packed_file_that_the_disk_has_no_room_for_is_named_and_removed(tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"packed: no room for \d+ bytes of packed weights"):
        PackedWriter(tmp_path / "packed", capacity=1 << 60, tensors=1)
    assert [] == list(tmp_path.iterdir())


def test_the_cached_file_changes_with_packing_config_and_weights(tmp_path: Path) -> None:
    names = {cache_file(write(tmp_path), "int4", tmp_path), cache_file(tmp_path, "int8", tmp_path)}
    write(tmp_path, rope_theta=5.0)
    names.add(cache_file(tmp_path, "int4", tmp_path))
    save_file({"x": np.zeros(3, np.float32)}, tmp_path / FILE)
    names.add(cache_file(tmp_path, "int4", tmp_path))
    assert 4 == len(names)


@pytest.mark.parametrize("wrong", [{"weights": "int3"}, {"cache": "u1"}])
def test_unknown_precisions_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match=next(iter(wrong))):
        Settings(**wrong)


SCALINGS: list[dict[str, Any]] = [
    {"rope_type": "linear", "factor": 4.0},
    {"rope_type": "dynamic", "factor": 2.0},
    {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0},
    {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16},
    {"rope_type": "longrope", "long_factor": [2.0] * 4, "short_factor": [1.0] * 4},
]


@pytest.mark.parametrize("scaling", SCALINGS, ids=lambda scaling: str(scaling["rope_type"]))
def test_both_forms_of_a_config_give_the_same_rope(scaling: dict[str, Any]) -> None:
    shared = {"max_position_embeddings": 64}
    old = Fields("config.json", {**shared, "rope_theta": 500.0, "rope_scaling": scaling})
    older = Fields(
        "config.json", {**shared, "rope_theta": 500.0, "rope_scaling": {**scaling, "type": scaling["rope_type"]}}
    )
    new = Fields("config.json", {**shared, "rope_parameters": {**scaling, "rope_theta": 500.0}})
    ropes = [read_rope(config, 8, 128) for config in (old, older, new)]
    assert 1 == len({(rope.frequencies.tobytes(), rope.scale) for rope in ropes})
    plain = read_rope(Fields("config.json", {**shared, "rope_theta": 500.0}), 8, 128)
    assert (plain.frequencies.tobytes(), plain.scale) != (ropes[0].frequencies.tobytes(), ropes[0].scale)


def test_wrong_scalings_are_named() -> None:
    for scaling, problem in (
        ({"rope_type": "spiral"}, "rope_scaling: rope_type 'spiral' is not supported; supported: default, mrope"),
        ({"type": "linear"}, "rope_scaling: factor is missing"),
        ({"type": "longrope", "short_factor": [1.0]}, "rope_scaling: short_factor"),
    ):
        with pytest.raises(Invalid, match=problem):
            read_rope(Fields("config.json", {"rope_scaling": scaling}), 8, 64)


def test_a_description_joins_end_tokens_and_takes_sampling_from_generation_config(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "generation_config.json").write_text(
        json.dumps({"eos_token_id": [7, 9], "temperature": 0.6, "top_p": 0.9, "top_k": 20, "repetition_penalty": 1.1})
    )
    description = describe(tmp_path)
    assert (7, 9, 2) == description.ends
    assert 1 == description.begin
    sampling = description.sampling
    assert (0.6, 0.9, 20, 1.1) == (sampling.temperature, sampling.top_p, sampling.top_k, sampling.repetition_penalty)


def test_greedy_generation_config_means_temperature_zero(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "generation_config.json").write_text(json.dumps({"do_sample": False, "temperature": 0.6}))
    assert 0 == describe(tmp_path).sampling.temperature


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("eos_token_id", [7, 32], "eos_token_id is 32, but the vocabulary (vocab_size) has 32 entries"),
        ("temperature", -0.5, "temperature is -0.5, less than 0"),
        ("top_p", 1.5, "top_p is 1.5, more than 1"),
        ("min_p", -1, "min_p is -1, less than 0"),
        ("repetition_penalty", 0, "repetition_penalty is 0, less than 0.001"),
    ],
)
def test_what_no_answer_can_be_made_with_is_refused_at_load_naming_the_file(
    tmp_path: Path, name: str, value: object, problem: str
) -> None:
    write(tmp_path)
    (tmp_path / "generation_config.json").write_text(json.dumps({name: value}))
    with pytest.raises(Invalid, match=re.escape(f"{tmp_path / 'generation_config.json'}: {problem}")):
        describe(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "generation_config.json"])
def test_a_pipe_in_a_files_place_is_refused_and_not_waited_for(tmp_path: Path, name: str) -> None:
    write(tmp_path)
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    with pytest.raises(Invalid, match=f"{name}: is not a regular file"):
        describe(tmp_path)


def test_a_device_in_a_part_of_a_gguf_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").symlink_to("/dev/zero")
    with pytest.raises(Invalid, match=r"m\.gguf: is not a regular file"):
        read_container(tmp_path / "m.gguf")


def test_a_qwen3_head_is_128_wide_unless_its_config_says_otherwise(tmp_path: Path) -> None:
    qwen = ["Qwen3ForCausalLM"]
    assert 128 == describe(write(tmp_path, architectures=qwen)).head_size
    assert 64 == describe(write(tmp_path, architectures=qwen, head_dim=64)).head_size
    assert 8 == describe(write(tmp_path)).head_size


def test_weight_bytes_count_scales_and_keep_tables_at_eight_bits(tmp_path: Path) -> None:
    description = describe(write(tmp_path))  # a table and a matrix ("half"), both 32 x 16
    assert 2 * 512 * 4 == description.weight_bytes("f32")
    assert 2 * (512 + 32 * 4) == description.weight_bytes("int8")
    assert (256 + 32 * 4) + (512 + 32 * 4) == description.weight_bytes("int4")
