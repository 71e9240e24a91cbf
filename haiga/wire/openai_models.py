"""The models as the OpenAI API lists them."""

from collections.abc import Sequence
from typing import Any

import orjson

from haiga.core.ports import ModelCard


def write_models(cards: Sequence[ModelCard]) -> bytes:
    return orjson.dumps({"object": "list", "data": [_model(card) for card in cards]})


def write_model(card: ModelCard) -> bytes:
    return orjson.dumps(_model(card))


def _model(card: ModelCard) -> dict[str, Any]:
    return {"id": card.name, "object": "model", "created": card.created, "owned_by": "haiga"}
