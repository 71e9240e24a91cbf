"""Making a conversation shorter: leaving out of its middle, or its oldest part, so that it fits into a context, or what
its caller asks to have cleared.

Rule: a prompt that fits, or is under what triggers an edit, is never touched; no more is left out than has to be or is
asked for; and every decision rests on an exact count. What a tool said goes with the call that it answers; the system
prompt and what was said last stay.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Literal, TypeAlias

from haiga.core.edits import Cleared, ClearThinking, ClearToolUses, Compact
from haiga.core.errors import Invalid
from haiga.core.generation import Dropped, TextRequest
from haiga.core.messages import Block, CacheMark, Message, RedactedThinking, Text, Thinking, ToolResult, ToolUse

Clear: TypeAlias = ClearToolUses | ClearThinking
Count = Callable[[TextRequest], Awaitable[int]]
_USUAL = 4.0  # characters of a token
_NEAR = 64  # characters
_GUESSES = 12
_LEAST = re.compile(r"prompt is too long: (\d+) tokens")
PLACEHOLDER = "[cleared to save context]"


async def middle_out(request: TextRequest, limit: int, count: Count) -> tuple[TextRequest, Dropped]:
    """The request with as little as possible out of its middle left out, so that its prompt fits into `limit` tokens.

    First whole messages go, from the middle outwards; if what was said last is too long by itself, the middle of its
    longest text goes. Counts once when nothing is left out, else as often as binary searches take. Raises Invalid when
    nothing more may be left out and the prompt still does not fit.
    """
    if await fits(request, limit, count):
        return request, Dropped()
    units = _units(request.messages)
    last, older = units[-1], units[:-1]

    async def fits_without(number: int) -> bool:
        return await fits(replace(request, messages=_joined(older, number, last)), limit, count)

    number = await _least(len(older), fits_without)
    if number <= len(older):
        kept = _joined(older, number, last)
        return replace(request, messages=kept), Dropped(len(request.messages) - len(kept))
    alone = replace(request, messages=tuple(last))
    cut, characters = await _cut(alone, limit, count)
    return cut, Dropped(len(request.messages) - len(last), characters)


async def drop_oldest(request: TextRequest, limit: int, count: Count) -> tuple[TextRequest, Dropped]:
    """The request with as few of its oldest messages left out as make its prompt fit into `limit` tokens.

    Counts once when nothing is left out, else as often as a binary search takes. Raises Invalid when what was said last
    does not fit by itself.
    """
    if await fits(request, limit, count):
        return request, Dropped()
    units = _units(request.messages)

    def without(number: int) -> TextRequest:
        return replace(request, messages=tuple(message for unit in units[number:] for message in unit))

    async def fits_without(number: int) -> bool:
        return await fits(without(number), limit, count)

    number = await _least(len(units) - 1, fits_without)
    if number == len(units):
        least = await count(without(number - 1))
        raise Invalid(f"prompt is too long: {least} tokens > {limit} maximum", field="messages")
    fitted = without(number)
    return fitted, Dropped(len(request.messages) - len(fitted.messages))


async def edited(request: TextRequest, count: Count) -> tuple[TextRequest, tuple[Cleared, ...]]:
    """The request with what it asks for cleared, each edit made on what those before it left, and those that were made.

    An edit is made if it is triggered and makes the prompt shorter, by as much as it says is worth it. Where none is
    made the request is the very same. Counts only if there is something that may be cleared; what is too long to be
    counted is over any trigger, and saves at the least what is told.
    """
    made: list[Cleared] = []
    whole: _Length | None = None
    for edit in request.edits or ():
        if isinstance(edit, Compact):
            continue
        shorter, number = _without_thoughts(request, edit) if isinstance(edit, ClearThinking) else _quiet(request, edit)
        if not number:
            continue
        whole = await _length(request, count) if whole is None else whole
        if whole.counted and not _triggered(edit, whole.tokens):
            continue
        left = await _length(shorter, count)
        saved = max(0, whole.tokens - left.tokens)
        if saved >= _worthwhile(edit) or not whole.counted:
            made.append(Cleared(_cleared(edit), number, saved))
            request, whole = shorter, left
    return request, tuple(made)


@dataclass(frozen=True, slots=True)
class _Length:
    """A prompt's tokens; at the least as many where it is too long to be counted."""

    tokens: int
    counted: bool = True


