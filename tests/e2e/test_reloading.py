"""SIGHUP: the settings read again by a server that goes on."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from tests.e2e.test_draining import answering
from tests.e2e.test_serve import OLD, serving

PRICES = "[models.starter]\ninput = {}\noutput = 10\n"


def until(holds: Callable[[], bool]) -> None:
    for _ in range(200):
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come")


def price(url: str) -> float:
    models = httpx.get(f"{url}/api/v1/models").json()["data"]
    return float(next(model for model in models if model["id"].endswith("starter"))["pricing"]["prompt"])


def known(url: str, name: str) -> bool:
    return 200 == httpx.get(f"{url}/v1/models/{name}", headers=OLD).status_code


def test_what_can_change_changes_the_rest_is_named_and_a_wrong_file_changes_nothing(tmp_path: Path) -> None:
    file, prices, log = tmp_path / "haiga.toml", tmp_path / "prices.toml", tmp_path / "log"
    routes = tmp_path / "routes.toml"
    routes.write_text("")
    prices.write_text(PRICES.format(1))
    named = f'prices = "{prices}"\nroutes = "{routes}"\nlog_format = "json"\n'
    file.write_text(named)
    with serving(tmp_path, "--config", str(file), errors=log) as server:
        assert 1e-6 == price(server.url)
        prices.write_text(PRICES.format(2))
        routes.write_text('[routes.smart]\nto = ["starter"]\n')
        file.write_text(f'{named}file_quota = "1GB"\noffline = true\n[aliases]\nbig = "starter"\n')
        server.process.send_signal(signal.SIGHUP)
        until(lambda: known(server.url, "big"))
        assert known(server.url, "smart")
        assert 2e-6 == price(server.url)
        file.write_text(named + 'file_quota = "0"\n[aliases]\nbig = "nobody"\n')
        server.process.send_signal(signal.SIGHUP)
        until(lambda: "nothing has changed" in log.read_text())
        assert (2e-6, True) == (price(server.url), known(server.url, "big"))
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    told = [(line["level"], line["message"], line.get("changed")) for line in lines if line["message"] != "request"]
    assert [
        ("info", "settings reloaded", "aliases, file_quota, prices, routes"),
        ("warning", "these settings need a restart: offline", None),
        (
            "error",
            "the settings were not reloaded, nothing has changed: aliases: big=nobody: there is no model nobody",
            None,
        ),
    ] == told
    command = [str(Path(sys.executable).with_name("haiga")), "audit", "export", "--data-dir", str(tmp_path)]
    audited = [
        json.loads(line) for line in subprocess.run(command, capture_output=True, check=True).stdout.splitlines()
    ]
    (line,) = [line for line in audited if line["action"] == "config.reloaded"]
    assert ("server", "settings") == (line["kind"], line["subject"])
    assert {"aliases", "file_quota", "prices", "routes"} == set(line["details"]["changed"])


def test_an_answer_under_way_goes_on_and_the_next_is_answered_too() -> None:
    with answering(words=40, drain="30s") as answer:
        answer.server.send_signal(signal.SIGHUP)
        assert "message_stop" in answer.rest()
        assert answer.server.poll() is None
        answer.server.send_signal(signal.SIGTERM)
        assert 0 == answer.server.wait(30)


def test_a_worker_reads_its_settings_again_and_goes_on(tmp_path: Path) -> None:
    file, log = tmp_path / "haiga.toml", tmp_path / "log"
    file.write_text('log_format = "json"\n')
    command = [str(Path(sys.executable).with_name("haiga")), "worker", "--config", str(file)]
    command += ["--data-dir", str(tmp_path)]
    with log.open("w") as told, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=told, text=True) as worker:
        try:
            assert worker.stdout is not None
            assert "works on batches" in worker.stdout.readline()
            file.write_text('log_format = "json"\nkeep_files = "1d"\ncontext = 512\n')
            worker.send_signal(signal.SIGHUP)
            until(lambda: "need a restart: context" in log.read_text())
            assert '"changed":"keep_files"' in log.read_text()
            worker.terminate()
            assert 0 == worker.wait(30)
        finally:
            worker.kill()
