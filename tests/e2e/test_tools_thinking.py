"""Thoughts through the Messages API: the official SDK, served models that think as their weights are written to."""

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest

from tests.chains import END, make_speaker
from tests.e2e.test_serve import Server, serving

TURNS = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.reasoning_content %}<think>{{ message.reasoning_content }}</think>{% endif %}"
    "{{ message.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
)
OPENS = TURNS + "<think>\n{% endif %}"
CHOOSES = TURNS + "{% if not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
PLAIN = TURNS.replace("think>", "hm>") + "{% endif %}"
ASK: Any = [{"role": "user", "content": "Well?"}]
BUDGET = 1024
ENABLED: Any = {"type": "enabled", "budget_tokens": BUDGET}
CLOCK: Any = {
    "name": "clock",
    "description": "Tells the time.",
    "input_schema": {"type": "object", "properties": {}, "additionalProperties": False},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Iterator[Server]:
    """`muse` never ends the thought that its template opens; `brief` opens and ends its thoughts by itself, whatever
    its template says; `caller` says a word and calls a tool; `planner` thinks and calls one."""
    made = tmp_path_factory.mktemp("models")
    muse = make_speaker(made / "muse", "\nzyz", f">OK{END}", template=OPENS)
    tags = ("<think>", "</think>")
    brief = make_speaker(made / "brief", f"\n<think>zy</think>OK{END}", template=CHOOSES, tokens=tags)
    caller = make_speaker(made / "caller", "\nL<tool_call>", template=PLAIN, tokens=("<tool_call>",))
    planner = make_speaker(
        made / "planner", "\n<think>zy</think><tool_call>", template=CHOOSES, tokens=(*tags, "<tool_call>")
    )
    models = [flag for path in (muse, brief, caller, planner) for flag in ("--model", f"{path.name}={path}")]
    with serving(data, "--no-starter", *models) as server:
        yield server


def create(server: Server, model: str, **fields: Any) -> anthropic.types.Message:
    asked = {"model": model, "max_tokens": 1100, "messages": ASK, **fields}
    message: anthropic.types.Message = server.client.messages.create(**asked)
    return message


def streamed(server: Server, model: str, **fields: Any) -> anthropic.types.Message:
    asked = {"model": model, "max_tokens": 1100, "messages": ASK, **fields}
    with server.client.messages.stream(**asked) as stream:
        message: anthropic.types.Message = stream.get_final_message()
    return message


def said(message: Any) -> list[tuple[str, str]]:
    """Each block's type and text, or a call's name."""
    shown = {"thinking": "thinking", "text": "text", "tool_use": "name"}
    return [(block.type, getattr(block, shown[block.type])) for block in message.content]


def thinking_tokens(message: Any) -> int:
    return int(message.usage.output_tokens_details.thinking_tokens)


def history(message: Any, **changed: Any) -> list[Any]:
    """A next turn; `changed` are fields of the first block."""
    first, *rest = (block.to_dict() for block in message.content)
    return [*ASK, {"role": "assistant", "content": [{**first, **changed}, *rest]}, *ASK]


@pytest.mark.parametrize("ask", [create, streamed])
def test_a_thought_ends_at_its_budget_and_the_answer_follows(server: Server, ask: Any) -> None:
    message = ask(server, "muse", thinking=ENABLED)
    (thought, text) = said(message)
    assert ("thinking", {"z", "y"}) == (thought[0], set(thought[1]))
    assert ("text", "OK") == text
    assert ("end_turn", BUDGET) == (message.stop_reason, thinking_tokens(message))
    assert BUDGET - len("</think>") == len(thought[1])
    assert message.usage.output_tokens == BUDGET + len("OK") + 1


def test_a_budget_does_not_hold_up_a_model_that_needs_less(server: Server) -> None:
    message = create(server, "brief", thinking=ENABLED)
    assert ([("thinking", "zy"), ("text", "OK")], "end_turn") == (said(message), message.stop_reason)
    assert len("zy") < thinking_tokens(message) + 1 < 8


@pytest.mark.parametrize("model", ["muse", "brief"])
@pytest.mark.parametrize("thinking", [{"type": "disabled"}, None, {"type": "between_tools"}])
def test_a_model_that_must_not_think_does_not_whatever_its_template_says(
    server: Server, model: str, thinking: Any
) -> None:
    fields = {"thinking": thinking} if thinking else {}
    assert [("text", "OK")] == said(create(server, model, **fields)) == said(streamed(server, model, **fields))


def test_adaptive_leaves_it_to_the_model(server: Server) -> None:
    assert [("thinking", "zy"), ("text", "OK")] == said(create(server, "brief", thinking={"type": "adaptive"}))
    endless = create(server, "muse", thinking={"type": "adaptive"}, max_tokens=50)
    assert ("max_tokens", 50, ["thinking"]) == (
        endless.stop_reason,
        thinking_tokens(endless),
        [block.type for block in endless.content],
    )


def test_a_thought_streams_with_its_signature_last(server: Server) -> None:
    asked: Any = {"model": "brief", "max_tokens": 50, "messages": ASK, "thinking": {"type": "adaptive"}}
    with server.client.messages.create(**asked, stream=True) as stream:
        kinds = [
            event.delta.type if event.type == "content_block_delta" else event.type
            for event in stream
            if getattr(event, "index", None) == 0
        ]
    deltas = kinds[1:-1]
    assert ("content_block_start", "content_block_stop") == (kinds[0], kinds[-1])
    assert ["signature_delta"] == [kind for kind in deltas if kind != "thinking_delta"] == deltas[-1:]


@pytest.mark.parametrize("ask", [create, streamed])
def test_an_omitted_thought_leaves_its_signature_and_comes_back_whole(server: Server, ask: Any) -> None:
    shown = ask(server, "brief", thinking={"type": "adaptive"})
    hidden = ask(server, "brief", thinking={"type": "adaptive", "display": "omitted"})
    assert [("thinking", ""), ("text", "OK")] == said(hidden)
    assert hidden.content[0].signature
    assert thinking_tokens(shown) == thinking_tokens(hidden)
    count = server.client.messages.count_tokens
    sizes = [count(model="brief", messages=history(each)).input_tokens for each in (shown, hidden)]
    assert sizes[0] == sizes[1] > count(model="brief", messages=history(shown, thinking="", signature="")).input_tokens


def test_a_thought_is_proved_when_it_comes_back(server: Server) -> None:
    message = create(server, "brief", thinking={"type": "adaptive"})
    assert [("text", "OK")] == said(create(server, "brief", messages=history(message)))
    for forged in ({"thinking": "other"}, {"signature": message.content[0].signature[:-4] + "AAA="}):
        with pytest.raises(anthropic.BadRequestError) as caught:
            create(server, "brief", messages=history(message, **forged))
        assert "messages.1.content.0.signature: Invalid `signature` in `thinking` block" in str(caught.value)
    for foreign in ("", "EqQBCkYIBxgCKkBx"):
        assert create(server, "brief", messages=history(message, thinking="theirs", signature=foreign))


def test_the_secret_is_its_owners_alone(server: Server, data: Path) -> None:
    kept = data / "signing.key"
    assert (0o600, 32) == (stat.S_IMODE(kept.stat().st_mode), kept.stat().st_size)


@pytest.mark.parametrize("ask", [create, streamed])
def test_between_tools_words_before_a_call_are_thoughts(server: Server, ask: Any) -> None:
    asked: Any = {"tools": [CLOCK], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}
    assert [("text", "L"), ("tool_use", "clock")] == said(ask(server, "caller", **asked))
    message = ask(server, "caller", **asked, thinking={"type": "between_tools"})
    assert [("thinking", "L"), ("tool_use", "clock")] == said(message)
    thought, call = message.content
    assert thought.signature
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "Noon."}
    talk = [*ASK, {"role": "assistant", "content": message.content}, {"role": "user", "content": [result]}]
    assert "tool_use" == create(server, "caller", **asked, messages=talk).stop_reason


