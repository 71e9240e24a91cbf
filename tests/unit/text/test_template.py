"""Chat templates: found, rendered as transformers renders them, bounded, asked what they can do."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from haiga.core.errors import Invalid
from haiga.text.template import Abilities, BlankLines, Boundless, ChatTemplate
from tests.unit.text import builders

NOW = datetime(2026, 11, 22)
TALK = [{"role": "user", "content": "  Hello <b>you</b> "}, {"role": "assistant", "content": "Hi."}]
TALK = [*TALK, {"role": "user", "content": "wörld\n\n"}]
TALKS = {
    "plain": TALK,
    "system": [{"role": "system", "content": " Be brief. "}, *TALK],
    "one": TALK[:1],
}


def template(source: str) -> ChatTemplate:
    return ChatTemplate(source, builders.SPECIAL, now=lambda: NOW)


def peer(name: str, turns: list[dict[str, Any]], generate: bool) -> str:
    made = PreTrainedTokenizerFast(tokenizer_object=builders.byte_level(), **builders.SPECIAL)
    source = builders.TEMPLATES[name].replace('strftime_now("%d %b %Y")', '"22 Nov 2026"')
    text: str = made.apply_chat_template(turns, chat_template=source, tokenize=False, add_generation_prompt=generate)
    return text


@pytest.mark.parametrize("generate", [True, False])
@pytest.mark.parametrize(
    ("name", "talk"),
    [(name, talk) for name in builders.TEMPLATES for talk in TALKS if (name, talk) != ("gemma", "system")],
)
def test_rendering_equals_transformers(name: str, talk: str, generate: bool) -> None:
    ours = template(builders.TEMPLATES[name]).render(TALKS[talk], generate=generate)
    assert peer(name, TALKS[talk], generate) == ours


def test_tool_calls_and_results_equal_transformers() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": {"q": "<é> & 'x'", "n": [1, None]}}}
    turns = [*TALK[:1], {"role": "assistant", "content": "", "tool_calls": [call]}, {"role": "tool", "content": "ok"}]
    assert peer("llama", turns, True) == template(builders.LLAMA).render(turns)


def test_json_has_the_extras_and_no_html_escapes() -> None:
    source = "{{ {'b': '<é>', 'a': 1}|tojson(indent=2, sort_keys=true, ensure_ascii=true) }}{{ {'x': '&'}|tojson }}"
    assert '{\n  "a": 1,\n  "b": "<\\u00e9>"\n}{"x": "&"}' == template(source).render([])


def test_generation_tags_leave_their_body() -> None:
    source = "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}"
    assert "  Hello <b>you</b> Hi.wörld\n\n" == template(source).render(TALK)


def test_loop_controls_work() -> None:
    source = "{% for m in messages %}{% if loop.index > 1 %}{% break %}{% endif %}{{ m.role }}{% endfor %}"
    assert "user" == template(source).render(TALK)


def test_a_refusal_carries_the_templates_own_words() -> None:
    with pytest.raises(Invalid, match="conversation roles must alternate") as refused:
        template(builders.MISTRAL).render([TALK[0], TALK[0]])
    assert "messages" == refused.value.field


def test_a_template_that_is_no_template_names_the_line() -> None:
    with pytest.raises(Invalid, match="chat template, line 2"):
        template("\n{% for %}")


HOSTILE = [
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "{% macro f(n) %}{{ f(n - 1) ~ f(n - 1) if n }}{% endmacro %}{{ f(90) }}",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "{% set n = namespace(x='aaaa') %}{% for a in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "{% set n = namespace(x='aaaa') %}{% for a in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "{% set n = namespace(x='aaaa') %}{% for a in range(99) %}{% set n.x = n.x|replace('a', n.x) %}{% endfor %}",
    "{% set n = namespace(x='aaaa') %}{% for a in range(99) %}{% set n.x = n.x.replace('a', n.x) %}{% endfor %}",
    "{% set n = namespace(x='aaaa') %}{% for a in range(99) %}{% set y %}{{ n.x }}{{ n.x }}{% endset %}"
    "{% set n.x = y %}{% endfor %}",
    "{% set n = namespace(x=[1]) %}{% for a in range(99) %}{% set n.x = [n.x, n.x] %}{% endfor %}",
    "{% set n = namespace(x=9) %}{% for a in range(99) %}{% set n.x = n.x * n.x %}{% endfor %}",
    "{% set x = 'a' * 9000000 %}{% for a in range(99999) %}{{ 'b' in x }}{% endfor %}",
    "{% set x = 'a' * 9000000 %}{% for a in range(99999) %}{% set y = x[1:] %}{% endfor %}",
    "{{ 'a' * 9999999999 }}",
    "{{ [0] * 9999999999 }}",
    "{{ 'a'.ljust(9999999999) }}",
    "{{ '%9999999999d' % 1 }}",
    "{{ '{:9999999999}'.format(1) }}",
    "{{ ('{0}' * 99999).format('a' * 99999) }}",
    "{{ '%9999999999d'|format(1) }}",
    "{{ 'a\n'|indent(9999999999) }}",
    "{{ ('a' * 99999).join(range(99999)|map('string')) }}",
    "{{ range(99999)|join('a' * 99999) }}",
]


@pytest.mark.parametrize("source", HOSTILE)
def test_a_hostile_template_is_refused(source: str) -> None:
    with pytest.raises(Boundless):
        template(source)


@pytest.mark.parametrize(
    "source", ["{{ ''.__class__ }}", "{{ messages.append(1) }}", "{{ cycler }}", "{{ namespace }}"]
)
def test_a_template_sees_plain_values_alone(source: str) -> None:
    try:
        shown = template(source).render(TALK)
    except Invalid:
        shown = ""
    assert "" == shown


ABILITIES = {
    "chatml": Abilities(),
    "llama": Abilities(tools=False, calls=True),
    "mistral": Abilities(later_system=False),
    "gemma": Abilities(system=False, later_system=False),
    "qwen": Abilities(tools=True, calls=True),
}


@pytest.mark.parametrize("name", ABILITIES)
def test_what_a_template_can_do_is_found_by_asking(name: str) -> None:
    assert ABILITIES[name] == template({**builders.TEMPLATES, "qwen": builders.QWEN}[name]).abilities


def test_a_template_that_walks_over_parts_is_given_parts() -> None:
    source = "{% for m in messages %}{% for p in m.content %}{{ p.text }}{% endfor %}{% endfor %}"
    assert template(source).abilities.parts


def test_arguments_as_text_and_short_ids_are_found() -> None:
    source = (
        "{% for m in messages %}{% if m.tool_calls is defined %}{% for c in m.tool_calls %}"
        "{% if c.id|length != 9 %}{{ raise_exception('ids have length 9') }}{% endif %}"
        "{{ c.function.name + c.function.arguments }}{% endfor %}{% else %}{{ m.content }}{% endif %}{% endfor %}"
    )
    abilities = template(source).abilities
    assert (True, True, True) == (abilities.calls, abilities.short_ids, abilities.arguments_text)


def test_the_template_is_found_in_each_of_its_places(tmp_path: Path) -> None:
    assert ChatTemplate.load(tmp_path) is None
    named = [{"name": "default", "template": "d"}, {"name": "tool_use", "template": "t"}]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": named}))
    loaded = ChatTemplate.load(tmp_path)
    assert loaded is not None
    assert ("d", "t") == (loaded.render([]), loaded.render([], tools=[{}]))
    (tmp_path / "chat_template.json").write_text(json.dumps({"chat_template": "j"}))
    (tmp_path / "chat_template.jinja").write_text("file")
    assert "file" == getattr(ChatTemplate.load(tmp_path), "source", None)


def test_without_a_template_contents_are_joined_by_blank_lines() -> None:
    assert "a\n\nb" == BlankLines().render([{"role": "system", "content": "a"}, {"role": "user", "content": "b"}])
