"""The official openai SDKs, the newest and the newest before 2.0, as clients of the Responses API on a socket."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.wire import openai_responses_checks
from tests.wire.openai_engines import engines
from tests.wire.openai_server import serving
from tests.wire.responses_server import keeping
from tests.wire.test_openai_sdks import OLD_SDK


@pytest.fixture(scope="module", params=["3.", "1."])
def outcome(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Every check's failure by name ("" for none), as one run of the SDK of this major version has it."""
    python = sys.executable if request.param == "3." else str(OLD_SDK)
    with serving(keeping(tmp_path_factory.mktemp("kept") / "db", engines())) as url:
        script = [python, openai_responses_checks.__file__, url]
        run = subprocess.run(script, capture_output=True, text=True, timeout=120, check=False)
    assert 0 == run.returncode, run.stderr
    report: dict[str, Any] = json.loads(run.stdout)
    assert report["version"].startswith(request.param)
    failures: dict[str, Any] = report["failures"]
    return failures


@pytest.mark.parametrize("check", openai_responses_checks.CHECKS)
def test_the_sdk_finds_the_responses_api(outcome: dict[str, Any], check: str) -> None:
    assert "" == outcome[check], outcome[check]
