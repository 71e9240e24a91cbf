"""Lists of models as other servers give them.

Rule: what a list does not say of a model is left open; an entry that makes no sense is passed over.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from haiga.core.errors import Failed
from haiga.core.ports import Capabilities
from haiga.core.records import Price
from haiga.core.upstreams import EVERYTHING, KnownModel
from haiga.wire.upstream.reading import count, read_json

EMBEDS = Capabilities(prefill=False, text=False, embeddings=True)  # where only a name says what a model is for
LONGEST = 255  # characters of a name
MOST = 10_000  # models
PRICES = {
    "prompt": "prompt",
    "completion": "completion",
    "input_cache_read": "cache_read",
    "input_cache_write": "cache_write",
    "input_cache_write_1h": "cache_write_1h",
}


def read_catalog(data: bytes) -> tuple[KnownModel, ...]:
    """The models of a list in any of the families' forms. Raises Failed for what is no list."""
    listed = read_json(data).get("data")
    if not isinstance(listed, list):
        raise Failed("the answer is no list of models")
    models = (_model(each) for each in listed[:MOST] if isinstance(each, dict))
    return tuple(model for model in models if 0 < len(model.name) <= LONGEST)


def _model(said: Mapping[str, Any]) -> KnownModel:
    top = _mapping(said.get("top_provider"))
    named = said.get("display_name") or said.get("name") or ""
    return KnownModel(
        str(said.get("id") or ""),
        str(named)[:LONGEST],
        count(said.get("created")) or _moment(said.get("created_at")),
        count(said.get("context_length") or said.get("max_input_tokens") or said.get("max_model_len")),
        count(top.get("max_completion_tokens") or said.get("max_tokens")),
        _capabilities(said),
        _price(_mapping(said.get("pricing"))),
    )


def _capabilities(said: Mapping[str, Any]) -> Capabilities:
    told = said.get("capabilities")
    if isinstance(told, dict):
        return _anthropic(told)
    parameters, shape = said.get("supported_parameters"), _mapping(said.get("architecture"))
    if not isinstance(parameters, list):
        return EMBEDS if "embed" in str(said.get("id")).lower() else EVERYTHING
    taken, given = shape.get("input_modalities") or (), shape.get("output_modalities") or ("text",)
    return Capabilities(
        images="image" in taken,
        documents="file" in taken,
        tools="tools" in parameters,
        thinking="reasoning" in parameters,
        structured_output="structured_outputs" in parameters or "response_format" in parameters,
        text="text" in given,
        embeddings="embeddings" in given,
    )


def _anthropic(told: Mapping[str, Any]) -> Capabilities:
    """Every model of that API takes tools."""

    def can(name: str) -> bool:
        return _mapping(told.get(name)).get("supported") is True

    return Capabilities(
        images=can("image_input"),
        documents=can("pdf_input"),
        tools=True,
        thinking=can("thinking"),
        structured_output=can("structured_outputs"),
    )


def _price(said: Mapping[str, Any]) -> Price | None:
    prices = {here: price for there, here in PRICES.items() if (price := _dollars(said.get(there))) is not None}
    return Price(**prices) if "prompt" in prices and "completion" in prices else None


def _dollars(value: Any) -> Decimal | None:
    """US dollars a token; below zero, as for routers whose price is not known, is none."""
    try:
        price = Decimal(str(value))
    except InvalidOperation:
        return None
    return price if price.is_finite() and 0 <= price < 1 else None


def _moment(value: Any) -> int:
    try:
        return int(datetime.fromisoformat(str(value)).timestamp())
    except (ValueError, OverflowError):
        return 0


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
