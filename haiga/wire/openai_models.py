"""The models as the OpenAI API lists them, with the shapes for the OpenAPI document."""

from collections.abc import Sequence
from typing import Any, Literal

import orjson
from pydantic import BaseModel

from haiga.core.ports import ModelCard


class OpenAIModel(BaseModel):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    parent: str | None = None


class OpenAIModels(BaseModel):
    object: Literal["list"]
    data: list[OpenAIModel]


class OpenAIError(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIErrorAnswer(BaseModel):
    """Every error of the OpenAI family."""

    error: OpenAIError


def write_models(cards: Sequence[ModelCard]) -> bytes:
    return orjson.dumps({"object": "list", "data": [_model(card) for card in cards]})


def write_model(card: ModelCard) -> bytes:
    return orjson.dumps(_model(card))


def _model(card: ModelCard) -> dict[str, Any]:
    told = {"id": card.name, "object": "model", "created": card.created, "owned_by": "haiga"}
    return {**told, "parent": card.parent} if card.parent else told
