"""Another server whose models are offered here, as an operator describes it.

Rule: no secret is in it: `key_env` names the environment variable that holds the key.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from haiga.core.ports import Capabilities
from haiga.core.records import Price

Kind: TypeAlias = Literal["anthropic", "openai", "openrouter"]
URLS: Mapping[Kind, str] = {
    "anthropic": "https://api.anthropic.com",
    "openai": "https://api.openai.com/v1",
    "openrouter": "https://openrouter.ai/api/v1",
}
EVERYTHING = Capabilities(images=True, documents=True, tools=True, thinking=True, structured_output=True)


@dataclass(frozen=True, slots=True)
class KnownModel:
    """What an upstream tells of one of its models, by the name it has there; 0 and None are for what it does not
    tell."""

    name: str
    display_name: str = ""
    created: int = 0
    context: int = 0
    max_output: int = 0
    capabilities: Capabilities = EVERYTHING
    price: Price | None = None


@dataclass(frozen=True, slots=True)
class Upstream:
    """`kind` says which API it speaks, `url` where, as that API's SDK is told it.

    `models` are (name here, name there); one star in each stands for the same text. `concurrency` bounds the requests
    under way, None for no bound; `timeout` is the longest silence in seconds; `proxy` the address of a proxy on the way
    there. `known` is what it told of its models when it was asked last. `added_at` is unix seconds.
    """

    name: str
    kind: Kind
    url: str
    key_env: str | None
    models: tuple[tuple[str, str], ...]
    concurrency: int | None = None
    timeout: float = 600.0
    proxy: str | None = None
    added_at: int = 0
    known: tuple[KnownModel, ...] = ()

    def theirs(self, name: str) -> str | None:
        """The name there of the model that is called `name` here; None for none."""
        exact = next((there for here, there in self.models if here == name), None)
        return exact or next((found for pair in self.models if (found := _carried(name, *pair))), None)

    def ours(self, there: str) -> str | None:
        """The name here of one of its models; None for one that is not offered."""
        return next((found for here, their in self.models if (found := _carried(there, their, here))), None)


def _carried(name: str, pattern: str, into: str) -> str | None:
    """`into` with what the star of `pattern` stands for in `name`."""
    head, star, tail = pattern.partition("*")
    if not star:
        return into if name == pattern else None
    match = re.fullmatch(re.escape(head) + "(.+)" + re.escape(tail), name, re.DOTALL)
    return into.replace("*", match[1], 1) if match else None
