"""The period of a report, in several time zones."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from zbx_nvidia.errors import UsageError
from zbx_nvidia.report.period import HOUR, period

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOW = 1_793_536_200.0  # 2026-11-01 12:30 UTC


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    def choose(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield choose
    monkeypatch.undo()
    time.tzset()


def test_it_ends_with_the_last_whole_hour(zone: Callable[[str], None]) -> None:
    zone("UTC")
    found = period("24h", None, NOW)
    assert found.until == NOW // HOUR * HOUR
    assert found.hours == 24
    assert str(found) == "2026-10-31 12:00 UTC to 2026-11-01 12:00 UTC"
    assert period("1w", "1d", NOW).hours == 7 * 24
    # A time to come has no values.
    assert period("1d", "2027-01-01", NOW).until == found.until


def test_a_day_is_as_long_as_its_clocks_say(zone: Callable[[str], None]) -> None:
    zone("Europe/Berlin")
    assert period("2026-10-25", "2026-10-26", NOW).hours == 25
    assert period("2026-03-29", "2026-03-30", NOW).hours == 23
    zone("UTC")
    assert period("2026-10-25", "2026-10-26", NOW).hours == 24
    assert period("2026-10-25T00:00+02:00", "2026-10-26T00:00+01:00", NOW).hours == 25


def test_half_an_hour_is_none(zone: Callable[[str], None]) -> None:
    """Zabbix's hours are of UTC: midnight in Kolkata is in the middle of one."""
    zone("Asia/Kolkata")
    assert period("2026-10-25", "2026-10-26", NOW).since % HOUR == 0


@pytest.mark.parametrize("text", ["yesterday", "7", "7y", "", "-1d", "2026-13-01", "99999999d", "0h", "2026-11-02"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UsageError, match="--since"):
        period(text, None, NOW)
