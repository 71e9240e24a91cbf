"""Command line: builds the corpus, trains, measures, writes the checkpoint and its card.

Rule: the only file of the package that reads arguments and prints results.
"""

import argparse
import platform
from dataclasses import replace
from pathlib import Path
from random import Random

import torch
from tokenizers import Tokenizer

from trainers.starter import card, checkpoint, corpus, measure, trials, vocabulary
from trainers.starter.network import Network, Shape
from trainers.starter.rows import Rows
from trainers.starter.train import Plan, train


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="trainers.starter", description="Train the starter model.")
    parser.add_argument("--data", type=Path, required=True, help="folder whose text/ holds the source files")
    parser.add_argument("--out", type=Path, required=True, help="folder that the checkpoint is written to")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, help="train for this long (default: 80)")
    length.add_argument("--steps", type=int, help="train for this many steps of 8,192 tokens")
    parser.add_argument("--base", type=Path, help="checkpoint folder whose weights are trained on")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads")
    return parser.parse_args()


def hardware(device: torch.device, threads: int) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{threads} cores of an {platform.machine()} processor"


def begun(base: Path | None, texts: corpus.Corpus, seed: int) -> tuple[Network, Tokenizer]:
    """The network of the checkpoint `base`, or a new one with a tokenizer of its own."""
    if base:
        tokenizer = vocabulary.with_bare_names(Tokenizer.from_file(str(base / "tokenizer.json")))
        return checkpoint.read(base, tokenizer), tokenizer
    rng = Random(seed)
    talks = [*corpus.sample_of(texts, seed, 20_000), *(texts.tools(rng) for _ in range(3_000))]
    spoken = [text for talk in talks for _, text in talk]
    tokenizer = vocabulary.train([*(x.text for x in texts.text), *spoken], Shape().vocabulary)
    return Network(replace(Shape(), vocabulary=tokenizer.get_vocab_size())), tokenizer


def main() -> None:
    given = arguments()
    wanted = ("cuda" if torch.cuda.is_available() else "cpu") if given.device == "auto" else given.device
    device = torch.device(wanted)
    torch.set_num_threads(given.threads)
    plan = Plan(steps=given.steps, minutes=None if given.steps else given.minutes or 80.0)
    plan = plan.continuing() if given.base else plan
    torch.manual_seed(plan.seed)
    print("reading the texts", flush=True)
    texts = corpus.read(given.data)
    network, tokenizer = begun(given.base, texts, plan.seed)
    network.to(device)
    shape = network.shape
    rows = Rows(texts, tokenizer, shape.context, plan.seed)
    parameters = sum(p.numel() for p in network.parameters())
    print(f"{parameters:,} parameters, {len(rows.text):,} tokens of text, on {device}", flush=True)
    report = train(network, rows, plan, lambda n: checkpoint.write(n, tokenizer, given.out))
    checkpoint.write(network, tokenizer, given.out)
    measured = measure.measure(given.out, texts.held_out)
    run = card.Run(shape, parameters, plan, report, hardware(device, given.threads), len(rows.text))
    found = trials.scores(measure.Loaded(given.out), texts.facts, 50)
    (given.out / "README.md").write_text(card.card(run, measured, found, given.data / "text"), encoding="utf-8")
    for answer in measured.answers:
        print(f"\n{answer.opener.text}\n  -> {answer.text}{'' if answer.ended else '  [not ended]'}")
    print(f"\nheld-out bits per byte {measured.bits:.3f}; {sum(a.ended for a in measured.answers)} of 20 ended")


if __name__ == "__main__":
    main()
