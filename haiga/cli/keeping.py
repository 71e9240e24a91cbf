"""Composition: what a server has beside a worker: what it keeps for its callers, tells others and writes down."""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version

from sqlalchemy.ext.asyncio import AsyncEngine

from haiga.cli.answering import Answering
from haiga.cli.painting import painting
from haiga.config import Settings
from haiga.services.audit import Audit, Refusals
from haiga.services.batches import Batches, Clerk
from haiga.services.images import Jobs
from haiga.services.models import Models
from haiga.services.responses import Responses
from haiga.services.webhooks import Deliverer, Sender, Webhooks
from haiga.stores.audit import DatabaseAudit
from haiga.stores.batches import DatabaseBatches
from haiga.stores.responses import DatabaseResponses
from haiga.stores.webhooks import DatabaseWebhooks
from haiga.wire.openai_batches.paper import BatchPaper


@dataclass(frozen=True, slots=True)
class Keeping:
    """Nothing of it is started."""

    responses: Responses
    batches: Batches
    clerk: Clerk
    webhooks: Webhooks
    deliverer: Deliverer
    jobs: Jobs
    audit: Audit
    refusals: Refusals


def keeping(settings: Settings, parts: Answering, models: Models, database: AsyncEngine) -> Keeping:
    """The parts of a server for these settings."""
    responses = Responses(parts.inference, DatabaseResponses(database), lifetime=int(settings.keep_responses))
    lines, wake = DatabaseBatches(database, int(settings.keep_batches)), parts.worker.wake
    clerk = Clerk(lines, parts.files, BatchPaper(), wake)
    outbox, sender = DatabaseWebhooks(database), Sender(parts.fetch, parts.key, time.time)
    audit = Audit(DatabaseAudit(database), settings.keep_audit, begins=_described(settings))
    return Keeping(
        responses,
        Batches(lines, wake, clerk.wake),
        clerk,
        Webhooks(outbox, sender),
        Deliverer(outbox, sender),
        painting(settings, parts, models, database),
        audit,
        Refusals(audit),
    )


def _described(settings: Settings) -> Mapping[str, str | bool | None]:
    """What the audit log says of a server that starts. Other prices have another digest."""
    prices = hashlib.sha256(settings.prices.read_bytes()).hexdigest() if settings.prices else None
    return {"version": version("haiga"), "host": settings.host, "offline": settings.offline, "prices": prices}
