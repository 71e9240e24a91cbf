"""Sizes and places as the reference computes them, rounding included."""

from pathlib import Path

import pytest
import torch

from haiga.core.errors import Invalid
from haiga.models.fields import Fields
from haiga.models.vision.idefics import _places
from haiga.models.vision.llama4 import canvases
from haiga.models.vision.qwen import read_qwen, read_sizes
from haiga.models.vision.registry import read_processor


@pytest.mark.parametrize(("count", "side"), [(26, 26), (27, 27), (32, 32), (4, 8), (16, 32), (32, 16), (8, 4)])
def test_rows_of_the_table_of_places_are_those_of_transformers(count: int, side: int) -> None:
    parts = torch.arange(count, dtype=torch.float32) * (1.0 / torch.tensor(count))
    borders = torch.arange(1 / side, 1.0, 1 / side)
    expected = torch.bucketize(torch.clamp(parts, max=1.0 - 1e-6), borders, right=True)
    assert expected.tolist() == _places(count, side).tolist()


def test_a_canvas_is_every_way_to_lay_squares() -> None:
    assert {(1, 1), (1, 2), (2, 1), (1, 3), (3, 1), (1, 4), (2, 2), (4, 1)} == set(canvases(4))


VISION = {"hidden_size": 64, "num_heads": 4, "intermediate_size": 64, "depth": 1, "out_hidden_size": 64}
SIZES = read_sizes(Fields("config.json", {"vision_config": VISION}), "silu", 14)


def test_a_picture_two_hundred_times_as_long_as_wide_is_refused() -> None:
    sight = read_qwen(SIZES, Fields("preprocessor_config.json", {}))
    with pytest.raises(Invalid, match="at most 200 times as long"):
        sight.spelling(2010, 10)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"image_std": [0, 1, 1]}, "image_std"),
        ({"image_mean": ["a", 1, 1]}, "image_mean"),
        ({"resample": 77}, "resample is 77"),
        ({"min_pixels": 100, "max_pixels": 10}, "min_pixels"),
    ],
)
def test_a_damaged_processor_is_one_line_that_names_the_field(fields: dict[str, object], problem: str) -> None:
    with pytest.raises(Invalid, match=problem):
        read_qwen(SIZES, Fields("preprocessor_config.json", fields))


def test_both_homes_of_a_processor_are_known(tmp_path: Path) -> None:
    directory = tmp_path
    assert read_processor(directory) is None
    (directory / "preprocessor_config.json").write_text('{"size": 1}')
    old = read_processor(directory)
    (directory / "processor_config.json").write_text('{"image_processor": {"size": 2}}')
    new = read_processor(directory)
    assert old and new and (1, 2) == (old["size"], new["size"])
