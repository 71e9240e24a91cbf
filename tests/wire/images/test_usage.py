"""Pictures as a key's limits, budget and records see them."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

import httpx
import openai
import pytest
from typer.testing import CliRunner

from haiga.cli import app
from haiga.core.limits import DOLLAR, Limits
from haiga.engines.fake_painter import FakePainter
from tests.wire.images.asking import asking, ended, freed, held
from tests.wire.limited_server import Running, running


@pytest.fixture
def flags(tmp_path: Path) -> Mapping[str, str]:
    (tmp_path / "prices.toml").write_text("[models.brush]\nimage = 0.02\n")
    return {"prices": str(tmp_path / "prices.toml")}


def client(served: Running, limits: Limits) -> openai.OpenAI:
    made = openai.OpenAI(base_url=f"{served.url}/v1", api_key=served.key("held", limits=limits), max_retries=0)
    served.clients.append(made)
    return made


def http(served: Running, limits: Limits) -> httpx.Client:
    made = asking(served, served.key("held", limits=limits))
    served.clients.append(made)
    return made


def test_pictures_take_from_the_requests_a_minute(served: Running) -> None:
    limited = client(served, Limits(requests=2))
    limited.images.generate(prompt="a boat", n=3)
    limited.chat.completions.create(model="fake", messages=[{"role": "user", "content": "hi"}])
    with pytest.raises(openai.RateLimitError) as refused:
        limited.images.generate(prompt="a boat")
    assert "rate_limit_exceeded" == refused.value.code
    assert 0 < int(refused.value.response.headers["retry-after"]) <= 60


def test_a_budget_holds_the_price_of_all_the_pictures_of_a_job(served: Running) -> None:
    poor = client(served, Limits(budget=DOLLAR // 20))  # two pictures, and half of a third
    with pytest.raises(openai.RateLimitError) as refused:
        poor.images.generate(prompt="a boat", n=3)
    assert "insufficient_quota" == refused.value.code
    assert poor.images.generate(prompt="a boat", n=2).data
    with pytest.raises(openai.RateLimitError):
        poor.images.generate(prompt="a boat")


def test_jobs_are_held_to_limits_like_waiting_clients(served: Running) -> None:
    limited = http(served, Limits(requests=1))
    answers = [limited.post("/v1/jobs", json={"prompt": "a boat", "id": id}) for id in "aab"]
    assert [202, 202, 429] == [answer.status_code for answer in answers]  # what is there already takes nothing
    assert int(answers[-1].headers["retry-after"]) > 0


def test_pictures_that_were_not_made_are_given_back(served: Running) -> None:
    poor = http(served, Limits(budget=DOLLAR // 50))  # one picture
    poor.post("/v1/jobs", json={"prompt": "ugly", "id": "a"})
    assert "failed" == ended(poor, "a")["status"]
    assert [202, 429] == [poor.post("/v1/jobs", json={"prompt": "a boat"}).status_code for _ in range(2)]


def test_every_job_is_recorded_with_its_pictures_and_their_price(served: Running, tmp_path: Path) -> None:
    free = http(served, Limits(budget=DOLLAR))
    free.post("/v1/images/generations", json={"prompt": "a boat", "n": 2}).raise_for_status()
    for name in ("ugly", "fine"):
        free.post("/v1/jobs", json={"prompt": name, "id": name})
        ended(free, name)
    free.post("/v1/jobs", json={"prompt": "a boat", "n": 64})
    assert 0.06 == free.get("/api/v1/key").json()["data"]["usage"]
    served.do(served.server._last[0].flush())  # type: ignore[attr-defined]

    def rows(by: str) -> list[list[str]]:
        command = ["usage", "--csv", "--by", by, "--data-dir", str(tmp_path)]
        return list(csv.reader(io.StringIO(CliRunner().invoke(app, command).stdout)))[1:]

    assert [["brush", "4", "0", "0", "0", "0", "3", "0.06"]] == rows("model")
    assert [["exhausted", "1"], ["invalid", "1"], ["succeeded", "2"]] == [row[:2] for row in rows("outcome")]
    assert [["/v1/images/generations", "2"], ["/v1/jobs", "1"]] == [[row[0], row[6]] for row in rows("endpoint")]


def test_what_a_waiting_job_holds_of_a_budget_outlasts_the_server(tmp_path: Path, flags: Mapping[str, str]) -> None:
    with running(tmp_path, painters=[first := FakePainter()], **flags) as served:
        key = served.key("held", limits=Limits(budget=DOLLAR // 20))
        with asking(served, key) as poor:
            held(served, first)
            for name in "ab":
                assert 202 == poor.post("/v1/jobs", json={"prompt": name, "id": name}).status_code
            while poor.get("/v1/jobs/a").json()["status"] != "running":
                pass
        served.server.should_exit = True
        served.loop.call_soon_threadsafe(served.loop.call_later, 0.3, first.gate.set)
    second = FakePainter()
    second.gate.clear()
    with running(tmp_path, painters=[second], **flags) as served, asking(served, key) as poor:
        while poor.get("/v1/jobs/b").json()["status"] != "running":
            pass
        assert 429 == poor.post("/v1/jobs", json={"prompt": "c"}).status_code
        poor.post("/v1/jobs/b/cancel")
        assert 202 == poor.post("/v1/jobs", json={"prompt": "c"}).status_code
        freed(served, second)
