"""Fitting a conversation into a context by leaving out of its middle, or its oldest part.

Rule: a prompt that fits is never touched, no more is left out than has to be, and every decision rests on an exact
count. What a tool said goes with the call that it answers; the system prompt and what was said last stay.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from haiga.core.errors import Invalid
from haiga.core.generation import Dropped, TextRequest
from haiga.core.messages import Message, Text, ToolResult, ToolUse

Count = Callable[[TextRequest], Awaitable[int]]


async def middle_out(request: TextRequest, limit: int, count: Count) -> tuple[TextRequest, Dropped]:
    """The request with as little as possible out of its middle left out, so that its prompt fits into `limit` tokens.

    First whole messages go, from the middle outwards; if what was said last is too long by itself, the middle of its
    longest text goes. Counts once when nothing is left out, else as often as binary searches take. Raises Invalid when
    nothing more may be left out and the prompt still does not fit.
    """
    if await count(request) <= limit:
        return request, Dropped()
    units = _units(request.messages)
    last, older = units[-1], units[:-1]

    async def fits_without(number: int) -> bool:
        return await count(replace(request, messages=_joined(older, number, last))) <= limit

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
    if await count(request) <= limit:
        return request, Dropped()
    units = _units(request.messages)

    def without(number: int) -> TextRequest:
        return replace(request, messages=tuple(message for unit in units[number:] for message in unit))

    async def fits_without(number: int) -> bool:
        return await count(without(number)) <= limit

    number = await _least(len(units) - 1, fits_without)
    if number == len(units):
        least = await count(without(number - 1))
        raise Invalid(f"prompt is too long: {least} tokens > {limit} maximum", field="messages")
    fitted = without(number)
    return fitted, Dropped(len(request.messages) - len(fitted.messages))


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

    async def fits_without(characters: int) -> bool:
        return await count(_without(request, m, b, characters)) <= limit

    characters = await _least(length, fits_without)
    if characters > length:
        least = await count(_without(request, m, b, length) if places else request)
        raise Invalid(f"prompt is too long: {least} tokens > {limit} maximum", field="messages")
    return _without(request, m, b, characters), characters


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
