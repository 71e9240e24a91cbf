"""What ControlNets are shown of pictures that we know."""

import numpy as np
from PIL import Image, ImageDraw

from haiga.engines.diffusers.preprocessors import canny, line, tile


def drawn() -> Image.Image:
    """A white square from 16 to 47 on black."""
    image = Image.new("RGB", (64, 64))
    ImageDraw.Draw(image).rectangle((16, 16, 47, 47), fill="white")
    return image


def test_edges_are_one_pixel_wide_closed_and_where_the_square_ends() -> None:
    edges = np.asarray(canny(drawn()).convert("L"))
    assert {0, 255} == set(np.unique(edges).tolist())
    assert [1, 1] == [int((edges[32] > 0)[half].sum()) for half in (slice(0, 32), slice(32, 64))]
    assert (16, 16, 48, 48) == canny(drawn()).getbbox()
    assert 0 == int((edges[20:44, 20:44] > 0).sum())


def test_a_weak_edge_is_one_where_it_goes_on_from_a_strong_one() -> None:
    ramp = np.zeros((32, 64), np.float32)
    ramp[16:] = np.linspace(20, 250, 64)  # an edge that is weaker the further left it is
    assert 40 < int((np.asarray(canny(Image.fromarray(ramp.astype(np.uint8))).convert("L")) > 0).any(0).sum())
    alone = Image.fromarray(np.where(np.arange(64) < 32, 0, 35).astype(np.uint8)[None].repeat(32, 0))
    assert canny(alone).getbbox() is None


def test_lines_are_what_is_darker_than_around_it() -> None:
    image = Image.new("L", (64, 64), 255)
    ImageDraw.Draw(image).line((32, 8, 32, 56), fill=0, width=2)
    lines = np.asarray(line(image).convert("L"))
    assert lines[32, 30:34].max() > 100 > lines[32, 5]


def test_a_tile_has_the_colours_and_not_the_detail() -> None:
    noisy = Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8))
    before, after = (np.asarray(each, np.float32) for each in (noisy, tile(noisy)))
    assert noisy.size == tile(noisy).size
    assert abs(float(before.mean() - after.mean())) < 2
    assert after.std() < before.std() / 2
