"""Callers' Lark grammars for tools that take free text: what they mean, and what is refused by name."""

import json
import random
import re
from functools import cache

import numpy as np
import pytest

from haiga.core.errors import Invalid
from haiga.core.messages import Grammar, Tool, ToolChoice
from haiga.text.formats import named
from haiga.text.grammar import Grammars, Matcher, Rules, answer_grammar
from haiga.text.tokenizer import Tokenizer
from tests.unit.text import builders

FREE = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
ONE = ToolChoice("any", parallel=False)


@cache
def tokenizer() -> Tokenizer:
    return Tokenizer(builders.byte_level(), builders.SPECIAL)


@cache
def grammars() -> Grammars:
    return Grammars(tokenizer(), [tokenizer().id("</s>") or 0])


def tool(definition: str) -> Tool:
    return Tool("write", schema=FREE, strict=True, grammar=Grammar("lark", definition))


def matcher(definition: str, dialect: str = "hermes") -> Matcher:
    grammar = answer_grammar(named(dialect), [tool(definition)], ONE, grammars().special)
    assert grammar is not None
    return grammars().matcher(grammar)


def allows(definition: str, text: str, dialect: str = "hermes") -> bool:
    """Whether a call with this text may be made."""
    made = matcher(definition, dialect)
    call = named(dialect).encode([("write", {"input": text})], {"write": FREE})
    return all(made.accept(token) for token in tokenizer().encode(call, special=False)) and made.may_end


ARITHMETIC = """
// sums, with blanks
start: expr
expr: term (_SP? OP _SP? term)* -> sum
?term: INT | "(" expr ")"
OP: "+" | "*"
_SP: " "
%import common.INT
"""
PATCH = r"""
start: "*** Begin\n" line{1,3} "*** End" LF?
line: /[+-]/ /(.*)/ LF
%import common.LF
"""
QUOTES = r"""
start: "say \"" /[^"\\]*/ "\"" ("\\" | "/") [end] WORD~2..3
end: "THE END"i
WORD: /\s?[a-z]{2}/
"""


@pytest.mark.parametrize(
    ("definition", "yes", "no"),
    [
        (ARITHMETIC, ["1", "1+2", "12 * (3 + 4)"], ["", "+", "1 +", "(1", "1  +2", "a"]),
        (PATCH, ['*** Begin\n+a "b"\\n\n-\n*** End', "*** Begin\n+é\n*** End\n"], ["*** Begin\n*** End", "+a\n"]),
        (QUOTES, ['say "x\ny"\\THE END ab\ncd', 'say ""/the end ab cd ef'], ['say """/ab cd', 'say ""/ab', "say"]),
        ('start: ("abc" | /[a-z]/ | "A"i)+ /x*/', ["abd", "abcabc", "Aax"], ["AB", ""]),
    ],
)
@pytest.mark.parametrize("dialect", ["hermes", "llama4_pythonic", "harmony"])
def test_a_text_may_be_what_the_grammar_says_and_nothing_else(
    definition: str, yes: list[str], no: list[str], dialect: str
) -> None:
    assert yes == [text for text in (*yes, *no) if allows(definition, text, dialect)]


def test_texts_of_random_weights_match_their_pattern_whatever_has_to_be_escaped() -> None:
    pick = random.Random(5)
    finished = 0
    for pattern in (
        r'["\\\n\té]{1,6}',
        r"(?:[^a-z]|x){2,4}",
        r".{0,5}\n[a-z\s]{1,3}",
        r'(a|"b"|\\c)+?d',
        r"[]^-]{1,3}\S",
    ):
        for _ in range(20):
            text = written(matcher(f"start: /{pattern}/"), pick)
            if text is not None:
                finished += 1
                assert re.fullmatch(pattern, text), (pattern, text)
    assert finished >= 60


def written(made: Matcher, pick: random.Random) -> str | None:
    """The text of a call of random weights; None when it did not end in time."""
    words = np.zeros(grammars().words, dtype=np.int32)
    tokens: list[int] = []
    for _ in range(200):
        made.fill(words)
        token = pick.choice(np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little")).tolist())
        if token == tokenizer().id("</s>"):
            call = tokenizer().decode(tokens)
            return str(json.loads(call[call.index("{") : call.rindex("}") + 1])["arguments"]["input"])
        assert made.accept(token)
        tokens.append(token)
    return None


@pytest.mark.parametrize(
    ("definition", "complaint"),
    [
        ("WORD: /a/", "the grammar has no rule `start`"),
        ("start: words", "the grammar has no rule `words`"),
        ("start: WORD\nWORD: /a/\nWORD: /b/", "two rules `WORD`"),
        ("start: WORD\nWORD.2: /a/", "a priority as in `WORD.2` is not supported"),
        ("start: A\nA: /a/\n%ignore A", "`%ignore` is not supported"),
        ("start: pair{A}\nA: /a/", "'{A}\\nA: /a/' in line 1 is not supported"),
        ('start: "a".."z"', "`..` is not supported"),
        ("%import python.NAME\nstart: NAME", "`%import python.NAME` is not supported"),
        ("%import common.SQL\nstart: SQL", "`common.SQL` is not supported"),
        ("start: /(?=a)b/", "groups that begin with `(?=a` are not supported"),
        ("start: /^a/", "anchors (`^`) are not supported"),
        (r"start: /(a)\1/", "references back are not supported"),
        (r"start: /a\b/", "`\\b` are not supported"),
        ("start: /a/x", "the flag `x` of /a/x is not supported"),
        ("start: /[a/", "one without an end, are not supported"),
        ("start: /(a/", "unmatched `(`"),
        (f"start: /{'(' * 5000}a{')' * 5000}/", "nested too deep"),
        (f"start: {'(' * 5000}A{')' * 5000}\nA: /a/", "too deep"),
        ("start: " + '"a" ' * 30_000, "too large to be enforced"),
    ],
)
def test_what_cannot_be_had_is_refused_by_name_at_the_tool(definition: str, complaint: str) -> None:
    with pytest.raises(Invalid) as caught:
        Rules(grammars().special).answer(named("hermes"), [tool(definition)], ONE)
    assert complaint in caught.value.message
    assert "tools.0.input_schema" == caught.value.field


def test_a_dialect_that_cannot_hold_a_grammar_says_so() -> None:
    with pytest.raises(Invalid, match="cannot be enforced in this model's tool-call format"):
        Rules({}).answer(named("qwen3_coder"), [tool('start: "a"')], ONE)
