"""Keys and workspaces as those see them who give them out: made, changed, rotated, revoked.

Rule: a key is named by its id, or by its name if only one bears it.
"""

import hashlib
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from haiga.core.access import DEFAULT, ApiKey, Scope, Workspace
from haiga.core.audit import Actor, Deed
from haiga.core.errors import Invalid, NotFound
from haiga.core.limits import Limits
from haiga.core.ports import KeyStore

PREFIX = "sk-haiga-"
LONGEST = 255  # characters of a workspace's name


class Keyring:
    """Keys in a store; `changed` is called after each change, which the audit log says `actor` made. `clock` is unix
    seconds."""

    def __init__(
        self,
        keys: KeyStore,
        changed: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
        actor: Actor = Actor(),
    ) -> None:
        self._keys = keys
        self._changed = changed
        self._clock = clock
        self._actor = actor

    def acting(self, actor: Actor) -> "Keyring":
        """The same keys, changed by somebody else."""
        return Keyring(self._keys, self._changed, self._clock, actor)

    # --- keys ---

    async def create_key(
        self,
        name: str,
        workspace: str = DEFAULT,
        admin: bool = False,
        lifetime: float | None = None,
        *,
        readonly: bool = False,
        scope: Scope = Scope(),
        limits: Limits = Limits(),
        policy: str | None = None,
    ) -> tuple[ApiKey, str]:
        """A new key and its secret, which cannot be read again. `lifetime` is seconds, None for no end. The workspace
        is made if there is none of that name. Raises Invalid."""
        if not name.strip() or not workspace.strip():
            raise Invalid("must not be empty", field="name" if workspace.strip() else "workspace")
        owner = await self._or_made(workspace.strip())
        now, (secret, digest, hint) = self._now(), _secret()
        key = ApiKey(
            id=f"key_{secrets.token_hex(8)}",
            name=name.strip(),
            hash=digest,
            hint=hint,
            workspace=owner.name,
            admin=admin,
            created_at=now,
            expires_at=None if lifetime is None else now + int(lifetime),
            readonly=readonly,
            scope=scope,
            limits=limits,
            policy=policy,
        )
        await self._keys.add(key, self._deed("api_key.created", key.id, _told(key)))
        self._changed()
        return key, secret

    async def list(self) -> list[ApiKey]:
        """Every key, oldest first, revoked and expired ones too."""
        return await self._keys.all()

    async def find(self, name: str) -> ApiKey:
        """The key that is not revoked of this id or name. Raises NotFound and Invalid."""
        return await self._one(name, "there is no key {}")

    async def change(self, key: ApiKey) -> ApiKey:
        """Keep a key as it is now. Raises NotFound when it has been revoked meanwhile."""
        former = next((each for each in await self._keys.all() if each.id == key.id), key)
        deed = self._deed("api_key.updated", key.id, _changes(_told(former), _told(key)))
        return await self._replace(key, deed)

    async def rotate(self, name: str, grace: float) -> tuple[ApiKey, str]:
        """A new secret for a key, which stays the same key. The old one goes on for `grace` seconds."""
        key, (secret, digest, hint) = await self.find(name), _secret()
        until = self._now() + int(grace)
        rotated = replace(key, hash=digest, hint=hint, former_hash=key.hash, former_until=until)
        deed = self._deed("api_key.rotated", key.id, {"name": key.name, "former_until": until})
        return await self._replace(rotated, deed), secret

    async def revoke(self, name: str) -> ApiKey:
        """Revoke the key of this id, or of this name if only one bears it. Raises NotFound and Invalid."""
        key, now = await self._one(name, "there is no key {} to revoke"), self._now()
        deed = self._deed("api_key.deleted", key.id, {"name": key.name, "workspace": key.workspace})
        if not await self._keys.revoke(key.id, now, deed):
            raise NotFound(f"there is no key {name} to revoke")
        self._changed()
        return replace(key, revoked_at=now)

    async def _replace(self, key: ApiKey, deed: Deed) -> ApiKey:
        if not await self._keys.change(key, deed):
            raise NotFound(f"there is no key {key.id}")
        self._changed()
        return key

    async def _one(self, name: str, missing: str) -> ApiKey:
        live = [key for key in await self._keys.all() if key.revoked_at is None]
        named = [key for key in live if key.id == name] or [key for key in live if key.name == name]
        if len(named) > 1:
            raise Invalid(f"{len(named)} keys are named {name}: say which by id ({', '.join(key.id for key in named)})")
        if not named:
            raise NotFound(missing.format(name))
        return named[0]

    # --- workspaces ---

    async def workspaces(self) -> Sequence[Workspace]:
        """Every workspace, oldest first, archived ones too."""
        return await self._keys.workspaces()

    async def workspace(self, name: str) -> Workspace:
        """The workspace of this name or id. Raises NotFound."""
        for each in await self._keys.workspaces():
            if name in (each.name, each.id):
                return each
        raise NotFound(f"there is no workspace {name}")

    async def create_workspace(self, name: str, limits: Limits = Limits()) -> Workspace:
        """Raises Invalid for a name that is taken, empty or too long."""
        name = name.strip()
        if not 0 < len(name) <= LONGEST:
            raise Invalid(f"must have 1 to {LONGEST} characters", field="name")
        if any(each.name == name for each in await self._keys.workspaces()):
            raise Invalid(f"there is a workspace {name} already", field="name")
        made = Workspace(name, f"wrkspc_{secrets.token_hex(8)}", self._now(), None, limits)
        details = {"name": name, "limits": _limits(limits)}
        return await self._put(made, self._deed("workspace.created", made.id, details))

    async def change_workspace(self, workspace: Workspace) -> Workspace:
        """Keep a workspace as it is now."""
        former = next((each for each in await self._keys.workspaces() if each.id == workspace.id), workspace)
        changes = _changes({"limits": _limits(former.limits)}, {"limits": _limits(workspace.limits)})
        return await self._put(
            workspace, self._deed("workspace.updated", workspace.id, {"name": workspace.name} | changes)
        )

    async def archive(self, name: str) -> Workspace:
        """No key of the workspace works any more; what it holds stays. Raises NotFound."""
        workspace = await self.workspace(name)
        if workspace.archived_at is not None:
            return workspace
        archived = replace(workspace, archived_at=self._now())
        return await self._put(archived, self._deed("workspace.archived", workspace.id, {"name": workspace.name}))

    async def _put(self, workspace: Workspace, deed: Deed) -> Workspace:
        await self._keys.put_workspace(workspace, deed)
        self._changed()
        return workspace

    async def _or_made(self, name: str) -> Workspace:
        found = [each for each in await self._keys.workspaces() if each.name == name]
        if found and found[0].archived_at is not None:
            raise Invalid(f"workspace {name} is archived", field="workspace")
        return found[0] if found else await self.create_workspace(name)

    def _now(self) -> int:
        return int(self._clock())

    def _deed(self, action: str, subject: str, details: Mapping[str, Any]) -> Deed:
        return Deed(action, subject, self._actor, self._now(), details)


def _told(key: ApiKey) -> dict[str, Any]:
    """What the audit log says of a key."""
    told = {name: getattr(key, name) for name in ("name", "workspace", "role", "expires_at", "paused", "policy")}
    scope = {name: list(values) for name, values in asdict(key.scope).items() if values}
    return told | {"scope": scope, "limits": _limits(key.limits)}


def _limits(limits: Limits) -> dict[str, int]:
    return {name: limit for name, limit in asdict(limits).items() if limit is not None}


def _changes(former: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """What is not as it was: the value before and the one now."""
    return {name: [former[name], now[name]] for name in now if former[name] != now[name]}


def _secret() -> tuple[str, str, str]:
    """A secret, its hash, and what to know it by in lists."""
    secret = PREFIX + secrets.token_urlsafe(32)
    return secret, hash_of(secret), f"{secret[: len(PREFIX) + 4]}…{secret[-4:]}"


def hash_of(secret: str) -> str:
    # surrogatepass: a header may carry anything, and anything that is no key is an unknown key
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
