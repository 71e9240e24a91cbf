"""Ids to text: pieces join to the whole, and no piece holds half a character."""

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from haiga.text.detokenizer import Detokenizer
from haiga.text.tokenizer import Tokenizer
from tests.unit.text import builders

KINDS = {
    "byte-level": builders.byte_level(),
    "byte fallback, strip": builders.byte_fallback(True),
    "byte fallback": builders.byte_fallback(False),
    "metaspace": builders.metaspace(),
    "word piece": builders.word_piece(),
}
FAMILIES = {
    "byte-level": "bytes",
    "byte fallback, strip": "metaspace",
    "byte fallback": "metaspace",
    "metaspace": "metaspace",
    "word piece": "window",
}


def streamed(tokenizer: Tokenizer, ids: list[int], **options: bool) -> list[str]:
    detokenizer = Detokenizer(tokenizer, **options)
    return [*(detokenizer.add([number]) for number in ids), detokenizer.finish()]


@pytest.mark.parametrize("kind", KINDS)
def test_the_decoder_is_recognised(kind: str) -> None:
    assert FAMILIES[kind] == Tokenizer(KINDS[kind]).decoding.kind


@pytest.mark.parametrize("kind", ["byte-level", "metaspace", "word piece"])
@given(data=st.data())
def test_pieces_join_to_the_packages_own_decoding(kind: str, data: st.DataObject) -> None:
    inner = KINDS[kind]
    ids = data.draw(st.lists(st.integers(0, inner.get_vocab_size() - 1), max_size=30))
    assert inner.decode(ids) == "".join(streamed(Tokenizer(inner), ids))


@pytest.mark.parametrize("kind", ["byte-level", "byte fallback, strip", "byte fallback"])
@given(text=st.text(max_size=30))
def test_pieces_of_an_encoded_text_join_to_the_packages_own_decoding(kind: str, text: str) -> None:
    inner = KINDS[kind]
    ids = inner.encode(text, add_special_tokens=False).ids
    assert inner.decode(ids) == "".join(streamed(Tokenizer(inner), ids))


@pytest.mark.parametrize("kind", ["byte-level", "byte fallback"])
@given(text=st.text("aé日😀 ", max_size=20))
def test_no_piece_holds_half_a_character(kind: str, text: str) -> None:
    inner = KINDS[kind]
    assert not any("\ufffd" in piece for piece in streamed(Tokenizer(inner), inner.encode(text).ids))


@given(data=st.data(), kind=st.sampled_from(sorted(KINDS)))
def test_how_ids_are_grouped_does_not_matter(kind: str, data: st.DataObject) -> None:
    tokenizer = Tokenizer(KINDS[kind])
    ids = data.draw(st.lists(st.integers(0, len(tokenizer) - 1), max_size=20))
    cut = data.draw(st.integers(0, len(ids)))
    detokenizer = Detokenizer(tokenizer)
    assert tokenizer.decode(ids) == detokenizer.add(ids[:cut]) + detokenizer.add(ids[cut:]) + detokenizer.finish()


def test_an_unfinished_character_is_replaced_at_the_end() -> None:
    tokenizer = Tokenizer(builders.byte_fallback(False))
    ids = [tokenizer.id("<0xE6>"), tokenizer.id("<0x97>")]
    assert ["", "", "\ufffd"] == streamed(tokenizer, [number for number in ids if number is not None])


def test_a_valid_character_survives_a_broken_neighbour() -> None:
    tokenizer = Tokenizer(builders.byte_fallback(False))
    ids = [tokenizer.id(piece) or 0 for piece in ("<0xC3>", "<0xA9>", "<0x80>", "H")]
    assert "é\ufffdH" == tokenizer.decode(ids)


def test_special_tokens_are_hidden_unless_shown() -> None:
    tokenizer = builders.tokenizer()
    ids = tokenizer.encode("Hello<|im_end|>", special=False)
    assert "Hello" == "".join(streamed(tokenizer, ids))
    assert "Hello<|im_end|>" == Detokenizer(tokenizer, show=tokenizer.special_ids).add(ids)


def test_a_continued_text_keeps_its_leading_blank() -> None:
    tokenizer = Tokenizer(builders.byte_fallback(True))
    ids = tokenizer.encode("Hello", special=False)
    assert "Hello" == "".join(streamed(tokenizer, ids))
    assert " Hello" == "".join(streamed(tokenizer, ids, continues=True))


def test_ids_outside_the_vocabulary_have_no_text() -> None:
    assert "" == builders.tokenizer().decode([10**6])


def test_a_token_alone_is_shown_with_its_blank() -> None:
    tokenizer = Tokenizer(builders.byte_fallback(True))
    assert " H" == tokenizer.token_text(tokenizer.id("▁H") or 0)
    assert "</s>" == tokenizer.token_text(tokenizer.id("</s>") or 0)


def test_the_window_never_grows_past_a_few_pieces() -> None:
    inner: tokenizers.Tokenizer = builders.word_piece()
    detokenizer = Detokenizer(Tokenizer(inner))
    pieces = [detokenizer.add([1 + place % 6]) for place in range(50)]
    assert inner.decode([1 + place % 6 for place in range(50)]) == "".join(pieces)
