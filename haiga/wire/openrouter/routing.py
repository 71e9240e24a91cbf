"""Which models may answer a request, in what order: OpenRouter's fields for that, whatever form the request has.

Rule: preferences about providers are about this one: there is no other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase

import orjson

from haiga.core.errors import Invalid, NotFound, Unsupported
from haiga.core.ports import ModelCard
from haiga.core.records import Price
from haiga.wire.body import read_object
from haiga.wire.openai_body import missing, read_shape
from haiga.wire.openrouter import PROVIDER, shapes
from haiga.wire.openrouter.models import supported_parameters

AUTO = ("openrouter/auto", "openrouter/auto-beta", "auto")
PREFIX = f"{PROVIDER.lower()}/"
VARIANTS = (":nitro", ":floor", ":free", ":exacto", ":extended", ":thinking")
NO_EFFECT = ("auto-router", "auto-beta-router", "pareto-router", "response-healing", "file-parser")
COMPRESSION = "context-compression"
MILLION = 1_000_000
SMALL_CONTEXT = 8192
OWN = ("models", "fallbacks", "provider", "route", "plugins", "transforms", "session_id")


@dataclass(frozen=True, slots=True)
class Routing:
    """Which models may answer: `names` in order of preference, `router` the name that leaves the choice to the server,
    where one was given. `allowed` and `excluded` are patterns for that choice. `compress`: whether to drop from the
    middle of a conversation that does not fit; None leaves it to the model's context."""

    names: tuple[str, ...]
    router: str | None = None
    fallbacks: bool = True
    allowed: tuple[str, ...] = ("*",)
    excluded: tuple[str, ...] = ()
    needed: frozenset[str] = frozenset()
    max_prompt: Decimal | None = None
    max_completion: Decimal | None = None
    compress: bool | None = None

    def candidates(self, cards: Sequence[ModelCard]) -> tuple[str, ...]:
        """The names to try, the server's own choice spelt out."""
        known = {card.name for card in cards}
        names: list[str] = []
        for name in self.names:
            names += self._choice(cards) if name in AUTO and name not in known else [plain_name(name, known)]
        unique = tuple(dict.fromkeys(names))
        return unique if self.fallbacks else unique[:1]

    def _choice(self, cards: Sequence[ModelCard]) -> list[str]:
        """Those able to do all that is asked come first, in the server's own order."""
        matching = [
            card
            for card in cards
            if card.capabilities.text
            and any(fnmatchcase(card.name, pattern) for pattern in self.allowed)
            and not any(fnmatchcase(card.name, pattern) for pattern in self.excluded)
        ]
        if not matching:
            raise NotFound("No models match your request and data policy", field="plugins")
        return [card.name for card in sorted(matching, key=lambda card: not self.needed <= _offered(card))]

    def check(self, card: ModelCard, price: Price) -> None:
        """Raises NotFound when the model is not what the preferences ask for."""
        lacking = sorted(self.needed - _offered(card))
        if lacking:
            raise NotFound(f"No endpoints found that can handle the requested parameters: {', '.join(lacking)}.")
        over_prompt = self.max_prompt is not None and price.prompt * MILLION > self.max_prompt
        over_completion = self.max_completion is not None and price.completion * MILLION > self.max_completion
        if over_prompt or over_completion:
            raise NotFound("No endpoints found that match your price limits.", field="provider.max_price")

    def compresses(self, card: ModelCard, last: bool) -> bool:
        """Whether to leave out of a conversation that does not fit this model: where it was asked for, and for a small
        context unless it was forbidden or another model is still to be tried."""
        return self.compress is True or (self.compress is None and last and card.context <= SMALL_CONTEXT)


