"""The engines that openai_checks.py asks for, one for each thing that can happen to a client."""

from dataclasses import replace

from haiga.core.errors import Busy, Failed
from haiga.core.generation import BlockStarted, BlockStopped, Finished, InputDelta, TextDelta, Usage
from haiga.core.messages import Text, ToolUse
from haiga.engines.fake import CARD, FakeEngine
from tests.wire.openai_server import ABLE

CALL = (
    BlockStarted(0, ToolUse("call_1", "look", {})),
    InputDelta(0, '{"at": '),
    InputDelta(0, '"sky"}'),
    BlockStopped(0),
    Finished("tool_use", Usage()),
)
PLACE = (
    BlockStarted(0, Text("")),
    TextDelta(0, '{"city": "Paris", '),
    TextDelta(0, '"rain": true}'),
    BlockStopped(0),
)
BREAK = (BlockStarted(0, Text("")), TextDelta(0, "so far"), Failed("burnt down"))


def engines() -> list[FakeEngine]:
    return [
        FakeEngine(),
        FakeEngine(replace(ABLE, name="caller"), CALL),
        FakeEngine(replace(ABLE, name="writer"), PLACE),
        FakeEngine(replace(CARD, name="full"), (Busy("the queue is full"),)),
        FakeEngine(replace(CARD, name="breaking"), BREAK),
    ]
