"""The shares of a GPU that each process used between two calls, from the driver's samples."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import pynvml

from zbx_nvidia.driver.calls import NotNow, Refused, call, first
from zbx_nvidia.driver.fields import MICRO

if TYPE_CHECKING:
    from collections.abc import Callable

WHOLE = 100  # %
# Drivers sample about once a second: over a shorter time, a GPU in use could have no samples.
_LEAST = 2.0  # s
_AHEAD = 1.0  # s; a sample may be taken during the call
# pynvml treats success, as the answer to a size query, as an error; a driver may also answer "not found". Both mean
# that no process used the GPU.
_NOBODY = frozenset({pynvml.NVML_SUCCESS, pynvml.NVML_ERROR_NOT_FOUND})


class Shares(NamedTuple):
    """Shares of a GPU's engines that a process used, in %.

    Attributes:
        utilization: Of the multiprocessors.
        utilization_memory: Of the memory controller.
        utilization_encoder: Of the video encoder.
        utilization_decoder: Of the video decoder.
    """

    utilization: int
    utilization_memory: int
    utilization_encoder: int
    utilization_decoder: int


# For a process without a sample: the driver lists only processes that used the GPU.
IDLE = Shares(0, 0, 0, 0)


class ProcessUsage:
    """The processes of one GPU.

    Args:
        index: Its place in the driver's order.

    Raises:
        Lost: The driver counts the GPU but has lost it.
        Refused: The driver gives no handle.
    """

    def __init__(self, index: int) -> None:
        self._handle = call(pynvml.nvmlDeviceGetHandleByIndex, index)
        self._asked = math.inf

    def take(self, now: float, wall: float) -> dict[int, Shares]:
        """Means since the last call, over at least two seconds, by PID. nvmlDeviceGetProcessesUtilizationInfo.

        nvidia-smi pmon. A process that used nothing may be missing.

        Args:
            now: Time of the monotonic clock, in s.
            wall: Unix time, in s.

        Raises:
            Absent: The card or the driver does not have it; in MIG mode none has.
            NotNow: Processes were started between the two calls of pynvml.
            Refused: No permission, or an error without a reason.
            Lost: The device is gone.
        """
        # Calculated from the present wall clock, with which the driver stamps: it may have jumped since the last call.
        since = int((wall - max(now - self._asked, _LEAST)) * MICRO)
        until = int((wall + _AHEAD) * MICRO)
        self._asked = now
        samples = first(
            lambda: self._ask(pynvml.nvmlDeviceGetProcessesUtilizationInfo, since),  # r550
            lambda: self._ask(pynvml.nvmlDeviceGetProcessUtilization, since),
        )
        by_pid: dict[int, list[tuple[int, ...]]] = {}
        for sample in samples:
            shares = (sample.smUtil, sample.memUtil, sample.encUtil, sample.decUtil)
            # An entry that the driver did not fill has no time, and shares of thousands of %.
            if since < sample.timeStamp <= until and max(shares) <= WHOLE:
                by_pid.setdefault(sample.pid, []).append(shares)
        return {
            pid: Shares(*(round(sum(engine) / len(taken)) for engine in zip(*taken, strict=True)))
            for pid, taken in by_pid.items()
        }

    def _ask(self, function: Callable[..., Any], since: int) -> Any:  # noqa: ANN401  structures of pynvml
        try:
            return call(function, self._handle, since)
        except Refused as error:
            if error.code in _NOBODY:
                return []
            if error.code == pynvml.NVML_ERROR_INSUFFICIENT_SIZE:
                raise NotNow(error.code, error.message) from None
            raise
