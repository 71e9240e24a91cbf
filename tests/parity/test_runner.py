"""What the runner promises beyond agreement with transformers: exactness, tolerances, sources of weights."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
import torch
from safetensors.numpy import load_file, save_file

from haiga.core.errors import Invalid
from haiga.core.ports import Row
from haiga.engines.native.runner import OpenVINORunner
from haiga.models.description import describe
from haiga.models.load import Loaded, Settings, cache_file, prepare
from haiga.models.registry import build
from haiga.models.weights import Checkpoint, Heap, Packing, Weights, dequantize, pack_int4, pack_int8
from tests.checkpoints import VOCABULARY, load_reference, make_checkpoint, random_tokens, reference_logits

TABLE = list(range(6))
TOKENS = random_tokens(180)
Array = np.ndarray[Any, np.dtype[np.float32]]


def run(runner: OpenVINORunner, chunks: Sequence[int], others: int = 0) -> Array:
    """Logits of the last position of every chunk of TOKENS, `others` sequences of other lengths in every step."""
    past, logits = 0, []
    for count in chunks:
        rows = [
            Row(random_tokens(7 + 13 * at, at), 0, list(range(10 * at + 10, 10 * at + 20)), 1) for at in range(others)
        ]
        rows.insert(others // 2, Row(TOKENS[past : past + count], past, TABLE, 1))
        logits.append(runner.step(rows)[others // 2].copy())
        past += count
    return np.stack(logits)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("plain"), hidden_size=128, intermediate_size=384, head_dim=64)


@pytest.fixture(scope="module")
def expected(plain: Path) -> Array:
    return reference_logits(load_reference(plain), TOKENS)


Load = Callable[..., OpenVINORunner]


@pytest.fixture
def load() -> Iterator[Load]:
    """OpenVINORunner.load, closing what it loaded."""
    loaded: list[OpenVINORunner] = []

    def load(*args: Any, **more: Any) -> OpenVINORunner:
        loaded.append(OpenVINORunner.load(*args, **{"blocks": 80, **more}))
        return loaded[-1]

    yield load
    for runner in loaded:
        runner.close()


@pytest.mark.parametrize("threads", [1, 2])
def test_f32_logits_are_bit_identical_whatever_else_runs(plain: Path, load: Load, threads: int) -> None:
    runner = load(plain, "f32", "f32", threads=threads)
    decode = [1] * 10
    alone = run(runner, [170, *decode])[1:]
    for chunks, others in (([170], 1), ([170], 5), ([100, 1, 69], 0), ([33, 137], 3), ([1] * 170, 2)):
        np.testing.assert_array_equal(run(runner, [*chunks, *decode], others)[-10:], alone)


def test_recomputing_generated_tokens_as_prefill_is_bit_identical(plain: Path, load: Load) -> None:
    runner = load(plain, "f32", "f32")
    np.testing.assert_array_equal(run(runner, [180])[0], run(runner, [100, *[1] * 80])[-1])


@pytest.mark.parametrize(("cache", "tolerance"), [("f32", 2e-4), ("u8", 0.35)])
def test_greedy_tokens_and_logits_stay_within_the_tolerance_of_the_cache(
    plain: Path, expected: Array, load: Load, cache: Any, tolerance: float
) -> None:
    logits = run(load(plain, "f32", cache), [90, *[1] * 90])
    assert tolerance > abs(logits - expected[89:]).max() / expected.std()
    assert 0.9 <= (logits.argmax(1) == expected[89:].argmax(1)).mean()


def test_bf16_weights_stay_close(plain: Path, expected: Array, load: Load) -> None:
    logits = run(load(plain, "bf16", "u8"), [90, *[1] * 90])
    assert 0.1 > (logits - expected[89:]).std() / expected.std()


def quantized_reference(directory: Path, weights: Packing) -> Any:
    """transformers on the weights that the graph multiplies with: int8 tables, and matrices as packed."""
    model = load_reference(directory)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2:
                coarse = weights == "int4" and "embed_tokens" not in name and "lm_head" not in name
                packed = (pack_int4 if coarse else pack_int8)(parameter.numpy())
                parameter.copy_(torch.from_numpy(dequantize(packed)))
    return model


# rows of 256 and 384 (groups of 128), of 96 (groups of 32) and of 100 (no group but the row)
@pytest.mark.parametrize("inner", [384, 96, 100])
@pytest.mark.parametrize("weights", ["int8", "int4"])
def test_packed_weights_multiply_like_their_dequantised_selves(tmp_path: Path, weights: Packing, inner: int) -> None:
    directory = make_checkpoint(tmp_path, hidden_size=256, intermediate_size=inner)
    source = Weights(Checkpoint(directory), weights, Heap())
    exact = {"KV_CACHE_PRECISION": "f32", "INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}
    runner = OpenVINORunner(Loaded(ov.Core().compile_model(build(source, 0), "CPU", exact), source), 8, exact=False)
    expected = reference_logits(quantized_reference(directory, weights), TOKENS)
    np.testing.assert_allclose(run(runner, [170, *[1] * 10]), expected[169:], atol=1e-3)


@pytest.mark.parametrize("inner", [384, 96, 100])
@pytest.mark.parametrize("weights", ["int8", "int4"])
def test_rounding_activations_costs_no_more_than_int8_weights_do(
    tmp_path: Path, weights: Packing, inner: int, load: Load
) -> None:
    directory = make_checkpoint(tmp_path, hidden_size=256, intermediate_size=inner)
    exact = reference_logits(load_reference(directory), TOKENS)[89:]
    packed = reference_logits(quantized_reference(directory, weights), TOKENS)[89:]
    eight = reference_logits(quantized_reference(directory, "int8"), TOKENS)[89:]
    logits = run(load(directory, weights, "f32"), [90, *[1] * 90])
    assert 1.5 * (eight - exact).std() > (logits - packed).std()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("shard_size", ["1GB", "100KB"])
def test_every_file_type_in_one_shard_or_many(tmp_path: Path, dtype: torch.dtype, shard_size: str, load: Load) -> None:
    directory = make_checkpoint(tmp_path, dtype=dtype, shard_size=shard_size)
    assert (shard_size == "1GB") == (len(list(directory.glob("*.safetensors"))) == 1)
    expected = reference_logits(load_reference(directory), TOKENS)
    np.testing.assert_allclose(run(load(directory, "f32", "f32"), [180])[0], expected[-1], atol=1e-4)


@pytest.mark.parametrize(
    "rename",
    [
        lambda name: name.removeprefix("model."),
        lambda name: "language_model." + name,
        lambda name: "output.weight" if name == "lm_head.weight" else name,
        lambda name: "model.language_model." + name.removeprefix("model.") if name != "lm_head.weight" else name,
    ],
    ids=["no prefix", "language_model", "output.weight", "model.language_model"],
)
def test_names_that_checkpoints_really_use(
    plain: Path, expected: Array, tmp_path: Path, rename: Callable[[str], str], load: Load
) -> None:
    (tmp_path / "config.json").write_bytes((plain / "config.json").read_bytes())
    tensors = load_file(plain / "model.safetensors")
    save_file({rename(name): tensors[name] for name in tensors}, tmp_path / "model.safetensors")
    np.testing.assert_allclose(run(load(tmp_path, "f32", "f32"), [180])[0], expected[-1], atol=1e-4)


@pytest.mark.parametrize("weights", ["f32", "bf16", "int8", "int4"])
def test_weights_from_the_cache_give_the_same_bits(plain: Path, tmp_path: Path, weights: Packing, load: Load) -> None:
    fresh = run(load(plain, weights), [180])
    packing = run(load(plain, weights, cache_dir=tmp_path), [180])
    cached = run(load(plain, weights, cache_dir=tmp_path), [180])
    np.testing.assert_array_equal(packing, fresh)
    np.testing.assert_array_equal(cached, fresh)


def test_preparing_packs_once_and_reports_every_weight(plain: Path, tmp_path: Path) -> None:
    packed: list[int] = []
    prepare(plain, Settings("int4"), tmp_path, packed.append)
    matrices = [entry.shape for entry in map(Checkpoint(plain).entry, Checkpoint(plain)) if len(entry.shape) == 2]
    assert sum(outer * inner for outer, inner in matrices) == sum(packed)
    assert [cache_file(plain, "int4", tmp_path)] == list(tmp_path.iterdir())
    packed.clear()
    prepare(plain, Settings("int4"), tmp_path, packed.append)
    assert [] == packed


def test_a_failed_packing_leaves_nothing_behind(tmp_path: Path) -> None:
    directory = make_checkpoint(tmp_path / "model")
    tensors = load_file(directory / "model.safetensors")
    tensors["lm_head.weight"][5, 5] = np.nan
    save_file(tensors, directory / "model.safetensors")
    with pytest.raises(Invalid, match=r"tensor lm_head\.weight holds numbers that are not finite"):
        OpenVINORunner.load(directory, "int4", cache_dir=tmp_path / "cache")
    assert [] == list((tmp_path / "cache").iterdir())


@pytest.mark.parametrize(
    ("weights", "cache"), [("f32", "f32"), ("f32", "u8"), ("bf16", "u8"), ("f32", "u4"), ("bf16", "u4")]
)
def test_the_pool_takes_the_bytes_that_the_description_says(
    plain: Path, weights: Packing, cache: Any, load: Load
) -> None:
    compiled = load(plain, weights, cache)._loaded.compiled
    caches = [port for port in compiled.inputs if "_cache." in port.get_any_name()]
    bits = [
        port.get_element_type().bitwidth * np.prod([d.get_length() for d in list(port.partial_shape)[1:]])
        for port in caches
    ]
    assert sum(bits) == 8 * 32 * describe(plain).kv_bytes(cache)


@pytest.mark.parametrize(("weights", "precision"), [("int4", "i4"), ("int8", "i8"), ("f32", "f32")])
def test_the_plugin_runs_its_fused_kernels(tmp_path: Path, weights: Packing, precision: str, load: Load) -> None:
    """Two layers of seven products, two rotations and two norms, and the last norm and the head (never below i8)."""
    graph = load(make_checkpoint(tmp_path), weights)._loaded.compiled.get_runtime_model()
    infos = [node.get_rt_info() for node in graph.get_ops()]
    kinds = Counter(info["layerType"].astype(str) for info in infos)
    products = Counter(
        info["runtimePrecision"].astype(str) for info in infos if info["layerType"].astype(str) == "FullyConnected"
    )
    assert {"RMS": 5, "RoPE": 4, "PagedAttention": 2} == {
        kind: kinds[kind] for kind in ("RMS", "RoPE", "PagedAttention")
    }
    assert Counter([precision] * 14 + ["i8" if precision == "i4" else precision]) == products


def test_no_logits_are_computed_where_none_are_wanted(plain: Path, load: Load) -> None:
    for exact in (True, False):
        runner = load(plain, "f32", "f32", exact=exact)
        assert (0, VOCABULARY) == runner.step([Row(TOKENS[:40], 0, TABLE, 0)]).shape


def test_a_cache_type_that_the_arithmetic_cannot_use_is_refused(plain: Path) -> None:
    with pytest.raises(Invalid, match="cache: 'bf16' does not go with f32 arithmetic"):
        OpenVINORunner.load(plain, "f32", "bf16")
