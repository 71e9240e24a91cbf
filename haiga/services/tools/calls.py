"""Calls carried out, within their bounds, and logged.

Rule: whatever goes wrong in a tool is told to the model; the request goes on. The log says who called what, for how
long and how it ended, never what was said.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any

from haiga.core.access import Caller
from haiga.core.errors import HaigaError
from haiga.core.generation import PARTIAL
from haiga.services.tools.hosted import HostedTool, Outcome

log = logging.getLogger("haiga.tools")
LONGEST_ERROR = 1000  # characters
AT_ONCE = 8  # calls of one answer under way
CUT_SHORT = Outcome("The call was not carried out: its arguments are not a whole JSON object.", is_error=True)


class Calls:
    """Calls of one answer."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def carried_out(self, tool: HostedTool, arguments: Mapping[str, Any]) -> Outcome:
        """What came of a call, failures included; never raises."""
        async with self._turn:
            begun = time.monotonic()
            ended, outcome = await _attempt(tool, arguments)
            self._log(tool, ended, time.monotonic() - begun)
        return _bounded(outcome, tool.limit)

    def _log(self, tool: HostedTool, ended: str, seconds: float) -> None:
        said = {
            "server": tool.server,
            "tool": tool.name,
            "key": self._caller.key,
            "workspace": self._caller.workspace,
            "duration_ms": round(seconds * 1000),
            "outcome": ended,
        }
        line = " ".join(f"{name}={value!s}" for name, value in said.items())
        log.info("tool_call %s", line, extra={"tool_call": said})


async def _attempt(tool: HostedTool, arguments: Mapping[str, Any]) -> tuple[str, Outcome]:
    """How a call ended, and what the model is told."""
    if PARTIAL in arguments:
        return "cut", CUT_SHORT
    try:
        async with asyncio.timeout(tool.timeout):
            outcome = await tool.call(arguments)
    except TimeoutError:
        return "timeout", _failure(f"the tool did not answer within {tool.timeout:g} seconds")
    except HaigaError as error:
        return "failed", _failure(error.message)
    except Exception as error:  # whatever a tool does, it does not end the request
        return "failed", _failure(f"the tool failed: {error}")
    return "error" if outcome.is_error else "ok", outcome


def _failure(reason: str) -> Outcome:
    return Outcome(reason[:LONGEST_ERROR], is_error=True)


def _bounded(outcome: Outcome, limit: int) -> Outcome:
    """The outcome cut to `limit` bytes, and saying so."""
    said = outcome.text.encode(errors="replace")
    if len(said) <= limit:
        return Outcome(said.decode(), outcome.is_error)
    kept = said[:limit].decode(errors="ignore")
    return Outcome(f"{kept}\n[cut: {len(said) - limit} of {len(said)} bytes are left out]", outcome.is_error)
