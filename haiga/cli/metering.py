"""Composition: what counts requests, holds them to limits and records them."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from haiga.config import Settings
from haiga.core.access import Caller
from haiga.core.generation import TextRequest
from haiga.core.records import Price, Record
from haiga.services import requests
from haiga.services.images import Tally
from haiga.services.images.tally import Holder
from haiga.services.inference import Inference
from haiga.services.limits import Limiter, LocalMeters
from haiga.services.metrics import Metrics
from haiga.services.models import Models
from haiga.services.prices import Prices, read_prices
from haiga.services.usage import Ledger, Recorder
from haiga.stores.meters import DatabaseMeters
from haiga.stores.usage import DatabaseUsage

FREE = Price()


@dataclass(frozen=True, slots=True)
class Metering:
    """The parts, and the two stages that they make, outermost first."""

    prices: Prices
    ledger: Ledger
    recorder: Recorder
    tally: Tally
    limiter: Limiter
    metrics: Metrics
    meters: DatabaseMeters | None  # where they hold leases

    @property
    def stages(self) -> tuple[Recorder, Limiter]:
        return self.recorder, self.limiter


def metering(
    settings: Settings, database: AsyncEngine, models: Models, inference: Callable[[], Inference], holder: Holder
) -> Metering:
    """`inference` gives what the stages stand in, once it is there; `holder` who holds a key. Raises Invalid for a file
    of prices that is wrong."""
    prices = read_prices(settings.prices, models.told_price) if settings.prices else Prices({}, models.told_price)
    ledger = Ledger(DatabaseUsage(database), settings.keep_usage)

    def named(caller: Caller, name: str) -> tuple[str, Price]:
        model = inference().model(caller, name).name
        return model, prices.get(model, FREE)

    async def count(caller: Caller, request: TextRequest) -> int:
        return await inference().count(caller, request)

    shared = DatabaseMeters(database) if database.dialect.name == "postgresql" else None
    limiter = Limiter(shared or LocalMeters(), count, lambda caller, name: named(caller, name)[1], ledger.spent_by)
    metrics = Metrics(models.loads)

    def add(record: Record) -> None:
        ledger.add(record)
        metrics.add(record)
        requests.add(record)

    tally = Tally(limiter, add, lambda model: prices.get(model, FREE), holder, lasting=shared is not None)
    return Metering(prices, ledger, Recorder(add, named), tally, limiter, metrics, shared)
