"""A picture in another size, with no model: fitted to a shape, or enlarged.

Rule: a name means one way or is refused with the list of those there are.
"""

from collections.abc import Mapping
from typing import Literal, TypeAlias

from PIL import Image, ImageOps

from haiga.core.errors import Invalid, TooLarge
from haiga.core.images import UpscaleRequest
from haiga.core.pictures import Picture

Way: TypeAlias = Literal["stretch", "crop", "fill"]
WAYS: Mapping[str, Image.Resampling] = {way.name.capitalize(): way for way in Image.Resampling}
MOST_PIXELS = 32 << 20  # of what comes out


def fitted(picture: Picture, size: tuple[int, int], way: Way) -> Picture:
    """In (width, height): stretched; cut off where it juts out; or whole, with its edges drawn out to fill the rest."""
    image = _image(picture)
    if image.size == size:
        return picture
    match way:
        case "stretch":
            made = image.resize(size, Image.Resampling.LANCZOS)
        case "crop":
            made = ImageOps.fit(image, size, Image.Resampling.LANCZOS)
        case "fill":
            made = _filled(image, size)
    return _picture(made)


def enlarged(request: UpscaleRequest) -> Picture:
    """Raises Invalid for an upscaler that is not there, TooLarge for a result that would be."""
    image, size = _image(request.picture), _size(request)
    if size[0] * size[1] > MOST_PIXELS:
        raise TooLarge(f"{size[0]}x{size[1]} is more than {MOST_PIXELS} pixels", field="upscaling_resize")
    made = _resized(image, size, request.upscaler, request.crop, "upscaler_1")
    if request.second is not None and request.visibility:
        other = _resized(image, size, request.second, request.crop, "upscaler_2")
        made = Image.blend(made, other, request.visibility)
    return _picture(made)


def _size(request: UpscaleRequest) -> tuple[int, int]:
    if request.width is None or request.height is None:
        width, height = request.picture.width, request.picture.height
        return max(1, round(width * request.scale)), max(1, round(height * request.scale))
    if request.crop:
        return request.width, request.height
    scale = max(request.width / request.picture.width, request.height / request.picture.height)
    return max(1, round(request.picture.width * scale)), max(1, round(request.picture.height * scale))


def _resized(image: Image.Image, size: tuple[int, int], name: str, crop: bool, field: str) -> Image.Image:
    if (way := WAYS.get(name)) is None:
        raise Invalid(f"there is no upscaler {name[:100]!r}. Those there are: {', '.join(WAYS)}", field=field)
    return ImageOps.fit(image, size, way) if crop else image.resize(size, way)


def _filled(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    whole = ImageOps.contain(image, size, Image.Resampling.LANCZOS)
    left, top = (size[0] - whole.width) // 2, (size[1] - whole.height) // 2
    made = Image.new("RGB", size)
    row = whole.crop((0, 0, whole.width, 1)), whole.crop((0, whole.height - 1, whole.width, whole.height))
    column = whole.crop((0, 0, 1, whole.height)), whole.crop((whole.width - 1, 0, whole.width, whole.height))
    if top:
        made.paste(row[0].resize((whole.width, top)), (left, 0))
        made.paste(row[1].resize((whole.width, size[1] - top - whole.height)), (left, top + whole.height))
    if left:
        made.paste(column[0].resize((left, whole.height)), (0, top))
        made.paste(column[1].resize((size[0] - left - whole.width, whole.height)), (left + whole.width, top))
    made.paste(whole, (left, top))
    return made


def _image(picture: Picture) -> Image.Image:
    return Image.frombytes("RGB", (picture.width, picture.height), picture.rgb)


def _picture(image: Image.Image) -> Picture:
    return Picture.of(image.tobytes(), image.width, image.height)
