"""The starter's data functions on small inline samples, and the shipped tokenizer and template."""

import json
from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer
from tokenizers.pre_tokenizers import ByteLevel

from haiga.starter import text_path
from trainers.starter import dialogues, knowledge, lexicon, places, sources, stories, vocabulary
from trainers.starter.corpus import is_held_out
from trainers.starter.openers import HELD_OUT, OPENERS, normal
from trainers.starter_vision.network import PICTURE, RESERVED

USAGE = lexicon.Usage(
    words=Counter({"cat": 50, "mammal": 20, "ocean": 60, "mud": 30, "earth": 40}),
    after_a=Counter({"cat": 20, "mammal": 8}),
    after_the=Counter({"ocean": 55, "mud": 10}),
)
KENYA = {
    "Government": {
        "Country name": {"conventional short form": {"text": "Kenya"}},
        "Capital": {"name": {"text": "Nairobi"}},
    },
    "People and Society": {
        "Population": {"total": {"text": "58,246,378 (2024 est.)"}},
        "Languages": {"Languages": {"text": "English (official), Kiswahili (official), numerous indigenous languages"}},
    },
    "Geography": {"Land boundaries": {"border countries": {"text": "Ethiopia 867 km; Somalia 684 km"}}},
}


def sense(word: str, field: str, definition: str, pos: str = "noun", *examples: str) -> lexicon.Sense:
    return lexicon.Sense(word, pos, field, definition, examples, (), "")


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(text_path() / "tokenizer.json"))


@pytest.mark.parametrize(
    ("word", "expected"),
    [("cat", "a"), ("apple", "an"), ("hour", "an"), ("house", "a"), ("university", "a"), ("uncle", "an"), ("one", "a")],
)
def test_article_follows_the_sound(word: str, expected: str) -> None:
    assert expected == lexicon.article(word)


def test_short_definition_drops_remarks_and_all_after_the_first_semicolon() -> None:
    assert "a soft wet earth" == lexicon.short_definition("(geology) a soft (very) wet earth; found in rivers")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (sense("cat", "animal", "feline mammal having fur"), "A cat is a feline mammal having fur."),
        (sense("ocean", "object", "a large body of water"), "The ocean is a large body of water."),
        (sense("mud", "substance", "soft wet earth"), "Mud is soft wet earth."),
        (sense("run", "motion", "move fast", "verb"), "To run means to move fast."),
        (sense("brave", "all", "showing courage; able to face danger", "adjective"), "Brave means showing courage."),
    ],
)
def test_meaning_is_one_english_sentence(given: lexicon.Sense, expected: str) -> None:
    assert expected == lexicon.meaning(given, USAGE)


def test_example_is_added_only_when_it_is_a_short_sentence() -> None:
    assert ' For example: "the cat sat there."' == lexicon.example_of(
        sense("cat", "animal", "x", "noun", "the cat sat there")
    )
    assert "" == lexicon.example_of(sense("cat", "animal", "x", "noun", "cat"))


def test_lexicon_puts_the_part_of_speech_with_most_senses_first() -> None:
    entries = {"run": {"n": {"sense": [{"synset": "1-n"}]}, "v": {"sense": [{"synset": "2-v"}, {"synset": "3-v"}]}}}
    nouns = {"1-n": {"definition": ["a race"], "members": ["run"]}}
    verbs = {k: {"definition": [d], "members": ["run"]} for k, d in (("2-v", "move fast"), ("3-v", "flow"))}
    found = lexicon.load([("entries-r", entries), ("noun.act", nouns), ("verb.motion", verbs)], Counter({"run": 9}))
    assert ["move fast", "flow", "a race"] == [s.definition for s in found.senses["run"]]


def test_country_page_becomes_plain_sentences() -> None:
    kenya = places.country("africa", KENYA)
    assert kenya is not None
    assert (
        "Kenya is a country in Africa. Its capital is Nairobi. About 58 million people live there. "
        "People speak English and Kiswahili."
    ) == knowledge.describe(kenya)
    assert ("borders", "Kenya borders Ethiopia and Somalia.") in knowledge.single_facts(kenya)


def test_country_without_a_capital_is_left_out() -> None:
    assert (
        places.country("africa", {"Government": {"Country name": {"conventional short form": {"text": "X"}}}}) is None
    )


