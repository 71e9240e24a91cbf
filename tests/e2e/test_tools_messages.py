"""Tools and schemas through the Messages API: the official SDK, a served model with random weights.

Such a model obeys nothing but the grammar, so whatever holds here is enforced.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import anthropic
import httpx
import jsonschema_rs
import pydantic
import pytest
from anthropic import beta_tool
from tokenizers import Tokenizer

from tests.chains import make_speaker
from tests.e2e.test_serve import Server, serving
from tests.served import TEMPLATE, make_model

WEATHER: Any = {
    "name": "get_weather",
    "description": "Tells the weather.",
    "input_schema": {
        "type": "object",
        "properties": {
            "city": {"enum": ["Paris", "Rome"]},
            "days": {"type": "integer", "minimum": 1, "maximum": 9},
            "units": {"type": "array", "items": {"enum": ["C", "F"]}, "minItems": 1, "maxItems": 2},
        },
        "required": ["city", "days"],
        "additionalProperties": False,
    },
}
CLOCK: Any = {
    "name": "clock",
    "description": "Tells the time.",
    "input_schema": {"type": "object", "properties": {}, "additionalProperties": False},
}
ASK: Any = [{"role": "user", "content": "Weather?"}]
OLD_SDK = Path(__file__).parents[2] / ".venv-sdk-old" / "bin" / "python"
CALL = 261  # the id of the token that opens a call
SINGLE = {"disable_parallel_tool_use": True}
FORCED: Any = {"type": "tool", "name": "get_weather", **SINGLE}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`tiny` is free; `caller` has a token that opens a call, `repeater` begins another one wherever it may."""
    directory = make_model(tmp_path_factory.mktemp("tiny"), max_position_embeddings=8192)
    caller = make_model(tmp_path_factory.mktemp("caller"), max_position_embeddings=8192, vocab_size=CALL + 1)
    add_token(caller, "<tool_call>")
    repeater = make_speaker(tmp_path_factory.mktemp("repeater"), ">\n<", template=TEMPLATE)
    named = {"tiny": directory, "caller": caller, "repeater": repeater}
    flags = [flag for name, path in named.items() for flag in ("--model", f"{name}={path}")]
    with serving(tmp_path_factory.mktemp("data"), "--no-starter", *flags) as server:
        yield server


def add_token(directory: Path, text: str) -> None:
    """A special token, the last of the vocabulary."""
    path = directory / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.add_special_tokens([text])
    assert CALL == tokenizer.token_to_id(text)
    tokenizer.save(str(path))


def create(server: Server, **fields: Any) -> anthropic.types.Message:
    asked = {"model": "tiny", "max_tokens": 200, "messages": ASK, "tools": [WEATHER, CLOCK], **fields}
    message: anthropic.types.Message = server.client.messages.create(**asked)
    return message


def streamed(server: Server, **fields: Any) -> anthropic.types.Message:
    asked = {"model": "tiny", "max_tokens": 200, "messages": ASK, "tools": [WEATHER, CLOCK], **fields}
    with server.client.messages.stream(**asked) as stream:
        message: anthropic.types.Message = stream.get_final_message()
    return message


def calls(message: Any) -> list[Any]:
    return [block for block in message.content if block.type == "tool_use"]


def valid(call: Any) -> bool:
    schema = {tool["name"]: tool["input_schema"] for tool in (WEATHER, CLOCK)}[call.name]
    return bool(jsonschema_rs.validator_for(schema).is_valid(call.input))


def refused(server: Server, **fields: Any) -> str:
    with pytest.raises(anthropic.BadRequestError) as caught:
        create(server, **fields)
    assert isinstance(caught.value.body, dict)
    return str(caught.value.body["error"]["message"])


def result(call: Any, content: Any, **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call.id, "content": content, **more}


# --- choices ---


@pytest.mark.parametrize("ask", [create, streamed])
@pytest.mark.parametrize(
    ("choice", "names"), [({"type": "any", **SINGLE}, {"get_weather", "clock"}), (FORCED, {"get_weather"})]
)
def test_a_forced_call_is_one_valid_call_of_a_tool_that_was_asked_for(
    server: Server, ask: Any, choice: Any, names: set[str]
) -> None:
    messages = [ask(server, tool_choice=choice) for _ in range(6)]
    assert {"tool_use"} == {message.stop_reason for message in messages}
    assert {1} == {len(message.content) for message in messages}
    made = [call for message in messages for call in calls(message)]
    assert 6 == sum(map(valid, made)) == len({call.id for call in made})
    assert {call.name for call in made} <= names
    assert all(call.id.startswith("toolu_") for call in made)


