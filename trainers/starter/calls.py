"""Dialogues with tools: what is called, what is answered without, what comes back and is told.

Rule: as in dialogues.py, a maker is a pure function of its facts and a random generator. The tools stand in the system
turn, a result in a turn of role `tool`.
"""

from collections.abc import Callable, Sequence
from random import Random

from trainers.starter.dialogues import TALK, Dialogue, Maker, Turn, single
from trainers.starter.toolbox import KINDS, SPECIFIC, Toolbox, Wish, related, shown, written
from trainers.starter.values import TOOLS

Asked = Callable[[Random], Wish]
ANSWERABLE = (*SPECIFIC, "define", "country", "translate", "note")


def with_tools(box: Toolbox, chat: Maker) -> Maker:
    """One to four questions below one to six tools: most need a call, some none, some a tool that is not there."""

    def make(rng: Random) -> Dialogue:
        asked = box.drawn(rng, rng.choices((1, 2, 3, 4, 5, 6), (32, 34, 18, 9, 5, 2))[0])
        tools = [ask(rng).tool for ask in asked]
        turns: list[Turn] = []
        for _ in range(rng.choices((1, 2, 3, 4), (28, 24, 24, 24))[0]):
            turns += exchange(box, asked, [t.kind for t in tools], chat, rng)
        system = rng.choice(TALK["system"]) + "\n\n" if rng.random() < 0.15 else ""
        return (("system", system + shown(tools)), *turns)

    return make


def exchange(box: Toolbox, asked: Sequence[Asked], kinds: Sequence[str], chat: Maker, rng: Random) -> Sequence[Turn]:
    roll = rng.random()
    if roll < 0.17:
        return [turn for turn in chat(rng) if turn[0] != "system"]
    if roll < 0.25:
        return unable(box, kinds, rng) or exchange(box, asked, kinds, chat, rng)
    wish = rng.choice(asked)(rng)
    if roll < 0.27 and "lacks" in KINDS.get(wish.tool.kind, {}):
        return lacking(wish, rng)
    return fulfilled(wish, box, rng)


def fulfilled(wish: Wish, box: Toolbox, rng: Random) -> Sequence[Turn]:
    """The call, its result, and the result in words; a failure now and then."""
    before = box.values.filled(rng.choice(TOOLS["before"]), rng) if rng.random() < 0.08 else ""
    asked = [("user", before + wish.question), ("assistant", written(wish.calls))]
    if len(wish.calls) == 1 and rng.random() < 0.05:
        error = rng.choice(TOOLS["failures"])
        return [*asked, ("tool", f"Error: {error}"), ("assistant", TOOLS["failed"][0].format(e=error))]
    return [*asked, *(("tool", result) for result in wish.results), ("assistant", wish.answer)]


def unable(box: Toolbox, kinds: Sequence[str], rng: Random) -> Sequence[Turn]:
    """Something that no tool at hand can do; nothing where every kind drawn is too near to one at hand."""
    fit = [k for k in box.kinds if k not in ANSWERABLE and not related(k, kinds)]
    if not fit:
        return []
    _, ask = box.known(rng.choice(fit), rng)
    return single(ask(rng).question, TOOLS["unable"][0])


def lacking(wish: Wish, rng: Random) -> Sequence[Turn]:
    """A question without what the call needs is answered by a question."""
    return single(rng.choice(KINDS[wish.tool.kind]["lacks"]), TOOLS["which"].format(p=wish.tool.required[0]))


def unaided(box: Toolbox) -> Maker:
    """The same questions where there is no tool at all."""
    fit = [k for k in box.kinds if k not in (*ANSWERABLE, "recipe", "search")]

    def make(rng: Random) -> Dialogue:
        _, ask = box.known(rng.choice(fit), rng)
        return single(ask(rng).question, TOOLS["unable"][0])

    return make
