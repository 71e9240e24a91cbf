"""An engine that says what a script says, one part for each time it is asked, and keeps what it was asked."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from haiga.core.generation import (
    BlockStarted,
    BlockStopped,
    Event,
    Finished,
    InputDelta,
    TextDelta,
    TextRequest,
    Usage,
)
from haiga.core.messages import Text, ToolUse
from haiga.engines.fake import CARD, FakeEngine, Step
from haiga.services.fetch import Fetch, Hosts
from haiga.services.inference import Inference
from haiga.services.models import Models
from haiga.services.tools import Connector, Registered, Registry, ServerTools
from haiga.web.app import Services, WebSettings
from tests.wire.client_checks import KEY
from tests.wire.openai_server import EVERYTHING, OneKey


def says(text: str) -> list[Step]:
    return [BlockStarted(0, Text("")), TextDelta(0, text), BlockStopped(0)]


def calls(name: str, arguments: Mapping[str, Any] | str) -> list[Step]:
    written = arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode()
    return [BlockStarted(0, ToolUse("toolu_made", name, {})), InputDelta(0, written), BlockStopped(0)]


def part(*blocks: list[Step], stop: Any = "tool_use") -> list[Step]:
    """A part of a script: blocks, numbered, and the end."""
    numbered = [replace(step, index=i) for i, block in enumerate(blocks) for step in block]  # type: ignore[call-arg, type-var]
    return [*numbered, Finished(stop, Usage())]


class Scripted(FakeEngine):
    """Plays the parts in turn, the last one for ever after."""

    def __init__(self, *parts: Sequence[Step], name: str = "scripted") -> None:
        super().__init__(replace(CARD, name=name, capabilities=EVERYTHING))
        self._parts = parts
        self.asked: list[TextRequest] = []

    async def generate(self, request: TextRequest) -> AsyncGenerator[Event, None]:
        script = self._parts[min(len(self.asked), len(self._parts) - 1)]
        self.asked.append(request)
        async for event in FakeEngine(self.card, script).generate(request):
            yield event


def tool_services(
    engine: FakeEngine, hosts: Sequence[str] = (), own: Sequence[Registered] = (), rounds: int = 4, timeout: float = 5.0
) -> Services:
    """A server whose MCP servers may be at `hosts`."""
    models = Models({engine.card.name: engine})
    connector = Connector(Fetch(Hosts(hosts)), timeout=timeout, limit=1000)
    tools = ServerTools(Registry(own), connector, models.take_tools, rounds)
    inference = Inference(models, stages=(tools,), prompted=tools.prompted)
    return Services(OneKey(KEY), inference, WebSettings(open=False))
