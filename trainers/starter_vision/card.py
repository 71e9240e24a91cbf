"""The part of the model card that says what the starter sees.

Rule: numbers come from the run and from the measurement; what falls short of what was wanted says so.
"""

from collections.abc import Mapping, Sequence

from trainers.starter_vision.material import Material
from trainers.starter_vision.measure import Score
from trainers.starter_vision.scenes import families
from trainers.starter_vision.split import parted
from trainers.starter_vision.tower import Eyes

HELD_OUT = {
    "colour": "pairs of a colour and a shape that training never draws, other sizes, backgrounds and noise",
    "shape": "the same",
    "count": "one to five of such pairs, 30 % of the pictures with another shape among them",
    "word": "four letters, of words and fonts that training never draws",
    "emoji": "backgrounds, sizes, rotations and noise that training never draws",
}


def section(times: Mapping[str, Mapping[str, float]], scores: Sequence[Score], material: Material, eyes: Eyes) -> str:
    """A section in Markdown; `times`: what the steps of the training took."""
    rows = [
        f"| {score.task} | {HELD_OUT[score.task]} | {score.of} | {score.share:.1%} | "
        f"{score.wanted:.0%}{'' if score.share >= score.wanted else ', not reached'} |"
        for score in scores
    ]
    words = len(parted(material.words, True)), len(material.words)
    fonts = len(families(material, True)), len(material.fonts)
    taught = [f"{times[step]['pictures']:,.0f} in {times[step]['seconds'] / 60:.0f} minutes" for step in times]
    return "\n".join(
        (
            "## What it sees",
            "",
            f"A SigLIP tower of {eyes.layers} layers and {eyes.width} channels over {eyes.side**2} patches of"
            f" {eyes.patch} pixels, folded into {eyes.tokens} tokens, before the text model. Drawn pictures that it"
            f" learnt from: {', then with the text model '.join(taught)}."
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
