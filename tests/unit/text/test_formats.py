"""Every dialect: what it writes is what it reads, however it is cut; nothing is lost, no markup is shown."""

import itertools
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haiga.core.errors import Invalid
from haiga.core.generation import Event, Finished, InputDelta, Reply, SignatureDelta, TextDelta, Usage, fold
from haiga.core.messages import Text, Thinking, ToolUse
from haiga.text.formats import FORMATS, Format, named, recognise
from haiga.text.stream import AnswerStream, ThinkTags

SCHEMAS: dict[str, dict[str, Any]] = {
    "weather": {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "days": {"type": "integer"},
            "exact": {"type": "boolean"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "where": {"type": "object", "properties": {"lat": {"type": "number"}, "name": {"type": "string"}}},
            "none": {"type": "null"},
        },
    },
    "now": {"type": "object", "properties": {}},
}
WORDS = st.text("ab \"'\\\n{}[](),:=é日😀", max_size=8)
ARGUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "city": WORDS,
        "days": st.integers(-999, 999),
        "exact": st.booleans(),
        "tags": st.lists(WORDS, max_size=3),
        "where": st.fixed_dictionaries({"lat": st.integers(-90, 90), "name": WORDS}),
        "none": st.none(),
    },
)
CALLS = st.lists(
    st.tuples(st.just("weather"), ARGUMENTS) | st.tuples(st.just("now"), st.just({})), min_size=1, max_size=3
)
EACH = pytest.mark.parametrize("format_", FORMATS, ids=lambda format_: format_.name)


def ids() -> Any:
    counter = itertools.count()
    return lambda: f"toolu_{next(counter)}"


def events_of(pieces: list[str], format_: Format, **options: Any) -> list[Event]:
    stream = AnswerStream(format=format_, schemas=SCHEMAS, new_id=ids(), **options)
    events = [event for piece in pieces for event in stream.feed(piece)]
    return [*events, *stream.finish()]


def reply_of(pieces: list[str], format_: Format, **options: Any) -> Reply:
    return fold([*events_of(pieces, format_, **options), Finished("end_turn", Usage())])


def calls_of(reply: Reply) -> list[tuple[str, Mapping[str, Any]]]:
    return [(block.name, block.input) for block in reply.content if isinstance(block, ToolUse)]


def said(format_: Format, text: str) -> str:
    """Words before the calls, where the dialect lets them stand."""
    if format_.channels:
        return f"<|channel|>final<|message|>{text}<|end|><|start|>assistant"
    return "" if format_.at_start else text


@EACH
@settings(max_examples=40)
@given(calls=CALLS)
def test_what_is_written_is_what_is_read(format_: Format, calls: list[tuple[str, dict[str, Any]]]) -> None:
    reply = reply_of([format_.encode(calls, SCHEMAS)], format_)
    assert calls == calls_of(reply)
    assert len(calls) == len(reply.content)


@EACH
@settings(max_examples=40)
@given(calls=CALLS, data=st.data())
def test_any_chopping_gives_what_the_whole_gives(format_: Format, calls: Any, data: st.DataObject) -> None:
    text = said(format_, "Let me see. ") + format_.encode(calls, SCHEMAS)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    chopped = [text[a:b] for a, b in itertools.pairwise([0, *cuts, len(text)])]
    assert reply_of([text], format_) == reply_of(chopped, format_) == reply_of(list(text), format_)


