"""Experts that a checkpoint keeps in one tensor, as matrices of their own.

Rule: nothing is read or moved: each expert's matrix is a stretch of the tensor. From here on every mixture is named
`experts.NUMBER.PART.weight`, as most checkpoints name it.
Llama 4 and GPT-OSS multiply from the left (`x @ w`), so that their matrices lie [in, out]. GPT-OSS is published in
MXFP4 (Open Compute's microscaling formats): `_blocks` of 32 numbers of 4 bits, a power of two for each in `_scales`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from haiga.core.errors import Invalid
from haiga.models.weights.entry import MXFP4, Entry

_STACKED = re.compile(r"(.*\.experts)\.(gate_up_proj|down_proj)(_bias|_blocks)?")


def unstack(entries: Mapping[str, Entry]) -> dict[str, Entry]:
    """`entries` with each expert's part of a stacked tensor in its place. Raises Invalid naming a tensor whose shape is
    none that such a stack has."""
    found: dict[str, Entry] = {}
    for name, entry in entries.items():
        match = _STACKED.fullmatch(name)
        if match is None:
            if not name.endswith("_proj_scales"):
                found[name] = entry
            continue
        found |= _parts(entries, name, entry, *match.groups())
    return found


def _parts(
    entries: Mapping[str, Entry], name: str, entry: Entry, stem: str, part: str, kind: str | None
) -> Iterator[tuple[str, Entry]]:
    match kind, entry.shape:
        case "_bias", (int(), _):
            whole, last = entry, "bias"
        case None, (int(), inner, outer):
            whole, last = replace(entry, shape=(entry.shape[0], outer, inner), transposed=True), "weight"
        case "_blocks", (int(), _, _, 16):
            whole, last = _packed(entries, name, entry), "weight"
        case _:
            raise Invalid(f"{entry.file}: tensor {name} of shape {list(entry.shape)} holds no experts")
    for number, each in enumerate(slices(whole)):
        yield f"{stem}.{number}.{part}.{last}", each


def slices(entry: Entry) -> Iterator[Entry]:
    """The tensors that lie one behind another along the first axis."""
    count = max(entry.shape[0], 1)
    size = entry.size // count
    scales = list(slices(entry.scales)) if entry.scales else [None] * count
    for number in range(entry.shape[0]):
        begin = entry.begin + number * size
        yield replace(entry, shape=entry.shape[1:], begin=begin, size=size, scales=scales[number])


def _packed(entries: Mapping[str, Entry], name: str, entry: Entry) -> Entry:
    scales = entries.get(name.removesuffix("_blocks") + "_scales")
    count, outer, blocks, _ = entry.shape
    if scales is None or scales.shape != (count, outer, blocks) or {entry.dtype, scales.dtype} != {"U8"}:
        raise Invalid(f"{entry.file}: tensor {name} has no scales that go with it")
    return replace(entry, dtype=MXFP4, shape=(count, outer, 32 * blocks), scales=scales)
