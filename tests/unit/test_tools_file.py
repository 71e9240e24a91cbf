"""The operator's own tools: what their file says, and what comes of calls of functions and endpoints."""

import asyncio
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from haiga.cli.tools import read_tools
from haiga.core.access import Caller
from haiga.core.errors import Invalid
from haiga.core.messages import Toolset
from haiga.services.tools import OWN, HostedTool, Outcome
from haiga.services.tools.calls import Calls
from haiga.services.tools.functions import AT_ONCE, function_call
from tests.unit.fetch.listener import http, listening

ALL = Toolset(OWN)
STOP = threading.Event()


def stock(article: str) -> dict[str, Any]:
    """How many are there."""
    return {"article": article, "left": 3}


async def later(article: str) -> str:
    return f"{article} tomorrow"


def stuck() -> None:
    STOP.wait(30)


def broken() -> None:
    raise SystemExit("bye")


def written(directory: Path, text: str, name: str = "tools.toml") -> Path:
    path = directory / name
    path.write_text(text)
    return path


def tools_in(directory: Path, text: str, caller: Caller | None = None) -> dict[str, HostedTool]:
    read = read_tools(written(directory, text), offline=False)
    return {tool.name: tool for tool in read.registry.offered(caller or Caller(), ALL, False)}


async def outcome(tool: HostedTool, **arguments: Any) -> Outcome:
    return await Calls(Caller()).carried_out(tool, arguments)


def function(name: str, more: str = "") -> str:
    return f'[tools.{name}]\nfunction = "{__name__}:{name}"\n{more}\n'


async def test_a_function_is_called_by_name_and_what_it_returns_is_told(tmp_path: Path) -> None:
    found = tools_in(tmp_path, function("stock") + function("later"))
    assert "How many are there." == found["stock"].description
    assert Outcome('{"article": "pen", "left": 3}') == await outcome(found["stock"], article="pen")
    assert Outcome("pen tomorrow") == await outcome(found["later"], article="pen")


async def test_whatever_a_function_does_is_an_error_result(tmp_path: Path) -> None:
    found = tools_in(tmp_path, function("stock") + function("broken") + function("stuck", 'timeout = "0.05s"'))
    wrong = await outcome(found["stock"], colour="red")
    assert wrong.is_error and "unexpected keyword argument 'colour'" in wrong.text
    assert Outcome("the tool failed: SystemExit: bye", is_error=True) == await outcome(found["broken"])
    assert Outcome("the tool did not answer within 0.05 seconds", is_error=True) == await outcome(found["stuck"])
    STOP.set()


async def test_a_function_that_hangs_holds_up_itself_alone() -> None:
    go = threading.Event()
    tool = HostedTool(OWN, "wait", function_call(lambda: go.wait(30)), timeout=0.02)
    given_up = await asyncio.gather(*(outcome(tool) for _ in range(AT_ONCE)))
    assert {"the tool did not answer within 0.02 seconds"} == {each.text for each in given_up}
    assert Outcome("the tool is busy", is_error=True) == await outcome(tool)
    go.set()
    while (await outcome(tool)).is_error:
        time.sleep(0.005)


async def test_an_endpoint_is_posted_the_arguments_and_its_answer_is_told(tmp_path: Path) -> None:
    answers = {
        "/json": http(b'"it rains"', content_type="application/json"),
        "/text": http(b"it rains", content_type="text/plain"),
        "/wrong": http(b"no such city", status="404 Not Found"),
        "/long": http(b"x" * 3000),
    }
    async with listening(lambda path, head: answers[path]) as listener:
        entries = [f'[tools.{path[1:]}]\nurl = "{listener.url}{path}"\nlimit = "2000"\n' for path in answers]
        found = tools_in(tmp_path, "".join(entries) + '[tools.long.headers]\nauthorization = "Bearer x"\n')
        told = {name: await outcome(tool, city="Kyoto") for name, tool in found.items()}
    assert Outcome("it rains") == told["json"] == told["text"]
    assert Outcome("the tool answered with status 404: no such city", is_error=True) == told["wrong"]
    assert Outcome("127.0.0.1: answered with more than 2000 bytes", is_error=True) == told["long"]
    assert {'{"city": "Kyoto"}'} == {body.decode() for body in listener.bodies}
    assert "authorization: bearer x" in listener.heads[-1].lower()
    assert (await outcome(found["json"])).is_error  # nobody listens any more


