"""Threads for short and long texts."""

import asyncio
from threading import Event

from haiga.core.generation import TextRequest
from haiga.core.messages import Message, Text, ToolResult
from haiga.engines.native.lanes import LONG, Lanes, characters


async def test_short_work_never_waits_for_long_work() -> None:
    lanes, gate = Lanes(), Event()
    long = [asyncio.create_task(lanes.run(LONG + 1, gate.wait)) for _ in range(20)]
    await asyncio.sleep(0)
    assert [7] * 9 == await asyncio.gather(*(lanes.run(LONG, lambda: 7) for _ in range(9)))
    assert not any(task.done() for task in long)
    gate.set()
    assert [True] * 20 == await asyncio.gather(*long)


def test_a_request_is_as_long_as_its_texts() -> None:
    result = ToolResult("a", (Text("123"),))
    request = TextRequest("m", (Message("user", (Text("12"), result)),), 1, system=(Text("1"),))
    assert 6 == characters(request)
    assert 4 == characters(TextRequest("m", request.messages, 1, raw="1234"))
