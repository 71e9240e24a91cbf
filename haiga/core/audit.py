"""The audit log: who did what to this server, each line chained to the one before.

Rule: a line's digest covers what it says and the digest before it. Who changes, removes, inserts or reorders a line has
to write anew all that follow, and the last digest with them; whoever has that one written down elsewhere sees it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Kind: TypeAlias = Literal["key", "shell", "server", "anyone"]
BEGINNING = "0" * 64  # the digest before the first line


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: the holder of an API key (`id` is the key's), somebody at the command line (`id` is the user's name on
    the machine), the server by itself, or anyone (a request without a good key). `address` and `request` are those of
    the HTTP request."""

    kind: Kind = "server"
    id: str = ""
    address: str | None = None
    request: str | None = None


@dataclass(frozen=True, slots=True)
class Deed:
    """What was done. `action` is as in "api_key.created", `subject` what it was done to, `at` a unix second; `details`
    are values of JSON, never a secret nor what was said to a model."""

    action: str
    subject: str
    actor: Actor
    at: int
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AuditLine:
    """A deed in the log. `number` counts from 1; `details` are the deed's as they are kept, the text that the digest
    covers."""

    number: int
    deed: Deed
    details: str
    digest: str

    def fits(self, before: str) -> bool:
        """Whether its digest is that of what it says, behind a line with the digest `before`."""
        return self.digest == _digest(before, self.number, self.deed, self.details)


@dataclass(frozen=True, slots=True)
class Chain:
    """The log as a whole: the digest `before` its first line, and the number and digest of its last one."""

    before: str = BEGINNING
    gone: int = 0  # lines that were forgotten when they were too old: the first there is has the next number
    last: int = 0
    digest: str = BEGINNING

    def line(self, deed: Deed) -> AuditLine:
        """The next line."""
        details = json.dumps(deed.details, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        number = self.last + 1
        return AuditLine(number, deed, details, _digest(self.digest, number, deed, details))


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which lines: newest first, or with `forward` oldest first; numbers above `after` and below `before`, times from
    `since` and before `until` (unix seconds). Empty is any."""

    limit: int = 20
    after: int | None = None
    before: int | None = None
    since: int | None = None
    until: int | None = None
    actions: tuple[str, ...] = ()
    actors: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    forward: bool = False


class Verifier:
    """Is fed the lines in the order of their numbers, and tells what is wrong by the number of a line."""

    def __init__(self, chain: Chain, known: Mapping[int, str] | None = None) -> None:
        """`known` are digests that were written down elsewhere, by their lines' numbers."""
        self._chain = chain
        self._known = dict(known or {})
        self._digest = chain.before
        self._number = chain.gone

    def feed(self, line: AuditLine) -> list[str]:
        expected = self._number + 1
        faults = []
        if line.number > self._chain.last:
            faults.append(f"line {line.number} was inserted behind the last one")
        elif line.number != expected:
            faults.append(_missing(expected, line.number - 1))
        elif not line.fits(self._digest):
            faults.append(f"line {line.number} is not what was written, or not where it was written")
        if self._known.pop(line.number, line.digest) != line.digest:
            faults.append(f"line {line.number} has another digest than the one given")
        self._number, self._digest = line.number, line.digest
        return faults

    def end(self) -> list[str]:
        """What is wrong with the end of the log."""
        faults = []
        if self._number < self._chain.last:
            faults.append(_missing(self._number + 1, self._chain.last))
        elif self._number == self._chain.last and self._digest != self._chain.digest:
            faults.append(f"line {self._number} is not the last one that was written")
        return faults + [f"line {number} is not there" for number in self._known]


def _missing(first: int, last: int) -> str:
    return f"line {first} is missing" if first == last else f"lines {first} to {last} are missing"


def _digest(before: str, number: int, deed: Deed, details: str) -> str:
    actor = deed.actor
    said = [before, number, deed.at, deed.action, deed.subject]
    said += [actor.kind, actor.id, actor.address, actor.request, details]
    return hashlib.sha256(json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()
