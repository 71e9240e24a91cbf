"""config.json and its siblings with typed access.

Rule: every field that is missing or has the wrong kind is one line that names the file and the field.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from haiga.core.errors import Invalid
from haiga.models.files import open_regular


@dataclass(frozen=True, slots=True)
class Fields(Mapping[str, Any]):
    """A JSON object and the name of the file (and path in it) it came from."""

    source: str
    content: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.content[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.content)

    def __len__(self) -> int:
        return len(self.content)

    def refuse(self, name: str, problem: str) -> Invalid:
        """The error to raise about field `name`."""
        return Invalid(f"{self.source}: {name} {problem}")

    def integer(self, name: str, default: int | None = None, least: int = 1) -> int:
        """A whole number of at least `least`; null counts as absent."""
        value = self._given(name, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.refuse(name, f"is {value!r}, not a whole number")
        if value < least:
            raise self.refuse(name, f"is {value}, less than {least}")
        return value

    def number(
        self, name: str, default: float | None = None, least: float = -math.inf, most: float = math.inf
    ) -> float:
        """A finite number from `least` to `most`; null counts as absent."""
        value = self._given(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.refuse(name, f"is {value!r}, not a finite number")
        if not least <= value <= most:
            raise self.refuse(name, f"is {value}, {f'less than {least}' if value < least else f'more than {most}'}")
        return float(value)

    def flag(self, name: str, default: bool) -> bool:
        """True or false; null counts as absent."""
        value = self._given(name, default)
        if not isinstance(value, bool):
            raise self.refuse(name, f"is {value!r}, not true or false")
        return value

    def text(self, name: str, default: str | None = None) -> str:
        """A string; null counts as absent."""
        value = self._given(name, default)
        if not isinstance(value, str):
            raise self.refuse(name, f"is {value!r}, not a string")
        return value

    def sequence(self, name: str, length: int | None = None) -> list[Any] | None:
        """A list of at least `length` entries, or None where it is absent or null."""
        value = self.content.get(name)
        if value is None:
            return None
        if not isinstance(value, list):
            raise self.refuse(name, f"is {value!r}, not a list")
        if length is not None and len(value) < length:
            raise self.refuse(name, f"has {len(value)} entries, {length} are needed")
        return value

    def object(self, name: str) -> "Fields | None":
        """A nested object, or None where it is absent or null."""
        value = self.content.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.refuse(name, f"is {value!r}, not an object")
        return Fields(f"{self.source}: {name}", value)

    def ids(self, name: str) -> tuple[int, ...]:
        """Token ids written as one number, a list of numbers or null."""
        value = self.content.get(name)
        found = [] if value is None else value if isinstance(value, list) else [value]
        if any(isinstance(one, bool) or not isinstance(one, int) or one < 0 for one in found):
            raise self.refuse(name, f"is {value!r}, not a token id or a list of them")
        return tuple(found)

    def _given(self, name: str, default: Any) -> Any:
        value = self.content.get(name)
        value = default if value is None else value
        if value is None:
            raise self.refuse(name, "is missing")
        return value


def read_fields(file: Path) -> Fields:
    """The JSON object in `file`. Raises Invalid naming the file when it is absent, unreadable or no object."""
    try:
        with open_regular(file) as stream:
            values = json.loads(stream.read())
    except FileNotFoundError:
        raise Invalid(f"{file}: there is no such file") from None
    except (OSError, ValueError, RecursionError) as problem:
        raise Invalid(f"{file}: cannot be read as JSON ({problem})") from None
    if not isinstance(values, dict):
        raise Invalid(f"{file}: holds no JSON object")
    return Fields(str(file), values)
