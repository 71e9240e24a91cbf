"""Grammars: each dialect's accepts what its encoder writes and nothing beside; choices and schemas are obeyed."""

import json
import random
from functools import cache, reduce
from typing import Any

import jsonschema_rs
import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from haiga.core.errors import Invalid
from haiga.core.messages import Tool, ToolChoice
from haiga.text.formats import FORMATS, Format, named
from haiga.text.grammar import Grammars, Matcher, Rules, answer_grammar, schema_grammar
from haiga.text.stream import ThinkTags
from haiga.text.tokenizer import Tokenizer
from tests.unit.text import builders
from tests.unit.text.test_formats import EACH, SCHEMAS, calls_of, reply_of

MARKERS = [
    "<｜tool▁calls▁begin｜>",
    "<｜tool▁call▁begin｜>",
    "<｜tool▁sep｜>",
    "<｜tool▁call▁end｜>",
    "<｜tool▁calls▁end｜>",
]
MARKERS += ["<|channel|>", "<|message|>", "<|constrain|>", "<|call|>", "<|end|>", "<|start|>", "[TOOL_CALLS]", "[ARGS]"]
MARKERS += ["<|tool_calls_section_begin|>", "<|tool_call_begin|>", "<|tool_call_argument_begin|>", "<|tool_call_end|>"]
MARKERS += [
    "<|tool_calls_section_end|>",
    "<|tool_call|>",
    "<|/tool_call|>",
    "<escape>",
    "<tool_call>",
    "<think>",
    "</think>",
]
MARKERS += ['<|"|>', "<|tool_call>", "<tool_call|>"]
TOOLS = tuple(Tool(name, schema=schema) for name, schema in SCHEMAS.items())
WORDS = st.text("ab \"'\\{}[](),:=é日", max_size=6)
ARGUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "city": WORDS,
        "days": st.integers(-999, 999),
        "exact": st.booleans(),
        "tags": st.lists(WORDS, max_size=2),
        "where": st.builds(lambda lat, name: {"lat": lat, "name": name}, st.integers(-90, 90), WORDS),
        "none": st.none(),
    },
)


def ordered(arguments: dict[str, Any]) -> dict[str, Any]:
    """In the schema's order, which a grammar asks for."""
    return {key: arguments[key] for key in SCHEMAS["weather"]["properties"] if key in arguments}


CALL = st.tuples(st.just("weather"), ARGUMENTS.map(ordered)) | st.tuples(st.just("now"), st.just({}))


@cache
def tokenizer(marked: bool = True) -> Tokenizer:
    """With every marker a special token, or none of them."""
    inner = tokenizers.Tokenizer.from_str(builders.byte_level().to_str())
    if marked:
        inner.add_special_tokens(MARKERS)
    return Tokenizer(inner, builders.SPECIAL)


@cache
def grammars(marked: bool = True) -> Grammars:
    return Grammars(tokenizer(marked), [tokenizer(marked).id("</s>") or 0])


def matcher(
    format_: Format, mode: str = "any", name: str | None = None, marked: bool = True, **options: Any
) -> Matcher:
    choice = ToolChoice(mode, name, options.pop("parallel", True))  # type: ignore[arg-type]
    grammar = answer_grammar(format_, options.pop("tools", TOOLS), choice, grammars(marked).special, **options)
    assert grammar is not None
    return grammars(marked).matcher(grammar)


def accepts(matcher: Matcher, text: str, marked: bool = True) -> bool:
    """Whether the whole text is allowed, token by token, and may end there."""
    return all(matcher.accept(token) for token in tokenizer(marked).encode(text, special=False)) and matcher.may_end


@pytest.mark.parametrize(
    ("format_", "marked"), [(each, mark) for each in FORMATS for mark in sorted({True, each.channels})]
)
@settings(max_examples=20)
@given(calls=st.lists(CALL, min_size=1, max_size=3))
def test_what_the_encoder_writes_is_accepted(format_: Format, marked: bool, calls: list[Any]) -> None:
    assert accepts(matcher(format_, marked=marked), format_.encode(calls, SCHEMAS), marked)


@EACH
@settings(max_examples=20)
@given(calls=st.lists(CALL, min_size=1, max_size=2), data=st.data())
def test_what_is_accepted_is_read_as_calls_that_fit_their_schemas(
    format_: Format, calls: list[Any], data: st.DataObject
) -> None:
    text = format_.encode(calls, SCHEMAS)
    place = data.draw(st.integers(0, len(text)))
    mutated = text[:place] + data.draw(st.sampled_from(["", "x", "{", '"', "1", " "])) + text[place + 1 :]
    if accepts(matcher(format_), mutated):
        read = calls_of(reply_of([mutated], format_))
        assert len(calls) == len(read)
        assert all(jsonschema_rs.is_valid(SCHEMAS[name], dict(arguments)) for name, arguments in read)


