"""A model that paints in its own size alone: pictures of other sizes are made of such."""

from typing import Any

from PIL import Image, ImageOps

from haiga.core.images import ImageRequest, Inpaint
from haiga.engines.diffusers.painter import Painter
from haiga.engines.diffusers.pixels import image_of, picture_of
from haiga.engines.diffusers.setup import Setup
from tests.parity.painting.drawn import SIDE, Pipelines, box_mask, difference, painted, scene


def sized(pipeline: Any, **asked: Any) -> tuple[Image.Image, dict[str, str]]:
    """The picture and what it says of its size."""
    painter = Painter(pipeline, "tiny", setup=Setup(own_size=True))
    (made,) = painter.paint(ImageRequest("tiny", "a cat", steps=3, **asked), 1)
    said = {name: made.parameters[name] for name in ("Size", "Painted in") if name in made.parameters}
    return image_of(made.picture), said


def test_a_picture_in_its_own_size_is_as_ever(pipelines: Pipelines) -> None:
    made, said = sized(pipelines("sd15"))
    assert {"Size": f"{SIDE}x{SIDE}"} == said
    assert 0 == difference(painted(pipelines("sd15")), made)


def test_a_larger_picture_is_one_of_its_own_size_enlarged(pipelines: Pipelines) -> None:
    made, said = sized(pipelines("sd15"), width=256, height=256)
    assert {"Size": "256x256", "Painted in": f"{SIDE}x{SIDE}"} == said
    assert 0 == difference(painted(pipelines("sd15")).resize((256, 256), Image.Resampling.LANCZOS), made)


def test_a_picture_made_from_another_is_as_large_as_that(pipelines: Pipelines) -> None:
    wide = picture_of(image_of(scene(128)).resize((128, 96)))
    small = picture_of(image_of(wide).resize((SIDE, SIDE), Image.Resampling.LANCZOS))
    made, _ = sized(pipelines("sd15"), source=wide, strength=0.5)
    expected = painted(pipelines("sd15"), source=small, strength=0.5)
    assert 0 == difference(expected.resize((128, 96), Image.Resampling.LANCZOS), made)


def test_a_wide_picture_is_cut_from_a_square_one(pipelines: Pipelines) -> None:
    made, _ = sized(pipelines("sd15"), width=192, height=128)
    square = painted(pipelines("sd15"))
    assert 0 == difference(ImageOps.fit(square, (192, 128), Image.Resampling.LANCZOS), made)


def test_outside_of_a_mask_a_larger_picture_stays_as_it_was(pipelines: Pipelines) -> None:
    source, mask = scene(128), box_mask(128)
    made, _ = sized(pipelines("sd15"), source=source, inpaint=Inpaint(mask, blur=0))
    kept = ImageOps.invert(image_of(mask).convert("L"))
    before, black = image_of(source), Image.new("RGB", (128, 128))
    assert 0 == difference(Image.composite(before, black, kept), Image.composite(made, black, kept))
    assert 0 < difference(before, made)
