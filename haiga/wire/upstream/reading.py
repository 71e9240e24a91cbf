"""What other servers send, read without trust."""

from typing import Any

import orjson

from haiga.core.errors import Failed

MOST = 2**53  # what a counter may say


def read_json(data: bytes) -> dict[str, Any]:
    """The JSON object in `data`. Raises Failed for anything else."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise Failed("the answer is no JSON") from None
    if not isinstance(value, dict):
        raise Failed("the answer is no JSON object")
    return value


def count(value: Any) -> int:
    """A number of tokens; 0 for what is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST else 0


def number(value: Any) -> float:
    """A log probability; 0 for what is none."""
    return float(value) if isinstance(value, int | float) else 0.0