@EACH
@settings(max_examples=60)
@given(data=st.data())
def test_whatever_is_written_is_read_alike_in_any_pieces(format_: Format, data: st.DataObject) -> None:
    call = format_.encode([("weather", {"city": "a STOP"})], SCHEMAS)
    scraps = [
        call,
        call[:-3],
        format_.open,
        format_.close,
        "<think>",
        "</think>",
        "<thi",
        "STOP",
        "ST",
        " ",
        "\n",
        "words",
        "{",
    ]
    text = "".join(data.draw(st.lists(st.sampled_from(scraps), max_size=7)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    results = []
    for pieces in ([text], list(text), [text[a:b] for a, b in itertools.pairwise([0, *cuts, len(text)])]):
        stream = AnswerStream(("STOP",), format=format_, schemas=SCHEMAS, thinking=ThinkTags(), new_id=ids())
        events = [event for piece in pieces for event in stream.feed(piece)]
        reply = fold([*events, *stream.finish(), Finished("end_turn", Usage())])
        results.append((reply.content, stream.matched, stream.calls))
    assert results[0] == results[1] == results[2]
    assert not any("STOP" in block.text for block in results[0][0] if isinstance(block, Text))


@EACH
def test_text_before_a_call_is_a_block_without_markup(format_: Format) -> None:
    text = said(format_, "Let me see.\n") + format_.encode([("now", {})], SCHEMAS)
    words = () if format_.at_start else (Text("Let me see."),)
    assert (*words, ToolUse("toolu_0", "now", {})) == reply_of(list(text), format_).content


@EACH
@settings(max_examples=40)
@given(data=st.data())
def test_a_cut_answer_keeps_what_was_read(format_: Format, data: st.DataObject) -> None:
    text = format_.encode([("weather", {"city": "Paris", "days": 3}), ("now", {})], SCHEMAS)
    cut = text[: data.draw(st.integers(0, len(text)))]
    whole = "".join(event.partial_json for event in events_of([text], format_) if isinstance(event, InputDelta))
    begun = "".join(event.partial_json for event in events_of(list(cut), format_) if isinstance(event, InputDelta))
    assert whole.startswith(begun)
    assert not any(isinstance(event, TextDelta) and "Paris" in event.text for event in events_of([cut], format_))


@EACH
def test_arguments_come_as_whole_keys_and_values(format_: Format) -> None:
    text = format_.encode([("weather", {"city": "a, b", "tags": ["x", "y"]})], SCHEMAS)
    pieces = [event.partial_json for event in events_of(list(text), format_) if isinstance(event, InputDelta)]
    assert ['{"city": "a, b"', ', "tags": ["x", "y"]', "}"] == pieces


def test_eager_arguments_come_as_they_arrive() -> None:
    text = named("hermes").encode([("weather", {"city": "Paris"})], SCHEMAS)
    events = events_of(list(text), named("hermes"), eager={"weather"})
    pieces = [event.partial_json for event in events if isinstance(event, InputDelta)]
    assert list('{"city": "Paris"}') == pieces


def test_a_stop_string_inside_a_call_stands_for_itself() -> None:
    text = "One " + named("hermes").encode([("weather", {"city": "STOP"})], SCHEMAS) + "two STOP three"
    stream = AnswerStream(("STOP",), format=named("hermes"), schemas=SCHEMAS, new_id=ids())
    events = [*stream.feed(text), *stream.finish()]
    expected = (Text("One"), ToolUse("toolu_0", "weather", {"city": "STOP"}), Text("two "))
    assert expected == fold([*events, Finished("stop_sequence", Usage())]).content
    assert ("STOP", 1) == (stream.matched, stream.calls)


def test_what_is_no_call_after_all_is_text() -> None:
    assert (Text("[link](x) is fine"),) == reply_of(list("[link](x) is fine"), named("llama4_pythonic")).content
    assert (Text('{"name": "Ada"}'),) == reply_of(list('{"name": "Ada"}'), named("llama3_json")).content
    assert (Text("no json"),) == reply_of(["<tool_call>no json"], named("hermes")).content


def test_blanks_between_the_parts_do_not_matter() -> None:
    text = '<tool_call>{ "name" : "weather" ,"arguments":{"city":"x"} } </tool_call>'
    assert [("weather", {"city": "x"})] == calls_of(reply_of(list(text), named("hermes")))


def test_thoughts_become_thinking_blocks_with_a_signature() -> None:
    text = "<think>\nHm, <b>.\n</think>\n\nYes." + named("hermes").encode([("now", {})], SCHEMAS)
    reply = reply_of(list(text), named("hermes"), thinking=ThinkTags(), sign=lambda thought: f"signed {thought}")
    expected = (Thinking("Hm, <b>.", "signed Hm, <b>."), Text("Yes."), ToolUse("toolu_0", "now", {}))
    assert expected == reply.content


def test_a_thought_that_the_prompt_opened_is_read_from_its_start() -> None:
    stream = AnswerStream(("x",), thinking=ThinkTags(opened=True))
    events = [event for piece in "ax</think>bx" for event in stream.feed(piece)]
    reply = fold([*events, *stream.finish(), Finished("stop_sequence", Usage())])
    assert (Thinking("ax"), Text("b")) == reply.content
    assert not any(isinstance(event, SignatureDelta) for event in events)


def test_it_is_known_what_belongs_to_a_thought() -> None:
    stream = AnswerStream(thinking=ThinkTags())
    thinks = [(stream.feed(piece), stream.thinks)[1] for piece in ("<think>", "Hm.", "</think>", "Yes.")]
    assert [True, True, False, False] == thinks
    channels = AnswerStream(format=named("harmony"))
    pieces = ("<|channel|>analysis<|message|>", "Hm.", "<|end|>")
    assert [True, True, False] == [(channels.feed(piece), channels.thinks)[1] for piece in pieces]


def test_harmony_channels_become_thinking_text_and_calls() -> None:
    harmony = named("harmony")
    text = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant" + said(harmony, "Yes.")
    text += "<|start|>assistant to=functions.weather<|channel|>commentary json<|message|>" + json.dumps({"city": "x"})
    expected = (Thinking("Hm."), Text("Yes."), ToolUse("toolu_0", "weather", {"city": "x"}))
    assert expected == reply_of(list(text + "<|call|>"), harmony).content


SPELLED = {
    "hermes": '<tool_call>\n{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>',
    "qwen3_coder": "<tool_call>\n<function=example_function_name>\n<parameter=example>",
    "glm45": "<tool_call>{function-name}\n<arg_key>{k}</arg_key>\n<arg_value>{v}</arg_value>",
    "llama3_json": '<|start_header_id|> {"name": function name, "parameters": dictionary}: {{ \'"parameters": \' }}',
    "mistral": '{{ "[TOOL_CALLS][" }}',
    "mistral_args": "[TOOL_CALLS]name[ARGS]",
    "deepseek_v3": "<｜tool▁calls▁begin｜>\n```json",
    "deepseek_v31": "<｜tool▁calls▁begin｜>",
    "harmony": "<|start|>assistant<|channel|>final<|message|>",
    "kimi_k2": "<|im_system|>tool_declare<|im_middle|>",
    "granite": "<|start_of_role|>assistant<|tool_call|>",
    "phi4": "<|tool|>{{ tools }}<|/tool|>",
    "gemma": "<start_function_call>call:",
    "gemma4": "<|tool_call>call:' + name + '{}<tool_call|>",
    "phi4_object": "<|tool_call|>' + (tool_call['function'] | tojson) + '<|/tool_call|>",
    "generic": "{{ messages[0].content }}",
}


@pytest.mark.parametrize("name", SPELLED)
def test_a_dialect_is_recognised_by_its_chat_template(name: str) -> None:
    assert name == recognise(SPELLED[name]).name


def test_an_unknown_dialect_is_refused_with_the_known_ones() -> None:
    with pytest.raises(Invalid, match="no tool-call format 'x'; there are harmony"):
        named("x")
