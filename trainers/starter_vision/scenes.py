"""Pictures with questions and answers: what colour, what shape, how many, what word, which emoji.

Rule: a scene is made of what its side of the split allows, `held` or not; whoever draws says from which random source.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from random import Random
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from trainers.starter_vision.material import ALPHABET, Material
from trainers.starter_vision.painting import COLOURS, SHAPES, background, distance, noisy, place_shape, shade
from trainers.starter_vision.split import between, is_held_out, pick

NUMBERS = ("no", "one", "two", "three", "four", "five")
PAIRS = tuple(product(COLOURS, SHAPES))
OPEN = ("What do you see?", "What is in the picture?")  # asked of anything
TASKS = ("colour", "shape", "count", "word", "emoji")


Box = tuple[float, float, float, float]


class Part(NamedTuple):
    """A thing in a picture: what it is, and its left, top, right and bottom as parts of the picture's sides."""

    name: str
    box: Box


@dataclass(frozen=True, slots=True)
class Scene:
    """`key` is what an answer must say to be right; `seen` says the same, and more, by slots, and `parts` where
    (lessons.py)."""

    task: str
    picture: Image.Image
    question: str
    answer: str
    key: str
    seen: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[Part, ...] = ()


def draw(task: str, rng: Random, material: Material, held: bool) -> Scene:
    """A scene for one of TASKS."""
    if task == "word":
        return read_word(rng, material, held)
    if task == "emoji":
        return name_emoji(rng, material, held)
    return MAKERS[task](rng, held)


def canvas(rng: Random) -> tuple[int, int]:
    """Width and height, square or nearly so."""
    side = rng.randint(80, 120)
    return side, round(side * rng.uniform(0.75, 1.33)) if rng.random() < 0.4 else side


def part(name: str, at: tuple[float, float], sides: tuple[float, float], size: tuple[int, int]) -> Part:
    """The part around a middle, in pixels of a picture of that size."""
    (x, y), (wide, high) = at, (sides[0] / 2, sides[1] / 2)
    return Part(name, ((x - wide) / size[0], (y - high) / size[1], (x + wide) / size[0], (y + high) / size[1]))


def one_shape(rng: Random, held: bool) -> tuple[Image.Image, str, str, Part]:
    """A picture with one shape, the name of its colour, the shape's, and where it is."""
    name, shape = pick(rng, PAIRS, held)
    size = canvas(rng)
    colour = shade(rng, COLOURS[name])
    picture = background(rng, size, held, colour)
    side = min(size) * between(rng, 0.25, 0.85, held)
    room = side * 0.5
    at = rng.uniform(room, size[0] - room), rng.uniform(room, size[1] - room)
    place_shape(picture, shape, colour, at, side, turned(rng, shape, held))
    return noisy(rng, picture, held), name, shape, part(shape, at, (side, side), size)


def turned(rng: Random, shape: str, held: bool) -> float:
    """Degrees by which a shape is turned; not so far that a square would be a diamond."""
    most = 12 if shape in ("square", "diamond", "cross") else 25
    return between(rng, -most, most, held)


def tell_colour(rng: Random, held: bool) -> Scene:
    picture, colour, shape, where = one_shape(rng, held)
    asked = rng.choice(
        (
            f"What colour is the {shape}?",
            "What colour is it?",
            f"Which colour does the {shape} have?",
            "What color is it?",
        )
    )
    said = f"The {shape} is {colour}." if shape in asked else f"It is {colour}."
    return Scene("colour", picture, asked, said, colour, _single(colour, shape), (where,))


def tell_shape(rng: Random, held: bool) -> Scene:
    """Its colour is not said: the answer stays true when the colours of the picture are exchanged."""
    picture, colour, shape, where = one_shape(rng, held)
    asked = rng.choice(("What shape is it?", "What shape do you see?", "Which shape is this?", *OPEN))
    return Scene("shape", picture, asked, f"It is a {shape}.", shape, _single(colour, shape), (where,))


def _single(colour: str, shape: str) -> dict[str, str]:
    return {"kind": "shape", "colour": colour, "shape": shape, "count": NUMBERS[1]}


def count_shapes(rng: Random, held: bool) -> Scene:
    """One to five alike; in some pictures another shape among them, which is not counted."""
    name, shape = pick(rng, PAIRS, held)
    number, size = rng.randint(1, 5), canvas(rng)
    odd = rng.choice([each for each in SHAPES if each != shape]) if rng.random() < 0.3 else None
    other = rng.choice([each for each in COLOURS if distance(COLOURS[each], COLOURS[name]) > 120])
    colours = shade(rng, COLOURS[name]), shade(rng, COLOURS[other])
    picture = background(rng, size, held, *colours[: 1 + (odd is not None)])
    side = min(size) * between(rng, 0.15, 0.28, held)
    places = _places(rng, size, side, number + (odd is not None))
    for at in places[:number]:
        place_shape(picture, shape, colours[0], at, side, turned(rng, shape, held))
    if odd is not None:
        place_shape(picture, odd, colours[1], places[-1], side, 0)
    named = (
        f"How many {plural(shape)} are there?",
        f"Count the {plural(shape)}.",
        f"How many {plural(shape)} do you see?",
    )
    asked = rng.choice((*named, *OPEN) if odd is None and number > 1 else named)
    said = f"There is one {shape}." if number == 1 else f"There are {NUMBERS[number]} {plural(shape)}."
    seen = {"kind": "shape", "count": NUMBERS[number], **({} if odd else {"colour": name, "shape": shape})}
    kinds = [shape] * number + [odd or ""]
    parts = [part(kind, at, (side, side), size) for kind, at in sorted(zip(kinds, places, strict=False), key=_across)]
    return Scene("count", noisy(rng, picture, held), asked, said, NUMBERS[number], seen, tuple(parts))


