"""Command line: read, train, measure on groups left out, publish the classifier with its card.

Rule: the only file of the package that reads arguments and prints results. Steps hand on what they found in a folder.
"""

import argparse
import json
import random
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import torch

from haiga.core.moderation import CATEGORIES
from trainers.moderation import checkpoint, company, corpus, fit, language, plain, teaching
from trainers.moderation.card import card
from trainers.moderation.judge import Judge
from trainers.moderation.measured import UNSEEN, left_out, measured
from trainers.moderation.network import Network, Shape

WORDS = 30_000
WIDTH = 128  # of the words' vectors, before the table's width is taken of it
SEED = 1
SLOWER = 0.5  # of the rate
READINGS, PICKS = 2, 60
READ, TRAINED = "language.pt", "network.pt"
MADE = 60_000  # texts of templates that language is learned from


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="trainers.moderation", description="Train the moderation classifier.")
    parser.add_argument("step", choices=("read", "train", "teach", "groups", "publish"), help="in this order")
    parser.add_argument("--data", type=Path, required=True, help="folder whose moderation/ and text/ hold the sets")
    parser.add_argument("--run", type=Path, required=True, help="folder that steps hand on their results in")
    parser.add_argument("--out", type=Path, help="publish: folder that the classifier is written to")
    parser.add_argument("--epochs", type=int, help="readings (default: 2), or picks of the texts that are shown (60)")
    parser.add_argument("--minutes", type=float, help="at most so long, the rates falling in time")
    parser.add_argument("--teachers", type=Path, nargs="+", help="teach: runs whose networks teach this run's")
    parser.add_argument("--again", action="store_true", help="train: go on from the run's network, more slowly")
    parser.add_argument("--seed", type=int, default=SEED, help="of what is shown when (default: 1)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads")
    given = parser.parse_args()
    if given.step == "teach" and not given.teachers:
        parser.error("teach needs --teachers")
    return given


def main() -> None:
    given = arguments()
    torch.set_num_threads(given.threads)
    {"read": read, "train": train, "teach": teach, "groups": groups, "publish": publish}[given.step](given)


def read(given: argparse.Namespace) -> None:
    """Words and language, from plain text and from the texts themselves, not their labels: writes language.pt."""
    texts = corpus.read(given.data).train
    book, shown = plain.reading(given.data), list(dict.fromkeys(example.text for example in texts))
    known = language.vocabulary(shown, book, WORDS)
    begun = language.begun(Shape(), len(CATEGORIES), company.vectors([*book, *shown], known, WIDTH, SEED), SEED)
    made = sorted({example.text for example in texts if example.family})
    others = sorted({example.text for example in texts if not example.family})
    picked = random.Random(SEED).sample(made, min(MADE, len(made)))
    language.learn(begun, [*book, *others, *picked], given.epochs or READINGS, given.minutes, SEED)
    given.run.mkdir(parents=True, exist_ok=True)
    _keep(given.run / READ, begun)


def train(given: argparse.Namespace) -> None:
    """Writes network.pt, after every pick of the texts."""
    texts = corpus.read(given.data)
    begun = _kept(given.run / (TRAINED if given.again else READ))
    fit.train(begun, texts.train, _plan(given), partial(_keep, given.run / TRAINED))


def teach(given: argparse.Namespace) -> None:
    """Goes on from the run's network, taught by all teachers' together: writes network.pt."""
    shown = teaching.lesson(corpus.read(given.data).train, given.seed)
    texts = [example.text for example in shown]
    said = [fit.logits(_kept(run / TRAINED).eval(), texts) for run in given.teachers]
    plan = replace(_plan(given), rare=0.0)
    fit.train(_kept(given.run / TRAINED), teaching.taught(shown, said), plan, partial(_keep, given.run / TRAINED))


def groups(given: argparse.Namespace) -> None:
    """Another network, trained without some groups, is measured on them: writes groups.json."""
    texts = corpus.read(given.data, UNSEEN)
    network = fit.train(_kept(given.run / READ), texts.train, _plan(given))
    found = left_out(Judge(network, texts.fit), texts)
    (given.run / "groups.json").write_text(json.dumps(found), encoding="utf-8")


def publish(given: argparse.Namespace) -> None:
    """Calibrates, measures and writes the folder."""
    network, texts = _kept(given.run / TRAINED).eval(), corpus.read(given.data)
    judge = Judge(network, texts.fit)
    checkpoint.write(network, given.out, judge.slopes, judge.offsets, judge.limits)
    path = given.run / "groups.json"
    found = measured(judge, texts, json.loads(path.read_text(encoding="utf-8")) if path.exists() else {})
    parameters = sum(p.numel() for p in network.parameters())
    (given.out / "README.md").write_text(card(parameters, len(texts.train), found), encoding="utf-8")
    print(f"macro F1 by source {found.macro:.3f}; false alarms {found.alarming.value:.3f}")


def _plan(given: argparse.Namespace) -> fit.Plan:
    """Who has learned already learns on more slowly."""
    slower = SLOWER if given.again else 1.0
    plan = fit.Plan(epochs=given.epochs or PICKS, seed=given.seed, minutes=given.minutes)
    return replace(plan, rate=plan.rate * slower, table_rate=plan.table_rate * slower)


def _kept(path: Path) -> Network:
    kept = torch.load(path, weights_only=True)
    network = Network(Shape(**{**kept["shape"], "dilations": tuple(kept["shape"]["dilations"])}), len(CATEGORIES))
    network.load_state_dict(kept["state"])
    return network


def _keep(path: Path, network: Network) -> None:
    torch.save({"shape": asdict(network.shape), "state": network.state_dict()}, path)


if __name__ == "__main__":
    main()
