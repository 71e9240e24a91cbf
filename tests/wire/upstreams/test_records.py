"""What is recorded of requests that others answer: who did, under which id, at whose price, each try by itself."""

from dataclasses import replace
from decimal import Decimal

import httpx
import orjson

from haiga.core.access import Caller
from haiga.core.limits import DOLLAR
from haiga.core.records import Price, Record
from haiga.core.routes import Route
from haiga.core.upstreams import KnownModel
from haiga.engines.fake import CARD, FakeEngine
from haiga.engines.upstream import Upstreams
from haiga.services.inference import Inference
from haiga.services.models import Models
from haiga.services.prices import Prices
from haiga.services.usage import Recorder
from haiga.web.app import Services, WebSettings
from tests.far_server import Answer, far_server, whole
from tests.wire.openai_server import OneKey, serving
from tests.wire.upstreams.recorded import WHOLE
from tests.wire.upstreams.served import VERSION, upstream

ASKED = {"model": "both", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
PRICE = Price(Decimal("0.001"), Decimal("0.002"))


def recorded(answer: Answer, model: str) -> tuple[list[Record], httpx.Response]:
    """The records of one request, and its answer."""
    records: list[Record] = []
    with far_server(lambda asked: answer) as far:
        known = (KnownModel("claude-far", price=PRICE),)
        models = Models(
            {"fake": FakeEngine(replace(CARD, name="fake"))},
            elsewhere=Upstreams([upstream("anthropic", far.url, known=known)], {"anthropic": "sk-far"}),
        )
        prices = Prices({}, models.told_price)

        def named(caller: Caller, name: str) -> tuple[str, Price]:
            return models.card(name).name, prices.get(name, Price())

        route = Route("both", ((("claude-far", 1.0),), (("fake", 1.0),)))
        inference = Inference(models, stages=[Recorder(records.append, named)], routes=[route])
        services = Services(OneKey(), inference, WebSettings(), prices=prices)
        with serving(services, models.close) as url:
            return records, httpx.post(f"{url}/v1/messages", json={**ASKED, "model": model}, headers=VERSION)


def test_a_record_tells_the_upstream_its_request_id_and_what_its_model_costs() -> None:
    (record,), answer = recorded(whole(WHOLE, request_id="req_far"), "claude-far")
    assert ("claude-far", "anthropic", "req_far") == (record.model, record.provider, record.provider_id)
    used = orjson.loads(WHOLE)["usage"]
    assert (used["input_tokens"], used["output_tokens"], 2, 3) == (
        record.usage.input,
        record.usage.output,
        record.usage.creation_5m,
        record.usage.creation_1h,
    )
    cost = PRICE.of(record.usage)
    assert 0 < cost * DOLLAR == record.cost.total
    assert "req_far" == answer.headers["haiga-provider-request-id"]


def test_each_try_of_a_route_is_recorded_under_the_name_that_was_asked() -> None:
    records, answer = recorded(whole({"error": {"type": "api_error", "message": "boom"}}, 500), "both")
    assert [("claude-far", "both", "failed", None), ("fake", "both", "succeeded", None)] == [
        (record.model, record.asked_for, record.outcome, record.provider) for record in records
    ]
    assert "fake" == answer.json()["model"]
    assert "haiga-provider" not in answer.headers
