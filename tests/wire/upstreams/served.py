"""This server in front of others: one of each kind on loopback, and clients to all."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import httpx

from haiga.core.routes import Route
from haiga.core.upstreams import Kind, Upstream
from haiga.engines.fake import FakeEngine
from haiga.engines.upstream import Upstreams
from haiga.services.inference import Inference
from haiga.services.models import Models
from haiga.web.app import Services, WebSettings
from tests.far_server import Far, Script, far_server
from tests.wire.openai_server import OneKey, serving

FAR = {"anthropic": ("claude-*", "claude-*"), "openai": ("gpt-*", "gpt-*"), "openrouter": ("openrouter/*", "*")}
VERSION = {"anthropic-version": "2023-06-01"}


def upstream(kind: Kind, at: str, **changes: object) -> Upstream:
    return replace(Upstream(kind, kind, at, "FAR_KEY", (FAR[kind],)), **changes)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Fronted:
    """`near` asks this server, `far` is the one behind it."""

    near: httpx.Client
    far: Far

    def message(self, body: object, **headers: str) -> httpx.Response:
        return self.near.post("/v1/messages", json=body, headers={**VERSION, **headers})

    def chat(self, body: object) -> httpx.Response:
        return self.near.post("/v1/chat/completions", json=body)


@contextmanager
def fronted(
    kind: Kind, script: Script, routes: Sequence[Route] = (), offline: bool = False, **changes: object
) -> Iterator[Fronted]:
    with far_server(script) as far:
        away = Upstreams([upstream(kind, far.url, **changes)], {kind: "sk-far"}, offline=offline)
        inference = Inference(Models({"fake": FakeEngine()}, elsewhere=away), routes=routes)
        services = Services(OneKey(), inference, WebSettings())
        with serving(services, away.close) as url, httpx.Client(base_url=url, timeout=30) as near:
            yield Fronted(near, far)
