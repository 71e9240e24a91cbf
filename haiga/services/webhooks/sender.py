"""One event to one endpoint: signed in the Standard Webhooks form, sent through the guarded way out.

Rule: no signing secret is kept. Each follows from the server's own key, the endpoint and a number that counts
rotations, so that a copy of the database signs nothing.
"""

import hmac
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime

from standardwebhooks import Webhook

from haiga.core.errors import Failed
from haiga.core.webhooks import WebhookEndpoint, WebhookEvent
from haiga.services.fetch import Bounds, Fetch
from haiga.wire.webhooks.messages import write_event

PURPOSE = b"haiga webhook secrets"  # keeps what is derived here apart from all else that the key is for
PATIENCE = 20.0  # seconds for an answer


class Sender:
    """Signs with secrets that follow from `key`; `clock` gives unix seconds."""

    def __init__(self, fetch: Fetch, key: bytes, clock: Callable[[], float]) -> None:
        self._fetch = fetch
        self._key = hmac.digest(key, PURPOSE, "sha256")
        self._clock = clock

    def check(self, url: str) -> None:
        """Whether anything can be sent there at all. Raises Invalid and Unsupported."""
        self._fetch.check(url)

    def secret(self, endpoint: str, number: int) -> str:
        """The signing secret of an endpoint after `number` - 1 rotations."""
        return "whsec_" + b64encode(hmac.digest(self._key, f"{endpoint} {number}".encode(), "sha256")).decode()

    async def send(self, endpoint: WebhookEndpoint, event: WebhookEvent) -> int:
        """The status that the endpoint answers; what else it says is not read. Raises core errors when there is no
        answer, or nothing can be signed."""
        body = write_event(event)
        headers = {"content-type": "application/json", **self._signed(endpoint, event.id, body)}
        async with self._fetch.open(
            "POST", endpoint.url, headers=headers, body=body, bounds=Bounds(total=PATIENCE, pause=PATIENCE)
        ) as answer:
            return answer.status

    def _signed(self, endpoint: WebhookEndpoint, id: str, body: bytes) -> dict[str, str]:
        now = datetime.fromtimestamp(int(self._clock()), UTC)
        secrets = [self.secret(endpoint.id, endpoint.secret)]
        if hint(secrets[0]) != endpoint.hint:
            raise Failed("the server's signing.key is another one than when the secret was made: rotate the secret")
        if endpoint.old_until is not None and now.timestamp() < endpoint.old_until:
            secrets.append(self.secret(endpoint.id, endpoint.secret - 1))
        signatures = " ".join(Webhook(secret).sign(id, now, body.decode()) for secret in secrets)
        return {"webhook-id": id, "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signatures}


def hint(secret: str) -> str:
    """Enough of a secret to know it by."""
    return f"whsec_…{secret[-5:]}"
