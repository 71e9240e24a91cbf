"""Texts and images judged for whoever asks for the judgement alone.

Rule: what is flagged is what the policies that hold for the caller say, or else the classifier's own thresholds. What
could not be judged is said to be so, never passed off as harmless.
"""

from collections.abc import Sequence
from typing import Literal

from haiga.core.access import Caller
from haiga.core.errors import TooLarge
from haiga.core.moderation import (
    CATEGORIES,
    MOST_CHARACTERS,
    OF_IMAGES,
    Item,
    Judged,
    Moderation,
    ModerationRequest,
    Scores,
)
from haiga.core.policies import Decision, together
from haiga.core.ports import AskScores, ImageClassifier, ModelCard, ModerationStage
from haiga.services.moderation.classifiers import Classifiers
from haiga.services.moderation.explaining import Explaining
from haiga.services.moderation.moderator import Moderator
from haiga.services.moderation.policies import Policies

TOGETHER = 256  # items that are judged side by side


class Judging:
    """Judges with `classifiers` and `images`, flags by the thresholds of `policies`; a request passes the `stages`
    first, in their order."""

    def __init__(
        self,
        classifiers: Classifiers,
        images: ImageClassifier,
        policies: Policies,
        moderator: Moderator,
        explaining: Explaining,
        stages: Sequence[ModerationStage] = (),
    ) -> None:
        self._classifiers = classifiers
        self._images = images
        self._policies = policies
        self._moderator = moderator
        self._explaining = explaining
        self._ask: AskScores = self._judge
        for stage in reversed(stages):
            self._ask = _through(stage, self._ask)

    def card(self, name: str) -> ModelCard | None:
        """The classifier that answers to a name, None where the name is no classifier's. Raises Unsupported."""
        return self._classifiers.card(name) if self._classifiers.known(name) else None

    async def judge(self, caller: Caller, request: ModerationRequest) -> Moderation:
        """How the items are judged. Raises core errors only."""
        self._classifiers.find(request.model)
        if sum(len(text) for item in request.items for text in item.texts) > MOST_CHARACTERS:
            raise TooLarge(f"the texts have more than {MOST_CHARACTERS:,} characters together", field="input")
        return await self._ask(caller, request)

    async def _judge(self, caller: Caller, request: ModerationRequest) -> Moderation:
        policies = await self._policies.of(caller)
        classifier, items = self._classifiers.find(request.model), []
        for start in range(0, len(request.items), TOGETHER):
            some = request.items[start : start + TOGETHER]
            await classifier.judge([text for item in some for text in item.texts])  # side by side; it is remembered
            items += [await self._item(caller, request, item) for item in some]
        return Moderation(
            tuple(items), sum(item.scores.words for item in items), tuple(policy.label for policy in policies)
        )

    async def _item(self, caller: Caller, request: ModerationRequest, item: Item) -> Judged:
        policies = [policy for policy in await self._policies.of(caller) if policy.sides]
        classifier = self._classifiers.find(request.model)
        decisions = await self._moderator.decide_all(item.texts, policies, "input", request.model)
        images = await self._images.judge(item.images)
        if any(each is None for each in images):
            decisions.append(self._moderator.unknown_image(policies))
        seen = [each for each in images if each is not None]
        whole = together([*decisions, *(Decision((), (), scores) for scores in seen)])
        scores = Scores({name: whole.scores.values.get(name, 0.0) for name in CATEGORIES}, whole.scores.words)
        bounded = any(policy.categories for policy in policies)
        over = _over(whole) if bounded else scores.over(classifier.thresholds)
        judged = Judged(
            scores,
            over,
            tuple(hit.name for hit in whole.hits if hit.kind != "category" and hit.action != "allow"),
            {name: _applied(name, item, bool(seen)) for name in CATEGORIES},
            tuple(at for at, each in enumerate(images) if each is None),
        )
        if not request.explain and request.rewrite is None:
            return judged
        return await self._explaining.explained(caller, request, item, judged, policies)


def _through(stage: ModerationStage, ask: AskScores) -> AskScores:
    return lambda caller, request: stage.judge(caller, request, ask)


def _over(whole: Decision) -> tuple[str, ...]:
    found = {hit.name for hit in whole.hits if hit.kind == "category"}
    return tuple(name for name in CATEGORIES if name in found)


def _applied(name: str, item: Item, seen: bool) -> tuple[Literal["text", "image"], ...]:
    """What a category's score is of."""
    text: tuple[Literal["text"], ...] = ("text",) if item.texts else ()
    return (*text, "image") if seen and name in OF_IMAGES else text
