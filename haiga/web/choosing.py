"""Which models an OpenRouter request tries, in what order: over this server's own and its upstreams' together."""

from collections.abc import Callable
from decimal import Decimal
from functools import partial

from haiga.core.access import Caller
from haiga.core.errors import HaigaError
from haiga.core.generation import TextRequest
from haiga.core.ports import ModelCard
from haiga.services.routing.fitting import cheapness, fits
from haiga.text.estimate import estimate
from haiga.web.services import Services
from haiga.wire.openrouter.routing import Routing


def candidates(
    services: Services, caller: Caller, routing: Routing, asked: Callable[[ModelCard], TextRequest]
) -> tuple[str, ...]:
    """The names, the server's own choice spelt out: what can do all that is asked first, and of that the cheapest.
    `asked` is the request as it would be put to a model. Raises NotFound."""

    find = partial(found, services, caller)
    sizes: list[int] = []  # of the request, which is long to walk through and as long for every model

    def worth(card: ModelCard) -> tuple[bool, Decimal]:
        request = asked(card)
        if not sizes:
            sizes.append(estimate(request))
        return not fits(card, request, sizes[0]), price(card)

    def price(card: ModelCard) -> Decimal:
        return cheapness(card, services.prices.get)

    return routing.candidates(services.inference.models(caller), find, worth, price)


def found(services: Services, caller: Caller, name: str) -> ModelCard | None:
    """The model behind a name, where the caller may ask it."""
    try:
        return services.inference.model(caller, name)
    except HaigaError:
        return None
