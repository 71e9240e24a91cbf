"""The audit log: written with what it tells of, in one order, and whatever is done to its lines is found."""

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from haiga.core.audit import Actor, AuditFilter, Deed
from haiga.core.library import AddedModel
from haiga.services.audit import Audit
from haiga.services.keyring import Keyring
from haiga.stores.audit import DatabaseAudit
from haiga.stores.keys import DatabaseKeys
from haiga.stores.models import DatabaseModels
from haiga.stores.tables import AUDIT_LOG

ANN = Actor("shell", "ann")
NUMBER = AUDIT_LOG.c.number


def deeds(count: int) -> list[Deed]:
    return [Deed("api_key.created", f"key_{n}", ANN, 1000 + n, {"name": "ci", "n": n}) for n in range(1, count + 1)]


@pytest.fixture
async def audit(database: AsyncEngine) -> Audit:
    """A log of five lines, at the seconds 1001 to 1005."""
    await DatabaseAudit(database).write(deeds(5))
    return Audit(DatabaseAudit(database), clock=lambda: 1010.0)


async def faults(audit: Audit) -> Sequence[str]:
    return (await audit.verify()).faults


async def test_lines_come_back_as_they_were_written_newest_first(database: AsyncEngine, audit: Audit) -> None:
    lines = await audit.page(AuditFilter())
    assert list(reversed(deeds(5))) == [line.deed for line in lines]
    assert [5, 4, 3, 2, 1] == [line.number for line in lines]
    assert [3, 2] == [line.number for line in await audit.page(AuditFilter(2, before=4))]
    assert [2, 3] == [line.number for line in await audit.page(AuditFilter(since=1002, until=1004, forward=True))]
    assert [] == await audit.page(AuditFilter(actions=("api_key.deleted",)))
    assert [4] == [line.number for line in await audit.page(AuditFilter(subjects=("key_4",), actors=("ann",)))]


async def test_a_log_as_it_was_written_has_no_faults(audit: Audit) -> None:
    verdict = await audit.verify()
    assert (5, ()) == (verdict.count, verdict.faults)
    assert () == (await audit.verify({5: verdict.chain.digest})).faults


@pytest.mark.parametrize(
    "column, value", [("at", 1), ("subject", "key_9"), ("details", "{}"), ("actor", "bob"), ("address", "::1")]
)
async def test_a_changed_line_is_found(database: AsyncEngine, audit: Audit, column: str, value: object) -> None:
    async with database.begin() as connection:
        await connection.execute(update(AUDIT_LOG).where(NUMBER == 3).values({column: value}))
    assert ("line 3 is not what was written, or not where it was written",) == await faults(audit)


async def test_a_changed_line_with_a_digest_that_fits_it_is_found_by_the_next(
    database: AsyncEngine, audit: Audit
) -> None:
    before, _, line, *_ = [each async for each in audit.lines()][1:]
    forged = DatabaseAudit(database)
    chain = (await forged.chain()).__class__(last=2, digest=before.digest)
    changed = chain.line(Deed("api_key.created", "key_9", ANN, 1003))
    async with database.begin() as connection:
        row = {"subject": "key_9", "details": changed.details, "digest": changed.digest}
        await connection.execute(update(AUDIT_LOG).where(NUMBER == 3).values(row))
    assert ("line 4 is not what was written, or not where it was written",) == await faults(audit)
    assert line.number == 4


async def test_a_removed_line_is_found_wherever_it_was(database: AsyncEngine, audit: Audit) -> None:
    async with database.begin() as connection:
        await connection.execute(delete(AUDIT_LOG).where(NUMBER.in_((1, 3, 5))))
    assert ("line 1 is missing", "line 3 is missing", "line 5 is missing") == await faults(audit)


