"""What a request takes of a model, and which of several that can give it costs least."""

from collections.abc import Callable
from decimal import Decimal

from haiga.core.generation import TextRequest
from haiga.core.messages import Block, Document, Image, ToolResult
from haiga.core.ports import ModelCard
from haiga.core.records import Price

UNKNOWN = Decimal("Infinity")
PROMPTS = 3  # tokens of prompts for each token of answers, as prices are compared in the field


def fits(card: ModelCard, request: TextRequest, tokens: int) -> bool:
    """Whether the model declares all that the request, about so many tokens long, takes."""
    can, answer = card.capabilities, 1 if request.unbounded else max(1, request.max_tokens)
    blocks = [block for message in request.messages for block in message.content]
    return (
        can.text
        and answer <= card.max_output
        and tokens + answer <= card.context
        and (can.tools or not request.tools)
        and (can.structured_output or request.output_schema is None)
        and (can.images or not _any(blocks, Image))
        and (can.documents or not _any(blocks, Document))
    )


def cheapness(card: ModelCard, price: Callable[[str], Price | None]) -> Decimal:
    """What to sort models by, cheapest first: US dollars a token, of prompts and answers as they come. A model of this
    server costs what the operator says, or nothing; one elsewhere whose price nobody told comes last."""
    told = price(card.name)
    if told is None:
        return UNKNOWN if card.provider else Decimal(0)
    return (PROMPTS * told.prompt + told.completion) / (PROMPTS + 1)


def _any(blocks: list[Block], kind: type) -> bool:
    return any(
        isinstance(block, kind) or (isinstance(block, ToolResult) and _any(list(block.content), kind))
        for block in blocks
    )