async def _length(request: TextRequest, count: Count) -> _Length:
    try:
        return _Length(await count(request))
    except Invalid as error:
        least = _LEAST.search(error.message)
        if error.code != "context_length_exceeded" or least is None:
            raise
        return _Length(int(least[1]), counted=False)


def _triggered(edit: Clear, tokens: int) -> bool:
    """Whether a prompt of that many tokens is to be edited; a trigger by calls was looked at before."""
    return isinstance(edit, ClearThinking) or edit.measure == "tool_uses" or tokens > edit.over


def _worthwhile(edit: Clear) -> int:
    """The fewest tokens for which an edit is made."""
    return 1 if isinstance(edit, ClearThinking) else max(1, edit.at_least)


def _cleared(edit: Clear) -> Literal["tool_uses", "thinking_turns"]:
    return "thinking_turns" if isinstance(edit, ClearThinking) else "tool_uses"


def _quiet(request: TextRequest, edit: ClearToolUses) -> tuple[TextRequest, int]:
    """The request without what old calls led to, and how many calls that are; trigger by tokens left aside."""
    uses = [block for message in request.messages for block in message.content if isinstance(block, ToolUse)]
    if edit.measure == "tool_uses" and len(uses) <= edit.over:
        return request, 0
    old = uses[: max(0, len(uses) - edit.keep)]
    gone = {use.id: use.name for use in old if use.name not in edit.exclude}
    wordless = {id for id, name in gone.items() if edit.inputs is True or (edit.inputs and name in edit.inputs)}

    def kept(block: Block) -> Block:
        if isinstance(block, ToolResult) and block.tool_use_id in gone:
            return replace(block, content=(Text(PLACEHOLDER, cache=_mark_in(block)),))
        if isinstance(block, ToolUse) and block.id in wordless:
            return replace(block, input={})
        return block

    messages = tuple(replace(message, content=tuple(map(kept, message.content))) for message in request.messages)
    return replace(request, messages=messages), len(gone)


def _mark_in(result: ToolResult) -> CacheMark | None:
    """The cache breakpoint inside a result, so that it stays where it is."""
    marks = (getattr(block, "cache", None) for block in result.content)
    return next(filter(None, marks), None)


def _without_thoughts(request: TextRequest, edit: ClearThinking) -> tuple[TextRequest, int]:
    """The request without the thoughts of old turns, and how many turns those are. A message that was nothing but a
    thought goes."""
    turns = list(accumulate(int(_asks(message)) for message in request.messages))
    thinking = sorted({turn for turn, message in zip(turns, request.messages, strict=True) if _thinks(message)})
    old = set() if edit.keep is None else set(thinking[: max(0, len(thinking) - edit.keep)])
    messages = (
        _thoughtless(message) if turn in old else message for turn, message in zip(turns, request.messages, strict=True)
    )
    return replace(request, messages=tuple(message for message in messages if message.content)), len(old)


def _asks(message: Message) -> bool:
    """Whether a message begins a new turn: the user speaks, rather than a tool."""
    return message.role == "user" and not any(isinstance(block, ToolResult) for block in message.content)


def _thinks(message: Message) -> bool:
    return any(isinstance(block, Thinking | RedactedThinking) for block in message.content)


def _thoughtless(message: Message) -> Message:
    said = tuple(block for block in message.content if not isinstance(block, Thinking | RedactedThinking))
    return replace(message, content=said)


def last_unit(messages: Sequence[Message]) -> Sequence[Message]:
    """What was said last, with what it needs before it."""
    return _units(messages)[-1]


async def fits(request: TextRequest, limit: int, count: Count) -> bool:
    """Whether a prompt has at most `limit` tokens; one that is too long to be counted does not."""
    tokens = await measured(request, count)
    return tokens is not None and tokens <= limit


