"""What the classifier is taught."""

import random

import numpy as np

from haiga.core.moderation import CATEGORIES
from trainers.moderation import language, teaching, templates
from trainers.moderation.examples import FRIENDLY, Example
from trainers.moderation.network import Network, Shape

HATE = CATEGORIES.index("hate")
HATED = frozenset({"hate", "harassment"})


def test_annotators_who_disagree_teach_doubt() -> None:
    example = Example("text", HATED, HATED, "set", votes=(("hate", 0.6),))
    assert (1.0, 0.6) == (example.targets[HATE], example.taught[HATE])
    assert -1.0 == example.taught[CATEGORIES.index("violence")]


def test_what_is_denied_is_harmless_and_what_is_held_is_what_it_says() -> None:
    slots = templates.choices({"slur": ["x"], "sexual_term": ["y"]}).known
    made = templates.claims(slots, 1, seed=1)
    said = {example.text: example.labels for example in made}
    denied = [labels for text, labels in said.items() if text.startswith("It's not true that ")]
    held = [labels for text, labels in said.items() if text.startswith("It is a fact that ")]
    assert {FRIENDLY} == set(denied)
    assert {FRIENDLY, HATED, frozenset({"harassment"}), frozenset({"self-harm", "self-harm/intent"})} < set(held)


def test_reading_teaches_which_words_stand_beside_which() -> None:
    chance = random.Random(1)
    pairs = [
        ("cats", "purr"),
        ("dogs", "bark"),
        ("cows", "moo"),
        ("owls", "hoot"),
        ("pigs", "grunt"),
        ("ducks", "quack"),
    ]
    texts = [f"all {one} {sound} at night" for one, sound in (chance.choice(pairs) for _ in range(250))]
    network = Network(Shape(rows=512, grams=12, width=16, hidden=16, heads=2, window=16), len(CATEGORIES))
    losses = language.learn(network, texts, epochs=150, minutes=None, seed=1)
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])


def test_teachers_count_as_much_as_a_label_and_alone_where_there_is_none() -> None:
    example = Example("text", HATED, HATED, "set")
    sure, unsure = np.full((1, len(CATEGORIES)), 30.0, np.float32), np.full((1, len(CATEGORIES)), -30.0, np.float32)
    (taught,) = teaching.taught([example], [sure, unsure])
    assert (0.75, 0.5) == (taught.taught[HATE], taught.taught[CATEGORIES.index("violence")])
