"""Whatever is asked of the Admin API, it is answered or refused."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.wire.limited_server import Running, running

WORDS = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), max_size=12)
TIMES = st.sampled_from(["2026-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01", "2026-13-01", "now", "1e9", ""])
NUMBERS = st.one_of(st.integers(-2, 2000).map(str), WORDS)
QUERY = st.fixed_dictionaries(
    {},
    optional={
        "starting_at": TIMES, "ending_at": TIMES, "limit": NUMBERS, "page": WORDS,
        "after_id": WORDS, "before_id": WORDS,
        "bucket_width": st.sampled_from(["1m", "1h", "1d", "1y"]), "status": WORDS, "workspace_id": WORDS,
        "group_by[]": st.sampled_from(["model", "workspace_id", "description", "context_window", "mood"]),
        "models[]": WORDS, "include_archived": WORDS,
    },
)  # fmt: skip
LIMIT = "workspaces/{workspace}/rate_limits/rl_all"
GETS = (
    "api_keys",
    "api_keys/x",
    "workspaces",
    "workspaces/x",
    "usage_report/messages",
    "cost_report",
    "me",
    "rate_limits",
)
POSTS = (
    "api_keys",
    "api_keys/{key}",
    "api_keys/{key}/rotate",
    "workspaces",
    "workspaces/{workspace}",
    "workspaces/x/archive",
    LIMIT,
)
VALUES = st.one_of(st.none(), st.booleans(), st.integers(), WORDS, st.lists(WORDS, max_size=2))
BODIES = st.one_of(
    st.binary(max_size=20),
    st.dictionaries(
        st.sampled_from(["name", "status", "tags", "limits", "role", "expires_at", "workspace_id", "grace_seconds"]),
        VALUES,
    ).map(lambda body: json.dumps(body).encode()),
)
FEW = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("data")) as server:
        yield server


@pytest.fixture(scope="module")
def client(served: Running) -> Iterator[httpx.Client]:
    headers = {"x-api-key": served.key("boss", admin=True)}
    with httpx.Client(base_url=f"{served.url}/v1/organizations/", headers=headers) as made:
        yield made


@pytest.fixture(autouse=True)
def no_traceback(caplog: pytest.LogCaptureFixture) -> Any:
    """Unforeseen errors are logged with their traceback: there must be none."""
    yield
    assert [] == [record.message for record in caplog.records if record.levelno >= logging.ERROR]


def fine(response: httpx.Response) -> bool:
    """An answer, or an error in Anthropic's shape."""
    body = response.json()
    return response.status_code == 200 or (response.status_code < 500 and body["error"]["type"].endswith("_error"))


@FEW
@given(path=st.sampled_from(GETS), query=QUERY)
def test_any_query_is_answered_or_refused(client: httpx.Client, path: str, query: dict[str, str]) -> None:
    assert fine(client.get(path, params=query))


@FEW
@given(path=st.sampled_from(POSTS), body=BODIES)
def test_any_body_is_answered_or_refused(client: httpx.Client, path: str, body: bytes) -> None:
    key = [each["id"] for each in client.get("api_keys").json()["data"] if each["name"] != "boss"]
    workspaces = client.get("workspaces").json()["data"]
    found = {"key": key[0] if key else "x", "workspace": workspaces[0]["id"] if workspaces else "x"}
    assert fine(client.post(path.format(**found), content=body))
