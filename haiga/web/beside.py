"""What a chat completion says beside its answer: how it and what was asked are judged, where the request wants to know.

Rule: scores alone. What is stopped is a matter of policies, which hold whether a request asks or not.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

from haiga.core.access import Caller
from haiga.core.errors import HaigaError, NotFound
from haiga.core.generation import Reply, TextRequest
from haiga.core.messages import text_of
from haiga.core.moderation import Item, ModerationRequest
from haiga.services.inference import Inference
from haiga.services.moderation.texts import images_of, texts_of
from haiga.wire.openai_moderations.write import beside_answer, unjudged_answer

Beside: TypeAlias = dict[str, Any]  # fields of the answer


class BesideJudge:
    """Judges a request of the caller, and the answers to it, by the classifier of this name. Raises NotFound where
    there is none."""

    def __init__(self, inference: Inference, caller: Caller, request: TextRequest, classifier: str) -> None:
        card = inference.model(caller, classifier)
        if card.capabilities.text:
            raise NotFound(f"model: {classifier}", field="moderation.model")
        self._inference, self._caller = inference, caller
        self._request, self._classifier = request, card.name

    async def tell(self, beside: Beside, replies: Sequence[Reply]) -> None:
        """Fill `beside` once the answers are whole; one that somebody else has written stays as it is."""
        if any(reply.quoted for reply in replies):
            return
        asked = Item(tuple(texts_of(self._request)), tuple(images_of(self._request)))
        items = (asked, *(Item((text_of(reply.content),)) for reply in replies))
        try:
            made = await self._inference.judge(self._caller, ModerationRequest(self._classifier, items))
        except HaigaError as error:
            beside["moderation"] = unjudged_answer(error)
        else:
            beside["moderation"] = beside_answer(made, items, self._classifier)
