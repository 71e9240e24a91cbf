"""The Admin API through the official SDK: keys, workspaces, reports."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anthropic
import httpx
import pytest

from tests.wire.limited_server import Running, running

ASKED: Any = [{"role": "user", "content": "one two three"}]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory: Path = tmp_path_factory.mktemp("data")
    (directory / "prices.toml").write_text("[models.fake]\ninput = 2\noutput = 10\n")
    with running(directory, prices=str(directory / "prices.toml")) as server:
        yield server


def client(served: Running, key: str) -> anthropic.Anthropic:
    made = anthropic.Anthropic(base_url=served.url, api_key=key, max_retries=0)
    served.clients.append(made)
    return made


@pytest.fixture(scope="module")
def boss_key(served: Running) -> str:
    return served.key("boss", admin=True)


@pytest.fixture
def boss(served: Running, boss_key: str) -> Any:
    return client(served, boss_key).organization


def test_keys_are_listed_found_and_filtered(served: Running, boss: Any) -> None:
    served.key("one", "listed")
    workspace = next(each for each in boss.workspaces.list() if each.name == "listed")
    (key,) = boss.api_keys.list(workspace_id=workspace.id)
    assert ("one", "active", "workspace", workspace.id) == (
        key.name, key.status, key.scope.type, key.scope.workspace_id
    )  # fmt: skip
    assert key == boss.api_keys.retrieve(key.id)
    assert key.id not in [each.id for each in boss.api_keys.list(status="archived")]
    everything = [each.id for each in boss.api_keys.list(limit=1)]
    assert everything == [each.id for each in boss.api_keys.list(limit=1000)]
    assert len(everything) >= 2


def test_a_key_is_renamed_paused_and_archived(served: Running, boss: Any) -> None:
    secret = served.key("two", "changed")
    (key,) = [each for each in boss.api_keys.list() if each.name == "two"]
    assert "renamed" == boss.api_keys.update(key.id, name="renamed").name
    assert "inactive" == boss.api_keys.update(key.id, status="inactive").status
    with pytest.raises(anthropic.AuthenticationError):
        client(served, secret).models.list()
    assert "active" == boss.api_keys.update(key.id, status="active").status
    assert client(served, secret).models.list().data
    assert "archived" == boss.api_keys.update(key.id, status="archived").status
    with pytest.raises(anthropic.BadRequestError, match="archived API key cannot be changed"):
        boss.api_keys.update(key.id, status="active")


def test_a_workspace_is_made_found_and_archived(served: Running, boss: Any) -> None:
    made = boss.workspaces.create(name="lab")
    assert made == boss.workspaces.retrieve(made.id)
    secret = served.key("three", "lab")
    assert client(served, secret).models.list().data
    assert boss.workspaces.archive(made.id).archived_at is not None
    with pytest.raises(anthropic.AuthenticationError):
        client(served, secret).models.list()
    assert "lab" not in [each.name for each in boss.workspaces.list()]
    assert "lab" in [each.name for each in boss.workspaces.list(include_archived=True)]
    with pytest.raises(anthropic.BadRequestError, match="keeps its name"):
        boss.workspaces.update(made.id, name="other")
    with pytest.raises(anthropic.NotFoundError):
        boss.workspaces.retrieve("wrkspc_nobody")


def test_a_workspace_s_limits_are_set_told_kept_and_lifted(served: Running, boss: Any) -> None:
    secret, workspace = (
        served.key("four", "limited"),
        next(each for each in boss.workspaces.list() if each.name == "limited"),
    )
    (group,) = boss.rate_limits.list()
    assert [] == list(boss.workspaces.rate_limits.list(workspace.id))

    def limited(**values: int | None) -> dict[str, int]:
        asked: Any = [{"type": name, "value": value} for name, value in values.items()]
        set_ = boss.workspaces.rate_limits.update(group.id, workspace_id=workspace.id, limits=asked)
        return {each.type: each.value for each in set_.limits}

    limited(output_tokens_per_minute=1000)
    assert {"requests_per_minute": 1, "output_tokens_per_minute": 1000} == limited(requests_per_minute=1)
    (told,) = boss.workspaces.rate_limits.list(workspace.id)
    assert (1, "workspace") == (told.limits[0].value, told.limits[0].source.type)
    user = client(served, secret)
    user.messages.create(model="fake", max_tokens=9, messages=ASKED)
    with pytest.raises(anthropic.RateLimitError):
        user.messages.create(model="fake", max_tokens=9, messages=ASKED)
    assert {} == limited(requests_per_minute=None, output_tokens_per_minute=None)
    assert user.messages.create(model="fake", max_tokens=9, messages=ASKED)
    with pytest.raises(anthropic.BadRequestError, match="this server limits requests_per_minute"):
        limited(tokens_per_day=5)
    with pytest.raises(anthropic.BadRequestError, match=r"limits\.0\.value"):
        limited(requests_per_minute=0)


def test_others_than_administrators_are_denied(served: Running) -> None:
    ordinary = client(served, served.key("ordinary"))
    for ask in (
        ordinary.organization.api_keys.list,
        ordinary.organization.workspaces.list,
        ordinary.organization.retrieve,
    ):
        with pytest.raises(anthropic.PermissionDeniedError, match="--role admin"):
            ask()
    for path in ("usage_report/messages", "cost_report"):
        response = httpx.get(f"{served.url}/v1/organizations/{path}", headers={"x-api-key": ordinary.api_key or ""})
        assert (403, "permission_error") == (response.status_code, response.json()["error"]["type"])


def test_reports_tell_what_was_used_and_what_it_cost(served: Running, boss: Any, boss_key: str) -> None:
    user = client(served, served.key("user", "reported"))
    for _ in range(2):
        user.messages.create(model="fake", max_tokens=9, messages=ASKED)
    workspace = next(each for each in boss.workspaces.list() if each.name == "reported")
    today = datetime.fromtimestamp(time.time(), UTC).strftime("%Y-%m-%dT00:00:00Z")

    def report(path: str, **query: Any) -> list[dict[str, Any]]:
        address = f"{served.url}/v1/organizations/{path}"
        response = httpx.get(address, params={"starting_at": today, **query}, headers={"x-api-key": boss_key})
        assert 200 == response.status_code, response.text
        return [row for bucket in response.json()["data"] for row in bucket["results"]]

    (used,) = report(
        "usage_report/messages", **{"group_by[]": ["model", "workspace_id"], "workspace_ids[]": workspace.id}
    )
    assert (workspace.id, "fake", 8, 6) == (
        used["workspace_id"], used["model"], used["uncached_input_tokens"], used["output_tokens"]
    )  # fmt: skip
    costs = [
        row for row in report("cost_report", **{"group_by[]": "workspace_id"}) if row["workspace_id"] == workspace.id
    ]
    assert ["0.0076"] == [row["amount"].rstrip("0") for row in costs]
