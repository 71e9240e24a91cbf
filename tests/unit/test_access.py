"""Keys: who is let in, and for how long."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from haiga.core.access import ApiKey, Caller, Scope, Workspace
from haiga.core.errors import Denied, Invalid, NotFound
from haiga.core.limits import Limits, Owner
from haiga.services.access import FRESH, Access
from haiga.stores.connect import connect
from haiga.stores.keys import DatabaseKeys


class Shelf:
    """Keys in memory: a second implementation of the seam. Counts how often it is read."""

    def __init__(self) -> None:
        self.kept: dict[str, ApiKey] = {}
        self.places: dict[str, Workspace] = {}
        self.reads = 0

    async def add(self, key: ApiKey, deed: object = None) -> None:
        self.kept[key.id] = key

    async def all(self) -> list[ApiKey]:
        self.reads += 1
        await asyncio.sleep(0)
        return list(self.kept.values())

    async def change(self, key: ApiKey, deed: object = None) -> bool:
        self.kept[key.id] = key
        return True

    async def revoke(self, key_id: str, at: int, deed: object = None) -> bool:
        return await self.change(replace(self.kept[key_id], revoked_at=at))

    async def workspaces(self) -> list[Workspace]:
        return list(self.places.values())

    async def put_workspace(self, workspace: Workspace, deed: object = None) -> None:
        self.places[workspace.name] = workspace


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def everything_in(directory: Path) -> bytes:
    return b"".join(file.read_bytes() for file in directory.iterdir())


async def refused(access: Access, credential: str | None) -> bool:
    try:
        await access.authenticate(credential)
    except Denied as denied:
        return denied.unauthenticated and str(denied) == "invalid x-api-key"
    return False


async def test_a_secret_opens_the_door_and_the_database_does_not_hold_it(tmp_path: Path) -> None:
    async with connect(tmp_path / "db") as database:
        access = Access(DatabaseKeys(database))
        key, secret = await access.create_key("ci", "team", admin=True)
        assert Caller(key.id, "team", True) == await access.authenticate(secret)
        assert [key] == await access.list()
    assert secret.startswith("sk-haiga-") and len(secret) == len("sk-haiga-") + 43
    assert secret.encode() not in everything_in(tmp_path)
    assert secret not in repr(key)


async def test_two_keys_never_share_a_secret_or_an_id() -> None:
    access = Access(Shelf())
    (one, first), (other, second) = await access.create_key("a"), await access.create_key("a")
    assert first != second and one.id != other.id and one.hash != other.hash


@pytest.mark.parametrize("credential", [None, "", "sk-haiga-", "sk-haiga-" + "x" * 43, "ключ", "\udcff", "a" * 100_000])
async def test_anything_but_a_key_is_denied(credential: str | None) -> None:
    access = Access(Shelf())
    await access.create_key("ci")
    assert await refused(access, credential)


async def test_without_keys_a_closed_server_denies_and_an_open_one_takes_any_credential() -> None:
    assert await refused(Access(Shelf()), "anything")
    for credential in (None, "anything"):
        assert Caller(admin=True) == await Access(Shelf(), open_when_empty=True).authenticate(credential)


async def test_the_first_key_closes_an_open_server_and_revoking_it_does_not_open_it_again() -> None:
    access = Access(Shelf(), open_when_empty=True)
    assert await access.is_open()
    await access.create_key("ci")
    assert await refused(access, "anything") and not await access.is_open()
    await access.revoke("ci")
    assert await refused(access, "anything")


async def test_a_key_revoked_elsewhere_stops_working_within_seconds() -> None:
    shelf, clock = Shelf(), Clock()
    access = Access(shelf, clock=clock)
    key, secret = await access.create_key("ci")
    await access.authenticate(secret)
    await shelf.revoke(key.id, 1000)
    clock.now += FRESH
    assert await refused(access, secret)


async def test_a_clock_set_back_does_not_keep_a_revoked_key_alive() -> None:
    shelf, clock = Shelf(), Clock()
    access = Access(shelf, clock=clock)
    key, secret = await access.create_key("ci")
    await access.authenticate(secret)
    await shelf.revoke(key.id, 1000)
    clock.now -= 500
    assert await refused(access, secret)


async def test_a_key_made_elsewhere_works_within_seconds() -> None:
    shelf, clock = Shelf(), Clock()
    access = Access(shelf, clock=clock)
    assert await refused(access, "early")
    key, secret = await Access(shelf).create_key("ci")
    clock.now += FRESH
    assert key.id == (await access.authenticate(secret)).key


async def test_a_key_ends_at_its_hour() -> None:
    clock = Clock()
    access = Access(Shelf(), clock=clock)
    _, secret = await access.create_key("ci", lifetime=60)
    clock.now = 1059.9
    await access.authenticate(secret)
    clock.now = 1060.0
    assert await refused(access, secret)


async def test_a_storm_of_guesses_reads_the_store_once() -> None:
    shelf = Shelf()
    access = Access(shelf, clock=Clock())
    assert all(await asyncio.gather(*(refused(access, f"guess {n}") for n in range(100))))
    assert 1 == shelf.reads


async def test_revoking_is_by_id_or_by_a_name_that_only_one_key_bears() -> None:
    access = Access(Shelf())
    (one, _), (_, second) = await access.create_key("a"), await access.create_key("a")
    with pytest.raises(Invalid, match=f"2 keys are named a: .*{one.id}"):
        await access.revoke("a")
    assert one.id == (await access.revoke(one.id)).id
    await access.authenticate(second)
    await access.revoke("a")
    with pytest.raises(NotFound, match="no key a"):
        await access.revoke("a")


async def test_a_server_that_would_let_nobody_in_is_refused() -> None:
    shelf = Shelf()
    public, local = Access(shelf), Access(shelf, open_when_empty=True)
    with pytest.raises(Invalid, match=r"refusing to listen on 0\.0\.0\.0 without an API key"):
        await public.require_keys("0.0.0.0")
    await local.require_keys("127.0.0.1")
    await public.create_key("ci")
    await public.require_keys("0.0.0.0")
    await public.revoke("ci")
    for access in (public, Access(shelf, open_when_empty=True)):
        with pytest.raises(Invalid, match="haiga keys create"):
            await access.require_keys("127.0.0.1")


@pytest.mark.parametrize(("name", "workspace", "field"), [(" ", "w", "name"), ("n", "", "workspace")])
async def test_empty_names_are_refused(name: str, workspace: str, field: str) -> None:
    with pytest.raises(Invalid, match=f"{field}: must not be empty"):
        await Access(Shelf()).create_key(name, workspace)


async def test_after_a_rotation_the_same_key_has_two_secrets_until_the_grace_ends() -> None:
    clock = Clock()
    access = Access(Shelf(), clock=clock)
    key, old = await access.create_key("ci")
    _, new = await access.rotate("ci", grace=60)
    assert key.id == (await access.authenticate(old)).key == (await access.authenticate(new)).key
    clock.now += 60
    assert await refused(access, old)
    assert key.id == (await access.authenticate(new)).key


async def test_a_key_paused_or_of_an_archived_workspace_is_denied() -> None:
    shelf = Shelf()
    access = Access(shelf)
    key, secret = await access.create_key("ci", "team")
    await access.change(replace(key, paused=True))
    assert await refused(access, secret)
    await access.change(key)
    assert "team" == (await access.authenticate(secret)).workspace
    await access.archive("team")
    assert await refused(access, secret)
    with pytest.raises(Invalid, match="workspace team is archived"):
        await access.create_key("another", "team")


async def test_a_caller_brings_the_scope_of_its_key_and_the_limits_of_key_and_workspace(tmp_path: Path) -> None:
    scope, own, shared = Scope(("openai",), ("qwen*",)), Limits(requests=5), Limits(budget=7)
    async with connect(tmp_path / "db") as database:
        access = Access(DatabaseKeys(database))
        workspace = await access.create_workspace("team", shared)
        key, secret = await access.create_key("ci", "team", scope=scope, limits=own, readonly=True)
        caller = await access.authenticate(secret)
        assert [key] == await access.list() and [workspace] == await access.workspaces()
    assert (scope, True) == (caller.scope, caller.readonly)
    assert (Owner(key.id, "this API key", own), Owner(workspace.id, "workspace team", shared, "team")) == caller.owners
