"""GGUF files: blocks mean what the `gguf` package says, damage is one line that names it, mutants cost nothing."""

import resource
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from gguf.quants import dequantize as reference
from gguf.quants import quantize

from haiga.core.errors import HaigaError, Invalid
from haiga.models.description import describe
from haiga.models.gguf import GGUF, read_parts
from haiga.models.gguf.blocks import DECODERS, TYPES, decode
from haiga.models.llama import read_llama
from haiga.models.weights import dequantize
from haiga.text.gguf import gguf_template, gguf_tokenizer

VOCABULARY, HIDDEN = 16, 256
SYMMETRIC = ["Q8_0", "Q4_0", "Q5_0", "Q6_K", "MXFP4"]


def random_blocks(kind: str, rows: int = 8, blocks_in_row: int = 3) -> Any:
    """Random bytes as blocks, but for scales that are finite."""
    size = next(each.size for each in TYPES.values() if each.name == kind)
    blocks = np.random.default_rng(0).integers(0, 256, (rows, blocks_in_row, size), np.uint8)
    scales = {"Q6_K": (208,), "Q8_0": (0,), "Q4_0": (0,), "Q5_0": (0,), "MXFP4": ()}.get(kind, (0, 2))
    for at in scales:
        blocks[..., at + 1] &= 0xBB  # no exponent of all ones
    if kind == "MXFP4":
        blocks[..., 0] %= 255
    return blocks.reshape(rows, -1)


@pytest.mark.parametrize("kind", DECODERS)
def test_blocks_mean_what_the_gguf_package_says(kind: str) -> None:
    blocks = random_blocks(kind)
    expected, actual = reference(blocks, Type[kind]), dequantize(decode(kind, blocks), DECODERS[kind].form.kind)
    if kind in SYMMETRIC:
        np.testing.assert_array_equal(actual, expected)
    else:
        groups = expected.reshape(-1, 32)  # the minimum's rounding counts against the largest weight of its group
        assert 3e-7 > (abs(actual.reshape(-1, 32) - groups).max(1) / abs(groups).max(1)).max()


@pytest.mark.parametrize("kind", ["Q4_1", "Q5_1"])
def test_a_group_of_equal_weights_is_exact(kind: str) -> None:
    blocks = quantize(np.full((2, 64), 0.375, np.float32), Type[kind])
    np.testing.assert_array_equal(dequantize(decode(kind, blocks)), np.full((2, 64), 0.375))


