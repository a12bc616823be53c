"""XID errors of all GPUs of the host: what the driver reports and what the kernel log has, brought together.

No input or output of its own: it takes reports and lines, and returns lines for the service's log.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from zbx_nvidia.catalog.xid import BY_CODE
from zbx_nvidia.collector.document import LONGEST_CHAR, Problem
from zbx_nvidia.collector.resident.kernel_log import Switches, Waiting, place
from zbx_nvidia.collector.resident.xid_history import LOG, XidHistory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from zbx_nvidia.collector.document import Gpu
    from zbx_nvidia.collector.resident.config import Config
    from zbx_nvidia.collector.resident.kernel_log import LogLine
    from zbx_nvidia.collector.resident.reports import XidReport

READER = "xid"  # the reader of all XID metrics in the catalog


def unix_time(moment: float) -> float:
    """Unix time of a moment of the monotonic clock, in s."""
    return time.time() - (time.monotonic() - moment)


class XidTracker:
    """Remembers XIDs by GPU for as long as the service lives, over the ends of its workers.

    Args:
        config: Of the service.
        wall: Unix time of a moment of the monotonic clock.
    """

    def __init__(self, config: Config, wall: Callable[[float], float] = unix_time) -> None:
        self._config = config
        self._wall = wall
        self._histories: dict[str, XidHistory] = {}  # by UUID: indices move when a card goes
        self._uuids: dict[int, str] = {}  # of the watched GPUs: a lost one cannot be asked for its UUID
        self._named: set[int] = set()  # those of them whose UUID the present worker has reported
        self._able: dict[int, bool | None] = {}
        self._refusals: dict[int, Problem] = {}
        self._gpu_count: int | None = None
        self._switches = Switches(config.xid_memory)
        self._places: dict[str, str] = {}  # PCI address -> UUID
        self._unplaced = Waiting()
        self._reads_log = False
        self._last_words = ""

    def use(self, config: Config) -> None:
        """Take over another configuration."""
        self._config = config
        self._switches.memory = config.xid_memory
        for history in self._histories.values():
            history.repeat, history.memory = config.xid_repeat, config.xid_memory

    def forget_worker(self) -> None:
        """The worker is gone: what it reported of its watchers is void. The XIDs stay."""
        self._able.clear()
        self._named.clear()
        self._refusals.clear()

    # -- what comes in -----------------------------------------------------------------------------------------------

    def counted(self, gpu_count: int) -> None:
        """The driver has counted its GPUs. With another number, indices may have moved since the last worker."""
        if gpu_count != self._gpu_count:
            self._gpu_count = gpu_count
            self._uuids = {index: uuid for index, uuid in self._uuids.items() if index in self._named}

    def moved(self) -> None:
        """Indices have moved while the worker ran: which card has which, only its successor knows."""
        self._uuids.clear()

    def reported(self, report: XidReport) -> list[str]:
        """Take the report of a watcher; returns lines for the log."""
        self._able[report.position] = report.able
        self._refusals.pop(report.position, None)
        if report.refusal is not None:
            self._refusals[report.position] = Problem("", READER, *report.refusal)
        if not report.uuid:
            return []
        self._uuids[report.position] = report.uuid
        self._named.add(report.position)
        history = self._history(report.uuid)
        lines = []
        for code, count, first, last in report.codes:
            if new := history.add(code, count, self._wall(last), last, first):
                lines.append(f"GPU {report.position}: XID {code} ({_meaning(code)}), {new} times")
        return lines

    def logged(self, lines: Iterable[LogLine], *, reads: bool) -> list[str]:
        """Take lines of the kernel log; returns lines for ours, one for each kind of error.

        Args:
            lines: New ones.
            reads: Whether the log can be read: then what it does not have has not happened.
        """
        self._reads_log = reads
        of_switches: dict[str, int] = {}
        of_gpus = []
        for line in lines:
            if line.switch:
                self._switches.add(line)
                words = f"NVSwitch {line.place}: SXid {line.code}{', fatal' if line.fatal else ''}"
                of_switches[words] = of_switches.get(words, 0) + 1
            elif line.place in self._places:
                of_gpus.append(line)
            else:
                self._unplaced.add(line)
        switch_lines = [f"{words}, {count} times, by the kernel log" for words, count in of_switches.items()]
        return switch_lines + self._count_logged(of_gpus)

    def placed(self, gpu: Gpu) -> list[str]:
        """A GPU was read: errors that the kernel log had of its slot are its own. Returns lines for the log."""
        if not self._reads_log or not {"pci", "uuid"} <= gpu.readings.keys():
            return []
        where = place(gpu.readings["pci"])
        self._places[where] = gpu.readings["uuid"]
        return self._count_logged(self._unplaced.take(where))

    def _count_logged(self, lines: Iterable[LogLine]) -> list[str]:
        new: dict[tuple[str, int], int] = {}
        said: dict[tuple[str, int], str] = {}
        for line in lines:
            history = self._history(self._places[line.place])
            count = history.add(line.code, 1, self._wall(line.when), line.latest, line.earliest, source=LOG)
            history.describe(line.code, line.words)
            said[line.place, line.code] = line.words
            if count:
                words = line.words or _meaning(line.code)
                self._last_words = f"GPU at {line.place}: XID {line.code}, {words}"[:LONGEST_CHAR]
            new[line.place, line.code] = new.get((line.place, line.code), 0) + count
        return [
            f"GPU at {where}: XID {code} ({_meaning(code)}), {count} times, by the kernel log"
            + (f": {said[where, code]}" if said[where, code] else "")
            for (where, code), count in new.items()
            if count
        ]

    def _history(self, uuid: str) -> XidHistory:
        if uuid not in self._histories:
            self._histories[uuid] = XidHistory(self._config.xid_repeat, self._config.xid_memory)
        return self._histories[uuid]

    # -- what goes into the document ---------------------------------------------------------------------------------

    def of_host(self, now: float) -> dict[str, Any]:
        """Readings of the host by catalog key: SXids, where the kernel log is read."""
        if not self._reads_log:
            return {}
        last = {"xid_words": self._last_words} if self._last_words else {}
        return {**self._switches.readings(now), **last}

    def with_xids(self, now: float, gpu: Gpu) -> Gpu:
        """A GPU with what is known of its XIDs."""
        if gpu.state != "ok":
            # Its readings are void; what the driver said before it went is what helps now.
            words = self.last_xid(now, gpu.position, gpu.readings.get("uuid"))
            problems = (part._replace(message=f"{part.message}, {words}") for part in gpu.problems)
            return gpu._replace(problems=tuple(problems)) if words else gpu
        uuid = gpu.readings["uuid"]
        if self._reads_log:
            return gpu._replace(readings={**gpu.readings, **self._history(uuid).readings(now)})
        if refusal := self._refusals.get(gpu.position):
            # Neither there nor lacking, but in error: as with every reading that the driver refuses.
            return gpu._replace(problems=(*gpu.problems, refusal._replace(gpu=uuid)))
        able = self._able.get(gpu.position)
        if able and uuid in self._histories:
            return gpu._replace(readings={**gpu.readings, **self._histories[uuid].readings(now)})
        if able is False or not self._config.xid:
            # Not while it is merely unknown yet: cards that sleep take seconds, and their items would come later.
            return gpu._replace(lacks=(*gpu.lacks, READER))
        return gpu

    def last_xid(self, now: float, index: int, uuid: str | None = None) -> str:
        """The last recent XID of a GPU, in words; "" for none."""
        history = self._histories.get(uuid or self._uuids.get(index, ""))
        recent = history.recent(now) if history is not None else []
        if history is None or not recent:
            return ""
        words = history.words(recent[-1])
        return f"XID {recent[-1]}: {_meaning(recent[-1])}" + (f" ({words})" if words else "")

    def last_xids(self, now: float) -> str:
        """The same of all GPUs, to be added to a sentence about the driver as a whole."""
        words_by_index = {index: self.last_xid(now, index) for index in sorted(self._uuids)}
        return "".join(f". GPU {index}: {words}" for index, words in words_by_index.items() if words)


def _meaning(code: int) -> str:
    return BY_CODE[code].meaning if code in BY_CODE else "unknown code"
