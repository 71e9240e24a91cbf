"""What a row of the table of settings has."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Setting:
    """One row: its flag (None: told by the environment alone), how its text is read, what holds when nobody says
    anything, what it is for. `switch` is what a flag that takes no value says; one that may be repeated has `many`; no
    error repeats what is `secret`."""

    flag: str | None
    parse: Callable[[str], Any]
    default: str | None
    environment: str
    help: str
    metavar: str = ""
    switch: str | None = None
    secret: bool = False
    many: bool = False
