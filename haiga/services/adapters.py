"""Adapters that come and go while the server runs.

Rule: what is loaded here is gone after the next start; what is to last is named by the settings or added to the
library. Neither loading nor unloading disturbs who is being answered.
"""

import asyncio
from collections.abc import Callable

from haiga.core.errors import Invalid
from haiga.core.ports import Engine
from haiga.services.library.library import NAME
from haiga.services.models import Models

Open = Callable[[str, str, str | None], Engine]
"""The adapter of a name, in a directory, over a base (None: the model that it names itself), checked; raises core
errors."""


class Adapters:
    """Adapters over `models`."""

    def __init__(self, models: Models, open: Open) -> None:
        self._models = models
        self._open = open

    async def load(self, name: str, path: str, base: str | None = None, instead: bool = False) -> None:
        """Offer the adapter in a directory; `instead` of one of that name, if there is such. Raises Invalid, and
        Unsupported for what it wants of us."""
        if not NAME.fullmatch(name):
            raise Invalid("a name is letters, digits and . _ - : / @ +, at most 200", field="lora_name")
        engine = await asyncio.to_thread(self._open, name, path, base)
        self._models.adopt(engine, instead)

    def unload(self, name: str) -> None:
        """Offer it no longer. Raises NotFound."""
        self._models.abandon(name)
