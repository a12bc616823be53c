"""A report: what the GPUs of a period did, by host, GPU, model, host group, user or job."""

from __future__ import annotations

import contextlib
import gc
from collections import defaultdict
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from zbx_nvidia.report import gather, trends
from zbx_nvidia.report.figures import BY_GPU, JOB, USER, Line, Money, numbers
from zbx_nvidia.report.incidents import by_class, lost_hours
from zbx_nvidia.report.jobs import held as jobs_of
from zbx_nvidia.report.jobs import of_job
from zbx_nvidia.report.usage import Usage, of_hours
from zbx_nvidia.report.users import most_at_once, of_user
from zbx_nvidia.server.find import pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from zbx_nvidia.report.gather import ReportedGpu
    from zbx_nvidia.report.period import Period
    from zbx_nvidia.server.connection import Connection

WORST = 10
SWITCH = "$NVIDIA.GROUP.USERS"


@contextlib.contextmanager
def _collected_seldom() -> Iterator[None]:
    """Python looks for unused cycles of objects after each 700 new ones: here after as many as an answer has rows.

    Rows form no cycles. That search took a tenth of the client's time.
    """
    before = gc.get_threshold()
    gc.set_threshold(trends.ROWS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


@dataclass
class Report:
    """What `zbx-nvidia report` says.

    Attributes:
        period: Of the report.
        by: One of `BY`.
        lines: By name.
        whole: Of all GPUs, each once.
        idle: GPUs with the most hours held but idle, the worst first.
        classes: Class of problems -> how many, and for how many hours they were open.
        all_hosts: Whether the user sees all hosts.
    """

    period: Period
    by: str
    lines: list[Line]
    whole: Line
    idle: list[tuple[ReportedGpu, Usage]]
    classes: dict[str, tuple[int, float]]
    all_hosts: bool

    @property
    def notes(self) -> list[str]:
        """What the figures do not say."""
        usage = self.whole.usage
        missing = usage.hours - usage.covered
        conditions = {
            f"For {missing:,.1f} of {usage.hours:,.0f} GPU-hours Zabbix has no values. They count as nothing.": missing,
            "~ is mean power times time: some cards have no energy counter.": usage.estimated,
            "Throttled is the least that it can be: for heat and by the power brake.": usage.throttled,
            f"A GPU that several {self.by}s share counts for each of them.": self.by not in BY_GPU and bool(self.lines),
            "Energy is that of the GPUs while the job held them, by the hour.": self.by == JOB and bool(self.lines),
            "Zabbix has no values of jobs in this period.": self.by == JOB and not self.lines,
            f"Zabbix has no values of users. Hosts count them if the macro {{{SWITCH}}} is 1.": self.by == USER
            and not self.lines,
            "Only of the hosts that this user can read.": not self.all_hosts,
        }
        return [note for note, applies in conditions.items() if applies]

    def as_json(self, money: Money) -> dict[str, Any]:
        """The same for programs; hours are GPU-hours, shares are of 1."""
        return {
            "since": self.period.since,
            "until": self.period.until,
            "by": self.by,
            "all_hosts": self.all_hosts,
            "total": numbers(self.whole, money),
            "lines": [numbers(line, money) for line in self.lines],
            "held_idle": [
                {"host": gpu.host, "gpu": gpu.uuid, "model": gpu.model, "hours": round(usage.held_idle, 3)}
                for gpu, usage in self.idle
            ],
            "incidents": {scope: {"count": count, "hours": hours} for scope, (count, hours) in self.classes.items()},
        }


@_collected_seldom()
def make(  # noqa: PLR0913  what a report is of
    zabbix: Connection,
    gpus: Sequence[ReportedGpu],
    period: Period,
    by: str,
    *,
    all_hosts: bool,
    step: Callable[[int], None],
) -> Report:
    """Asks for all that a report says, some GPUs at a time.

    Args:
        zabbix: The server.
        gpus: The GPUs.
        period: Of the report.
        by: One of `BY`.
        all_hosts: Whether the user sees all hosts.
        step: Called with how many hours of items are done.
    """
    incidents = gather.incidents(zabbix, gpus, period)
    polls: dict[str, dict[int, int]] = defaultdict(dict)
    of_host = defaultdict(list)
    for one in incidents:
        of_host[one.hostid].append(one)
    lines: dict[str, Line] = {}
    whole = Line("total" if by in BY_GPU else "all GPUs")
    each: list[tuple[ReportedGpu, Usage]] = []
    for some in trends.filled(zabbix, _by_host(gpus, _at_once(period)), period, step, with_jobs=by == JOB):
        gather.count_polls(some)
        for gpu in some:
            usage = of_hours(gpu.hours, period)
            usage.lost = lost_hours(of_host[gpu.hostid], gpu.hostid, gpu.short)
            whole.add(usage)
            each.append((gpu, usage))
            if by == USER:
                polls[gpu.hostid].update((start, hour.polls) for start, hour in gpu.hours.items())
            elif by == JOB:
                for name, shares in jobs_of(gpu.texts, period).items():
                    lines.setdefault(name, Line(name)).add(of_job(gpu.hours, shares))
            else:
                for name in BY_GPU[by](gpu):
                    lines.setdefault(name, Line(name)).add(usage)
            gpu.hours.clear()
            gpu.texts.clear()
    if by == USER:
        lines = _users(zabbix, polls, period, step)
    worst = sorted((one for one in each if one[1].held_idle > 0), key=lambda one: -one[1].held_idle)[:WORST]
    return Report(
        period=period,
        by=by,
        lines=sorted(lines.values(), key=lambda line: (0.0 if by in BY_GPU else -line.usage.present, line.name)),
        whole=whole,
        idle=worst,
        classes=by_class(incidents),
        all_hosts=all_hosts,
    )


def _users(
    zabbix: Connection, polls: dict[str, dict[int, int]], period: Period, step: Callable[[int], None]
) -> dict[str, Line]:
    """The lines of users, who are the same on each host. None where no host counts them.

    Args:
        zabbix: The server.
        polls: Of each host: how many each hour has.
        period: Of the report.
        step: As of `make`.
    """
    of_name = defaultdict(list)
    for user in gather.users(zabbix, list(polls)):
        of_name[user.name].append(user)
    lines = {}
    blocks = ([user for name in names for user in of_name[name]] for names in pieces(sorted(of_name), _at_once(period)))
    for some in trends.filled(zabbix, blocks, period, step):
        for name, each in groupby(some, key=attrgetter("name")):
            users = list(each)
            line = Line(name, most_at_once(users, period))
            for user in users:
                line.usage.add(of_user(user.hours, polls[user.hostid], period))
                user.hours.clear()
            if line.usage.present:
                lines[name] = line
    return lines


def _at_once(period: Period) -> int:
    """How many GPUs or users are in memory: as many as an answer has rows for. 30 days of a GPU are 1 MB."""
    return max(1, trends.ROWS // (period.hours + 1))


def _by_host(gpus: Sequence[ReportedGpu], most: int) -> Iterable[list[ReportedGpu]]:
    """Some GPUs at a time, all of a host together; more than this only of one host."""
    some: list[ReportedGpu] = []
    for _, each in groupby(gpus, key=attrgetter("hostid")):
        of_host = list(each)
        if some and len(some) + len(of_host) > most:
            yield some
            some = []
        some += of_host
    if some:
        yield some
