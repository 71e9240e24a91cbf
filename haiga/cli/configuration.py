"""The configuration file: TOML with the settings' own names.

Rule: what it says is read as the same text from a flag would be; a name that no setting has is refused.
"""

import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from haiga.config import TABLE
from haiga.core.errors import Invalid


def read_file(path: Path) -> Mapping[str, str]:
    """Each setting's text by its name. Raises Invalid for what is no such file, naming the place."""
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Invalid(str(error.strerror), field=str(path)) from None
    except ValueError as error:
        raise Invalid(str(error), field=str(path)) from None
    return {_known(path, name): _text(f"{path}: {name}", value) for name, value in said.items()}


def _known(path: Path, name: str) -> str:
    if name in TABLE:
        return name
    nearest = get_close_matches(name, TABLE, n=1)
    raise Invalid(f"there is no setting {name!r}" + "".join(f", but {each!r}" for each in nearest), field=str(path))


def _text(place: str, value: Any) -> str:
    """A value as a flag would say it: several with commas between, a table as NAME=VALUE."""
    match value:
        case bool():
            return "yes" if value else "no"
        case str() | int() | float():
            return str(value)
        case list():
            return ",".join(_item(place, item) for item in value)
        case dict():
            return ",".join(f"{_item(place, name)}={_item(place, item)}" for name, item in value.items())
    raise Invalid("expected a string, a number, true or false, a list or a table", field=place)


def _item(place: str, item: Any) -> str:
    if not isinstance(item, str) or "," in item:
        raise Invalid("expected strings without commas", field=place)
    return item
