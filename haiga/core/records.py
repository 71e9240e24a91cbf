"""What tokens cost, and what is remembered of an answer after it was given."""

from dataclasses import dataclass, field
from decimal import Decimal

from haiga.core.generation import StopReason, Usage

NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per token. A price of None for cached tokens is that of the prompt."""

    prompt: Decimal = NOTHING
    completion: Decimal = NOTHING
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None

    def of_prompt(self, usage: Usage) -> Decimal:
        read, write, hour = (
            self.prompt if price is None else price
            for price in (self.cache_read, self.cache_write, self.cache_write_1h)
        )
        cached = usage.cache_read * read + usage.creation_5m * write + usage.creation_1h * hour
        return usage.input * self.prompt + cached

    def of_completion(self, usage: Usage) -> Decimal:
        return usage.output * self.completion

    def discount(self, usage: Usage) -> Decimal:
        """What caching saved; below zero where writing cost more than reading saved."""
        return usage.prompt * self.prompt - self.of_prompt(usage)

    def of(self, usage: Usage) -> Decimal:
        return self.of_prompt(usage) + self.of_completion(usage)


@dataclass(frozen=True, slots=True)
class Generation:
    """One answered request. Times are unix seconds, `latency` and `duration` seconds; `stop` is None where no answer
    was finished; `headers` are those by which a client says who it is."""

    id: str
    model: str
    workspace: str
    created_at: float
    request_id: str
    asked_for: str
    streamed: bool
    cancelled: bool = False
    latency: float | None = None
    duration: float = 0.0
    stop: StopReason | None = None
    usage: Usage = field(default_factory=Usage)
    cost: Decimal = NOTHING
    discount: Decimal = NOTHING
    user: str | None = None
    session: str | None = None
    referer: str | None = None
    agent: str | None = None
