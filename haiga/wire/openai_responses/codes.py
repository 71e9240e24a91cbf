"""What clients keep for us as one opaque word, `encrypted_content`: thoughts and summaries.

Rule: it is a code and no secret: whoever holds it was shown what it says. Another server's code stays closed.
"""

import base64
from typing import Any

import orjson

CODE = "haiga1."


def encode_thoughts(text: str, signature: str) -> str:
    """Thoughts, for clients that keep nothing else of them."""
    return _encode([text, signature])


def decode_thoughts(code: str) -> tuple[str, str] | None:
    """Thoughts and their signature from this server's code; None for anything else."""
    match _decode(code):
        case [str(text), str(signature)]:
            return text, signature
    return None


def encode_summary(text: str) -> str:
    """The summary of a conversation."""
    return _encode({"summary": text})


def decode_summary(code: str) -> str | None:
    """A summary from this server's code; None for anything else."""
    match _decode(code):
        case {"summary": str(text)}:
            return text
    return None


def _encode(value: Any) -> str:
    return CODE + base64.urlsafe_b64encode(orjson.dumps(value)).decode()


def _decode(code: str) -> Any:
    if not code.startswith(CODE):
        return None
    try:
        return orjson.loads(base64.urlsafe_b64decode(code.removeprefix(CODE)))
    except ValueError:
        return None
