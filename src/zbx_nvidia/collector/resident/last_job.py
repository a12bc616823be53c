"""What the last job that ended on a GPU was, in one line for a person.

No clock, file or driver of its own: it takes what each round has read, and returns the line. It remembers by UUID for
as long as the service lives, over the ends of its workers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from zbx_nvidia.catalog.metrics import BETWEEN_JOBS
from zbx_nvidia.collector.amounts import duration, energy
from zbx_nvidia.collector.document import cut, job_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from zbx_nvidia.collector.document import Gpu
    from zbx_nvidia.collector.resident.config import Config

READER = "job_last"
# Of the time of a job, how much must have a utilization: a mean of less could be that of another half.
_ENOUGH = 0.9
# s by which the start of a run may seem to move: a new worker computes it again from the age of the process.
_JITTER = 5
_NO_USER = -1

Key = tuple[str, int, int]


class Measured(NamedTuple):
    """What one round has read of a GPU.

    Attributes:
        at: When, of the monotonic clock, in s.
        utilization: In %; None if it is not known.
        energy: The card's counter, in J; None if it has none.
    """

    at: float
    utilization: float | None = None
    energy: float | None = None


class Hold:
    """A job on a GPU.

    Attributes:
        text: The job in words.
        is_whole: Whether its beginning was seen, and its end.
        is_alone: Whether no other job had the GPU meanwhile.

    Args:
        text: As above.
        first: The round that saw it first.
        is_whole: Whether the round before was recent and did not see it.
    """

    def __init__(self, text: str, first: Measured, *, is_whole: bool) -> None:
        self.text = text
        self.is_whole = is_whole
        self.is_alone = True
        self._first = self._last = first
        self._counted = first  # the last round that has read the counter
        self._is_counted = first.energy is not None
        self._busy = self._known = 0.0  # % x s, and the s of which that is

    def lasted(self, now: Measured, *, is_recent: bool) -> None:
        """It was there until this round."""
        before, self._last = self._last, now
        # A utilization counts until the next one, so that rounds count by their length: idle ones are longer.
        if is_recent and before.utilization is not None:
            self._busy += before.utilization * (now.at - before.at)
            self._known += now.at - before.at
        if now.energy is not None:
            self._is_counted = self._is_counted and now.energy >= (self._counted.energy or 0.0)
            self._counted = now

    def words(self, longest: float) -> str:
        """The job with its figures, as far as they are known.

        Args:
            longest: Time after which a counter says nothing about the end, in s.
        """
        time = self._last.at - self._first.at
        figures = [("" if self.is_whole else "at least ") + duration(time)]
        if self._known and self._known >= _ENOUGH * time:
            figures.append(f"{self._busy / self._known:.0f} % busy")
        if self._is_counted and self._last.at - self._counted.at <= longest:
            figures.append(energy((self._counted.energy or 0.0) - (self._first.energy or 0.0)))
        if not self.is_alone:
            figures.append("shared with other jobs")
        return f"{self.text}: {', '.join(figures)}"


class LastJob:
    """The jobs of one GPU, as rounds see them.

    Attributes:
        line: What ended last, in words; "" while nothing has.
    """

    def __init__(self) -> None:
        self.line = ""
        self._held: dict[Key, Hold] = {}
        self._before: Measured | None = None

    def seen(self, now: Measured, jobs: Mapping[Key, str], longest: float) -> str:
        """Take in a round, and return the line.

        Args:
            now: What was read.
            jobs: Those that hold the GPU now, in words.
            longest: Time between two rounds, in s, after which nobody knows what was in between.
        """
        is_recent = self._before is not None and now.at - self._before.at <= longest
        self._before = now
        there = {self._known(key): text for key, text in jobs.items()}
        gone = [self._held.pop(key) for key in self._held.keys() - there.keys()]
        for hold in self._held.values():
            hold.lasted(now, is_recent=is_recent)
        for hold in gone:
            if is_recent:
                hold.lasted(now, is_recent=True)
            else:
                hold.is_whole = False
        if gone:
            # Sorted: a set has no order, and the value is stored when it changes.
            self.line = cut(BETWEEN_JOBS.join(sorted(hold.words(longest) for hold in gone)))
        for key, text in there.items():
            hold = self._held.setdefault(key, Hold(text, now, is_whole=is_recent))
            hold.text = text  # its name may become known later
            hold.is_alone = hold.is_alone and len(there) == 1
        return self.line

    def _known(self, key: Key) -> Key:
        """The key under which a job is known, if it is."""
        same = (one for one in self._held if one[:2] == key[:2] and abs(one[2] - key[2]) <= _JITTER)
        return key if key in self._held else next(same, key)


class LastJobs:
    """The last job of each GPU."""

    def __init__(self) -> None:
        self._gpus: dict[str, LastJob] = {}  # by UUID: indices move when a card goes

    def added(self, now: float, gpus: Iterable[Gpu], users: dict[int, str], config: Config) -> list[Gpu]:
        """The GPUs of a round, each with its line.

        Args:
            now: Of the monotonic clock.
            gpus: What was read. One that is missing, or was not read, keeps its memory.
            users: Names of users, by number.
            config: Of the service.
        """
        longest = 2 * max(config.interval, config.idle) + config.stall
        seen: set[str] = set()
        with_lines = []
        for gpu in gpus:
            uuid = gpu.readings.get("uuid", "")
            if gpu.state == "ok" and "job" in gpu.lacks:
                with_lines.append(gpu._replace(lacks=(*gpu.lacks, READER)))
                continue
            # Of two with one UUID the document has one.
            if gpu.state == "ok" and "job" in gpu.readings and uuid not in seen:
                measured = Measured(now, gpu.readings.get("utilization"), gpu.readings.get("energy"))
                jobs = {key_of(job): job_words(job, users) for job in gpu.readings["job"]}
                self._gpus.setdefault(uuid, LastJob()).seen(measured, jobs, longest)
                seen.add(uuid)
            line = self._gpus[uuid].line if gpu.state == "ok" and uuid in self._gpus else ""
            with_lines.append(gpu._replace(readings={**gpu.readings, READER: line}) if line else gpu)
        return with_lines


def key_of(job: Mapping[str, Any]) -> Key:
    """What a job is recognized by in the next round: its name and user may still become known."""
    if "id" in job:
        return f"id {job['id']}", _NO_USER, 0
    if "uid" in job:
        # A run has no ID: the next one of the same name has another start.
        return f"run {job.get('name', '')}", job["uid"], job["since"]
    return f"pod {job.get('name', '')}", _NO_USER, 0
