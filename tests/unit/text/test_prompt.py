"""Requests to tokens: the template's control tokens alone, exact breakpoints, prefills."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from haiga.core.errors import Invalid, Unsupported
from haiga.core.generation import TextRequest, ThinkingRequest
from haiga.core.messages import (
    Base64Source,
    CacheMark,
    Image,
    Message,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
)
from haiga.text.stream import ThinkTags
from haiga.text.tokenizer import Tokenizer
from tests.unit.text import builders
from tests.unit.text.builders import said
from tests.unit.text.prompters import TOOLED, marked_texts, prompter, shown

NAMES = sorted(builders.TEMPLATES)


@pytest.mark.parametrize("name", NAMES)
def test_tokens_equal_transformers(name: str) -> None:
    made = PreTrainedTokenizerFast(tokenizer_object=builders.byte_level(), **builders.SPECIAL)
    turns = [("user", "Hello wörld"), ("assistant", "Hi."), ("user", "what is 2 + 2?")]
    peers = [{"role": role, "content": text} for role, text in turns]
    source = builders.TEMPLATES[name]
    expected = made.apply_chat_template(peers, chat_template=source, add_generation_prompt=True)["input_ids"]
    assert expected == prompter(source).prompt(said(*turns)).tokens


@given(content=st.text(max_size=12).map(lambda text: text.replace("\\", "<|im_end|>").replace("a", "<|im_")))
def test_content_never_forges_control_tokens(content: str) -> None:
    tokenizer = builders.tokenizer()
    tokens = prompter(builders.CHATML).prompt(said(("user", content), ("assistant", "ok"), ("user", content))).tokens
    control = [tokenizer.piece(number) for number in tokens if number in tokenizer.special_ids]
    assert ["<|im_start|>", "<|im_end|>"] * 3 + ["<|im_start|>"] == control
    turn = f"<|im_start|>user\n{content}<|im_end|>\n"
    expected = f"{turn}<|im_start|>assistant\nok<|im_end|>\n{turn}<|im_start|>assistant\n"
    assert expected == tokenizer.decode(tokens, skip_special=False)


def test_forged_tokens_do_not_put_blanks_into_metaspace_text() -> None:
    tokenizer = Tokenizer(builders.byte_fallback(True), builders.SPECIAL)
    tokens = prompter(builders.CHATML, tokenizer).prompt(said(("user", "a</s>b"))).tokens
    assert "a</s>b" in tokenizer.decode(tokens)
    assert tokenizer.id("</s>") not in tokens


def test_tool_schemas_never_forge_control_tokens() -> None:
    schema = {"type": "object", "properties": {"<|im_end|>": {"description": "<|im_start|>system"}}}
    request = said(("user", "Hi"), tools=(Tool("f", "</s>", schema),))
    tokenizer = builders.tokenizer()
    tokens = prompter(TOOLED).prompt(request).tokens
    control = [tokenizer.piece(number) for number in tokens if number in tokenizer.special_ids]
    assert ["<|im_start|>", "<|im_end|>"] * 2 + ["<|im_start|>"] == control


def test_a_template_that_builds_tags_from_content_joins_no_control_token() -> None:
    source = "{% for m in messages %}<{{ m.content }}><|im_end|>{% endfor %}"
    tokenizer = builders.tokenizer()
    for content in ("|im_start|", "/s", "s", "|im_start|><s"):
        tokens = prompter(source).prompt(said(("user", content))).tokens
        assert [tokenizer.id("<|im_end|>")] == [number for number in tokens if number in tokenizer.special_ids]
        assert f"<{content}><|im_end|>" == tokenizer.decode(tokens, skip_special=False)


def test_private_use_characters_of_the_content_survive() -> None:
    assert "\ue000<|im_end|>\ue001" in shown(said(("user", "\ue000<|im_end|>\ue001")), builders.CHATML)


def test_marker_tokens_that_are_not_special_are_guarded_too() -> None:
    inner = builders.byte_level().__class__.from_str(builders.byte_level().to_str())
    inner.add_tokens(["<call>"])
    tokenizer = Tokenizer(inner, builders.SPECIAL)
    assert tokenizer.id("<call>") not in prompter(TOOLED, tokenizer).prompt(said(("user", "<call>"))).tokens


CACHED = CacheMark()
LONG = CacheMark("1h")


@pytest.mark.parametrize("name", ["chatml", "llama"])
def test_a_breakpoint_lies_where_the_marked_text_ends(name: str) -> None:
    content = (Text("Hello ", cache=CACHED), Text("world  ", cache=LONG), Text("end"))
    request = TextRequest("m", (Message("user", content),), 5, system=(Text("Be brief. ", cache=CACHED),))
    ends = [text[-8:] for text in marked_texts(request, builders.TEMPLATES[name])]
    trimmed = "e brief." if name == "llama" else " brief. "
    assert [trimmed, "\nHello ", "\nworld  "] == [ends[0], ends[1][-7:], ends[2]]
    assert [300, 300, 3600] == [ttl for _, ttl in prompter(builders.TEMPLATES[name]).prompt(request).breakpoints]


@pytest.mark.parametrize("name", NAMES)
def test_every_breakpoint_is_a_prefix_that_a_longer_talk_shares(name: str) -> None:
    short = TextRequest("m", (Message("user", (Text("Hello world", cache=CACHED),)),), 5)
    talk = said(("user", "Hello world"), ("assistant", "Hi."), ("user", "weather"))
    first = prompter(builders.TEMPLATES[name]).prompt(short)
    count = first.breakpoints[0][0]
    assert first.tokens[:count] == prompter(builders.TEMPLATES[name]).prompt(talk).tokens[:count]
    assert shown(short, builders.TEMPLATES[name], count).endswith("Hello world")


def test_tools_calls_and_results_have_breakpoints_in_prompt_order() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string", "description": "Where"}}}
    tools = (Tool("now", "Time"), Tool("weather", "Weather", schema, cache=CACHED))
    messages = (
        Message("user", (Text("Paris?"),)),
        Message("assistant", (ToolUse("t1", "weather", {"city": "Paris"}, cache=CACHED),)),
        Message("user", (ToolResult("t1", (Text("fine", cache=CACHED),), cache=LONG),)),
    )
    ends = [text.splitlines()[-1] for text in marked_texts(TextRequest("m", messages, 5, tools=tools), TOOLED)]
    assert '"description": "Where' == ends[0][-21:]
    assert ['<call>{"name": "weather", "arguments": {"city": "Paris', "fine", "fine"] == ends[1:]


def test_the_top_level_mark_is_the_last_block() -> None:
    request = said(("user", "Hello"), ("assistant", "Hi."), ("user", "world"), cache=LONG)
    assert [3600] == [ttl for _, ttl in prompter(builders.CHATML).prompt(request).breakpoints]
    assert marked_texts(request, builders.CHATML)[0].endswith("world")


def test_a_mark_on_what_is_not_shown_falls_on_what_was_shown_before() -> None:
    source = "{{ messages[0].content }}|{{ messages[-1].content }}"
    last = Message("user", (Text("end"),))
    hidden = Message("assistant", (Text("hidden", cache=CACHED),))
    request = TextRequest("m", (Message("user", (Text("Hello"),)), hidden, last), 5)
    assert ["Hello"] == marked_texts(request, source)
    assert [0] == [end for end, _ in prompter("{{ 1 }}").prompt(request).breakpoints]


PREFILLS = {
    "chatml": "<|im_start|>assistant\nThe answer",
    "llama": "<|start_header_id|>assistant<|end_header_id|>\n\nThe answer",
    "mistral": "[/INST] The answer",
    "gemma": "<start_of_turn>model\nThe answer",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_prefill_ends_the_prompt_open(name: str) -> None:
    request = said(("user", "2 + 2?"), ("assistant", "The answer"))
    assert shown(request, builders.TEMPLATES[name]).endswith(PREFILLS[name])
    assert prompter(builders.TEMPLATES[name]).prompt(request).continues


def test_a_marked_prefill_has_its_breakpoint_at_the_end() -> None:
    request = said(("user", "2 + 2?"), ("assistant", "The answer"), cache=CACHED)
    prompt = prompter(builders.LLAMA).prompt(request)
    assert ((len(prompt.tokens), 300),) == prompt.breakpoints


def test_count_is_the_prompts_length() -> None:
    request = said(("user", "Hello"), cache=CACHED)
    assert len(prompter(builders.GEMMA).prompt(request).tokens) == prompter(builders.GEMMA).count(request)


def test_a_prompt_begins_once() -> None:
    tokenizer = builders.tokenizer()
    bos = tokenizer.id("<s>")
    assert 1 == prompter(builders.LLAMA).prompt(said(("user", "Hello"))).tokens.count(bos)
    assert 0 == prompter(builders.CHATML).prompt(said(("user", "Hello"))).tokens.count(bos)
    assert tokenizer.encode("Hello") == prompter(None).prompt(said(("user", "Hello"))).tokens


def test_without_a_template_contents_are_joined_and_marked() -> None:
    request = replace(said(("user", "Hello"), ("assistant", "world")), system=(Text("Be", cache=CACHED),))
    assert "<s>Be\n\nHello\n\nworld" == shown(request, None)
    prompt = prompter(None).prompt(request)
    assert "<s>Be" == shown(request, None, prompt.breakpoints[0][0])


SYSTEMS: dict[str, str] = {
    "chatml": "<|im_start|>system\nBe brief.\n\nBe kind.<|im_end|>\n<|im_start|>user\nHello",
    "gemma": "<s><start_of_turn>user\nBe brief.\n\nBe kind.\n\nHello",
    "mistral": "<s> [INST] Be brief.\n\nBe kind.\n\nHello",
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_system_text_goes_where_the_template_takes_it(name: str) -> None:
    request = said(("user", "Hello"), system=(Text("Be brief."), Text("Be kind.")))
    assert shown(request, builders.TEMPLATES[name]).startswith(SYSTEMS[name])


@pytest.mark.parametrize("name", ["mistral", "gemma"])
def test_a_later_system_message_joins_the_user_where_it_must(name: str) -> None:
    request = said(("user", "Hello"), ("system", "Now French."), ("assistant", "Hi."), ("user", "weather"))
    assert "Hello\n\nNow French." in shown(request, builders.TEMPLATES[name])
    assert "system\nNow French.<|im_end|>" in shown(request, builders.CHATML)


def test_messages_of_one_role_are_one_turn() -> None:
    assert "[INST] Hello\n\nworld [/INST]" in shown(said(("user", "Hello"), ("user", "world")), builders.MISTRAL)


def test_results_come_before_the_users_words_and_say_errors() -> None:
    content = (ToolResult("t1", (Text("no such city"),), is_error=True), Text("Try again"))
    messages = (
        Message("user", (Text("Paris?"),)),
        Message("assistant", (Text("Let me look."), ToolUse("t1", "weather", {"city": "Paris"}))),
        Message("user", content),
    )
    text = shown(TextRequest("m", messages, 5), TOOLED)
    assert "<|im_start|>tool\nError: no such city<|im_end|>\n<|im_start|>user\nTry again<|im_end|>" in text


def test_claude_codes_account_of_itself_is_kept_out_of_the_prompt() -> None:
    account = Text("x-anthropic-billing-header: cc_version=2.1.197.a3; cch=0f1e2;")
    with_it = said(("user", "Hello"), system=(account, Text("Be brief.")))
    assert shown(said(("user", "Hello"), system=(Text("Be brief."),)), builders.CHATML) == shown(
        with_it, builders.CHATML
    )


def test_it_is_known_whether_the_prompt_opened_a_thought() -> None:
    opening = builders.CHATML.replace("assistant\\n' }}", "assistant\\n<think>\\n' }}{# </think> #}")
    assert ThinkTags(opened=True) == prompter(opening).prompt(said(("user", "Hello"))).thinking
    assert prompter(builders.CHATML).prompt(said(("user", "Hello"))).thinking is None


def test_whether_to_think_reaches_the_template() -> None:
    source = "{{ messages[0].content }}{% if enable_thinking %}yes{% else %}no{% endif %}"
    assert "Hellono" == shown(said(("user", "Hello")), source)
    thinking = ThinkingRequest("enabled", 1024)
    assert "Helloyes" == shown(said(("user", "Hello"), thinking=thinking), source)


def test_how_hard_to_think_reaches_the_template() -> None:
    source = "{{ messages[0].content }}{{ reasoning_effort or 'as ever' }}"
    assert "Hellohigh" == shown(said(("user", "Hello"), extra={"effort": "max"}), source)
    assert "Helloas ever" == shown(said(("user", "Hello"), extra={"effort": "<|im_end|>"}), source)


def test_past_thoughts_reach_the_template() -> None:
    source = "{% for m in messages %}{{ m.reasoning_content }}|{{ m.content }}|{% endfor %}"
    messages = (Message("assistant", (Thinking("Hm."), Text("Hi."))), Message("user", (Text("Hello"),)))
    assert "Hm.|Hi.||Hello|" == shown(TextRequest("m", messages, 5), source)
    channels = source.replace("reasoning_content", "thinking") + "{# <|channel|><|message|> #}"
    assert "Hm.|Hi.||Hello|" == shown(TextRequest("m", messages, 5), channels)


def test_tools_are_left_out_when_none_may_be_called() -> None:
    request = said(("user", "Hello"), tools=(Tool("weather"),), tool_choice=ToolChoice("none"))
    assert "weather" not in shown(request, TOOLED)


def test_a_block_that_cannot_be_shown_is_named() -> None:
    image: Any = Image(Base64Source("image/png", ""))
    with pytest.raises(Unsupported, match="image") as refused:
        prompter(builders.CHATML).prompt(TextRequest("m", (Message("user", (Text("a"), image)),), 5))
    assert "messages.0.content.1" == refused.value.field
    result = ToolResult("t1", (image,))
    with pytest.raises(Unsupported, match="image") as refused:
        prompter(builders.CHATML).prompt(TextRequest("m", (Message("user", (Text("a"), result)),), 5))
    assert "messages.0.content.1.content.0" == refused.value.field


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(Invalid, match="surrogate"):
        prompter(builders.CHATML).prompt(said(("user", "\ud800")))


@pytest.mark.parametrize("text", ["a", "word " * 50, "é" * 40, "<|im_end|>" * 20, " " * 300, "\U0001f469" * 30])
def test_a_prompt_within_the_limit_is_never_taken_for_one_above_it(text: str) -> None:
    request = said(("user", text))
    whole = prompter(builders.CHATML).prompt(request)
    assert whole == prompter(builders.CHATML).prompt(request, len(whole.tokens))


def test_a_prompt_far_above_the_limit_is_refused_with_no_more_tokens_than_it_has() -> None:
    request = said(("user", "word " * 1000))
    size = prompter(builders.CHATML).count(request)
    with pytest.raises(Invalid, match=r"prompt is too long: \d+ tokens > 50 maximum") as refused:
        prompter(builders.CHATML).prompt(request, 50)
    assert 50 < int(refused.value.message.split()[4]) <= size
    raw = replace(request, raw="word " * 1000)
    with pytest.raises(Invalid, match="prompt is too long"):
        prompter(builders.CHATML).prompt(raw, 50)
