"""The period of a report: whole hours, written as people write them."""

from __future__ import annotations

import re
from datetime import datetime
from typing import NamedTuple

from zbx_nvidia.errors import UsageError

HOUR = 3600  # s
_UNITS = {"h": 3600, "d": 86_400, "w": 7 * 86_400}
_FORMS = "7d, 24h, 4w, 2026-11-01, or 2026-11-01T08:00"


class Period(NamedTuple):
    """From one hour to another, in seconds of Unix time; the last one is not in it."""

    since: int
    until: int

    @property
    def hours(self) -> int:
        """How many there are."""
        return (self.until - self.since) // HOUR

    def __str__(self) -> str:
        return f"{_local(self.since)} to {_local(self.until)}"


def period(since: str, until: str | None, now: float) -> Period:
    """What the options say. Zabbix's trends are of hours that have ended.

    Args:
        since: A time, or how long before `until`.
        until: A time, or how long before now; None: the last hour that has ended.
        now: In seconds of Unix time.

    Raises:
        UsageError: That is no time, or there is no hour between them.
    """
    last = int(now) // HOUR * HOUR
    end = min(last, _floor(_time("--until", until, now))) if until else last
    start = max(0, _floor(_time("--since", since, end)))
    if start >= end:
        raise UsageError(f"--since {since}: it must be at least an hour before the end, {_local(end)}")
    return Period(start, end)


def _time(option: str, text: str, before: float) -> float:
    if ago := re.fullmatch(r"(\d{1,5})([hdw])", text):
        return before - int(ago[1]) * _UNITS[ago[2]]
    try:
        # Without an offset it is local time, with its daylight saving.
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"{option} {text}: not a time: write it as {_FORMS}") from None


def _floor(time: float) -> int:
    return int(time // HOUR) * HOUR


def _local(time: int) -> str:
    return datetime.fromtimestamp(time).astimezone().strftime("%Y-%m-%d %H:%M %Z")
