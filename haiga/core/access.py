"""Who is asking."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller. `key` is the key's id, None on an open loopback server; `workspace` salts the KV
    cache, so that no workspace can learn from timings or usage what another one sent."""

    key: str | None = None
    workspace: str = "default"
    admin: bool = False
