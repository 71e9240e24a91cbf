"""The classifier's graph against the network as torch computes it, on random weights."""

from pathlib import Path

import numpy as np
import pytest
import torch

from haiga.core.moderation import CATEGORIES
from haiga.engines.classifier import LocalClassifier
from trainers.moderation import checkpoint
from trainers.moderation.fit import logits
from trainers.moderation.network import Network, Shape

SMALL = Shape(rows=512, grams=12, width=8, hidden=16, heads=2, window=16, layers=2)
N = len(CATEGORIES)


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(3)
    return Network(SMALL, N).eval()


@pytest.fixture(scope="module")
def folder(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("classifier")
    checkpoint.write(network, path, [1.5] * N, [0.25] * N, [0.5] * N)
    return path


async def test_probabilities_are_those_of_torch(network: Network, folder: Path) -> None:
    texts = ["Hello there, you!", "one", "It is 5 o'clock; I went home, and nothing happened.", "a b c ?"]
    expected = 1 / (1 + np.exp(-(logits(network, texts) * 1.5 + 0.25)))
    found = [list(scores.values.values()) for scores in await LocalClassifier(folder).judge(texts)]
    np.testing.assert_allclose(found, expected, atol=2e-3)  # the table is kept in 16 bits


async def test_of_a_long_text_the_worst_window_counts(folder: Path) -> None:
    classifier = LocalClassifier(folder)
    text = " ".join(f"word{chr(97 + n % 26)}{n % 7}x" for n in range(50))
    read = text.split()
    parts = [" ".join(read[start : start + 16]) for start in range(0, 50 - 16 + 12, 12)]
    expected = np.max([list(scores.values.values()) for scores in await classifier.judge(parts)], 0)
    (found,) = await classifier.judge([text])
    np.testing.assert_allclose(list(found.values.values()), expected, atol=1e-6)


async def test_texts_do_not_see_each_other(folder: Path) -> None:
    classifier = LocalClassifier(folder)
    texts = ["short", "a rather longer text that stands beside it, with some more words"]
    expected = [(await classifier.judge([text]))[0].values for text in texts]
    for alone, beside in zip(expected, await classifier.judge(texts), strict=True):
        np.testing.assert_allclose(list(alone.values()), list(beside.values.values()), atol=1e-6)


async def test_a_reason_is_what_leaving_it_out_takes_away(folder: Path) -> None:
    classifier = LocalClassifier(folder)
    text = "First some words, then the others follow; that is all."
    (whole,) = await classifier.judge([text])
    for span in await classifier.explain(text, "hate"):
        (rest,) = await classifier.judge([text[: span.start] + " " + text[span.end :]])
        assert abs(whole.values["hate"] - rest.values["hate"] - span.weight) < 1e-6


async def test_an_empty_text_is_judged(folder: Path) -> None:
    assert CATEGORIES == tuple((await LocalClassifier(folder).judge([""]))[0].values)
