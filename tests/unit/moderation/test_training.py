"""What the classifier is taught."""

from haiga.core.moderation import CATEGORIES
from trainers.moderation import templates
from trainers.moderation.examples import FRIENDLY, Example

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
