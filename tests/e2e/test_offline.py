"""`--offline`: whatever is asked of it, the server turns to nobody. Every name that its processes look up and every
address that they turn to is written down beneath them, at the calls of the C library, which Python, libuv and compiled
packages all use."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from haiga.core.access import Caller
from haiga.services.fetch import Fetch
from haiga.services.webhooks import Sender, Webhooks
from haiga.stores.connect import connect
from haiga.stores.secret import kept_secret
from haiga.stores.webhooks import DatabaseWebhooks
from tests.e2e.test_serve import OLD, Server, serving

ELSEWHERE = "192.0.2.1"  # of the addresses kept for documentation (RFC 5737): nobody answers there
PUBLIC = "93.184.215.14"
pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="what writes the calls down has to be compiled")


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the programs that are started from now on have their calls written down."""
    library, told = tmp_path / "calls_out.so", tmp_path / "calls"
    source = Path(__file__).with_name("calls_out.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
    told.touch()
    monkeypatch.setenv("CALLS_OUT", str(told))
    monkeypatch.setenv("LD_PRELOAD", str(library))
    return told


async def make_endpoint(data: Path) -> str:
    """An endpoint from before the server was offline."""
    async with connect(data / "haiga.db") as database:
        sender = Sender(Fetch(), kept_secret(data / "signing.key"), time.time)
        kept = Webhooks(DatabaseWebhooks(database), sender)
        endpoint, _ = await kept.create(Caller(), "n", f"https://{PUBLIC}/hook", ["response.completed"])
    return endpoint.id


def attempted(server: Server, endpoint: str) -> str:
    """What came of the first try to send the first event."""
    for _ in range(200):
        (*_, first) = [None, *httpx.get(f"{server.url}/v1/webhook_endpoints/{endpoint}/deliveries").json()["data"]]
        if first and first["error"]:
            return str(first["error"])
        time.sleep(0.1)
    raise AssertionError("nothing was tried")


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_call_out_would_be_seen(calls: Path, loop: str) -> None:
    program = f"""
import asyncio, {loop}
async def call():
    for host in ("127.0.0.1", "localhost"):
        try: await asyncio.open_connection(host, 9)
        except OSError: pass
{loop}.run(call())
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    assert {"connect 127.0.0.1", "getaddrinfo localhost"} <= set(calls.read_text().splitlines())


async def test_an_offline_server_turns_to_nobody_whatever_is_asked_of_it(tmp_path: Path, calls: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    endpoint = await make_endpoint(data)
    with serving(data, "--offline", "--allow-fetch", ELSEWHERE) as server:
        assert server.ask("Hello!").content
        with httpx.Client(base_url=f"{server.url}/v1", timeout=60) as client:
            background = {"model": "starter", "input": "Hello!", "background": True, "max_output_tokens": 16}
            client.post("/responses", json=background).raise_for_status()
            mcp = {
                "model": "starter",
                "max_tokens": 9,
                "messages": [{"role": "user", "content": "Hello!"}],
                "mcp_servers": [{"type": "url", "name": "sky", "url": f"http://{ELSEWHERE}/mcp"}],
                "tools": [{"type": "mcp_toolset", "mcp_server_name": "sky"}],
            }
            hook = {"name": "n", "url": "https://app.example/hook", "event_types": ["response.completed"]}
            beta = {**OLD, "anthropic-beta": "mcp-client-2025-11-20"}
            for answer in (
                client.post("/messages", json=mcp, headers=beta),
                client.post("/webhook_endpoints", json=hook),
                client.post(f"/webhook_endpoints/{endpoint}/test", json={"event_type": "response.completed"}),
            ):
                assert (400, True) == (answer.status_code, "offline" in answer.text), answer.text
        assert "offline" in attempted(server, endpoint)
        command = [str(Path(sys.executable).with_name("haiga")), "models", "add", "org/name", "--offline"]
        added = subprocess.run([*command, "--data-dir", str(data)], capture_output=True, text=True, check=False)
        assert (1, True) == (added.returncode, "--offline" in added.stderr)
    listening = {"getaddrinfo 127.0.0.1"}
    assert set() == set(calls.read_text().splitlines()) - listening
