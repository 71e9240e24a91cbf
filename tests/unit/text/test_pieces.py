"""A SentencePiece model alone gives the ids that SentencePiece gives; damaged, it is refused in one line."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from haiga.core.errors import Invalid
from haiga.text.pieces import pieces_tokenizer
from tests.unit.test_gguf_tokenizer import CORPUS, TEXTS

PLAIN = {"normalization_rule_name": "identity", "remove_extra_whitespaces": False}
KINDS: dict[str, dict[str, Any]] = {
    "bpe": {"model_type": "bpe", **PLAIN},
    "unigram": {"model_type": "unigram", **PLAIN},
    "unigram, normalised and squeezed": {"model_type": "unigram", "normalization_rule_name": "nmt_nfkc"},
    "bpe, no blank before": {"model_type": "bpe", "add_dummy_prefix": False, **PLAIN},
}


def train(**options: Any) -> bytes:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*CORPUS, *"abcdefghijklmnopqrstuvwxyz"]),
        model_writer=model,
        vocab_size=460,
        byte_fallback=True,
        character_coverage=0.98,
        user_defined_symbols=["<tool>"],
        minloglevel=2,
        hard_vocab_limit=False,
        **options,
    )
    return model.getvalue()


@pytest.fixture(scope="module", params=KINDS.values(), ids=KINDS.keys())
def model(request: pytest.FixtureRequest) -> bytes:
    return train(**request.param)


@pytest.fixture(scope="module")
def plain() -> bytes:
    return train(**KINDS["bpe"])


def write(directory: Path, model: bytes, **files: Any) -> Path:
    (directory / "tokenizer.model").write_bytes(model)
    for name, content in files.items():
        (directory / f"{name}.json").write_text(json.dumps(content))
    return directory


def test_ids_and_texts_are_those_of_sentencepiece(tmp_path: Path, model: bytes) -> None:
    theirs, ours = sentencepiece.SentencePieceProcessor(model_proto=model), pieces_tokenizer(write(tmp_path, model))
    for text in [text for text in TEXTS if text.strip() and "<|" not in text]:
        ids = ours.encode(text)
        assert [1, *theirs.encode(text)] == ids
        assert theirs.decode(ids[1:]) == ours.decode(ids)
    assert {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"} == ours.special


def test_bytes_stand_for_what_has_no_piece(tmp_path: Path, plain: bytes) -> None:
    ours = pieces_tokenizer(write(tmp_path, plain))
    ids = ours.encode("🦙", special=False)
    assert ["<0xF0>", "<0x9F>", "<0xA6>", "<0x99>"] == [ours.piece(number) for number in ids][-4:]
    assert "🦙" == ours.decode(ids)
    assert ours.lossless


def test_tokens_added_since_come_behind_and_are_found_in_text(tmp_path: Path, plain: bytes) -> None:
    size = sentencepiece.SentencePieceProcessor(model_proto=plain).get_piece_size()
    decoder = {str(size): {"content": "<|user|>", "special": True}, "2": {"content": "</s>", "special": True}}
    config = {"added_tokens_decoder": decoder, "eos_token": "<|user|>", "add_bos_token": False}
    ours = pieces_tokenizer(write(tmp_path, plain, tokenizer_config=config, added_tokens={"<more>": size + 1}))
    assert size + 2 == len(ours)
    assert size in ours.encode("hi<|user|>", special=False)
    assert [size + 1] == ours.encode("<more>")
    assert "<|user|>" == ours.eos


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"added_tokens": {"<far>": 5000}}, "added token '<far>' has the id 5000, but there is none before it"),
        ({"added_tokens": {"<s>": 2}}, "added token '<s>' has the id 2, which is '</s>'"),
        ({"tokenizer_config": {"added_tokens_decoder": {"x": 1}}}, r"added_tokens_decoder\.x is no token"),
        ({"tokenizer_config": {"eos_token": "<none>"}}, "eos_token is '<none>', which is none of its tokens"),
    ],
)
def test_tokens_that_do_not_fit_are_named(tmp_path: Path, plain: bytes, files: dict[str, Any], problem: str) -> None:
    with pytest.raises(Invalid, match=problem):
        pieces_tokenizer(write(tmp_path, plain, **files))


DAMAGES: list[tuple[Callable[[bytes], bytes], str]] = [
    (lambda data: data[:-3], "no SentencePiece model"),
    (lambda data: b"\n\xff\xff\xff\xff\x07" + data, "a field of 2147483647 bytes has"),
    (lambda data: b"\xff" * 12, "a number without an end"),
    (lambda data: b"", "it has no pieces"),
    (lambda data: data + b"\n\x08\n\x01x\x15\x00\x00\xc0\x7f", "a score that is not finite"),
    (lambda data: data + b"\n\x03\n\x01\xff", "no SentencePiece model"),
    (lambda data: data + b"\x12\x02\x18\x03", "model type 3 is not supported"),
]


@pytest.mark.parametrize(("damage", "problem"), DAMAGES, ids=[problem for _, problem in DAMAGES])
def test_damage_is_one_line_that_names_the_file(
    tmp_path: Path, plain: bytes, damage: Callable[[bytes], bytes], problem: str
) -> None:
    with pytest.raises(Invalid, match=problem) as caught:
        pieces_tokenizer(write(tmp_path, damage(plain)))
    assert "tokenizer.model: " in str(caught.value)
    assert "\n" not in str(caught.value)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 1 << 20), octet=st.integers(0, 255), cut=st.integers(0, 1 << 20))
def test_any_damage_is_refused_or_harmless(tmp_path: Path, model: bytes, at: int, octet: int, cut: int) -> None:
    data = bytearray(model)
    data[at % len(data)] = octet
    try:
        pieces_tokenizer(write(tmp_path, bytes(data[: cut % (2 * len(data))]))).encode("some text")
    except Invalid as problem:
        assert "\n" not in str(problem)
