"""Damaged copies of good model directories, each read as far as a server reads them before it runs anything.

    python -m tests.unit.mutants COUNT DIRECTORY…

Rule: run in a process of its own whose memory is bounded, so that an allocation as large as a damaged number says fails
here. Prints what was neither accepted nor refused in one line; exits with how many there were.
"""

import json
import random
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from haiga.core.errors import Invalid
from haiga.engines.native.opening import NativeOptions
from haiga.engines.native.portrait import portray
from haiga.engines.native.texts import load_tokenizer
from haiga.models.description import describe
from haiga.models.registry import build
from haiga.models.sources import open_tensors
from haiga.models.weights import Heap, Weights

ROOM = 1 << 30  # bytes beside what the process has when it begins
ODD: list[Any] = [0, -1, 1, 3, 1 << 20, 1 << 31, 1 << 63, 10**30, 0.5, -2.5, 1e-320, 1e308, float("nan"), float("inf")]
ODD += [
    "",
    "x",
    "../../etc/passwd",
    [],
    [1],
    [None] * 3,
    {},
    {"a": 1},
    True,
    False,
    None,
    [[[]]],
    {"rope_type": "yarn"},
]
Change = Callable[[random.Random, Path], None]


def change_config(chance: random.Random, directory: Path) -> None:
    """One field of config.json, or of an object in it."""
    file = directory / "config.json"
    config = json.loads(file.read_text())
    inner = [value for value in config.values() if isinstance(value, dict) and value]
    target = chance.choice([config, config, *inner])
    key = chance.choice(sorted(target))
    if chance.random() < 0.1:
        del target[key]
    else:
        target[key] = chance.choice(ODD)
    file.write_text(json.dumps(config))


def change_header(chance: random.Random, directory: Path) -> None:
    """One tensor's entry in the safetensors header."""
    file = chance.choice(sorted(directory.glob("*.safetensors")))
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    name = chance.choice(sorted(header))
    match chance.randrange(5):
        case 0:
            del header[name]
        case 1:
            header[name]["dtype"] = chance.choice(["F32", "BF16", "U8", "F8_E4M3", "I64", 7])
        case 2:
            header[name]["shape"] = chance.choice([[], [0], [-1, -1], [1 << 40, 1 << 40], [4, 8, 2], "x", [1.5]])
        case 3:
            header[name]["data_offsets"] = chance.choice([[0, 0], [8, 4], [-4, 4], [0, 1 << 60], [0], None])
        case _:
            header[name + chance.choice(["_blocks", "_scales", ".0", "\n"])] = header.pop(name)
    text = json.dumps(header).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])


def change_bytes(chance: random.Random, directory: Path) -> None:
    """A few bytes of any file, or where it ends."""
    file = chance.choice(sorted(each for each in directory.iterdir() if each.is_file()))
    data = bytearray(file.read_bytes())
    for _ in range(chance.choice([1, 2, 8])):
        at = chance.randrange(min(len(data), chance.choice([64, 4096, 1 << 30])))
        data[at] = chance.choice([0, 0x7F, 0xFF, chance.randrange(256)])
    file.write_bytes(data[: len(data) if chance.random() < 0.7 else chance.randrange(len(data))])


def change_index(chance: random.Random, directory: Path) -> None:
    """An index of shards that leads astray."""
    names = [
        "model.safetensors",
        "model.safetensors.index.json",
        ".",
        "..",
        "/dev/zero",
        "a/../b",
        "missing",
        "",
        5,
        None,
    ]
    weights = {f"tensor.{number}": chance.choice(names) for number in range(chance.randrange(4))}
    index: Any = chance.choice([weights, {"weight_map": weights}, {"weight_map": [weights]}, {"weight_map": None}])
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))


def change_tokenizer(chance: random.Random, directory: Path) -> None:
    """A gap or a double in the vocabulary, or a part that is not what it was."""
    file = directory / "tokenizer.json"
    tokenizer = json.loads(file.read_text())
    vocabulary = tokenizer["model"]["vocab"]
    word = chance.choice(sorted(vocabulary))
    match chance.randrange(3):
        case 0:
            vocabulary[word] = chance.choice([0, 306, 307, 1 << 31, 1 << 40, -1, "x", None])
        case 1:
            del vocabulary[word]
        case _:
            tokenizer[chance.choice(sorted(tokenizer))] = chance.choice(ODD)
    file.write_text(json.dumps(tokenizer))


CHANGES: list[Change] = [change_config, change_config, change_header, change_bytes, change_index, change_tokenizer]


def read(path: Path) -> None:
    """All that is read of a model before it runs."""
    describe(path)
    portray(path, NativeOptions())
    load_tokenizer(path)
    build(Weights(open_tensors(path), "int8", Heap()), 0)


def trial(good: Path, change: Change, seed: int, at: Path) -> str | None:
    """What went wrong with one mutant."""
    if good.is_dir():
        shutil.copytree(good, at)
    else:
        at.mkdir()
        shutil.copy(good, at)
    change(random.Random(seed), at)
    try:
        read(at if good.is_dir() else at / good.name)
    except Invalid as refusal:
        return None if "\n" not in str(refusal) else f"more than a line: {refusal}"
    except BaseException as problem:  # a panic of another library is no Exception
        return repr(problem)[:300]
    finally:
        shutil.rmtree(at)
    return None


def main() -> int:
    count, *good = sys.argv[1:]
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, used + ROOM))
    bad = 0
    with tempfile.TemporaryDirectory() as scratch:
        for seed in range(int(count)):
            path = Path(good[seed % len(good)])
            change = random.Random(seed).choice(CHANGES) if path.is_dir() else change_bytes
            problem = trial(path, change, seed, Path(scratch) / "mutant")
            if problem is not None:
                bad += 1
                print(path.name, change.__name__, seed, problem)
    return min(bad, 100)


if __name__ == "__main__":
    sys.exit(main())
