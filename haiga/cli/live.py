"""Composition: the settings that can change while a server or worker runs, and what follows them."""

from collections.abc import Callable, Mapping

from haiga.cli.answering import Answering
from haiga.cli.logs import change_log
from haiga.cli.moderating import read_policies
from haiga.cli.reloading import Prepare, at_once
from haiga.cli.routes import check_routes, read_routes
from haiga.config import Settings
from haiga.core.hours import Hours
from haiga.services.models import Models
from haiga.services.prices import Prices, read_prices

FILES = ("prices", "policies", "routes")  # settings that name a file, which may be another one under the same name


def live(parts: Answering, models: Models) -> Mapping[str, Prepare]:
    """What servers and workers have both."""
    ledger, files, cache, worker = parts.metered.ledger, parts.files, parts.cache, parts.worker

    def priced(settings: Settings) -> Callable[[], bool]:
        new = read_prices(settings.prices) if settings.prices else Prices({})
        return lambda: parts.metered.prices.become(new)

    def policed(settings: Settings) -> Callable[[], bool]:
        new = read_policies(settings.policies)
        return lambda: parts.moderated.policies.become(new)

    def rerouted(settings: Settings) -> Callable[[], bool]:
        new = read_routes(settings.routes)
        check_routes(settings.routes, new, models.card)
        return lambda: parts.inference.router.become(new)

    def renamed(settings: Settings) -> Callable[[], None]:
        models.check(settings.aliases)
        return lambda: models.rename(settings.aliases)

    def logged(settings: Settings) -> None:
        change_log(settings.log_format, settings.log_level)

    return {
        "prices": priced,
        "aliases": renamed,
        "routes": rerouted,
        "policies": policed,
        "moderation": at_once(lambda settings: setattr(parts.moderated.policies, "default", settings.moderation)),
        "log_format": at_once(logged),
        "log_level": at_once(logged),
        "keep_usage": at_once(lambda settings: setattr(ledger, "keep", settings.keep_usage)),
        "keep_files": at_once(lambda settings: setattr(files, "keep", settings.keep_files)),
        "file_quota": at_once(lambda settings: setattr(files, "quota", settings.file_quota)),
        "file_storage": at_once(lambda settings: setattr(files, "storage", settings.file_storage)),
        "result_cache": at_once(lambda settings: setattr(cache, "unasked", settings.result_cache)),
        "result_cache_size": at_once(lambda settings: setattr(cache, "limit", settings.result_cache_size)),
        "result_cache_age": at_once(lambda settings: setattr(cache, "age", settings.result_cache_age)),
        "batch_window": at_once(lambda settings: setattr(worker, "hours", Hours(settings.batch_window))),
    }
