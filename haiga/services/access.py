"""Who may ask: API keys made, shown, revoked and recognised.

Rule: a secret is seen once, when it is made. What is kept is its SHA-256: the secret is 32 random bytes, which no
dictionary holds, so a slow password hash would cost every request and protect nothing.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from haiga.core.access import ApiKey, Caller, Workspace
from haiga.core.errors import Denied, Invalid
from haiga.core.limits import Owner
from haiga.core.ports import KeyStore
from haiga.services.keyring import Keyring, hash_of

FRESH = 2.0  # seconds that the list of keys is believed: how long a revoked key may go on working
OPEN = Caller(admin=True)  # anybody, on a server that only this machine reaches and that has no key


@dataclass(frozen=True, slots=True)
class _Known:
    """A key that some secret opens, and the caller who holds it; `archived` says that its workspace is."""

    key: ApiKey
    caller: Caller
    archived: bool

    def opens(self, digest: str, now: float) -> bool:
        return not self.archived and self.key.usable(now) and self.key.opens(digest, now)


class Access(Keyring):
    """Keys and callers.

    `open_when_empty`: while no key was ever made, any credential or none is accepted (a loopback server). A revoked
    or expired key still counts as made, so that revoking the last one never opens the door. `clock` is unix seconds.
    """

    def __init__(
        self, keys: KeyStore, *, open_when_empty: bool = False, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(keys, self._forget, clock)
        self._open_when_empty = open_when_empty
        self._known: dict[str, _Known] = {}
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def authenticate(self, credential: str | None) -> Caller:
        """Who holds this credential. Raises Denied (unauthenticated) for a missing, unknown, revoked or expired key."""
        known = await self._current()
        if not known and self._open_when_empty:
            return OPEN
        # found by hash: how long that takes tells about the hash of a guess, and nothing about any secret
        digest = hash_of(credential) if credential else ""
        found = known.get(digest)
        if found is None or not found.opens(digest, self._clock()):
            raise Denied("invalid x-api-key", unauthenticated=True)
        return found.caller

    async def holder(self, key: str | None, workspace: str) -> Caller:
        """Who holds the key of this id, for work that goes on when the request is over; also if the key is no more."""
        known = await self._current()
        found = (each.caller for each in known.values() if each.key.id == key)
        return next(found, Caller(key, workspace))

    async def is_open(self) -> bool:
        """Whether anyone is let in."""
        return self._open_when_empty and not await self._current()

    async def require_keys(self, host: str) -> None:
        """Raise Invalid when a server on `host` would let nobody in: it is not open, and no key works."""
        known, now = await self._current(), self._clock()
        is_open = self._open_when_empty and not known
        if not is_open and not any(each.opens(each.key.hash, now) for each in known.values()):
            raise Invalid(
                f"refusing to listen on {host} without an API key that works: make one with `haiga keys create NAME`"
            )

    async def _current(self) -> dict[str, _Known]:
        """The keys by hash, read again when older than FRESH; one reader at a time, however many ask."""
        async with self._reading:
            # a wall clock that was set back must not keep an old list alive
            if not 0 <= self._clock() - self._read_at < FRESH:
                workspaces = {each.name: each for each in await self._keys.workspaces()}
                self._known = {}
                for key in await self._keys.all():
                    known = _known(key, workspaces.get(key.workspace))
                    self._known |= {digest: known for digest in (key.hash, key.former_hash) if digest}
                self._read_at = self._clock()
            return self._known

    def _forget(self) -> None:
        self._read_at = float("-inf")


def _known(key: ApiKey, workspace: Workspace | None) -> _Known:
    owners = [Owner(key.id, "this API key", key.limits)]
    if workspace is not None:
        owners.append(Owner(workspace.id, f"workspace {workspace.name}", workspace.limits, workspace.name))
    limited = tuple(owner for owner in owners if owner.limits.any)
    caller = Caller(key.id, key.workspace, key.admin, key.readonly, key.scope, limited, policy=key.policy)
    return _Known(key, caller, workspace is not None and workspace.archived_at is not None)