@EACH
def test_what_breaks_the_dialect_or_the_schema_is_rejected(format_: Format) -> None:
    fits = format_.encode([("weather", {"city": "x", "days": 3})], SCHEMAS)
    assert accepts(matcher(format_), fits)
    broken = [fits[:-1] if format_.close or format_.after else fits[:-2], fits.replace("weather", "whether")]
    broken += [format_.encode([("weather", {"city": "x", "days": "many"})], SCHEMAS), "Hello", ""]
    assert [] == [text for text in broken if accepts(matcher(format_), text)]


@EACH
def test_a_named_tool_is_the_only_one_allowed(format_: Format) -> None:
    assert accepts(matcher(format_, "tool", "now"), format_.encode([("now", {})], SCHEMAS))
    assert not accepts(matcher(format_, "tool", "now"), format_.encode([("weather", {})], SCHEMAS))


@EACH
def test_parallel_calls_can_be_switched_off(format_: Format) -> None:
    twice = format_.encode([("now", {}), ("now", {})], SCHEMAS)
    assert accepts(matcher(format_), twice)
    assert not accepts(matcher(format_, parallel=False), twice)
    assert accepts(matcher(format_, parallel=False), format_.encode([("now", {})], SCHEMAS))


@EACH
def test_auto_is_free_until_a_call_is_opened(format_: Format) -> None:
    words = "<|channel|>final<|message|>Hello { [world" if format_.channels else "Hello { [world"
    call = format_.encode([("now", {})], SCHEMAS)
    before = "" if format_.channels or format_.at_start else "Hello. "
    assert accepts(matcher(format_, "auto"), words)
    assert accepts(matcher(format_, "auto"), before + call)
    assert format_.at_start == accepts(matcher(format_, "auto"), before + call.replace("now", "never"))


@EACH
def test_none_never_opens_a_call(format_: Format) -> None:
    words = "<|channel|>final<|message|>Hello" if format_.channels else "Hello"
    assert accepts(matcher(format_, "none"), words)
    for marked in (True, format_.channels):
        text = format_.encode([("now", {})], SCHEMAS)
        assert not accepts(matcher(format_, "none", marked=marked), text, marked)


def test_on_channels_a_forced_call_follows_nothing_but_thoughts() -> None:
    harmony = named("harmony")
    call = harmony.encode([("now", {})], SCHEMAS)
    thought = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant"
    words = thought.replace("analysis", "commentary")
    for mode, free in (("any", False), ("tool", False), ("auto", True)):
        name = "now" if mode == "tool" else None
        assert accepts(matcher(harmony, mode, name), thought + thought + call)
        assert free == accepts(matcher(harmony, mode, name), words + call)
        assert free == accepts(matcher(harmony, mode, name), thought + words + call)


def sampled(matcher: Matcher, pick: random.Random, likely: frozenset[int], steps: int = 400) -> list[int] | None:
    """An answer of random weights; None when it did not end in time."""
    words = np.zeros(grammars().words, dtype=np.int32)
    tokens: list[int] = []
    for _ in range(steps):
        matcher.fill(words)
        allowed = np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little"))
        weights = [40.0 if token in likely else 1.0 for token in allowed.tolist()]
        token = pick.choices(allowed.tolist(), weights)[0]
        if token == tokenizer().id("</s>"):
            return tokens
        assert matcher.accept(token)
        tokens.append(token)
    return None


ENDING = frozenset(
    tokenizer().id(text) or 0 for text in ('"', "</s>", "}", "]", ")", "<escape>", '<|"|>', "<", "/", ">", "\n")
)


def test_answers_of_random_weights_are_valid_json_of_their_schema() -> None:
    pick = random.Random(1)
    finished = 0
    for schema in (SCHEMAS["weather"], {"enum": ["a", 1, None]}, {"type": "array", "items": {"type": "boolean"}}):
        for _ in range(15):
            tokens = sampled(grammars().matcher(schema_grammar(schema, grammars().special)), pick, ENDING)
            if tokens is not None:
                finished += 1
                assert jsonschema_rs.is_valid(schema, json.loads(tokenizer().decode(tokens)))
    assert finished >= 30