async def test_an_inserted_line_is_found(database: AsyncEngine, audit: Audit) -> None:
    async with database.begin() as connection:
        rows = (await connection.execute(select(AUDIT_LOG).where(NUMBER == 5))).mappings().one()
        await connection.execute(insert(AUDIT_LOG).values({**rows, "number": 6}))
    assert ("line 6 was inserted behind the last one",) == await faults(audit)
    async with database.begin() as connection:
        await connection.execute(delete(AUDIT_LOG).where(NUMBER == 6))
        for number in (5, 4, 3):  # to make room in the middle
            await connection.execute(update(AUDIT_LOG).where(NUMBER == number).values(number=number + 1))
        await connection.execute(insert(AUDIT_LOG).values({**rows, "number": 3}))
    assert "line 3 is not what was written, or not where it was written" in await faults(audit)


async def test_lines_that_changed_places_are_found(database: AsyncEngine, audit: Audit) -> None:
    async with database.begin() as connection:
        for old, new in ((2, 99), (3, 2), (99, 3)):
            await connection.execute(update(AUDIT_LOG).where(NUMBER == old).values(number=new))
    found = await faults(audit)
    assert ["line 2", "line 3"] == [fault[:6] for fault in found[:2]]


async def test_a_log_written_anew_is_found_by_a_digest_that_was_kept_elsewhere(database: AsyncEngine) -> None:
    audit = Audit(DatabaseAudit(database))
    await audit.write(*deeds(2))
    kept = (await audit.verify()).chain.digest
    async with database.begin() as connection:
        for table in ("audit_log", "audit_chain"):
            await connection.exec_driver_sql(f"DELETE FROM {table}")
    await audit.write(*deeds(1), Deed("api_key.created", "key_x", ANN, 1002))
    assert () == await faults(audit)
    assert ("line 2 has another digest than the one given",) == (await audit.verify({2: kept})).faults
    assert ("line 7 is not there",) == (await audit.verify({7: kept})).faults


async def test_many_who_write_at_once_make_one_chain(database: AsyncEngine) -> None:
    audit, keyring = Audit(DatabaseAudit(database)), Keyring(DatabaseKeys(database), actor=ANN)
    await keyring.create_workspace("team")
    await asyncio.gather(
        *(keyring.create_key(f"k{n}", "team") for n in range(6)), *(audit.record(ANN, "x", "y") for _ in range(6))
    )
    assert (13, ()) == ((await audit.verify()).count, await faults(audit))


async def test_old_lines_go_and_the_rest_still_verifies(audit: Audit) -> None:
    assert 0 == await audit.forget(100)
    assert 3 == await audit.forget(6)  # what is from before the second 1004
    verdict = await audit.verify()
    assert ((), 3, 3) == (verdict.faults, verdict.chain.gone, verdict.count)
    last, *_ = await audit.page(AuditFilter(1))
    assert ("audit.trimmed", {"lines": 3, "before": 1004}) == (last.deed.action, last.deed.details)
    assert 3 == await audit.forget(-100)
    assert (1, ()) == ((await audit.verify()).count, await faults(audit))


async def test_what_is_done_to_keys_workspaces_and_models_is_in_the_log(database: AsyncEngine) -> None:
    keyring, models = Keyring(DatabaseKeys(database), actor=ANN, clock=lambda: 7), DatabaseModels(database)
    key, secret = await keyring.create_key("ci", "team", admin=True)
    await keyring.acting(Actor("key", key.id, "::1", "req_1")).rotate("ci", 60)
    await keyring.change(await keyring.find("ci"))
    await keyring.revoke("ci")
    await keyring.archive("team")
    await models.put(AddedModel("m", "/m", "/m", None, 1), Deed("model.added", "m", ANN, 1))
    await models.remove("m", Deed("model.removed", "m", ANN, 2))
    assert not await models.remove("m", Deed("model.removed", "m", ANN, 2))
    lines = [line async for line in Audit(DatabaseAudit(database)).lines()]
    assert [
        "workspace.created",
        "api_key.created",
        "api_key.rotated",
        "api_key.updated",
        "api_key.deleted",
        "workspace.archived",
        "model.added",
        "model.removed",
    ] == [line.deed.action for line in lines]
    assert ("admin", "team") == (lines[1].deed.details["role"], lines[1].deed.details["workspace"])
    assert Actor("key", key.id, "::1", "req_1") == lines[2].deed.actor
    told = "".join(line.details for line in lines)
    assert secret not in told and key.hash not in told
