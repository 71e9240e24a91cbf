"""What is read from a checkpoint's tokenizer files."""

import json
from pathlib import Path

import numpy as np
import pytest

from haiga.core.errors import Invalid
from haiga.text.grammar import Grammars, schema_grammar
from haiga.text.tokenizer import Tokenizer
from tests.unit.text import builders


def saved(directory: Path, **files: object) -> Path:
    builders.byte_level().save(str(directory / "tokenizer.json"))
    for name, content in files.items():
        (directory / f"{name}.json").write_text(json.dumps(content))
    return directory


def test_special_tokens_are_read_in_both_spellings(tmp_path: Path) -> None:
    config = {"bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": False}, "pad_token": None}
    tokenizer = Tokenizer.load(saved(tmp_path, tokenizer_config=config, special_tokens_map={"unk_token": "<unk>"}))
    assert {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"} == tokenizer.special
    assert ("<s>", "</s>") == (tokenizer.bos, tokenizer.eos)


def test_encode_adds_the_tokenizers_own_tokens_only_when_asked(tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(saved(tmp_path))
    assert [tokenizer.id("<s>"), *tokenizer.encode("Hello", special=False)] == tokenizer.encode("Hello")


def test_the_size_is_the_largest_id_and_one() -> None:
    assert builders.byte_level().get_vocab_size() == len(builders.tokenizer())
    assert builders.tokenizer().piece(len(builders.tokenizer())) is None


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"tokenizer\.json: no such file"):
        Tokenizer.load(tmp_path)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text('{"model": ')
    with pytest.raises(Invalid, match=r"tokenizer\.json: not a tokenizer"):
        Tokenizer.load(tmp_path)


def test_a_damaged_configuration_is_named(tmp_path: Path) -> None:
    saved(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("[")
    with pytest.raises(Invalid, match=r"tokenizer_config\.json: not JSON"):
        Tokenizer.load(tmp_path)


def test_who_puts_a_blank_before_a_text_is_known() -> None:
    kinds = (builders.byte_level(), builders.byte_fallback(True), builders.byte_fallback(False), builders.metaspace())
    assert [False, True, False, True] == [Tokenizer(inner).adds_prefix for inner in kinds]


def gapped(directory: Path) -> Path:
    """The byte-level tokenizer with ids that nothing has: each from the middle on is 7 larger."""
    written = json.loads(builders.byte_level().to_str())
    words, added = written["model"]["vocab"], written["added_tokens"]
    middle = len(words) // 2
    written["model"]["vocab"] = {word: at + 7 * (at >= middle) for word, at in words.items()}
    written["added_tokens"] = [{**token, "id": token["id"] + 7 * (token["id"] >= middle)} for token in added]
    (directory / "tokenizer.json").write_text(json.dumps(written))
    return directory


def test_ids_that_nothing_has_are_no_text_and_the_others_mean_what_they_did(tmp_path: Path) -> None:
    whole, tokenizer = builders.tokenizer(), Tokenizer.load(gapped(tmp_path))
    middle = next(at for at in range(len(tokenizer)) if tokenizer.piece(at) is None)
    ids = tokenizer.encode("Hello, Zoë!", special=False)
    assert len(whole) + 7 == len(tokenizer)
    assert "" == tokenizer.decode(range(middle, middle + 7))
    assert "Hello, Zoë!" == tokenizer.decode([ids[0], middle, *ids[1:]])


def test_a_grammar_over_a_vocabulary_with_gaps_allows_none_of_them(tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(gapped(tmp_path))
    gaps = {at for at in range(len(tokenizer)) if tokenizer.piece(at) is None}
    grammars = Grammars(tokenizer, [tokenizer.id("</s>") or 0])
    words = np.zeros(grammars.words, np.int32)
    inside = grammars.matcher(schema_grammar({"type": "string"}, {}))
    assert inside.accept(tokenizer.encode('"', special=False)[0])
    inside.fill(words)
    allowed = set(np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little")).tolist())
    assert len(allowed) > len(tokenizer) // 2
    assert not allowed & gaps
