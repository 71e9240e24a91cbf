"""Memory for decoded pictures, shared by all requests."""

import asyncio

from haiga.services.intake.room import Room


async def test_nobody_has_more_than_there_is_and_the_first_comes_first() -> None:
    room, said = Room(10), list[str]()

    async def take(name: str, size: int, until: asyncio.Event) -> None:
        async with room.lease(size):
            said.append(name)
            await until.wait()

    ends = {name: asyncio.Event() for name in "abc"}
    tasks = [asyncio.create_task(take(name, size, ends[name])) for name, size in (("a", 6), ("b", 8), ("c", 2))]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert ["a"] == said  # c would fit, but b came before it
    ends["a"].set()
    await asyncio.wait_for(tasks[0], 5)
    while len(said) < 3:
        await asyncio.sleep(0)
    assert ["a", "b", "c"] == said
    for end in ends.values():
        end.set()
    await asyncio.gather(*tasks)


async def test_what_is_not_needed_is_there_for_others() -> None:
    room = Room(10)
    async with room.lease(99) as whole:
        assert 10 == whole.size
        whole.shrink(3)
        async with asyncio.timeout(5), room.lease(7):
            pass
    async with asyncio.timeout(5), room.lease(10):
        pass


async def test_who_stops_waiting_takes_nothing() -> None:
    room = Room(10)
    async with room.lease(10):
        waiting = asyncio.create_task(room.lease(4).__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(5), room.lease(10):
        pass
