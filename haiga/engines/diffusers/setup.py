"""How a model is to be run: what lies beside it, on which device, how it is to fit there.

Rule: "auto" leaves a choice to what was measured; anything else is taken as it is, or refused where it cannot be.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Setup:
    """`shelf`: the folder of LoRAs and the like; `pickles`: whether files that could run code are read from there, as
    weights alone."""

    shelf: Path | None = None
    pickles: bool = False

    def told(self) -> dict[str, Any]:
        """As it crosses to a painting process."""
        return {**asdict(self), "shelf": str(self.shelf) if self.shelf else None}

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> "Setup":
        return cls(**{**told, "shelf": Path(told["shelf"]) if told["shelf"] else None})
