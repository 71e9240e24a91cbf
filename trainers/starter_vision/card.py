"""The part of the model card that says what the starter sees.

Rule: numbers come from the run and from the measurement; what falls short of what was wanted says so.
"""

from collections.abc import Sequence

from trainers.starter_vision.material import Material
from trainers.starter_vision.measure import WANTED, Score
from trainers.starter_vision.network import Eyes
from trainers.starter_vision.split import parted
from trainers.starter_vision.train import Report

HELD_OUT = {
    "colour": "pairs of a colour and a shape that training never draws, other sizes, backgrounds and noise",
    "shape": "the same",
    "count": "one to five of such pairs, 30 % of the pictures with another shape among them",
    "word": "four letters, of words and fonts that training never draws",
    "emoji": "backgrounds, sizes, rotations and noise that training never draws",
}


def section(
    report: Report, scores: Sequence[Score], material: Material, eyes: Eyes, parameters: int, hardware: str
) -> str:
    """A section in Markdown."""
    rows = [
        f"| {score.task} | {HELD_OUT[score.task]} | {score.of} | {score.share:.1%} | "
        f"{WANTED[score.task]:.0%}{'' if score.share >= WANTED[score.task] else ', not reached'} |"
        for score in scores
    ]
    words = len(parted(material.words, True)), len(material.words)
    fonts = len(parted(sorted(material.fonts), True, 0.25)), len(material.fonts)
    return "\n".join(
        (
            "## What it sees",
            "",
            f"A SigLIP tower of {eyes.layers} layers and {eyes.width} channels over {eyes.tokens} patches of"
            f" {eyes.patch} pixels, and two products, in front of the text model: {parameters:,} parameters in all."
            f" Trained on {report.pictures:,} drawn pictures in {report.seconds / 60:.0f} minutes on {hardware}."
            f" Held out: {words[0]} of {words[1]} words, {fonts[0]} of {fonts[1]} families of fonts.",
            "",
            "| asked | held out | pictures | right | wanted |",
            "|---|---|---|---|---|",
            *rows,
            "",
            "It sees what it was shown: plain shapes, short printed words, and"
            f" {len(material.emoji)} emoji of the Noto set. Photographs mean nothing to it.",
            "",
        )
    )
