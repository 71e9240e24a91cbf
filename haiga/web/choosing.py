"""Which models an OpenRouter request tries, in what order: over this server's own and its upstreams' together."""

from collections.abc import Callable
from functools import partial

from haiga.core.access import Caller
from haiga.core.errors import HaigaError
from haiga.core.generation import TextRequest
from haiga.core.ports import ModelCard
from haiga.services.routing.fitting import cheapness, fits
from haiga.web.services import Services
from haiga.wire.openrouter.routing import Routing


def candidates(
    services: Services, caller: Caller, routing: Routing, asked: Callable[[ModelCard], TextRequest]
) -> tuple[str, ...]:
    """The names, the server's own choice spelt out: what can do all that is asked first, and of that the cheapest.
    `asked` is the request as it would be put to a model. Raises NotFound."""

    find = partial(found, services, caller)

    def worth(card: ModelCard) -> tuple[bool, object]:
        return not fits(card, asked(card)), cheapness(card, services.prices.get)

    return routing.candidates(services.inference.models(caller), find, worth)


def found(services: Services, caller: Caller, name: str) -> ModelCard | None:
    """The model behind a name, where the caller may ask it."""
    try:
        return services.inference.model(caller, name)
    except HaigaError:
        return None
