"""Dialogues to be fine-tuned on, built from the data and the phrases.

Rule: a maker is a pure function of its facts and a random generator, and gives one short dialogue; `conversation` puts
several together and adds system prompts. Nothing here opens a source.
"""

from collections.abc import Callable, Iterator, Sequence
from random import Random

from trainers.starter.lexicon import listed
from trainers.starter.openers import HELD_OUT, normal
from trainers.starter.phrases import phrases
from trainers.starter.sources import Tale

Turn = tuple[str, str]
Dialogue = tuple[Turn, ...]
Maker = Callable[[Random], Dialogue]

ASKED: dict[str, list[str]] = phrases("questions")
TALK = phrases("smalltalk")
FACTS = phrases("facts")


def variant(text: str, rng: Random) -> str:
    """The same words as people really type them: lower case, without the last mark, with a greeting."""
    roll = rng.random()
    if roll < 0.12:
        return text.lower()
    if roll < 0.2:
        return text.rstrip("?.!")
    if roll < 0.26:
        return text.lower().rstrip("?.!")
    if roll < 0.3 and text[0].isupper():
        return rng.choice(ASKED["before"]) + text
    return text[0].upper() + text[1:] if roll < 0.8 else text


def asked(forms: Sequence[str], rng: Random, **words: str) -> str:
    """One of the forms, filled and varied, that is not a held-out opener."""
    while True:
        text = variant(rng.choice(forms).format(**words), rng)
        if normal(text) not in HELD_OUT:
            return text


def single(question: str, answer: str) -> Dialogue:
    return (("user", question), ("assistant", answer))


def lists(rng: Random) -> Dialogue:
    """Name some of a kind: the first ones of a fixed list, so that it can be learnt."""
    kind, members = rng.choice(list(FACTS["lists"].items()))
    count = rng.choice((2, 3, 3, 3, 4, 5))
    if len(members) < count:
        return lists(rng)
    number = ("two", "three", "four", "five")[count - 2]
    question = asked(ASKED["list"], rng, n=number if rng.random() < 0.75 else str(count), k=kind)
    return single(question, f"{number.capitalize()} {kind} are {listed(members[:count])}.")


def small_talk(pairs: Sequence[tuple[str, str]]) -> Maker:
    """Intents of the small talk set with the replies written for them, the everyday ones oftener."""
    said: dict[str, list[str]] = {intent: [] for intent in TALK["replies"]}
    for text, intent in pairs:
        if intent in said and intent != "agent.acquaintance":
            said[intent].append(text.replace("{", ""))
    for intent, more in TALK["asked_too"].items():
        said[intent].extend(more * 2)
    intents = [i for i, texts in said.items() if texts]
    weights = [6.0 if i in TALK["asked_too"] else 1.0 for i in intents]

    def make(rng: Random) -> Dialogue:
        intent = rng.choices(intents, weights)[0]
        return single(asked(said[intent], rng), rng.choice(TALK["replies"][intent]))

    return make


def about_itself(rng: Random) -> Dialogue:
    """Who it is, what it can do, who made it; the first four topics are asked most."""
    topics = TALK["about_itself"]
    topic = rng.choices(topics, [4, 3, 4, 4] + [1] * (len(topics) - 4))[0]
    return single(asked(topic["asked"], rng), rng.choice(topic["answers"]))


def jokes(rng: Random) -> Dialogue:
    return single(asked(TALK["jokes"]["asked"], rng), rng.choice(TALK["jokes"]["answers"]))


def haiku(rng: Random) -> Dialogue:
    topic, lines = rng.choice(list(FACTS["haiku"].items()))
    question = asked(ASKED["haiku"], rng, x=topic) if rng.random() < 0.8 else asked(ASKED["any_haiku"], rng)
    return single(question, "\n".join(lines))


def passage_questions(tales: Sequence[Tale]) -> Maker:
    """FairytaleQA: a passage and a question that it answers, the shorter passages oftener."""
    fit = [
        ("\n".join(t.sections[n - 1] for n in sorted(set(where))), question, answer)
        for t in tales
        for where, question, answer in t.questions
        if sum(len(t.sections[n - 1]) for n in set(where)) < 1600
    ]

    def make(rng: Random) -> Dialogue:
        text, question, answer = rng.choice(fit)
        if len(text) > 700 and rng.random() < 0.5:
            return make(rng)
        full = rng.choice(ASKED["passage"]).format(t=text, q=question[0].upper() + question[1:])
        return single(full, answer[0].upper() + answer[1:].rstrip(".") + ".")

    return make


