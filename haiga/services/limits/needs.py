"""What a request needs of the limits of those who ask it, and how a refusal is worded.

Rule: a request takes from every limit of its key and its workspace, or from none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from haiga.core.errors import Exhausted, HaigaError, Invalid, Limited
from haiga.core.limits import DOLLAR, Kind, Meter, Owner, Want

SOON = 1.0  # seconds until it is worth asking again whether a request under way has ended
NOUNS: Mapping[Kind, str] = {
    "requests": "requests per minute",
    "input_tokens": "input tokens per minute",
    "output_tokens": "output tokens per minute",
    "concurrent": "concurrent requests",
}


ONCE: tuple[Kind, ...] = ("requests", "input_tokens", "concurrent")  # however many answers a prompt has


@dataclass(frozen=True, slots=True)
class Need:
    """What one request may use at most; `cost` in billionths of a US dollar."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    concurrent: int = 0
    cost: int = 0

    def of(self, kind: Kind) -> int:
        return self.cost if kind == "budget" else int(getattr(self, kind))

    def less(self, used: "Need") -> "Need":
        """What is given back by a request that used `used` of this."""
        return Need(
            input_tokens=self.input_tokens - used.input_tokens,
            output_tokens=self.output_tokens - used.output_tokens,
            concurrent=self.concurrent,
            cost=self.cost - used.cost,
        )


@dataclass(frozen=True, slots=True)
class Claim:
    """One want, and whose limit it is."""

    owner: Owner
    kind: Kind
    want: Want

    def asks(self, amount: int) -> Want:
        return replace(self.want, amount=amount)

    def times(self, answers: int) -> "Claim":
        """For as many answers: one that is refused takes the others with it, and all will be asked for again."""
        amount = self.want.amount if self.kind in ONCE else self.want.amount * answers
        return replace(self, want=self.asks(min(amount, max(self.want.amount, self.want.limit))))


def month(now: int) -> datetime:
    """The beginning of the calendar month (UTC) of a microsecond."""
    return datetime.fromtimestamp(now / 1e6, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def next_month(now: int) -> datetime:
    first = month(now)
    return first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)


def claim(owner: Owner, kind: Kind, limit: int, amount: int, now: int, start: int = 0) -> Claim:
    """A budget has a meter for each month, so that it is whole again by itself."""
    drains = kind not in ("concurrent", "budget")
    name = f"{owner.id}:{kind}:{month(now):%Y-%m}" if kind == "budget" else f"{owner.id}:{kind}"
    return Claim(owner, kind, Want(name, limit, amount, drains, start, kind == "concurrent"))


def refusal(claims: Sequence[Claim], meters: Sequence[Meter], now: int) -> HaigaError:
    """The error of claims that do not all fit. Its `retry_after` is when all of them would."""
    over = [(each, meter.wait(each.want)) for each, meter in zip(claims, meters, strict=True) if meter.over(each.want)]
    for each, _ in over:
        if each.kind == "budget":
            return _exhausted(each, now)
    for each, wait in over:
        if wait is None and each.kind != "concurrent":
            return Invalid(
                f"This request has {each.want.amount:,} {NOUNS[each.kind].removesuffix(' per minute')}, more than the"
                f" {each.want.limit:,} per minute of {each.owner.called}"
            )
    longest = max(SOON if wait is None else wait / 1e6 for _, wait in over)
    worst = max(over, key=lambda pair: SOON if pair[1] is None else pair[1] / 1e6)[0]
    return Limited(
        f"This request would exceed the limit of {worst.want.limit:,} {NOUNS[worst.kind]} of {worst.owner.called}."
        f" Please try again in {longest:.3f}s.",
        retry_after=longest,
        of="tokens" if worst.kind.endswith("tokens") else "requests",
    )


def _exhausted(each: Claim, now: int) -> Exhausted:
    return Exhausted(
        f"This request does not fit into what is left of the budget of ${each.want.limit / DOLLAR:,.2f} a month of"
        f" {each.owner.called}. It is whole again on {next_month(now):%Y-%m-%d} at 00:00 UTC."
    )
