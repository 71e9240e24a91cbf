"""Shapes with captions: what is drawn, what is said of it, and which scenes are never drawn for training.

Rule: a scene is a value; it is drawn and described from it alone. Held out are whole pairs of colour and shape, and of
the other pairs some with their size and background.
"""

from dataclasses import dataclass
from itertools import product
from random import Random

from PIL import Image

from trainers.starter_vision.painting import COLOURS, SHAPES, distance, place_shape, shade
from trainers.starter_vision.split import is_held_out

SIDE = 64  # pixels
NUMBERS = ("two", "three", "four")
SIZES = {"small": (0.27, 0.32), "": (0.49, 0.55), "large": (0.73, 0.8)}  # of the picture's side
# how far chance moves, turns and shades a shape, in pixels, degrees and levels: little, since what differs from
# picture to picture without a word for it hides from a small model what the words say
PLAY, TURN, SHADE = 1.5, 2.0, 5
PLAIN = {"white": "grey"}  # what stands behind a shape where nothing is said: white, behind these something else
NEAR = 90.0  # colours nearer than this are not put upon one another


@dataclass(frozen=True, slots=True)
class Scene:
    """`size` is a key of SIZES; `behind` a colour, "" where nothing is said; `count` alike; `beside` another shape with
    its colour, to the right."""

    colour: str
    shape: str
    size: str = ""
    behind: str = ""
    count: int = 1
    beside: tuple[str, str] | None = None

    @property
    def ground(self) -> str:
        return self.behind or PLAIN.get(self.colour, "white")


def possible(colour: str, behind: str) -> bool:
    """Whether a shape of this colour can be seen there."""
    return not behind or distance(COLOURS[colour], COLOURS[behind]) > NEAR


SINGLE = tuple(
    Scene(colour, shape, size, behind)
    for colour, shape, size, behind in product(COLOURS, SHAPES, SIZES, ("", *COLOURS))
    if possible(colour, behind)
)


def new_pair(colour: str, shape: str) -> bool:
    """Whether training never draws this shape in this colour at all."""
    return is_held_out("pair", colour, shape, share=0.08)


def held_out(scene: Scene) -> bool:
    """Whether training never draws the scene."""
    pairs = [(scene.colour, scene.shape), *([scene.beside] if scene.beside else [])]
    if any(new_pair(*pair) for pair in pairs):
        return True
    return scene.count == 1 and is_held_out(scene.colour, scene.shape, scene.size, scene.behind, share=0.12)


def invent(rng: Random) -> Scene:
    """A scene for training."""
    while True:
        scene = _any(rng)
        if not held_out(scene):
            return scene


def _any(rng: Random) -> Scene:
    single = rng.choice(SINGLE)
    kind = rng.random()
    if kind < 0.78:
        return single
    if kind < 0.9:
        return Scene(single.colour, single.shape, "", single.behind, rng.randint(2, 4))
    while True:
        beside = rng.choice(list(COLOURS)), rng.choice(SHAPES)
        if possible(beside[0], single.ground):
            return Scene(single.colour, single.shape, "", single.behind, beside=beside)


def paint(scene: Scene, rng: Random) -> Image.Image:
    """The scene, with shades, places and turns of chance."""
    picture = Image.new("RGB", (SIDE, SIDE), shade(rng, COLOURS[scene.ground], SHADE))
    colours = [scene.colour] * scene.count + ([scene.beside[0]] if scene.beside else [])
    shapes = [scene.shape] * scene.count + ([scene.beside[1]] if scene.beside else [])
    side = SIDE * (rng.uniform(*SIZES[scene.size]) if len(shapes) == 1 else rng.uniform(0.3, 0.33))
    for colour, shape, at in zip(colours, shapes, _places(rng, len(shapes)), strict=True):
        place_shape(picture, shape, shade(rng, COLOURS[colour], SHADE), at, side, rng.uniform(-TURN, TURN))
    return picture


def _places(rng: Random, count: int) -> list[tuple[float, float]]:
    """Middles: one near the picture's, two beside each other, more in a triangle or a square."""
    near, far = SIDE * 0.27, SIDE * 0.73
    middles = {
        1: [(SIDE / 2, SIDE / 2)],
        2: [(near, SIDE / 2), (far, SIDE / 2)],
        3: [(SIDE / 2, near), (near, far), (far, far)],
        4: [(near, near), (far, near), (near, far), (far, far)],
    }[count]
    return [(x + rng.uniform(-PLAY, PLAY), y + rng.uniform(-PLAY, PLAY)) for x, y in middles]


def describe(scene: Scene, rng: Random) -> str:
    """One of the ways to ask for the scene."""
    thing = _thing(scene)
    if scene.beside:
        thing = f"{thing} {rng.choice(('and', 'next to', 'left of'))} {article(' '.join(scene.beside))}"
    elif scene.count == 1 and rng.random() < 0.15:
        thing = thing.split(" ", 1)[1]
    if scene.behind:
        ground = article(f"{scene.behind} background")
        bare = ground.split(" ", 1)[1]
        thing = rng.choice((*[f"{thing} on {ground}"] * 3, f"{ground} with {thing}", f"{thing}, {bare}"))
    if rng.random() < 0.08:
        thing = f"a picture of {thing}"
    return thing.replace("grey", "gray") if rng.random() < 0.3 else thing


def asked(scene: Scene) -> str:
    """The plainest prompt for the scene."""
    return f"{_thing(scene)} on {article(f'{scene.behind} background')}" if scene.behind else _thing(scene)


def _thing(scene: Scene) -> str:
    if scene.count > 1:
        return f"{NUMBERS[scene.count - 2]} {scene.colour} {plural(scene.shape)}"
    return article(" ".join(word for word in (scene.size, scene.colour, scene.shape) if word))


def plural(shape: str) -> str:
    return f"{shape}es" if shape == "cross" else f"{shape}s"


def article(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"
