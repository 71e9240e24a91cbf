"""The classifier that ships, held to what its card says, on texts that it was not trained on.

Rule: a figure here is what these texts gave when the weights were made, with a little room; the card has the figures of
the whole held-out part.
"""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from haiga.core.moderation import CATEGORIES
from haiga.engines.classifier import LocalClassifier
from haiga.starter import moderation_path
from trainers.moderation import templates
from trainers.moderation.disguise import KINDS, disguised
from trainers.moderation.examples import Example

SAMPLE = Path(__file__).parent / "moderation_held_out.tsv"
SPOKEN = ("hate", "harassment")
NOT_HERE = "\0"  # for slots whose words are in the data alone


@dataclass(frozen=True, slots=True)
class Line:
    source: str
    labels: frozenset[str]
    known: frozenset[str]
    text: str


def read() -> list[Line]:
    lines = [line for line in SAMPLE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return [
        Line(
            source,
            frozenset(labels.split(",")) - {"-"},
            frozenset(CATEGORIES if known == "*" else known.split(",")),
            text,
        )
        for source, labels, known, text in (line.split("\t") for line in lines)
    ]


@pytest.fixture(scope="module")
def classifier() -> LocalClassifier:
    return LocalClassifier(moderation_path())


async def flagged(classifier: LocalClassifier, texts: Sequence[str]) -> list[frozenset[str]]:
    return [frozenset(scores.over(classifier.thresholds)) for scores in await classifier.judge(texts)]


def f1(lines: Sequence[Line], found: Sequence[frozenset[str]], category: str) -> float:
    judged = [(category in line.labels, category in flags) for line, flags in zip(lines, found, strict=True)]
    right = sum(wanted and given for wanted, given in judged)
    return 2 * right / max(1, sum(wanted + given for wanted, given in judged))


def by_source(lines: Sequence[Line], found: Sequence[frozenset[str]]) -> Mapping[tuple[str, str], float]:
    sources = defaultdict(list)
    for line, flags in zip(lines, found, strict=True):
        sources[line.source].append((line, flags))
    return {
        (source, category): f1([line for line, _ in pairs], [flags for _, flags in pairs], category)
        for source, pairs in sources.items()
        for category in SPOKEN
        if any(category in line.labels for line, _ in pairs)
    }


async def test_hate_and_harassment_are_found_in_every_source(classifier: LocalClassifier) -> None:
    lines = read()
    found = by_source(lines, await flagged(classifier, [line.text for line in lines]))
    assert 0.76 <= sum(found.values()) / len(found)  # the aim is 0.75


@pytest.mark.parametrize("kind", KINDS)
async def test_a_disguise_costs_less_than_ten_points(classifier: LocalClassifier, kind: str) -> None:
    lines = read()
    plain, hidden = [line.text for line in lines], [disguised(line.text, kind, random.Random(1)) for line in lines]
    seen, still = await flagged(classifier, plain), await flagged(classifier, hidden)
    lost = [f1(lines, seen, category) - f1(lines, still, category) for category in SPOKEN]
    assert sum(lost) / len(lost) < 0.1


def made(of: str) -> list[Example]:
    choices = templates.both(templates.choices({"slur": [NOT_HERE], "sexual_term": [NOT_HERE]}))
    make = templates.benign if of == "benign" else templates.harmful
    return [example for example in make(choices, 8, 7, f"held_out/{of}") if NOT_HERE not in example.text]


async def test_harmless_sentences_that_sound_alarming_are_flagged_no_more_often_than_the_card_says(
    classifier: LocalClassifier,
) -> None:
    examples = made("benign")
    found = await flagged(classifier, [example.text for example in examples])
    assert 500 <= len(examples)
    assert sum(map(bool, found)) / len(found) < 0.06  # the aim is 0.05


async def test_most_harm_in_sentences_of_a_new_making_is_flagged(classifier: LocalClassifier) -> None:
    examples = made("harmful")
    found = await flagged(classifier, [example.text for example in examples])
    assert 0.72 < sum(map(bool, found)) / len(found)


async def test_sentences_written_by_hand(classifier: LocalClassifier) -> None:
    examples = templates.written("held_out/written")
    found = await flagged(classifier, [example.text for example in examples])
    right = [bool(example.labels) == bool(flags) for example, flags in zip(examples, found, strict=True)]
    assert 0.9 < sum(right) / len(right)


def test_weights_are_small() -> None:
    assert sum(file.stat().st_size for file in moderation_path().iterdir()) < 15e6