async def measured(request: TextRequest, count: Count) -> int | None:
    """A prompt's tokens; None for one that is too long to be counted."""
    try:
        return await count(request)
    except Invalid as error:
        if error.code != "context_length_exceeded":
            raise
        return None


def _units(messages: Sequence[Message]) -> list[list[Message]]:
    """Messages that stay or go together, so that what is left still takes turns: a question with its answer, calls with
    their results. The last unit holds what was said last and, where that is from the assistant (who is to go on from
    there), what it answers."""
    units: list[list[Message]] = []
    for message in messages:
        if units and not _opens(message):
            units[-1].append(message)
        else:
            units.append([message])
    return units


def _opens(message: Message) -> bool:
    """Whether a message needs none before it: a question, or calls."""
    if message.role == "assistant":
        return any(isinstance(block, ToolUse) for block in message.content)
    return not any(isinstance(block, ToolResult) for block in message.content)


def _joined(older: Sequence[Sequence[Message]], number: int, last: Sequence[Message]) -> tuple[Message, ...]:
    """The messages without `number` of the older units; what goes for a number goes for every greater one."""
    start = (len(older) - number) // 2
    kept = [*older[:start], *older[start + number :], last]
    return tuple(message for unit in kept for message in unit)


async def _least(most: int, enough: Callable[[int], Awaitable[bool]]) -> int:
    """The least number from 1 to `most` that is enough; most + 1 when none is."""
    low, high = 1, most + 1
    while low < high:
        middle = (low + high) // 2
        if await enough(middle):
            high = middle
        else:
            low = middle + 1
    return low


async def _cut(request: TextRequest, limit: int, count: Count) -> tuple[TextRequest, int]:
    """The request without the middle of its longest text, and how many characters that was."""
    places = [
        (len(block.text), m, b)
        for m, message in enumerate(request.messages)
        for b, block in enumerate(message.content)
        if isinstance(block, Text)
    ]
    length, m, b = max(places, default=(0, 0, 0))

    async def size(kept: int) -> int | None:
        return await measured(_without(request, m, b, length - kept) if places else request, count)

    kept = await _most(length, limit, size)
    if kept is None:
        least = await count(_without(request, m, b, length) if places else request)
        raise Invalid(f"prompt is too long: {least} tokens > {limit} maximum", field="messages")
    return _without(request, m, b, length - kept), length - kept


async def _most(length: int, limit: int, size: Callable[[int], Awaitable[int | None]]) -> int | None:
    """The greatest number of characters under `length` with which a prompt has at most `limit` tokens; None when even 0
    are too many. `size` counts, None for what is too long to be counted.

    Where to look next is told by how many characters a token has had so far, so that what is counted is about as long
    as what will be kept, however long the whole is; halves are tried when that leads nowhere, and near the end.
    """
    base = below = await size(0)
    if base is None or below is None or below > limit:
        return None
    low, high, rate, beyond, guesses = 0, length, _USUAL, _NEAR // 4, _GUESSES
    while high - low > 1:
        guess = low + int((limit - below) * rate) + beyond if high - low > _NEAR and guesses else high
        place = guess if guess < high else (low + high) // 2
        guesses -= guesses > 0
        tokens = await size(place)
        if tokens is not None and tokens > base:
            rate = place / (tokens - base)
        if tokens is not None and tokens <= limit:
            low, below, beyond = place, tokens, 2 * beyond
        else:
            high = place
    return low


def _without(request: TextRequest, m: int, b: int, characters: int) -> TextRequest:
    """The request without that many characters from the middle of one of its texts."""
    message = request.messages[m]
    block = message.content[b]
    if not isinstance(block, Text):
        return request
    start = (len(block.text) - characters) // 2
    shorter = replace(block, text=block.text[:start] + block.text[start + characters :])
    content = (*message.content[:b], shorter, *message.content[b + 1 :])
    messages = (*request.messages[:m], replace(message, content=content), *request.messages[m + 1 :])
    return replace(request, messages=messages)
