"""What a GPU did in a period: sums of hourly trends.

An hour is the smallest piece that Zabbix keeps for a year. What is not known never counts as idle: each sum has the
hours that it covers beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, NamedTuple

from zbx_nvidia.report.period import HOUR

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zbx_nvidia.report.period import Period

JOULES_PER_KWH = 3_600_000


class Trend(NamedTuple):
    """An hour of an item, as Zabbix keeps it.

    Attributes:
        num: Values in it.
        least: The lowest of them.
        mean: Their mean.
        most: The highest.
    """

    num: int
    least: float
    mean: float
    most: float


@dataclass
class Usage:
    """What one GPU or several did. All times are GPU-hours.

    Attributes:
        hours: Of the period; 0 of a user or a job, which has no GPU in most of them.
        covered: For which Zabbix has values of the GPU's host.
        present: In which the GPU answered.
        busy: In which a process held it and a kernel ran.
        held_idle: In which a process held it in an hour without any kernel.
        free: In which no process held it.
        measured: For which utilization is known.
        worked: Mean utilization, 0 to 1, times hours.
        joules: Of its energy counter, and of its power where it has none.
        estimated: Those of `joules` that are mean power times time.
        powered: For which energy is known.
        throttle_known: For which throttling is known.
        throttled: In which it was slowed down for heat or by the power brake, at least.
        hottest: Highest temperature, in °C; None if unknown.
        lost: In which an alert said that it cannot be used.
    """

    hours: float = 0.0
    covered: float = 0.0
    present: float = 0.0
    busy: float = 0.0
    held_idle: float = 0.0
    free: float = 0.0
    measured: float = 0.0
    worked: float = 0.0
    joules: float = 0.0
    estimated: float = 0.0
    powered: float = 0.0
    throttle_known: float = 0.0
    throttled: float = 0.0
    lost: float = 0.0
    hottest: float | None = None

    def add(self, other: Usage) -> None:
        """Adds what another one did."""
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.heat(other.hottest)

    def part(self, share: float) -> Usage:
        """That much of all of it, 0 to 1."""
        part = Usage(hottest=self.hottest)
        for name in _SUMS:
            setattr(part, name, share * getattr(self, name))
        return part

    def heat(self, temperature: float | None) -> None:
        """Notes a temperature, which may be the highest."""
        known = [value for value in (self.hottest, temperature) if value is not None]
        self.hottest = max(known, default=None)

    @property
    def utilization(self) -> float | None:
        """Mean GPU utilization, 0 to 1, of the hours for which it is known."""
        return self.worked / self.measured if self.measured else None

    @property
    def coverage(self) -> float | None:
        """For how much of the period Zabbix has values, 0 to 1."""
        return self.covered / self.hours if self.hours else None

    @property
    def throttled_share(self) -> float | None:
        """Of the time in which throttling is known."""
        return self.throttled / self.throttle_known if self.throttle_known else None

    @property
    def kwh(self) -> float | None:
        """Energy."""
        return self.joules / JOULES_PER_KWH if self.powered else None


# By name, once: a report by job adds a usage for each hour of each job.
_SUMS = tuple(each.name for each in fields(Usage) if each.name != "hottest")


def total(usages: Iterable[Usage]) -> Usage:
    """All of them together."""
    result = Usage()
    for usage in usages:
        result.add(usage)
    return result


@dataclass(slots=True)
class Hour:
    """The trends of a GPU's items in one hour; None where Zabbix has none.

    Attributes:
        polls: How many polls such an hour has: Zabbix does not say what is missing.
    """

    polls: int = 0
    present: Trend | None = None
    utilization: Trend | None = None
    processes: Trend | None = None
    power: Trend | None = None
    energy: Trend | None = None
    temperature: Trend | None = None
    throttling: list[Trend] = field(default_factory=list)


def of_hours(hours: dict[int, Hour], period: Period) -> Usage:
    """What a GPU did.

    Args:
        hours: By their beginning, in seconds of Unix time; one before the period says where its energy counter began.
        period: Of the report.
    """
    usage = Usage(hours=period.hours)
    counters: list[Trend] = []
    for start in sorted(hours):
        hour = hours[start]
        if hour.energy:
            counters.append(hour.energy)
        if start < period.since:
            continue
        covered = share(hour.present, hour.polls)
        present = _present(hour)
        usage.covered += covered
        usage.present += present
        _add_state(usage, hour, present)
        if hour.utilization:
            known = min(present, share(hour.utilization, hour.polls))
            usage.measured += known
            usage.worked += known * hour.utilization.mean / 100
        if hour.energy:
            usage.powered += present
        elif hour.power:
            known = min(present, share(hour.power, hour.polls))
            usage.joules += known * HOUR * hour.power.mean
            usage.estimated += known * HOUR * hour.power.mean
            usage.powered += known
        if hour.temperature:
            usage.heat(hour.temperature.most)
        if hour.throttling:
            usage.throttle_known += present
            usage.throttled += present * min(
                1.0, sum(_share_of(trend, hour.polls) for trend in hour.throttling if trend.most)
            )
    before = [trend.most for start, hour in hours.items() if start < period.since and (trend := hour.energy)]
    usage.joules += counted(counters[len(before) :], before[0] if before else None)
    return usage


def share(trend: Trend | None, polls: int) -> float:
    """How much of an hour the values of an item that is stored each poll stand for."""
    return min(1.0, trend.num / polls) if trend and polls else 0.0


def _present(hour: Hour) -> float:
    """How much of an hour the GPU answered: one that does not has no readings.

    Not the mean of its presence: Zabbix cuts the mean of an item of integers to an integer.
    """
    readings = (hour.utilization, hour.processes, hour.power, hour.temperature)
    most = max([trend.num for trend in readings if trend], default=0)
    return min(1.0, most / hour.polls) if hour.polls else 0.0


def _share_of(trend: Trend, polls: int) -> float:
    """How much of an hour was lost to throttling, at least: a share in % that is stored if it changes.

    A value that did not change was not stored again, and counts as 0 here; but for one that never changed.
    """
    return trend.mean / 100 * (1.0 if trend.least == trend.most else min(1.0, trend.num / polls))


def _add_state(usage: Usage, hour: Hour, present: float) -> None:
    """Busy, held but idle, or free: an hour in which any kernel ran is not idle.

    Where processes cannot be counted, a GPU that works is busy, and what another one is remains unknown.
    """
    active = hour.utilization is not None and hour.utilization.most > 0
    if hour.processes is None:
        usage.busy += present if active else 0.0
        return
    held = present * (1.0 if hour.processes.least >= 1 else min(1.0, hour.processes.mean))
    usage.free += present - held
    if active:
        usage.busy += held
    elif hour.utilization is not None:
        usage.held_idle += held


def counted(trends: list[Trend], before: float | None = None) -> float:
    """How far a counter went over hours in order; one that is lower than before began again at 0.

    Args:
        trends: Of its hours, in order.
        before: Its last value before them; None: unknown.
    """
    went = 0.0
    for trend in trends:
        start = trend.least if before is None else before
        if before is not None and trend.least < before:
            # It began again within this hour, or since the last one: what it had then is lost.
            start = 0.0 if trend.most < before else before
        went += max(0.0, trend.most - start)
        before = trend.most
    return went
