"""What is drawn besides shapes: fonts and words, emoji and their names.

Rule: read once from the folders that the command line names; too little of something is an error, said at the start.
"""

import io
import json
import re
import tarfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageFont

# of each of gemoji's groups so many, in its order, whose names are short: what people mean by common emoji
GROUPS = {
    "Animals & Nature": 55,
    "Food & Drink": 55,
    "Activities": 20,
    "Travel & Places": 25,
    "Objects": 45,
}
NAME = re.compile(r"[a-z]+( [a-z]+)?")
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class Material:
    """`fonts` by family, each a list of files; `words` of four letters; `emoji` by name, as RGBA pictures."""

    fonts: dict[str, list[Path]]
    words: tuple[str, ...]
    emoji: dict[str, Image.Image]


def read(data: Path, fonts: Iterable[Path], texts: Iterable[str]) -> Material:
    """`data` has a folder images; `fonts` are folders that are looked through; words are those of the `texts`.
    Raises ValueError where there is too little to learn from."""
    found = find_fonts(fonts)
    if len(found) < 4:
        raise ValueError(f"only {len(found)} families of fonts were found: {', '.join(found)}; name more folders")
    return Material(found, common_words(texts), read_emoji(data / "images"))


def find_fonts(folders: Iterable[Path]) -> dict[str, list[Path]]:
    """Font files that draw the letters, by family."""
    families: dict[str, list[Path]] = {}
    for folder in folders:
        for file in sorted([*folder.rglob("*.ttf"), *folder.rglob("*.otf")]):
            try:
                font = ImageFont.truetype(file, 40)
            except OSError:
                continue
            shapes = {bytes(font.getmask(letter)) for letter in ALPHABET}
            if len(shapes) > 20:  # a font of symbols draws one box for every letter
                families.setdefault(font.getname()[0] or file.stem, []).append(file)
    return families


def common_words(texts: Iterable[str], least: int = 5) -> tuple[str, ...]:
    """Words of four letters that the texts use at least so often."""
    seen = Counter(word for text in texts for word in re.findall(r"\b[a-z]{4}\b", text))
    return tuple(sorted(word for word, count in seen.items() if count >= least))


def read_emoji(folder: Path, groups: dict[str, int] = GROUPS) -> dict[str, Image.Image]:
    """The common emoji by name. Raises ValueError where some have no picture."""
    listed = json.loads((folder / "gemoji_emoji.json").read_text(encoding="utf-8"))
    chosen = _chosen(listed, groups)
    pictures = _pictures(folder / "noto_emoji_png128.tar.xz", set(chosen.values()))
    if lost := [name for name, file in chosen.items() if file not in pictures]:
        raise ValueError(f"there is no picture of {', '.join(lost)}")
    return {name: pictures[file] for name, file in chosen.items()}


def _chosen(listed: Sequence[dict[str, str]], groups: dict[str, int]) -> dict[str, str]:
    """File by name."""
    chosen: dict[str, str] = {}
    for group, count in groups.items():
        short = [each for each in listed if each["category"] == group and NAME.fullmatch(each["description"])]
        for each in [each for each in short if each["description"] not in chosen][:count]:
            codes = [f"{ord(letter):04x}" for letter in each["emoji"] if letter != "\ufe0f"]
            chosen[each["description"]] = f"emoji_u{'_'.join(codes)}.png"
    return chosen


def _pictures(archive: Path, files: set[str]) -> dict[str, Image.Image]:
    found: dict[str, Image.Image] = {}
    with tarfile.open(archive) as packed:
        for member in packed:
            name = Path(member.name).name
            if name in files and (content := packed.extractfile(member)) is not None:
                found[name] = Image.open(io.BytesIO(content.read())).convert("RGBA")
    return found
