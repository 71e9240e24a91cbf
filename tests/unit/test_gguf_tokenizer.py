"""Tokenizers out of GGUF metadata give the ids that the tokenizers they were made from give."""

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
import sentencepiece
import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, trainers

from haiga.core.errors import Invalid
from haiga.text.gguf import gguf_template, gguf_tokenizer

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEXTS = [
    "Hello world! It's 1234567 o'clock, isn't it? I'LL say.",
    "  two  spaces\n\n\tand a tab \r\n end   ",
    "naïve cafe\u0301 — 日本語のテキスト 🦙🏽 Привет мир",
    "def f(x):\n    return x ** 2  # +1e-5 != 0x1F",
    "<|im_start|>user\nhi<|im_end|> <tool>x</tool>",
    "",
    "a",
    " ",
    "12 345 6.789 ٣٤",
]
CORPUS = [text * 3 for text in TEXTS] + ["The quick brown fox jumps over the lazy dog, " * 5, "return x == 100 and y"]


def byte_level(*before: Any, regex: bool, normalizer: Any = None) -> tokenizers.Tokenizer:
    """A byte-level BPE trained on the corpus, with two control tokens and one that is none."""
    inner = tokenizers.Tokenizer(models.BPE())
    inner.normalizer = normalizer
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=regex)
    inner.pre_tokenizer = pre_tokenizers.Sequence([*before, level])
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    inner.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=500, initial_alphabet=alphabet, show_progress=False)
    )
    inner.add_special_tokens(
        [AddedToken(text, special=True, normalized=False) for text in ("<|im_start|>", "<|im_end|>")]
    )
    inner.add_tokens([AddedToken("<tool>", special=False, normalized=False)])
    return inner


def metadata_of(inner: tokenizers.Tokenizer, pre: str | None) -> dict[str, Any]:
    """As llama.cpp's converter writes it."""
    vocabulary, added = inner.get_vocab(), inner.get_added_tokens_decoder()
    tokens = sorted(vocabulary, key=lambda token: vocabulary[token])
    kinds = [1 if at not in added else 3 if added[at].special else 4 for at in range(len(tokens))]
    merges = [" ".join(pair) for pair in json.loads(inner.to_str())["model"]["merges"]]
    fields = {
        "model": "gpt2",
        "tokens": tokens,
        "token_type": kinds,
        "merges": merges,
        "bos_token_id": vocabulary["<|im_start|>"],
        "eos_token_id": vocabulary["<|im_end|>"],
    }
    fields |= {"pre": pre} if pre else {}
    return {f"tokenizer.ggml.{key}": value for key, value in fields.items()}


def isolated(pattern: str) -> Any:
    return pre_tokenizers.Split(Regex(pattern), "isolated")


KINDS: dict[str, Callable[[], tokenizers.Tokenizer]] = {
    "llama-bpe": lambda: byte_level(isolated(LLAMA3), regex=False),
    "qwen2": lambda: byte_level(isolated(LLAMA3.replace("{1,3}", "")), regex=False, normalizer=normalizers.NFC()),
    "smollm": lambda: byte_level(pre_tokenizers.Digits(individual_digits=True), regex=True),
    "gpt-2": lambda: byte_level(regex=True),
}