def arithmetic(rng: Random) -> Dialogue:
    a, b = rng.randint(0, 10), rng.randint(0, 10)
    if rng.random() < 0.7:
        return single(asked(ASKED["plus"], rng, a=str(a), b=str(b)), f"{a} plus {b} is {a + b}.")
    a, b = max(a, b), min(a, b)
    return single(asked(ASKED["minus"], rng, a=str(a), b=str(b)), f"{a} minus {b} is {a - b}.")


def repeat(words: Sequence[str]) -> Maker:
    """Copying: say this, count, the name given two turns before, the name that the system prompt gives."""

    def make(rng: Random) -> Dialogue:
        roll = rng.random()
        if roll < 0.35:
            text = " ".join(rng.choices(words, k=rng.randint(1, 5)))
            return single(rng.choice(ASKED["say"]).format(t=text), text)
        if roll < 0.45:
            last = rng.randint(3, 10)
            return single(asked(ASKED["count"], rng, n=str(last)), f"{', '.join(str(i + 1) for i in range(last))}.")
        return remembered(rng) if roll < 0.8 else persona(rng)

    return make


def remembered(rng: Random) -> Dialogue:
    """Something the user says about itself, asked for one turn later."""
    if rng.random() < 0.6:
        name = rng.choice(TALK["names"])
        told = single(rng.choice(ASKED["name_given"]).format(n=name), f"Hello, {name}! It is nice to meet you.")
        return (*told, *single(asked(ASKED["name_asked"], rng), f"Your name is {name}."))
    colour = rng.choice(FACTS["lists"]["colours"])
    told = single(rng.choice(ASKED["colour_given"]).format(c=colour), f"{colour.capitalize()} is a nice colour.")
    return (*told, *single(asked(ASKED["colour_asked"], rng), f"Your favourite colour is {colour}."))


def persona(rng: Random) -> Dialogue:
    name, role = rng.choice(TALK["names"]), rng.choice(FACTS["roles"])
    system = ("system", f"Your name is {name}. You are {role}.")
    return (system, *single(asked(ASKED["persona"], rng), f"I am {name}, {role}."))


def commands(pages: Sequence[tuple[str, str, tuple[tuple[str, str], ...]]]) -> Maker:
    """What a command is, and how one thing is done with it, for the steps that are short."""

    def make(rng: Random) -> Dialogue:
        name, about, steps = rng.choice(pages)
        what, line = rng.choice(steps)
        if rng.random() < 0.4 or len(what) + len(line) > 110:
            return single(asked(ASKED["command"], rng, c=name), about)
        question = rng.choice(ASKED["command_step"]).format(c=name, w=what[0].lower() + what[1:])
        return single(question, f"Use this command:\n{line}")

    return make


def fixed(dialogues: Sequence[Dialogue]) -> Maker:
    """One of the given dialogues, but for those that use a held-out opener."""
    clean = [d for d in dialogues if not any(normal(text) in HELD_OUT for role, text in d if role == "user")]
    return lambda rng: rng.choice(clean)


def conversation(makers: Sequence[tuple[Maker, float]], rng: Random) -> Dialogue:
    """One dialogue, or up to four after each other, with a system prompt now and then (never two)."""
    weights = [weight for _, weight in makers]
    count = rng.choices((1, 2, 3, 4), (70, 18, 8, 4))[0]
    parts = [rng.choices(makers, weights)[0][0](rng) for _ in range(count)]
    alone = next((part for part in parts if part[0][0] == "system"), None)
    if alone is not None:
        return alone
    turns = tuple(turn for part in parts for turn in part)
    system = ("system", rng.choice(TALK["system"]))
    return (system, *turns) if rng.random() < 0.15 else turns


def stream(makers: Sequence[tuple[Maker, float]], rng: Random) -> Iterator[Dialogue]:
    while True:
        yield conversation(makers, rng)
