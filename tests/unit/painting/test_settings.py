"""What is set for models that make pictures reaches them."""

from pathlib import Path

import pytest

from haiga.cli.painters import setup_of
from haiga.config import read_settings
from haiga.core.errors import Invalid
from haiga.engines.diffusers.fitting import Wanted
from haiga.engines.diffusers.setup import Setup

WANTED = {
    "device": "cpu",
    "dtype": "bfloat16",
    "offload": "none",
    "tiling": "on",
    "slicing": "off",
    "attention": "flex",
    "quantised": "layerwise",
}


def test_nothing_set_leaves_all_open() -> None:
    assert Setup(Path("shelf")) == setup_of(read_settings({"image_shelf": "shelf"}, {}))


def test_each_choice_reaches_the_setup() -> None:
    flags = {f"image_{name}": value for name, value in WANTED.items()}
    others = {"image_shelf": "shelf", "image_denoiser": "compile", "image_decoder": "onnx", "image_pickles": "yes"}
    expected = Setup(Path("shelf"), True, Wanted(**WANTED), "compile", "onnx")
    assert expected == setup_of(read_settings({**flags, **others}, {}))


def test_a_choice_that_there_is_not_is_refused_by_its_flag() -> None:
    with pytest.raises(Invalid, match="expected one of torch, compile, openvino, onnx") as refused:
        read_settings({"image_denoiser": "tvm"}, {})
    assert "--image-denoiser" == refused.value.field
