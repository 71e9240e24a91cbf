"""Prompts without a template: as they stand, with one BOS at most."""

from dataclasses import replace

import pytest
from tokenizers import processors

from haiga.core.errors import Invalid
from haiga.text.prompt import Prompter
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