def prompt_limit(card: ModelCard, max_tokens: int | None) -> int:
    """How many tokens a prompt may have that had to be made smaller: the answer gets what it was promised, or a quarter
    of the context, and never more than half of it."""
    return card.context - min(max_tokens or card.context // 4, card.context // 2)


def _offered(card: ModelCard) -> frozenset[str]:
    return frozenset(supported_parameters(card))


def plain_name(name: str, known: set[str]) -> str:
    """A model's name without this server's prefix and without variants, which choose among providers. A model that
    really has such a name is left alone."""
    if name in known:
        return name
    plain = name.removeprefix(PREFIX)
    for variant in VARIANTS:
        if plain not in known:
            plain = plain.removesuffix(variant)
    if plain.endswith(":online"):
        raise Unsupported("the ':online' variant needs web search, which this server does not have", field="model")
    return plain


def _compress(shape: shapes.RoutedBody) -> bool | None:
    for plugin in shape.plugins or ():
        if plugin.id == COMPRESSION:
            return plugin.enabled is not False
    return None if shape.transforms is None else "middle-out" in shape.transforms


def read_routing(shape: shapes.RoutedBody, further: Sequence[str]) -> Routing:
    """Who may answer: the body's model, then the `further` ones. Raises Invalid, Unsupported and NotFound."""
    names = tuple(name for name in (shape.model, *further) if name)
    if not names:
        raise missing("model")
    _check_plugins(shape.plugins or ())
    wanted = shape.provider or shapes.ProviderPreferences()
    _check_provider(wanted)
    auto = [plugin for plugin in shape.plugins or () if plugin.id.endswith("-router")]
    price = wanted.max_price or shapes.MaxPrice()
    return Routing(
        names,
        next((name for name in names if name in AUTO), None),
        wanted.allow_fallbacks is not False,
        tuple(pattern for plugin in auto for pattern in plugin.allowed_models or ()) or ("*",),
        tuple(pattern for plugin in auto for pattern in plugin.excluded_models or ()),
        _needed(shape) if wanted.require_parameters else frozenset(),
        _limit(price.prompt, "prompt"),
        _limit(price.completion, "completion"),
        _compress(shape),
    )


def read_routed(body: bytes) -> tuple[Routing, str | None, bytes]:
    """Who may answer a body of any form, its session, and the body without what says so, under the first name. Raises
    Invalid, Unsupported and NotFound."""
    raw = read_object(body)
    shape = read_shape(shapes.FallbacksBody, raw)
    if shape.models and shape.fallbacks:
        raise Invalid("'fallbacks' and 'models' cannot be used together.", field="fallbacks")
    routing = read_routing(shape, shape.models or [each.model for each in shape.fallbacks or ()])
    rest = {name: value for name, value in raw.items() if name not in OWN}
    return routing, shape.session_id, orjson.dumps({**rest, "model": routing.names[0]})


def _check_plugins(plugins: Sequence[shapes.Plugin]) -> None:
    for i, plugin in enumerate(plugins):
        if plugin.enabled is not False and plugin.id not in (*NO_EFFECT, COMPRESSION):
            raise Unsupported(f"Plugin '{plugin.id[:64]}' is not available here.", field=f"plugins[{i}].id")


def _check_provider(wanted: shapes.ProviderPreferences) -> None:
    """There is one provider: asking for others only, or for anyone else, leaves none."""
    listed = wanted.only is not None and not _names_us(wanted.only)
    ordered = wanted.order and wanted.allow_fallbacks is False and not _names_us(wanted.order)
    if listed or ordered or _names_us(wanted.ignore or ()):
        raise NotFound("No allowed providers are available for the selected model.", field="provider")


def _names_us(names: Sequence[str]) -> bool:
    return any(name.lower().partition("/")[0] == PROVIDER.lower() for name in names)


def _needed(shape: shapes.RoutedBody) -> frozenset[str]:
    """The fields of the request that are among the parameters a model may or may not have."""
    given = {name for name in shape.model_fields_set if getattr(shape, name) is not None}
    return frozenset(given & VOCABULARY)


def _limit(price: float | str | None, name: str) -> Decimal | None:
    try:
        limit = None if price is None else Decimal(str(price))
    except InvalidOperation:
        limit = Decimal("nan")
    if limit is not None and not limit.is_finite():
        raise Invalid("must be a price in US dollars per million tokens", field=f"provider.max_price.{name}")
    return limit


VOCABULARY = frozenset(
    {
        "temperature", "top_p", "top_k", "min_p", "top_a", "frequency_penalty", "presence_penalty",
        "repetition_penalty", "max_tokens", "max_completion_tokens", "logit_bias", "logprobs", "top_logprobs",
        "prediction", "seed", "response_format", "stop", "tools", "tool_choice", "parallel_tool_calls",
        "include_reasoning", "reasoning", "reasoning_effort", "web_search_options", "verbosity",
    }
)  # fmt: skip