def write(path: Path, kind: Type = Type.Q8_0, tokens: int = VOCABULARY, **fields: Any) -> Path:
    """A file with one layer's worth of metadata and two tensors."""
    writer = gguf.GGUFWriter(path, fields.pop("architecture", "llama"))
    hyper = {
        "context_length": 64,
        "embedding_length": HIDDEN,
        "block_count": 1,
        "feed_forward_length": 64,
        "attention.head_count": 4,
    }
    for key, value in {**hyper, **fields}.items():
        writer.add_uint32(f"llama.{key}", value) if isinstance(value, int) else writer.add_string(f"llama.{key}", value)
    writer.add_float32("llama.attention.layer_norm_rms_epsilon", 1e-5)
    writer.add_string("tokenizer.ggml.model", "llama")
    writer.add_array("tokenizer.ggml.tokens", ["<unk>", "<s>", "</s>", *(chr(97 + at) for at in range(tokens - 3))])
    writer.add_array("tokenizer.ggml.scores", [-float(at) for at in range(tokens)])
    writer.add_array("tokenizer.ggml.token_type", [2, 3, 3, *[1] * (tokens - 3)])
    writer.add_uint32("tokenizer.ggml.eos_token_id", 2)
    writer.add_string("tokenizer.chat_template", "{{ messages[0].content }}")
    values = np.random.default_rng(0).normal(size=(tokens, HIDDEN)).astype(np.float32)
    stored = random_blocks(kind.name, tokens, 1) if kind.name.endswith("_K") else quantize(values, kind)
    writer.add_tensor("token_embd.weight", stored, raw_dtype=kind)
    writer.add_tensor("blk.0.attn_norm.weight", np.ones(HIDDEN, np.float32))
    writer.add_tensor("blk.0.attn_q.weight", np.ones((HIDDEN, 1), np.float16))
    writer.add_tensor("output_norm.weight", np.ones(HIDDEN, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_the_metadata_is_the_model_s_description(tmp_path: Path) -> None:
    description = describe(write(tmp_path / "x.gguf"))
    assert ("LlamaForCausalLM", 1, 4, 64) == (
        description.architecture,
        description.layers,
        description.kv_heads,
        description.context,
    )
    assert ((2,), VOCABULARY, True) == (description.ends, description.vocabulary, description.quantized)
    assert VOCABULARY * HIDDEN * 9 // 8 + 4 * HIDDEN == description.weight_bytes("kept")


Damage = Callable[[bytes], bytes]


def patched(at: int, form: str, value: int) -> Damage:
    return lambda data: data[:at] + struct.pack(form, value) + data[at + struct.calcsize(form) :]


def after(name: str, form: str, value: int, skip: int = 0) -> Damage:
    """Overwrite what stands `skip` bytes behind a name."""
    return lambda data: patched(data.index(name.encode()) + len(name) + skip, form, value)(data)


DAMAGES: list[tuple[Damage, str]] = [
    (lambda data: b"", "cannot be read"),
    (lambda data: b"GGML" + data[4:], "no GGUF file"),
    (patched(4, "<I", 1), "GGUF version 1 is not supported"),
    (patched(4, ">I", 3), r"GGUF version \d+ \(big endian\) is not supported"),
    (patched(8, "<Q", 1 << 62), "the number of tensors claims"),
    (patched(16, "<Q", 1 << 40), "the number of metadata fields claims"),
    (patched(24, "<Q", 1 << 50), "the name of a metadata field claims"),
    (after("general.architecture", "<I", 99), r"general\.architecture is of an unknown type \(99\)"),
    (after("general.architecture", "<Q", 1 << 60, 4), r"general\.architecture claims"),
    (after("tokenizer.ggml.tokens", "<Q", 1 << 45, 8), r"tokenizer\.ggml\.tokens claims \d+ entries"),
    (after("tokenizer.ggml.tokens", "<Q", 1 << 45, 16), r"it ends within tokenizer\.ggml\.tokens"),
    (after("tokenizer.ggml.scores", "<I", 9, 4), r"tokenizer\.ggml\.scores is a list of an unknown type"),
    (after("token_embd.weight", "<I", 7), r"tensor token_embd\.weight has 7 dimensions"),
    (after("token_embd.weight", "<Q", 1 << 55, 12), r"tensor token_embd\.weight ends at byte"),
    (after("token_embd.weight", "<Q", 33, 4), r"tensor token_embd\.weight of shape \[16, 33\] cannot be Q8_0"),
    (after("token_embd.weight", "<I", 77, 20), r"tensor token_embd\.weight is of an unknown type \(77\)"),
    (after("token_embd.weight", "<Q", 1 << 63, 24), r"tensor token_embd\.weight ends at byte"),
    (lambda data: data[:-1], "ends at byte"),
    (lambda data: data[: len(data) // 3], "damaged or truncated"),
]


@pytest.mark.parametrize(("damage", "problem"), DAMAGES, ids=[problem[:40] for _, problem in DAMAGES])
def test_damage_is_one_line_that_names_it(tmp_path: Path, damage: Damage, problem: str) -> None:
    path = write(tmp_path / "x.gguf")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(Invalid, match=problem) as caught:
        GGUF(path)
    assert "x.gguf" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"architecture": "mamba"}, r"general\.architecture 'mamba' is not supported; supported: llama, "),
        ({"expert_count": 8}, "expert_used_count is missing"),
        ({"attention.value_length": 32}, r"attention\.value_length \(32\) is not the heads' size \(64\)"),
        ({"rope.scaling.type": "ntk"}, r"rope\.scaling\.type 'ntk' is not supported"),
        ({"block_count": "two"}, "block_count is 'two', not a whole number"),
        ({"block_count": 1 << 31}, r"block_count is 2147483648, but there is no tensor blk\.2147483647\.\*"),
        (
            {"attention.key_length": 1 << 31},
            "head_count is 4, of 2147483648 each, which blk.0.attn_q.weight is not for",
        ),
    ],
)
def test_what_is_not_supported_is_refused_by_name(tmp_path: Path, fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(Invalid, match=problem):
        GGUF(write(tmp_path / "x.gguf", **fields))


@pytest.mark.parametrize("bits", [0x7E00, 0x7C00])
@pytest.mark.parametrize(
    ("kind", "at"), [("Q8_0", 0), ("Q4_1", 0), ("Q4_1", 2), ("Q4_K", 0), ("Q4_K", 2), ("Q6_K", 208)]
)
def test_scales_that_are_not_finite_are_refused(tmp_path: Path, kind: str, at: int, bits: int) -> None:
    path = write(tmp_path / "x.gguf", Type[kind])
    begin = GGUF(path).entry("model.embed_tokens.weight").begin
    path.write_bytes(patched(begin + at, "<H", bits)(path.read_bytes()))
    with pytest.raises(Invalid, match=r"tensor model\.embed_tokens\.weight has scales that are not finite"):
        GGUF(path).read("model.embed_tokens.weight", (VOCABULARY, HIDDEN))


def test_a_type_without_a_decoder_is_refused_by_name(tmp_path: Path) -> None:
    path = write(tmp_path / "x.gguf", Type.Q4_1)  # as large as IQ4_NL and two bytes more
    path.write_bytes(after("token_embd.weight", "<I", 20, 20)(path.read_bytes()))
    with pytest.raises(Invalid, match=r"tensor \S+ is IQ4_NL, which is not supported; supported: F32, F16, "):
        describe(path)


def test_parts_that_do_not_belong_together_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "x-00001-of-00002.gguf")
    with pytest.raises(Invalid, match=r"x-00002-of-00002\.gguf: there is no such file"):
        GGUF(path)
    (tmp_path / "x-00002-of-00002.gguf").write_bytes(path.read_bytes())
    with pytest.raises(Invalid, match=r"split\.count is 1, but the file's name says 2"):
        GGUF(path)


