"""A request as plain JSON values, with the pictures in it apart.

Rule: what is read is what was written, as its type says it: dataclasses, tuples of one kind, plain values, and what may
be None. A picture stands as its place among those that go along.
"""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any, get_args, get_type_hints

from haiga.core.pictures import Picture


def flat(value: Any) -> tuple[Any, list[Picture]]:
    """The value for JSON, and its pictures."""
    pictures: list[Picture] = []
    return _flat(value, pictures), pictures


def unflat(kind: Any, told: Any, pictures: Sequence[Picture]) -> Any:
    """The value of a type that `flat` was given."""
    if told is None:
        return None
    kind = kind if is_dataclass(kind) else next((each for each in get_args(kind) if is_dataclass(each)), kind)
    if isinstance(told, list):
        return tuple(unflat(kind, each, pictures) for each in told)
    if kind is Picture:
        return pictures[told]
    if is_dataclass(kind):
        types = get_type_hints(kind)
        return kind(**{name: unflat(types[name], each, pictures) for name, each in told.items()})  # type: ignore[operator]
    return told


def _flat(value: Any, pictures: list[Picture]) -> Any:
    if isinstance(value, Picture):
        pictures.append(value)
        return len(pictures) - 1
    if isinstance(value, tuple):
        return [_flat(each, pictures) for each in value]
    if is_dataclass(value):
        return {field.name: _flat(getattr(value, field.name), pictures) for field in fields(value)}
    return value
