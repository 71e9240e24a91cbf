"""What is recorded of each decision: never a word of the text, its hash instead.

Rule: one line in the log for each side of a request, and counts for the metrics.
"""

import logging
from collections.abc import Callable
from typing import Any

from haiga.core.access import Caller
from haiga.core.policies import Decision, Side

WORTH_TELLING = 0.05  # scores below it are left out of the log
Count = Callable[[Side, Decision, float], None]
log = logging.getLogger(__name__)


class Audit:
    """`count` counts decisions for the metrics: the side, the decision, and the seconds that it took."""

    def __init__(self, count: Count = lambda side, decision, seconds: None) -> None:
        self._count = count

    def add(self, caller: Caller, side: Side, decision: Decision, digest: str, seconds: float) -> None:
        """`digest` is the SHA-256 of what was judged, in hexadecimal."""
        self._count(side, decision, seconds)
        if log.isEnabledFor(logging.INFO):
            log.info("moderation", extra={"said": _said(caller, side, decision, digest, seconds)})


def _said(caller: Caller, side: Side, decision: Decision, digest: str, seconds: float) -> dict[str, Any]:
    scores = {name: round(score, 3) for name, score in decision.scores.values.items() if score >= WORTH_TELLING}
    reasons = [hit.name for hit in decision.hits if hit.action != "allow"]
    said = {
        "side": side,
        "action": decision.action,
        "policy": ",".join(decision.policies),
        "sha256": digest,
        "words": decision.scores.words,
        "duration_ms": round(seconds * 1000),
        "workspace": caller.workspace,
    }
    optional = {
        "key": caller.key,
        "reasons": ",".join(reasons),
        "scores": ",".join(f"{name}:{score}" for name, score in scores.items()),
        "unjudged": decision.unjudged,
    }
    return said | {name: value for name, value in optional.items() if value}
