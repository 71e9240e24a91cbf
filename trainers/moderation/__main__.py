"""Command line: train, measure on groups left out, publish the classifier with its card.

Rule: the only file of the package that reads arguments and prints results. Steps hand on what they found in a folder.
"""

import argparse
import json
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import torch

from haiga.core.moderation import CATEGORIES
from trainers.moderation import checkpoint, company, corpus, fit, plain
from trainers.moderation.card import card
from trainers.moderation.judge import Judge
from trainers.moderation.measured import UNSEEN, left_out, measured
from trainers.moderation.network import Network, Shape

WORDS = 30_000
WIDTH = 128  # of the words' vectors, before the table's width is taken of it
SEED = 1
SLOWER = 0.5  # of the rate


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="trainers.moderation", description="Train the moderation classifier.")
    parser.add_argument("step", choices=("train", "groups", "publish"), help="in this order")
    parser.add_argument("--data", type=Path, required=True, help="folder whose moderation/ and text/ hold the sets")
    parser.add_argument("--run", type=Path, required=True, help="folder that steps hand on their results in")
    parser.add_argument("--out", type=Path, help="publish: folder that the classifier is written to")
    parser.add_argument("--epochs", type=int, default=6, help="picks of the texts that are shown (default: 6)")
    parser.add_argument("--minutes", type=float, help="train: at most so long, the rates falling in time")
    parser.add_argument("--again", action="store_true", help="train: go on from the run's network, more slowly")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    torch.set_num_threads(given.threads)
    {"train": train, "groups": groups, "publish": publish}[given.step](given)


def train(given: argparse.Namespace) -> None:
    """Writes network.pt, after every pick of the texts."""
    texts = corpus.read(given.data)
    plan = _plan(given)
    given.run.mkdir(parents=True, exist_ok=True)
    begun = _kept(given.run) if given.again else _begun(given, texts)
    fit.train(begun, texts.train, plan, partial(_keep, given.run))


def groups(given: argparse.Namespace) -> None:
    """Another network, trained without some groups, is measured on them: writes groups.json."""
    texts = corpus.read(given.data, UNSEEN)
    network = fit.train(_begun(given, texts), texts.train, _plan(given))
    found = left_out(Judge(network, texts.fit), texts)
    given.run.mkdir(parents=True, exist_ok=True)
    (given.run / "groups.json").write_text(json.dumps(found), encoding="utf-8")


def publish(given: argparse.Namespace) -> None:
    """Calibrates, measures and writes the folder."""
    network, texts = _kept(given.run).eval(), corpus.read(given.data)
    judge = Judge(network, texts.fit)
    checkpoint.write(network, given.out, judge.slopes, judge.offsets, judge.limits)
    path = given.run / "groups.json"
    found = measured(judge, texts, json.loads(path.read_text(encoding="utf-8")) if path.exists() else {})
    parameters = sum(p.numel() for p in network.parameters())
    (given.out / "README.md").write_text(card(parameters, len(texts.train), found), encoding="utf-8")
    print(f"macro F1 by source {found.macro:.3f}; false alarms {found.alarming.value:.3f}")


def _plan(given: argparse.Namespace) -> fit.Plan:
    """Who has learned already learns on more slowly."""
    plan, slower = fit.Plan(epochs=given.epochs, minutes=given.minutes), SLOWER if given.again else 1.0
    return replace(plan, rate=plan.rate * slower, table_rate=plan.table_rate * slower)


def _kept(run: Path) -> Network:
    kept = torch.load(run / "network.pt", weights_only=True)
    network = Network(Shape(**{**kept["shape"], "dilations": tuple(kept["shape"]["dilations"])}), len(CATEGORIES))
    network.load_state_dict(kept["state"])
    return network


def _keep(run: Path, network: Network) -> None:
    torch.save({"shape": asdict(network.shape), "state": network.state_dict()}, run / "network.pt")


def _begun(given: argparse.Namespace, texts: corpus.Corpus) -> Network:
    """A network that knows words from plain text and from the texts themselves, not their labels."""
    shown, read = list(dict.fromkeys(example.text for example in texts.train)), plain.reading(given.data)
    known = fit.vocabulary(shown, read, WORDS)
    return fit.begun(Shape(), company.vectors([*read, *shown], known, WIDTH, SEED), SEED)


if __name__ == "__main__":
    main()