@pytest.mark.parametrize("ask", [create, streamed])
def test_several_calls_in_a_turn_are_each_valid(server: Server, ask: Any) -> None:
    made = calls(ask(server, model="repeater", tool_choice={"type": "any"}, max_tokens=400))
    assert len(made) >= 4
    assert all(map(valid, made[:-1]))  # the last one is cut
    assert len(made) == len({call.id for call in made})
    single = ask(server, model="repeater", tool_choice={"type": "any", **SINGLE}, max_tokens=400)
    assert (1, "tool_use") == (len(calls(single)), single.stop_reason)


@pytest.mark.parametrize("ask", [create, streamed])
def test_none_makes_no_call_and_auto_makes_valid_ones_or_none(server: Server, ask: Any) -> None:
    for kind in ("none", "auto"):
        for _ in range(4):
            message = ask(server, tool_choice={"type": kind}, max_tokens=60)
            assert all(map(valid, calls(message)))
            assert [] == calls(message) or kind == "auto"
            assert "<tool_call>" not in "".join(block.text for block in message.content if block.type == "text")


def test_auto_holds_a_call_to_its_schema_once_it_is_begun(server: Server) -> None:
    """The Messages API has no bias to make a random model begin a call with; the other family's has."""
    function = {"name": "get_weather", "description": "", "parameters": WEATHER["input_schema"]}
    body = {
        "model": "caller",
        "max_tokens": 200,
        "messages": ASK,
        "tools": [{"type": "function", "function": function}],
        "parallel_tool_calls": False,
        "logit_bias": {str(CALL): 100},
    }
    answer = httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=60).json()
    (choice,) = answer["choices"]
    assert "tool_calls" == choice["finish_reason"]
    (call,) = choice["message"]["tool_calls"]
    assert jsonschema_rs.validator_for(WEATHER["input_schema"]).is_valid(json.loads(call["function"]["arguments"]))


# --- streams ---


def pieces(server: Server, **more: Any) -> list[str]:
    tool = {**WEATHER, **more}
    asked: Any = {"model": "tiny", "max_tokens": 200, "messages": ASK, "tools": [tool], "tool_choice": FORCED}
    with server.client.messages.create(**asked, stream=True) as stream:
        return [event.delta.partial_json for event in stream if event.type == "content_block_delta"]


def test_arguments_come_in_whole_keys_and_values_after_an_empty_piece(server: Server) -> None:
    first, *found, last = pieces(server)
    assert ("", "}") == (first, last)
    opened = [json.loads("{" + piece.lstrip("{, ") + "}") for piece in found]
    assert {1} == {len(each) for each in opened}
    assert json.loads("".join(found) + last) == {key: value for each in opened for key, value in each.items()}


def test_arguments_come_as_they_are_written_when_that_is_asked_for(server: Server) -> None:
    first, *found = pieces(server, eager_input_streaming=True)
    assert "" == first
    assert "{" == found[0]
    assert '"' in found
    assert {"city", "days"} <= set(json.loads("".join(found)))


def test_a_call_without_arguments_is_an_empty_object(server: Server) -> None:
    for ask in (create, streamed):
        (call,) = calls(ask(server, tool_choice={"type": "tool", "name": "clock", **SINGLE}))
        assert {} == call.input


def test_a_call_cut_short_keeps_its_name_and_says_why(server: Server) -> None:
    for ask in (create, streamed):
        message = ask(server, tool_choice=FORCED, max_tokens=60)
        assert ("max_tokens", ["get_weather"]) == (message.stop_reason, [call.name for call in calls(message)])


# --- results ---


