"""What a picture's file says of how it was made, whoever wrote it.

Rule: the texts of the file are told as they are; parameters are those that can be read for sure.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from haiga.text.image_prompts.comfy import read_graph
from haiga.text.image_prompts.infotext import infotext, read_infotext

_INFOTEXTS = ("parameters", "UserComment", "comment")
_GRAPHS = ("prompt", "Model")  # in a PNG a chunk, in EXIF under a camera's model
LONGEST = 100_000  # characters of an infotext that are read for parameters
_SIZE = re.compile(r"(\d+)x(\d+)")


@dataclass(frozen=True, slots=True)
class Recalled:
    """`text`: the infotext, empty when there is none. `parameters`: by infotext's names, a size also as its two sides.
    `others`: the file's other texts."""

    text: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)


def recall(texts: Mapping[str, str]) -> Recalled:
    """From a file's texts by their names."""
    place = next((name for name in _INFOTEXTS if texts.get(name)), None)
    if place is not None:
        others = {name: text for name, text in texts.items() if name != place}
        return Recalled(texts[place], _sided(read_infotext(texts[place][:LONGEST])), others)
    for name in _GRAPHS:
        if found := read_graph(texts.get(name, "").removeprefix("prompt:")):
            return Recalled(infotext(found), _sided(found), texts)
    return Recalled(others=texts)


def _sided(parameters: Mapping[str, str]) -> dict[str, str]:
    sized = ((name, _SIZE.fullmatch(value)) for name, value in parameters.items())
    sides = {f"{name}-{side}": found[side] for name, found in sized if found for side in (1, 2)}
    return {**parameters, **sides}
