"""Command line: draws pictures, trains the tower, trains the text model behind it, measures and publishes.

Rule: the only file of the package that reads arguments and prints results. Steps hand on what they made in a folder:
the pool of pictures, the tower, and the checkpoint.
"""

import argparse
import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from trainers.starter import corpus, sources
from trainers.starter_vision import card, material, measure, network, pool, train_text, train_tower
from trainers.starter_vision.lessons import Heads, Slots, slots_of, things_of
from trainers.starter_vision.tower import Eyes, Tower, begin_local

Plan = TypeVar("Plan", train_tower.Lessons, train_text.Speech)
POOL, TOWER, MODEL, TIMES = "pool", "tower.safetensors", "model", "times.json"
SEED = 11


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="trainers.starter_vision", description="Teach the starter to see.")
    parser.add_argument("step", choices=("draw", "tower", "text", "publish"), help="in this order")
    parser.add_argument("--data", type=Path, required=True, help="folder with text/ and images/")
    parser.add_argument("--run", type=Path, required=True, help="folder that steps hand on their results in")
    parser.add_argument("--base", type=Path, help="tower, text: the starter's checkpoint, which is built upon")
    parser.add_argument("--fonts", type=Path, nargs="+", help="draw, publish: folders with fonts")
    parser.add_argument("--pictures", type=int, default=80_000, help="draw: how many (default: 80,000)")
    parser.add_argument("--seed", type=int, default=SEED, help="another one draws others, in another order")
    parser.add_argument("--workers", type=int, default=2, help="draw: processes")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, help="tower, text: train for this long (default: 30)")
    length.add_argument("--steps", type=int, help="tower, text: train for this many steps")
    parser.add_argument("--again", action="store_true", help="tower, text: go on from what the run has")
    parser.add_argument("--rate", type=float, default=1.0, help="tower, text: part of the usual rates")
    parser.add_argument("--measured", type=int, default=400, help="publish: held-out pictures of each task")
    parser.add_argument("--out", type=Path, help="publish: folder that the checkpoint is written to")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    torch.set_num_threads(given.threads)
    torch.manual_seed(SEED)
    {"draw": draw, "tower": tower, "text": text, "publish": publish}[given.step](given)


def draw(given: argparse.Namespace) -> None:
    """Writes the pool."""
    pool.drawn(_material(given), Eyes(), given.pictures, given.seed, given.workers).save(given.run / POOL)


def tower(given: argparse.Namespace) -> None:
    """Writes the tower with the heads that it was taught by."""
    seen = material.Material({}, (), material.read_emoji(given.data / "images"))
    eyes, lessons = Eyes(), _paced(train_tower.Lessons(_minutes(given), given.steps), given)
    model, slots = Tower(eyes), slots_of(seen)
    heads = Heads(eyes, directions(given.base, slots), len(things_of(seen)))
    both = torch.nn.ModuleDict({"tower": model, "heads": heads})
    if given.again:
        both.load_state_dict(load_file(given.run / TOWER))
    else:
        begin_local(model, lessons.local)

    def keep() -> None:
        save_file({name: part.contiguous() for name, part in both.state_dict().items()}, given.run / TOWER)

    report = train_tower.train_tower(model, heads, pool.Pool.read(given.run / POOL), slots, lessons, keep)
    keep()
    _note(given, "tower", asdict(report))


def directions(base: Path, slots: Slots) -> list[Tensor]:
    """What the text model says each answer with: the mean of its tokens' embeddings."""
    tokenizer = network.seeing_tokenizer(base)
    table = network.text_network(base, tokenizer).embedding.weight.detach()

    def one(slot: str, value: str) -> Tensor:
        return table[tokenizer.encode(value if slot.startswith("letter") else f" {value}").ids].mean(0)

    return [torch.stack([one(slot, value) for value in values]) for slot, values in slots.items()]


def text(given: argparse.Namespace) -> None:
    """Writes the checkpoint."""
    base = given.run / MODEL if given.again else given.base
    model, tokenizer = Tower(Eyes()), network.seeing_tokenizer(base)
    parts = load_file(given.run / TOWER)
    model.load_state_dict({name[6:]: part for name, part in parts.items() if name.startswith("tower.")})
    spoken = network.text_network(base, tokenizer)
    kept = pool.Pool.read(given.run / POOL)
    if given.again:
        model.connector.weight.data = network.connector_of(base)
    else:
        train_text.match_scale(model, spoken, kept)
    texts = corpus.read(given.data)
    speech = _paced(train_text.Speech(_minutes(given), given.steps), given)
    talks = train_text.talks_of(texts.makers, texts.tools, tokenizer, np.random.default_rng(SEED))
    reference = network.text_network(given.base, tokenizer)
    report = train_text.train_text(train_text.Parts(model, spoken, reference, tokenizer), kept, talks, speech)
    network.write(model, spoken, tokenizer, base, given.run / MODEL)
    _note(given, "text", asdict(report))


def publish(given: argparse.Namespace) -> None:
    """Measures the checkpoint in haiga's own engine, writes it with what its card says of sight."""
    scores = measure.measure(given.run / MODEL, _material(given), given.measured)
    for score in scores:
        print(f"{score.task}: {score.right} of {score.of} right ({score.share:.1%}; wanted {score.wanted:.0%})")
        for scene, said in score.examples:
            print(f"    {scene.question} -> {said!r} (it is {scene.key})")
    times = json.loads((given.run / TIMES).read_text(encoding="utf-8"))
    (given.run / "SIGHT.md").write_text(card.section(times, scores, _material(given), Eyes()), encoding="utf-8")
    if given.out:
        shutil.copytree(given.run / MODEL, given.out, dirs_exist_ok=True)


def _paced(plan: Plan, given: argparse.Namespace) -> Plan:
    """With the seed, and the part of its rates, that were asked for."""
    return replace(plan, rate=plan.rate * given.rate, other_rate=plan.other_rate * given.rate, seed=given.seed)


def _minutes(given: argparse.Namespace) -> float | None:
    return None if given.steps else given.minutes or 30.0


def _material(given: argparse.Namespace) -> material.Material:
    return material.read(given.data, given.fonts, (one.text for one in sources.picture_books(given.data / "text")))


def _note(given: argparse.Namespace, step: str, report: dict[str, float]) -> None:
    """Adds up what a step took, over all its runs."""
    path = given.run / TIMES
    times = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    before = times.get(step, {}) if given.again else {}
    times[step] = {name: value + before.get(name, 0) for name, value in report.items()}
    path.write_text(json.dumps(times, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
