"""adapter_config.json, as PEFT writes it.

Rule: what changes the arithmetic is read, or refused by its name; what only mattered in training is passed over.
Formulas: PEFT's LoraConfig; rank-stabilised scaling is arXiv 2312.03732.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from haiga.core.errors import Invalid, Unsupported
from haiga.models.fields import Fields, read_fields

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
LARGEST_RANK = 512
_REFUSED = (  # fields that must be absent, null, false or empty
    "use_dora",
    "modules_to_save",
    "lora_bias",
    "fan_in_fan_out",
    "layer_replication",
    "trainable_token_indices",
    "target_parameters",
    "alora_invocation_tokens",
    "arrow_config",
    "use_qalora",
    "use_bdlora",
)
_STARTS = (True, False, "gaussian", "eva", "orthogonal")  # of the factors; other ways change the base's weights


@dataclass(frozen=True, slots=True)
class LoraConfig:
    """rank, alpha: of a layer that no pattern names. stabilised: the product is scaled by alpha / sqrt(rank), not
    alpha / rank. targets: ends of the names of the layers that must have tensors; none where that is not to be told."""

    rank: int
    alpha: float
    stabilised: bool
    ranks: Mapping[str, int]
    alphas: Mapping[str, float]
    targets: tuple[str, ...]

    def rank_of(self, layer: str) -> int:
        """The rank that the config gives a layer."""
        return next((rank for ends, rank in self.ranks.items() if _ends(layer, ends)), self.rank)

    def scale_of(self, layer: str) -> float:
        """What a layer's product is multiplied by."""
        alpha = next((alpha for ends, alpha in self.alphas.items() if _ends(layer, ends)), self.alpha)
        rank = self.rank_of(layer)
        return alpha / (rank**0.5 if self.stabilised else rank)

    def wants(self, layer: str) -> bool:
        """Whether a layer must have tensors."""
        return any(_ends(layer, target) for target in self.targets)


def is_adapter(directory: Path) -> bool:
    """Whether `directory` holds an adapter rather than a model."""
    return (directory / CONFIG).is_file()


def read_base(directory: Path) -> str | None:
    """What the adapter in `directory` says that it was trained on; None where it says nothing. Raises Invalid."""
    config = read_fields(directory / CONFIG)
    return config.text("base_model_name_or_path", "") or None


def read_lora(directory: Path) -> LoraConfig:
    """Raises Invalid naming the field, and Unsupported for one that we cannot do."""
    config = read_fields(directory / CONFIG)
    if (kind := config.text("peft_type", "")) != "LORA":
        raise Unsupported(f"{config.source}: peft_type {kind!r} is not supported; supported: LORA")
    for name in _REFUSED:
        if config.get(name) not in (None, False, [], {}, ""):
            raise Unsupported(f"{config.source}: {name} is not supported")
    if (bias := config.text("bias", "none")) != "none":
        raise Unsupported(f"{config.source}: bias {bias!r} is not supported; supported: none")
    start = config.get("init_lora_weights")
    if start is not None and (isinstance(start, list | dict) or start not in _STARTS):
        raise Unsupported(f"{config.source}: init_lora_weights {start!r} is not supported: it changes the base")
    return LoraConfig(
        rank=_rank(config, "r", 8),
        alpha=config.number("lora_alpha", 8.0),
        stabilised=config.flag("use_rslora", False),
        ranks={name: _rank(fields, name) for fields, name in _pattern(config, "rank_pattern")},
        alphas={name: fields.number(name) for fields, name in _pattern(config, "alpha_pattern")},
        targets=_targets(config),
    )


def _rank(config: Fields, name: str, default: int | None = None) -> int:
    rank = config.integer(name, default)
    if rank > LARGEST_RANK:
        raise config.refuse(name, f"is {rank}, more than {LARGEST_RANK}")
    return rank


def _pattern(config: Fields, field: str) -> list[tuple[Fields, str]]:
    """The entries of a table of layers. PEFT takes their names for regular expressions; here they are the ends of names
    that they nearly always are, and an expression is refused."""
    table = config.object(field) or Fields(config.source, {})
    for name in table:
        if not re.fullmatch(r"\^?[\w.]+\$?", name):
            raise Unsupported(f"{config.source}: {field}: {name!r} is not supported; write the end of a layer's name")
    return [(table, name) for name in table]


def _ends(layer: str, name: str) -> bool:
    """Whether a layer is called so: the whole of its last parts."""
    name = name.removesuffix("$")
    return layer == name.removeprefix("^") if name.startswith("^") else f".{layer}".endswith(f".{name}")


def _targets(config: Fields) -> tuple[str, ...]:
    """Where only some layers were trained, or an expression picked them, the tensors alone tell which."""
    narrowed = any(config.get(name) not in (None, []) for name in ("layers_to_transform", "exclude_modules"))
    targets = config.get("target_modules")
    if narrowed or not isinstance(targets, list):
        return ()
    if not all(isinstance(target, str) for target in targets):
        raise Invalid(f"{config.source}: target_modules is {targets!r}, not a list of names")
    return tuple(targets)
