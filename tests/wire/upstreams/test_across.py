"""Between families by core values: the golden conversation there and back."""

from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest

from haiga.core.generation import Choice, Finished, Usage, fold
from haiga.core.messages import Text, Thinking, ToolUse
from haiga.core.upstreams import Kind
from haiga.wire.anthropic.messages_in import read_message
from haiga.wire.anthropic.messages_out import MessageStream, write_message
from haiga.wire.openai_chat.read import Form, read_chat
from haiga.wire.openai_chat.stream import ChatStream
from haiga.wire.openai_chat.write import write_chat
from haiga.wire.openrouter.read import read_router_chat
from tests.far_server import Answer, Asked, Far, whole
from tests.unit.wire.anthropic.test_anthropic_writing import frames, gathered
from tests.unit.wire.events import USAGE, interleaved
from tests.unit.wire.openai.answers import chunks, folded
from tests.unit.wire.test_families_agree import anthropic_history, carried, history
from tests.wire.upstreams.served import VERSION, Fronted, fronted

GOLDEN = fold(interleaved())
SAID = ("First this.Then that.", "I look. And again.", [("c1", "look", {"at": "the söa"}), ("c2", "look", {})])
# the golden conversation's usage, as far as a chat can tell it: what was written lives five minutes there
CHAT_USAGE = Usage(input=3, creation_5m=3, cache_read=4, output=7, thinking=5)


def by_messages(asked: Asked) -> Answer:
    """An Anthropic that says the golden conversation."""
    if not asked.body.get("stream"):
        return whole(write_message(GOLDEN, id="msg_far", model="claude-far"))
    stream = MessageStream("msg_far", "claude-far")
    return Answer([stream.write(event) for event in interleaved()])


def by_chat(asked: Asked) -> Answer:
    """An OpenAI that says it. Signatures have no place in that form."""
    form = Form(stream=True, include_usage=True)
    if not asked.body.get("stream"):
        return whole(write_chat([GOLDEN], form, id="chatcmpl-far", model="gpt-far", created=0))
    writer = ChatStream(form, id="chatcmpl-far", model="gpt-far", created=0)
    events: list[Choice | Finished] = [*(Choice(0, event) for event in interleaved()), Finished("tool_use", USAGE)]
    return Answer([frame for event in events if (frame := writer.write(event))])


PLAYED: list[tuple[Kind, Callable[[Asked], Answer], str]] = [
    ("anthropic", by_messages, "claude-far"),
    ("openai", by_chat, "gpt-far"),
    ("openrouter", lambda asked: (by_messages if "messages" in asked.path else by_chat)(asked), "openrouter/a/b"),
]


@pytest.fixture(params=PLAYED, ids=[kind for kind, _, _ in PLAYED])
def played(request: pytest.FixtureRequest) -> Iterator[tuple[Fronted, str]]:
    kind, script, model = request.param
    with fronted(kind, script) as through:
        yield through, model


def ask(through: Fronted, path: str, body: dict[str, Any]) -> bytes:
    answer = through.near.post(path, json=body, headers=VERSION if "messages" in path else {})
    assert 200 == answer.status_code, answer.content
    return answer.content


HI = [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize("streamed", [False, True])
def test_every_upstream_says_the_golden_conversation_to_a_messages_client(
    played: tuple[Fronted, str], streamed: bool
) -> None:
    through, model = played
    said = ask(through, "/v1/messages", {"model": model, "max_tokens": 9, "messages": HI, "stream": streamed})
    message = gathered(frames(said)) if streamed else orjson.loads(said)
    content = anthropic_history([part for part in message["content"] if part.get("text") != ""], GOLDEN)[1].content
    assert (SAID, model) == (carried(content), message["model"])
    assert ("tool_use", 7) == (message["stop_reason"], message["usage"]["output_tokens"])


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/v1/chat/completions"])
@pytest.mark.parametrize("streamed", [False, True])
def test_every_upstream_says_the_golden_conversation_to_a_chat_client(
    played: tuple[Fronted, str], path: str, streamed: bool
) -> None:
    through, model = played
    said = ask(through, path, {"model": model, "messages": HI, "stream": streamed})
    body = chunks(said) if streamed else []  # type: ignore[arg-type]
    message = folded(body)[0]["message"] if streamed else orjson.loads(said)["choices"][0]["message"]
    read = read_router_chat if path.startswith("/api") else None
    given = history(message, GOLDEN)
    content = (read(given).chat if read else read_chat(given)).request.messages[1].content
    assert SAID == carried(content)
    assert model == (body[0] if streamed else orjson.loads(said))["model"]


def test_every_upstream_says_the_golden_conversation_to_a_responses_client(played: tuple[Fronted, str]) -> None:
    through, model = played
    said = orjson.loads(ask(through, "/api/v1/responses", {"model": model, "input": "hi"}))
    calls = [
        (item["call_id"], orjson.loads(item["arguments"])) for item in said["output"] if item["type"] == "function_call"
    ]
    texts = [part["text"] for item in said["output"] if item["type"] == "message" for part in item["content"]]
    assert ([("c1", {"at": "the söa"}), ("c2", {})], "I look. And again.") == (calls, "".join(texts))
    assert (model, 7) == (said["model"], said["usage"]["output_tokens"])


# --- the conversation as history, on its way out ---

TAKES = {"type": "object", "properties": {"at": {"type": "string"}}}
TOOL = {"name": "look", "description": "Look.", "input_schema": TAKES}
RESULT = {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "blue"}]}
ANSWER = {"type": "object", "properties": {}, "additionalProperties": False}
DATA = "data:image/png;base64,iVBORw=="
PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw=="}}
ASKED: dict[str, Any] = {
    "max_tokens": 9,
    "system": [{"type": "text", "text": "Be short.", "cache_control": {"type": "ephemeral"}}],
    "tools": [TOOL],
    "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
    "stop_sequences": ["END"],
    "temperature": 0.5,
    "output_config": {"format": {"type": "json_schema", "schema": ANSWER}},
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "hi"}, PICTURE]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Where?", "signature": "sig"},
                {"type": "text", "text": "Looking."},
                {"type": "tool_use", "id": "c1", "name": "look", "input": {"at": "the söa"}},
            ],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "blue"}]}],
        },
    ],
}


