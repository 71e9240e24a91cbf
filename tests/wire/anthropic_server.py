"""The engines that client_checks.py asks for, one for each thing that can happen to a client."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

from haiga.core.errors import Busy, Dead, HaigaError, Limited
from haiga.core.generation import (
    BlockStarted,
    BlockStopped,
    Event,
    Finished,
    InputDelta,
    SignatureDelta,
    TextDelta,
    TextRequest,
    ThinkingDelta,
    Usage,
)
from haiga.core.messages import Text, Thinking, ToolResult, ToolUse
from haiga.core.ports import Capabilities, Engine
from haiga.engines.fake import CARD, FakeEngine, Step
from haiga.services.inference import Inference
from haiga.services.models import Models
from haiga.web.app import Services, WebSettings
from tests.wire.client_checks import KEY
from tests.wire.openai_server import OneKey

CALLING: tuple[Step, ...] = (
    BlockStarted(0, Thinking("")),
    ThinkingDelta(0, "Where"),
    ThinkingDelta(0, " to?"),
    SignatureDelta(0, "sig"),
    BlockStopped(0),
    BlockStarted(1, Text("")),
    TextDelta(1, "Looking."),
    BlockStopped(1),
    BlockStarted(2, ToolUse("toolu_1", "look", {})),
    InputDelta(2, '{"at": "the'),
    InputDelta(2, ' sea"}'),
    BlockStopped(2),
    Finished("tool_use", Usage()),
)
EVERYTHING = Capabilities(images=True, documents=True, tools=True, thinking=True, structured_output=True)


class Refusing(FakeEngine):
    """Raises these errors, one a request, before its first event; then echoes, or refuses for ever."""

    def __init__(self, name: str, *errors: HaigaError, forever: bool = False) -> None:
        super().__init__(replace(CARD, name=name))
        self._errors = list(errors)
        self._forever = forever

    async def generate(self, request: TextRequest) -> AsyncGenerator[Event, None]:
        if self._errors:
            raise self._errors[0] if self._forever else self._errors.pop(0)
        async for event in super().generate(request):
            yield event


class Calling(FakeEngine):
    """Calls a tool, and echoes once it has the tool's result."""

    def __init__(self, name: str) -> None:
        super().__init__(replace(CARD, name=name, capabilities=EVERYTHING), CALLING)
        self._echo = FakeEngine(self.card)

    async def generate(self, request: TextRequest) -> AsyncGenerator[Event, None]:
        answered = any(isinstance(block, ToolResult) for block in request.messages[-1].content)
        async for event in self._echo.generate(request) if answered else super().generate(request):
            yield event


def engines() -> Sequence[Engine]:
    breaking = (BlockStarted(0, Text("")), TextDelta(0, "one"), Busy("full"))
    return (
        FakeEngine(),
        Calling("able"),
        Refusing("flaky", Limited("slow down", retry_after=1), Busy("full", retry_after=1)),
        Refusing("limited", Limited("slow down", retry_after=30), forever=True),
        Refusing("full", Busy("full", retry_after=30), forever=True),
        FakeEngine(replace(CARD, name="breaking"), breaking),
        Refusing("dying", Dead("the engine ended"), forever=True),
    )


def services(more: Sequence[Engine] = (), settings: WebSettings | None = None) -> Services:
    models = Models({engine.card.name: engine for engine in (*engines(), *more)}, [("claude-*", "fake")])
    return Services(OneKey(KEY), Inference(models), settings or WebSettings(open=False))
