"""Command line: draws, trains, measures, writes the checkpoint and what its card says of sight.

Rule: the only file of the package that reads arguments and prints results.
"""

import argparse
import platform
from pathlib import Path

import torch

from trainers.starter import corpus
from trainers.starter_vision import card, material, measure, network
from trainers.starter_vision.train import Plan, Source, train


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="trainers.starter_vision", description="Teach the starter to see.")
    parser.add_argument("--data", type=Path, required=True, help="folder with text/ and images/")
    parser.add_argument("--base", type=Path, required=True, help="the starter's checkpoint, which is built upon")
    parser.add_argument("--fonts", type=Path, nargs="+", required=True, help="folders with fonts")
    parser.add_argument("--out", type=Path, required=True, help="folder that the checkpoint is written to")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, help="train for this long (default: 25)")
    length.add_argument("--steps", type=int, help="train for this many steps")
    parser.add_argument("--pictures", type=int, default=Plan().pictures, help="pictures of one step")
    parser.add_argument("--talks", type=int, default=Plan().talks, help="rows of dialogues of one step")
    parser.add_argument("--workers", type=int, default=0, help="processes that draw")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads")
    parser.add_argument("--measured", type=int, default=400, help="held-out pictures of each task")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    wanted = ("cuda" if torch.cuda.is_available() else "cpu") if given.device == "auto" else given.device
    device = torch.device(wanted)
    torch.set_num_threads(given.threads)
    plan = Plan(
        steps=given.steps,
        minutes=None if given.steps else given.minutes or 25.0,
        pictures=given.pictures,
        talks=given.talks,
        alone=2 * given.pictures,
        workers=given.workers,
    )
    torch.manual_seed(plan.seed)
    print("reading texts, fonts and emoji", flush=True)
    texts = corpus.read(given.data)
    seen = material.read(given.data, given.fonts, (document.text for document in texts.text))
    eyes, tokenizer = network.Eyes(), network.seeing_tokenizer(given.base)
    model = network.build(given.base, eyes, tokenizer).to(device)
    parameters = sum(part.numel() for part in model.parameters())
    print(
        f"{parameters:,} parameters on {device}; {len(seen.words)} words, {len(seen.fonts)} families of fonts",
        flush=True,
    )
    source = Source(seen, tokenizer, eyes, plan, texts.makers)
    report = train(model, source, lambda trained: network.write(trained, tokenizer, given.base, eyes, given.out))
    network.write(model, tokenizer, given.base, eyes, given.out)
    scores = measure.measure(given.out, seen, eyes, given.measured, device)
    hardware = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"{given.threads} cores of an {platform.machine()}"
    )
    (given.out / "SIGHT.md").write_text(
        card.section(report, scores, seen, eyes, parameters, hardware), encoding="utf-8"
    )
    for score in scores:
        wish = measure.WANTED[score.task]
        print(f"{score.task}: {score.right} of {score.of} right ({score.share:.1%}; wanted {wish:.0%})")
        for scene, said in score.examples:
            print(f"    {scene.question} -> {said!r} (it is {scene.key})")


if __name__ == "__main__":
    main()
