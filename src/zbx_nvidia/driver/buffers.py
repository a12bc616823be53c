"""The driver's own samples: for each kind a ring buffer of the last seconds, at a higher rate than any poll."""

# Without `from __future__ import annotations`: typing would compile the text of each annotation at each poll. That took
# three quarters of the import time of this module.
import ctypes
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import pynvml

from zbx_nvidia.driver.calls import Absent, NotNow, Refused, call
from zbx_nvidia.driver.fields import MEGA, MICRO, MILLI
from zbx_nvidia.driver.native import LETTERS, raw

_AHEAD = 1_000_000  # us; a sample may be taken during the call

# Name -> number of the buffer, the highest value that can be (as in the catalog), and the conversion to base units.
KINDS: dict[str, tuple[int, int, Callable[[float], float]]] = {
    "utilization": (pynvml.NVML_GPU_UTILIZATION_SAMPLES, 100, int),
    "power": (pynvml.NVML_TOTAL_POWER_SAMPLES, 10_000 * MILLI, lambda value: value / MILLI),  # mW
    "clock_sm": (pynvml.NVML_PROCESSOR_CLK_SAMPLES, 100_000, lambda value: int(value) * MEGA),  # MHz
}
_SAMPLE = ctypes.sizeof(pynvml.c_nvmlSample_t)


class Summary(NamedTuple):
    """Summary of samples, in their unit.

    Attributes:
        peak: The highest.
        average: Their mean.
        p95: The 95th percentile.
    """

    peak: float
    average: float
    p95: float


def summary(values: list[float]) -> Summary:
    """Summary of these values, of which there is at least one."""
    ordered = sorted(values)
    count = len(ordered)
    # The nearest rank, so that the percentile is a measured value.
    return Summary(ordered[-1], round(sum(ordered) / count, 2), ordered[-(-95 * count // 100) - 1])


def read(handle: Any, name: str, since: int = 0) -> list[tuple[int, float]]:  # noqa: ANN401  of pynvml
    """Content of a buffer. nvmlDeviceGetSamples.

    Args:
        handle: Of the GPU.
        name: One of `KINDS`.
        since: Only samples after this Unix time, in us.

    Returns:
        Times, in us, and values in base units.

    Raises:
        Absent: The card or the driver has no such buffer. An H100 and an H200 (580.159) announce 100 samples of
            clocks, at rest and at work, but have none.
        NotNow: It is empty, or nothing in it is new.
        Refused: No permission, or an error without a reason.
        Lost: The device is gone.
    """
    kind, highest, in_base_units = KINDS[name]
    # Not pynvml's own function: it reads 120 structures one by one, which takes longer than everything else here.
    after, of_type, count = ctypes.c_ulonglong(since), ctypes.c_uint(), ctypes.c_uint(0)
    try:
        call(raw, "nvmlDeviceGetSamples", handle, kind, after, ctypes.byref(of_type), ctypes.byref(count), None)
        if not count.value:
            raise NotNow(0, "no sample")
        room = ctypes.create_string_buffer(count.value * _SAMPLE)
        call(raw, "nvmlDeviceGetSamples", handle, kind, after, ctypes.byref(of_type), ctypes.byref(count), room)
    except Refused as error:
        if error.code == pynvml.NVML_ERROR_NOT_FOUND:
            never = name == "clock_sm" and count.value and not since
            raise (Absent if never else NotNow)(error.code, error.message) from None
        raise
    letter = LETTERS.get(of_type.value)
    if letter is None:
        raise Absent(0, f"unknown value type {of_type.value}")
    padding = _SAMPLE - struct.calcsize(f"@Q{letter}")
    rows = [*struct.iter_unpack(f"@Q{letter}{padding}x", memoryview(room)[: count.value * _SAMPLE])]
    # An unused row has the time 0. "Not available" is a number above the highest; NaN fails both comparisons.
    samples = [(stamp, in_base_units(value)) for stamp, value in rows if stamp > since and 0 <= value <= highest]
    if not samples:
        new = [value for stamp, value in rows if stamp > since]
        raise Absent(0, f"not a value: {new[-1]}") if new else NotNow(0, "no sample")
    return samples


class Mark:
    """The time up to which samples were taken, so that each is taken once.

    The driver stamps with the wall clock. If that jumps back, all new samples would look like known ones.
    """

    def __init__(self) -> None:
        self._seen = 0
        self._asked = 0.0

    def since(self, now: float, wall: float) -> int:
        """Unix time after which samples are new, in us.

        Args:
            now: Time of the monotonic clock, in s.
            wall: Unix time, in s.
        """
        if self._seen > wall * MICRO + _AHEAD:
            self._seen = int((wall - (now - self._asked)) * MICRO)
        self._asked = now
        return self._seen

    def take(self, stamp: int, wall: float) -> bool:
        """Whether a sample counts: one of the future was stamped before the clock was put back."""
        if stamp > wall * MICRO + _AHEAD:
            return False
        self._seen = max(self._seen, stamp)
        return True


class Buffer:
    """A buffer of one GPU, from which each sample is taken once.

    Args:
        index: Its place in the driver's order.
        name: One of `KINDS`.

    Raises:
        Lost: The driver counts the GPU but has lost it.
        Refused: The driver gives no handle.
    """

    def __init__(self, index: int, name: str) -> None:
        self._handle = call(pynvml.nvmlDeviceGetHandleByIndex, index)
        self._name = name
        self._mark = Mark()

    def take(self, now: float, wall: float) -> list[tuple[float, float]]:
        """New samples, as (time, value); the first time all samples.

        Args:
            now: Time of the monotonic clock, in s, as the times returned.
            wall: Unix time, in s.

        Raises:
            Absent: The card or the driver has no such buffer.
            NotNow: Nothing is new.
            Refused: No permission, or an error without a reason.
            Lost: The device is gone.
        """
        return [
            (now - wall + stamp / MICRO, value)
            for stamp, value in read(self._handle, self._name, self._mark.since(now, wall))
            if self._mark.take(stamp, wall)
        ]
