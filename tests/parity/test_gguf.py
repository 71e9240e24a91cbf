"""GGUF files: logits agree with transformers on the weights that the `gguf` package reads out of the same file.

Every type of block, every architecture, split files, and what packing them anew costs.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from gguf import GGMLQuantizationType as Type

from haiga.core.ports import Row
from haiga.engines.native.runner import OpenVINORunner
from haiga.models.description import describe
from haiga.models.gguf import GGUF
from haiga.models.load import Loaded, Settings, cache_file, prepare
from haiga.models.registry import build, read_decoder
from haiga.models.weights import Heap, Packing, Weights
from tests.checkpoints import load_reference, make_checkpoint, random_tokens, reference_logits
from tests.gguf_files import write_gguf

TOKENS = random_tokens(100)
TABLE = list(range(4))
TYPES = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K"]
EXACT = {"KV_CACHE_PRECISION": "f32", "INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}
WIDE = {"hidden_size": 256, "intermediate_size": 512}


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("wide"), **WIDE)


def exact_logits(path: Path, packing: Packing = "kept") -> Any:
    """Logits of every position, activations and cache in f32."""
    weights = Weights(GGUF(path), packing, Heap())
    horizon = read_decoder(weights.checkpoint.config, 0).horizon
    compiled = ov.Core().compile_model(build(weights, 0), "CPU", EXACT)
    runner = OpenVINORunner(Loaded(compiled, weights, horizon), 4, exact=False)
    return runner.step([Row(TOKENS, 0, TABLE, len(TOKENS))]).copy()


@pytest.mark.parametrize("kind", TYPES)
def test_every_type_is_kept_as_the_file_has_it(tmp_path: Path, wide: Path, kind: str) -> None:
    model = load_reference(wide)
    (path,) = write_gguf(tmp_path / "model.gguf", model, Type[kind])
    expected = reference_logits(model, TOKENS)
    np.testing.assert_allclose(exact_logits(path), expected, atol=2e-4 * expected.std(), rtol=2e-5)


def rope(kind: str, **more: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 10000.0, **more}}


def llama3_factors(size: int, factor: float, low: float, high: float, original: int) -> Any:
    """What llama.cpp's converter writes for Llama 3's scaling."""
    plain = 10000.0 ** -(np.arange(0, size, 2) / size)
    turns = original * plain / (2 * np.pi)
    share = np.clip((turns - low) / (high - low), 0, 1)
    return 1 / ((1 - share) / factor + share)


LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
YARN = {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0, "rope.scaling.original_context_length": 32}
CASES: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    "llama, tied": ("llama", "llama", {"tie_word_embeddings": True}, {}),
    "llama, biases": ("llama", "llama", {"attention_bias": True, "mlp_bias": True}, {}),
    "llama 3": ("llama", "llama", {**rope("llama3", **LLAMA3)}, {}),
    "llama, linear": (
        "llama",
        "llama",
        rope("linear", factor=4.0),
        {"rope.scaling.type": "linear", "rope.scaling.factor": 4.0},
    ),
    "llama, yarn": ("llama", "llama", rope("yarn", factor=4.0, original_max_position_embeddings=32), YARN),
    "mistral under llama's name": ("mistral", "llama", {"sliding_window": 40}, {"attention.sliding_window": 40}),
    "mistral": ("mistral", "mistral", {"sliding_window": None, "head_dim": 32}, {}),
    "qwen 2": ("qwen2", "qwen2", {}, {}),
    "qwen 3": ("qwen3", "qwen3", {"head_dim": 32}, {}),
    "smollm 3": ("smollm3", "smollm3", {"num_hidden_layers": 4}, {}),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_every_architecture_agrees_with_transformers(tmp_path: Path, case: Any) -> None:
    kind, architecture, config, metadata = case
    model = load_reference(make_checkpoint(tmp_path / "checkpoint", kind, **config))
    factors = llama3_factors(16, 8.0, 1.0, 4.0, 64) if "llama3" in str(config) else None
    fields = {f"{architecture}.{name}": value for name, value in metadata.items()}
    (path,) = write_gguf(tmp_path / "model.gguf", model, Type.Q8_0, architecture, fields, factors)
    np.testing.assert_allclose(exact_logits(path), reference_logits(model, TOKENS), atol=1e-4)


def test_a_split_model_is_one_whatever_part_is_named(tmp_path: Path, wide: Path) -> None:
    model = load_reference(wide)
    parts = write_gguf(tmp_path / "model.gguf", model, Type.Q4_0, split=6)
    assert 4 == len(parts)
    expected = reference_logits(model, TOKENS)
    for path in (parts[0], parts[-1]):
        np.testing.assert_allclose(exact_logits(path), expected, atol=1e-4)


@pytest.fixture
def runner(tmp_path: Path, wide: Path) -> Iterator[OpenVINORunner]:
    (path,) = write_gguf(tmp_path / "model.gguf", load_reference(wide), Type.Q4_K)
    prepare(path, Settings("kept"), tmp_path / "cache", lambda _: None)
    assert cache_file(path, "kept", tmp_path / "cache").is_file()
    loaded = OpenVINORunner.load(path, "kept", "u8", blocks=4, cache_dir=tmp_path / "cache")
    yield loaded
    loaded.close()


def test_packed_once_and_run_as_a_server_does_it(tmp_path: Path, wide: Path, runner: OpenVINORunner) -> None:
    model = load_reference(wide)
    write_gguf(tmp_path / "again.gguf", model, Type.Q4_K)
    expected = reference_logits(model, TOKENS)
    logits = runner.step([Row(TOKENS, 0, TABLE, len(TOKENS))])
    assert 0.35 > abs(logits - expected).max() / expected.std()


@pytest.mark.parametrize(("packing", "tolerance"), [("f32", 1e-4), ("bf16", 0.1), ("int8", 0.1), ("int4", 0.7)])
def test_other_weights_are_packed_from_what_the_file_means(
    tmp_path: Path, wide: Path, packing: Packing, tolerance: float
) -> None:
    model = load_reference(wide)
    (path,) = write_gguf(tmp_path / "model.gguf", model, Type.Q8_0)
    expected = reference_logits(model, TOKENS)
    assert tolerance > (exact_logits(path, packing) - expected).std() / expected.std()


def test_memory_is_counted_as_the_weights_are_kept(tmp_path: Path, wide: Path) -> None:
    model = load_reference(wide)
    (path,) = write_gguf(tmp_path / "model.gguf", model, Type.Q4_0)
    description = describe(path)
    assert description.parameters * 5 // 8 == description.weight_bytes("kept")
