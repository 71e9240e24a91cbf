"""A model runs as it was decided, whatever runs its parts, and says so."""

import logging
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from haiga.core.errors import Invalid
from haiga.core.images import Painted
from haiga.engines.diffusers.devices import parameters
from haiga.engines.diffusers.fitting import Wanted
from haiga.engines.diffusers.loading import denoiser
from haiga.engines.diffusers.painter import Painter
from haiga.engines.diffusers.pixels import image_of
from haiga.engines.diffusers.setup import Setup
from tests.parity.painting.drawn import asked, difference
from tests.pipelines import made, saved


def painted(painter: Painter, **changes: Any) -> Painted:
    return next(iter(painter.paint(asked(**changes), 1)))


def test_a_model_is_measured_by_its_files(tmp_path: Path) -> None:
    pipeline = made("sdxl")
    parts = {name: part for name, part in pipeline.components.items() if isinstance(part, torch.nn.Module)}
    expected = {name: sum(weight.numel() for weight in part.parameters()) for name, part in parts.items()}
    assert expected == parameters(saved("sdxl", tmp_path))


def test_weights_kept_in_eight_bits_are_and_the_picture_is_nearly_the_same(tmp_path: Path) -> None:
    saved("flux", tmp_path)
    plain, small = (Painter.load(tmp_path, "x", Setup(wanted=Wanted(quantised=q))) for q in ("none", "layerwise"))
    first, second = (painted(each) for each in (plain, small))
    kinds = {weight.dtype for weight in denoiser(small._pipeline).parameters()}
    assert torch.float8_e4m3fn in kinds
    assert "cpu, float32, offload none, layerwise" == second.parameters["Memory"]
    one, other = (np.asarray(image_of(each.picture), np.float32).ravel() for each in (first, second))
    assert 0.95 < np.corrcoef(one, other)[0, 1] < 1


def as_gguf(directory: Path) -> None:
    """The denoiser in a GGUF file: matrices in 8 bits, all else as it is."""
    folder = directory / "transformer"
    writer = gguf.GGUFWriter(folder / "denoiser.gguf", "qwen_image")
    for file in folder.glob("*.safetensors"):
        for name, weight in load_file(file).items():
            small = weight.ndim == 2 and weight.shape[-1] % 32 == 0
            kind = gguf.GGMLQuantizationType.Q8_0 if small else gguf.GGMLQuantizationType.F32
            writer.add_tensor(name, gguf.quants.quantize(weight.numpy(), kind), raw_dtype=kind)
        file.unlink()
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_denoiser_in_gguf_stays_as_small_as_it_is_and_makes_nearly_the_same(tmp_path: Path) -> None:
    plain = painted(Painter.load(saved("qwen-image", tmp_path), "x", Setup()))
    as_gguf(tmp_path)
    painter = Painter.load(tmp_path, "x", Setup())
    made_by = painted(painter)
    weight = denoiser(painter._pipeline).transformer_blocks[0].attn.to_q.weight
    assert (torch.uint8, gguf.GGMLQuantizationType.Q8_0) == (weight.dtype, weight.quant_type)
    assert "cpu, float32, offload none, gguf" == made_by.parameters["Memory"]
    one, other = (np.asarray(image_of(each.picture), np.float32).ravel() for each in (plain, made_by))
    assert 0.99 < np.corrcoef(one, other)[0, 1]


def test_a_gguf_file_of_something_else_is_refused_by_name(tmp_path: Path) -> None:
    as_gguf(saved("qwen-image", tmp_path))
    config = tmp_path / "transformer" / "config.json"
    config.write_text(config.read_text().replace('"joint_attention_dim": 16', '"joint_attention_dim": 24'))
    with pytest.raises(Invalid, match=r"denoiser\.gguf does not fit this model"):
        Painter.load(tmp_path, "x", Setup())


@pytest.mark.filterwarnings("error:.*torch_dtype:FutureWarning")
def test_other_numbers_and_tiles_are_what_was_asked_for(tmp_path: Path) -> None:
    painter = Painter.load(saved("sd15", tmp_path), "x", Setup(wanted=Wanted(dtype="bfloat16", tiling="on")))
    assert {torch.bfloat16} == {weight.dtype for weight in denoiser(painter._pipeline).parameters()}
    assert painter._pipeline.vae.use_tiling
    assert "cpu, bfloat16, offload none, tiled decoding" == painted(painter).parameters["Memory"]


def test_openvino_makes_the_same_pictures_and_torch_what_no_export_has(tmp_path: Path) -> None:
    plain = Painter.load(saved("sd15", tmp_path), "x", Setup())
    swapped = Painter.load(tmp_path, "x", Setup(denoiser="openvino", decoder="openvino"))
    for changes in ({}, {"negative": "(dog:1.5)"}, {"tiling": True}):
        first, second = (painted(each, **changes) for each in (plain, swapped))
        assert difference(image_of(first.picture), image_of(second.picture)) <= 1
        assert "denoiser openvino, decoder openvino" == second.parameters["Backend"]
    assert first.picture == second.picture  # a tiling one: no export has its convolutions


def test_a_transformer_runs_in_openvino_too(tmp_path: Path) -> None:
    plain = Painter.load(saved("flux", tmp_path), "x", Setup())
    swapped = Painter.load(tmp_path, "x", Setup(denoiser="openvino"))
    first, second = (painted(each) for each in (plain, swapped))
    assert difference(image_of(first.picture), image_of(second.picture)) <= 1
    assert "denoiser openvino" == second.parameters["Backend"]


def test_a_backend_that_is_not_there_falls_back_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain = Painter.load(saved("sd15", tmp_path), "x", Setup())
    swapped = Painter.load(tmp_path, "x", Setup(denoiser="onnx"))
    with caplog.at_level(logging.WARNING, logger="haiga"):
        made_by = painted(swapped)
    assert painted(plain).picture == made_by.picture
    assert made_by.parameters["Backend"].startswith("denoiser torch (onnx: ")
    assert "onnx is not used" in caplog.text
