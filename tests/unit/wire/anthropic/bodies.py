"""Bodies of the Messages API, for the tests that read them."""

import json
from typing import Any

import pytest

from haiga.core.errors import Invalid, Unsupported
from haiga.core.generation import TextRequest
from haiga.wire.anthropic.messages_in import read_message

OLD, NEW = "2023-06-01", "2026-10-21"
HI = {"role": "user", "content": "Hi"}
EPHEMERAL = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "max_tokens": 16, "messages": [HI], **fields}).encode()


def read(version: str = OLD, **fields: Any) -> TextRequest:
    return read_message(body(**fields), version).request


def blocks(*content: Any, role: str = "user", version: str = OLD) -> tuple[Any, ...]:
    """The core blocks of a message with this content."""
    after = [HI] if role == "assistant" else []
    return read(version, messages=[{"role": role, "content": list(content)}, *after]).messages[0].content


def refusal(version: str | None = OLD, **fields: Any) -> str:
    with pytest.raises((Invalid, Unsupported)) as caught:
        read_message(body(**fields), version)
    return str(caught.value)


def saying(*content: Any, role: str = "user", version: str = OLD) -> str:
    return refusal(version, messages=[{"role": role, "content": list(content)}])