def random_schema(pick: random.Random, depth: int = 0) -> dict[str, Any]:
    kinds = ["string", "integer", "number", "boolean", "null", "enum", "anyOf"] + ["array", "object"] * (depth < 3)
    match pick.choice(kinds):
        case "string":
            return {"type": "string", "maxLength": pick.randint(0, 4)}
        case "integer":
            return {"type": "integer", "minimum": -pick.randint(0, 50), "maximum": pick.randint(0, 50)}
        case "number":
            return {"type": "number", "minimum": 0, "maximum": pick.randint(1, 9)}
        case "enum":
            return {"enum": pick.sample(["a", "é", 1, 2.5, None, True, [], {"x": "y"}], pick.randint(1, 4))}
        case "anyOf":
            return {"anyOf": [random_schema(pick, depth + 1) for _ in range(2)]}
        case "array":
            return {"type": "array", "items": random_schema(pick, depth + 1), "maxItems": pick.randint(0, 3)}
        case "object":
            properties = {f"k{at}": random_schema(pick, depth + 1) for at in range(pick.randint(0, 3))}
            required = [key for key in properties if pick.random() < 0.5]
            return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
        case kind:
            return {"type": kind}


def test_every_answer_of_random_weights_to_a_random_schema_is_valid() -> None:
    pick = random.Random(3)
    finished = 0
    for _ in range(180):
        schema = random_schema(pick)
        grammar = schema_grammar(schema, grammars().special)
        for _ in range(3):
            tokens = sampled(grammars().matcher(grammar), pick, frozenset())
            if tokens is not None:
                finished += 1
                assert jsonschema_rs.is_valid(schema, json.loads(tokenizer().decode(tokens)))
    assert finished >= 500


@EACH
def test_calls_of_random_weights_are_read_and_fit_their_schema(format_: Format) -> None:
    pick = random.Random(2)
    finished = 0
    for _ in range(12):
        tokens = sampled(matcher(format_, parallel=False), pick, ENDING)
        if tokens is None:
            continue
        finished += 1
        [(name, arguments)] = calls_of(reply_of(list(decoded(tokens)), format_))
        assert jsonschema_rs.is_valid(SCHEMAS[name], dict(arguments))
    assert finished >= 3


def decoded(tokens: list[int]) -> str:
    return tokenizer().decode(tokens, skip_special=False)


def test_a_thought_that_the_prompt_opened_comes_first() -> None:
    thinking = ThinkTags(opened=True)
    text = "Hm. <tool_call> or not?</think>\n\n" + named("hermes").encode([("now", {})], SCHEMAS)
    assert accepts(matcher(named("hermes"), "auto", marked=False, thinking=thinking), text, False)
    assert not accepts(matcher(named("hermes"), "any", marked=False, thinking=thinking), "Hm.</think>no", False)


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("mode", ["auto", "none", "any"])
@pytest.mark.parametrize("name", ["hermes", "llama3_json", "qwen3_coder"])
def test_the_model_may_think_first_of_its_own_accord(name: str, mode: str, marked: bool) -> None:
    call = named(name).encode([("now", {})], SCHEMAS)
    musing = "Hm, < [ { or not? " if marked else f"Hm, {call} or not? "
    words = ("Hello", call)[mode == "any"]
    for thought in ("", f"<think>{musing}</think>\n\n", f"\n<think>{musing}</think>"):
        made = matcher(named(name), mode, marked=marked, thinking=ThinkTags())
        assert accepts(made, thought + words, marked)
        other = matcher(named(name), mode, marked=marked, thinking=ThinkTags())
        assert (mode != "none") == accepts(other, thought + call, marked)


@EACH
def test_a_schema_never_forces_a_control_token(format_: Format) -> None:
    properties = {"<|im_end|>": {"type": "integer"}, "pick": {"enum": ["</s>", "b"]}}
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    grammar = Rules(grammars().special).answer(format_, (Tool("f", schema=schema),), ToolChoice("any"))
    text = format_.encode([("f", {"<|im_end|>": 3, "pick": "b"})], {"f": schema})
    made = grammars().matcher(grammar or "")
    refused = next(token for token in tokenizer().encode(text, special=False) if not made.accept(token))
    assert "<|im_end|>" == tokenizer().piece(refused)


@pytest.mark.parametrize("marked", [True, False])
def test_an_answer_held_to_a_schema_may_follow_a_thought(marked: bool) -> None:
    grammar = schema_grammar({"type": "boolean"}, grammars(marked).special, ThinkTags())
    for text, fits in (
        ("true", True),
        ("<think>Hm.</think>\ntrue", True),
        ("<think>Hm.</think>no", False),
        ("no", False),
    ):
        assert fits == accepts(grammars(marked).matcher(grammar), text, marked)


