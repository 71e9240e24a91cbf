"""Which policies there are, and which of them hold for a caller.

Rule: the operator's policy holds whatever a request says: that of the caller's key, or else the server's. A request may
name another one besides, which makes things stricter, never laxer.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from haiga.core.access import Caller
from haiga.core.audit import Actor, Deed
from haiga.core.errors import Denied, Invalid, NotFound
from haiga.core.policies import BUILT_IN, KeptPolicy, Policy
from haiga.core.ports import PolicyStore
from haiga.services.moderation.terms import check_terms

FRESH = 2.0  # seconds that the list of policies is believed
HEADER = "haiga-policy"


class Policies:
    """Policies built in, of a file (`fixed`, by name) and of a store. `default`, which may change, names the one that
    holds where a key has none of its own, None for none. `clock` gives unix seconds."""

    def __init__(
        self,
        fixed: Mapping[str, Policy] | None = None,
        store: PolicyStore | None = None,
        default: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._fixed = {**BUILT_IN, **(fixed or {})}
        self._store = store
        self.default = default
        self._clock = clock
        self._kept: dict[str, KeptPolicy] = {}
        self._read_at = float("-inf")

    def become(self, fixed: Mapping[str, Policy]) -> bool:
        """Have these policies of a file instead; whether that is a change."""
        former, self._fixed = self._fixed, {**BUILT_IN, **fixed}
        return former != self._fixed

    def concern(self, caller: Caller) -> bool:
        """Whether any policy may hold for the caller."""
        return any((caller.policy, self.default, caller.origin.moderated.named))

    async def of(self, caller: Caller) -> list[Policy]:
        """Those that hold for the caller, the operator's first. Raises Denied when the operator's is not there, and
        Invalid when the one that the request names is not."""
        held, named = caller.policy or self.default, caller.origin.moderated.named
        found: list[Policy] = []
        if held is not None:
            policy = await self.find(held)
            if policy is None:
                raise Denied(f"the moderation policy {held}, which this request is held to, does not exist")
            found.append(policy)
        if named is not None and named != held:
            policy = await self.find(named)
            if policy is None:
                raise Invalid(f"there is no moderation policy {named[:64]}", field=HEADER)
            found.append(policy)
        return found

    async def find(self, name: str) -> Policy | None:
        """The policy of that name as it is now."""
        if name in self._fixed:
            return self._fixed[name]
        kept = (await self._current()).get(name)
        return kept.policy if kept else None

    async def all(self) -> list[KeptPolicy]:
        """Every policy as it is now, by name."""
        fixed = {name: KeptPolicy(policy, fixed=True) for name, policy in self._fixed.items()}
        return [policy for _, policy in sorted({**await self._current(), **fixed}.items())]

    async def get(self, name: str, version: str | None = None) -> KeptPolicy:
        """A policy as it is now, or a version of it. Raises NotFound."""
        if version is None:
            found = next((kept for kept in await self.all() if kept.policy.name == name), None)
        else:
            found = next((kept for kept in await self.versions(name) if kept.policy.version == version), None)
        if found is None:
            raise NotFound(f"there is no moderation policy {name[:64]}{'' if version is None else ' of that version'}")
        return found

    async def versions(self, name: str) -> list[KeptPolicy]:
        """Every version of a name, newest first."""
        if name in self._fixed:
            return [KeptPolicy(self._fixed[name], fixed=True)]
        return await self._store.versions(name) if self._store else []

    async def put(self, policy: Policy, actor: Actor) -> KeptPolicy:
        """Keep a policy as the next version of its name. Raises Invalid for one that cannot work, and for a name that
        is fixed."""
        if policy.name in self._fixed or self._store is None:
            raise Invalid("a policy of this name is built in, or of the server's file", field="name")
        check_terms(policy)
        now = int(self._clock())
        deed = Deed("moderation_policy.created", policy.name, actor, now)
        kept = await self._store.add(replace(policy, version=""), now, deed)
        self._read_at = float("-inf")
        return kept

    async def remove(self, name: str, actor: Actor) -> None:
        """Raises NotFound, and Invalid for one that is fixed."""
        if name in self._fixed:
            raise Invalid("this policy is built in, or of the server's file", field="name")
        deed = Deed("moderation_policy.deleted", name, actor, int(self._clock()))
        if self._store is None or not await self._store.remove(name, deed):
            raise NotFound(f"there is no moderation policy {name[:64]}")
        self._read_at = float("-inf")

    async def _current(self) -> Mapping[str, KeptPolicy]:
        if self._store is not None and not 0 <= self._clock() - self._read_at < FRESH:
            self._kept = {kept.policy.name: kept for kept in await self._store.current()}
            self._read_at = self._clock()
        return self._kept
