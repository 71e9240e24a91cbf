"""Prices from a file, in US dollars per million tokens.

batch = 0.5                     # the share of it all that batches pay
[models.starter]                # by name, or by a pattern such as "qwen*"; the first that fits holds
input = 0.80
output = 4
cache_read = 0.08               # without it and the next two: as input
cache_write = 1
cache_write_1h = 1.60
[models.boats]
image = 0.02                    # US dollars of a picture
"""

import tomllib
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from haiga.core.errors import Invalid
from haiga.core.records import Price

MILLION = 1_000_000
MOST = 1_000_000  # US dollars per million tokens, and of a picture
KINDS = {
    "input": "prompt",
    "output": "completion",
    "cache_read": "cache_read",
    "cache_write": "cache_write",
    "cache_write_1h": "cache_write_1h",
}


class Prices(Mapping[str, Price]):
    """Prices by a model's name. `told` is what others say that a model of theirs costs."""

    def __init__(self, patterns: Mapping[str, Price], told: Callable[[str], Price | None] = lambda name: None) -> None:
        self._patterns = dict(patterns)
        self._told = told

    def become(self, others: "Prices") -> bool:
        """Hold other prices from now on; False when they are the same."""
        changed = self._patterns != others._patterns
        self._patterns = dict(others._patterns)
        return changed

    def __getitem__(self, name: str) -> Price:
        """The price under this very name, else under the first pattern that fits, else what is told."""
        if name in self._patterns:
            return self._patterns[name]
        for pattern, price in self._patterns.items():
            if fnmatchcase(name, pattern):
                return price
        if (said := self._told(name)) is not None:
            return said
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._patterns)

    def __len__(self) -> int:
        return len(self._patterns)


def read_prices(path: Path, told: Callable[[str], Price | None] = lambda name: None) -> Prices:
    """The prices of a file, and `told` for what it does not name. Raises Invalid naming the file and what is wrong."""
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
        return Prices(dict(_prices(said)), told)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise Invalid(f"{path}: {problem}") from None
    except ValueError as problem:
        raise Invalid(f"{path}: {problem}") from None


def _prices(said: Mapping[str, Any]) -> Iterator[tuple[str, Price]]:
    _known(said, {"batch", "models"}, "the file")
    batch = _number(said, "batch", "batch", 1, Decimal("0.5"))
    models = said.get("models", {})
    if not isinstance(models, dict):
        raise ValueError("models: expected a table for each model")
    for name, fields in models.items():
        if not isinstance(fields, dict):
            raise ValueError(f"models.{name}: expected a table")
        _known(fields, {*KINDS, "batch", "image"}, f"models.{name}")
        prices = {
            KINDS[kind]: _number(fields, kind, f"models.{name}.{kind}", MOST) / MILLION
            for kind in KINDS
            if kind in fields
        }
        image = _number(fields, "image", f"models.{name}.image", MOST)
        yield name, Price(**prices, batch=_number(fields, "batch", f"models.{name}.batch", 1, batch), image=image)


def _known(said: Mapping[str, Any], names: set[str], where: str) -> None:
    if unknown := sorted(said.keys() - names):
        raise ValueError(f"{where}: unknown field {unknown[0]}; known are {', '.join(sorted(names))}")


def _number(said: Mapping[str, Any], name: str, where: str, most: int, default: Decimal = Decimal(0)) -> Decimal:
    value = said.get(name, default)
    fits = isinstance(value, int | Decimal) and not isinstance(value, bool) and Decimal(value).is_finite()
    if not fits or not 0 <= value <= most:
        raise ValueError(f"{where}: expected a number from 0 to {most:,}")
    return Decimal(value)
