"""Tools that the server runs itself, the whole product: `haiga serve`, a model with random weights, a real MCP server.

Such a model calls what it is forced to, and then says whatever comes, until max_tokens.
"""

from collections.abc import Iterator
from typing import Any, Literal

import pytest

from tests.e2e.test_serve import Server, serving
from tests.mcp_server import McpServer, mcp_server
from tests.served import make_model

BETAS = ["mcp-client-2025-11-20"]
TOOLS = """
[tools.leap]
function = "calendar:isleap"

[tools.leap.input_schema]
type = "object"
properties = { year = { enum = [2023, 2024] } }
required = ["year"]
additionalProperties = false
"""


def weather(city: Literal["Kyoto", "Rome"]) -> str:
    """Tells the weather."""
    return f"It rains in {city}."


@pytest.fixture(scope="module")
def mcp() -> Iterator[McpServer]:
    with mcp_server(weather) as server:
        yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, mcp: McpServer) -> Iterator[Server]:
    directory = make_model(tmp_path_factory.mktemp("tiny"), max_position_embeddings=4096)
    tools = tmp_path_factory.mktemp("tools") / "tools.toml"
    tools.write_text(TOOLS)
    flags = ("--no-starter", "--model", f"tiny={directory}", "--tools", str(tools), "--allow-fetch", mcp.host)
    with serving(tmp_path_factory.mktemp("data"), *flags) as server:
        yield server


def ask(server: Server, stream: bool, **fields: Any) -> Any:
    messages: Any = [{"role": "user", "content": "What is it like?"}]
    asked: Any = {
        "model": "tiny",
        "max_tokens": 240,
        "messages": messages,
        "betas": ["mcp-client-2025-11-20"],
        **fields,
    }
    if not stream:
        return server.client.beta.messages.create(**asked)
    with server.client.beta.messages.stream(**asked) as streamed:
        return streamed.get_final_message()


@pytest.mark.parametrize("stream", [False, True])
def test_a_forced_call_of_a_servers_tool_is_carried_out_and_the_model_goes_on(
    server: Server, mcp: McpServer, stream: bool
) -> None:
    message = ask(
        server,
        stream,
        mcp_servers=[{"type": "url", "name": "sky", "url": mcp.url}],
        tools=[{"type": "mcp_toolset", "mcp_server_name": "sky"}],
        tool_choice={"type": "tool", "name": "sky_weather", "disable_parallel_tool_use": True},
    )
    use, result = message.content[:2]
    assert ("mcp_tool_use", "sky", "weather") == (use.type, use.server_name, use.name)
    assert use.input["city"] in ("Kyoto", "Rome")
    assert (use.id, False, f"It rains in {use.input['city']}.") == (
        result.tool_use_id,
        result.is_error,
        result.content[0].text,
    )
    assert message.usage.cache_read_input_tokens > 0  # the second round's prompt begins as the first one's


def test_a_function_of_the_tools_file_is_called(server: Server) -> None:
    message = ask(
        server,
        False,
        tools=[{"type": "mcp_toolset", "mcp_server_name": "haiga"}],
        tool_choice={"type": "tool", "name": "leap", "disable_parallel_tool_use": True},
    )
    use, result = message.content[:2]
    assert ("mcp_tool_use", "haiga", "leap") == (use.type, use.server_name, use.name)
    assert {2023: "false", 2024: "true"}[use.input["year"]] == result.content[0].text
