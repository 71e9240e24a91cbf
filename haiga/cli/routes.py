"""The routes file: names behind which several models stand.

Rule: as the tools file: read once, at the start, and whatever is wrong with it ends the start, named by its place.
"""

import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from haiga.config import parse_seconds
from haiga.core.errors import HaigaError, Invalid
from haiga.core.routes import REASONS, Reason, Route, Step

Weights = dict[str, float]


class _Entry(BaseModel):
    """One route of the file. A step is a model's name, or a table of names and weights."""

    model_config = ConfigDict(extra="forbid")

    to: list[str | Weights] = Field(min_length=1, max_length=32)
    on: list[Reason] = list(REASONS)
    timeout: str | None = None


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    routes: dict[str, _Entry] = {}


def read_routes(path: Path | None) -> tuple[Route, ...]:
    """The routes of a TOML file; none without one. Raises Invalid naming the place of what is wrong."""
    if path is None:
        return ()
    try:
        said = _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise Invalid(f"{path}: {error.strerror}", field="--routes") from None
    except ValidationError as error:
        problem = error.errors()[0]
        raise Invalid(problem["msg"], field=f"{path}: {'.'.join(map(str, problem['loc']))}") from None
    except ValueError as error:
        raise Invalid(f"{path}: {error}", field="--routes") from None
    return tuple(_route(f"{path}: routes.{name}", name, entry) for name, entry in said.routes.items())


def check_routes(path: Path | None, routes: Iterable[Route], known: Callable[[str], Any]) -> None:
    """Raises Invalid for a route to a model that is not there; `known` raises for one."""
    for route in routes:
        for model in route.models:
            try:
                known(model)
            except HaigaError:
                raise Invalid(f"there is no model {model}", field=f"{path}: routes.{route.name}.to") from None


def _route(place: str, name: str, entry: _Entry) -> Route:
    timeout = None if entry.timeout is None else _seconds(f"{place}.timeout", entry.timeout)
    steps = tuple(_step(f"{place}.to.{i}", step) for i, step in enumerate(entry.to))
    return Route(name, steps, frozenset(entry.on), timeout)


def _step(place: str, step: str | Mapping[str, float]) -> Step:
    weights = {step: 1.0} if isinstance(step, str) else dict(step)
    if not weights or not all(0 < weight < 1e9 for weight in weights.values()):
        raise Invalid("expected weights above 0", field=place)
    return tuple(weights.items())


def _seconds(place: str, text: str) -> float:
    try:
        return parse_seconds(text)
    except ValueError as problem:
        raise Invalid(f"{problem}, not {text!r}", field=place) from None
