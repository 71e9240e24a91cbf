"""Rotary position embedding: a checkpoint's scaling to frequencies.

Rule: frequencies depend on the model and on the longest context it is loaded for, never on the sequence at hand, so
that a block of keys means the same in every sequence that shares it. For default, linear, llama3 and yarn that is
what transformers does too. Two scalings choose by length there, and here by the loaded context:
`longrope` takes the long factors when the context exceeds the original one (transformers: when the sequence does);
`dynamic` stretches for the whole context (transformers: for the longest sequence seen so far).
Formulas: transformers/modeling_rope_utils.py; papers 2306.15595 (linear), 2309.00071 (yarn), 2402.13753 (longrope).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from haiga.models.fields import Fields

Frequencies = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rope:
    """frequencies: radians per position, [size / 2]; scale: what cosine and sine are multiplied by. axes: what each
    frequency counts where positions count in several things: time (0), rows (1) or columns (2), [size / 2]."""

    frequencies: NDArray[np.float32]
    scale: float = 1.0
    axes: NDArray[np.int64] | None = None

    @property
    def turning(self) -> int:
        """How many of a head's numbers it turns, its first ones."""
        return 2 * len(self.frequencies)


@dataclass(frozen=True, slots=True)
class _Case:
    """What every scaling computes from: its own fields, the head size, the base and the loaded context."""

    fields: Fields
    size: int
    theta: float
    trained: int
    original: int
    context: int

    def plain(self, theta: float | None = None) -> Frequencies:
        """The unscaled frequencies."""
        powers: Frequencies = np.arange(0, self.size, 2, dtype=np.float64) / self.size
        return (theta or self.theta) ** -powers