def open_all(path: Path) -> None:
    """Everything that is read of a file before and while it is loaded."""
    describe(path)
    model = GGUF(path)
    for name in model:
        model.read(name, model.entry(name).shape)
    read_llama(model.config, model.config["architectures"][0], 0)
    metadata = read_parts(path).metadata
    gguf_tokenizer("x", metadata).encode("a b")
    gguf_template("x", metadata)


def test_mutants_are_refused_or_read_and_never_take_much_memory(tmp_path: Path) -> None:
    data = write(tmp_path / "x.gguf").read_bytes()
    header = data.index(b"output_norm.weight") + 64
    random, path = np.random.default_rng(0), tmp_path / "mutant.gguf"
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (512 << 20), hard))
    try:
        refused = sum(_survives(path, _mutant(data, header, random)) for _ in range(400))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    assert 100 < refused


def _mutant(data: bytes, header: int, random: np.random.Generator) -> bytes:
    if random.random() < 0.1:
        return data[: random.integers(len(data))]
    changed = bytearray(data)
    for at in random.integers(0, header, random.integers(1, 4)):
        changed[at] = random.choice([0, 1, 0x7F, 0x80, 0xFF, random.integers(256)])
    return bytes(changed)


def _survives(path: Path, data: bytes) -> bool:
    """Whether the mutant is refused; any other exception is a failure."""
    path.write_bytes(data)
    try:
        open_all(path)
    except HaigaError as error:
        assert "\n" not in str(error)
        return True
    return False