def test_without_tools_the_model_is_free() -> None:
    assert answer_grammar(named("hermes"), (), ToolChoice(), {}) is None


def test_a_choice_of_an_unknown_tool_is_refused() -> None:
    with pytest.raises(Invalid, match="Tool 'x' not found in provided tools"):
        answer_grammar(named("hermes"), TOOLS, ToolChoice("tool", "x"), {})


ODD = {
    "type": "object",
    "properties": {
        "not": {"not": {"type": "string"}},
        "look": {"type": "string", "pattern": "^(?=a)b"},
        "days": {"type": "integer"},
    },
    "required": ["days"],
    "propertyNames": {"pattern": "a"},
}


@pytest.mark.parametrize("name", ["hermes", "qwen3_coder", "llama4_pythonic", "gemma"])
def test_what_cannot_be_enforced_is_refused_for_a_strict_tool(name: str) -> None:
    tools = (TOOLS[0], Tool("f", schema=ODD, strict=True))
    with pytest.raises(Invalid, match="cannot be enforced") as refused:
        Rules(grammars().special).answer(named(name), tools, ToolChoice())
    assert "tools.1.input_schema" == refused.value.field


@pytest.mark.parametrize("name", ["hermes", "qwen3_coder", "llama4_pythonic", "gemma"])
def test_the_rest_is_enforced_for_any_other_tool(name: str) -> None:
    tools = (TOOLS[0], Tool("f", schema=ODD))
    grammar = Rules(grammars().special).answer(named(name), tools, ToolChoice("tool", "f"))
    for days, fits in ((3, True), ("many", False)):
        text = named(name).encode([("f", {"days": days})], {"f": ODD})
        assert fits == accepts(grammars().matcher(grammar or ""), text)


def test_an_output_schema_that_cannot_be_enforced_is_refused_by_keyword() -> None:
    with pytest.raises(Invalid, match=r'Unimplemented keys: \["not"\]') as refused:
        Rules({}).schema({"not": {"type": "string"}})
    assert "output_config.format.schema" == refused.value.field


def test_a_keyword_that_the_notation_cannot_enforce_is_named() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^a"}}}
    with pytest.raises(Invalid, match=r"properties\.a\.pattern cannot be enforced") as refused:
        Rules({}).answer(named("qwen3_coder"), (Tool("f", schema=schema, strict=True),), ToolChoice("any"))
    assert "tools.0.input_schema" == refused.value.field


EXPLODING: list[dict[str, Any]] = [
    {"enum": [str(number) for number in range(200_000)]},
    {"type": "string", "pattern": "(((a{1,200}){1,200}){1,200}){1,200}(b|c)*x"},
    {"type": "array", "items": {"type": "string", "maxLength": 10**9}, "minItems": 10**6},
    reduce(lambda inner, _: {"type": "array", "items": inner}, range(600), {"type": "boolean"}),
    reduce(lambda inner, _: {"anyOf": [inner, {"type": "array", "items": inner}]}, range(14), {"type": "null"}),
    {"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}]}}},
]


@pytest.mark.parametrize("schema", EXPLODING, ids=["enum", "pattern", "items", "deep", "branching", "recursion"])
def test_a_schema_that_explodes_is_refused_or_harmless(schema: dict[str, Any]) -> None:
    try:
        made = grammars().matcher(Rules({}).schema(schema))
        made.fill(np.zeros(grammars().words, dtype=np.int32))
        assert made.problem is None or "too" in made.problem or "NoExtension" in made.problem  # nothing can follow
    except Invalid as refused:
        assert "too" in refused.message


def test_every_end_token_is_allowed_where_the_answer_may_end_and_nothing_beyond_the_vocabulary() -> None:
    ends = [tokenizer().id(text) or 0 for text in ("</s>", "<|im_end|>")]
    wide = Grammars(tokenizer(), ends, len(tokenizer()) + 100)
    words = np.full((len(tokenizer()) + 100 + 31) // 32, -1, np.int32)
    made = wide.matcher(schema_grammar({"type": "boolean"}, {}))
    assert accepts(made, "true")
    made.fill(words)
    assert (words.size, ends) == (
        wide.words,
        np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little")).tolist(),
    )


def test_matchers_of_one_grammar_do_not_know_of_each_other() -> None:
    one, other = (grammars().matcher(schema_grammar({"type": "boolean"}, {})) for _ in range(2))
    assert accepts(one, "true")
    assert accepts(other, "false")


def test_forced_tokens_are_told_ahead() -> None:
    made = matcher(named("hermes"), "tool", "now")
    assert '<tool_call>\n{"name": "now", "arguments": {'.startswith(decoded(made.forced()))
