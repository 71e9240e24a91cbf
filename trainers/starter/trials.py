"""What the written checkpoint does with tools that it never saw asked for in these words: calls, no calls, answers.

Rule: every value, question, tool name and description of a trial is held out from training, and of the new kinds of
tool the whole kind is. Answers are free and greedy: no grammar helps, a call counts when it is right to the letter.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from trainers.starter import calls
from trainers.starter.dialogues import Dialogue
from trainers.starter.measure import Loaded
from trainers.starter.openers import OPENERS
from trainers.starter.toolbox import KINDS, Tool, Toolbox, Wish, related, shown, written
from trainers.starter.values import Facts, Values

NEW = tuple(kind for kind, of in KINDS.items() if of.get("held"))


@dataclass(frozen=True, slots=True)
class Case:
    """What is `said` beside `tools`, for the model to answer. wish: what is wished of a tool; None: no tool is to be
    called. told: the call and its result are among what is said."""

    tools: tuple[Tool, ...]
    said: Dialogue
    wish: Wish | None
    told: bool = False

    @property
    def turns(self) -> Dialogue:
        return (("system", shown(self.tools)), *self.said)


@dataclass(frozen=True, slots=True)
class Score:
    """Of `count` cases, in how many the right tool was called (or none, where none fits), and in how many all was
    right: every argument, or every value of the result told."""

    name: str
    count: int
    tool: int
    whole: int


def cases(facts: Facts, count: int, seed: int = 11) -> Iterator[tuple[str, list[Case]]]:
    """Each sort of trial by its name."""
    values = Values(facts, held=True)
    known, new = Toolbox(values), Toolbox(values, NEW)
    weather = Toolbox(values, ("weather",))
    sorts: tuple[tuple[str, Callable[[Random], Case]], ...] = (
        ("weather of a city, one tool", lambda rng: called(weather, "weather", 0, rng)),
        ("known kind, one tool", lambda rng: called(known, rng.choice(known.kinds), 0, rng)),
        ("known kind, two to five tools", lambda rng: called(known, rng.choice(known.kinds), rng.randint(1, 4), rng)),
        ("new kind, one tool", lambda rng: called(new, rng.choice(NEW), 0, rng)),
        ("new kind, two to five tools", lambda rng: called(new, rng.choice(NEW), rng.randint(1, 4), rng, known)),
        ("two cities, two calls", lambda rng: twice(weather, rng)),
        ("an opener beside tools: no call", lambda rng: spoken(known, rng)),
        ("no tool for it: no call", lambda rng: refused(known, rng)),
        ("result told in a sentence", lambda rng: answered(known, rng)),
    )
    for name, make in sorts:
        rng = Random(f"{seed} {name}")
        yield name, [make(rng) for _ in range(count)]


def called(box: Toolbox, kind: str, others: int, rng: Random, beside: Toolbox | None = None) -> Case:
    """One wish of `kind`, with its tool among `others` that cannot do the same."""
    tool, ask = box.known(kind, rng)
    rest: list[Tool] = []
    while len(rest) < others:
        other = (beside or box).drawn(rng, 1)[0](rng).tool
        if other.name not in (tool.name, *(t.name for t in rest)) and not related(kind, [other.kind]):
            rest.append(other)
    tools = [tool, *rest]
    rng.shuffle(tools)
    wish = ask(rng)
    while len(wish.calls) > 1:
        wish = ask(rng)
    return Case(tuple(tools), (("user", wish.question),), wish)


def twice(box: Toolbox, rng: Random) -> Case:
    tool, ask = box.known("weather", rng)
    wish = ask(rng)
    while len(wish.calls) < 2:
        wish = ask(rng)
    return Case((tool,), (("user", wish.question),), wish)


def spoken(box: Toolbox, rng: Random) -> Case:
    """One of the openers, but for the sum, which a tool could do."""
    tools = [ask(rng).tool for ask in box.drawn(rng, rng.randint(1, 4))]
    asked = rng.choice([opener.text for opener in OPENERS if " plus " not in opener.text])
    return Case(tuple(tools), (("user", asked),), None)


def refused(box: Toolbox, rng: Random) -> Case:
    while True:
        tools = [ask(rng).tool for ask in box.drawn(rng, rng.randint(1, 4))]
        turns = calls.unable(box, [tool.kind for tool in tools], rng)
        if turns:
            return Case(tuple(tools), (turns[0],), None)


def answered(box: Toolbox, rng: Random) -> Case:
    case = called(box, rng.choice(box.kinds), rng.randint(0, 2), rng)
    assert case.wish is not None
    told = (("assistant", written(case.wish.calls)), ("tool", case.wish.results[0]))
    return Case(case.tools, (*case.said, *told), case.wish, told=True)


def made(text: str) -> list[tuple[str, Any]]:
    """The calls in an answer; none where one of them is no JSON."""
    try:
        found = [json.loads(each) for each in re.findall(r"<tool_call>\n(.*?)\n</tool_call>", text, re.S)]
        return [(call["name"], call["arguments"]) for call in found]
    except (ValueError, KeyError, TypeError):
        return []


def judged(case: Case, answer: str, ended: bool) -> tuple[bool, bool]:
    """Whether the right tool was called or none, and whether all was right."""
    if case.wish is None or case.told:
        silent = "<tool_call>" not in answer
        return silent, silent and ended and (case.wish is None or answer == case.wish.answer)
    given = made(answer)
    right = [name for name, _ in given] == [name for name, _ in case.wish.calls]
    return right, right and ended and [dict(a) for _, a in case.wish.calls] == [a for _, a in given]


def scores(loaded: Loaded, facts: Facts, count: int) -> tuple[Score, ...]:
    found = []
    for name, each in cases(facts, count):
        marks = [judged(case, *loaded.answer(case.turns, 160)) for case in each]
        found.append(Score(name, len(marks), sum(tool for tool, _ in marks), sum(whole for _, whole in marks)))
    return tuple(found)
