"""Threads for templates and tokens: long texts apart from short ones.

Rule: a short request never waits for a long one to be tokenised. Long ones take turns: each takes 300 MB for every
million characters.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from haiga.core.generation import TextRequest
from haiga.core.messages import Text, ToolResult

LONG = 100_000  # characters: a tenth of a second's work
P = ParamSpec("P")
T = TypeVar("T")


class Lanes:
    """`short` threads for short texts, and one for long ones; they are started when they are first needed."""

    def __init__(self, short: int = 4) -> None:
        self._short = ThreadPoolExecutor(short, "short texts")
        self._long = ThreadPoolExecutor(1, "long texts")

    async def run(self, size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The work's result; `size` is how many characters it is about."""
        lane = self._long if size > LONG else self._short
        return await asyncio.wrap_future(lane.submit(work, *args, **kwargs))


def characters(request: TextRequest) -> int:
    """How long a request is, about: its texts and those of results."""
    if request.raw is not None:
        return len(request.raw)
    blocks = [*request.system, *(block for message in request.messages for block in message.content)]
    inner = (each for block in blocks for each in (block.content if isinstance(block, ToolResult) else (block,)))
    return sum(len(block.text) for block in inner if isinstance(block, Text))
