"""The samples of one GPU, and what is made of them: highest, mean and 95th percentile of the last minute."""

from __future__ import annotations

import contextlib
import time
from array import array
from bisect import bisect_left
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any

from zbx_nvidia.catalog.sampled import BUFFERED_READERS, GPM_READERS, SAMPLED_METRICS
from zbx_nvidia.collector.processes import sees_every_process
from zbx_nvidia.collector.ranges import impossible, possible
from zbx_nvidia.driver.buffers import Buffer, summary
from zbx_nvidia.driver.calls import Absent, Lost, NotNow, NvmlError, Refused
from zbx_nvidia.driver.gpm import Gpm, free
from zbx_nvidia.driver.sampling import Probe
from zbx_nvidia.driver.usage import IDLE, ProcessUsage

if TYPE_CHECKING:
    from zbx_nvidia.catalog.metrics import Metric
    from zbx_nvidia.collector.document import Gpu, Part

_PREFIX = "sampled_"
# Reader of the catalog -> its rows.
_ROWS: dict[str, list[Metric]] = {}
for _metric in SAMPLED_METRICS:
    if _metric.reader.startswith(_PREFIX):
        _ROWS.setdefault(_metric.reader, []).append(_metric)
# Reader -> method of the probe.
_METHODS = {reader: reader.removeprefix(_PREFIX) for reader in _ROWS}
SLOW = tuple(reader for reader in _ROWS if "_pcie_" in reader)
QUICK = tuple(reader for reader in _ROWS if reader not in SLOW)
_WHOLE = frozenset({"UNSIGNED"})
_APART = 0.1  # s that two samples of GPM have to be apart at least


class _Series:
    """Values in the order of their times.

    Eight GPUs have 15,000 in a minute. As pairs they filled the processor's cache, and to look through them once a
    document took as much as a tenth of all that the worker does.
    """

    def __init__(self) -> None:
        self._times = array("d")
        self.values: list[float] = []

    def add(self, at: float, value: float) -> None:
        """Take one value in, which is not older than those before: the wall clock may say so if it has jumped."""
        self._times.append(max(at, self._times[-1]) if self._times else at)
        self.values.append(value)

    def forget(self, until: float) -> None:
        """Drop the values before this time."""
        if old := bisect_left(self._times, until):
            del self._times[:old], self.values[:old]


class Window:
    """Values of the last so many seconds.

    Args:
        horizon: In s, of the monotonic clock.
    """

    def __init__(self, horizon: float) -> None:
        self._horizon = horizon
        self._seen = _Series()
        self._told = _Series()

    def add(self, at: float, value: float) -> None:
        """Take in what we have seen ourselves."""
        self._seen.add(at, value)

    def add_told(self, samples: list[tuple[float, float]]) -> None:
        """Take in what the driver has seen, and tells later than we have seen it meanwhile."""
        for at, value in samples:
            self._told.add(at, value)

    def made(self, now: float) -> dict[str, float]:
        """What the values come to; nothing where there are none."""
        for series in (self._seen, self._told):
            series.forget(now - self._horizon)
        values = self._seen.values + self._told.values
        return summary(values)._asdict() if values else {}


