"""Writes judgements as the Moderations API does. Rule: what this server adds is there only where there is something."""

from collections.abc import Sequence
from typing import Any

import orjson

from haiga.core.moderation import CATEGORIES, Explanation, Item, Judged, Moderation, Reason, Rewrite, Scores

UNJUDGED = "no classifier of images is installed on this server"


def write_moderation(made: Moderation, items: Sequence[Item], *, id: str, model: str) -> bytes:
    """The answer to a request for these items."""
    results = [result_body(judged, item) for judged, item in zip(made.items, items, strict=True)]
    policies = {"haiga_policies": list(made.policies)} if made.policies else {}
    return orjson.dumps({"id": id, "model": model, "results": results, **policies})


def result_body(judged: Judged, item: Item) -> dict[str, Any]:
    """The judgement of one item."""
    body: dict[str, Any] = {
        "flagged": judged.flagged,
        "categories": {name: name in judged.over for name in CATEGORIES},
        "category_scores": _scores(judged.scores),
        "category_applied_input_types": {name: list(judged.applied[name]) for name in CATEGORIES},
    }
    if judged.also:
        body["haiga_policy_hits"] = list(judged.also)
    if judged.unjudged:
        body["haiga_unjudged"] = [{"type": "image_url", "index": at, "reason": UNJUDGED} for at in judged.unjudged]
    if judged.explanation:
        body["haiga_explanation"] = _explanation(judged.explanation, item)
    return body


def _scores(scores: Scores) -> dict[str, float]:
    return {name: scores.values.get(name, 0.0) for name in CATEGORIES}


def _explanation(explanation: Explanation, item: Item) -> dict[str, Any]:
    rewrite = {} if explanation.rewrite is None else {"rewrite": _rewrite(explanation.rewrite)}
    return {
        "risk": explanation.risk,
        "category": explanation.category,
        "spans": [_span(reason, item) for reason in explanation.reasons],
        **rewrite,
    }


def _span(reason: Reason, item: Item) -> dict[str, Any]:
    span = reason.span
    return {
        "category": reason.category,
        "input": reason.text,
        "start": span.start,
        "end": span.end,
        "text": item.texts[reason.text][span.start : span.end],
        "weight": round(span.weight, 4),
    }


def _rewrite(rewrite: Rewrite) -> dict[str, Any]:
    scores = _scores(rewrite.scores) if rewrite.text is not None else {}
    return {"model": rewrite.model, "text": rewrite.text, "category_scores": scores, "problem": rewrite.problem}
