"""What tokens cost, and what is remembered of an answer after it was given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from typing import Literal, TypeAlias

from haiga.core.generation import StopReason, Usage, together
from haiga.core.limits import DOLLAR

Tier: TypeAlias = Literal["standard", "batch"]
NOTHING = Decimal(0)
SUCCEEDED = "succeeded"


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per token, `image`: per picture that is made. A price of None for cached tokens is that of the prompt;
    `batch` is the share of it all that a batch pays. What was not computed costs nothing."""

    prompt: Decimal = NOTHING
    completion: Decimal = NOTHING
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None
    batch: Decimal = Decimal("0.5")
    image: Decimal = NOTHING

    @property
    def free(self) -> bool:
        return not any((self.prompt, self.completion, self.cache_read, self.cache_write, self.cache_write_1h))

    def of_prompt(self, usage: Usage) -> Decimal:
        if usage.reused:
            return NOTHING
        read, write, hour = (
            self.prompt if price is None else price
            for price in (self.cache_read, self.cache_write, self.cache_write_1h)
        )
        cached = usage.cache_read * read + usage.creation_5m * write + usage.creation_1h * hour
        return usage.input * self.prompt + cached

    def of_completion(self, usage: Usage) -> Decimal:
        return NOTHING if usage.reused else usage.output * self.completion

    def discount(self, usage: Usage) -> Decimal:
        """What caching saved; below zero where writing cost more than reading saved."""
        return usage.prompt * self.prompt - self.of_prompt(usage)

    def of(self, usage: Usage) -> Decimal:
        return self.of_prompt(usage) + self.of_completion(usage)

    def costs(self, usage: Usage, batch: bool = False) -> "Cost":
        if usage.reused:
            return Cost()
        share = DOLLAR * (self.batch if batch else 1)
        read, write, hour = (
            self.prompt if price is None else price
            for price in (self.cache_read, self.cache_write, self.cache_write_1h)
        )
        return Cost(
            input=int(usage.input * self.prompt * share),
            creation_5m=int(usage.creation_5m * write * share),
            creation_1h=int(usage.creation_1h * hour * share),
            cache_read=int(usage.cache_read * read * share),
            output=int(usage.output * self.completion * share),
        )

    def cost(self, usage: Usage, batch: bool = False) -> int:
        """Billionths of a US dollar."""
        return self.costs(usage, batch).total

    def of_images(self, count: int) -> int:
        """What so many pictures cost, in billionths of a US dollar."""
        return int(self.image * count * DOLLAR)

    def most(self, prompt: int, output: int, batch: bool = False) -> int:
        """What so many tokens cost at most, whatever of the prompt is cached, in billionths of a US dollar."""
        cached = (self.cache_read, self.cache_write, self.cache_write_1h)
        dearest = max(self.prompt, *(price or NOTHING for price in cached))
        dollars = (prompt * dearest + output * self.completion) * (self.batch if batch else 1)
        return int((dollars * DOLLAR).to_integral_value(ROUND_CEILING))


@dataclass(frozen=True, slots=True)
class Cost:
    """What tokens cost by their kind, in billionths of a US dollar, fractions left off. Pictures are output."""

    input: int = 0
    creation_5m: int = 0
    creation_1h: int = 0
    cache_read: int = 0
    output: int = 0

    @property
    def total(self) -> int:
        return self.input + self.creation_5m + self.creation_1h + self.cache_read + self.output


@dataclass(frozen=True, slots=True)
class Record:
    """One question to a model, answered or not, without anything that was said.

    `created_at` is unix seconds, `latency` and `duration` are seconds to the first piece of the answer and to its end.
    `outcome` is "succeeded" or the name of what went wrong, `discount` what caching saved, in billionths of a dollar.
    `requests` is 0 for another answer to a prompt that was counted with the first. `provider` is the upstream that
    answered, None for this server, and `provider_id` the id that it gave the request. `images` were made.
    """

    created_at: int
    workspace: str
    model: str
    key: str | None = None
    request_id: str = ""
    family: str = ""
    endpoint: str = ""
    tier: Tier = "standard"
    requests: int = 1
    streamed: bool = False
    outcome: str = SUCCEEDED
    stop: StopReason | None = None
    latency: float | None = None
    duration: float = 0.0
    usage: Usage = field(default_factory=Usage)
    cost: Cost = field(default_factory=Cost)
    discount: int = 0
    answer: str | None = None
    asked_for: str | None = None
    user: str | None = None
    session: str | None = None
    referer: str | None = None
    agent: str | None = None
    provider: str | None = None
    provider_id: str | None = None
    images: int = 0


@dataclass(frozen=True, slots=True)
class Total:
    """What the records of one span of time and one group used together. `start` is unix seconds, `group` the values of
    what was grouped by."""

    start: int
    group: tuple[str | None, ...]
    requests: int
    usage: Usage
    cost: Cost
    images: int = 0


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the records from unix second `since` up to `until`: totals for each `width` seconds, grouped by
    fields of a record, only of those with one of the values that `only` names for a field."""

    since: int
    until: int
    width: int | None = None
    by: tuple[str, ...] = ()
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Generation:
    """What is told of an answer afterwards. Times are unix seconds, `latency` and `duration` seconds; `stop` is None
    where no answer was finished."""

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
    provider: str | None = None
    provider_id: str | None = None


def generation(records: Sequence[Record]) -> Generation | None:
    """What the records of one answer add up to: one for each choice, and for each model that was tried. None when no
    model has begun to answer."""
    begun = sorted((each for each in records if each.usage != Usage()), key=lambda each: each.created_at)
    if not begun:
        return None
    first, last = begun[0], begun[-1]
    return Generation(
        id=last.answer or "",
        model=last.model,
        workspace=last.workspace,
        created_at=first.created_at,
        request_id=last.request_id,
        asked_for=last.asked_for or last.model,
        streamed=last.streamed,
        cancelled=last.outcome != SUCCEEDED,
        latency=last.latency,
        duration=max(each.created_at + each.duration for each in begun) - first.created_at,
        stop=next((each.stop for each in begun if each.model == last.model and each.stop), None),
        usage=together([each.usage for each in begun], 1),
        cost=Decimal(sum(each.cost.total for each in begun)) / DOLLAR,
        discount=Decimal(sum(each.discount for each in begun)) / DOLLAR,
        user=last.user,
        session=last.session,
        referer=last.referer,
        agent=last.agent,
        provider=last.provider,
        provider_id=last.provider_id,
    )
