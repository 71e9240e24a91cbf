"""The tool dialogues that the starter is trained on, its bare names, and its template's tool section."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from haiga.starter import text_path
from haiga.text.formats import recognise
from haiga.text.formats.hermes import HERMES
from haiga.text.template import ChatTemplate
from trainers.starter import calls, dialogues, places, vocabulary
from trainers.starter.toolbox import KINDS, Tool, Toolbox, related, shown, written
from trainers.starter.values import ALWAYS_HELD, Facts, Values, is_held
from trainers.starter_vision.network import seeing_template

FACTS = Facts(
    cities=("Paris", "Oslo", "Lima", "Rome", "Cairo", "Quito", "Dakar", "Bergen"),
    countries=("Kenya", "Peru", "Chile", "Ghana", "Fiji", "Spain"),
    people=("Anna", "Tom", "Mina", "Sara", "Ben", "Lucy"),
    nouns=tuple(
        f"{first}{last}" for first in ("cat", "door", "lamp", "boat") for last in ("", "s", "ful", "ing", "er")
    ),
)
SEEDS = range(150)


@pytest.fixture(scope="module")
def box() -> Toolbox:
    return Toolbox(Values(FACTS))


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(text_path() / "tokenizer.json"))


@pytest.fixture(scope="module")
def template() -> ChatTemplate:
    found = ChatTemplate.load(text_path())
    assert found is not None
    return found


def wish(box: Toolbox, seed: int) -> calls.Wish:
    return box.drawn(Random(seed), 1)[0](Random(seed))


def test_every_argument_can_be_copied_from_the_question(box: Toolbox) -> None:
    for seed in SEEDS:
        wished = wish(box, seed)
        for _, given_ in wished.calls:
            assert [] == [v for v in map(str, given_.values()) if v not in wished.question], wished.question


def test_a_call_fits_its_tool_s_schema(box: Toolbox) -> None:
    for seed in SEEDS:
        wished = wish(box, seed)
        for name, given_ in wished.calls:
            assert wished.tool.name == name
            assert set(wished.tool.required) <= set(given_) <= set(wished.tool.properties)
            assert [key for key in wished.tool.properties if key in given_] == list(given_)


def test_the_last_of_every_list_of_questions_is_kept_for_trials(box: Toolbox) -> None:
    assert {"a", "b"} == {box.chosen(("a", "b", "c"), Random(seed)) for seed in SEEDS}
    assert "c" == Toolbox(Values(FACTS, held=True)).chosen(("a", "b", "c"), Random(1))


def test_held_out_cities_and_kinds_are_never_asked_for_in_training(box: Toolbox) -> None:
    for seed in SEEDS:
        wished = wish(box, seed)
        assert not KINDS.get(wished.tool.kind, {}).get("held")
        assert [] == [city for city in ALWAYS_HELD if city in wished.question]


def test_a_held_out_draw_has_nothing_of_training() -> None:
    held = Values(FACTS, held=True)
    assert {"Paris", "Oslo", "Lima"} <= {held.draw("city", Random(seed)) for seed in SEEDS}
    assert all(is_held(held.draw("city2", Random(seed))) for seed in SEEDS)


def test_tools_of_one_prompt_have_names_of_their_own_and_do_not_do_the_same_sums(box: Toolbox) -> None:
    for seed in SEEDS:
        tools = [ask(Random(seed)).tool for ask in box.drawn(Random(seed), 5)]
        assert 5 == len({tool.name for tool in tools})
        assert 1 >= sum(tool.kind in ("plus", "times", "calculator") for tool in tools)


def test_what_is_refused_is_near_to_no_tool_at_hand(box: Toolbox) -> None:
    assert related("weather", ["forecast"])
    assert related("alarm", ["search"])
    assert not related("weather", ["alarm", "music"])
    assert () == tuple(calls.unable(box, ["search"], Random(1)))


def test_a_dialogue_with_tools_tells_what_came_back(box: Toolbox) -> None:
    make = calls.with_tools(box, dialogues.jokes)
    results = 0
    for seed in SEEDS:
        turns = make(Random(seed))
        roles = [role for role, _ in turns]
        assert ("system", "assistant") == (roles[0], roles[-1])
        for at, role in enumerate(roles):
            if role == "tool":
                results += 1
                assert roles[at - 1] in ("assistant", "tool")
                assert "<tool_call>" not in turns[at][1]
    assert len(SEEDS) < results


def test_the_shipped_template_speaks_hermes_and_shows_pictures_tools_calls_and_results(template: ChatTemplate) -> None:
    assert HERMES == recognise(template.source)
    assert seeing_template() == template.source
    assert (True, True) == (template.abilities.tools, template.abilities.calls)


@pytest.mark.parametrize("system", ["", "Be kind."])
def test_training_sees_tools_as_the_template_writes_them(box: Toolbox, template: ChatTemplate, system: str) -> None:
    for seed in SEEDS:
        asked = [ask(Random(seed)) for ask in box.drawn(Random(seed), 1 + seed % 5)]
        first, tools = asked[0], [each.tool for each in asked]
        told = [{"role": "system", "content": system}] if system else []
        made = [{"type": "function", "function": {"name": name, "arguments": dict(of)}} for name, of in first.calls]
        messages = [
            *told,
            {"role": "user", "content": first.question},
            {"role": "assistant", "content": "", "tool_calls": made},
            *({"role": "tool", "content": result} for result in first.results),
        ]
        turns = [
            ("system", f"{system}\n\n{shown(tools)}" if system else shown(tools)),
            ("user", first.question),
            ("assistant", written(first.calls)),
            *(("tool", result) for result in first.results),
        ]
        assert vocabulary.prompt(turns) == template.render(messages, tools=[tool.function for tool in tools])
        assert HERMES.encode(first.calls, {}) == written(first.calls)


def test_a_schema_that_says_more_is_shown_whole(template: ChatTemplate) -> None:
    schema = {
        "type": "object",
        "properties": {"at": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/day"}]}, "any": True},
        "required": ["at"],
        "$defs": {"day": {"enum": [1, 2]}},
    }
    function = {"name": "plan", "description": "Plans.", "parameters": schema}
    shown_ = template.render([{"role": "user", "content": "Hi"}], tools=[{"type": "function", "function": function}])
    assert (
        "<|im_start|>system\nYou can call these tools:\n"
        '"plan": Plans.\n- "at" any, anyOf [{"type": "string"}, {"$ref": "#/$defs/day"}]\n- "any" any, optional\n'
        '- $defs {"day": {"enum": [1, 2]}}<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n'
    ) == shown_


def test_a_name_is_cut_alike_in_a_question_and_in_a_call(tokenizer: Tokenizer) -> None:
    for name in sorted(ALWAYS_HELD):
        asked, called = tokenizer.encode(f"in {name}").tokens[1:], tokenizer.encode(f'"{name}').tokens[1:]
        assert [asked[0].removeprefix(vocabulary.BLANK), *asked[1:]] == called


def test_bare_names_change_nothing_but_words_that_begin_with_a_capital() -> None:
    letters = ["Ġ", *"Paers"]
    merges = [("Ġ", "P"), ("a", "r"), ("ĠP", "ar"), ("ar", "e")]
    vocabulary_ = {token: at for at, token in enumerate([*letters, *("".join(pair) for pair in merges)])}
    plain = Tokenizer(models.BPE(vocab=vocabulary_, merges=merges))
    bare = vocabulary.with_bare_names(plain)
    assert ["P", "ar"] == plain.encode("Par").tokens
    assert (["Par"], ["ĠPar"]) == (bare.encode("Par").tokens, bare.encode("ĠPar").tokens)
    assert plain.encode("ĠspareĠares").tokens == bare.encode("ĠspareĠares").tokens
    assert bare.to_str() == vocabulary.with_bare_names(bare).to_str()


@given(text=st.text())
def test_the_tool_section_does_not_depend_on_the_description_s_letters(text: str) -> None:
    tool = Tool("invented", "open_door", text, {"door": {"type": "string"}}, ("door",))
    assert f'You can call these tools:\n"open_door": {text}\n- "door" string' == shown([tool])


def test_cities_are_read_from_a_country_s_page() -> None:
    page = {
        "Government": {"Capital": {"name": {"text": "Dakar"}}},
        "People and Society": {
            "Major urban areas - population": {"text": "3.340 million DAKAR (capital), 1.1 million SAINT-LOUIS (2023)"}
        },
        "Transportation": {"Ports": {"key ports": {"text": "Dakar, Karabane, M'bao Oil Terminal"}}},
    }
    assert ("Dakar", "Dakar", "Saint-Louis", "Dakar", "Karabane", "M'bao Oil Terminal") == places.cities(page)
