"""Webhook endpoints for their owners: made, looked at, changed, tried, rotated, deleted; and what was sent to them."""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from haiga.core.access import Caller
from haiga.core.errors import HaigaError, Invalid, NotFound
from haiga.core.ports import WebhookStore
from haiga.core.webhooks import OLD_SECRET, Delivery, WebhookEndpoint, WebhookEvent
from haiga.services.webhooks.sender import Sender, hint

LIMIT = 50  # endpoints of a workspace
BY_HAND = "Disabled by its owner."


class Webhooks:
    """Endpoints in `store`; `clock` gives unix seconds."""

    def __init__(
        self,
        store: WebhookStore,
        sender: Sender,
        *,
        clock: Callable[[], float] = time.time,
        limit: int = LIMIT,
    ) -> None:
        self._store = store
        self._sender = sender
        self._clock = clock
        self._limit = limit

    async def create(self, caller: Caller, name: str, url: str, types: Sequence[str]) -> tuple[WebhookEndpoint, str]:
        """A new endpoint and its signing secret. Raises Invalid."""
        self._check(url)
        id, now = f"wh_{secrets.token_hex(12)}", self._now()
        secret = self._sender.secret(id, 1)
        endpoint = WebhookEndpoint(id, caller.workspace, name, url, tuple(dict.fromkeys(types)), now, now, hint(secret))
        if not await self._store.add(endpoint, self._limit):
            raise Invalid(f"A workspace has at most {self._limit} webhook endpoints: delete one first.")
        return endpoint, secret

    async def get(self, caller: Caller, id: str) -> WebhookEndpoint:
        """Raises NotFound, also for an endpoint of another workspace."""
        found = await self._store.get(caller.workspace, id)
        if found is None:
            raise NotFound(f"Webhook endpoint '{id[:64]}' not found.")
        return found

    async def list(self, caller: Caller, limit: int, after: str | None) -> list[WebhookEndpoint]:
        """The newest first."""
        return await self._store.page(caller.workspace, limit, after)

    async def update(
        self,
        caller: Caller,
        id: str,
        *,
        name: str | None = None,
        url: str | None = None,
        types: Sequence[str] | None = None,
        enabled: bool | None = None,
    ) -> WebhookEndpoint:
        """The endpoint with what is given changed. Raises Invalid and NotFound."""
        found = await self.get(caller, id)
        if url is not None:
            self._check(url)
        changed = replace(
            found,
            name=found.name if name is None else name,
            url=found.url if url is None else url,
            types=found.types if types is None else tuple(dict.fromkeys(types)),
        )
        if enabled is not None:
            changed = _switched(changed, enabled)
        if changed != found:
            changed = replace(changed, updated_at=self._now())
            await self._store.replace(changed)
        return changed

    async def rotate(self, caller: Caller, id: str, keep_old: bool) -> tuple[WebhookEndpoint, str]:
        """The endpoint with a new signing secret; the old one goes on being good for a day if it is kept. Raises
        NotFound."""
        found, now = await self.get(caller, id), self._now()
        secret = self._sender.secret(id, found.secret + 1)
        rotated = replace(
            found,
            secret=found.secret + 1,
            hint=hint(secret),
            old_until=now + OLD_SECRET if keep_old else None,
            updated_at=now,
        )
        await self._store.replace(rotated)
        return rotated, secret

    async def test(self, caller: Caller, id: str, type: str) -> int:
        """The status that the endpoint answers to a made-up event, which is in no log. Raises NotFound, and Invalid
        when there is no answer."""
        endpoint = await self.get(caller, id)
        event = WebhookEvent(type, f"test_{secrets.token_hex(12)}", caller.workspace, self._now())
        return await self._sender.send(endpoint, event)

    async def delete(self, caller: Caller, id: str) -> None:
        """Raises NotFound."""
        await self.get(caller, id)
        await self._store.remove(caller.workspace, id)

    async def log(self, caller: Caller, id: str, limit: int, after: str | None) -> Sequence[Delivery]:
        """What was sent or waits to be, the newest event first. Raises NotFound."""
        return await self._store.log((await self.get(caller, id)).id, limit, after)

    async def delivery(self, caller: Caller, id: str, event: str) -> Delivery:
        """Raises NotFound."""
        found = await self._store.delivery((await self.get(caller, id)).id, event)
        if found is None:
            raise NotFound(f"Event '{event[:64]}' was not sent to this webhook endpoint.")
        return found

    async def redeliver(self, caller: Caller, id: str, event: str) -> Delivery:
        """Send an event again, whatever came of it. Raises NotFound, and Invalid for an endpoint that is disabled."""
        if (await self.get(caller, id)).disabled is not None:
            raise Invalid("The webhook endpoint is disabled: enable it first.")
        await self._store.send_again(id, (await self.delivery(caller, id, event)).event.id, self._now())
        return await self.delivery(caller, id, event)

    def _check(self, url: str) -> None:
        try:
            self._sender.check(url)
        except HaigaError as error:
            error.field = "url"
            raise

    def _now(self) -> int:
        return int(self._clock())


def _switched(endpoint: WebhookEndpoint, enabled: bool) -> WebhookEndpoint:
    if enabled:
        return replace(endpoint, disabled=None, failing_since=None)
    return replace(endpoint, disabled=endpoint.disabled or BY_HAND)