def test_tools_are_for_whom_they_are_for(tmp_path: Path) -> None:
    text = function("stock", 'keys = ["key_1"]') + function("later", 'workspaces = ["shop"]') + function("stuck")

    def names(**caller: Any) -> set[str]:
        return set(tools_in(tmp_path, text, Caller(**caller)))

    assert {"stuck"} == names()
    assert {"stuck", "stock"} == names(key="key_1")
    assert {"stuck", "later"} == names(key="key_2", workspace="shop")


def test_json_says_the_same_as_toml(tmp_path: Path) -> None:
    path = written(tmp_path, json.dumps({"rounds": 3, "tools": {"t": {"function": f"{__name__}:stock"}}}), "tools.json")
    read = read_tools(path, offline=False)
    assert (3, ["t"]) == (read.rounds, [tool.name for tool in read.registry.offered(Caller(), ALL, False)])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("rounds = 0", "tools.toml: rounds: Input should be greater than or equal to 1"),
        ("[tools.t]", "tools.toml: tools.t: Value error, a tool has either a `function` or a `url`"),
        ("[tools.t]\nfunction = 'a:b'\nurl = 'http://x'", "a tool has either"),
        ("[tools.t]\nfunction = 'nowhere:b'", "tools.toml: tools.t.function: cannot be imported: No module named"),
        ("[tools.t]\nfunction = 'os:sep'", "tools.t.function: os:sep is no function"),
        ("[tools.t]\nurl = 'ftp://x'", "tools.t.url: not a URL"),
        ("[tools.t]\nurl = 'http://x'\ntimeout = 'soon'", "tools.t.timeout: expected a time"),
        ("[tools.t]\nurl = 'http://x'\ninput_schema = {}", "tools.t.input_schema: expected a JSON schema"),
        ("[tools.t]\nurl = 'http://x'\ncolour = 1", "tools.t.colour: Extra inputs are not permitted"),
        ("[tools", "--tools: "),
    ],
)
def test_what_is_wrong_with_the_file_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(Invalid) as caught:
        read_tools(written(tmp_path, text), offline=False)
    assert complaint in str(caught.value)


def test_an_offline_server_reaches_endpoints_of_its_own_machine_alone(tmp_path: Path) -> None:
    assert read_tools(written(tmp_path, "[tools.t]\nurl = 'http://127.0.0.1:1/t'"), offline=True)
    with pytest.raises(Invalid, match=r"tools\.t\.url: 10\.0\.0\.1 is not on this machine, and the server is offline"):
        read_tools(written(tmp_path, "[tools.t]\nurl = 'http://10.0.0.1/t'"), offline=True)


async def test_a_call_is_logged_without_what_was_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "haiga.tools")
    tool = HostedTool("shop", "stock", function_call(stock))
    await Calls(Caller("key_1", "w")).carried_out(tool, {"article": "secret"})
    (record,) = caplog.records
    said = record.tool_call  # type: ignore[attr-defined]
    assert {
        "server": "shop",
        "tool": "stock",
        "key": "key_1",
        "workspace": "w",
        "outcome": "ok",
    }.items() <= said.items()
    assert "secret" not in record.getMessage()


def test_a_server_tells_of_calls_on_standard_error() -> None:
    script = "import logging, haiga.cli.tool_log as t; t.show_calls(); logging.getLogger('haiga.tools').info('a=1')"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stderr.endswith("haiga.tools a=1\n")
