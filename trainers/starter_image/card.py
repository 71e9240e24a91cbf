"""The card beside the weights.

Rule: figures as they came out, failures named; the grid is of the first prompts, none chosen.
"""

from dataclasses import dataclass

from trainers.starter_image import scenes
from trainers.starter_image.measure import GUIDANCE, SEED, STEPS, THINGS, Measured, Painted
from trainers.starter_vision.painting import COLOURS, SHAPES

GRID = "grid.png"
SHOWN = 24  # of the measured pictures, before those of THINGS
WANTED, WANTED_JUDGE = 0.85, 0.98

_HEAD = """# The starter image model

A small Stable Diffusion: prompts to pictures of {side}x{side} pixels. {parameters:,} parameters in float16, in
diffusers' layout, so whatever opens a `StableDiffusionPipeline` opens it. Trained from nothing on a CPU by
`trainers/starter_image`; no weights of others had a part in it. It is for tests and for trying the API out: it knows
{shapes} shapes in {colours} colours, and emoji. Apache-2.0.

The encoder is principal components of blocks of 8x8 pixels, not learnt; the decoder, a U-Net over 8x8 latents with 16
channels and a text encoder of CLIP's kind with a vocabulary of its own are. It predicts velocity, with a tenth of the
captions left out for guidance.
"""


@dataclass(frozen=True, slots=True)
class Run:
    """A run of training; `pictures` were seen by the U-Net, most of them several times."""

    minutes: float
    steps: int
    pictures: int
    threads: int
    loss: float


def card(parameters: int, runs: list[Run], measured: Measured, painted: list[Painted], command: str) -> str:
    """`command` goes on training."""
    head = _HEAD.format(parameters=parameters, side=scenes.SIDE, shapes=len(SHAPES), colours=len(COLOURS))
    return "\n".join([head, _how_good(measured), _shown(painted), _trained(runs, command), _MADE_OF])


def _how_good(measured: Measured) -> str:
    rows = [f"| {name} | {share.right} of {share.of} | {share.value:.1%} |" for name, share in measured.shares.items()]
    return "\n".join(
        [
            "## How good it is\n",
            f'{measured.prompts} prompts such as "{measured.example}" whose scenes training never drew: some pairs of',
            "colour and shape in no picture at all, of the others some with their size and background. One picture",
            f"each ({STEPS} steps of DPM++ 2M, guidance {GUIDANCE:g}, seeds from {SEED} up), judged by a small network",
            f"that learnt from renders alone and is right on {measured.judge:.1%} of other renders (wanted:",
            f"{WANTED_JUDGE:.0%}). Wanted of colour and shape together: {WANTED:.0%}.\n",
            "| right | pictures | share |",
            "|---|---|---|",
            *rows,
            f"\nA picture takes {measured.seconds:.1f} s on {measured.threads} CPU threads ({STEPS} steps; the best of",
            "three, the model loaded).\n",
        ]
    )


def _shown(painted: list[Painted]) -> str:
    asked = "; ".join(THINGS)
    return "\n".join(
        [
            "## Pictures as they are\n",
            f"![the first {SHOWN} of the measured prompts, then things]({GRID})\n",
            f"The first {SHOWN} of the measured pictures, row by row, and in the last row: {asked}. In the order of",
            "`prompts()` in `trainers/starter_image/measure.py`:\n",
            listing(painted),
            "",
        ]
    )


def listing(painted: list[Painted]) -> str:
    """The shown prompts with what the judge said of them."""
    return "\n".join(
        f"{place}. {scenes.asked(each.scene)}: "
        + ("right" if each.right else f"judged {each.verdict.colour} {each.verdict.shape}")
        for place, each in enumerate(painted[:SHOWN], 1)
    )


def _trained(runs: list[Run], command: str) -> str:
    rows = [
        f"| {run.minutes:.0f} | {run.threads} | {run.steps:,} | {run.pictures:,} | {run.loss:.3f} |" for run in runs
    ]
    return "\n".join(
        [
            "## Training\n",
            "| minutes | threads | steps | pictures seen | loss at the end |",
            "|---|---|---|---|---|",
            *rows,
            "\nMinutes are of work by each thread; waiting is not counted. This goes on from the weights as they are,",
            "and writes card and figures anew:\n",
            f"```sh\n{command}\n```\n",
            "DATA is a folder whose folder of images has what is named below. `--minutes 0` measures alone.\n",
        ]
    )


_MADE_OF = """## What it cannot do

Anything that is neither a shape nor an emoji; long prompts (it learnt from a dozen words); other sizes than 64x64,
which it repeats or smears; fine detail: a picture has 1,024 numbers. Edges are wavy, circles angular, small hexagons
circles. An apple or a cat's face is seen for what it is; most emoji come out as coloured patches. Words it never saw
are pieces of others to it. Faces and people are those of the emoji, mostly without a skin tone.

## Made of

- Noto Emoji's pictures (Google): SIL Open Font License 1.1 for the font, Apache-2.0 for the images
- names and keywords of emoji: Unicode CLDR (Unicode License v3) and gemoji (GitHub, MIT)
- shapes drawn for this model by `trainers/starter_image/scenes.py`: Apache-2.0, like the project
"""
