"""The emoji of the data folder with what people call them.

Rule: every name comes from gemoji or Unicode's annotations; nothing is thrown away but what has no name.
"""

import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from random import Random

from PIL import Image

from trainers.starter_image.scenes import PLAY, SHADE, SIDE, TURN, article
from trainers.starter_vision.material import GROUPS
from trainers.starter_vision.painting import COLOURS, SHAPES, shade

FACES = 70  # of the smileys, in gemoji's order
SKIN = " skin tone"
INNER = 72  # pixels of the pictures that are kept


@dataclass(frozen=True, slots=True)
class Emoji:
    """`names` that mean it alone; `keywords` that say what it is about; `common` where people often ask for it."""

    picture: Image.Image
    names: tuple[str, ...]
    keywords: tuple[str, ...]
    common: bool

    @property
    def toned(self) -> bool:
        return SKIN in self.names[0]


def read(folder: Path) -> list[Emoji]:
    """All that have a picture and a name, without plain shapes. Raises OSError and KeyError where files lack."""
    names, keywords = _names(folder)
    common = _common(folder)
    pictures = _pictures(folder / "noto_emoji_png128.tar.xz")
    return [
        Emoji(pictures[file], tuple(names[file]), tuple(keywords.get(file, ())), file in common)
        for file in sorted(pictures)
        if file in names and not any(_coloured_shape(name) for name in names[file])
    ]


def _coloured_shape(name: str) -> bool:
    """Whether it is one of the emoji that are but a shape in a colour, which scenes.py draws and holds out."""
    words = set(name.split())
    return bool(words & set(COLOURS)) and bool(words & set(SHAPES))


def file_of(emoji: str) -> str:
    codes = [f"{ord(letter):04x}" for letter in emoji if letter != "\ufe0f"]
    return f"emoji_u{'_'.join(codes)}.png"


def _names(folder: Path) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """By file."""
    names: dict[str, list[str]] = {}
    keywords: dict[str, list[str]] = {}
    for each in _gemoji(folder):
        file = file_of(each["emoji"])
        said = [each["description"], *each["aliases"]]
        names[file] = list(dict.fromkeys(plain(name) for name in said))
        keywords[file] = [plain(word) for word in each["tags"]]
    for kind in ("annotations", "annotationsDerived"):
        told = json.loads((folder / f"cldr_en_{kind}.json").read_text(encoding="utf-8"))[kind]["annotations"]
        for emoji, said in told.items():
            file = file_of(emoji)
            for name in said.get("tts", ()):
                if plain(name) not in names.setdefault(file, []):
                    names[file].append(plain(name))
            keywords.setdefault(file, []).extend(plain(word) for word in said.get("default", ()))
    return names, keywords


def _common(folder: Path) -> set[str]:
    """Files of those that stand first in gemoji's groups and have short names, and of the first faces."""
    left = {**GROUPS, "Smileys & Emotion": FACES}
    chosen: set[str] = set()
    for each in _gemoji(folder):
        group = each["category"]
        if left.get(group, 0) > 0 and len(each["description"].split()) < 4:
            left[group] -= 1
            chosen.add(file_of(each["emoji"]))
    return chosen


def _gemoji(folder: Path) -> list[dict[str, str]]:
    listed: list[dict[str, str]] = json.loads((folder / "gemoji_emoji.json").read_text(encoding="utf-8"))
    return listed


def plain(name: str) -> str:
    """In small letters, without marks."""
    return " ".join(name.lower().replace("_", " ").replace(":", ",").split())


def _pictures(archive: Path) -> dict[str, Image.Image]:
    found: dict[str, Image.Image] = {}
    with tarfile.open(archive) as packed:
        for member in packed:
            if member.name.endswith(".png") and (content := packed.extractfile(member)) is not None:
                picture = Image.open(io.BytesIO(content.read())).convert("RGBA")
                found[Path(member.name).name] = picture.resize((INNER, INNER), Image.Resampling.LANCZOS)
    return found


def paint(emoji: Emoji, behind: str, rng: Random) -> Image.Image:
    """The emoji upon a colour, "" meaning white, at a size and place of chance."""
    picture = Image.new("RGB", (SIDE, SIDE), shade(rng, COLOURS[behind], SHADE) if behind else (248, 248, 248))
    side = round(SIDE * rng.uniform(0.88, 0.94))
    drawn = emoji.picture.rotate(rng.uniform(-TURN, TURN), Image.Resampling.BICUBIC).resize(
        (side, side), Image.Resampling.LANCZOS
    )
    edge = (SIDE - side) / 2
    at = round(edge + rng.uniform(-PLAY, PLAY)), round(edge + rng.uniform(-PLAY, PLAY))
    picture.paste(drawn, at, drawn)
    return picture


def describe(emoji: Emoji, behind: str, rng: Random) -> str:
    """One of the ways to ask for it."""
    name = emoji.names[0] if rng.random() < 0.6 else rng.choice(emoji.names)
    if emoji.keywords and rng.random() < 0.15:
        name = ", ".join(rng.sample(emoji.keywords, min(len(emoji.keywords), rng.randint(1, 3))))
    named = article(name)
    said = rng.choice((name, *[named] * 3, f"{named} emoji", f"a picture of {named}"))
    return f"{said} on {article(behind)} background" if behind else said


def choose_ground(rng: Random) -> str:
    """Mostly none."""
    return rng.choice(list(COLOURS)) if rng.random() < 0.3 else ""
