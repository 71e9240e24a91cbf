"""How a model is to be run: what lies beside it, on which device, how it is to fit there.

Rule: "auto" leaves a choice to what was measured; anything else is taken as it is, or refused where it cannot be.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from haiga.core.errors import Invalid
from haiga.engines.diffusers.fitting import Wanted

AUTO = Wanted()
BACKENDS = ("torch", "compile", "openvino", "onnx")


@dataclass(frozen=True, slots=True)
class Setup:
    """`shelf`: the folder of LoRAs and the like; `pickles`: whether files that could run code are read from there, as
    weights alone. `wanted`: device, numbers and memory. `denoiser`, `decoder`: what runs these parts. `own_size`: the
    model paints well in the size that it was trained on alone, so pictures of others are made of such."""

    shelf: Path | None = None
    pickles: bool = False
    wanted: Wanted = AUTO
    denoiser: str = "torch"
    decoder: str = "torch"
    own_size: bool = False

    def __post_init__(self) -> None:
        for name in ("denoiser", "decoder"):
            if getattr(self, name) not in BACKENDS:
                raise Invalid(f"{getattr(self, name)!r} is none of {', '.join(BACKENDS)}", field=name)

    def told(self) -> dict[str, Any]:
        """As it crosses to a painting process."""
        return {**asdict(self), "shelf": str(self.shelf) if self.shelf else None}

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> "Setup":
        shelf = Path(told["shelf"]) if told["shelf"] else None
        return cls(**{**told, "shelf": shelf, "wanted": Wanted(**told["wanted"])})
