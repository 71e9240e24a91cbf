"""Several answers at once, and several models that may give one."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from haiga.core.errors import Busy, Cancelled, Failed, HaigaError
from haiga.core.generation import (
    BlockStarted,
    BlockStopped,
    Choice,
    Event,
    Finished,
    Reply,
    Routed,
    Started,
    TextDelta,
    Usage,
)
from haiga.core.messages import Text
from haiga.services.choices import AT_ONCE, interleave, replies
from haiga.services.routing import Answers, Ask, first_that_answers, routed_replies


class Answer:
    """One answer of two words, or a failure after `fails_after` events; knows whether it is under way."""

    def __init__(self, name: str, fails_after: int = 99, error: HaigaError | None = None) -> None:
        self.name = name
        self.fails_after = fails_after
        self.error = error or Failed(name)
        self.under_way = False
        self.most = 0

    async def events(self, others: "Sequence[Answer]" = ()) -> AsyncGenerator[Event, None]:
        self.under_way = True
        try:
            self.most = sum(other.under_way for other in others)
            for i, event in enumerate(self._all()):
                await asyncio.sleep(0)
                if i == self.fails_after:
                    raise self.error
                yield event
        finally:
            self.under_way = False

    def _all(self) -> list[Event]:
        words = [TextDelta(0, f"{self.name} "), TextDelta(0, "said")]
        usage = Usage(input=2, cache_read=1, output=2)
        return [Started(usage), BlockStarted(0, Text("")), *words, BlockStopped(0), Finished("end_turn", usage)]


def texts(made: Sequence[Reply]) -> list[str]:
    return ["".join(block.text for block in reply.content if isinstance(block, Text)) for reply in made]


async def test_every_answer_comes_whole_and_in_its_place() -> None:
    made = await replies(interleave([Answer(name).events() for name in "abc"]))
    assert ["a said", "b said", "c said"] == texts(made)


async def test_the_end_counts_a_prompt_once_for_all_its_answers() -> None:
    ends = []
    for each in (None, 2):
        items = [item async for item in interleave([Answer(name).events() for name in "abcd"], each)]
        ends.append(items[-1])
    assert [
        Finished("end_turn", Usage(input=2, cache_read=1, output=8)),
        Finished("end_turn", Usage(input=4, cache_read=2, output=8)),
    ] == ends


async def test_no_more_than_a_bounded_number_are_under_way() -> None:
    answers = [Answer(str(i)) for i in range(3 * AT_ONCE)]
    await replies(interleave([answer.events(answers) for answer in answers]))
    assert AT_ONCE == max(answer.most for answer in answers)


@pytest.mark.parametrize("count", [1, 3])
async def test_a_failure_ends_them_all(count: int) -> None:
    answers = [Answer("a", fails_after=3), *(Answer(name) for name in "bc"[: count - 1])]
    with pytest.raises(Failed, match="a"):
        await replies(interleave([answer.events() for answer in answers]))
    assert [False] * count == [answer.under_way for answer in answers]


@pytest.mark.parametrize("count", [1, 3])
async def test_closing_the_stream_closes_every_answer(count: int) -> None:
    answers = [Answer(name) for name in "abc"[:count]]
    stream = interleave([answer.events() for answer in answers])
    await anext(stream)
    await anext(stream)
    assert any(answer.under_way for answer in answers)
    await stream.aclose()
    assert [False] * count == [answer.under_way for answer in answers]


@pytest.mark.parametrize("count", [1, 2])
async def test_an_answer_without_an_end_is_a_failure(count: int) -> None:
    async def cut() -> AsyncGenerator[Event, None]:
        yield Started(Usage())

    with pytest.raises(Failed, match="ended early"):
        await replies(interleave([cut() for _ in range(count)]))


# --- routing ---


def asking(answers: dict[str, Answer], asked: list[str]) -> Ask:
    async def ask(name: str, last: bool) -> tuple[Routed, Answers]:
        asked.append(name)
        if name == "nobody":
            raise Busy("nobody is there")
        return Routed(f"model-{name}"), interleave([answers[name].events()])

    return ask


@pytest.mark.parametrize("fails_after", [0, 1])
async def test_whoever_fails_before_saying_anything_is_passed_over(fails_after: int) -> None:
    answers, asked = {"a": Answer("a", fails_after), "b": Answer("b"), "c": Answer("c")}, list[str]()
    routed, made = await routed_replies(first_that_answers(["nobody", "a", "b", "c"], asking(answers, asked)))
    assert ("model-b", ["b said"], ["nobody", "a", "b"]) == (routed.model, texts(made), asked)
    assert not answers["a"].under_way


async def test_nothing_is_lost_of_what_was_held_back() -> None:
    answers = {"a": Answer("a"), "b": Answer("b")}
    items = [item async for item in first_that_answers(["a", "b"], asking(answers, []))]
    straight = [item async for item in interleave([Answer("a").events()])]
    assert [Routed("model-a"), *straight] == items


async def test_a_failure_after_the_first_word_is_not_passed_on() -> None:
    answers, asked = {"a": Answer("a", fails_after=3), "b": Answer("b")}, list[str]()
    with pytest.raises(Failed, match="a"):
        await routed_replies(first_that_answers(["a", "b"], asking(answers, asked)))
    assert ["a"] == asked


async def test_the_last_ones_failure_is_raised() -> None:
    answers = {"a": Answer("a", 0), "b": Answer("b", 0, Busy("b is full"))}
    with pytest.raises(Busy, match="b is full"):
        await routed_replies(first_that_answers(["a", "b"], asking(answers, [])))


async def test_nobody_else_is_asked_for_a_client_that_is_gone() -> None:
    answers, asked = {"a": Answer("a", 0, Cancelled("gone")), "b": Answer("b")}, list[str]()
    with pytest.raises(Cancelled):
        await routed_replies(first_that_answers(["a", "b"], asking(answers, asked)))
    assert ["a"] == asked


async def test_closing_before_and_after_the_first_word_closes_the_answer() -> None:
    for steps in (1, 2, 3):
        answers = {"a": Answer("a"), "b": Answer("b")}
        stream = first_that_answers(["a", "b"], asking(answers, []))
        items = [await anext(stream) for _ in range(steps)]
        assert (Routed("model-a"), True) == (items[0], answers["a"].under_way)
        await stream.aclose()
        assert not answers["a"].under_way
    assert isinstance(items[1], Choice)
