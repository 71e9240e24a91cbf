"""Prompts without a template: as they stand, with one BOS at most."""

from dataclasses import replace

import pytest
import tokenizers
from tokenizers import processors

from haiga.core.errors import Invalid, Unsupported
from haiga.text.prompt import Prompter
from haiga.text.raw import infill_of, infill_tokens, spelled
from haiga.text.tokenizer import Tokenizer
from tests.unit.text import builders
from tests.unit.text.builders import said


def tokens(raw: str | tuple[int, ...]) -> list[int]:
    inner = builders.byte_level()
    inner.post_processor = processors.TemplateProcessing("<s> $A", None, [("<s>", inner.token_to_id("<s>"))])
    prompter = Prompter(Tokenizer(inner, {"bos_token": "<s>"}), None)
    return prompter.prompt(replace(said(("user", "not part of it")), raw=raw)).tokens


def test_a_text_gets_its_bos_and_a_prompt_that_has_one_no_second() -> None:
    assert tokens("Hello") == tokens("<s>Hello")
    assert tokens("Hello")[0] == builders.byte_level().token_to_id("<s>")


def test_token_ids_are_taken_as_they_are() -> None:
    assert [5, 6, 7] == tokens((5, 6, 7))


@pytest.mark.parametrize("raw", [(1 << 40,), (-1,), ()])
def test_ids_that_are_none_name_the_prompt(raw: tuple[int, ...]) -> None:
    with pytest.raises(Invalid) as caught:
        tokens(raw)
    assert "prompt" == caught.value.field


def with_tokens(*added: str) -> Tokenizer:
    inner = tokenizers.Tokenizer.from_str(builders.byte_level().to_str())
    inner.add_special_tokens(list(added))
    inner.post_processor = processors.TemplateProcessing("<s> $A", None, [("<s>", inner.token_to_id("<s>"))])
    return Tokenizer(inner, {"bos_token": "<s>"})


@pytest.mark.parametrize(
    ("before", "suffix", "middle", "end"),
    [
        ("▁<PRE>", "▁<SUF>", "▁<MID>", "▁<EOT>"),
        ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|fim_pad|>"),
        ("<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<fim_pad>"),
        ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>", "<｜end▁of▁sentence｜>"),
    ],
)
def test_a_suffix_is_put_between_the_models_own_infill_tokens(before: str, suffix: str, middle: str, end: str) -> None:
    tokenizer = with_tokens(before, suffix, middle, end)
    request = replace(said(("user", "not part of it")), raw="def f(", suffix="return x")
    prompt = Prompter(tokenizer, None).prompt(request)
    id = tokenizer.added
    inside = [tokenizer.encode(text, special=False) for text in ("def f(", "return x")]
    assert [id["<s>"], id[before], *inside[0], id[suffix], *inside[1], id[middle]] == prompt.tokens
    assert (id[end],) == prompt.ends
    ids = Prompter(tokenizer, None).prompt(replace(request, raw=tuple(inside[0])))
    assert prompt.tokens == ids.tokens


def test_a_model_without_infill_tokens_is_recognised() -> None:
    assert infill_of(with_tokens("<fim_prefix>", "<fim_middle>").added) is None
    with pytest.raises(Unsupported, match="no infill tokens"):
        infill_tokens(with_tokens(), "a", "b")


@pytest.mark.parametrize("tokenizer", [builders.byte_level(), builders.metaspace()])
@pytest.mark.parametrize("text", ["Hello world", "Wörld 日本 ok", "is fine."])
def test_every_token_of_a_prompt_begins_where_the_text_says(tokenizer: tokenizers.Tokenizer, text: str) -> None:
    mine = Tokenizer(tokenizer)
    ids = tuple(mine.encode(text, special=False))
    whole, starts = spelled(mine, ids)
    assert text.strip() == whole.strip()
    for token, start, end in zip(ids, starts, [*starts[1:], len(whole)], strict=True):
        assert whole[start:end] in (mine.token_text(token), "") or "\ufffd" in mine.token_text(token)
    assert (text, len(mine.encode(text))) == (spelled(mine, text)[0], len(spelled(mine, text)[1]))
