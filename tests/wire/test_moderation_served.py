"""Moderation as `haiga serve` composes it: settings, files, keys."""

from pathlib import Path

import httpx
import pytest

from haiga.config import read_settings
from haiga.core.errors import Invalid
from haiga.engines.fake import FakeEngine
from tests.wire.limited_server import running

POLICY = """
[policies.house]
[[policies.house.terms]]
name = "codename"
text = "project zeus"
action = "mask"
"""


def ask(url: str, key: str, text: str) -> str:
    """What a chat completion is answered that says this."""
    body = {"model": "fake", "messages": [{"role": "user", "content": text}]}
    answer = httpx.post(f"{url}/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"})
    return str(answer.json()["choices"][0]["message"]["content"])


def test_a_key_is_held_to_a_policy_of_the_file_and_another_key_is_not(tmp_path: Path) -> None:
    (tmp_path / "policies.toml").write_text(POLICY)
    with running(tmp_path, [FakeEngine()], policies=str(tmp_path / "policies.toml")) as served:
        held, free = served.key("held", policy="house"), served.key("free")
        answers = [ask(served.url, key, "about project zeus") for key in (held, free)]
        assert ["about [removed]", "about project zeus"] == answers
        admin = served.key("admin", admin=True)
        body = {"name": "made", "policy": "house"}
        headers = {"authorization": f"Bearer {admin}", "anthropic-version": "2023-06-01"}
        made = httpx.post(f"{served.url}/v1/organizations/api_keys", json=body, headers=headers).json()
        assert "house" == made["policy"]
        assert "about [removed]" == ask(served.url, made["key"], "about project zeus")
        metrics = httpx.get(f"{served.url}/metrics", headers=headers).text
        assert 'haiga_moderation_decisions_total{action="mask"' in metrics


def test_the_server_s_own_policy_holds_for_everyone_but_those_who_have_another(tmp_path: Path) -> None:
    (tmp_path / "policies.toml").write_text(POLICY)
    with running(tmp_path, [FakeEngine()], policies=str(tmp_path / "policies.toml"), moderation="house") as served:
        plain, exempt = served.key("plain"), served.key("exempt", policy="off")
        told = [ask(served.url, key, "about project zeus") for key in (plain, exempt)]
        assert ["about [removed]", "about project zeus"] == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[policies.a]\nnonsense = 1", "policies.a.nonsense"),
        ("[policies.a.categories]\nhate = 'blok'", "policies.a.categories.hate"),
        ("[[policies.a.terms]]\nname = 'x'\npattern = '('", "policies.a.terms[0].pattern"),
        ("[policys.a]", "policys"),
        ("x = [", "policies.toml"),
    ],
)
def test_a_file_that_is_wrong_ends_the_start_and_is_named(tmp_path: Path, text: str, told: str) -> None:
    from haiga.cli.moderating import read_policies

    (tmp_path / "policies.toml").write_text(text)
    with pytest.raises(Invalid) as raised:
        read_policies(tmp_path / "policies.toml")
    assert told in str(raised.value)


def test_thresholds_are_shares_of_categories(tmp_path: Path) -> None:
    read = read_settings({"moderation_thresholds": "hate=0.4,violence=1"}, {})
    assert (("hate", 0.4), ("violence", 1.0)) == read.moderation_thresholds
    for wrong in ("hate", "hate=2", "hate=0", "hate=x"):
        with pytest.raises(Invalid, match="--moderation-threshold"):
            read_settings({"moderation_thresholds": wrong}, {})
