"""Which models may answer a request, in what order: OpenRouter's fields for that, whatever form the request has.

Rule: the providers are this server and its upstreams, by their names. Names that are neither are for OpenRouter, if it
is one of the upstreams.
"""

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

import orjson

from haiga.core.errors import Invalid, NotFound, Unsupported
from haiga.core.ports import ModelCard
from haiga.core.records import Price
from haiga.wire.body import read_object
from haiga.wire.openai_body import missing, read_shape
from haiga.wire.openrouter import PROVIDER, shapes
from haiga.wire.openrouter.models import supported_parameters

Find: TypeAlias = Callable[[str], ModelCard | None]
Worth: TypeAlias = Callable[[ModelCard], tuple[Any, ...]]
OURS = PROVIDER.lower()
AUTO = ("openrouter/auto", "openrouter/auto-beta", "auto")
PREFIX = f"{PROVIDER.lower()}/"
VARIANTS = (":nitro", ":floor", ":free", ":exacto", ":extended", ":thinking")
NO_EFFECT = ("auto-router", "auto-beta-router", "pareto-router", "response-healing", "file-parser")
COMPRESSION = "context-compression"
MILLION = 1_000_000
UNKNOWN = Decimal("Infinity")  # a price
SMALL_CONTEXT = 8192
OWN = ("models", "fallbacks", "provider", "route", "plugins", "transforms", "session_id")


@dataclass(frozen=True, slots=True)
class Providers:
    """Who may answer, by the names of providers: `only` these, `order` first and with `strict` no others, none to
    `ignore`. `private`: nobody who might keep what is said, as far as this server knows: this server, and OpenRouter
    where it is `told` the same."""

    only: tuple[str, ...] | None = None
    order: tuple[str, ...] | None = None
    ignore: tuple[str, ...] | None = None
    strict: bool = False
    private: bool = False
    told: bool = False

    def takes(self, card: ModelCard, known: Set[str]) -> bool:
        """Whether the model may answer; `known` are the providers that are here."""
        slug = _slug(card)
        lists = (self.only, self.order if self.order and self.strict else None)
        if self.private and card.provider and not (self.told and "router" in card.forms):
            return False
        return slug not in (self.ignore or ()) and all(_listed(card, names, known) for names in lists)

    def allowed(self, names: Sequence[str], find: Find, known: Set[str]) -> tuple[str, ...]:
        """The names that may be asked, those of preferred providers first; ones that nobody has are left for their own
        error. Raises NotFound when none is left."""
        cards = {name: find(name) for name in names}
        there = [card for card in cards.values() if card is not None]
        if there and not any(self.takes(card, known) for card in there):
            raise NotFound("No allowed providers are available for the selected model.", field="provider")
        taken = [name for name, card in cards.items() if card is None or self.takes(card, known)]
        return tuple(sorted(taken, key=lambda name: self._rank(cards[name])))

    def _rank(self, card: ModelCard | None) -> int:
        order = self.order or ()
        slug = _slug(card) if card else ""
        return order.index(slug) if slug in order else len(order)


def _slug(card: ModelCard) -> str:
    return card.provider.lower() or OURS


def _listed(card: ModelCard, names: Sequence[str] | None, known: Set[str]) -> bool:
    """OpenRouter stands for all those that are not known here."""
    return names is None or _slug(card) in names or ("router" in card.forms and not known >= set(names))


@dataclass(frozen=True, slots=True)
class Routing:
    """Which models may answer: `names` in order of preference, `router` the name that leaves the choice to the server,
    where one was given. `allowed` and `excluded` are patterns for that choice. `compress`: whether to drop from the
    middle of a conversation that does not fit; None leaves it to the model's context. `cheapest`: of several names
    the cheapest first."""

    names: tuple[str, ...]
    router: str | None = None
    fallbacks: bool = True
    allowed: tuple[str, ...] = ("*",)
    excluded: tuple[str, ...] = ()
    needed: frozenset[str] = frozenset()
    max_prompt: Decimal | None = None
    max_completion: Decimal | None = None
    compress: bool | None = None
    providers: Providers = Providers()
    cheapest: bool = False

    def candidates(
        self,
        cards: Sequence[ModelCard],
        find: Find,
        worth: Worth = lambda card: (),
        price: Callable[[ModelCard], Decimal] = lambda card: UNKNOWN,
    ) -> tuple[str, ...]:
        """The names to try, the server's own choice spelt out: the first by `worth`. `find` gives the model behind a
        name that may be asked. Raises NotFound where no provider is left."""
        names: list[str] = []
        known = {OURS, *map(_slug, cards)}
        for name in self.names:
            auto = name in AUTO and find(name) is None
            names += self._choice(cards, worth, known) if auto else [plain_name(name, find)]
        if self.cheapest and self.router is None:
            names.sort(key=lambda name: UNKNOWN if (card := find(name)) is None else price(card))
        allowed = self.providers.allowed(tuple(dict.fromkeys(names)), find, known)
        return allowed if self.fallbacks else allowed[:1]

    def _choice(self, cards: Sequence[ModelCard], worth: Worth, known: Set[str]) -> list[str]:
        """Those able to do all that is asked come first, then the cheapest, then the server's own order."""
        matching = [
            card
            for card in cards
            if card.capabilities.text
            and self.providers.takes(card, known)
            and any(fnmatchcase(card.name, pattern) for pattern in self.allowed)
            and not any(fnmatchcase(card.name, pattern) for pattern in self.excluded)
        ]
        if not matching:
            raise NotFound("No models match your request and data policy", field="plugins")
        ranked = sorted(matching, key=lambda card: (not self.needed <= _offered(card), *worth(card)))
        return [card.name for card in ranked]

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


def plain_name(name: str, find: Find) -> str:
    """A model's name without this server's prefix and without variants, which choose among providers. A model that
    really has such a name is left alone."""
    if find(name) is not None:
        return name
    plain = name.removeprefix(PREFIX)
    for variant in VARIANTS:
        if find(plain) is None:
            plain = plain.removesuffix(variant)
    if plain.endswith(":online"):
        raise Unsupported("the ':online' variant needs web search, which this server does not have", field="model")
    return plain


def _compress(shape: shapes.RoutedBody) -> bool | None:
    for plugin in shape.plugins or ():
        if plugin.id == COMPRESSION:
            return plugin.enabled is not False
    return None if shape.transforms is None else "middle-out" in shape.transforms


def read_routing(shape: shapes.RoutedBody, further: Sequence[str], told: bool = False) -> Routing:
    """Who may answer: the body's model, then the `further` ones. `told`: OpenRouter, if it is to answer, reads the same
    preferences. Raises Invalid, Unsupported and NotFound."""
    names = tuple(name for name in (shape.model, *further) if name)
    if not names:
        raise missing("model")
    _check_plugins(shape.plugins or ())
    wanted = shape.provider or shapes.ProviderPreferences()
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
        _providers(wanted, told),
        wanted.sort == {"by": "price", "partition": "none"},
    )


def _providers(wanted: shapes.ProviderPreferences, told: bool) -> Providers:
    return Providers(
        _slugs(wanted.only),
        _slugs(wanted.order),
        _slugs(wanted.ignore),
        strict=wanted.allow_fallbacks is False,
        private=wanted.data_collection == "deny" or wanted.zdr is True,
        told=told,
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


def provider_slug(name: str) -> str:
    return name.lower().partition("/")[0]


def _slugs(names: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(map(provider_slug, names))


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
