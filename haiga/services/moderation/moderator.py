"""What policies make of a text: the classifier, the terms and the rules asked, within a bounded time.

Rule: whoever asks has an answer after the policies' time at the latest. What could not be judged by then is refused
(fail closed) or let pass and said to be so (fail open), as the strictest of the policies wants it.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from haiga.core.errors import Busy, HaigaError
from haiga.core.moderation import Scores, Span
from haiga.core.policies import Decision, Failure, Hit, Policy, Side, over_bounds
from haiga.services.moderation.classifiers import Classifiers, Remembering
from haiga.services.moderation.masking import masked, merged
from haiga.services.moderation.rules import RuleJudge
from haiga.services.moderation.terms import TermFinder, find_terms

AGAIN = 5.0  # seconds until it is worth asking again whoever could not judge
WORTH_A_THREAD = 4_000  # characters
READING = 10_000  # characters for which a second more is allowed
RULED = 30.0  # seconds at least where a chat model is asked, and the policy says nothing of its own
log = logging.getLogger(__name__)


class Moderator:
    """`failure` and `timeout` (seconds) hold where a policy says nothing of its own; `classifier` names the one that
    judges where nobody names another."""

    def __init__(
        self,
        classifiers: Classifiers,
        rules: RuleJudge | None = None,
        *,
        failure: Failure = "closed",
        timeout: float = 5.0,
    ) -> None:
        self._classifiers = classifiers
        self._rules = rules
        self._failure = failure
        self._timeout = timeout
        self._terms = TermFinder()

    async def decide(self, text: str, policies: Sequence[Policy], side: Side) -> Decision:
        """What the policies make of one text. Raises Busy when it cannot be judged, and that is not to pass."""
        (decision,) = await self.decide_all([text], policies, side)
        return decision

    async def decide_all(
        self, texts: Sequence[str], policies: Sequence[Policy], side: Side, classifier: str = ""
    ) -> list[Decision]:
        """As `decide`, of several texts; the `classifier` of that name is asked, and always if one is named."""
        held = [policy for policy in policies if side in policy.sides]
        labels = tuple(policy.label for policy in held)
        hits = [await self._found(text, held) for text in texts]
        decisions = [Decision(labels, found) for found in hits]
        named = bool(classifier)
        try:
            async with asyncio.timeout(self._patience(texts, held, side)):
                if named or any(policy.categories for policy in held):
                    decisions = await self._classified(texts, held, decisions, classifier)
                if self._rules is not None and any(policy.rules for policy in held):
                    decisions = [
                        replace(decision, hits=(*decision.hits, *await self._rules.judge(text, held, side)))
                        for text, decision in zip(texts, decisions, strict=True)
                    ]
        except HaigaError as error:
            if named:  # whoever asks for a judgement is not told of none
                raise
            return self._unjudged(decisions, held, error.message)
        except TimeoutError:
            why = "it took too long"
        except Exception:
            log.exception("unexpected error of a moderation classifier")
            why = "the classifier failed"
        else:
            return decisions
        if named:
            raise Busy(f"the texts could not be judged: {why}", retry_after=AGAIN)
        return self._unjudged(decisions, held, why)

    def unknown_image(self, policies: Sequence[Policy]) -> Decision:
        """What the policies make of an image that nobody can judge."""
        found = [Hit(policy.label, "image", "image/unjudged", policy.images) for policy in policies]
        labels = tuple(policy.label for policy in policies)
        return Decision(labels, tuple(hit for hit in found if hit.action != "allow"))

    async def mask(self, text: str, decision: Decision, start: int = 0) -> tuple[Span, ...]:
        """What is to be taken out of the text from `start` on, so that nothing is left that the policies mask: the
        places of terms, and what carries the scores of categories. Where that is not enough, everything."""
        spans = [span for hit in decision.of("mask") for span in hit.spans]
        found = [hit for hit in decision.of("mask") if hit.kind == "category"]
        if found:
            classifier = self._classifiers.find()
            with suppress(Exception):  # what cannot be explained is taken out whole
                async with asyncio.timeout(self._timeout):
                    for hit in found:
                        spans += await classifier.explain(text, hit.name)
                    kept = _from(spans, start)
                    if await self._harmless(classifier, masked(text, kept), found):
                        return kept
            return (Span(start, len(text), 1.0),)
        return _from(spans, start)

    async def _harmless(self, classifier: Remembering, text: str, hits: Sequence[Hit]) -> bool:
        (scores,) = await classifier.judge([text])
        return not any(scores.values[hit.name] >= hit.threshold for hit in hits)

    async def _found(self, text: str, policies: Sequence[Policy]) -> tuple[Hit, ...]:
        """The policies' terms in the text; a long text is not to hold up others."""
        if not any(policy.terms for policy in policies):
            return ()
        terms = self._terms.of(policies)
        if len(text) < WORTH_A_THREAD:
            return find_terms(text, terms)
        return await asyncio.to_thread(find_terms, text, terms)

    async def _classified(
        self, texts: Sequence[str], policies: Sequence[Policy], decisions: Sequence[Decision], name: str
    ) -> list[Decision]:
        classifier = self._classifiers.find(name)
        judged: list[Scores] = await classifier.judge(texts)
        own = classifier.thresholds
        return [
            replace(
                decision,
                scores=scores,
                hits=(*decision.hits, *(hit for policy in policies for hit in over_bounds(policy, scores, own))),
            )
            for decision, scores in zip(decisions, judged, strict=True)
        ]

    def _patience(self, texts: Sequence[str], policies: Sequence[Policy], side: Side) -> float | None:
        """Seconds that the texts may take together; None where no policy bounds it. A chat model needs longer."""
        ruled = any(side in rule.sides for policy in policies for rule in policy.rules)
        own = max(self._timeout, RULED) if ruled else self._timeout
        least = min((policy.timeout or own for policy in policies), default=None)
        return None if least is None else least + sum(map(len, texts)) / READING

    def _unjudged(self, decisions: Sequence[Decision], policies: Sequence[Policy], why: str) -> list[Decision]:
        """Raises Busy unless every policy lets pass what cannot be judged."""
        log.warning("a text could not be judged: %s", why)
        if any((policy.failure or self._failure) == "closed" for policy in policies):
            labels = ", ".join(policy.label for policy in policies)
            raise Busy(f"the moderation policy {labels} could not be applied: {why}", retry_after=AGAIN)
        return [replace(decision, unjudged=why) for decision in decisions]


def _from(spans: Sequence[Span], start: int) -> tuple[Span, ...]:
    """The spans as far as they are behind `start`, in order."""
    cut = [Span(max(start, span.start), span.end, span.weight) for span in spans if span.end > start]
    return tuple(Span(begin, end, 1.0) for begin, end in merged(cut))
