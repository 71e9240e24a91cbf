"""What a tower is fed equals what the reference processors give, over odd sizes and every mode of picture.

The files are decoded by the server's own decoder; the reference gets Pillow's picture as it was opened.
"""

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from haiga.core.pictures import Picture
from haiga.models.vision.pixels import patches
from haiga.models.vision.registry import read_sight
from haiga.models.vision.sight import Sight
from haiga.services.decoding.pictures import open_picture, read_picture
from tests.pictured import FAMILIES, as_image, load_processor, make_pictured, random_picture

SIZES = [(1, 1), (3, 200), (28, 28), (29, 27), (57, 111), (140, 33), (200, 3), (211, 97)]
MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"]


@pytest.fixture(scope="module", params=FAMILIES)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Sight, Any]:
    directory = make_pictured(tmp_path_factory.mktemp("model"), request.param)
    sight = read_sight(directory)
    assert sight is not None
    return sight, load_processor(directory, request.param)


def decode(data: bytes) -> Image.Image:
    """The picture as the server takes it in, in its own size."""
    wish = {"side": 8000, "why": "", "edge": 8000, "patches": 10**6, "exact": False}
    return read_picture(open_picture(data, wish), wish)


def reference_patches(processor: Any, image: Image.Image, size: int) -> NDArray[np.float32]:
    """The reference's pixels of all views, one after another, as patches."""
    if hasattr(processor, "tiles"):
        values = processor.tiles(image)[0].float().numpy()
    else:
        values = np.asarray(processor.image_processor([image], return_tensors="np")["pixel_values"])
    if values.ndim == 2:  # Qwen's are patches already, every one of two frames
        frames: NDArray[np.float32] = values.reshape(len(values), 3, 2, size, size)
        np.testing.assert_array_equal(frames[:, :, 0], frames[:, :, 1])
        return frames[:, :, 0].reshape(len(values), -1)
    tiles = values.reshape(-1, *values.shape[-3:])
    return np.concatenate([patches(np.ascontiguousarray(tile.transpose(1, 2, 0)), size) for tile in tiles])


def own_patches(sight: Sight, picture: Picture) -> NDArray[np.float32]:
    views = list(sight.views(picture))
    found = np.concatenate([view["patches"] for view in views])
    if "order" in views[0]:  # Qwen2.5's lie window by window
        unit = 4
        found = found.reshape(-1, unit, found.shape[1])[views[0]["order"]].reshape(found.shape)
    return found


def check(both: tuple[Sight, Any], picture: Picture, image: Image.Image) -> None:
    sight, processor = both
    found = own_patches(sight, picture)
    expected = reference_patches(processor, image, round((found.shape[1] / 3) ** 0.5))
    np.testing.assert_allclose(found, expected, atol=1 / 255)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_odd_sizes(both: tuple[Sight, Any], size: tuple[int, int]) -> None:
    picture = random_picture(*size, seed=size[0])
    check(both, picture, as_image(picture))


@pytest.mark.parametrize("mode", MODES)
def test_every_mode(both: tuple[Sight, Any], mode: str) -> None:
    given = as_image(random_picture(61, 40, 5)).convert(mode)
    if mode in ("LA", "RGBA"):
        given.putalpha(Image.fromarray(np.tile(np.arange(61, dtype=np.uint8) * 4, (40, 1))))
    stream = io.BytesIO()
    given.save(stream, "JPEG" if mode == "CMYK" else "PNG")
    found = decode(stream.getvalue())
    opened = found if hasattr(both[1], "tiles") else Image.open(io.BytesIO(stream.getvalue()))
    check(both, Picture.of(found.tobytes(), found.width, found.height), opened)
