"""The official anthropic SDKs, the newest and the newest before 1.0, as clients of the real server on a socket."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anthropic
import pytest

from haiga.engines.fake import CARD, FakeEngine
from tests.wire import client_checks
from tests.wire.anthropic_server import services
from tests.wire.openai_server import serving

OLD_SDK = Path(__file__).parents[2] / ".venv-sdk-old" / "bin" / "python"


@pytest.fixture(scope="module", params=["2.", "0."])
def outcome(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Every check's failure by name ("" for none), as one run of the SDK of this major version has it."""
    python = Path(sys.executable) if request.param == "2." else OLD_SDK
    if not python.exists():
        pytest.fail(f"{python} is missing: run scripts/sdk-env to build the older SDK's environment")
    slow = FakeEngine(replace(CARD, name="slow"), pace=0.4)
    with serving(services([slow])) as url:
        script = [str(python), client_checks.__file__, url]
        run = subprocess.run(script, capture_output=True, text=True, timeout=120, check=False)
    assert 0 == run.returncode, run.stderr
    report: dict[str, Any] = json.loads(run.stdout)
    assert report["version"].startswith(request.param)
    failures: dict[str, Any] = report["failures"]
    return failures


@pytest.mark.parametrize("check", client_checks.CHECKS)
def test_the_sdk_finds_the_api(outcome: dict[str, Any], check: str):
    assert "" == outcome[check], outcome[check]


@pytest.fixture
def client() -> Iterator[anthropic.Anthropic]:
    with serving(services()) as url:
        yield anthropic.Anthropic(base_url=url, api_key=client_checks.KEY, max_retries=0)


def test_the_tool_runner_falls_back_from_threads_to_the_whole_history(client: anthropic.Anthropic):
    seen = []

    @anthropic.beta_tool
    def look(at: str) -> str:
        """Look somewhere."""
        seen.append(at)
        return "blue"

    runner = client.beta.messages.tool_runner(
        model="able", max_tokens=50, tools=[look], messages=[{"role": "user", "content": "what is it like"}]
    )
    final = runner.until_done()
    assert (["the sea"], "end_turn") == (seen, final.stop_reason)
