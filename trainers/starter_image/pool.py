"""The pictures of a training run, drawn once, with their captions.

Rule: a share of shapes and a share of emoji, the common ones more often; a pool of another seed is another pool.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from trainers.starter_image import emoji as emoji_
from trainers.starter_image import scenes
from trainers.starter_image.emoji import Emoji

SHAPES, COMMON, TONED = (
    0.6,
    0.8,
    0.03,
)  # shares: shapes of all; of the emoji common ones; of the others with a skin tone


@dataclass(frozen=True, slots=True)
class Pool:
    """`pixels` [pictures, 64, 64, 3] of bytes; a caption each."""

    pixels: NDArray[np.uint8]
    captions: tuple[str, ...]


def draw(emoji: Sequence[Emoji], count: int, rng: Random) -> Pool:
    """So many pictures."""
    common = [each for each in emoji if each.common]
    toned = [each for each in emoji if each.toned]
    others = [each for each in emoji if not each.common and not each.toned]
    pixels = np.empty((count, scenes.SIDE, scenes.SIDE, 3), np.uint8)
    captions: list[str] = []
    for at in range(count):
        if rng.random() < SHAPES:
            scene = scenes.invent(rng)
            picture, caption = scenes.paint(scene, rng), scenes.describe(scene, rng)
        else:
            some = common if rng.random() < COMMON else toned if rng.random() < TONED else others
            chosen, behind = rng.choice(some), emoji_.choose_ground(rng)
            picture, caption = emoji_.paint(chosen, behind, rng), emoji_.describe(chosen, behind, rng)
        pixels[at] = np.asarray(picture)
        captions.append(caption)
    return Pool(pixels, tuple(captions))
