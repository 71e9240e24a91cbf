"""What tokens cost, and what is remembered of an answer after it was given."""

from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal

from haiga.core.generation import StopReason, Usage
from haiga.core.limits import DOLLAR

NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per token. A price of None for cached tokens is that of the prompt; `batch` is the share of it all
    that a batch pays."""

    prompt: Decimal = NOTHING
    completion: Decimal = NOTHING
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None
    batch: Decimal = Decimal("0.5")

    @property
    def free(self) -> bool:
        return not any((self.prompt, self.completion, self.cache_read, self.cache_write, self.cache_write_1h))

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

    def cost(self, usage: Usage, batch: bool = False) -> int:
        """Billionths of a US dollar, rounded up."""
        return _billionths(self.of(usage) * (self.batch if batch else 1))

    def most(self, prompt: int, output: int, batch: bool = False) -> int:
        """What so many tokens cost at most, whatever of the prompt is cached, in billionths of a US dollar."""
        cached = (self.cache_read, self.cache_write, self.cache_write_1h)
        dearest = max(self.prompt, *(price or NOTHING for price in cached))
        return _billionths((prompt * dearest + output * self.completion) * (self.batch if batch else 1))


def _billionths(dollars: Decimal) -> int:
    return int((dollars * DOLLAR).to_integral_value(ROUND_CEILING))


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
