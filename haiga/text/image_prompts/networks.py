"""`<lora:name:0.8>` in a prompt: which networks it names, and the prompt without them.

Rule: what is not a network's name is left in the text as it is.
"""

import re
from dataclasses import dataclass

_NETWORK = re.compile(r"<(lora|lyco|hypernet):([^<>:]+)((?::[^<>:]*)*)>")


@dataclass(frozen=True, slots=True)
class Network:
    """An adapter beside the model: its weight in the denoiser, and in the text encoders."""

    name: str
    weight: float = 1.0
    text_weight: float = 1.0


def networks(text: str) -> tuple[str, tuple[Network, ...]]:
    """The text without what names networks, and those, each once, as named last.

    A1111 has `<lora:name:weight>`, SD.Next `<lora:name:te=0.5:unet=1.0>` and the same by place: text encoder, denoiser.
    """
    found: dict[str, Network] = {}

    def take(match: re.Match[str]) -> str:
        network = _read(match[2].strip(), match[3])
        if network is None:
            return match[0]
        found[network.name] = network
        return ""

    rest = _NETWORK.sub(take, text)
    return (" ".join(rest.split()) if found else text), tuple(found.values())


def _read(name: str, rest: str) -> Network | None:
    places: list[float] = []
    named: dict[str, float] = {}
    for field in rest.split(":")[1:]:
        key, _, value = field.rpartition("=")
        try:
            number = float(value)
        except ValueError:
            return None
        if key:
            named[key.strip()] = number
        else:
            places.append(number)
    first = places[0] if places else 1.0
    text = named.get("te", first)
    return Network(name, named.get("unet", places[1] if len(places) > 1 else first), text)
