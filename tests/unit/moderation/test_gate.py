"""Prompts that no text model reads: let in under the policies that hold for their caller."""

import pytest

from haiga.core.access import Caller, Origin
from haiga.core.errors import Busy, Flagged, Invalid
from haiga.core.messages import UrlSource
from haiga.core.policies import Bound, Decision, Moderated, Policy, Side, Term
from haiga.core.ports import Gate
from haiga.engines.fake_classifier import FakeClassifier
from haiga.services.moderation import Classifiers, ModerationStage, Moderator, NoImages, Policies
from haiga.services.moderation.audit import Audit

FIXED = {
    "house": Policy("house", "1", {"hate": Bound()}, (Term("zeus", "project zeus", "mask"),), images="mask"),
    "loose": Policy("loose", "1", {"hate": Bound("flag")}, failure="open", timeout=0.05),
    "late": Policy("late", "1", {"hate": Bound()}, timeout=0.05),
    "out": Policy("out", "1", {"hate": Bound()}, sides=("output",)),
}


def gate(told: list[tuple[Side, Decision]], classifier: FakeClassifier | None = None) -> Gate:
    moderator = Moderator(Classifiers([classifier or FakeClassifier({"vile": "hate"})]))
    audit = Audit(lambda side, decision, seconds: told.append((side, decision)))
    return ModerationStage(Policies(FIXED), moderator, NoImages(), audit)


async def test_what_is_masked_is_taken_out_of_every_prompt_in_its_place() -> None:
    told: list[tuple[Side, Decision]] = []
    caller = Caller(policy="house")
    prompts = ["a map of project zeus", "", "a cat", "a map of project zeus"]
    admitted = await gate(told).admit(caller, "painter", prompts)
    assert ["a map of [removed]", "", "a cat", "a map of [removed]"] == admitted
    assert [("input", "mask")] == [(side, decision.action) for side, decision in told]
    assert "mask; policy=house@1; reasons=zeus" == caller.origin.moderated.told


async def test_a_prompt_that_is_blocked_is_refused_with_reasons_and_its_beginning() -> None:
    with pytest.raises(Flagged) as refused:
        await gate([]).admit(Caller(policy="house"), "painter", ["a cat", "a vile cat"])
    assert (("hate",), "a vile cat", "painter") == (refused.value.reasons, refused.value.excerpt, refused.value.model)


async def test_a_picture_that_cannot_be_taken_out_is_refused() -> None:
    with pytest.raises(Flagged) as refused:
        await gate([]).admit(Caller(policy="house"), "painter", ["a cat"], [UrlSource("https://a.test/b.png")])
    assert (("image/unjudged",), "") == (refused.value.reasons, refused.value.excerpt)


@pytest.mark.parametrize("caller", [Caller(), Caller(policy="off"), Caller(policy="out"), Caller(policy="loose")])
async def test_whom_no_policy_stops_has_every_prompt_as_it_was(caller: Caller) -> None:
    assert ["a vile cat"] == await gate([]).admit(caller, "painter", ["a vile cat"])


async def test_the_policy_that_a_request_names_holds_and_must_exist() -> None:
    with pytest.raises(Flagged):
        await gate([]).admit(Caller(origin=Origin(moderated=Moderated("house"))), "painter", ["a vile cat"])
    with pytest.raises(Invalid, match="there is no moderation policy none"):
        await gate([]).admit(Caller(origin=Origin(moderated=Moderated("none"))), "painter", ["a cat"])


async def test_what_cannot_be_judged_in_time_is_refused_or_said_to_be_so() -> None:
    slow = FakeClassifier({}, pace=9)
    with pytest.raises(Busy, match="late@1 could not be applied"):
        await gate([], slow).admit(Caller(policy="late"), "painter", ["a cat"])
    caller = Caller(policy="loose")
    assert ["a cat"] == await gate([], slow).admit(caller, "painter", ["a cat"])
    assert "unjudged=it took too long" in (caller.origin.moderated.told or "")


@pytest.mark.parametrize(("texts", "kept"), [(False, None), (True, "a cat\n" + "dog" * 3331 + "d")])
async def test_what_was_judged_is_logged_in_bounds_where_it_is_asked_for(
    texts: bool, kept: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    moderator = Moderator(Classifiers([FakeClassifier({})]))
    stage = ModerationStage(Policies(FIXED), moderator, NoImages(), Audit(texts=texts))
    with caplog.at_level("INFO", logger="haiga.services.moderation.audit"):
        await stage.admit(Caller(policy="house"), "painter", ["a cat", "dog" * 9000])
    (said,) = [record.said for record in caplog.records if hasattr(record, "said")]
    assert (64, kept) == (len(said["sha256"]), said.get("text"))
