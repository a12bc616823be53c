"""The few readings that change faster than a poll and are sampled twice a second.

Unlike a `Device`, a `Probe` is kept: it gets its handle once, and a look is few calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import pynvml

from zbx_nvidia.driver import fields
from zbx_nvidia.driver.calls import call, first, number, signed
from zbx_nvidia.driver.fields import MEGA, MILLI

if TYPE_CHECKING:
    from collections.abc import Callable

    from zbx_nvidia.driver.native import FieldAnswer

T = TypeVar("T")

_KILO = 1000
_FIELDS = (fields.POWER_INSTANT, fields.TEMPERATURE_MEMORY)


class Probe:
    """A GPU that is sampled. Like those of `Device`, readers return base units or raise `Absent`, `Refused` or `Lost`.

    Args:
        index: Its place in the driver's order.

    Raises:
        Lost: The driver counts the GPU but has lost it.
        Refused: The driver gives no handle.
    """

    def __init__(self, index: int) -> None:
        self._handle = call(pynvml.nvmlDeviceGetHandleByIndex, index)
        self._temperature: Callable[[], Any] | None = None
        self._fields: dict[fields.CardField[Any], FieldAnswer] = {}

    def begin(self) -> None:
        """Begin another look: what one call returns for several readers is asked again."""
        self._fields = {}

    def utilization(self) -> int:
        """GPU utilization, in %. nvmlDeviceGetUtilizationRates. nvidia-smi: utilization.gpu."""
        return number(call(pynvml.nvmlDeviceGetUtilizationRates, self._handle).gpu)

    def power(self) -> float:
        """Draw of the board, in W: without smoothing, if the driver has that.

        Field POWER_INSTANT, nvmlDeviceGetPowerUsage. nvidia-smi: power.draw.instant, power.draw.
        """
        return first(self._power_instant, self._power)

    def temperature(self) -> int:
        """Temperature of the die, in °C. nvmlDeviceGetTemperatureV. nvidia-smi: temperature.gpu."""
        if self._temperature is None:
            # Whether the driver has the new call is found out once.
            return number(first(lambda: self._kept(self._temperature_new), lambda: self._kept(self._temperature_old)))
        return number(self._temperature())

    def temperature_memory(self) -> int:
        """Temperature of the HBM stacks, in °C. Field MEMORY_TEMP. nvidia-smi: temperature.memory."""
        return self._field(fields.TEMPERATURE_MEMORY)

    def clock_sm(self) -> int:
        """Clock of the streaming multiprocessors, in Hz. nvmlDeviceGetClockInfo. nvidia-smi: clocks.sm."""
        return number(call(pynvml.nvmlDeviceGetClockInfo, self._handle, pynvml.NVML_CLOCK_SM)) * MEGA

    def pcie_sent(self) -> int:
        """Sent over PCIe, in B/s, during the 20 ms that the call takes. nvmlDeviceGetPcieThroughput.

        nvidia-smi -q: Tx Throughput.
        """
        return self._pcie(pynvml.NVML_PCIE_UTIL_TX_BYTES)

    def pcie_received(self) -> int:
        """Received over PCIe, in B/s, during the 20 ms that the call takes. nvmlDeviceGetPcieThroughput.

        nvidia-smi -q: Rx Throughput.
        """
        return self._pcie(pynvml.NVML_PCIE_UTIL_RX_BYTES)

    def _pcie(self, counter: int) -> int:
        return number(call(pynvml.nvmlDeviceGetPcieThroughput, self._handle, counter)) * _KILO

    def _power_instant(self) -> float:
        return self._field(fields.POWER_INSTANT)

    def _field(self, field: fields.CardField[T]) -> T:
        if not self._fields:
            self._fields = dict(zip(_FIELDS, fields.ask_alone(self._handle, *_FIELDS), strict=True))
        return field.value(self._fields[field])

    def _power(self) -> float:
        return number(call(pynvml.nvmlDeviceGetPowerUsage, self._handle)) / MILLI

    def _temperature_new(self) -> int:
        value: int = call(pynvml.nvmlDeviceGetTemperatureV, self._handle, pynvml.NVML_TEMPERATURE_GPU)  # r570
        return value

    def _temperature_old(self) -> int:
        return signed(call(pynvml.nvmlDeviceGetTemperature, self._handle, pynvml.NVML_TEMPERATURE_GPU))

    def _kept(self, read: Callable[[], int]) -> int:
        value = read()
        self._temperature = read
        return value
