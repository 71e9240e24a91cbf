"""Stages on the way to a model."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from haiga.core.access import Caller
from haiga.core.generation import Event, TextRequest, fold
from haiga.core.messages import Message, Text
from haiga.core.ports import Ask
from haiga.engines.fake import FakeEngine
from haiga.services.inference import Inference
from haiga.services.models import Models


class Signs:
    """Adds its mark to what the user says, and keeps a list of what it did."""

    def __init__(self, mark: str, done: list[str]) -> None:
        self._mark, self._done = mark, done

    async def answer(self, caller: Caller, request: TextRequest, ask: Ask) -> AsyncGenerator[Event, None]:
        self._done.append(f"{self._mark} asks")
        said = "".join(block.text for block in request.messages[0].content if isinstance(block, Text))
        marked = replace(request, messages=(Message("user", (Text(said + self._mark),)),))
        try:
            async with aclosing(ask(caller, marked)) as events:
                async for event in events:
                    yield event
        finally:
            self._done.append(f"{self._mark} ends")


def through(*marks: str) -> tuple[Inference, list[str]]:
    done: list[str] = []
    return Inference(Models({"fake": FakeEngine()}), stages=[Signs(mark, done) for mark in marks]), done


ASKED = TextRequest("fake", (Message("user", (Text("word"),)),), max_tokens=64)


async def test_a_request_passes_the_stages_in_their_order() -> None:
    inference, done = through("a", "b")
    reply = fold([event async for event in inference.generate(Caller(), ASKED)])
    assert (Text("wordab"),) == reply.content
    assert ["a asks", "b asks", "b ends", "a ends"] == done


async def test_closing_the_answer_closes_every_stage() -> None:
    inference, done = through("a", "b")
    async with aclosing(inference.generate(Caller(), ASKED)) as events:
        await anext(events)
    assert ["a asks", "b asks", "b ends", "a ends"] == done
