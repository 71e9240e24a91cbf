"""Every error a caller can meet, one class per thing the caller can do about it.

    HaigaError
    ├── Invalid       the request is wrong: change it
    │   ├── TooLarge      ... because it is too big
    │   └── Oversized     ... because pictures are too wide or too high
    ├── Unsupported   the request is understood, but not offered here: ask for something else
    ├── NotFound      no such model, file, batch, route
    ├── Denied        who asks may not do this (unauthenticated: no or unknown key)
    │   └── Flagged       ... because of what it says: a moderation policy stopped it
    ├── Limited       over a limit: wait `retry_after` seconds
    ├── Exhausted     a budget is spent: wait for the next month, or have it raised
    ├── Busy          the server is full: wait `retry_after` seconds
    ├── Failed        this request failed, others go on: try again
    ├── Dead          the engine died and is being started again: try again
    └── Cancelled     whoever asked has gone away

Rule: no status codes here. Each wire family maps the classes to its own statuses and bodies.
"""

from collections.abc import Sequence
from typing import Literal


class HaigaError(Exception):
    """Base of the tree.

    `field` is the path of the offending field as the API writes it (`messages.0.content.1.source`), `code` a
    stable machine-readable name for wire families that carry one.
    """

    def __init__(self, message: str, *, field: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.code = code

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message

    @property
    def name(self) -> str:
        """What records and the log call it."""
        return type(self).__name__.lower()


class Invalid(HaigaError):
    """The request is wrong; sending it again unchanged fails again."""


class TooLarge(Invalid):
    """A body, file or collection is over its size limit."""


class Oversized(Invalid):
    """Pictures are too wide or too high: `paths` are their places, `side` the most pixels that either side may have."""

    def __init__(self, message: str, *, side: int = 0, paths: Sequence[str] = (), field: str | None = None) -> None:
        super().__init__(message, field=field, code="image_dimensions_too_large")
        self.side = side
        self.paths = tuple(paths)


class Unsupported(HaigaError):
    """Understood and well formed, but this server or this model does not offer it."""


class NotFound(HaigaError):
    """The thing named does not exist, or the caller may not know that it does."""


class Denied(HaigaError):
    """The caller may not do this. `unauthenticated` says that the credential itself was missing or unknown."""

    def __init__(
        self, message: str, *, unauthenticated: bool = False, field: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message, field=field, code=code)
        self.unauthenticated = unauthenticated


class Flagged(Denied):
    """A moderation policy stopped the request. `reasons` are names of categories, terms and rules, `excerpt` is the
    beginning of the text that was flagged, `model` the one that was asked."""

    def __init__(self, message: str, *, reasons: tuple[str, ...], excerpt: str, model: str) -> None:
        super().__init__(message)
        self.reasons = reasons
        self.excerpt = excerpt
        self.model = model


class Limited(HaigaError):
    """Over a limit of the caller's own; after `retry_after` seconds the same request passes. `of` is what there was
    too much of."""

    def __init__(
        self,
        message: str,
        *,
        retry_after: float,
        of: Literal["requests", "tokens"] = "requests",
        code: str | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after
        self.of = of


class Exhausted(HaigaError):
    """The caller's budget does not cover the request."""


class Busy(HaigaError):
    """The server as a whole is full; after `retry_after` seconds it is worth another try."""

    def __init__(self, message: str, *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Failed(HaigaError):
    """This request failed through no fault of the caller; the engine goes on."""


class Dead(HaigaError):
    """The engine's process ended under this request; it is being started again."""


class Cancelled(HaigaError):
    """Whoever asked is gone; nobody reads the answer."""
