"""What was done to the server, as OpenAI's official SDK reads it, and as the command line tells it."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest
from typer.testing import CliRunner

from haiga.cli import app
from haiga.core.access import Scope
from haiga.engines.fake import CARD, FakeEngine
from haiga.services.audit import Refusals
from tests.wire.limited_server import Running, running

HELLO: Any = [{"role": "user", "content": "hi"}]
EU = FakeEngine(replace(CARD, name="lyon", tags=("eu", "fr")))


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def served(directory: Path) -> Iterator[Running]:
    with running(directory, engines=(FakeEngine(), EU)) as server:
        yield server


@pytest.fixture(scope="module")
def boss(served: Running) -> str:
    return served.key("boss", admin=True)


@pytest.fixture
def logs(served: Running, boss: str) -> Any:
    client = openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", admin_api_key=boss, max_retries=0)
    served.clients.append(client)
    return client.admin.organization.audit_logs


def claude(served: Running, key: str) -> Any:
    client = anthropic.Anthropic(base_url=served.url, api_key=key, max_retries=0)
    served.clients.append(client)
    return client


def test_what_an_administrator_does_is_told_with_the_key_that_did_it(served: Running, boss: str, logs: Any) -> None:
    made = claude(served, boss).organization.workspaces.create(name="audited")
    (line,) = list(logs.list(event_types=["project.created"], resource_ids=[made.id]))
    assert ("project.created", "api_key") == (line.type, line.actor.type)
    admin = next(key for key in claude(served, boss).organization.api_keys.list() if key.name == "boss")
    assert admin.id == line.actor.api_key.id
    claude(served, boss).organization.workspaces.archive(made.id)
    kinds = [each.type for each in logs.list(resource_ids=[made.id])]
    assert ["project.archived", "project.created"] == kinds
    by = [each.type for each in logs.list(actor_ids=[admin.id])]
    assert ["project.archived", "project.created"] == by


def test_who_deletes_something_is_told_and_who_finds_nothing_to_delete_is_not(served: Running, logs: Any) -> None:
    key = served.key("deleting")
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key=key, max_retries=0) as client:
        answer = client.responses.create(model="fake", input="hi")
        chat = client.chat.completions.create(model="fake", messages=HELLO, store=True)
        talk = client.conversations.create(items=[{"type": "message", "role": "user", "content": "hi"}])
        file = client.files.create(file=("a.txt", b"hi"), purpose="user_data")
        item = client.conversations.items.list(talk.id).data[0]
        assert item.id is not None
        client.conversations.items.delete(item.id, conversation_id=talk.id)
        client.conversations.delete(talk.id)
        client.responses.delete(answer.id)
        client.chat.completions.delete(chat.id)
        client.files.delete(file.id)
        with pytest.raises(openai.NotFoundError):
            client.files.delete(file.id)
    batches = claude(served, key).messages.batches
    asked = {"custom_id": "a", "params": {"model": "fake", "max_tokens": 5, "messages": HELLO}}
    batch = batches.create(requests=[asked])
    while batches.retrieve(batch.id).processing_status != "ended":
        time.sleep(0.05)
    batches.delete(batch.id)
    wanted = {
        "conversation_item.deleted": item.id,
        "conversation.deleted": talk.id,
        "response.deleted": answer.id,
        "chat_completion.deleted": chat.id,
        "file.deleted": file.id,
        "batch.deleted": batch.id,
    }
    told = {line.type: line for line in logs.list(event_types=list(wanted))}
    assert wanted == {kind: line.model_extra[kind]["id"] for kind, line in told.items()}
    (holder,) = {line.actor.api_key.id for line in told.values()}
    assert [holder] == [
        each.id
        for each in claude(served, served.key("x", admin=True)).organization.api_keys.list()
        if each.name == "deleting"
    ]


def test_who_cancels_a_batch_is_told_and_who_may_not_see_it_is_not(served: Running, logs: Any) -> None:
    key = served.key("cancelling")
    asked = {"custom_id": "a", "params": {"model": "fake", "max_tokens": 5, "messages": HELLO}}
    batches = claude(served, key).messages.batches
    batch = batches.create(requests=[asked])
    batches.cancel(batch.id)
    body = {"model": "fake", "messages": HELLO}
    line = json.dumps({"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body})
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key=key, max_retries=0) as client:
        file = client.files.create(file=("a.jsonl", line.encode()), purpose="batch")
        filed = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
        client.batches.cancel(filed.id)
        with pytest.raises(openai.NotFoundError):
            client.batches.cancel("batch_of_nobody")
    told = [(line.model_extra["batch.cancelled"]["id"]) for line in logs.list(event_types=["batch.cancelled"])]
    assert [filed.id, batch.id] == told


def test_a_server_s_start_is_told_with_its_version(logs: Any) -> None:
    (line,) = logs.list(event_types=["server.started"]).data
    assert (version("haiga"), False) == tuple(
        line.model_extra["server.started"]["data"][name] for name in ("version", "offline")
    )


def test_pages_follow_each_other_both_ways(served: Running, logs: Any) -> None:
    for name in ("p1", "p2", "p3"):
        served.key(name)
    everything = [line.id for line in logs.list(limit=100)]
    assert everything == [line.id for line in logs.list(limit=2)]
    before = logs.list(limit=2, before=everything[-1])
    assert everything[-3:-1] == [line.id for line in before.data]
    assert [] == list(logs.list(effective_at={"lt": 1}))
    assert everything == [line.id for line in logs.list(effective_at={"gte": 1})]
    with pytest.raises(openai.BadRequestError, match="audit log"):
        logs.list(after="nonsense")


def test_only_administrators_read_it_and_who_else_tries_is_told(served: Running, logs: Any) -> None:
    response = httpx.get(f"{served.url}/v1/organization/audit_logs", headers={"x-api-key": served.key("dev")})
    assert 403 == response.status_code
    found: list[Any] = []
    while not found:  # it may be on its way already
        served.do(_flushed(served))
        found = [line.model_extra["access.refused"]["id"] for line in logs.list(event_types=["access.refused"])]
    assert ["/v1/organization/audit_logs"] == found


def test_a_workspace_s_new_limits_are_told(served: Running, boss: str, logs: Any, directory: Path) -> None:
    made = claude(served, boss).organization.workspaces.create(name="slower")
    flags = ["--rpm", "7", "--data-dir", str(directory)]
    assert 0 == CliRunner().invoke(app, ["workspaces", "set", "slower", *flags]).exit_code
    kinds = [(each.type, each.actor.type) for each in logs.list(resource_ids=[made.id])]
    assert [("project.updated", "session"), ("project.created", "api_key")] == kinds


def test_refused_logins_are_told_once_with_their_number(served: Running, logs: Any) -> None:
    for n in range(5):
        assert 401 == httpx.get(f"{served.url}/v1/models", headers={"x-api-key": f"sk-guess-{n}"}).status_code
    served.do(_flushed(served))
    found = logs.list(event_types=["login.failed"]).data
    assert 5 == sum(line.model_extra["login.failed"]["data"]["count"] for line in found)
    assert "sk-guess" not in str(found)
    assert {"127.0.0.1"} == {line.actor.session.ip_address for line in found}


async def _flushed(served: Running) -> None:
    """The five seconds in which refusals are gathered need not be waited for."""
    (refusals,) = [each for each in served.server._last if isinstance(each, Refusals)]
    await refusals.flush()


def test_the_log_verifies_and_is_handed_on_whole(served: Running, directory: Path) -> None:
    served.key("last")
    runner, data = CliRunner(), ["--data-dir", str(directory)]
    verified = runner.invoke(app, ["audit", "verify", *data])
    assert 0 == verified.exit_code, verified.stderr
    number, _, digest = verified.stdout.split()[-1].partition(":")
    assert 0 == runner.invoke(app, ["audit", "verify", "--expect", f"{number}:{digest}", *data]).exit_code
    assert 1 == runner.invoke(app, ["audit", "verify", "--expect", f"{number}:{'0' * 64}", *data]).exit_code
    lines = [json.loads(line) for line in runner.invoke(app, ["audit", "export", *data]).stdout.splitlines()]
    assert list(range(1, int(number) + 1)) == [line["number"] for line in lines]
    assert digest == lines[-1]["digest"]
    table = runner.invoke(app, ["audit", "list", "--action", "api_key.created", "--limit", "1", *data]).stdout
    assert "api_key.created" in table and '"last"' in table
    assert len(lines) + 1 == len(runner.invoke(app, ["audit", "export", "--csv", *data]).stdout.splitlines())


# --- residency ---


def test_a_key_held_to_a_tag_is_refused_other_models_by_name(served: Running) -> None:
    client = claude(served, served.key("resident", scope=Scope(tags=("ch", "eu"))))
    assert ["lyon"] == [model.id for model in client.models.list()]
    assert client.messages.create(model="lyon", max_tokens=5, messages=HELLO).content
    expected = "this API key may only use models tagged ch or eu; the model fake is without a tag"
    with pytest.raises(anthropic.PermissionDeniedError, match=expected):
        client.messages.create(model="fake", max_tokens=5, messages=HELLO)
    with pytest.raises(anthropic.PermissionDeniedError, match=expected):
        client.messages.count_tokens(model="fake", messages=HELLO)
    with pytest.raises(anthropic.PermissionDeniedError, match="vectors is without a tag"):
        headers = {"anthropic-version": "2023-06-01"}
        client.post(
            "/v1/embeddings", body={"model": "vectors", "input": "a"}, cast_to=object, options={"headers": headers}
        )
