"""What an operator, or a request, wants done about what texts are judged for.

Rule: pure values. A policy says of each category, term and rule which action it leads to; of all that holds for a text
the strongest action is taken. A policy never changes: another one of the same name has another version.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from haiga.core.moderation import CATEGORIES, Scores, Span

Action: TypeAlias = Literal["allow", "flag", "mask", "block"]
Side: TypeAlias = Literal["input", "output"]
Failure: TypeAlias = Literal["closed", "open"]
ACTIONS: tuple[Action, ...] = ("allow", "flag", "mask", "block")  # weakest first
SIDES: tuple[Side, ...] = ("input", "output")
MASK = "[removed]"


@dataclass(frozen=True, slots=True)
class Bound:
    """From which score a category counts, None for the classifier's own threshold, and what then happens."""

    action: Action = "block"
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class Term:
    """Words that may not stand in a text, in whatever disguise; or, as a `pattern`, a regular expression (RE2)."""

    name: str
    text: str
    action: Action = "block"
    pattern: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """What is not allowed, in plain words, for a chat model to judge by."""

    name: str
    text: str
    action: Action = "block"
    sides: tuple[Side, ...] = ("input",)


@dataclass(frozen=True, slots=True)
class Policy:
    """`images` is what happens to an image that nobody can judge. `judge` is the chat model that judges by the rules,
    "" for the server's own choice. `failure` and `timeout` (seconds) are None where the server's settings hold."""

    name: str
    version: str
    categories: Mapping[str, Bound] = field(default_factory=dict)
    terms: tuple[Term, ...] = ()
    rules: tuple[Rule, ...] = ()
    sides: tuple[Side, ...] = SIDES
    images: Action = "allow"
    judge: str = ""
    failure: Failure | None = None
    timeout: float | None = None

    @property
    def label(self) -> str:
        """How decisions name it."""
        return f"{self.name}@{self.version}"

    def thresholds(self, own: Mapping[str, float]) -> dict[str, float]:
        """The thresholds of the categories that it does something about; `own` are the classifier's."""
        return {
            name: own.get(name, 0.5) if bound.threshold is None else bound.threshold
            for name in CATEGORIES
            if (bound := self.categories.get(name)) and bound.action != "allow"
        }


@dataclass(frozen=True, slots=True)
class KeptPolicy:
    """A version of a policy, made at a unix second; `fixed` ones, of a file or built in, cannot be changed over the
    API."""

    policy: Policy
    created_at: int = 0
    fixed: bool = False


STANDARD = Policy("standard", "1", dict.fromkeys(CATEGORIES, Bound()))
WATCH = Policy("watch", "1", dict.fromkeys(CATEGORIES, Bound("flag")))
OFF = Policy("off", "1", sides=())
BUILT_IN: Mapping[str, Policy] = {policy.name: policy for policy in (STANDARD, WATCH, OFF)}


@dataclass(frozen=True, slots=True)
class Hit:
    """Something of a policy that holds for a text. `spans` are where, for what has a place; a `score` at or over the
    `threshold` is a category's, `note` a judge's reason."""

    policy: str
    kind: Literal["category", "term", "rule", "image"]
    name: str
    action: Action
    score: float | None = None
    spans: tuple[Span, ...] = ()
    note: str | None = None
    threshold: float = 1.0


@dataclass(frozen=True, slots=True)
class Decision:
    """What policies make of a text. `unjudged` says why it could not be judged, or not wholly, and was let pass."""

    policies: tuple[str, ...]
    hits: tuple[Hit, ...] = ()
    scores: Scores = field(default_factory=lambda: Scores({}))
    unjudged: str | None = None

    @property
    def action(self) -> Action:
        """The strongest of all hits."""
        return max((hit.action for hit in self.hits), key=ACTIONS.index, default="allow")

    def of(self, action: Action) -> tuple[Hit, ...]:
        return tuple(hit for hit in self.hits if hit.action == action)


def together(decisions: Sequence[Decision]) -> Decision:
    """The decisions on several texts as one: of each category the worst score, each hit once, without its places."""
    worst: dict[str, float] = {}
    hits: dict[tuple[str, str, str], Hit] = {}
    for decision in decisions:
        for name, score in decision.scores.values.items():
            worst[name] = max(score, worst.get(name, 0.0))
        for hit in decision.hits:
            same = hits.get((hit.policy, hit.kind, hit.name))
            if same is None or (hit.score or 0) > (same.score or 0):
                hits[hit.policy, hit.kind, hit.name] = replace(hit, spans=())
    return Decision(
        tuple(dict.fromkeys(label for decision in decisions for label in decision.policies)),
        tuple(hits.values()),
        Scores(worst, sum(decision.scores.words for decision in decisions)),
        next((decision.unjudged for decision in decisions if decision.unjudged), None),
    )


def over_bounds(policy: Policy, scores: Scores, own: Mapping[str, float]) -> tuple[Hit, ...]:
    """The categories over their thresholds."""
    thresholds = policy.thresholds(own)
    return tuple(
        Hit(
            policy.label,
            "category",
            name,
            policy.categories[name].action,
            scores.values[name],
            threshold=thresholds[name],
        )
        for name in scores.over(thresholds)
    )


@dataclass(frozen=True, slots=True)
class Refused:
    """Why an answer was refused: which side of it, by which policies, for what. It holds nothing of the answer; of what
    was asked, the beginning of the text that was flagged."""

    side: Side
    policies: tuple[str, ...]
    reasons: tuple[str, ...]
    excerpt: str = ""

    @property
    def explanation(self) -> str:
        what = "The request" if self.side == "input" else "The answer"
        return f"{what} was stopped by the moderation policy {', '.join(self.policies)}: {', '.join(self.reasons)}."


def refusal(side: Side, decision: Decision, excerpt: str = "") -> Refused:
    """What is said of a decision that refuses: by which policies, for what."""
    hits = decision.of("block") or decision.of("mask")
    policies, reasons = (
        tuple(dict.fromkeys(each)) for each in zip(*((hit.policy, hit.name) for hit in hits), strict=True)
    )
    return Refused(side, policies, reasons, excerpt)


@dataclass(slots=True)
class Moderated:
    """What one HTTP request, or one line of a batch, says of moderation and is told of it: the policy that it `named`
    itself, and the decisions on its texts, without the texts."""

    named: str | None = None
    decision: Decision | None = None

    def add(self, decision: Decision) -> None:
        self.decision = together([*([self.decision] if self.decision else []), decision])

    @property
    def told(self) -> str | None:
        """action; policy=…; reasons=…; unjudged=…. None where no policy held."""
        if self.decision is None:
            return None
        parts: list[str] = [self.decision.action, f"policy={','.join(self.decision.policies)}"]
        if names := dict.fromkeys(hit.name for hit in self.decision.hits if hit.action != "allow"):
            parts.append(f"reasons={','.join(names)}")
        if self.decision.unjudged:
            parts.append(f"unjudged={_plain(self.decision.unjudged)}")
        return "; ".join(parts)


def _plain(text: str) -> str:
    """What a header can carry."""
    return "".join(char if " " <= char <= "~" and char != ";" else "?" for char in text)