def test_a_thought_before_a_call_is_sent_back_with_the_calls_result(server: Server) -> None:
    auto: Any = {"type": "auto", "disable_parallel_tool_use": True}
    asked: Any = {"tools": [CLOCK], "tool_choice": auto, "thinking": ENABLED}
    messages = list(ASK)
    for ask in (create, streamed, create):
        message = ask(server, "planner", **asked, messages=messages)
        assert ([("thinking", "zy"), ("tool_use", "clock")], "tool_use") == (said(message), message.stop_reason)
        result = {"type": "tool_result", "tool_use_id": message.content[1].id, "content": "Noon."}
        messages += [{"role": "assistant", "content": message.content}, {"role": "user", "content": [result]}]


def test_a_budget_holds_beside_the_grammar_of_tools(server: Server) -> None:
    message = create(server, "muse", thinking=ENABLED, tools=[CLOCK])
    assert (["thinking", "text"], BUDGET) == ([block.type for block in message.content], thinking_tokens(message))
    assert "OK" == message.content[1].text


def test_a_forced_call_or_a_schema_closes_the_thought_that_a_template_opens(server: Server) -> None:
    forced: Any = {"type": "any", "disable_parallel_tool_use": True}
    message = create(server, "muse", tools=[CLOCK], tool_choice=forced)
    assert ([("tool_use", "clock")], "tool_use") == (said(message), message.stop_reason)
    schema = {"type": "object", "properties": {"a": {"enum": ["b"]}}, "required": ["a"], "additionalProperties": False}
    output: Any = {"format": {"type": "json_schema", "schema": schema}}
    assert [("text", '{"a": "b"}')] == said(create(server, "muse", output_config=output))


def test_models_say_whether_they_think(server: Server) -> None:
    can = {model.id: model.capabilities for model in server.client.models.list()}
    assert {"muse": True, "brief": True, "caller": False, "planner": True} == {
        name: each.thinking.supported for name, each in can.items() if each
    }