def test_plain_text_has_no_typographic_marks_or_emphasis() -> None:
    assert '"Yes," she said -- it\'s so.' == sources.plain("“_Yes_,” she said — it’s so.")


def test_unwrapped_joins_lines_and_keeps_paragraphs() -> None:
    assert "one two\n\nthree" == sources.unwrapped("one\ntwo\n \nthree\n")


def test_story_is_about_the_hero_and_meets_the_other() -> None:
    for seed in range(50):
        story = stories.told("old woman", Random(seed), other="bear")
        assert "old woman" in story.split(".")[0]
        assert "bear" in story
        assert story.endswith(".")
        assert "{" not in story


def test_story_depends_on_the_seed_alone() -> None:
    assert stories.told("fox", Random(5)) == stories.told("fox", Random(5))


def test_question_is_never_a_held_out_opener() -> None:
    forms = ("What is a cat?", "Tell me what a cat is.")
    drawn = {normal(dialogues.asked(forms, Random(seed))) for seed in range(100)}
    assert "tell me what a cat is" in drawn
    assert "what is a cat" not in drawn


def test_fixed_dialogues_lose_those_that_use_a_held_out_opener() -> None:
    clean = dialogues.single("What is a door?", "A door is a door.")
    make = dialogues.fixed([clean, dialogues.single("what is A CAT", "A cat.")])
    assert {clean} == {make(Random(seed)) for seed in range(20)}


def test_at_least_half_of_the_twenty_openers_are_held_out() -> None:
    assert 20 == len(OPENERS)
    assert 10 <= len(HELD_OUT)


def test_conversation_alternates_user_and_assistant_after_at_most_one_system_prompt() -> None:
    makers = [(dialogues.arithmetic, 1.0), (dialogues.persona, 1.0), (dialogues.remembered, 1.0)]
    for seed in range(100):
        roles = [role for role, _ in dialogues.conversation(makers, Random(seed))]
        spoken = roles[1:] if roles[0] == "system" else roles
        assert ["user", "assistant"] * (len(spoken) // 2) == spoken


def test_documents_are_held_out_by_name_not_by_order() -> None:
    documents = [sources.Document("book", f"chapter {n}", "text") for n in range(2000)]
    held = [d.title for d in documents if is_held_out(d)]
    assert held == [d.title for d in reversed(documents) if is_held_out(d)][::-1]
    assert 5 < len(held) < 50


def test_only_answers_and_their_end_token_count_fully(tokenizer: Tokenizer) -> None:
    ids, weights = vocabulary.encode(tokenizer, dialogues.single("Hi", "Hello."), 0.1)
    said = tokenizer.decode([i for i, w in zip(ids, weights, strict=True) if w == 1.0], skip_special_tokens=False)
    assert "Hello.<|im_end|>" == said


@given(text=st.text())
def test_shipped_tokenizer_returns_any_text(tokenizer: Tokenizer, text: str) -> None:
    assert text == tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids, skip_special_tokens=False)


def test_shipped_tokenizer_has_a_token_for_every_byte(tokenizer: Tokenizer) -> None:
    assert set(ByteLevel.alphabet()) <= set(tokenizer.get_vocab())


def test_shipped_special_tokens_keep_their_ids(tokenizer: Tokenizer) -> None:
    names = [PICTURE if name == RESERVED else name for name in vocabulary.SPECIAL]
    assert list(range(len(names))) == [tokenizer.token_to_id(name) for name in names]


def test_shipped_template_renders_chatml() -> None:
    config = json.loads((text_path() / "tokenizer_config.json").read_text(encoding="utf-8"))
    template = ImmutableSandboxedEnvironment().from_string(config["chat_template"])
    turns = [("system", "Be kind."), ("user", "Hi"), ("assistant", "Hello."), ("user", "Bye")]
    expected = (
        "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
        "<|im_start|>assistant\nHello.<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n"
    )
    messages = [{"role": role, "content": text} for role, text in turns]
    assert expected == template.render(messages=messages, add_generation_prompt=True)
    assert expected == vocabulary.prompt(turns)


def test_shipped_configuration_ends_at_both_end_tokens() -> None:
    config = json.loads((text_path() / "generation_config.json").read_text(encoding="utf-8"))
    assert [vocabulary.SPECIAL.index("<|im_end|>"), vocabulary.SPECIAL.index("<|endoftext|>")] == config["eos_token_id"]