def sent(far: Far) -> Asked:
    return far.asked[-1]


def test_a_message_s_request_reaches_a_chat_with_all_that_it_can_carry() -> None:
    with fronted("openai", by_chat) as through:
        ask(through, "/v1/messages", {**ASKED, "model": "gpt-far"})
        body = sent(through.far).body
        read = read_chat(sent(through.far).data).request
    assert ["system", "user", "assistant", "tool"] == [message["role"] for message in body["messages"]]
    assert "data:image/png;base64,iVBORw==" == body["messages"][1]["content"][1]["image_url"]["url"]
    assert ("required", False) == (body["tool_choice"], body["parallel_tool_calls"])
    assert (9, 0.5, ["END"]) == (body["max_completion_tokens"], body["temperature"], body["stop"])
    assert "json_schema" == body["response_format"]["type"]
    assert ("Where?", "Looking.", [("c1", "look", {"at": "the söa"})]) == carried(read.messages[1].content)
    assert [Text("blue")] == [block for result in read.messages[2].content for block in getattr(result, "content", ())]


def test_a_chat_s_request_reaches_a_messages_api_with_all_that_it_can_carry() -> None:
    function = {"name": "look", "description": "Look.", "parameters": TAKES}
    body: dict[str, Any] = {
        "model": "claude-far",
        "temperature": 1.5,
        "stop": "END",
        "tools": [{"type": "function", "function": function}],
        "tool_choice": {"type": "function", "function": {"name": "look"}},
        "messages": [
            {"role": "system", "content": "Be short."},
            {
                "role": "user",
                "content": [{"type": "image_url", "image_url": {"url": DATA}}],
            },
            {
                "role": "assistant",
                "content": "Looking.",
                "reasoning_details": [{"type": "reasoning.text", "text": "Where?", "signature": "sig"}],
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at":"the söa"}'}}
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "blue"},
        ],
    }
    with fronted("anthropic", by_messages) as through:
        ask(through, "/v1/chat/completions", body)
        said = sent(through.far)
        read = read_message(said.data, said.headers["anthropic-version"]).request
    assert (8192, 1.0, ("END",)) == (read.max_tokens, read.sampling.temperature, read.stop)
    assert (("look", "Look."), ("tool", "look")) == (
        (read.tools[0].name, read.tools[0].description),
        (read.tool_choice.mode, read.tool_choice.name),
    )
    assert (Text("Be short."),) == read.system
    thought, text, call = read.messages[1].content
    assert (Thinking("Where?", "sig"), Text("Looking.")) == (thought, text)
    assert ToolUse("c1", "look", {"at": "the söa"}) == call


def test_what_a_form_cannot_carry_is_refused_where_an_answer_without_it_would_be_wrong() -> None:
    document = {"type": "document", "source": {"type": "file", "file_id": "file_1"}}
    audio = {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}
    with fronted("openai", by_chat) as through:
        body = {"model": "gpt-far", "max_tokens": 9, "messages": [{"role": "user", "content": [document]}]}
        answer = through.message(body)
        assert (400, "messages.0.content.0") == (
            answer.status_code,
            answer.json()["error"]["message"].partition(":")[0],
        )
    with fronted("anthropic", by_messages) as through:
        answer = through.chat({"model": "claude-far", "messages": [{"role": "user", "content": [audio]}]})
        assert (400, []) == (answer.status_code, through.far.asked)


def test_thoughts_that_this_server_signed_are_not_sent_on() -> None:
    own = {"type": "thinking", "thinking": "mine", "signature": "haiga1.AAAA"}
    messages = [*HI, {"role": "assistant", "content": [own, {"type": "text", "text": "yes"}]}, *HI]
    with fronted("anthropic", by_messages) as through:
        ask(through, "/v1/messages", {"model": "claude-far", "max_tokens": 9, "messages": messages, "far": 1})
        body = sent(through.far).body
    assert ([{"type": "text", "text": "yes"}], 1) == (body["messages"][1]["content"], body["far"])


def test_the_usage_is_the_upstream_s() -> None:
    with fronted("openai", by_chat) as through:
        said = orjson.loads(ask(through, "/v1/messages", {"model": "gpt-far", "max_tokens": 9, "messages": HI}))
    told = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")
    want = [CHAT_USAGE.input, CHAT_USAGE.creation, CHAT_USAGE.cache_read, CHAT_USAGE.output]
    assert want == [said["usage"][name] for name in told]


def test_an_upstream_s_limits_and_its_request_id_are_told() -> None:
    headers = {
        "content-type": "application/json",
        "request-id": "req_far",
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "49",
        "anthropic-ratelimit-requests-reset": "2026-11-22T18:00:00Z",
    }
    body = write_message(GOLDEN, id="msg_far", model="claude-far")
    with fronted("anthropic", lambda asked: Answer((body,), 200, headers)) as through:
        asked = {"model": "claude-far", "max_tokens": 9, "messages": HI}
        answer = through.message(asked)
        told = ("haiga-provider", "haiga-provider-request-id", "anthropic-ratelimit-requests-remaining")
        assert ["anthropic", "req_far", "49"] == [answer.headers[name] for name in told]
        assert "49" == through.chat(asked).headers["x-ratelimit-remaining-requests"]
