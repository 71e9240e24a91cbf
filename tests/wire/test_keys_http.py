"""Keys made, changed, rotated and revoked over HTTP: as this server's own API and as OpenRouter's."""

from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import pytest

from haiga.core.limits import DOLLAR, Limits
from tests.wire.limited_server import Running, running

KEYS = "/v1/organizations/api_keys"
HELLO: Any = [{"role": "user", "content": "hi"}]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("data")) as server:
        yield server


@pytest.fixture(scope="module")
def boss(served: Running) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {served.key('boss', admin=True)}"}
    with httpx.Client(base_url=served.url, headers=headers) as client:
        yield client


def answers(served: Running, secret: str) -> bool:
    client = anthropic.Anthropic(base_url=served.url, api_key=secret, max_retries=0)
    served.clients.append(client)
    try:
        return bool(client.messages.create(model="fake", max_tokens=5, messages=HELLO).content)
    except anthropic.AuthenticationError:
        return False


def kept(served: Running, id: str) -> Any:
    return next(key for key in served.do(served.access.list()) if key.id == id)


def test_a_key_is_made_with_all_that_it_may_do(served: Running, boss: httpx.Client) -> None:
    body = {
        "name": "ci",
        "role": "readonly",
        "families": ["openai"],
        "models": ["qwen*"],
        "tags": ["eu"],
        "expires_at": "2099-01-01T00:00:00Z",
        "limits": {"requests_per_minute": 60, "concurrent_requests": 2, "monthly_budget_usd": 12.5},
    }
    made = boss.post(KEYS, json=body).raise_for_status().json()
    key = kept(served, made["id"])
    assert ("ci", "readonly", ("openai",), ("qwen*",), ("eu",), 4070908800) == (
        key.name, key.role, key.scope.families, key.scope.models, key.scope.tags, key.expires_at,
    )  # fmt: skip
    assert Limits(requests=60, concurrent=2, budget=12_500_000_000) == key.limits
    assert body["limits"] | {"input_tokens_per_minute": None, "output_tokens_per_minute": None} == made["limits"]
    assert {name: made[name] for name in ("role", "models", "tags")} == {
        name: body[name] for name in ("role", "models", "tags")
    }
    assert "key" not in boss.get(f"{KEYS}/{made['id']}").json()


def test_what_a_change_does_not_name_stays_and_null_lifts(served: Running, boss: httpx.Client) -> None:
    made = boss.post(KEYS, json={"name": "x", "limits": {"requests_per_minute": 5, "concurrent_requests": 1}}).json()
    where = f"{KEYS}/{made['id']}"
    boss.post(where, json={"limits": {"requests_per_minute": 7}, "models": ["a*"]}).raise_for_status()
    assert Limits(requests=7, concurrent=1) == kept(served, made["id"]).limits
    boss.post(where, json={"limits": {"concurrent_requests": None}}).raise_for_status()
    assert (Limits(requests=7), ("a*",)) == (kept(served, made["id"]).limits, kept(served, made["id"]).scope.models)
    boss.post(where, json={"limits": None, "models": None}).raise_for_status()
    assert (Limits(), ()) == (kept(served, made["id"]).limits, kept(served, made["id"]).scope.models)


def test_a_new_key_answers_and_after_a_rotation_without_grace_only_its_new_secret(
    served: Running, boss: httpx.Client
) -> None:
    made = boss.post(KEYS, json={"name": "rotated"}).json()
    assert answers(served, made["key"])
    turned = boss.post(f"{KEYS}/{made['id']}/rotate", json={"grace_seconds": 0}).raise_for_status().json()
    assert made["id"] == turned["id"]
    assert answers(served, turned["key"])
    assert not answers(served, made["key"])


@pytest.mark.parametrize(
    "body, field",
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x", "role": "king"}, "role"),
        ({"name": "x", "models": ["a,b"]}, "models.0"),
        ({"name": "x", "expires_at": "soon"}, "expires_at"),
        ({"name": "x", "expires_at": "2001-01-01"}, "expires_at"),
        ({"name": "x", "limits": {"requests_per_minute": 0}}, "limits.requests_per_minute"),
        ({"name": "x", "limits": {"monthly_budget_usd": -1}}, "limits.monthly_budget_usd"),
    ],
)
def test_what_is_wrong_is_named(boss: httpx.Client, body: Any, field: str) -> None:
    refused = boss.post(KEYS, json=body)
    assert (400, True) == (refused.status_code, refused.json()["error"]["message"].startswith(f"{field}: "))


def test_no_key_is_made_in_a_workspace_that_is_not_there(boss: httpx.Client) -> None:
    assert 404 == boss.post(KEYS, json={"name": "x", "workspace_id": "nowhere"}).status_code


def test_only_administrators_make_keys(served: Running) -> None:
    for role in ({}, {"readonly": True}):
        headers = {"x-api-key": served.key("worker", **role)}
        for path in (KEYS, f"{KEYS}/x/rotate", "/api/v1/keys"):
            assert 403 == httpx.post(served.url + path, json={"name": "x"}, headers=headers).status_code, path
        assert 403 == httpx.get(f"{served.url}/api/v1/keys", headers=headers).status_code


# --- as OpenRouter's ---


def test_openrouter_s_keys_are_made_listed_changed_and_deleted(served: Running, boss: httpx.Client) -> None:
    response = boss.post("/api/v1/keys", json={"name": "routed", "limit": 2.5, "limit_reset": "monthly"})
    made = response.json()
    hash = made["data"]["hash"]
    told = ("limit", "limit_remaining", "limit_reset", "usage", "disabled")
    assert (201, 2.5, 2.5, "monthly", 0.0, False) == (response.status_code, *(made["data"][name] for name in told))
    assert Limits(budget=5 * DOLLAR // 2) == kept(served, hash).limits
    assert answers(served, made["key"])
    assert hash in [key["hash"] for key in boss.get("/api/v1/keys").json()["data"]]
    changed = boss.patch(f"/api/v1/keys/{hash}", json={"name": "other", "disabled": True, "limit": None}).json()["data"]
    assert ("other", True, None) == (changed["name"], changed["disabled"], changed["limit"])
    assert not answers(served, made["key"])
    assert hash not in [key["hash"] for key in boss.get("/api/v1/keys").json()["data"]]
    assert hash in [key["hash"] for key in boss.get("/api/v1/keys?include_disabled=true").json()["data"]]
    assert {"deleted": True} == boss.delete(f"/api/v1/keys/{hash}").json()
    assert 404 == boss.get(f"/api/v1/keys/{hash}").status_code


def test_a_budget_that_is_not_a_month_s_is_refused_by_name(boss: httpx.Client) -> None:
    for body in ({"limit": 5}, {"limit": 5, "limit_reset": "daily"}):
        refused = boss.post("/api/v1/keys", json={"name": "x", **body})
        assert 400 == refused.status_code
        assert "calendar month" in refused.json()["error"]["message"]
