"""When batch work may begin: windows of the day.

Rule: windows are told by the clock on the wall. On the day that it is set forward or back, one over that hour is an
hour shorter or longer.
"""

import re
from dataclasses import dataclass
from datetime import datetime, tzinfo

DAY = 24 * 60  # minutes
_WINDOW = re.compile(r"(\d{1,2}):([0-5]\d)-(\d{1,2}):([0-5]\d)")


@dataclass(frozen=True, slots=True)
class Window:
    """From the minute `start` of the day up to, not with, the minute `stop`; past midnight where that is the earlier
    one."""

    start: int
    stop: int

    def has(self, minute: int) -> bool:
        if self.start < self.stop:
            return self.start <= minute < self.stop
        return minute >= self.start or minute < self.stop


@dataclass(frozen=True, slots=True)
class Hours:
    """Any of the `windows`; at any time where there are none. `zone` is where the clock hangs, None for the machine's
    own time zone."""

    windows: tuple[Window, ...] = ()
    zone: tzinfo | None = None

    def open(self, now: float) -> bool:
        """Whether work may begin at unix second `now`."""
        local = datetime.fromtimestamp(now, self.zone)
        return not self.windows or any(window.has(local.hour * 60 + local.minute) for window in self.windows)


def parse_window(text: str) -> Window:
    """22:00-06:00, 9:30-24:00. Raises ValueError."""
    if found := _WINDOW.fullmatch(text.replace(" ", "")):
        start, stop = (int(found[at]) * 60 + int(found[at + 1]) for at in (1, 3))
        if start < DAY and stop <= DAY and start != stop % DAY:
            return Window(start, stop)
    raise ValueError("expected a time of the day such as 22:00-06:00")
