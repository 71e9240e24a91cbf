"""When batch work may begin."""

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

import pytest

from haiga.core.hours import Hours, Window, parse_window

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str, zone: tzinfo = UTC) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


def minutes(hours: Hours, day: str, zone: tzinfo) -> int:
    """How many minutes of a day are within the hours."""
    start, end = at(f"{day} 00:00", zone), at(f"{day} 23:59", zone) + 60
    return sum(hours.open(now) for now in range(int(start), int(end), 60))


def test_without_a_window_any_time_will_do() -> None:
    assert Hours().open(0)


@pytest.mark.parametrize(
    ("window", "time", "open_"),
    [
        ("22:00-06:00", "21:59", False),
        ("22:00-06:00", "22:00", True),
        ("22:00-06:00", "00:00", True),
        ("22:00-06:00", "05:59", True),
        ("22:00-06:00", "06:00", False),
        ("9:30-17:00", "09:29", False),
        ("9:30-17:00", "09:30", True),
        ("9:30-17:00", "17:00", False),
        ("20:00-24:00", "23:59", True),
        ("20:00-24:00", "00:00", False),
    ],
)
def test_a_window_begins_with_its_first_minute_and_ends_before_its_last(window: str, time: str, open_: bool) -> None:
    assert open_ == Hours((parse_window(window),), UTC).open(at(f"2026-11-22 {time}"))


def test_any_of_several_windows_will_do() -> None:
    hours = Hours((Window(0, 60), Window(120, 180)), UTC)
    assert [True, False, True] == [hours.open(at(f"2026-11-22 {time}")) for time in ("00:30", "01:30", "02:30")]


def test_windows_are_told_by_the_clock_of_the_zone() -> None:
    hours = Hours((parse_window("22:00-06:00"),), BERLIN)
    assert [False, True] == [hours.open(at(f"2026-07-01 {time}")) for time in ("19:59", "20:00")]  # UTC: summer time
    assert [False, True] == [hours.open(at(f"2026-12-01 {time}")) for time in ("20:59", "21:00")]


@pytest.mark.parametrize(("day", "expected"), [("2026-03-28", 180), ("2026-03-29", 120), ("2026-10-25", 240)])
def test_when_clocks_change_a_window_is_an_hour_shorter_or_longer(day: str, expected: int) -> None:
    assert expected == minutes(Hours((parse_window("01:00-04:00"),), BERLIN), day, BERLIN)


@pytest.mark.parametrize(
    "text", ["", "22", "22:00", "22-06", "22:00-22:00", "00:00-24:00", "25:00-01:00", "10:60-11:00", "a-b"]
)
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as 22:00-06:00"):
        parse_window(text)
