"""What jobs did with GPUs in a period: the hours of the GPUs that each of them held."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from zbx_nvidia.catalog.metrics import BETWEEN_JOBS
from zbx_nvidia.report.period import HOUR, Period
from zbx_nvidia.report.usage import Usage, of_hours

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zbx_nvidia.report.usage import Hour

_CUT = "..."  # ends a value that was too long: its last job is not whole
# s for which a value holds at most. It is stored again each hour, with the next poll: after that, nothing is known.
HOLDS = HOUR + 600


def held(values: Sequence[tuple[int, str]], period: Period) -> dict[str, dict[int, float]]:
    """How long each job held a GPU.

    Args:
        values: Of the GPU's item, in order: time of the value, and the jobs.
        period: Of the report.

    Returns:
        Job -> beginning of an hour -> how much of it, 0 to 1.
    """
    shares: dict[str, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    ends = (*(clock for clock, _ in values[1:]), period.until)
    for (clock, text), end in zip(values, ends, strict=False):
        since, until = max(clock, period.since), min(end, clock + HOLDS, period.until)
        # Two runs of a user can have one name: they hold the GPU once.
        jobs = {job for job in text.split(BETWEEN_JOBS) if job and not job.endswith(_CUT)}
        while since < until:
            start = since // HOUR * HOUR
            stop = min(until, start + HOUR)
            for job in jobs:
                shares[job][start] += (stop - since) / HOUR
            since = stop
    return shares


def of_job(hours: Mapping[int, Hour], shares: Mapping[int, float]) -> Usage:
    """What a GPU did for a job: the job has its part of each hour, by how long it held the GPU.

    A GPU of a job that has no process on it is held but idle, too.

    Args:
        hours: Of the GPU.
        shares: Of the job, as of `held`.
    """
    usage = Usage()
    for start, share in shares.items():
        known = {when: hours[when] for when in (start - HOUR, start) if when in hours}
        usage.add(of_hours(known, Period(start, start + HOUR)).part(share))
    usage.held_idle += usage.free
    usage.hours = usage.covered = usage.free = 0.0
    return usage
