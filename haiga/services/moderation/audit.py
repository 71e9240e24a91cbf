"""What is recorded of each decision: the text's hash, and not a word of the text unless the operator asks for it.

Rule: one line in the log for each side of a request, and counts for the metrics.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from haiga.core.access import Caller
from haiga.core.policies import Decision, Side

WORTH_TELLING = 0.05  # scores below it are left out of the log
LONGEST = 10_000  # characters of the texts of a decision that are logged where they are asked for
Count = Callable[[Side, Decision, float], None]
log = logging.getLogger(__name__)


class Watch:
    """The SHA-256 of what was judged, in hexadecimal (`digest`), its beginning, and how many seconds that has taken."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.begun = ""
        self._hash = hashlib.sha256()

    @contextmanager
    def over(self, *texts: str) -> Iterator[None]:
        """While these are judged."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds += time.monotonic() - began
            for text in texts:
                self._hash.update(text.encode(errors="surrogatepass"))
                self.begun = f"{self.begun}\n{text}"[:LONGEST] if self.begun else text[:LONGEST]

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


class Audit:
    """`count` counts decisions for the metrics: the side, the decision, and the seconds that it took. `texts`: the
    operator wants to read what was judged."""

    def __init__(self, count: Count = lambda side, decision, seconds: None, *, texts: bool = False) -> None:
        self._count = count
        self._texts = texts

    def add(self, caller: Caller, side: Side, decision: Decision, watch: Watch) -> None:
        self._count(side, decision, watch.seconds)
        if log.isEnabledFor(logging.INFO):
            said = _said(caller, side, decision, watch) | ({"text": watch.begun} if self._texts else {})
            log.info("moderation", extra={"said": said})


def _said(caller: Caller, side: Side, decision: Decision, watch: Watch) -> dict[str, Any]:
    scores = {name: round(score, 3) for name, score in decision.scores.values.items() if score >= WORTH_TELLING}
    reasons = [hit.name for hit in decision.hits if hit.action != "allow"]
    said = {
        "side": side,
        "action": decision.action,
        "policy": ",".join(decision.policies),
        "sha256": watch.digest,
        "words": decision.scores.words,
        "duration_ms": round(watch.seconds * 1000),
        "workspace": caller.workspace,
    }
    optional = {
        "key": caller.key,
        "reasons": ",".join(reasons),
        "scores": ",".join(f"{name}:{score}" for name, score in scores.items()),
        "unjudged": decision.unjudged,
    }
    return said | {name: value for name, value in optional.items() if value}
