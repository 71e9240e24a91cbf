"""What an answer has beside it: how it and what was asked are judged, where the request wants to know.

Rule: judged once the answer is whole, by the classifier that the request names; nothing is stopped by it.
"""

from collections.abc import Sequence

from haiga.core.access import Caller
from haiga.core.errors import HaigaError, NotFound
from haiga.core.generation import Reply, TextRequest
from haiga.core.messages import text_of
from haiga.core.moderation import Item, ModerationRequest
from haiga.services.inference import Inference
from haiga.services.moderation.texts import images_of, texts_of
from haiga.wire.openai_moderations.beside import Beside, Wanted, unjudged


class BesideJudge:
    """Judges a request of the caller, and the answers to it, by the classifier that is wanted. Raises NotFound where
    there is none."""

    def __init__(self, inference: Inference, caller: Caller, request: TextRequest, wanted: Wanted) -> None:
        try:
            card = inference.model(caller, wanted.classifier)
            if card.capabilities.text:
                raise NotFound(f"model: {wanted.classifier}")
        except NotFound as error:
            error.field = "moderation.model"
            raise
        self._inference, self._caller, self._request = inference, caller, request
        self._write, self._classifier = wanted.write, card.name

    async def tell(self, beside: Beside, replies: Sequence[Reply]) -> None:
        """Fill `beside` once the answers are whole."""
        asked = Item(tuple(texts_of(self._request)), tuple(images_of(self._request)))
        items = (asked, *(Item((text_of(reply.content),)) for reply in replies))
        try:
            made = await self._inference.judge(self._caller, ModerationRequest(self._classifier, items))
        except HaigaError as error:
            beside["moderation"] = unjudged(error)
        else:
            beside["moderation"] = self._write(made, items, self._classifier)
