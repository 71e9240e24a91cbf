"""What a key or a workspace may use, and the meters that hold it to that. Pure: the time is an argument.

Rule: integers only, so that no request is refused by rounding, nor one let through. A meter counts what is in use and
drains evenly, at its limit a minute: a token bucket, seen from its empty part.
"""

from dataclasses import dataclass, fields
from typing import Literal, TypeAlias

MINUTE = 60_000_000  # microseconds
DOLLAR = 1_000_000_000  # the unit of money is a billionth of a US dollar
Kind: TypeAlias = Literal["requests", "input_tokens", "output_tokens", "concurrent", "budget"]


@dataclass(frozen=True, slots=True)
class Limits:
    """None is no limit. Requests and tokens are a minute, `concurrent` are requests at once, `budget` is billionths of
    a US dollar a calendar month (UTC)."""

    requests: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    concurrent: int | None = None
    budget: int | None = None

    @property
    def any(self) -> bool:
        return any(getattr(self, field.name) is not None for field in fields(self))


@dataclass(frozen=True, slots=True)
class Owner:
    """Who has limits: `id` is a key's or a workspace's, `called` how an error names it, `workspace` the name of a
    workspace."""

    id: str
    called: str
    limits: Limits
    workspace: str | None = None


@dataclass(frozen=True, slots=True)
class Want:
    """`amount` of what the meter with this name counts, of which `limit` may be in use.

    `drains`: the meter empties at `limit` a minute; otherwise only what is given back leaves it. `start` is what a
    meter holds that nobody has seen before. `leased`: what a server has taken is in use only as long as that server is
    there.
    """

    meter: str
    limit: int
    amount: int
    drains: bool = True
    start: int = 0
    leased: bool = False

    @property
    def unit(self) -> int:
        """How finely the meter counts: what drains in a microsecond is then a whole number."""
        return MINUTE if self.drains else 1


@dataclass(frozen=True, slots=True)
class Meter:
    """`used` of its want's units at microsecond `at`."""

    used: int
    at: int

    def drained(self, want: Want, now: int) -> "Meter":
        """As it stands at `now`. A clock that was set back drains nothing."""
        gone = want.limit * max(0, now - self.at) if want.drains else 0
        return Meter(max(0, self.used - gone), now)

    def over(self, want: Want) -> int:
        """By how many units the want does not fit; 0 when it does."""
        return max(0, self.used + (want.amount - want.limit) * want.unit)

    def wait(self, want: Want) -> int | None:
        """Microseconds until the want fits; None when no time helps."""
        over = self.over(want)
        if over and (not want.drains or want.amount > want.limit):
            return None
        return -(-over // want.limit) if over else 0

    def taken(self, want: Want) -> "Meter":
        """With the want's amount in use; a negative amount is given back."""
        return Meter(max(0, self.used + want.amount * want.unit), self.at)

    def remaining(self, want: Want) -> int:
        """How much is left, in whole tokens or requests."""
        return max(0, want.limit - -(-self.used // want.unit))

    def full_again(self, want: Want) -> int:
        """The microsecond at which nothing of it is in use any more."""
        return self.at + (-(-self.used // want.limit) if want.drains and want.limit else 0)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a caller stands with one limit. `reset` is the unix second at which it is whole again."""

    kind: Kind
    limit: int
    remaining: int
    reset: float
