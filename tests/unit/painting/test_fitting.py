"""How a model is run, for machines that we name: a table of facts and what follows from them."""

from dataclasses import replace
from typing import Any

import pytest

from haiga.core.errors import HaigaError, Invalid, Unsupported
from haiga.engines.diffusers.fitting import Decision, Facts, Wanted, decide

GIB = 1 << 30
BILLION = 1_000_000_000
SD15 = {"unet": 860_000_000, "text_encoder": 123_000_000, "vae": 84_000_000}
SDXL = {"unet": 2_570_000_000, "text_encoder": 123_000_000, "text_encoder_2": 695_000_000, "vae": 84_000_000}
FLUX = {"transformer": 12 * BILLION, "text_encoder": 123_000_000, "text_encoder_2": 4_760_000_000, "vae": 84_000_000}


def facts(parts: dict[str, int], ram: float = 64, **free: float) -> Facts:
    """On a machine with so many GiB free."""
    devices: Any = {device: int(each * GIB) for device, each in free.items()}
    denoiser = "unet" if "unet" in parts else "transformer"
    return Facts(devices, int(ram * GIB), parts, denoiser, frozenset({"cuda", "rocm"}), frozenset({"flash_attn"}))


def told(given: Facts, **wanted: str) -> tuple[str, str, str, bool, str]:
    made = decide(given, Wanted(**wanted))
    return made.device, made.dtype, made.offload, made.tiling, made.quantised


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (facts(SDXL, cuda=24), ("cuda", "bfloat16", "none", False, "none")),
        (facts(SDXL, cuda=8), ("cuda", "bfloat16", "model", False, "none")),
        (facts(SDXL, cuda=4), ("cuda", "bfloat16", "group", False, "none")),
        (facts(SDXL, cuda=3), ("cuda", "bfloat16", "sequential", True, "none")),
        (facts(SD15, cuda=4), ("cuda", "bfloat16", "none", True, "none")),
        (facts(FLUX, cuda=80), ("cuda", "bfloat16", "none", False, "none")),
        (facts(FLUX, cuda=28), ("cuda", "bfloat16", "model", False, "none")),
        (facts(FLUX, cuda=16), ("cuda", "bfloat16", "group", False, "none")),
        (facts(FLUX, cuda=16, ram=16), ("cuda", "bfloat16", "sequential", False, "none")),
        (facts(SDXL, rocm=24), ("rocm", "bfloat16", "none", False, "none")),
        (facts(SDXL, xpu=24), ("xpu", "float16", "none", False, "none")),
        (facts(SDXL, mps=24), ("mps", "float16", "none", False, "none")),
        (facts(SDXL, ram=24), ("cpu", "float32", "none", False, "none")),
        (facts(SDXL, ram=10), ("cpu", "bfloat16", "none", True, "none")),
        (facts(SDXL, ram=6), ("cpu", "bfloat16", "none", True, "layerwise")),
    ],
)
def test_what_is_free_decides(given: Facts, expected: tuple[str, str, str, bool, str]) -> None:
    assert expected == told(given)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"device": "cpu"}, ("cpu", "float32", "none", False, "none")),
        ({"dtype": "float16"}, ("cuda", "float16", "none", False, "none")),
        ({"offload": "sequential"}, ("cuda", "bfloat16", "sequential", False, "none")),
        ({"tiling": "on", "quantised": "layerwise"}, ("cuda", "bfloat16", "none", True, "layerwise")),
    ],
)
def test_what_is_set_is_done(wanted: dict[str, str], expected: tuple[str, str, str, bool, str]) -> None:
    assert expected == told(facts(SDXL, cuda=24), **wanted)


@pytest.mark.parametrize(
    ("wanted", "error", "why"),
    [
        ({"device": "xpu"}, Unsupported, "no xpu here, but cuda, cpu"),
        ({"dtype": "int3"}, Invalid, "float32"),
        ({"quantised": "int8"}, Unsupported, "torchao"),
        ({"quantised": "nf4"}, Unsupported, "bitsandbytes"),
        ({"attention": "sage"}, Unsupported, "sageattention"),
        ({"device": "cpu", "attention": "flash"}, Unsupported, "not for cpu"),
        ({"device": "cpu", "offload": "model"}, Unsupported, "nowhere"),
    ],
)
def test_what_cannot_be_is_refused_by_name(wanted: dict[str, str], error: type[HaigaError], why: str) -> None:
    with pytest.raises(error, match=why):
        decide(facts(SDXL, cuda=24), Wanted(**wanted))


def test_batches_are_decoded_one_by_one_where_weights_move_or_it_is_set() -> None:
    sizes_and_values = ((24, "auto"), (8, "auto"), (24, "on"), (8, "off"))
    decided = [decide(facts(SDXL, cuda=size), Wanted(slicing=value)).slicing for size, value in sizes_and_values]
    assert [False, True, True, False] == decided


def test_a_denoiser_in_gguf_counts_as_its_file_and_is_not_quantised_again() -> None:
    given = replace(facts(FLUX, cuda=20), gguf=6 << 30, packages=frozenset({"gguf"}))
    made = decide(given, Wanted())
    assert ("gguf", "none") == (made.quantised, made.offload)
    with pytest.raises(Unsupported, match="cannot be layerwise"):
        decide(given, Wanted(quantised="layerwise"))
    with pytest.raises(Unsupported, match="package gguf"):
        decide(replace(given, packages=frozenset()), Wanted())


def test_quantised_weights_are_counted_as_they_are() -> None:
    assert "model" == decide(facts(FLUX, cuda=20), Wanted(quantised="layerwise")).offload
    assert "group" == decide(facts(FLUX, cuda=20), Wanted()).offload


def test_a_decision_says_why_with_numbers_and_what_without() -> None:
    made: Decision = decide(facts(SDXL, cuda=8), Wanted())
    assert ("its largest part fits: 6.2 GiB for weights, 6.5 GiB of them, 4.8 GiB in it",) == made.reasons
    assert "cuda, bfloat16, offload model, sliced decoding" == made.told