def read_rope(
    config: Fields, size: int, context: int, default_theta: float = 10_000.0, turns: float = 1.0, kind: str = ""
) -> Rope:
    """The rope of a head of `size` in a model loaded for `context` tokens.

    Reads both forms of config.json: rope_theta with rope_scaling (transformers 4) and rope_parameters (5).
    turns: the part of a head that is turned, where the config does not say. kind: of layer, where rope_parameters tells
    several apart. Raises Invalid for an unknown scaling or a missing field.
    """
    fields = config.object("rope_parameters") or config.object("rope_scaling") or Fields(config.source, {})
    if kind in fields:
        fields = fields.object(kind) or fields
    part = fields.number("partial_rotary_factor", config.number("partial_rotary_factor", turns))
    size = int(size * part)
    if size < 2 or size % 2 or part > 1:
        raise config.refuse("partial_rotary_factor", f"({part}) leaves no even part of a head to turn")
    theta = fields.number("rope_theta", config.number("rope_theta", default_theta))
    trained = config.integer("max_position_embeddings", context)
    # some families keep the original length beside the scaling, and there it wins
    original = config.integer(
        "original_max_position_embeddings", fields.integer("original_max_position_embeddings", trained)
    )
    kind = fields.text("rope_type", fields.text("type", "default"))
    if kind not in _SCALINGS:
        raise fields.refuse("rope_type", f"{kind!r} is not supported; supported: {', '.join(_SCALINGS)}")
    with np.errstate(all="ignore"):
        try:
            frequencies, scale = _SCALINGS[kind](_Case(fields, size, theta, trained, original, context))
        except (ArithmeticError, ValueError):
            raise fields.refuse("rope_theta", f"({theta}) and the fields beside it give no frequencies") from None
    return _finite(fields, Rope(frequencies.astype(np.float32), scale, _axes(fields, size // 2)))


def _finite(fields: Fields, rope: Rope) -> Rope:
    if not np.isfinite(rope.frequencies).all() or not math.isfinite(rope.scale):
        raise fields.refuse("rope_theta", "and the fields beside it give frequencies that are not finite")
    return rope


def _axes(fields: Fields, count: int) -> NDArray[np.int64] | None:
    """Which of time, rows and columns each of `count` frequencies counts (arXiv 2409.12191); mrope_section says how
    many of each there are, in stretches or, interleaved, in turn. None for a rope of one axis."""
    sections = fields.sequence("mrope_section", 3)
    if sections is None:
        return None
    if not all(isinstance(each, int) and each >= 0 for each in sections) or sum(sections[:3]) != count:
        raise fields.refuse("mrope_section", f"is {sections!r}, not three numbers that add up to {count}")
    if not fields.flag("mrope_interleaved", False):
        return np.repeat(np.arange(3), sections[:3])
    axes = np.zeros(count, np.int64)
    for axis in (1, 2):
        axes[axis : sections[axis] * 3 : 3] = axis
    return axes


def plain_rope(config: Fields, size: int, theta: float, kind: str) -> Rope:
    """The rope of the layers of `kind` where only the others' is scaled: with the base that rope_parameters gives for
    it, else the one that all have."""
    named = (config.object("rope_parameters") or Fields(config.source, {})).object(kind)
    theta = config.number("rope_theta", theta) if named is None else named.number("rope_theta", theta)
    powers = np.arange(0, size, 2, dtype=np.float64) / size
    with np.errstate(all="ignore"):
        return _finite(config, Rope((np.float64(theta) ** -powers).astype(np.float32)))


def _default(case: _Case) -> tuple[Frequencies, float]:
    return case.plain(), 1.0


def _linear(case: _Case) -> tuple[Frequencies, float]:
    return case.plain() / case.fields.number("factor"), 1.0


def _dynamic(case: _Case) -> tuple[Frequencies, float]:
    factor = case.fields.number("factor")
    stretch = factor * max(case.context, case.trained) / case.trained - (factor - 1)
    return case.plain(case.theta * stretch ** (case.size / (case.size - 2))), 1.0


def _llama3(case: _Case) -> tuple[Frequencies, float]:
    factor = case.fields.number("factor")
    low, high = case.fields.number("low_freq_factor"), case.fields.number("high_freq_factor")
    plain = case.plain()
    turns = case.original * plain / (2 * math.pi)  # how often a dimension turns within the original context
    share = np.clip((turns - low) / (high - low), 0, 1)
    return (1 - share) * plain / factor + share * plain, 1.0


def _yarn(case: _Case) -> tuple[Frequencies, float]:
    fields = case.fields
    factor = fields.number("factor", case.trained / case.original)
    low, high = (_turning(case, fields.number(name, turns)) for name, turns in (("beta_fast", 32), ("beta_slow", 1)))
    if fields.flag("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, case.size - 1)
    steps = np.arange(case.size // 2, dtype=np.float64)
    ramp = np.clip((steps - low) / (high - low if high != low else 0.001), 0, 1)
    plain = case.plain()
    return plain / factor * ramp + plain * (1 - ramp), _yarn_scale(fields, factor)


def _turning(case: _Case, turns: float) -> float:
    """The dimension that turns `turns` times within the original context."""
    return case.size * math.log(case.original / (turns * 2 * math.pi)) / (2 * math.log(case.theta))


def _yarn_scale(fields: Fields, factor: float) -> float:
    def magnitude(weight: float) -> float:
        return 1.0 if factor <= 1 else 0.1 * weight * math.log(factor) + 1.0

    if fields.get("attention_factor") is not None:
        return fields.number("attention_factor")
    if fields.get("mscale") and fields.get("mscale_all_dim"):
        return magnitude(fields.number("mscale")) / magnitude(fields.number("mscale_all_dim"))
    return magnitude(1)


def _longrope(case: _Case) -> tuple[Frequencies, float]:
    fields = case.fields
    name = "long_factor" if case.context > case.original else "short_factor"
    factors = fields.sequence(name, case.size // 2)
    if factors is None or len(factors) != case.size // 2:
        raise fields.refuse(name, f"must have {case.size // 2} entries")
    factor = fields.number("factor", case.trained / case.original)
    scale = 1.0 if factor <= 1 else math.sqrt(1 + math.log(factor) / math.log(case.original))
    return case.plain() / np.asarray(factors, np.float64), fields.number("attention_factor", scale)


_SCALINGS = {
    "default": _default,
    "mrope": _default,  # as Qwen2.5-VL's files call it
    "linear": _linear,
    "dynamic": _dynamic,
    "llama3": _llama3,
    "yarn": _yarn,
    "longrope": _longrope,
}
