"""The texts in files as other programs lay them out, and in damaged ones."""

import struct
import zlib

import pytest

from haiga.services.decoding.metadata import COMMENT, LARGEST, read_texts
from haiga.services.decoding.pictures import open_picture
from haiga.services.decoding.refusal import Refusal
from tests.papers import coded, plain

WISH = {"side": 100, "edge": 100, "patches": 100, "why": "", "exact": False}
TEXT = "a fox\nSteps: 20, Sampler: Euler a, Seed: 1"


def read(data: bytes) -> dict[str, str]:
    return read_texts(open_picture(data, WISH))


def png(*chunks: tuple[bytes, bytes], behind: bool = False) -> bytes:
    """A PNG with the chunks before its pixels, or behind them."""
    plain_png = coded(plain(), "PNG")
    at = plain_png.index(b"IEND" if behind else b"IDAT") - 4
    told = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return plain_png[:at] + told + plain_png[at:]


def exif(comment: bytes, order: str) -> bytes:
    """EXIF of an IFD that points to another, in which the comment stands; `order` is struct's."""
    entry, head = order + "HHII", b"II" if order == "<" else b"MM"
    begin = head + struct.pack(order + "HI", 42, 8)
    first = struct.pack(order + "H", 1) + struct.pack(entry, 0x8769, 4, 1, 26) + bytes(4)
    second = struct.pack(order + "H", 1) + struct.pack(entry, 0x9286, 7, len(comment), 44) + bytes(4)
    return begin + first + second + comment


def jpeg(tiff: bytes) -> bytes:
    """A JPEG with the EXIF as its first segment."""
    segment = b"Exif\0\0" + tiff
    return b"\xff\xd8\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + coded(plain(), "JPEG")[2:]


def test_a1111_s_png_has_its_parameters_in_a_text_chunk() -> None:
    assert TEXT == read(png((b"tEXt", b"parameters\0" + TEXT.encode("latin-1"))))["parameters"]


def test_letters_beyond_latin_stand_in_an_international_chunk_compressed_or_not() -> None:
    text = "狐, 2 枚\nSteps: 20, Seed: 1, Size: 8x8"
    bare = png((b"iTXt", b"parameters\0\0\0\0\0" + text.encode()))
    packed = png((b"iTXt", b"parameters\0\1\0\0\0" + zlib.compress(text.encode())))
    assert [text, text] == [read(bare)["parameters"], read(packed)["parameters"]]


def test_texts_behind_the_pixels_are_read() -> None:
    assert {"workflow": "{}"} == read(png((b"tEXt", b"workflow\0{}"), behind=True))


@pytest.mark.parametrize(
    ("order", "code"), [("<", "utf-16-be"), (">", "utf-16-be"), ("<", "utf-16-le"), (">", "utf-16")]
)
def test_a_comment_in_utf_16_is_read_whichever_way_round(order: str, code: str) -> None:
    assert TEXT == read(jpeg(exif(b"UNICODE\0" + TEXT.encode(code), order)))[COMMENT]


@pytest.mark.parametrize("head", [b"ASCII\0\0\0", bytes(8)])
def test_a_comment_in_ascii_or_in_no_code_that_is_told_is_read(head: bytes) -> None:
    assert TEXT == read(jpeg(exif(head + TEXT.encode() + b"\0\0", "<")))[COMMENT]


def test_a_file_cut_off_is_refused() -> None:
    whole = png((b"tEXt", b"parameters\0" + TEXT.encode()))
    with pytest.raises(Refusal, match="Could not process image"):
        read(whole[: whole.index(b"IDAT") + 6])


def test_texts_that_are_too_large_together_are_refused() -> None:
    half = b"x" * (LARGEST // 2)
    with pytest.raises(Refusal, match=str(LARGEST)):
        read(png((b"tEXt", b"a\0" + half), (b"tEXt", b"b\0" + half)))


def test_a_text_that_unpacks_to_more_than_it_may_is_refused() -> None:
    with pytest.raises(Refusal, match="Could not process image"):
        read(png((b"zTXt", b"parameters\0\0" + zlib.compress(bytes(64 << 20)))))


@pytest.mark.parametrize("cut", range(0, 60, 3))
def test_damaged_exif_gives_texts_or_a_refusal(cut: int) -> None:
    whole = exif(b"UNICODE\0" + TEXT.encode("utf-16-be"), "<")
    spoilt = whole[:cut] + b"\xff\xff" + whole[cut + 2 :]
    try:
        texts = read(jpeg(spoilt))
    except Refusal as refusal:
        texts = {"reason": refusal.reason}
    assert all(isinstance(text, str) for text in texts.values())
