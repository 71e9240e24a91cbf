"""Pictures as files that say what they were made of, and read back."""

from hypothesis import given, settings
from hypothesis import strategies as st

from haiga.core.pictures import Picture
from haiga.services.decoding.decoder import Decoder
from haiga.services.decoding.metadata import COMMENT, read_texts
from haiga.services.decoding.pictures import open_picture
from haiga.services.images.encoding import LARGEST_COMMENT, encode

SKY = Picture.of(bytes([40, 90, 200]) * 48, 8, 6)
WISH = {"side": 100, "edge": 100, "patches": 100, "why": "", "exact": False}
TEXT = "a fox, “quoted” 狐\nNegative prompt: blur\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 8x6"
letters = st.characters(exclude_categories=["Cs", "Cc"])
texts = st.text(letters, min_size=1).map(lambda text: f"{text}\nSteps: 20, Seed: 1")


def read(data: bytes) -> dict[str, str]:
    return read_texts(open_picture(data, WISH))


@settings(max_examples=50)
@given(texts)
def test_a_text_is_read_back_from_a_png_as_it_was_written(text: str) -> None:
    assert text == read(encode(SKY, "png", text))["parameters"]


@settings(max_examples=50)
@given(texts)
def test_a_text_is_read_back_from_jpeg_and_webp_as_it_was_written(text: str) -> None:
    assert [text, text] == [read(encode(SKY, "jpeg", text))[COMMENT], read(encode(SKY, "webp", text))[COMMENT]]


def test_the_same_picture_and_text_give_the_same_bytes() -> None:
    assert encode(SKY, "png", TEXT) == encode(SKY, "png", TEXT)


def test_a_long_text_takes_less_room_in_a_jpeg_and_one_that_has_no_room_is_left_out() -> None:
    long = "steps " * (LARGEST_COMMENT // 6 - 5)
    assert long == read(encode(SKY, "jpeg", long))[COMMENT]
    assert COMMENT not in read(encode(SKY, "jpeg", long * 2))
    assert long * 2 == read(encode(SKY, "webp", long * 2))[COMMENT]


async def test_texts_are_read_in_a_process_of_their_own() -> None:
    decoder = Decoder()
    assert TEXT == (await decoder.texts(encode(SKY, "webp", TEXT)))[COMMENT]
    await decoder.close()
