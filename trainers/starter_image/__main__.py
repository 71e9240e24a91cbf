"""Command line: draws, trains, judges, writes the model in diffusers' layout with its card.

Rule: the only file of the package that reads arguments and prints results.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from random import Random

import torch

from trainers.starter_image import autoencoder, card, emoji, judge, measure, network, pool
from trainers.starter_image.card import Run
from trainers.starter_image.network import Parts
from trainers.starter_image.train import Plan, train

RUNS = "runs.json"
JUDGED, TESTED = 20_000, 3_000  # renders that the judge learns from, and is tested with
AGAIN = "python -m trainers.starter_image DATA haiga/starter/image --minutes 60 --again"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="trainers.starter_image", description="Train the starter image model.")
    parser.add_argument("data", type=Path, help="folder with images/")
    parser.add_argument("out", type=Path, help="folder that the model is written to")
    parser.add_argument("--minutes", type=float, default=60.0, help="of work, not of waiting; 0 measures alone")
    parser.add_argument("--decoder", type=float, default=0.1, help="share of the time for the autoencoder's decoder")
    parser.add_argument("--again", action="store_true", help="go on with the model in OUT, with new pictures")
    parser.add_argument("--rate", type=float, help="the highest learning rate")
    parser.add_argument("--batch", type=int, default=Plan().batch, help="pictures of one step")
    parser.add_argument("--pictures", type=int, default=30_000, help="pictures that are drawn")
    parser.add_argument("--judge", type=float, default=0.0, help="teach a new judge for so many minutes")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser.parse_args()


def main() -> None:
    given = arguments()
    torch.set_num_threads(given.threads)
    if given.minutes:
        _train(given)
    if given.judge:
        pixels, labels = judge.draw(JUDGED, Random("judge"))
        judge.save(judge.train(pixels, labels, given.judge), judge.WEIGHTS)
    _measure(given)


def _train(given: argparse.Namespace) -> None:
    runs = _runs(given.out) if given.again else []
    torch.manual_seed(len(runs))
    known = emoji.read(given.data / "images")
    drawn = pool.draw(known, given.pictures, Random(f"pool {len(runs)}"))
    print(f"{len(drawn.captions):,} pictures, {len(known):,} emoji", flush=True)
    if given.again:
        parts = network.load(given.out)
    else:
        parts = network.new(drawn.captions, autoencoder.build())
        autoencoder.set_encoder(parts.autoencoder, drawn.pixels[:4000])
    latents = autoencoder.latents_of(parts.autoencoder, drawn.pixels)
    if given.decoder:
        autoencoder.train(parts.autoencoder, drawn.pixels, latents, given.minutes * given.decoder)
    rate = given.rate or Plan().rate * (0.4 if given.again else 1.0)
    plan = Plan(minutes=given.minutes * (1 - given.decoder), rate=rate, batch=given.batch, seed=len(runs))
    report = train(parts, latents.half(), drawn.captions, plan, lambda: network.save(parts, given.out))
    network.save(parts, given.out)
    runs.append(Run(given.minutes, report.steps, report.pictures, given.threads, report.loss))
    (given.out / RUNS).write_text(json.dumps([asdict(run) for run in runs], indent=2) + "\n", encoding="utf-8")


def _runs(out: Path) -> list[Run]:
    return [Run(**run) for run in json.loads((out / RUNS).read_text(encoding="utf-8"))]


def _measure(given: argparse.Namespace) -> None:
    """Writes the grid and the card."""
    parts, judging = network.load(given.out), judge.load(judge.WEIGHTS)
    pipeline, wanted = network.pipeline(parts), measure.prompts()
    painted = measure.measure(pipeline, judging, wanted)
    things = measure.paint(pipeline, measure.THINGS)
    measure.write_grid([*(each.picture for each in painted[: card.SHOWN]), *things], given.out / card.GRID)
    measured = measure.Measured(
        len(painted),
        measure.example(painted),
        measure.shares(painted),
        judge.share_right(judging, *judge.draw(TESTED, Random("judge's test"))),
        measure.seconds_of(pipeline),
        given.threads,
    )
    text = card.card(_parameters(parts), _runs(given.out), measured, painted, AGAIN)
    (given.out / "README.md").write_text(text, encoding="utf-8")
    for name, share in measured.shares.items():
        print(f"{name}: {share.right} of {share.of} right ({share.value:.1%})")
    print(f"the judge: {measured.judge:.1%} of renders; a picture: {measured.seconds:.2f} s")


def _parameters(parts: Parts) -> int:
    return sum(part.numel() for model in (parts.text, parts.unet, parts.autoencoder) for part in model.parameters())


if __name__ == "__main__":
    main()
