"""One answer with a block of every kind that all families know, event by event."""

from haiga.core.generation import (
    BlockStarted,
    BlockStopped,
    Event,
    Finished,
    InputDelta,
    Progress,
    SignatureDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    Usage,
)
from haiga.core.messages import Text, Thinking, ToolUse

USAGE = Usage(input=3, creation_5m=2, creation_1h=1, cache_read=4, output=7, thinking=5)


def answer(*text: str) -> list[Event]:
    """A thought, a `text` in these pieces, a call of arguments and one of free text."""
    return [
        Started(USAGE),
        Progress(5, 10),
        BlockStarted(0, Thinking("")),
        ThinkingDelta(0, "Hm."),
        SignatureDelta(0, "s"),
        BlockStopped(0),
        BlockStarted(1, Text("")),
        *(TextDelta(1, piece) for piece in text),
        BlockStopped(1),
        *call(2, "c1", "look", '{"a":', "1}"),
        *call(3, "c2", "shell", '{"input":', '"ls"}'),
        Finished("tool_use", USAGE),
    ]


def call(index: int, id: str, name: str, *pieces: str) -> list[Event]:
    """One call, its arguments in pieces."""
    arguments = [InputDelta(index, piece) for piece in pieces]
    return [BlockStarted(index, ToolUse(id, name, {})), *arguments, BlockStopped(index)]


def interleaved() -> list[Event]:
    """Thoughts, texts and calls by turns, and a last thought and text behind the calls."""
    return [
        Started(USAGE),
        BlockStarted(0, Thinking("")),
        ThinkingDelta(0, "First "),
        ThinkingDelta(0, "this."),
        SignatureDelta(0, "s0"),
        BlockStopped(0),
        BlockStarted(1, Text("")),
        TextDelta(1, "I look. "),
        BlockStopped(1),
        *call(2, "c1", "look", '{"at":', ' "the söa"}'),
        BlockStarted(3, Thinking("")),
        ThinkingDelta(3, "Then that."),
        SignatureDelta(3, "s3"),
        BlockStopped(3),
        BlockStarted(4, Text("")),
        TextDelta(4, "And "),
        TextDelta(4, "again."),
        BlockStopped(4),
        *call(5, "c2", "look", "{}"),
        Finished("tool_use", USAGE),
    ]
