"""Circuit breakers: a model that fails again and again is left alone for a while. Pure: the clock is an argument.

Rule: after the pause one request is let through; its outcome decides.
"""

from collections.abc import Callable
from dataclasses import dataclass

from haiga.core.errors import Busy

FAILURES = 5  # one after the other
PAUSE = 30.0  # seconds
MOST = 1000  # models that are failing and remembered


@dataclass(slots=True)
class _Circuit:
    failures: int = 0
    closed_until: float = 0.0


class Breakers:
    """By a model's name. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float], failures: int = FAILURES, pause: float = PAUSE) -> None:
        self._clock = clock
        self._failures = failures
        self._pause = pause
        self._failing: dict[str, _Circuit] = {}

    def admit(self, name: str) -> None:
        """Raises Busy while the model is left alone. Whoever is let through after that is the only one for a while."""
        circuit = self._failing.get(name)
        if circuit is None or circuit.failures < self._failures:
            return
        left = circuit.closed_until - self._clock()
        if left > 0:
            raise Busy(f"{name} failed {circuit.failures} times in a row and is left alone", retry_after=left)
        circuit.closed_until = self._clock() + self._pause

    def answered(self, name: str) -> None:
        self._failing.pop(name, None)

    def failed(self, name: str) -> None:
        circuit = self._failing.pop(name, None) or _Circuit()
        circuit.failures += 1
        circuit.closed_until = self._clock() + self._pause
        self._failing[name] = circuit
        if len(self._failing) > MOST:
            del self._failing[next(iter(self._failing))]
