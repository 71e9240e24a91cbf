"""A classifier trained on with labels of one's own, and `haiga moderation` at the command line."""

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

from haiga.cli import app
from haiga.cli.labels import read_labels
from haiga.core.errors import Invalid, Unsupported
from haiga.core.moderation import CATEGORIES
from haiga.engines.classifier import LocalClassifier
from haiga.models.heads import UNKNOWN, Head, fit_head
from haiga.services.moderation import Classifiers
from trainers.moderation import checkpoint
from trainers.moderation.network import Network, Shape

N = len(CATEGORIES)
HATE, SEXUAL = CATEGORIES.index("hate"), CATEGORIES.index("sexual")
GOOD = ["the weather is fine", "we had lunch together", "she reads a book", "trains run late", "a long and quiet road"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with a small classifier of random weights, called `base`."""
    directory = tmp_path_factory.mktemp("data")
    torch.manual_seed(3)
    small = Shape(rows=2048, grams=12, width=16, hidden=32, heads=2, window=16)
    checkpoint.write(Network(small, N).eval(), directory / "classifiers" / "base", [1.0] * N, [0.0] * N, [0.5] * N)
    return directory


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("labels") / "labels.jsonl"
    lines = [{"text": f"{text} number {n}", "labels": []} for text in GOOD for n in range(20)]
    lines += [{"text": f"{text} zorgs number {n}", "labels": ["hate"]} for text in GOOD for n in range(20)]
    file.write_text("\n".join(map(json.dumps, lines)))
    return file


def haiga(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["moderation", *arguments])


def test_training_on_learns_what_is_labelled_and_installs_it(data: Path, labels: Path) -> None:
    done = haiga("train", str(labels), "--name", "mine", "--moderation-classifier", "base", "--data-dir", str(data))
    assert 0 == done.exit_code, done.output
    row = next(line for line in done.output.splitlines() if line.startswith("hate"))
    before, after = map(float, row.split()[-2:])
    assert before < 0.9 < after
    mine = LocalClassifier(data / "classifiers" / "mine")
    scores = asyncio.run(mine.judge(["she reads a book zorgs number 99", "she reads a book number 99"]))
    assert ["hate" in each.over(mine.thresholds) for each in scores] == [True, False]


def test_a_name_is_not_that_of_what_is_trained_on(data: Path, labels: Path) -> None:
    where = ("--moderation-classifier", "base", "--data-dir", str(data))
    for name in ("base", "haiga-moderation", "../out", ""):
        assert 0 != haiga("train", str(labels), "--name", name, *where).exit_code


def test_a_text_is_checked_and_the_exit_code_says_whether_it_is_flagged(data: Path, tmp_path: Path) -> None:
    policies = tmp_path / "policies.toml"
    policies.write_text('[policies.house]\n[[policies.house.terms]]\nname = "zeus"\ntext = "project zeus"\n')
    where = (
        "--moderation-classifier",
        "base",
        "--data-dir",
        str(data),
        "--policies",
        str(policies),
        "--policy",
        "house",
    )
    hit, miss = haiga("check", "about pr0ject Zeus", *where), haiga("check", "nothing at all", *where)
    assert (3, 0) == (hit.exit_code, miss.exit_code)
    assert "block" in hit.output and "pr0ject Zeus" in hit.output
    assert (
        1 == haiga("check", "x", "--data-dir", str(data), "--moderation-classifier", "base", "--policy", "no").exit_code
    )


def test_policies_are_made_shown_listed_and_removed(data: Path, tmp_path: Path) -> None:
    file, where = tmp_path / "house.json", ("--data-dir", str(data))
    file.write_text(json.dumps({"categories": {"hate": "block"}}))
    assert "house@1" in haiga("policies", "put", "house", str(file), *where).output
    file.write_text(json.dumps({"categories": {"hate": "flag"}}))
    assert "house@2" in haiga("policies", "put", "house", str(file), *where).output
    shown = json.loads(haiga("policies", "show", "house", *where).output)
    assert ("2", "flag") == (shown["version"], shown["categories"]["hate"]["action"])
    assert "block" in haiga("policies", "show", "house", "--version", "1", *where).output
    assert "house" in haiga("policies", "list", *where).output
    assert 0 == haiga("policies", "remove", "house", *where).exit_code
    assert 1 == haiga("policies", "show", "house", *where).exit_code


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "line 2"),
        ('{"text": 5, "labels": []}', "line 2"),
        ('{"text": "a", "labels": ["nonsense"]}', "no category nonsense"),
        ('{"text": "a", "labels": "hate"}', "line 2"),
        ("", "too few"),
    ],
)
def test_labels_that_are_wrong_are_named(tmp_path: Path, line: str, told: str) -> None:
    file = tmp_path / "labels.jsonl"
    file.write_text(f'{{"text": "fine", "labels": []}}\n{line}')
    with pytest.raises(Invalid, match=told):
        read_labels(file)


def head() -> Head:
    ones = np.ones(N, np.float32)
    return Head(np.zeros((N, 2), np.float32), ones * -2, ones, ones * 0, ones / 2)


def test_a_head_learns_known_labels_and_leaves_unknown_ones_alone() -> None:
    features = np.array([[1, 0], [0, 1]] * 10, np.float32)
    targets = np.full((20, N), UNKNOWN, np.float32)
    targets[:, HATE] = [1, 0] * 10
    fitted = fit_head(head(), features, targets)
    scores = fitted.probabilities(features[:2])
    assert scores[0, HATE] > 0.9 > 0.1 > scores[1, HATE]
    assert np.array_equal(head().probabilities(features[:2])[:, SEXUAL], scores[:, SEXUAL])


def test_without_a_classifier_it_is_said_that_none_is_installed() -> None:
    with pytest.raises(Unsupported, match="no moderation classifier is installed"):
        Classifiers().find("omni-moderation-latest")
