"""Judgements that an answer has beside it: what is wanted, and how each API writes it.

Rule: scores alone. What is stopped is a matter of policies, which hold whether a request asks or not.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from haiga.core.errors import HaigaError
from haiga.core.moderation import Item, Moderation
from haiga.wire.openai_errors import kind
from haiga.wire.openai_moderations.write import result_body

Beside: TypeAlias = dict[str, Any]  # fields of an answer


@dataclass(frozen=True, slots=True)
class Wanted:
    """`classifier` is the name that the request gives, `write` how its API tells of the judgements: of the items, the
    first of which is what was asked and the others the answers, and the classifier's own name."""

    classifier: str
    write: Callable[[Moderation, Sequence[Item], str], Beside]


def beside_chat(made: Moderation, items: Sequence[Item], model: str) -> Beside:
    """What Chat Completions says: any number of answers."""
    results = _results(made, items, model)
    return {"input": _listed(results[:1], model), "output": _listed(results[1:], model)}


def beside_response(made: Moderation, items: Sequence[Item], model: str) -> Beside:
    """What Responses says: one answer."""
    asked, answered = _results(made, items, model)
    return {"input": asked, "output": answered}


def unjudged(error: HaigaError) -> Beside:
    """The same where it could not be judged."""
    told = {"type": "error", "code": kind(error)[2] or "server_error", "message": error.message}
    return {"input": told, "output": told}


def _results(made: Moderation, items: Sequence[Item], model: str) -> list[dict[str, Any]]:
    return [
        {"type": "moderation_result", "model": model, **result_body(judged, item)}
        for judged, item in zip(made.items, items, strict=True)
    ]


def _listed(results: Sequence[dict[str, Any]], model: str) -> dict[str, Any]:
    return {"type": "moderation_results", "model": model, "results": list(results)}
