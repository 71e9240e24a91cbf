"""Command line: builds the corpus, trains, measures, writes the checkpoint and its card.

Rule: the only file of the package that reads arguments and prints results.
"""

import argparse
import platform
from pathlib import Path

import torch

from trainers.starter import card, checkpoint, corpus, measure, vocabulary
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
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads")
    return parser.parse_args()


def hardware(device: torch.device, threads: int) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{threads} cores of an {platform.machine()} processor"


def main() -> None:
    given = arguments()
    wanted = ("cuda" if torch.cuda.is_available() else "cpu") if given.device == "auto" else given.device
    device = torch.device(wanted)
    torch.set_num_threads(given.threads)
    plan = Plan(steps=given.steps, minutes=None if given.steps else given.minutes or 80.0)
    torch.manual_seed(plan.seed)
    shape = Shape()
    print("reading the texts", flush=True)
    texts = corpus.read(given.data)
    spoken = [text for talk in corpus.sample_of(texts, plan.seed, 20_000) for _, text in talk]
    tokenizer = vocabulary.train([*(x.text for x in texts.text), *spoken], shape.vocabulary)
    rows = Rows(texts, tokenizer, shape.context, plan.seed)
    network = Network(shape).to(device)
    parameters = sum(p.numel() for p in network.parameters())
    print(f"{parameters:,} parameters, {len(rows.text):,} tokens of text, on {device}", flush=True)
    report = train(network, rows, plan, lambda n: checkpoint.write(n, tokenizer, given.out))
    checkpoint.write(network, tokenizer, given.out)
    measured = measure.measure(given.out, texts.held_out)
    run = card.Run(shape, parameters, plan, report, hardware(device, given.threads), len(rows.text))
    (given.out / "README.md").write_text(card.card(run, measured, given.data / "text"), encoding="utf-8")
    for answer in measured.answers:
        print(f"\n{answer.opener.text}\n  -> {answer.text}{'' if answer.ended else '  [not ended]'}")
    print(f"\nheld-out bits per byte {measured.bits:.3f}; {sum(a.ended for a in measured.answers)} of 20 ended")


if __name__ == "__main__":
    main()
