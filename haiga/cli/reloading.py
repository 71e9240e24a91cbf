"""SIGHUP: the settings read again, and those that can change while the server runs changed.

Rule: all of them or none: a file that does not fit changes nothing. What needs a restart is named in the log.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import TypeAlias

from haiga.config import Settings
from haiga.core.audit import Actor
from haiga.core.errors import HaigaError
from haiga.services.audit import Audit

Read: TypeAlias = Callable[[], Settings]
Prepare: TypeAlias = Callable[[Settings], Callable[[], bool | None]]
"""What it takes to follow new settings, ready to be done; False when nothing changes. Raises Invalid."""

log = logging.getLogger(__name__)


def at_once(change: Callable[[Settings], None]) -> Prepare:
    """A change that cannot fail."""
    return lambda settings: lambda: change(settings)


class Reloading:
    """`read` gives the settings as they are said now; `live` are the changes that need no restart, by their settings'
    names. Those named in `always` are made even if the setting is as before: it names a file."""

    def __init__(
        self, settings: Settings, read: Read, live: Mapping[str, Prepare], always: tuple[str, ...], audit: Audit
    ) -> None:
        self._settings = settings
        self._read = read
        self._live = live
        self._always = always
        self._audit = audit
        self._turn = asyncio.Lock()

    async def reload(self) -> None:
        """Never raises for what is wrong with the settings: the server goes on as it was, and the log says why."""
        async with self._turn:
            try:
                new = await asyncio.to_thread(self._read)
                differing = {each.name for each in fields(Settings) if self._differs(each.name, new)}
                ready = {
                    name: self._live[name](new) for name in self._live if name in differing or name in self._always
                }
            except HaigaError as error:
                log.error("the settings were not reloaded, nothing has changed: %s", error)
                return
            changed = sorted(name for name, change in ready.items() if change() is not False)
            waiting = sorted(differing - self._live.keys())
            # what needs a restart differs from what holds until there is one
            self._settings = replaced(self._settings, new, self._live)
            await self._tell(changed, waiting)

    def _differs(self, name: str, new: Settings) -> bool:
        return bool(getattr(new, name) != getattr(self._settings, name))

    async def _tell(self, changed: list[str], waiting: list[str]) -> None:
        log.info("settings reloaded", extra={"said": {"changed": ", ".join(changed) or "nothing"}})
        if waiting:
            log.warning("these settings need a restart: %s", ", ".join(waiting))
        try:
            await self._audit.record(Actor(), "config.reloaded", "settings", {"changed": changed, "waiting": waiting})
        except HaigaError as error:
            log.error("audit: a reload could not be written down: %s", error)


def replaced(old: Settings, new: Settings, live: Mapping[str, Prepare]) -> Settings:
    """What holds now."""
    return Settings(**{each.name: getattr(new if each.name in live else old, each.name) for each in fields(Settings)})


class Terminal:
    """The terminal that the program was started from, whose end is told by a SIGHUP, too."""

    def __init__(self) -> None:
        """Nobody who starts a program so that it outlives its terminal (nohup, setsid) wants it to end with that."""
        self._counts = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN and sys.stderr.isatty()

    @property
    def gone(self) -> bool:
        if not self._counts:
            return False
        try:
            os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
        except OSError:
            return True
        return False
