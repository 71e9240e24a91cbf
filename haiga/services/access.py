"""Who may ask: API keys made, shown, revoked and recognised.

Rule: a secret is seen once, when it is made. What is kept is its SHA-256: the secret is 32 random bytes, which no
dictionary holds, so a slow password hash would cost every request and protect nothing.
"""

import asyncio
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import replace

from haiga.core.access import ApiKey, Caller
from haiga.core.errors import Denied, Invalid, NotFound
from haiga.core.ports import KeyStore

PREFIX = "sk-haiga-"
FRESH = 2.0  # seconds that the list of keys is believed: how long a revoked key may go on working


class Access:
    """Keys and callers.

    `open_when_empty`: while no key was ever made, any credential or none is accepted (a loopback server). A revoked
    or expired key still counts as made, so that revoking the last one never opens the door. `clock` is unix seconds.
    """

    def __init__(
        self, keys: KeyStore, *, open_when_empty: bool = False, clock: Callable[[], float] = time.time
    ) -> None:
        self._keys = keys
        self._open_when_empty = open_when_empty
        self._clock = clock
        self._known: dict[str, ApiKey] = {}
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def authenticate(self, credential: str | None) -> Caller:
        """Who holds this credential. Raises Denied (unauthenticated) for a missing, unknown, revoked or expired key."""
        known = await self._current()
        if not known and self._open_when_empty:
            return Caller()
        key = _match(known, credential) if credential else None
        if key is None or not key.usable(self._clock()):
            raise Denied("invalid x-api-key", unauthenticated=True)
        return Caller(key.id, key.workspace, key.admin)

    async def is_open(self) -> bool:
        """Whether anyone is let in."""
        return self._open_when_empty and not await self._current()

    async def require_keys(self, host: str) -> None:
        """Raise Invalid when a server on `host` would let nobody in: it is not open, and no key works."""
        known = await self._current()
        is_open = self._open_when_empty and not known
        if not is_open and not any(key.usable(self._clock()) for key in known.values()):
            raise Invalid(
                f"refusing to listen on {host} without an API key that works: make one with `haiga keys create NAME`"
            )

    async def create_key(
        self, name: str, workspace: str = "default", admin: bool = False, lifetime: float | None = None
    ) -> tuple[ApiKey, str]:
        """A new key and its secret, which cannot be read again. `lifetime` is seconds, None for no end."""
        if not name.strip() or not workspace.strip():
            raise Invalid("must not be empty", field="name" if workspace.strip() else "workspace")
        secret, now = PREFIX + secrets.token_urlsafe(32), int(self._clock())
        key = ApiKey(
            id=f"key_{secrets.token_hex(8)}",
            name=name.strip(),
            hash=_hash(secret),
            hint=f"{secret[: len(PREFIX) + 4]}…{secret[-4:]}",
            workspace=workspace.strip(),
            admin=admin,
            created_at=now,
            expires_at=None if lifetime is None else now + int(lifetime),
        )
        await self._keys.add(key)
        self._read_at = float("-inf")
        return key, secret

    async def list(self) -> list[ApiKey]:
        """Every key, oldest first, revoked and expired ones too."""
        return await self._keys.all()

    async def revoke(self, name: str) -> ApiKey:
        """Revoke the key of this id, or of this name if only one bears it. Raises NotFound and Invalid."""
        live = [key for key in await self._keys.all() if key.revoked_at is None]
        named = [key for key in live if key.id == name] or [key for key in live if key.name == name]
        if len(named) > 1:
            raise Invalid(f"{len(named)} keys are named {name}: revoke by id ({', '.join(key.id for key in named)})")
        now = int(self._clock())
        if not named or not await self._keys.revoke(named[0].id, now):
            raise NotFound(f"there is no key {name} to revoke")
        self._read_at = float("-inf")
        return replace(named[0], revoked_at=now)

    async def _current(self) -> dict[str, ApiKey]:
        """The keys by hash, read again when older than FRESH; one reader at a time, however many ask."""
        async with self._reading:
            # a wall clock that was set back must not keep an old list alive
            if not 0 <= self._clock() - self._read_at < FRESH:
                self._known = {key.hash: key for key in await self._keys.all()}
                self._read_at = self._clock()
            return self._known


def _match(known: dict[str, ApiKey], credential: str) -> ApiKey | None:
    """Found by hash: how long that takes tells about the hash of a guess, and nothing about any secret."""
    digest = _hash(credential)
    key = known.get(digest)
    return key if key and hmac.compare_digest(key.hash, digest) else None


def _hash(secret: str) -> str:
    # surrogatepass: a header may carry anything, and anything that is no key is an unknown key
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
