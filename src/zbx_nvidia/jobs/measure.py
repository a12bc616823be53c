"""Runs a job and measures it: the processor and memory by /proc, the GPUs by a process that reads the driver."""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING, Any

from zbx_nvidia.collector.rounds import READ_AT
from zbx_nvidia.jobs import tree
from zbx_nvidia.jobs.figures import GpuFigures
from zbx_nvidia.jobs.process import Job
from zbx_nvidia.jobs.reader import Reader, processors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zbx_nvidia.collector.document import Gpu
    from zbx_nvidia.jobs.process import Ended

_HEAD_START = 0.5  # s that the job waits for the first reading, so that its first moments count
_FIRST = 0.1  # s from the start to the second reading; then each time is twice as long, up to
_PERIOD = 1.0  # s
_LONGEST = 10.0  # s
_SHARE = 0.005  # of all processors that reading may take
_LAST = 2.5  # s that the last reading may take
_STEP = 0.02  # s between two looks at the job while a reading is awaited
_RETRY = 10.0  # s until a driver that does not answer is asked again
_MANY = 10  # looks at the processes that show the peak of their memory well enough
_GAP = 5.0  # s, or three periods: over a longer time nothing is known from two readings of power


class Measurement:
    """The job and what is known of it.

    Args:
        command: The program and its arguments.
        released: Whether the service on this host has released the driver: then it is not used.

    Raises:
        NotStartedError: The command could not be started.
    """

    def __init__(self, command: Sequence[str], released: Callable[[], bool] = lambda: False) -> None:
        self._reader = Reader()
        self._released = released
        self._early: list[Gpu] = []
        if not released():
            until = time.monotonic() + _HEAD_START
            self._reader.ask()
            while self._reader.waits and (left := until - time.monotonic()) > 0:
                self._early += self._reader.take(left)
        self._cost = 0.0  # CPU time of a look at the processes, in s
        self._clock = time.time()
        self._job = Job(command)
        self._job.helpers |= self._reader.pids
        self._gpus: dict[str, GpuFigures] = {}
        self._known: frozenset[int] = frozenset()
        self._memory = 0
        self._memory_due = 0.0
        self._samples = 0
        self._retry = 0.0
        for gpu in self._early:
            self._take(gpu, frozenset(), None)

    def run(self) -> dict[str, Any]:
        """Wait for the end of the job.

        Returns:
            Its figures; what is not known is not there.
        """
        delay = _FIRST
        due = time.monotonic() + delay
        while True:
            ended = self._job.wait(_STEP if self._reader.waits else due - time.monotonic())
            self._listen(ended)
            if ended is not None:
                break
            now = time.monotonic()
            if now >= due and not self._reader.waits:
                self._sample()
                delay = max(min(2 * delay, _PERIOD), self._period())
                due = now + delay
        self._last_reading(ended)
        return self._result(ended)

    def end_as_the_job(self) -> None:
        """End by Ctrl-C, if the job did."""
        self._job.end_as_it()

    def _sample(self) -> None:
        """Look at the processes, and ask for the GPUs, which answer meanwhile."""
        now = time.monotonic()
        if self._released():
            self._reader.close()
        elif not self._reader.complaint or now >= self._retry:
            self._retry = now + _RETRY
            self._reader.ask()
            self._job.helpers |= self._reader.pids
        before = time.process_time()
        self._look()
        self._cost = time.process_time() - before

    def _period(self) -> float:
        """Least time between two readings, in s, so that they do not take more than their share."""
        return min((self._cost + self._reader.cost) / (_SHARE * processors()), _LONGEST)

    def _look(self) -> None:
        processes = tree.descendants(os.getpid(), self._job.helpers)
        self._known = frozenset(processes)
        self._samples += 1
        before = time.process_time()
        if time.monotonic() >= self._memory_due:
            self._memory = max(self._memory, tree.memory(processes))
            # For the part of each process in shared memory, the kernel walks through all of its pages.
            taken = time.process_time() - before
            self._memory_due = time.monotonic() + taken / (_SHARE * processors())

    def _listen(self, ended: Ended | None) -> None:
        """Take in what the reader has sent."""
        gpus = self._reader.take(0)
        if gpus:
            # One that started after the last look may be on a GPU already, and one of then may have ended.
            now = frozenset(tree.descendants(os.getpid(), self._job.helpers)) if ended is None else frozenset()
            for gpu in gpus:
                self._take(gpu, self._known | now, ended)

    def _take(self, gpu: Gpu, job: frozenset[int], ended: Ended | None) -> None:
        if gpu.state != "ok":
            return
        figures = self._gpus.setdefault(gpu.readings["uuid"], GpuFigures(self._job.started))
        gap = max(_GAP, 3 * self._period())
        at = gpu.readings[READ_AT]
        figures.take(gpu.position, gpu.readings, job, at=at, gap=gap, ended=ended.at if ended else None)

    def _last_reading(self, ended: Ended) -> None:
        """Read once more after the end; a reading that was asked for before is not the last one."""
        until = time.monotonic() + _LAST
        self._finish(ended, until)
        if not (self._reader.complaint or self._reader.waits or self._released()):
            self._reader.ask()
            self._finish(ended, until)
        self._reader.close()

    def _finish(self, ended: Ended, until: float) -> None:
        while self._reader.waits and (left := until - time.monotonic()) > 0:
            for gpu in self._reader.take(left):
                self._take(gpu, self._known, ended)

    def _result(self, ended: Ended) -> dict[str, Any]:
        rest = tree.descendants(os.getpid(), self._job.helpers)
        cpu = self._job.cpu + sum(process.cpu for process in rest.values())
        used = sorted((gpu for gpu in self._gpus.values() if gpu.used), key=lambda gpu: gpu.index)
        result: dict[str, Any] = {
            "started": round(self._clock, 3),
            "host": socket.gethostname(),
            "exit_code": ended.code,
            "wall": round(ended.at - self._job.started, 3),
            "cpu": round(cpu, 3),
            "samples": self._samples,
            "gpus": [gpu.result(ended.at) for gpu in used],
        }
        _name_users(result["gpus"])
        if self._job.largest or self._samples >= _MANY:
            result["memory_peak"] = max(self._memory, self._job.largest)
        else:
            result["memory_below"] = max(self._memory, self._job.own)
        if ended.signal:
            result["signal"] = ended.signal
        if rest:
            result["left_running"] = len(rest)
        if self._reader.count is not None:
            result["gpus_seen"] = self._reader.count
        if self._reader.complaint:
            result["driver"] = self._reader.complaint
        return result


def _name_users(gpus: list[dict[str, Any]]) -> None:
    """Add the names of the users with whom GPUs were shared, as far as they can be looked up in time."""
    from zbx_nvidia.collector.processes import names  # noqa: PLC0415  it loads pynvml

    others = [other for gpu in gpus for other in gpu.get("shared_with", ())]
    known = names(other["uid"] for other in others if "uid" in other)
    for other in others:
        if "uid" in other:
            other["user"] = known.get(other["uid"], str(other["uid"]))
