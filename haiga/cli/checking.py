"""One text judged from the command line, as the server would."""

from haiga.cli.moderating import found_classifiers, read_policies
from haiga.config import Settings
from haiga.core.errors import NotFound
from haiga.core.moderation import CATEGORIES
from haiga.core.policies import Hit, Policy
from haiga.services.moderation import Classifiers, Moderator, Policies
from haiga.services.moderation.classifiers import Remembering
from haiga.stores.connect import connect
from haiga.stores.policies import DatabasePolicies

WORDS = 5  # that are shown of those that carry a score
WORTH_SHOWING = 0.5  # of a threshold


async def checked(
    settings: Settings, text: str, policy: str | None, explain: bool
) -> tuple[bool, list[tuple[str, ...]]]:
    """Whether anything flags the text, and rows of a table. A policy's rules, which take a chat model, are left out.
    Raises Unsupported where no classifier is installed."""
    classifier = Classifiers(found_classifiers(settings), dict(settings.moderation_thresholds)).find()
    held = await _found(settings, policy) if policy else None
    rows = [await _category(classifier, held, text, name, explain) for name in CATEGORIES]
    shown = [row for row in rows if row]
    flagged = any(row[3] != "-" for row in shown)
    if held is not None:
        side = held.sides[0] if held.sides else "input"
        decision = await Moderator(Classifiers([classifier])).decide(text, [held], side)
        shown += [_term(text, hit) for hit in decision.hits if hit.kind == "term"]
        flagged = decision.action != "allow"
    return flagged, shown


def _term(text: str, hit: Hit) -> tuple[str, ...]:
    return hit.name, "", "", hit.action, ", ".join(text[span.start : span.end] for span in hit.spans)


async def _category(
    classifier: Remembering, policy: Policy | None, text: str, name: str, explain: bool
) -> tuple[str, ...] | None:
    (scores,) = await classifier.judge([text])
    own = classifier.thresholds
    bounds = own if policy is None or not policy.categories else policy.thresholds(own)
    score, threshold = scores.values[name], bounds.get(name, own.get(name, 1.0))
    if score < threshold * WORTH_SHOWING:
        return None
    over = name in bounds and score >= threshold
    action = (policy.categories[name].action if policy and policy.categories else "flag") if over else "-"
    spans = (await classifier.explain(text, name))[:WORDS] if explain else []
    words = ", ".join(f"{text[span.start : span.end]} ({span.weight:.2f})" for span in spans)
    return name, f"{score:.2f}", f"{threshold:.2f}", action, words


async def _found(settings: Settings, name: str) -> Policy:
    async with connect(settings.records) as database:
        policy = await Policies(read_policies(settings.policies), DatabasePolicies(database)).find(name)
    if policy is None:
        raise NotFound(f"there is no moderation policy {name}")
    return policy
