"""Tools that the server runs itself, through the official anthropic SDK: real MCP servers, a scripted engine."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import anthropic
import pytest

from haiga.core.messages import ToolResult, ToolUse, text_of
from haiga.services.tools import OWN, HostedTool, Outcome, Registered
from tests.mcp_server import McpServer, add, fail, long, mcp_server, sleep
from tests.wire.client_checks import KEY
from tests.wire.openai_server import serving
from tests.wire.tools_server import Scripted, calls, part, says, tool_services

BETAS = ["mcp-client-2025-11-20"]
ASK: Any = [{"role": "user", "content": "what is it"}]
DONE = part(says("done"), stop="end_turn")
LOOK: Any = {"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {}}}


@contextmanager
def client_of(engine: Scripted, *servers: McpServer, **more: Any) -> Iterator[anthropic.Anthropic]:
    served = serving(tool_services(engine, [server.host for server in servers], **more))
    with served as url, anthropic.Anthropic(base_url=url, api_key=KEY, max_retries=0) as client:
        yield client


def asked(servers: Sequence[tuple[str, McpServer]], **more: Any) -> dict[str, Any]:
    return {
        "model": "scripted",
        "max_tokens": 200,
        "messages": ASK,
        "betas": BETAS,
        "mcp_servers": [{"type": "url", "name": name, "url": server.url} for name, server in servers],
        "tools": [{"type": "mcp_toolset", "mcp_server_name": name} for name, _ in servers],
        **more,
    }


def told(message: Any) -> list[Any]:
    """What an answer says, in short."""
    return [_short(block) for block in message.content]


def _short(block: Any) -> Any:
    match block.type:
        case "text":
            return block.text
        case "mcp_tool_use":
            return (block.server_name, block.name, block.input)
        case "mcp_tool_result":
            return (block.is_error, "".join(text.text for text in block.content))
    return (block.type, block.name)


def whole(client: anthropic.Anthropic, **fields: Any) -> Any:
    return client.beta.messages.create(**fields)


def streamed(client: anthropic.Anthropic, **fields: Any) -> Any:
    with client.beta.messages.stream(**fields) as stream:
        return stream.get_final_message()


@pytest.mark.parametrize("ask", [whole, streamed])
def test_a_servers_tool_is_called_and_its_result_is_in_the_answer_and_in_the_conversation(ask: Any) -> None:
    engine = Scripted(part(says("so"), calls("sums_add", {"a": 2, "b": 3})), DONE)
    with mcp_server(add) as server, client_of(engine, server) as client:
        message = ask(client, **asked([("sums", server)]))
    assert ["so", ("sums", "add", {"a": 2, "b": 3}), (False, "5"), "done"] == told(message)
    _, use, result, _ = message.content
    assert use.id.startswith("mcptoolu_") and use.id == result.tool_use_id
    assert "end_turn" == message.stop_reason

    first, second = engine.asked
    (shown,) = first.tools
    assert ("sums_add", "Add two numbers.", ["a", "b"]) == (shown.name, shown.description, shown.schema["required"])
    past, answered = second.messages[1:]
    assert ("assistant", "user") == (past.role, answered.role)
    (call,) = [block for block in past.content if isinstance(block, ToolUse)]
    (result,) = answered.content
    assert ("sums_add", {"a": 2, "b": 3}) == (call.name, call.input)
    assert isinstance(result, ToolResult) and call.id == result.tool_use_id and "5" == text_of(result.content)


def test_usage_is_the_sum_of_the_rounds_and_the_limit_is_for_all_of_them() -> None:
    engine = Scripted(part(says("one two"), calls("sums_add", {"a": 2, "b": 3})), DONE)
    with mcp_server(add) as server, client_of(engine, server) as client:
        message = whole(client, **asked([("sums", server)], max_tokens=50))
    assert [50, 50 - 3] == [request.max_tokens for request in engine.asked]
    # as the fake engine counts: words, one more for each message; the second prompt has the call and its result besides
    tools = 1 + 3
    first, second = tools + 4, tools + 4 + (1 + 2 + 3) + (1 + 2)
    assert (first + second, 3 + 1) == (message.usage.input_tokens, message.usage.output_tokens)


def test_the_history_is_accepted_back_and_is_to_the_model_what_it_was() -> None:
    engine = Scripted(part(says("so"), calls("sums_add", {"a": 2, "b": 3})), DONE)
    with mcp_server(add) as server, client_of(engine, server) as client:
        message = whole(client, **asked([("sums", server)]))
        history = [*ASK, {"role": "assistant", "content": message.content}, {"role": "user", "content": "and?"}]
        again = whole(client, **asked([("sums", server)], messages=history))
        without = whole(client, **asked([], messages=history))
    assert (["done"], ["done"]) == (told(again), told(without))
    lived, later, bare = engine.asked[1:]
    assert lived.messages == later.messages[: len(lived.messages)] == bare.messages[: len(lived.messages)]
    assert () == bare.tools


def test_tools_of_one_name_are_told_apart_by_the_model_and_keep_their_name_in_the_answer() -> None:
    def add(a: int, b: int) -> str:
        return f"other {a + b}"

    own: Any = {**LOOK, "name": "one_add"}
    both = part(calls("one_add_2", {"a": 1, "b": 1}), calls("two_add", {"a": 1, "b": 1}))
    engine = Scripted(both, DONE)
    with mcp_server(globals()["add"]) as one, mcp_server(add) as two, client_of(engine, one, two) as client:
        fields = asked([("one", one), ("two", two)])
        message = whole(client, **{**fields, "tools": [own, *fields["tools"]]})
    assert ["one_add", "one_add_2", "two_add"] == [tool.name for tool in engine.asked[0].tools]
    uses = [("one", "add", {"a": 1, "b": 1}), ("two", "add", {"a": 1, "b": 1})]
    assert [*uses, (False, "2"), (False, "other 2"), "done"] == told(message)


def test_calls_of_the_client_are_returned_with_the_servers_results_before_them() -> None:
    engine = Scripted(part(calls("sums_add", {"a": 2, "b": 3}), calls("look", {})), DONE)
    with mcp_server(add) as server, client_of(engine, server) as client:
        fields = asked([("sums", server)])
        message = whole(client, **{**fields, "tools": [LOOK, *fields["tools"]]})
        assert "tool_use" == message.stop_reason
        assert [("sums", "add", {"a": 2, "b": 3}), (False, "5"), ("tool_use", "look")] == told(message)
        seen = {"type": "tool_result", "tool_use_id": message.content[-1].id, "content": "blue"}
        history = [*ASK, {"role": "assistant", "content": message.content}, {"role": "user", "content": [seen]}]
        assert ["done"] == told(whole(client, **asked([("sums", server)], messages=history)))
    results = [text_of(b.content) for m in engine.asked[-1].messages for b in m.content if isinstance(b, ToolResult)]
    assert ["5", "blue"] == results


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("fail", "Error executing tool fail"),
        ("sleep", "the tool did not answer within 0.5 seconds"),
        ("long", "[cut: 299000 of 300000 bytes are left out]"),
    ],
)
def test_what_goes_wrong_in_a_tool_is_told_to_the_model_and_the_answer_goes_on(name: str, outcome: str) -> None:
    engine = Scripted(part(calls(f"odd_{name}", {})), DONE)
    with mcp_server(fail, sleep, long) as server, client_of(engine, server, timeout=0.5) as client:
        message = whole(client, **asked([("odd", server)]))
    assert "done" == told(message)[-1]
    is_error, text = told(message)[1]
    assert outcome in text and len(text) < 1100
    assert is_error == (name != "long")


def test_a_server_that_goes_away_is_an_error_result_and_one_that_is_not_there_is_named() -> None:
    engine = Scripted(part(calls("sums_add", {"a": 2, "b": 3})), DONE)
    with mcp_server(add) as server:
        pinned = {"name": "add", "input_schema": {"type": "object", "properties": {}}}
        gone = server
    with client_of(engine, gone) as client:
        toolset = {"type": "mcp_toolset", "mcp_server_name": "sums", "tools": [pinned]}
        message = whole(client, **{**asked([("sums", gone)]), "tools": [toolset]})
        assert (True, "127.0.0.1: cannot be reached") == told(message)[1]
        with pytest.raises(anthropic.BadRequestError, match=r"mcp_servers\.0: Connection error .* MCP server 'sums'"):
            whole(client, **asked([("sums", gone)]))


def test_an_address_inside_the_network_is_refused_unless_the_operator_named_it() -> None:
    refused = pytest.raises(anthropic.BadRequestError, match=r"mcp_servers\.0.*127\.0\.0\.1: has no public address")
    with mcp_server(add) as server, client_of(Scripted(DONE)) as client, refused:
        whole(client, **asked([("sums", server)]))
    assert [] == server.seen


def test_the_token_goes_to_its_server_alone() -> None:
    engine = Scripted(part(calls("one_add", {"a": 2, "b": 3})), DONE)
    with mcp_server(add) as one, mcp_server(add) as two, client_of(engine, one, two) as client:
        fields = asked([("one", one), ("two", two)])
        fields["mcp_servers"][0]["authorization_token"] = "secret"
        whole(client, **fields)
    assert {"Bearer secret"} == set(one.seen)
    assert {""} == set(two.seen)


def tools_of(engine: Scripted) -> list[str]:
    return [tool.name for tool in engine.asked[-1].tools]


def test_which_tools_are_offered_is_chosen_in_the_newer_form_and_in_the_older() -> None:
    engine = Scripted(DONE)
    with mcp_server(add, fail, long) as server, client_of(engine, server) as client:

        def offered(toolset: dict[str, Any] | None, configuration: dict[str, Any] | None = None) -> list[str]:
            fields = asked([("s", server)])
            fields["tools"] = [{"type": "mcp_toolset", "mcp_server_name": "s", **toolset}] if toolset else []
            if configuration is not None:
                fields["mcp_servers"][0]["tool_configuration"] = configuration
            whole(client, **fields)
            return tools_of(engine)

        off = {"default_config": {"enabled": False}, "configs": {"add": {"enabled": True}}}
        assert ["s_add"] == offered(off)
        assert ["s_add", "s_long"] == offered({"configs": {"fail": {"enabled": False}}})
        assert ["s_add", "s_fail", "s_long"] == offered(None)
        assert ["s_fail"] == offered(None, {"allowed_tools": ["fail"]})
        assert [] == offered(None, {"enabled": False})


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"tools": [{"type": "mcp_toolset", "mcp_server_name": "x"}]}, "is not referenced by any mcp_toolset"),
        ({"mcp_servers": [], "tools": [{"type": "mcp_toolset", "mcp_server_name": "x"}]}, "'x' not found in mcp_serv"),
        ({"tool_choice": {"type": "tool", "name": "sums_subtract"}}, "Tool 'sums_subtract' not found"),
        ({"messages": [*ASK, {"role": "assistant", "content": [
            {"type": "mcp_tool_use", "id": "m1", "name": "add", "server_name": "sums", "input": {}}]}, *ASK]},
         "without a corresponding `mcp_tool_result` block: m1"),
        ({"messages": [*ASK, {"role": "assistant", "content": [
            {"type": "mcp_tool_result", "tool_use_id": "m1", "content": "5"}]}, *ASK]}, "unexpected `tool_use_id`"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(fields: dict[str, Any], complaint: str) -> None:
    with mcp_server(add) as server, client_of(Scripted(DONE), server) as client:
        with pytest.raises(anthropic.BadRequestError) as caught:
            whole(client, **asked([("sums", server)], **fields))
        with pytest.raises(anthropic.BadRequestError):
            counted = {key: value for key, value in asked([("sums", server)], **fields).items() if key != "max_tokens"}
            client.beta.messages.count_tokens(**counted)
    assert complaint in str(caught.value)


def test_a_count_knows_the_tools_of_servers() -> None:
    engine = Scripted(DONE)
    with mcp_server(add) as server, client_of(engine, server) as client:
        fields = asked([("sums", server)])
        message = whole(client, **fields)
        del fields["max_tokens"]
        counted = client.beta.messages.count_tokens(**fields)
    assert message.usage.input_tokens == counted.input_tokens == 4 + 4


# --- tools of the operator ---


async def now(arguments: Any) -> Outcome:
    return Outcome(json.dumps(dict(arguments)))


def own_tool(name: str = "now", **more: Any) -> Registered:
    return Registered(HostedTool(OWN, name, now, "Tells the time."), **more)


OWN_TOOLS: Any = [{"type": "mcp_toolset", "mcp_server_name": OWN}]


def test_the_operators_tools_are_offered_to_who_asks_for_them_and_always_where_that_is_configured() -> None:
    engine = Scripted(part(calls("now", {"zone": "x"})), DONE)
    own = [own_tool(), own_tool("here", always=True), own_tool("secret", workspaces=frozenset({"others"}))]
    with client_of(engine, own=own) as client:
        message = whole(client, **asked([], tools=OWN_TOOLS))
        assert ["now", "here"] == tools_of(engine)
        assert [(OWN, "now", {"zone": "x"}), (False, '{"zone": "x"}'), "done"] == told(message)
        whole(client, **asked([], tools=[]))
        assert ["here"] == tools_of(engine)
        with pytest.raises(anthropic.BadRequestError, match="Tool 'secret' not found"):
            whole(client, **asked([], tools=OWN_TOOLS, tool_choice={"type": "tool", "name": "secret"}))


def test_after_the_last_round_the_turn_is_paused_and_goes_on_when_it_is_sent_back() -> None:
    engine = Scripted(*[part(calls("now", {"at": i})) for i in range(3)], DONE)
    with client_of(engine, own=[own_tool()], rounds=2) as client:
        fields = asked([], tools=OWN_TOOLS)
        paused = whole(client, **fields)
        assert ("pause_turn", 4) == (paused.stop_reason, len(paused.content))
        history = [*ASK, {"role": "assistant", "content": paused.content}]
        message = whole(client, **{**fields, "messages": history})
    assert "end_turn" == message.stop_reason
    assert [(OWN, "now", {"at": 2}), (False, '{"at": 2}'), "done"] == told(message)
    assert ["user", "assistant", "user", "assistant", "user"] == [m.role for m in engine.asked[2].messages]


def test_a_call_that_was_cut_short_is_not_carried_out() -> None:
    engine = Scripted(part(calls("now", '{"at": "th'), stop="max_tokens"))
    with client_of(engine, own=[own_tool()]) as client:
        message = whole(client, **asked([], tools=OWN_TOOLS))
    assert "max_tokens" == message.stop_reason
    assert (True, "The call was not carried out: its arguments are not a whole JSON object.") == told(message)[1]


def test_a_forced_choice_is_for_the_first_round_alone_and_finds_a_tool_by_its_own_name() -> None:
    engine = Scripted(part(calls("sums_add", {"a": 2, "b": 3})), DONE)
    with mcp_server(add) as server, client_of(engine, server) as client:
        whole(client, **asked([("sums", server)], tool_choice={"type": "tool", "name": "add"}))
    assert [("tool", "sums_add"), ("auto", None)] == [(r.tool_choice.mode, r.tool_choice.name) for r in engine.asked]
