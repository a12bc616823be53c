"""What users did with GPUs in a period, from the items that each host has of each of its users."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zbx_nvidia.report.usage import Usage, share

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zbx_nvidia.report.period import Period
    from zbx_nvidia.report.usage import Trend


@dataclass
class UserHour:
    """The trends of a user's items on a host in one hour; None where Zabbix has none.

    Attributes:
        gpus: GPUs with processes of the user.
        utilization: Of all of them together, in % of one GPU; only the service knows it.
    """

    gpus: Trend | None = None
    utilization: Trend | None = None


@dataclass
class User:
    """A user on a host.

    Attributes:
        name: Of the user.
        hostid: Of the host.
        items: Item ID -> attribute of `UserHour`.
        hours: The trends, by the beginning of their hour.
    """

    name: str
    hostid: str
    items: dict[str, str] = field(default_factory=dict)
    hours: dict[int, UserHour] = field(default_factory=dict)

    def hour(self, start: int) -> UserHour:
        """An hour, to write to."""
        hour = self.hours.get(start)
        if hour is None:
            hour = self.hours[start] = UserHour()
        return hour


def of_user(hours: Mapping[int, UserHour], polls: Mapping[int, int], period: Period) -> Usage:
    """What a user did on a host: GPU-hours, of which a GPU that several users share has some for each.

    A user without processes has no values: these hours are not the user's, and no gap either.

    Args:
        hours: The trends.
        polls: How many polls each hour of the host has.
        period: Of the report.
    """
    usage = Usage()
    for start, hour in hours.items():
        if hour.gpus is None or not period.since <= start < period.until:
            continue
        held = share(hour.gpus, polls.get(start, 0)) * hour.gpus.mean
        usage.present += held
        if hour.utilization is None:
            continue
        usage.measured += held
        usage.worked += share(hour.utilization, polls.get(start, 0)) * hour.utilization.mean / 100
        if hour.utilization.most > 0:
            usage.busy += held
        else:
            usage.held_idle += held
    return usage


def most_at_once(users: Sequence[User], period: Period) -> int:
    """The most GPUs that a user had on all of these hosts in one hour."""
    at: dict[int, float] = {}
    for user in users:
        for start, hour in user.hours.items():
            if hour.gpus and period.since <= start < period.until:
                at[start] = at.get(start, 0.0) + hour.gpus.most
    return round(max(at.values(), default=0.0))
