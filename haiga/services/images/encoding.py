"""A picture as a file that says what it was made of.

Rule: the text stands where A1111 and its relatives put it and look for it: in a PNG as the text chunk `parameters`, in
JPEG and WebP as EXIF's UserComment. The same picture and text give the same bytes.
"""

from io import BytesIO
from typing import Literal, TypeAlias

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from haiga.core.pictures import Picture

Kind: TypeAlias = Literal["png", "jpeg", "webp"]
MEDIA_TYPES: dict[Kind, str] = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
QUALITY = 90  # of JPEG and WebP, of 100
EXIF, USER_COMMENT = 0x8769, 0x9286
LARGEST_COMMENT = 65_000  # bytes; a JPEG's whole EXIF must fit in a segment of 65533


def encode(picture: Picture, kind: Kind = "png", text: str = "", quality: int = QUALITY) -> bytes:
    """The file, with `text` in it. A text too long for a JPEG is left out of it."""
    image = Image.frombytes("RGB", (picture.width, picture.height), picture.rgb)
    file = BytesIO()
    match kind:
        case "png":
            image.save(file, "PNG", pnginfo=_chunks(text), compress_level=4)
        case "jpeg":
            image.save(file, "JPEG", quality=quality, exif=_exif(text, LARGEST_COMMENT))
        case "webp":
            image.save(file, "WEBP", quality=quality, exif=_exif(text, None))
    return file.getvalue()


def _chunks(text: str) -> PngInfo:
    """tEXt where the letters allow, else iTXt."""
    chunks = PngInfo()
    if text:
        chunks.add_text("parameters", text)
    return chunks


def _exif(text: str, largest: int | None) -> bytes:
    """The comment in UTF-16 as A1111 writes it; in UTF-8, which takes half the room, where that alone fits."""
    comments = (b"UNICODE\0" + text.encode("utf-16-be", "replace"), b"ASCII\0\0\0" + text.encode("utf-8", "replace"))
    comment = next((each for each in comments if largest is None or len(each) <= largest), None)
    if not text or comment is None:
        return b""
    exif = Image.Exif()
    exif[EXIF] = {USER_COMMENT: comment}
    return exif.tobytes()
