"""Prompts for pictures held to a policy, on every way in."""

import json
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from haiga.engines.fake_painter import FakePainter
from tests.wire.images.asking import ended, png

TERMS = [{"name": "zeus", "text": "project zeus"}, {"name": "hera", "text": "project hera", "action": "mask"}]


@pytest.fixture
def flags(tmp_path: Path) -> Mapping[str, str]:
    (tmp_path / "policies.json").write_text(json.dumps({"policies": {"house": {"terms": TERMS}}}))
    return {"policies": str(tmp_path / "policies.json"), "moderation": "house"}


@pytest.mark.parametrize("field", ["prompt", "negative_prompt"])
def test_a_blocked_prompt_makes_no_job(http: httpx.Client, painter: FakePainter, field: str) -> None:
    told = {"prompt": "a boat", field: "Project Zeus"}
    answers = [http.post(path, json=told) for path in ("/v1/images/generations", "/v1/jobs")]
    answers.append(http.post("/v1/images/edits", data=told, files={"image": ("a.png", png())}))
    assert [400] * 3 == [answer.status_code for answer in answers]
    assert all("zeus" in answer.text for answer in answers)
    assert [] == http.get("/v1/jobs").json()["data"]
    assert [] == [line for line in painter.log if line.startswith("paint")]


def test_what_choices_and_wildcards_lead_to_is_judged(tmp_path: Path, http: httpx.Client) -> None:
    (tmp_path / "wildcards").mkdir()
    (tmp_path / "wildcards" / "name.txt").write_text("zeus\n")
    for prompt in ("{pro|pro}ject zeus", "project __name__"):
        assert 400 == http.post("/v1/jobs", json={"prompt": f"{prompt}, {{red|green|blue}}", "n": 9}).status_code
    assert [] == http.get("/v1/jobs").json()["data"]


def test_what_is_masked_does_not_reach_the_model(http: httpx.Client, painter: FakePainter) -> None:
    http.post("/v1/jobs", json={"prompt": "the logo of project hera", "id": "a"})
    assert "done" == ended(http, "a")["status"]
    (line,) = [line for line in painter.log if line.startswith("paint")]
    assert line.startswith("paint the logo of ") and "hera" not in line
