"""litellm and the Vercel AI SDK as clients of the real server on a socket, through every family they speak."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.wire.openai_engines import engines
from tests.wire.openai_server import OneKey, serving
from tests.wire.responses_server import keeping

ROOT = Path(__file__).parents[2]
LITELLM = ROOT / ".venv-litellm" / "bin" / "python"
LITELLM_CHECKS = Path(__file__).with_name("litellm_checks.py")
VERCEL = Path(__file__).with_name("vercel")
# litellm fetches a table of prices when it is imported unless it is told that its own copy will do
QUIET = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}


def failures(command: Sequence[str | Path], folder: Path) -> dict[str, str]:
    """Every check's failure by name, "" for none."""
    services = replace(keeping(folder / "db", engines()), access=OneKey())
    with serving(services) as url:
        script = [str(part) for part in (*command, url)]
        run = subprocess.run(script, capture_output=True, text=True, timeout=180, check=False, env=QUIET)
    assert 0 == run.returncode, run.stderr
    found: dict[str, str] = json.loads(run.stdout.splitlines()[-1])["failures"]
    return found


def test_litellm_finds_every_family(tmp_path: Path) -> None:
    assert LITELLM.exists(), f"{LITELLM} is missing: run scripts/sdk-env to build litellm's environment"
    found = failures([LITELLM, LITELLM_CHECKS], tmp_path)
    assert (15, {}) == (len(found), {name: text for name, text in found.items() if text})


@pytest.mark.skipif(shutil.which("npm") is None, reason="the Vercel AI SDK needs Node and npm")
def test_the_vercel_ai_sdk_finds_every_family(tmp_path: Path) -> None:
    assert (VERCEL / "node_modules").exists(), "run scripts/sdk-env to install the Vercel AI SDK"
    found = failures(["node", VERCEL / "checks.mjs"], tmp_path)
    assert (25, {}) == (len(found), {name: text for name, text in found.items() if text})


def test_the_vercel_lock_names_no_index() -> None:
    lock = (VERCEL / "package-lock.json").read_text()
    assert [] == re.findall(r'"resolved": ".*"', lock)
