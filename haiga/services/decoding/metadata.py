"""What a picture's file says in words: PNG's text chunks, EXIF's comment and description, a file's own comment.

Rule: every text is bounded, and so are all of one file together. What is no text is left out.
"""

from collections.abc import Iterator
from typing import Any

from PIL import Image

from haiga.services.decoding.pictures import refusing
from haiga.services.decoding.refusal import Refusal

LARGEST = 4 << 20  # bytes of all texts of a file
MOST = 64  # texts of a file
EXIF, USER_COMMENT = 0x8769, 0x9286
TAGS = {0x010E: "ImageDescription", 0x010F: "Make", 0x0110: "Model", 0x0131: "Software"}
COMMENT = "UserComment"  # by this name it is told


def read_texts(picture: Image.Image) -> dict[str, str]:
    """The texts of an opened picture by their names, of which EXIF's comment is COMMENT. Raises Refusal for what is
    damaged, or has too many."""
    with refusing():
        picture.load()  # a PNG may have texts behind its pixels
        texts = dict(_texts(picture))
    if (
        len(texts) > MOST
        or sum(len(name) + len(text.encode(errors="replace")) for name, text in texts.items()) > LARGEST
    ):
        raise Refusal(f"The texts in the image are more than {MOST}, or larger than {LARGEST} bytes")
    return texts


def _texts(picture: Image.Image) -> Iterator[tuple[str, str]]:
    for name, value in picture.info.items():
        if isinstance(name, str) and name != "exif" and (text := _text(value)):
            yield name, text
    exif = picture.getexif()
    for tag, name in TAGS.items():
        if text := _text(exif.get(tag)):
            yield name, text
    if comment := exif.get_ifd(EXIF).get(USER_COMMENT):
        yield COMMENT, _comment(comment)


def _text(value: Any) -> str:
    """Text as such, bytes that are UTF-8, nothing else."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return ""
    return str(value) if isinstance(value, str) else ""


def _comment(value: Any) -> str:
    """EXIF's UserComment without the eight bytes that name its code (Exif 2.32, 4.6.5)."""
    if not isinstance(value, bytes):
        return str(value)
    code, text = value[:8], value[8:]
    if code == b"UNICODE\0":
        return text.decode(_order(text), "replace")
    return (text if code in (b"ASCII\0\0\0", bytes(8)) else value).decode(errors="replace").rstrip("\0")


def _order(text: bytes) -> str:
    """Which UTF-16 it is. Writers do not agree; the zeros of ASCII letters, of which every infotext has many, tell."""
    if text.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    return "utf-16-le" if text[1::2].count(0) > text[::2].count(0) else "utf-16-be"
