"""OpenRouter's ways to choose, over this server's models and those of three upstreams together."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import httpx
import pytest

from haiga.core.ports import Capabilities
from haiga.core.records import Price
from haiga.core.upstreams import KnownModel, Upstream
from haiga.engines.fake import CARD, FakeEngine
from haiga.engines.upstream import Upstreams
from haiga.services.inference import Inference
from haiga.services.models import Models
from haiga.web.app import Services, WebSettings
from tests.far_server import Far, far_server
from tests.wire.openai_server import OneKey, serving
from tests.wire.upstreams.test_across import by_chat, by_messages

PLAIN, ABLE = Capabilities(), Capabilities(images=True, tools=True, structured_output=True, documents=True)
SEEN = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
LOOK = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object", "properties": {}}}}
HI = [{"role": "user", "content": "hi"}]
LONG = [{"role": "user", "content": "word " * 3000}]


def price(dollars: float) -> Price:
    return Price(Decimal(str(dollars)) / 1_000_000, Decimal(str(dollars)) / 1_000_000)


# what they are called here, who runs them, and what they declare; cheapest first
MODELS = {
    "small": KnownModel("small", context=100, max_output=50, capabilities=PLAIN, price=price(1)),
    "plain": KnownModel("plain", context=8000, max_output=1000, capabilities=PLAIN, price=price(2)),
    "tools": KnownModel(
        "tools", context=8000, max_output=1000, capabilities=replace(PLAIN, tools=True), price=price(3)
    ),
    "sees": KnownModel("sees", context=8000, max_output=1000, capabilities=replace(PLAIN, images=True), price=price(4)),
    "able": KnownModel("able", context=100_000, max_output=9000, capabilities=ABLE, price=price(5)),
}


@dataclass(frozen=True, slots=True)
class World:
    near: httpx.Client
    far: dict[str, Far]

    def model(self, **body: Any) -> str:
        """Who answers."""
        answer = self.near.post("/api/v1/chat/completions", json={"messages": HI, **body})
        return str(answer.json()["model"]) if answer.status_code == 200 else str(answer.status_code)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with ExitStack() as stack:
        scripts = {"anthropic": by_messages, "lab": by_chat, "openrouter": by_chat}
        far = {name: stack.enter_context(far_server(script)) for name, script in scripts.items()}
        known = tuple(MODELS.values())
        there = [
            Upstream("anthropic", "anthropic", far["anthropic"].url, None, (("claude-*", "*"),), known=known[4:]),
            Upstream("lab", "openai", far["lab"].url, None, (("lab/*", "*"),), known=known),
            Upstream("openrouter", "openrouter", far["openrouter"].url, None, (("or/*", "*"),), known=known[4:]),
        ]
        models = Models({"own": FakeEngine(replace(CARD, name="own", context=50))}, elsewhere=Upstreams(there))
        prices = {"own": price(9)} | {card.name: card.price for card in models.cards() if card.price}
        services = Services(OneKey(), Inference(models), WebSettings(), prices=prices)
        url = stack.enter_context(serving(services, models.close))
        yield World(stack.enter_context(httpx.Client(base_url=url, timeout=30)), far)


@pytest.mark.parametrize(
    ("body", "model"),
    [
        ({}, "lab/small"),
        ({"max_tokens": 51}, "lab/plain"),
        ({"messages": [{"role": "user", "content": "word " * 500}]}, "lab/plain"),
        ({"messages": LONG, "max_tokens": 3000}, "claude-able"),
        ({"tools": [LOOK]}, "lab/tools"),
        ({"messages": [{"role": "user", "content": [SEEN]}]}, "lab/sees"),
        ({"response_format": SCHEMA}, "claude-able"),
        ({"messages": [{"role": "user", "content": [SEEN]}], "tools": [LOOK]}, "claude-able"),
        ({"provider": {"ignore": ["lab"]}}, "claude-able"),
        ({"provider": {"only": ["lab"]}, "response_format": SCHEMA}, "lab/able"),
        ({"provider": {"order": ["openrouter"]}}, "or/able"),
        ({"provider": {"only": ["haiga"]}}, "own"),
    ],
)
def test_the_auto_router_takes_the_cheapest_model_whose_declared_capabilities_fit(
    world: World, body: dict[str, Any], model: str
) -> None:
    assert model == world.model(model="openrouter/auto", **body)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ({}, "lab/able"),
        ({"order": ["anthropic", "lab"]}, "claude-able"),
        ({"only": ["openrouter"]}, "or/able"),
        ({"ignore": ["lab", "anthropic"]}, "or/able"),
        ({"ignore": ["lab", "anthropic", "openrouter"]}, "own"),
        ({"order": ["haiga"], "allow_fallbacks": False}, "own"),
        ({"order": ["nobody"], "only": ["anthropic"]}, "claude-able"),
        ({"max_price": {"prompt": 4}}, "404"),
        ({"max_price": {"completion": 5}}, "lab/able"),
        ({"sort": {"by": "price", "partition": "none"}}, "lab/able"),
        ({"data_collection": "allow"}, "lab/able"),
        ({"data_collection": "deny"}, "or/able"),
        ({"zdr": True, "ignore": ["openrouter"]}, "own"),
        ({"data_collection": "deny", "only": ["lab"]}, "404"),
        ({"zdr": True, "order": ["haiga"]}, "own"),
    ],
)
def test_preferences_choose_among_the_models_that_are_named(world: World, provider: dict[str, Any], model: str) -> None:
    names = ["lab/able", "claude-able", "or/able", "own"]
    assert model == world.model(models=names, provider=provider)


def test_of_several_models_the_cheapest_is_first_where_that_is_asked_for(world: World) -> None:
    names = ["own", "claude-able", "lab/tools", "lab/plain"]
    assert "own" == world.model(models=names)
    assert "lab/plain" == world.model(models=names, provider={"sort": {"by": "price", "partition": "none"}})


def test_parameters_that_are_required_leave_out_who_does_not_have_them(world: World) -> None:
    asked = {"models": ["lab/plain", "lab/tools"], "tools": [LOOK], "provider": {"require_parameters": True}}
    assert "lab/tools" == world.model(**asked)


def test_openrouter_is_told_the_preferences_that_are_for_its_own_providers(world: World) -> None:
    wanted = {"data_collection": "deny", "order": ["haiga", "groq", "openrouter"], "quantizations": ["fp8"]}
    assert "or/able" == world.model(model="or/able", provider=wanted)
    assert {"data_collection": "deny", "order": ["groq"], "quantizations": ["fp8"]} == world.far["openrouter"].asked[
        -1
    ].body["provider"]


def test_who_would_not_be_told_what_is_private_is_not_asked(world: World) -> None:
    deny = {"data_collection": "deny"}
    assert "404" == world.model(model="or/able", provider=deny, n=2)
    message = {"model": "or/able", "max_tokens": 9, "messages": HI, "provider": deny}
    assert 404 == world.near.post("/api/v1/messages", json=message).status_code