@pytest.mark.parametrize("pre", KINDS)
def test_byte_level_ids_are_the_originals(pre: str) -> None:
    original = KINDS[pre]()
    made = gguf_tokenizer("x.gguf", metadata_of(original, pre))
    for text in TEXTS:
        assert original.encode(text, add_special_tokens=False).ids == made.encode(text, special=False)
    assert [original.token_to_id(token) for token in ("<|im_start|>", "<|im_end|>")] == sorted(made.special_ids)
    assert {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"} == made.special


def test_a_vocabulary_without_a_splitting_gives_every_text_back() -> None:
    made = gguf_tokenizer("x.gguf", metadata_of(KINDS["gpt-2"](), None))
    for text in TEXTS:
        assert text == made.decode(made.encode(text, special=False), skip_special=False)


@pytest.mark.parametrize(("pre", "told", "expected"), [
    ("llama-bpe", None, 1), ("llama-bpe", False, 0), ("qwen2", None, 0), ("qwen2", True, 1),
])  # fmt: skip
def test_a_text_begins_with_bos_where_llama_cpp_puts_one(pre: str, told: bool | None, expected: int) -> None:
    fields = metadata_of(KINDS[pre](), pre)
    fields |= {} if told is None else {"tokenizer.ggml.add_bos_token": told}
    made = gguf_tokenizer("x.gguf", fields)
    assert expected == made.encode("hi").count(fields["tokenizer.ggml.bos_token_id"])


@pytest.fixture(scope="module")
def pieces() -> sentencepiece.SentencePieceProcessor:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*CORPUS, *"abcdefghijklmnopqrstuvwxyz"]),
        model_writer=model,
        model_type="bpe",
        vocab_size=480,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        character_coverage=0.98,
        user_defined_symbols=["<tool>"],
        minloglevel=2,
    )
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def pieces_metadata(pieces: sentencepiece.SentencePieceProcessor) -> dict[str, Any]:
    ids = range(pieces.get_piece_size())
    kinds = [
        6 if pieces.is_byte(at) else 2 if pieces.is_unknown(at) else 3 if pieces.is_control(at) else 1 for at in ids
    ]
    kinds[pieces.piece_to_id("<tool>")] = 4
    fields = {
        "model": "llama",
        "tokens": [pieces.id_to_piece(at) for at in ids],
        "scores": [pieces.get_score(at) for at in ids],
        "token_type": kinds,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "unknown_token_id": 0,
    }
    return {f"tokenizer.ggml.{key}": value for key, value in fields.items()}


def test_sentence_pieces_are_those_of_sentencepiece(pieces: sentencepiece.SentencePieceProcessor) -> None:
    made = gguf_tokenizer("x.gguf", pieces_metadata(pieces))
    for text in [text for text in TEXTS if text and "<" not in text]:
        assert [1, *pieces.encode(text)] == made.encode(text)
        assert text == made.decode(made.encode(text))


def test_no_blank_is_put_before_a_text_where_the_file_says_so(pieces: sentencepiece.SentencePieceProcessor) -> None:
    made = gguf_tokenizer("x.gguf", {**pieces_metadata(pieces), "tokenizer.ggml.add_space_prefix": False})
    assert not made.adds_prefix
    for text in TEXTS:
        assert text == made.decode(made.encode(text, special=False))


def test_the_template_knows_the_special_tokens() -> None:
    fields = metadata_of(KINDS["gpt-2"](), "gpt-2")
    template = gguf_template(
        "x.gguf", {**fields, "tokenizer.chat_template": "{{ bos_token }}{{ messages[0].content }}"}
    )
    assert template is not None
    assert "<|im_start|>hi" == template.render([{"role": "user", "content": "hi"}])
    assert gguf_template("x.gguf", fields) is None


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("model", "bert", r"tokenizer\.ggml\.model is 'bert'; supported: gpt2, llama"),
        ("model", "llama", r"tokenizer\.ggml\.scores is missing"),
        ("pre", "martian", r"tokenizer\.ggml\.pre 'martian' is not supported; supported: default, gpt-2, "),
        ("tokens", "abc", r"tokenizer\.ggml\.tokens is missing or no list"),
        ("tokens", [1, 2], r"tokenizer\.ggml\.tokens is missing or no list"),
        ("token_type", [1], r"tokenizer\.ggml\.token_type has 1 entries for \d+ tokens"),
        ("merges", ["nowhere tobefound"], r"tokenizer\.ggml: not a tokenizer: "),
        ("merges", ["a"], r"tokenizer\.ggml: not a tokenizer: "),
        ("bos_token_id", 10**6, r"tokenizer\.ggml\.bos_token_id is 1000000, there are"),
    ],
)
def test_what_is_wrong_is_named(key: str, value: Any, problem: str) -> None:
    fields = {**metadata_of(KINDS["gpt-2"](), "gpt-2"), f"tokenizer.ggml.{key}": value}
    with pytest.raises(Invalid, match=f"^x.gguf: {problem}"):
        gguf_tokenizer("x.gguf", fields)
