"""Whatever a body of A1111's API holds, it is read or refused."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haiga.core.errors import HaigaError
from haiga.wire.body import read_shape
from haiga.wire.sdapi.options import Options, with_options
from haiga.wire.sdapi.read import read_img2img, read_txt2img
from haiga.wire.sdapi.shapes import (
    ControlUnit,
    ExtrasBatchBody,
    ExtrasSingleBody,
    ImageToImageBody,
    PngInfoBody,
    ProgressBody,
    TextToImageBody,
)

OPTIONS = Options(model="tiny")
plain = st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False) | st.text(max_size=8)
names = st.sampled_from(["image", "args", ""])
values = plain | st.lists(plain, max_size=2) | st.dictionaries(names, plain | st.lists(plain, max_size=1), max_size=2)
units = st.dictionaries(st.sampled_from(sorted(ControlUnit.model_fields)), values)
scripts = st.dictionaries(
    st.sampled_from(["ControlNet", "controlnet", "ADetailer"]),
    values | st.fixed_dictionaries({"args": st.lists(units | values, max_size=3) | values}),
)
options = st.dictionaries(
    st.sampled_from(["sd_model_checkpoint", "sd_vae", "CLIP_stop_at_last_layers", "samples_format", "jpeg_quality"]),
    values,
)


def bodies(shape: Any) -> st.SearchStrategy[dict[str, Any]]:
    named = st.dictionaries(st.sampled_from(sorted(shape.model_fields)), values, max_size=4)
    extra = st.fixed_dictionaries({}, optional={"alwayson_scripts": scripts, "override_settings": options})
    return st.builds(lambda one, other: one | other, named, extra)


def read_or_refused(read: Callable[[], Any]) -> None:
    try:
        assert read() is not None
    except HaigaError as error:
        assert error.message


@settings(max_examples=60)
@given(bodies(TextToImageBody))
def test_txt2img_is_read_or_refused(body: dict[str, Any]) -> None:
    read_or_refused(lambda: read_txt2img(body, OPTIONS, lambda: 1))


@settings(max_examples=60)
@given(bodies(ImageToImageBody))
def test_img2img_is_read_or_refused(body: dict[str, Any]) -> None:
    read_or_refused(lambda: read_img2img({"init_images": ["A"], **body}, OPTIONS, lambda: 1))


@pytest.mark.parametrize("shape", [ExtrasSingleBody, ExtrasBatchBody, PngInfoBody, ProgressBody])
def test_other_bodies_are_read_or_refused(shape: Any) -> None:
    @settings(max_examples=40)
    @given(bodies(shape))
    def check(body: dict[str, Any]) -> None:
        read_or_refused(lambda: read_shape(shape, body))

    check()


@settings(max_examples=60)
@given(options)
def test_options_are_read_or_refused(asked: dict[str, Any]) -> None:
    read_or_refused(lambda: with_options(OPTIONS, asked))
