"""Who is asking."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller. `key` is the key's id, None on an open loopback server; `workspace` salts the KV
    cache, so that no workspace can learn from timings or usage what another one sent."""

    key: str | None = None
    workspace: str = "default"
    admin: bool = False


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key as it is kept: never the secret, only its SHA-256 in hexadecimal (`hash`) and a `hint` to know it by
    in lists. Times are unix seconds."""

    id: str
    name: str
    hash: str
    hint: str
    workspace: str
    admin: bool
    created_at: int
    expires_at: int | None = None
    revoked_at: int | None = None

    def usable(self, now: float) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)
