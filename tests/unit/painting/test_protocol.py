"""What crosses to a painting process arrives as it was."""

import orjson

from haiga.core.images import Control, Hires, ImageRequest, Inpaint, Reference, UpscaleRequest, Variation
from haiga.core.pictures import Picture
from haiga.engines.diffusers import protocol
from haiga.engines.frames import HEADER

RED, BLUE = (Picture.of(bytes(pixel) * 6, 3, 2) for pixel in ((200, 0, 0), (0, 0, 200)))
LARGE = Picture.of(bytes(range(12)) * 4, 4, 4)


def test_a_request_arrives_with_all_its_pictures_in_their_places() -> None:
    request = ImageRequest(
        "tiny",
        "a cat",
        source=RED,
        inpaint=Inpaint(LARGE, 3, True, 5, "noise"),
        hires=Hires(1.5, upscaler="Latent", sampler="Euler"),
        variation=Variation(3, 0.5),
        controls=(Control("edges", BLUE, "canny"), Control("tiles", mode="prompt")),
        references=(Reference("faces", LARGE, 0.5),),
    )
    command, pixels = _read(protocol.paint(1, request, 7))
    assert (request, 7) == protocol.read_paint(command, pixels)


def test_a_picture_to_enlarge_arrives() -> None:
    request = UpscaleRequest("tiny", LARGE, "Nearest", 3.0, second="Lanczos", visibility=0.25)
    assert request == protocol.read_upscale(*_read(protocol.upscale(1, request)))


def _read(frame: bytes) -> tuple[dict[str, object], bytes]:
    (length,) = HEADER.unpack(frame[:4])
    return orjson.loads(frame[4 : 4 + length]), frame[4 + length :]
