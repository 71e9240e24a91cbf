"""What people write for a setting, read.

Rule: what does not fit raises ValueError saying what is expected.
"""

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from haiga.core.hours import Window, parse_window

_SIZES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def parse_bytes(text: str) -> int:
    """A number of bytes: 512MiB, 4GB, 4g (K, M, G and T are powers of 1024)."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:I?B)?", text.strip().upper())
    if not match:
        raise ValueError("expected a size such as 4GB or 512MB")
    return int(float(match[1]) * _SIZES[match[2]])


def parse_count(text: str) -> int:
    """A number of tokens, at least 1: 32768, or 32k for 32 * 1024."""
    match = re.fullmatch(r"(\d+)([kK]?)", text.strip())
    if not match or int(match[1]) < 1:
        raise ValueError("expected a number such as 8192 or 32k")
    return int(match[1]) * (1024 if match[2] else 1)


def parse_number(text: str) -> int:
    """A number, 0 among them."""
    return 0 if text.strip() == "0" else parse_count(text)


def parse_some(text: str) -> int:
    """A number of things, at least one."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:20]) <= 10**9:
        raise ValueError("expected a whole number above 0")
    return int(text)


def parse_seconds(text: str) -> float:
    """A time: 90, 30s, 15m, 12h, 30d."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text.strip())
    if not match:
        raise ValueError("expected a time such as 30s, 15m, 12h or 30d")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]


def parse_pairs(text: str) -> tuple[tuple[str, str], ...]:
    """NAME=VALUE, several separated by commas."""
    pairs = tuple(tuple(part.strip() for part in item.split("=", 1)) for item in parse_list(text))
    if not all(len(pair) == 2 and all(pair) for pair in pairs):
        raise ValueError("expected NAME=VALUE")
    return tuple((pair[0], pair[1]) for pair in pairs)


def parse_shares(text: str) -> tuple[tuple[str, float], ...]:
    """NAME=SHARE, several separated by commas; a share is above 0 and at most 1."""
    try:
        shares = tuple((name, float(share)) for name, share in parse_pairs(text))
    except ValueError:
        raise ValueError("expected NAME=SHARE, a share being above 0 and at most 1") from None
    if not all(0 < share <= 1 for _, share in shares):
        raise ValueError("expected a share above 0 and at most 1")
    return shares


def parse_list(text: str) -> tuple[str, ...]:
    """Items separated by commas."""
    return tuple(item.strip() for item in text.split(",") if item.strip())


def parse_windows(text: str) -> tuple[Window, ...]:
    """Windows of the day, separated by commas."""
    return tuple(map(parse_window, parse_list(text)))


def parse_switch(text: str) -> bool:
    if text.lower() not in {"1", "0", "true", "false", "yes", "no", "on", "off"}:
        raise ValueError("expected yes or no")
    return text.lower() in {"1", "true", "yes", "on"}


def parse_port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise ValueError("expected a port from 0 to 65535")
    return int(text)


def parse_url(text: str) -> str:
    """The address of a server, without a slash at its end."""
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or not 0 <= (parts.port or 0) <= 65535:
        raise ValueError("expected an address such as http://127.0.0.1:8000")
    return text.rstrip("/")


def parse_database(text: str) -> str:
    """The URL of a PostgreSQL database, as libpq reads it."""
    if not text.startswith(("postgresql://", "postgres://")):
        raise ValueError("expected an address such as postgresql://user@host/name")
    return text


def parse_directory(text: str) -> Path:
    return Path(text).expanduser()


def one_of(*choices: str) -> Callable[[str], str]:
    """A parser for a fixed set of words."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"expected one of {', '.join(choices)}")
        return text

    return parse