def test_results_are_taken_as_text_as_blocks_and_as_errors(server: Server) -> None:
    message = create(server, tool_choice={"type": "any", **SINGLE})
    (call,) = calls(message)
    sizes = set()
    for content in ("Sunny.", [{"type": "text", "text": "Sunny."}], None):
        for is_error in (False, True):
            answered = {"role": "user", "content": [result(call, content, is_error=is_error)]}
            history = [*ASK, {"role": "assistant", "content": message.content}, answered]
            counted = server.client.messages.count_tokens(model="tiny", messages=history, tools=[WEATHER, CLOCK])
            final = create(server, messages=history, tool_choice={"type": "auto"}, max_tokens=5)
            usage = final.usage
            assert counted.input_tokens == usage.input_tokens + (usage.cache_read_input_tokens or 0)
            sizes.add((content is not None, is_error, counted.input_tokens))
    assert 4 == len(sizes)  # text or block, the model reads the same; an error it is told of


def test_parallel_results_are_all_wanted_first_thing_in_the_next_message(server: Server) -> None:
    use = [{"type": "tool_use", "id": id, "name": "clock", "input": {}} for id in ("toolu_a", "toolu_b")]
    given = [{"type": "tool_result", "tool_use_id": block["id"], "content": "5"} for block in use]
    words = {"type": "text", "text": "so"}

    def history(*content: Any) -> list[Any]:
        return [*ASK, {"role": "assistant", "content": use}, {"role": "user", "content": list(content)}]

    assert create(server, messages=history(*reversed(given), words), max_tokens=3)
    missing = "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: toolu_b. Each "
    assert refused(server, messages=history(given[0])).startswith(missing)
    assert refused(server, messages=history(words, *given)).startswith("messages.1: `tool_use` ids were found without")
    assert "unexpected `tool_use_id` found" in refused(server, messages=[{"role": "user", "content": given[:1]}])


@pytest.mark.parametrize(
    ("tool", "argument"),
    [
        ({"type": "bash_20250124", "name": "bash"}, None),
        ({"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"}, "command"),
        ({"type": "memory_20250818", "name": "memory"}, "command"),
        (
            {"type": "computer_20250124", "name": "computer", "display_width_px": 640, "display_height_px": 480},
            "action",
        ),
    ],
)
def test_tools_of_the_api_are_called_with_arguments_that_only_the_server_was_told_of(
    server: Server, tool: Any, argument: str | None
) -> None:
    asked = {"tools": [tool], "tool_choice": {"type": "any", **SINGLE}, "max_tokens": 60}
    for ask in (create, streamed):
        (call,) = calls(ask(server, **asked))
        assert tool["name"] == call.name
    begun = pieces_of(server, {**asked, "max_tokens": 120})
    assert argument is None or begun.startswith(f'{{"{argument}": "')


def pieces_of(server: Server, asked: Any) -> str:
    """What was said of a call's arguments, cut or not."""
    tools = [{**asked["tools"][0]}]
    betas = {"anthropic-beta": "fine-grained-tool-streaming-2025-05-14"}
    fields = {"model": "tiny", "messages": ASK, **asked, "tools": tools}
    with server.client.messages.create(**fields, stream=True, extra_headers=betas) as stream:
        return "".join(event.delta.partial_json for event in stream if event.type == "content_block_delta")


def test_a_tool_that_the_apis_servers_run_is_refused_by_name(server: Server) -> None:
    search = {"type": "web_search_20250305", "name": "web_search"}
    words = "tools.0.type: `web_search_20250305` tools are not supported by this server"
    assert words == refused(server, tools=[search])


# --- the SDK's own loops ---


def test_the_tool_runner_goes_on_with_the_whole_history_once_threads_are_refused(server: Server) -> None:
    sent: list[dict[str, Any]] = []
    statuses: list[int] = []
    asked_for: list[tuple[str, int]] = []
    hooks: Any = {
        "request": [lambda request: sent.append(json.loads(request.content))],
        "response": [lambda response: statuses.append(response.status_code)],
    }

    @beta_tool
    def get_weather(city: Literal["Paris", "Rome"], days: Literal[1, 2, 3]) -> str:
        """Tells the weather."""
        asked_for.append((city, days))
        return "Sunny."

    turns = []
    with server.client.copy(http_client=anthropic.DefaultHttpxClient(event_hooks=hooks)) as client:
        runner = client.beta.messages.tool_runner(
            model="tiny", max_tokens=200, tools=[get_weather], tool_choice=FORCED, messages=ASK
        )
        for message in runner:
            turns.append(message)
            if len(turns) == 2:
                results = runner.generate_tool_call_response()
                assert results is not None
                runner.set_messages_params(lambda params: {**params, "tool_choice": {"type": "none"}})
                runner.append_messages(message, results)
    assert ["tool_use", "tool_use"] == [turn.stop_reason for turn in turns[:2]]
    assert 3 == len(turns)
    assert turns[2].stop_reason in ("end_turn", "max_tokens")
    assert 2 <= len(asked_for)
    assert all(city in ("Paris", "Rome") and days in (1, 2, 3) for city, days in asked_for)
    answered = [body for body, status in zip(sent, statuses, strict=True) if status == 200]
    assert [1, 3, 5] == [len(body["messages"]) for body in answered]
    assert any("thread" in body for body, status in zip(sent, statuses, strict=True) if status == 400)


