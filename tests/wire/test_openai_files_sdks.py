"""Files and uploads, with the official openai SDKs as clients: the newest and the newest before 2.0."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.wire import openai_files_checks
from tests.wire.batch_server import Counting, serving_batches
from tests.wire.test_openai_sdks import OLD_SDK


@pytest.fixture(scope="module", params=["3.", "1."])
def outcome(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Every check's failure by name ("" for none), as one run of the SDK of this major version has it."""
    python = Path(sys.executable) if request.param == "3." else OLD_SDK
    if not python.exists():
        pytest.fail(f"{python} is missing: run scripts/sdk-env to build the older SDK's environment")
    with serving_batches(tmp_path_factory.mktemp("files") / "db", [Counting()]) as url:
        script = [str(python), openai_files_checks.__file__, url]
        run = subprocess.run(script, capture_output=True, text=True, timeout=120, check=False)
    assert 0 == run.returncode, run.stderr
    report: dict[str, Any] = json.loads(run.stdout)
    assert report["version"].startswith(request.param)
    failures: dict[str, Any] = report["failures"]
    return failures


@pytest.mark.parametrize("check", openai_files_checks.CHECKS)
def test_the_sdk_finds_the_api(outcome: dict[str, Any], check: str) -> None:
    assert "" == outcome[check], outcome[check]