class Sampler:
    """Samples one GPU. Used by the one thread that is allowed to hang for it.

    Args:
        index: Its place in the driver's order.
        horizon: What is looked back on, in s.
        wanted: Readers that are sampled at all.
    """

    def __init__(self, index: int, horizon: float, wanted: tuple[str, ...]) -> None:
        self._index = index
        self._wanted = wanted
        self._probe: Probe | None = None
        self._windows: dict[str, Window] = defaultdict(lambda: Window(horizon))
        self._buffers: dict[str, Buffer] = {}
        self._lacking: set[str] = set()
        self._again: set[str] = set()  # those of them that are asked once more
        self._odd: dict[str, str] = {}  # numbers that cannot be, in words

    def sample(self, readers: tuple[str, ...], now: float) -> None:
        """Look at these readings once. What the driver does not give is left out; a lost card has no past."""
        try:
            if self._probe is None:
                self._probe = Probe(self._index)
            self._probe.begin()
            for reader in readers:
                if reader in self._lacking and reader not in self._again:
                    continue
                self._again.discard(reader)
                try:
                    value = getattr(self._probe, _METHODS[reader])()
                except Absent:
                    self._lacking.add(reader)
                    self._windows.pop(reader, None)
                except Refused:
                    continue
                else:
                    self._lacking.discard(reader)
                    if not possible(_ROWS[reader][0], value):
                        self._odd[reader] = impossible(_ROWS[reader][0], value)
                        continue
                    self._windows[reader].add(now, value)
        except Lost:
            self.forget()
        except NvmlError:
            self._probe = None

    def made(self, now: float) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Readings by catalog key, and the readers that the card cannot serve."""
        readings: dict[str, Any] = {}
        self._add_the_drivers_own(now)
        for reader, window in self._windows.items():
            if values := window.made(now):
                readings.update({metric.key: _of_kind(metric, values[metric.field]) for metric in _ROWS[reader]})
        lacks = tuple(reader for reader in _ROWS if reader in self._lacking or reader not in self._wanted)
        # Asked again from time to time: MIG mode takes some of them away, and gives them back. Until then they lack:
        # what is neither there nor lacking would get items.
        self._again = set(self._lacking)
        return readings, lacks

    def odd(self) -> dict[str, str]:
        """Numbers since the last time that cannot be, in words, by the reader that they are of."""
        odd, self._odd = self._odd, {}
        return odd

    def _add_the_drivers_own(self, now: float) -> None:
        """Put the samples that the driver has taken since the last time beside ours, which go on as if there were none.

        They are finer, but their buffer may be short, empty, or missing; and to ask for them once a document costs less
        than a look.
        """
        for reader in BUFFERED_READERS:
            if reader not in self._windows:
                continue
            try:
                if reader not in self._buffers:
                    self._buffers[reader] = Buffer(self._index, _METHODS[reader])
                self._windows[reader].add_told(self._buffers[reader].take(now, time.time()))
            except (Absent, NotNow, Refused):
                continue
            except NvmlError:
                self._buffers.pop(reader, None)

    def forget(self) -> None:
        """Forget everything."""
        self._probe = None
        self._windows.clear()
        self._buffers.clear()
        self._lacking.clear()
        self._again.clear()
        self._odd.clear()


class Activity:
    """How busy the parts of a GPU and its MIG instances were, by their own counters (GPM). Used by the same thread.

    Args:
        index: Its place in the driver's order.
        horizon: What is looked back on, in s.
        wanted: Whether it is read at all.
    """

    def __init__(self, index: int, horizon: float, *, wanted: bool) -> None:
        self._index = index
        self._horizon = horizon
        self._wanted = wanted
        self._gpm: Gpm | None = None
        # UUID and GPU instance id of a MIG instance, or nothing for the GPU itself -> its samples.
        self._samples: dict[tuple[str, int] | None, deque[tuple[float, Any]]] = {}

    def made(self, now: float) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Readings by catalog key, from the oldest sample to one taken now, and the readers that the card lacks."""
        return self._made(None, now)

    def of_instances(self, instances: tuple[Part, ...], now: float) -> tuple[Part, ...]:
        """MIG instances with such readings of their own."""
        keys = [(part.macros["{#MIG}"], int(part.macros["{#GI}"])) for part in instances]
        # An instance that is gone, or was created again, has nothing in common with the one that is there now.
        for key in self._samples.keys() - {*keys, None}:
            self._forget(key)
        parts = []
        for part, key in zip(instances, keys, strict=True):
            readings, lacks = self._made(key, now)
            parts.append(part._replace(readings={**part.readings, **readings}, lacks=(*part.lacks, *lacks)))
        return tuple(parts)

    def _made(self, key: tuple[str, int] | None, now: float) -> tuple[dict[str, Any], tuple[str, ...]]:
        if not self._wanted:
            return {}, GPM_READERS
        try:
            if self._gpm is None:
                self._gpm = Gpm(self._index)
            samples = self._samples.setdefault(key, deque())
            samples.append((now, self._gpm.take(key[1] if key else None)))
            while samples[0][0] < now - self._horizon:
                free(samples.popleft()[1])
            (since, first), (_, last) = samples[0], samples[-1]
            if now - since < _APART:
                return {}, ()
            values = self._gpm.between(first, last)
        except Absent:
            self._forget(key)
            return {}, GPM_READERS
        except NvmlError:
            self._forget(key)
            return {}, ()
        return (
            {f"gpm_{name}": value for name, value in values.items()},
            tuple(reader for reader in GPM_READERS if reader.removeprefix("gpm_") not in values),
        )

    def forget(self) -> None:
        """Forget everything."""
        self._gpm = None
        for key in list(self._samples):
            self._forget(key)

    def _forget(self, key: tuple[str, int] | None) -> None:
        self._gpm = None
        samples = self._samples.pop(key, deque())
        while samples:
            with contextlib.suppress(NvmlError):
                free(samples.pop()[1])


class Consumers:
    """What the processes of a GPU used of it. Used by the same thread.

    Args:
        index: Its place in the driver's order.
    """

    def __init__(self, index: int) -> None:
        self._index = index
        self._usage: ProcessUsage | None = None

    def added(self, gpu: Gpu, now: float) -> dict[str, Any]:
        """The process list of a GPU with what each used since the last time, as far as the driver says it."""
        listed = gpu.readings.get("process_list")
        if not listed:
            return {}
        try:
            if self._usage is None:
                self._usage = ProcessUsage(self._index)
            used = self._usage.take(now, time.time())
        except (Absent, NotNow, Refused):
            return {}
        except NvmlError:
            self._usage = None
            return {}
        if not used.keys() <= {entry["pid"] for entry in listed} and not sees_every_process():
            # In a container with PIDs of its own drivers have been reported to list by those, and to sample by the
            # host's: then nobody would seem to use what all use.
            return {}
        return {"process_list": [{**entry, **used.get(entry["pid"], IDLE)._asdict()} for entry in listed]}

    def forget(self) -> None:
        """Forget everything."""
        self._usage = None


def _of_kind(metric: Metric, value: float) -> float:
    return int(value) if metric.kind in _WHOLE else value