RUNNER = """
import json, sys
import anthropic
client = anthropic.Anthropic(base_url=sys.argv[1], api_key="any", max_retries=0)
@anthropic.beta_tool
def shout(word: str) -> str:
    \"\"\"Says it loudly.\"\"\"
    return word.upper()
runner = client.beta.messages.tool_runner(
    model="tiny", max_tokens=400, tools=[shout], max_iterations=2, messages=[{"role": "user", "content": "Go on."}],
    tool_choice={"type": "any", "disable_parallel_tool_use": True},
)
print(json.dumps([anthropic.__version__, [message.stop_reason for message in runner]]))
"""


def test_the_tool_runner_of_the_older_sdk_goes_on_as_well(server: Server) -> None:
    assert OLD_SDK.exists(), f"{OLD_SDK} is missing: run scripts/sdk-env to build the older SDK's environment"
    ran = subprocess.run([OLD_SDK, "-c", RUNNER, server.url], capture_output=True, text=True, timeout=60, check=True)
    version, stops = json.loads(ran.stdout)
    assert version.startswith("0.")
    assert stops in (["tool_use", "tool_use"], ["tool_use", "max_tokens"], ["max_tokens"])


class Plan(pydantic.BaseModel):
    city: Literal["Paris", "Rome"]
    days: list[Literal["Monday", "Friday"]] | None
    sunny: bool


def test_an_answer_is_parsed_into_the_callers_own_type(server: Server) -> None:
    found = [
        server.client.messages.parse(model="tiny", max_tokens=400, messages=ASK, output_format=Plan) for _ in range(6)
    ]
    ended = [message.parsed_output for message in found if message.stop_reason == "end_turn"]
    assert len(ended) >= 2
    assert all(isinstance(plan, Plan) for plan in ended)


@pytest.mark.parametrize("older", [False, True])
def test_an_answer_of_a_schema_is_of_that_schema(server: Server, older: bool) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"enum": ["Paris", "Rome"]}, "sunny": {"type": "boolean"}},
        "required": ["city", "sunny"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "schema": schema}
    body = {"output_format": wanted} if older else {"output_config": {"format": wanted}}
    validator = jsonschema_rs.validator_for(schema)
    for ask in (create, streamed):
        for _ in range(4):
            message = ask(server, tools=[], extra_body=body)
            (block,) = message.content
            assert ("end_turn", "text") == (message.stop_reason, block.type)
            assert validator.is_valid(json.loads(block.text))


# --- refusals that reach the client ---


def test_what_the_api_refuses_is_refused_in_its_words(server: Server) -> None:
    bounds = "tools.0.custom.input_schema: For 'integer' type, properties maximum, minimum are not supported"
    assert bounds == refused(server, tools=[{**WEATHER, "strict": True}])
    forced = "Thinking may not be enabled when tool_choice forces tool use."
    assert forced == refused(server, tool_choice=FORCED, thinking={"type": "adaptive"})
    assert "Tool names must be unique." in refused(server, tools=[CLOCK, CLOCK])
    assert "tools.0.custom.name: String should match pattern" in refused(server, tools=[{**CLOCK, "name": "a b"}])
    examples = {**WEATHER, "input_examples": [{"city": "Oslo", "days": 1}]}
    assert "tools.0.custom.input_examples.0.city: does not match" in refused(server, tools=[examples])


def test_a_strict_schema_that_no_grammar_can_hold_is_named(server: Server) -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string", "pattern": "("}},
        "required": ["a"],
        "additionalProperties": False,
    }
    words = refused(server, tools=[{"name": "f", "input_schema": schema, "strict": True}])
    assert words.startswith("tools.0")
