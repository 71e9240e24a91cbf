"""Compaction: a conversation that has grown too long goes on from a summary of it, written by the model itself.

Rule: the summary is a block of the answer. A caller who sends it back is understood to mean the summary in place of all
that came before it; nothing is kept here between requests.
"""

import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from haiga.core.edits import Compact
from haiga.core.errors import Failed, Invalid
from haiga.core.generation import (
    BlockStarted,
    BlockStopped,
    Echo,
    Event,
    Finished,
    Folder,
    Plain,
    Progress,
    Started,
    TextRequest,
    ThinkingRequest,
    Usage,
    unquoted,
)
from haiga.core.messages import COMPACTION, Block, Message, Opaque, Text, ToolChoice, text_of
from haiga.core.ports import Engine
from haiga.services.packing import last_unit

MOST = 4096  # tokens of a summary
SUMMARY = re.compile(r"<summary>(.*?)(?:</summary>|\Z)", re.DOTALL)
INSTRUCTIONS = (
    "Write a summary of the conversation so far, inside <summary></summary> tags. It will take the place of the whole "
    "conversation, and you will go on from it alone. Say what was asked for, what was done and found out, what was "
    "decided and why, and what is still to be done, with the names, numbers and places that are needed for it. Do "
    "nothing else: call no tools and answer no question."
)
RESUMED = "This is a summary of the conversation until now, in place of which it stands:\n\n"


def resumed(request: TextRequest) -> TextRequest:
    """The request from its last summary on: what came before that is left out, and the user tells the summary. A block
    without one stands for a summary that failed, and for nothing. Raises Invalid when nothing else was said."""
    places = [
        (m, b)
        for m, message in enumerate(request.messages)
        for b, block in enumerate(message.content)
        if isinstance(block, Opaque) and block.type == COMPACTION
    ]
    if not places:
        return request
    told = [place for place in places if _content(request, place)]
    messages = list(request.messages)
    if told:
        m, b = told[-1]
        block = messages[m].content[b]
        summary = Text(RESUMED + _content(request, (m, b)), cache=getattr(block, "cache", None))
        rest = replace(messages[m], content=messages[m].content[b + 1 :])
        messages = [Message("user", (summary,)), rest, *messages[m + 1 :]]
    messages = [replace(message, content=tuple(filter(_is_said, message.content))) for message in messages]
    if not any(message.content for message in messages):
        raise Invalid("at least one message is required", field="messages")
    return replace(request, messages=tuple(message for message in messages if message.content))


def _is_said(block: object) -> bool:
    return not (isinstance(block, Opaque) and block.type == COMPACTION)


def _content(request: TextRequest, place: tuple[int, int]) -> str:
    block = request.messages[place[0]].content[place[1]]
    return str(block.extra.get("content") or "") if isinstance(block, Opaque) else ""


async def answer(engine: Engine, request: TextRequest) -> AsyncGenerator[Event, None]:
    """The engine's answer; with a summary before it, from which it then goes on, where the request asks for that and
    its prompt is long enough. Closing the generator aborts whatever is under way."""
    compact = next((edit for edit in request.edits or () if isinstance(edit, Compact)), None)
    if compact is None or not request.max_tokens or await engine.count(request) <= compact.over:
        async with aclosing(engine.generate(request)) as events:
            async for event in events:
                yield event
        return
    folder = Folder()
    async with aclosing(engine.generate(_to_summarise(request, compact, engine.card.max_output))) as events:
        async for event in events:
            folder.add(event)
            if isinstance(event, Started | Progress):
                yield unquoted(event) or event
    reply = folder.reply()
    summary = _summary(text_of(reply.content))
    yield BlockStarted(0, Opaque(COMPACTION, extra={"content": summary}))
    yield BlockStopped(0)
    if compact.pause:
        yield Finished("compaction", Usage(), compacted=reply.usage)
        return
    async with aclosing(engine.generate(_from_summary(request, summary))) as events:
        async for told in events:
            plain = unquoted(told)
            if plain is not None and not isinstance(plain, Started):
                yield _second(plain, reply.usage)


def summary_of(content: Sequence[Block]) -> str:
    """The summary that an answer holds. Raises Failed for one without."""
    for block in content:
        if isinstance(block, Opaque) and block.type == COMPACTION and block.extra.get("content"):
            return str(block.extra["content"])
    raise Failed("the model wrote no summary of the conversation")


def _to_summarise(request: TextRequest, compact: Compact, most: int) -> TextRequest:
    """The request for a summary. Its prompt begins as the request's own, tools included, so that none of it has to be
    computed again."""
    asked = Message("user", (Text(compact.instructions or INSTRUCTIONS),))
    return replace(
        request,
        messages=(*request.messages, asked),
        max_tokens=min(MOST, most),
        tool_choice=ToolChoice(allowed=()),
        thinking=ThinkingRequest(),
        output_schema=None,
        stop=(),
        overflow="stop",
    )


def _summary(text: str) -> str | None:
    """What was written between the tags; all of it where there are none, None for nothing."""
    found = SUMMARY.search(text)
    return (found[1] if found else text).strip() or None


def _from_summary(request: TextRequest, summary: str | None) -> TextRequest:
    """The summary and what was said last; the whole conversation where there is no summary."""
    if summary is None:
        return request
    told = Message("user", (Text(RESUMED + summary),))
    return replace(request, messages=(told, *last_unit(request.messages)))


def _second(event: Plain, compacted: Usage) -> Event:
    """An event of the answer proper, which comes after the summary's block."""
    match event:
        case Started() | Progress() | Echo():
            return event
        case Finished():
            return replace(event, compacted=compacted)
    return replace(event, index=event.index + 1)