def _across(placed: tuple[str, tuple[float, float]]) -> float:
    return placed[1][0]


def plural(shape: str) -> str:
    return f"{shape}es" if shape == "cross" else f"{shape}s"


def _places(rng: Random, size: tuple[int, int], side: float, count: int) -> list[tuple[float, float]]:
    """Middles of so many shapes that do not touch."""
    room = side * 0.6
    while True:
        places: list[tuple[float, float]] = []
        for _ in range(60):
            at = rng.uniform(room, size[0] - room), rng.uniform(room, size[1] - room)
            if all(math.dist(at, other) > side * 1.25 for other in places):
                places.append(at)
            if len(places) == count:
                return places
        side *= 0.95


def read_word(rng: Random, material: Material, held: bool) -> Scene:
    """A word of four letters; in training also letters that are none, so that letters are read and not guessed."""
    word = pick(rng, material.words, held)
    if not held and rng.random() < 0.5:
        word = "".join(rng.choice(ALPHABET.lower()) for _ in range(4))
    file = rng.choice(material.fonts[rng.choice(families(material, held))])
    size = canvas(rng)
    shown = rng.choice((word, word.upper(), word.capitalize()))
    ink = shade(rng, rng.choice(list(COLOURS.values())))
    picture = background(rng, size, held, ink)
    font, (left, top, right, bottom) = _fitted(file, shown, (size[0] * between(rng, 0.55, 0.95, held), 0.8 * size[1]))
    x = rng.uniform(0, max(0, size[0] - (right - left))) - left
    y = rng.uniform(0, max(0, size[1] - (bottom - top))) - top
    layer = Image.new("L", size, 0)
    ImageDraw.Draw(layer).text((x, y), shown, 255, font)
    turn = between(rng, -6, 6, held)
    picture.paste(Image.new("RGB", size, ink), (0, 0), layer.rotate(turn, Image.Resampling.BICUBIC))
    asked = rng.choice(("What does it say?", "What word is this?", "Read the word.", "What is written here?", *OPEN))
    edges = [x + font.getlength(shown[:at]) for at in range(5)]
    parts = [
        _letter(letter, edges[at], edges[at + 1], y + (top + bottom) / 2, (bottom - top, turn), size)
        for at, letter in enumerate(word)
    ]
    seen = {"kind": "word", **{f"letter {at}": letter for at, letter in enumerate(word)}}
    return Scene("word", noisy(rng, picture, held), asked, f'It says "{word}".', word, seen, tuple(parts))


def families(material: Material, held: bool) -> list[str]:
    """Families of fonts that are held out, or the others; those of one maker, by their first word, stay together."""
    return [family for family in sorted(material.fonts) if is_held_out(family.split()[0], share=0.25) == held]


def _fitted(file: Path, text: str, room: tuple[float, float]) -> tuple[ImageFont.FreeTypeFont, Box]:
    """The font as large as the text fits the room, and the text's box."""
    left, top, right, bottom = ImageFont.truetype(file, 64).getbbox(text)
    font = ImageFont.truetype(file, max(8, int(64 * min(room[0] / (right - left), room[1] / (bottom - top)))))
    return font, font.getbbox(text)


def _letter(
    letter: str, left: float, right: float, middle: float, drawn: tuple[float, float], size: tuple[int, int]
) -> Part:
    """Where a letter is after the picture was turned; `drawn` its height and the turn in degrees."""
    turn = -math.radians(drawn[1])
    x, y = (left + right - size[0]) / 2, middle - size[1] / 2
    at = x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn)
    return part(letter, (at[0] + size[0] / 2, at[1] + size[1] / 2), (right - left, drawn[0]), size)


def name_emoji(rng: Random, material: Material, held: bool) -> Scene:
    name = rng.choice(sorted(material.emoji))
    size = canvas(rng)
    picture = background(rng, size, held)
    side = round(min(size) * between(rng, 0.45, 1.0, held))
    emoji = material.emoji[name].resize((side, side), Image.Resampling.LANCZOS)
    if rng.random() < 0.5:
        emoji = emoji.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    emoji = emoji.rotate(between(rng, -35, 35, held), Image.Resampling.BICUBIC, expand=False)
    at = rng.randint(0, size[0] - side), rng.randint(0, size[1] - side)
    picture.paste(emoji, at, emoji)
    asked = rng.choice(("What emoji is this?", "Which emoji do you see?", "What is this?", *OPEN))
    seen = {"kind": "emoji", "emoji": name}
    where = part(name, (at[0] + side / 2, at[1] + side / 2), (side, side), size)
    return Scene("emoji", noisy(rng, picture, held), asked, f"It is the emoji for {name}.", name, seen, (where,))


MAKERS: dict[str, Callable[[Random, bool], Scene]] = {
    "colour": tell_colour,
    "shape": tell_shape,
    "count": count_shapes,
}


def is_right(scene: Scene, said: str) -> bool:
    """Whether an answer says what is to be seen, and nothing else of its kind."""
    if scene.task == "word":
        return re.findall(r'"(.*?)"', said.lower()) == [scene.key]
    words = said.lower().replace(":", " ").replace(".", " ").replace(",", " ").split()
    kinds = {"colour": tuple(COLOURS), "shape": SHAPES, "count": NUMBERS}
    if scene.task in kinds:
        singular = [word.removesuffix("es") if word == "crosses" else word.removesuffix("s") for word in words]
        named = {word for word in (*words, *singular) if word in kinds[scene.task]}
        return named == {scene.key}
    return " ".join(words).endswith(f"for {scene.key}")
