"""Backgrounds, noise and shapes, as Pillow draws them.

Rule: what is drawn is drawn large and made smaller, so that edges are smooth; colours are those that the names mean,
give or take a little.
"""

import math
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
COLOURS: dict[str, Colour] = {
    "red": (214, 40, 40),
    "green": (46, 160, 67),
    "blue": (40, 90, 214),
    "yellow": (245, 214, 40),
    "orange": (245, 140, 30),
    "purple": (130, 60, 170),
    "pink": (245, 140, 190),
    "brown": (125, 80, 45),
    "black": (20, 20, 20),
    "white": (248, 248, 248),
    "grey": (130, 130, 130),
}
SHAPES = ("circle", "square", "triangle", "star", "heart", "diamond", "cross", "ring", "hexagon")
SMOOTH = 3  # drawn so many times larger
FAR = 150.0  # how far apart colours are that are told apart at a glance
PLAIN: tuple[Colour, ...] = ((255, 255, 255), (240, 240, 240), (0, 0, 0), (35, 35, 40))  # what most pictures are on
TRAINED, HELD = (  # kinds of backgrounds
    ("flat", "linear", "halves", "quarters", "waves", "dots", "clouds"),
    ("radial", "stripes", "checks"),
)


def distance(one: Colour, other: Colour) -> float:
    return math.dist(one, other)


def shade(rng: Random, colour: Colour, by: int = 14) -> Colour:
    """The colour, give or take a little."""
    red, green, blue = (min(255, max(0, part + rng.randint(-by, by))) for part in colour)
    return red, green, blue


def apart(rng: Random, *others: Colour) -> Colour:
    """A colour that is far from the others."""
    while True:
        colour = rng.randrange(256), rng.randrange(256), rng.randrange(256)
        if all(distance(colour, other) > FAR for other in others):
            return colour


def background(rng: Random, size: tuple[int, int], held: bool, *away: Colour) -> Image.Image:
    """A canvas on which the colours `away` can be seen."""
    plain = rng.choice(PLAIN)
    fits = rng.random() < 0.4 and all(distance(plain, colour) > FAR for colour in away)
    one = plain if fits else apart(rng, *away)
    other = shade(rng, one, 40)
    kind = rng.choice(HELD if held else TRAINED)
    x, y = np.meshgrid(np.linspace(0, 1, size[0], dtype=np.float32), np.linspace(0, 1, size[1], dtype=np.float32))
    mix = np.clip(_mix(kind, x, y, rng), 0, 1)[..., None]
    pixels = np.asarray(one, np.float32) * (1 - mix) + np.asarray(other, np.float32) * mix
    return Image.fromarray(pixels.astype(np.uint8), "RGB")


def _mix(kind: str, x: NDArray[np.float32], y: NDArray[np.float32], rng: Random) -> NDArray[np.float32]:
    """How much of the other colour there is, 0..1, at places x and y of 0..1."""
    turn = rng.uniform(0, 2 * math.pi)
    along = (x - 0.5) * math.cos(turn) + (y - 0.5) * math.sin(turn) + 0.5
    across = (y - 0.5) * math.cos(turn) - (x - 0.5) * math.sin(turn) + 0.5
    often, much = rng.uniform(2, 6), rng.uniform(0.1, 0.4)
    mix: NDArray[Any]
    match kind:
        case "flat":
            mix = x * 0
        case "linear":
            mix = along
        case "halves":
            mix = along > rng.uniform(0.3, 0.7)
        case "quarters":
            mix = (along > rng.uniform(0.3, 0.7)) ^ (across > rng.uniform(0.3, 0.7))
        case "waves":
            mix = 0.5 + 0.5 * np.sin(2 * math.pi * often * along)
        case "dots":
            mix = np.hypot(along * often % 1 - 0.5, across * often % 1 - 0.5) < much
        case "clouds":
            mix = 0.5 + 0.5 * np.sin(often * 4 * along + often) * np.sin(often * 3 * across + much * 20)
        case "radial":
            mix = np.hypot(x - rng.random(), y - rng.random())
        case "stripes":
            mix = np.floor(along * rng.randint(4, 9)) % 2
        case _:
            mix = (np.floor(x * rng.randint(3, 6)) + np.floor(y * rng.randint(3, 6))) % 2
    return mix.astype(np.float32)


def noisy(rng: Random, picture: Image.Image, held: bool) -> Image.Image:
    """The picture with a grain of its own strength."""
    strength = between_noise(rng, held)
    if not strength:
        return picture
    source = np.random.default_rng(rng.getrandbits(32))
    noise = source.standard_normal((picture.height, picture.width, 3), np.float32) * strength
    return Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8), "RGB")


def between_noise(rng: Random, held: bool) -> float:
    """Training has none to some and much; measuring what lies between."""
    return rng.uniform(8, 11) if held else rng.choice([0.0, rng.uniform(0, 8), rng.uniform(11, 18)])


def place_shape(
    picture: Image.Image, shape: str, colour: Colour, at: tuple[float, float], size: float, turn: float
) -> None:
    """Draws a shape onto the picture: `at` its middle and `size` its side in pixels, `turn` in degrees."""
    side = max(4, round(size * SMOOTH))
    mask = Image.new("L", (side, side), 0)
    _draw(ImageDraw.Draw(mask), shape, side)
    mask = mask.rotate(turn, Image.Resampling.BICUBIC, expand=True)
    small = mask.resize((max(1, mask.width // SMOOTH), max(1, mask.height // SMOOTH)), Image.Resampling.LANCZOS)
    corner = round(at[0] - small.width / 2), round(at[1] - small.height / 2)
    picture.paste(Image.new("RGB", small.size, colour), corner, small)


def _draw(draw: ImageDraw.ImageDraw, shape: str, side: int) -> None:
    whole = (0, 0, side - 1, side - 1)
    match shape:
        case "circle":
            draw.ellipse(whole, 255)
        case "ring":
            draw.ellipse(whole, 255)
            draw.ellipse((side * 0.27, side * 0.27, side * 0.73, side * 0.73), 0)
        case "square":
            draw.rectangle((side * 0.08, side * 0.08, side * 0.92, side * 0.92), 255)
        case "cross":
            draw.rectangle((side * 0.34, 0, side * 0.66, side), 255)
            draw.rectangle((0, side * 0.34, side, side * 0.66), 255)
        case "heart":
            draw.ellipse((0, side * 0.05, side * 0.54, side * 0.58), 255)
            draw.ellipse((side * 0.46, side * 0.05, side, side * 0.58), 255)
            draw.polygon([(side * 0.04, side * 0.42), (side * 0.96, side * 0.42), (side * 0.5, side)], 255)
        case _:
            draw.polygon(_corners(shape, side), 255)


def _corners(shape: str, side: int) -> list[tuple[float, float]]:
    if shape == "diamond":
        return [(side * x, side * y) for x, y in ((0.5, 0), (0.85, 0.5), (0.5, 1), (0.15, 0.5))]
    count, inner = {"triangle": (3, 1.0), "hexagon": (6, 1.0), "star": (10, 0.42)}[shape]
    radii = [side / 2 * (inner if at % 2 and shape == "star" else 1) for at in range(count)]
    turns = [2 * math.pi * at / count - math.pi / 2 for at in range(count)]
    return [(side / 2 + r * math.cos(t), side / 2 + r * math.sin(t)) for r, t in zip(radii, turns, strict=True)]
