"""Fitting a conversation into a context by forgetting its oldest messages.

Rule: a prompt that fits is never touched, no more is dropped than has to be, and every decision rests on an exact
count. What a tool said is never kept without the call that it answers; the system prompt and the last message are
never dropped.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from haiga.core.errors import Invalid
from haiga.core.generation import TextRequest
from haiga.core.messages import Message, ToolResult

Count = Callable[[TextRequest], Awaitable[int]]


async def drop_oldest(request: TextRequest, limit: int, count: Count) -> tuple[TextRequest, int]:
    """The request with as few of its oldest messages dropped as make its prompt fit into `limit` tokens, and how many
    they are.

    Counts once when nothing is dropped, else as often as a binary search takes. Raises Invalid when even the last
    message alone does not fit.
    """
    if await count(request) <= limit:
        return request, 0
    starts = [m for m in range(1, len(request.messages)) if not _answers(request.messages[m])]
    low, high = 0, len(starts)
    while low < high:
        middle = (low + high) // 2
        if await count(_from(request, starts[middle])) <= limit:
            high = middle
        else:
            low = middle + 1
    if low == len(starts):
        least = await count(_from(request, starts[-1] if starts else 0))
        raise Invalid(f"prompt is too long: {least} tokens > {limit} maximum", field="input")
    return _from(request, starts[low]), starts[low]


def _answers(message: Message) -> bool:
    """Whether the message is about a call before it."""
    return any(isinstance(block, ToolResult) for block in message.content)


def _from(request: TextRequest, start: int) -> TextRequest:
    return replace(request, messages=request.messages[start:])
