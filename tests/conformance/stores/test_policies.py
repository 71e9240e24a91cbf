"""Moderation policies: every version is kept, and one at a time holds."""

import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from haiga.core.audit import Actor, AuditFilter, Deed
from haiga.core.policies import Bound, Policy, Rule, Term
from haiga.stores.audit import DatabaseAudit
from haiga.stores.policies import DatabasePolicies

FULL = Policy(
    "house",
    "",
    {"hate": Bound("mask", 0.4), "violence": Bound("flag")},
    (Term("zeus", "project zeus", "mask"), Term("card", r"\d{16}", pattern=True)),
    (Rule("no-advice", "The text asks for advice.", "flag", ("input", "output")),),
    ("output",),
    "block",
    "starter",
    "open",
    1.5,
)


@pytest.fixture
def policies(database: AsyncEngine) -> DatabasePolicies:
    return DatabasePolicies(database)


async def test_a_policy_comes_back_as_it_was_made_under_its_version(policies: DatabasePolicies) -> None:
    made = await policies.add(FULL, 1000)
    assert ("house@1", 1000) == (made.policy.label, made.created_at)
    assert [made] == await policies.current() == await policies.versions("house")
    assert (FULL.categories, FULL.terms, FULL.rules, 1.5) == (
        made.policy.categories,
        made.policy.terms,
        made.policy.rules,
        made.policy.timeout,
    )


async def test_the_last_version_holds_and_the_others_can_be_read(policies: DatabasePolicies) -> None:
    for at in (1, 2, 3):
        await policies.add(Policy("b", "", {"hate": Bound("block", at / 10)}), at)
    await policies.add(Policy("a", ""), 4)
    assert ["a@1", "b@3"] == [kept.policy.label for kept in await policies.current()]
    assert ["3", "2", "1"] == [kept.policy.version for kept in await policies.versions("b")]


async def test_one_that_is_removed_holds_no_more_and_goes_on_counting(policies: DatabasePolicies) -> None:
    await policies.add(Policy("a", ""), 1)
    assert [True, False] == [await policies.remove("a"), await policies.remove("a")]
    assert [] == await policies.current()
    assert ["1"] == [kept.policy.version for kept in await policies.versions("a")]
    assert "a@2" == (await policies.add(Policy("a", ""), 2)).policy.label
    assert ["a@2"] == [kept.policy.label for kept in await policies.current()]


async def test_versions_made_at_the_same_time_are_all_kept(policies: DatabasePolicies) -> None:
    made = await asyncio.gather(*(policies.add(Policy("a", ""), at) for at in range(3)))
    assert ["1", "2", "3"] == sorted(kept.policy.version for kept in made)


async def test_what_is_done_to_policies_is_in_the_audit_log(policies: DatabasePolicies, database: AsyncEngine) -> None:
    actor = Actor("shell", "ann")
    await policies.add(Policy("a", ""), 1, Deed("moderation_policy.created", "a", actor, 1))
    await policies.remove("a", Deed("moderation_policy.deleted", "a", actor, 2))
    lines = await DatabaseAudit(database).page(AuditFilter(forward=True))
    assert [("moderation_policy.created", {"version": 1}), ("moderation_policy.deleted", {})] == [
        (line.deed.action, line.deed.details) for line in lines
    ]
