"""What policies make of a text, and of one that cannot be judged."""

from collections.abc import Sequence

import pytest

from haiga.core.access import Caller
from haiga.core.errors import Busy, Denied, Unsupported
from haiga.core.moderation import Scores
from haiga.core.policies import STANDARD, WATCH, Bound, Decision, Moderated, Policy, Term, refusal, together
from haiga.engines.fake_classifier import FakeClassifier
from haiga.services.moderation import Classifiers, Moderator, Policies
from haiga.services.moderation.masking import masked

HATE = Policy("hate", "1", {"hate": Bound("block")})
TERM = Policy("term", "2", terms=(Term("zeus", "project zeus", "mask"),))


class Crashing(FakeClassifier):
    """Fails as nothing should."""

    async def judge(self, texts: Sequence[str]) -> list[Scores]:
        raise ValueError("not a core error")


def moderator(classifier: FakeClassifier | None = None) -> Moderator:
    return Moderator(Classifiers([classifier or FakeClassifier({"vile": "hate", "gory": "violence"})]), timeout=0.05)


async def test_of_several_policies_the_strongest_action_is_taken() -> None:
    decision = await moderator().decide("a vile project zeus", [WATCH, TERM, HATE], "input")
    assert ("block", ("watch@1", "term@2", "hate@1")) == (decision.action, decision.policies)
    assert {("hate", "flag"), ("zeus", "mask"), ("hate", "block")} == {(hit.name, hit.action) for hit in decision.hits}
    refused = refusal("input", decision)
    assert (("hate@1",), ("hate",)) == (refused.policies, refused.reasons)


async def test_a_policy_of_the_other_side_has_no_say() -> None:
    output = Policy("out", "1", STANDARD.categories, sides=("output",))
    assert () == (await moderator().decide("vile", [output], "input")).hits


@pytest.mark.parametrize("classifier", [FakeClassifier({}, pace=9), FakeClassifier({}, broken=True), Crashing({})])
async def test_what_cannot_be_judged_is_refused_or_said(classifier: FakeClassifier) -> None:
    with pytest.raises(Busy, match="hate@1 could not be applied"):
        await moderator(classifier).decide("anything", [HATE], "input")
    openly = Policy("open", "1", {"hate": Bound()}, failure="open", timeout=0.05)
    decision = await moderator(classifier).decide("anything", [openly], "input")
    assert "allow" == decision.action and decision.unjudged
    with pytest.raises(Busy, match="could not be applied"):
        await moderator(classifier).decide("anything", [openly, HATE], "input")


async def test_terms_hold_even_where_the_classifier_does_not() -> None:
    both = Policy("both", "1", {"hate": Bound()}, (Term("zeus", "zeus"),), failure="open")
    assert "block" == (await moderator(FakeClassifier({}, broken=True)).decide("zeus", [both], "input")).action


@pytest.mark.parametrize("classifier", [Crashing({}), FakeClassifier({}, pace=9)])
async def test_whoever_asks_for_a_judgement_is_never_told_that_all_is_well_without_one(
    classifier: FakeClassifier,
) -> None:
    openly = Policy("open", "1", {"hate": Bound()}, failure="open", timeout=0.05)
    with pytest.raises(Busy, match="could not be judged"):
        await moderator(classifier).decide_all(["anything"], [openly], "input", "fake-moderation")


async def test_without_a_classifier_policies_with_categories_fail_and_others_do_not() -> None:
    bare = Moderator(Classifiers())
    assert "mask" == (await bare.decide("project zeus", [TERM], "input")).action
    with pytest.raises(Busy, match="no moderation classifier is installed"):
        await bare.decide("anything", [HATE], "input")
    with pytest.raises(Unsupported):
        await bare.decide_all(["anything"], [], "input", "omni-moderation-latest")


async def test_what_is_masked_is_judged_again_and_all_goes_where_that_is_not_enough() -> None:
    class Stubborn(FakeClassifier):
        """Its reasons are not the whole of it."""

        async def explain(self, text: str, category: str) -> list[object]:  # type: ignore[override]
            return []

    mask = Policy("mask", "1", {"hate": Bound("mask")})
    for classifier, expected in (
        (FakeClassifier({"vile": "hate"}), "a [removed] thing"),
        (Stubborn({"vile": "hate"}), "[removed]"),
    ):
        judge = moderator(classifier)
        decision = await judge.decide("a vile thing", [mask], "input")
        assert expected == masked("a vile thing", await judge.mask("a vile thing", decision))


def test_decisions_together_keep_the_worst_of_each() -> None:
    one = Decision(("a@1",), scores=Scores({"hate": 0.2, "violence": 0.9}, 3))
    two = Decision(("a@1", "b@1"), scores=Scores({"hate": 0.5}, 4), unjudged="it took too long")
    whole = together([one, two])
    assert (("a@1", "b@1"), {"hate": 0.5, "violence": 0.9}, 7) == (
        whole.policies,
        whole.scores.values,
        whole.scores.words,
    )
    moderated = Moderated()
    moderated.add(whole)
    assert "allow; policy=a@1,b@1; unjudged=it took too long" == moderated.told


async def test_another_file_of_policies_holds_at_once_and_built_in_ones_stay() -> None:
    policies = Policies({"hate": HATE}, default="hate")
    assert (True, False) == (policies.become({"hate": TERM}), policies.become({"hate": TERM}))
    assert [TERM] == await policies.of(Caller())
    policies.default = "standard"
    assert [STANDARD] == await policies.of(Caller())
    with pytest.raises(Denied, match="gone"):
        await policies.of(Caller(policy="gone"))
