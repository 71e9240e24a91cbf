"""Damaged pictures and PDFs, decoded as the server decodes them.

    python -m tests.unit.intake.damaged COUNT

Prints how many were read all the same, how many refused, the longest time and the most memory of a decoding process;
exits with how many broke it.
"""

import asyncio
import os
import random
import struct
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from haiga.core.errors import Invalid
from haiga.services.decoding.decoder import BROKEN, Decoder, PictureWish
from tests.papers import coded, pdf

WISH = PictureWish(side=8000, edge=1568, patches=1568)
EDGE = 400  # pixels of a page's picture
ODD = [b"\0", b"\xff", b"\x7f", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0"]
NUMBERS = [b"-1", b"0", b"99999999999", b"2147483648", b"1e308", b"null", b"<<", b"[", b"1 0 R", b"9 0 R", b"%PDF-"]
PNG_HEAD = 33  # bytes until the end of the chunk with the size
Change = Callable[[random.Random, bytearray], None]


@dataclass(slots=True)
class Outcome:
    """`broken`: the files that took a process with them; `slowest` in seconds, `memory` in bytes."""

    read: int = 0
    refused: int = 0
    broken: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    slowest: float = 0.0
    memory: int = 0


def originals() -> dict[str, bytes]:
    """Whole files of every kind."""
    noise = Image.effect_noise((97, 61), 80)
    colours = Image.merge("RGB", [noise, noise.rotate(90, expand=False), noise.rotate(180)])
    clear = colours.copy()
    clear.putalpha(noise)
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = {"save_all": True, "append_images": [colours.rotate(180)]}
    return {
        "jpeg": coded(colours, "JPEG", exif=exif),
        "progressive": coded(colours, "JPEG", progressive=True),
        "cmyk": coded(colours.convert("CMYK"), "JPEG"),
        "png": coded(clear, "PNG"),
        "palette": coded(colours.convert("P"), "PNG", transparency=3),
        "deep": coded(noise.convert("I;16"), "PNG"),
        "gif": coded(colours.convert("P"), "GIF", **frames),
        "webp": coded(clear, "WEBP"),
        "lossless": coded(colours, "WEBP", lossless=True),
        "moving": coded(colours, "WEBP", **frames),
        "pdf": pdf("Grass is green.\nSky is blue.", "Snow (and ice) is white.", "x" * 300),
        "locked": pdf("secret", password="p"),
    }


def cut(chance: random.Random, data: bytearray) -> None:
    del data[chance.randrange(len(data)) :]


def flip(chance: random.Random, data: bytearray) -> None:
    for _ in range(chance.choice([1, 4, 40])):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def put(chance: random.Random, data: bytearray) -> None:
    """An odd number over bytes, most often near the beginning, where sizes are."""
    at = chance.randrange(min(len(data), chance.choice([64, 512, len(data)])))
    odd = chance.choice(ODD)
    data[at : at + len(odd)] = odd


def repeat(chance: random.Random, data: bytearray) -> None:
    start = chance.randrange(len(data))
    piece = data[start : start + chance.randrange(1, 2000)]
    data[start:start] = piece * chance.choice([1, 3, 200])


def drop(chance: random.Random, data: bytearray) -> None:
    start = chance.randrange(len(data))
    del data[start : start + chance.randrange(1, 500)]


def renumber(chance: random.Random, data: bytearray) -> None:
    """Another word in a PDF's text; another width or height in a PNG, with a sum that holds."""
    if data.startswith(b"%PDF"):
        words = data.split(b" ")
        words[chance.randrange(len(words))] = chance.choice(NUMBERS)
        data[:] = b" ".join(words)
    elif data.startswith(b"\x89PNG") and len(data) > PNG_HEAD:
        struct.pack_into(">I", data, 16 + 4 * chance.randrange(2), chance.choice([0, 1, 7999, 8001, 2**31 - 1]))
        struct.pack_into(">I", data, PNG_HEAD - 4, zlib.crc32(data[12 : PNG_HEAD - 4]))
    else:
        put(chance, data)


CHANGES: tuple[Change, ...] = (cut, flip, flip, put, put, repeat, drop, renumber, renumber)


def damaged(count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """So many damaged files, each with a name by which it is found again."""
    whole = originals()
    for number in range(count):
        chance = random.Random(f"{seed} {number}")
        kind = sorted(whole)[number % len(whole)]
        data = bytearray(whole[kind])
        changes = [chance.choice(CHANGES) for _ in range(chance.choice([1, 1, 2, 5]))]
        for change in changes:
            if data:
                change(chance, data)
        yield f"{kind} {number} {' '.join(change.__name__ for change in changes)}", bytes(data)


async def decode(files: Iterator[tuple[str, bytes]]) -> Outcome:
    decoder, outcome = Decoder(), Outcome()
    for name, data in files:
        start = time.perf_counter()
        try:
            if name.startswith(("pdf", "locked")):
                [page async for page in decoder.pages(data, 100, EDGE)]
            else:
                await decoder.picture(data, WISH)
            outcome.read += 1
        except Invalid as refusal:
            outcome.refused += 1
            if refusal.message == BROKEN:
                outcome.broken.append(name)
            if not refusal.message:
                outcome.unexplained.append(name)
        outcome.slowest = max(outcome.slowest, time.perf_counter() - start)
        outcome.memory = max(outcome.memory, *_peaks())
    await decoder.close()
    return outcome


def _peaks() -> Iterator[int]:
    """The most memory that each child has had so far."""
    yield 0
    for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        status = Path(f"/proc/{child}/status")
        for line in status.read_text().splitlines() if status.exists() else ():
            if line.startswith("VmHWM"):
                yield int(line.split()[1]) << 10


def main() -> None:
    count = int(sys.argv[1])
    outcome = asyncio.run(decode(damaged(count)))
    print(
        f"{count} damaged files: {outcome.read} read, {outcome.refused} refused, {len(outcome.broken)} broke a decoder"
    )
    print(f"slowest {outcome.slowest:.2f} s, most memory of a decoding process {outcome.memory >> 20} MiB")
    for name in (*outcome.broken, *outcome.unexplained):
        print(name)
    sys.exit(min(len(outcome.broken) + len(outcome.unexplained), 100))


if __name__ == "__main__":
    main()
