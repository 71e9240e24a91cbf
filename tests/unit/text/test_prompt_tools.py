"""Tools in prompts: shown by the template, or told in the dialect's own words."""

from dataclasses import replace

from transformers import PreTrainedTokenizerFast

from haiga.core.generation import TextRequest
from haiga.core.messages import (
    CacheMark,
    Message,
    Text,
    Tool,
    ToolResult,
    ToolUse,
)
from haiga.text.stream import ThinkTags
from haiga.text.tokenizer import Tokenizer
from tests.unit.text import builders
from tests.unit.text.prompters import TOOLED, marked_texts, prompter, shown

TALK_OF_TOOLS = TextRequest(
    "m",
    (
        Message("user", (Text("Paris?"),)),
        Message("assistant", (Text("Let me look."), ToolUse("t1", "weather", {"city": "Paris"}))),
        Message("user", (ToolResult("t1", (Text("fine"),)), Text("And now?"))),
    ),
    5,
    system=(Text("Be brief."),),
    tools=(Tool("weather", "Tells it", {"type": "object", "properties": {"city": {"type": "string"}}}),),
)


def test_a_talk_with_tools_equals_transformers_in_a_tool_template() -> None:
    made = PreTrainedTokenizerFast(tokenizer_object=builders.byte_level(), **builders.SPECIAL)
    tool = TALK_OF_TOOLS.tools[0]
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.schema)}
    call = {"id": "t1", "type": "function", "function": {"name": "weather", "arguments": {"city": "Paris"}}}
    peers = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Paris?"},
        {"role": "assistant", "content": "Let me look.", "tool_calls": [call]},
        {"role": "tool", "content": "fine", "name": "weather", "tool_call_id": "t1"},
        {"role": "user", "content": "And now?"},
    ]
    expected = made.apply_chat_template(
        peers,
        tools=[{"type": "function", "function": function}],
        chat_template=builders.QWEN,
        add_generation_prompt=True,
        enable_thinking=False,
    )["input_ids"]
    assert expected == prompter(builders.QWEN).prompt(TALK_OF_TOOLS).tokens
    assert ("hermes", ThinkTags()) == (
        prompter(builders.QWEN).format.name,
        prompter(builders.QWEN).prompt(TALK_OF_TOOLS).thinking,
    )


def test_past_calls_look_as_the_dialect_writes_them() -> None:
    written = prompter(builders.QWEN).format.encode([("weather", {"city": "Paris"})], {})
    assert f"Let me look.\n{written}<|im_end|>" in shown(TALK_OF_TOOLS, builders.QWEN)


def test_a_model_without_tool_template_is_told_of_its_tools() -> None:
    text = shown(TALK_OF_TOOLS, builders.CHATML)
    assert '{"name": "weather", "description": "Tells it", "parameters": {"type": "object"' in text
    call = '<tool_call>{"name": "weather", "arguments": {"city": "Paris"}}</tool_call>'
    assert f"assistant\nLet me look.\n{call}<|im_end|>\n" in text
    assert "user\n<tool_response>\nfine\n</tool_response>\n\nAnd now?<|im_end|>" in text
    assert text.index("weather") < text.index("Be brief.")
    assert "generic" == prompter(builders.CHATML).format.name


def test_our_own_markup_is_control_tokens_and_what_it_encloses_is_not() -> None:
    inner = builders.byte_level().__class__.from_str(builders.byte_level().to_str())
    inner.add_special_tokens(["<tool_call>", "</tool_call>"])
    tokenizer = Tokenizer(inner, builders.SPECIAL)
    call = ToolUse("t1", "weather", {"city": "</tool_call>"})
    request = TextRequest("m", (Message("user", (Text("<tool_call>"),)), Message("assistant", (call,))), 5)
    tokens = prompter(builders.CHATML, tokenizer).prompt(request).tokens
    assert [1, 1] == [tokens.count(tokenizer.id(text)) for text in ("<tool_call>", "</tool_call>")]
    assert '{"city": "</tool_call>"}}</tool_call><|im_end|>' in tokenizer.decode(tokens, skip_special=False)


def test_a_model_is_told_of_tools_in_its_own_dialect() -> None:
    source = builders.CHATML + "{# <｜tool▁calls▁begin｜> #}"
    call = "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>weather<｜tool▁sep｜>"
    assert call + '{"city": "Paris"}<｜tool▁call▁end｜><｜tool▁calls▁end｜><|im_end|>' in shown(TALK_OF_TOOLS, source)


def test_ids_that_stand_for_names_are_written_so() -> None:
    source = TOOLED.replace("<call>{{ c.function|tojson }}</call>", "{{ c.id }}{{ c.function.arguments|tojson }}")
    source = source.replace("{{ m.content|trim }}", "{{ m.tool_call_id }}{{ m.content|trim }}") + "{# tool_declare #}"
    assert "functions.weather:0{" in shown(TALK_OF_TOOLS, source.replace("tool_declare", "<|im_system|>tool_declare"))


def test_a_mark_on_a_described_tool_lies_in_the_system_text() -> None:
    request = replace(TALK_OF_TOOLS, tools=(replace(TALK_OF_TOOLS.tools[0], cache=CacheMark()),))
    assert marked_texts(request, builders.CHATML)[0].endswith('"description": "Tells it')


def test_the_dialect_is_the_templates_own_where_it_shows_tools() -> None:
    hermes = TOOLED.replace("<call>", "<tool_call>").replace("</call>", "</tool_call>")
    assert "hermes" == prompter(hermes).format.name


def test_markup_tokens_are_to_be_shown() -> None:
    inner = builders.byte_level().__class__.from_str(builders.byte_level().to_str())
    inner.add_special_tokens(["<tool_call>", "<think>", "</think>"])
    tokenizer = Tokenizer(inner, builders.SPECIAL)
    made = prompter(builders.CHATML + "{# <think></think> #}", tokenizer)
    assert {tokenizer.id(text) for text in ("<tool_call>", "<think>", "</think>")} == made.shown
