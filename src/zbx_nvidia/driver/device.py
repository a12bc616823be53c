"""One GPU: a method for each thing that can be read from it.

Each method returns a value in base units, or a NamedTuple of values that are there or lacking together, and raises
`Absent`, `Refused` or `Lost` of `calls`. The names of the methods are the `reader` column of the catalogue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pynvml

from zbx_nvidia.driver.calls import Absent, call, first, number, text

if TYPE_CHECKING:
    from collections.abc import Callable

_MEGA = 1_000_000
_MILLI = 1000  # NVML counts in mW and mJ


class Utilization(NamedTuple):
    """Shares of the last sample period (1/6 s to 1 s, by product), in %.

    Attributes:
        gpu: Time in which at least one kernel ran.
        memory: Time in which device memory was read or written.
    """

    gpu: int
    memory: int


class Memory(NamedTuple):
    """Frame buffer memory.

    Attributes:
        total: In B.
        used: In B; with the reserved part before driver branch r510.
        free: In B.
        used_percent: `used` as a share of `total`, in %.
    """

    total: int
    used: int
    free: int
    used_percent: float


class Device:
    """A GPU that the driver has given a handle for.

    A Device is one look at the card: what several methods need is read once. Make a new one for the next look.

    Args:
        index: Its place in the driver's order.

    Raises:
        Lost: The driver counts the GPU but has lost it.
        Refused: The driver gives no handle.
    """

    def __init__(self, index: int) -> None:
        self._index = index
        # Without persistence mode this call wakes the card: 1 to 3 s.
        self._handle = call(pynvml.nvmlDeviceGetHandleByIndex, index)
        self._known: dict[str, Any] = {}

    # -- inventory ---------------------------------------------------------------------------------------------------
    def index(self) -> int:
        """Place in the driver's order. nvidia-smi: index."""
        return self._index

    def name(self) -> str:
        """Product name. nvidia-smi: name."""
        return text(pynvml.nvmlDeviceGetName, self._handle)

    def uuid(self) -> str:
        """Identity, `GPU-` and 36 characters. nvidia-smi: uuid."""
        return text(pynvml.nvmlDeviceGetUUID, self._handle)

    def pci(self) -> str:
        """PCI address, domain:bus:device.function. nvidia-smi: pci.bus_id."""
        raw = call(pynvml.nvmlDeviceGetPciInfo_v3, self._handle).busId
        return text(lambda: raw)

    def serial(self) -> str:
        """Serial number of the board; absent on GeForce. nvidia-smi: serial."""
        return text(pynvml.nvmlDeviceGetSerial, self._handle)

    def vbios(self) -> str:
        """Version of the VBIOS. nvidia-smi: vbios_version."""
        return text(pynvml.nvmlDeviceGetVbiosVersion, self._handle)

    # -- utilisation -------------------------------------------------------------------------------------------------
    def utilization(self) -> Utilization:
        """GPU and memory controller. nvidia-smi: utilization.gpu, utilization.memory."""
        rates = call(pynvml.nvmlDeviceGetUtilizationRates, self._handle)
        return Utilization(number(rates.gpu), number(rates.memory))

    def encoder_utilization(self) -> int:
        """NVENC, in %. nvidia-smi: utilization.encoder."""
        return number(call(pynvml.nvmlDeviceGetEncoderUtilization, self._handle)[0])

    def decoder_utilization(self) -> int:
        """NVDEC, in %. nvidia-smi: utilization.decoder."""
        return number(call(pynvml.nvmlDeviceGetDecoderUtilization, self._handle)[0])

    # -- memory ------------------------------------------------------------------------------------------------------
    def memory(self) -> Memory:
        """Frame buffer memory. nvidia-smi: memory.total, memory.used, memory.free."""
        info = self._memory()
        total, used, free = number(info.total), number(info.used), number(info.free)
        if total == 0:
            # Devices that share the host's memory report no frame buffer, some of them as 0.
            raise Absent(0, "no frame buffer")
        return Memory(total, used, free, round(100 * used / total, 2))

    def memory_reserved(self) -> int:
        """Held back by driver and firmware, in B. Since r510. nvidia-smi: memory.reserved."""
        info = self._memory()
        if not hasattr(info, "reserved"):
            raise Absent(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND, "nvmlDeviceGetMemoryInfo_v2 is missing")
        return number(info.reserved)

    def _memory(self) -> Any:  # noqa: ANN401  a structure of pynvml
        """Both versions count `used` differently: v2 leaves the reserved part out, v1 has it in."""
        return self._once(
            "memory",
            lambda: first(
                lambda: call(pynvml.nvmlDeviceGetMemoryInfo, self._handle, pynvml.nvmlMemory_v2),
                lambda: call(pynvml.nvmlDeviceGetMemoryInfo, self._handle),
            ),
        )

    # -- temperature -------------------------------------------------------------------------------------------------
    def temperature(self) -> int:
        """Of the die, in °C. nvidia-smi: temperature.gpu."""
        return number(
            first(
                lambda: call(pynvml.nvmlDeviceGetTemperatureV, self._handle, pynvml.NVML_TEMPERATURE_GPU),  # r570
                lambda: call(pynvml.nvmlDeviceGetTemperature, self._handle, pynvml.NVML_TEMPERATURE_GPU),
            )
        )

    def temperature_slowdown(self) -> int:
        """The card slows down from here on, in °C. nvidia-smi -q: GPU Slowdown Temp."""
        return self._threshold(pynvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN)

    def temperature_shutdown(self) -> int:
        """The card switches off from here on, in °C. nvidia-smi -q: GPU Shutdown Temp."""
        return self._threshold(pynvml.NVML_TEMPERATURE_THRESHOLD_SHUTDOWN)

    def temperature_margin(self) -> int:
        """Degrees left to the thermal limit. Since r570. nvidia-smi: temperature.gpu.tlimit."""
        return number(call(pynvml.nvmlDeviceGetMarginTemperature, self._handle))

    def temperature_slowdown_margin(self) -> int:
        """Margin at which the card slows down. Since r535. nvidia-smi -q: GPU Slowdown T.Limit Temp."""
        return self._field(pynvml.NVML_FI_DEV_TEMPERATURE_SLOWDOWN_TLIMIT)

    def temperature_shutdown_margin(self) -> int:
        """Margin at which the card switches off. Since r535. nvidia-smi -q: GPU Shutdown T.Limit Temp."""
        return self._field(pynvml.NVML_FI_DEV_TEMPERATURE_SHUTDOWN_TLIMIT)

    def _threshold(self, which: int) -> int:
        value = number(call(pynvml.nvmlDeviceGetTemperatureThreshold, self._handle, which))
        if value == 0:
            raise Absent(0, "no threshold")
        return value

    # -- fans --------------------------------------------------------------------------------------------------------
    def fan_speed(self) -> int:
        """Speed asked of the fastest fan, in %. nvidia-smi: fan.speed."""
        return max(self.fan_speeds())

    def fan_speeds(self) -> tuple[int, ...]:
        """Speed asked of each fan, in %. Drivers before r510 know only one."""
        speeds: tuple[int, ...] = self._once("fans", self._fans)
        return speeds

    def _fans(self) -> tuple[int, ...]:
        try:
            count = call(pynvml.nvmlDeviceGetNumFans, self._handle)
        except Absent:
            return (number(call(pynvml.nvmlDeviceGetFanSpeed, self._handle)),)
        if count == 0:
            raise Absent(0, "no fan")
        return tuple(number(call(pynvml.nvmlDeviceGetFanSpeed_v2, self._handle, fan)) for fan in range(count))

    # -- power -------------------------------------------------------------------------------------------------------
    def power(self) -> float:
        """Draw of the board, in W. nvidia-smi: power.draw."""
        draw: int = self._once("power", lambda: number(call(pynvml.nvmlDeviceGetPowerUsage, self._handle)))
        return draw / _MILLI

    def power_limit(self) -> float:
        """The limit in force, in W. nvidia-smi: enforced.power.limit."""
        limit: int = self._once("limit", lambda: number(call(pynvml.nvmlDeviceGetEnforcedPowerLimit, self._handle)))
        return limit / _MILLI

    def power_percent(self) -> float:
        """Draw as a share of the limit in force, in %."""
        limit = self.power_limit()
        if limit == 0:
            raise Absent(0, "no limit")
        return round(100 * self.power() / limit, 2)

    def energy(self) -> float:
        """Energy used since the driver was loaded, in J. Volta and newer."""
        return number(call(pynvml.nvmlDeviceGetTotalEnergyConsumption, self._handle)) / _MILLI

    # -- clocks ------------------------------------------------------------------------------------------------------
    def clock_sm(self) -> int:
        """Streaming multiprocessors, in Hz. nvidia-smi: clocks.sm."""
        return self._clock(pynvml.NVML_CLOCK_SM)

    def clock_memory(self) -> int:
        """Memory, in Hz. nvidia-smi: clocks.mem."""
        return self._clock(pynvml.NVML_CLOCK_MEM)

    def clock_graphics(self) -> int:
        """Graphics engine, in Hz. nvidia-smi: clocks.gr."""
        return self._clock(pynvml.NVML_CLOCK_GRAPHICS)

    def clock_video(self) -> int:
        """Video encoder and decoder, in Hz. nvidia-smi: clocks.video."""
        return self._clock(pynvml.NVML_CLOCK_VIDEO)

    def _clock(self, which: int) -> int:
        return number(call(pynvml.nvmlDeviceGetClockInfo, self._handle, which)) * _MEGA

    def performance_state(self) -> int:
        """0 (fastest) to 15 (slowest). nvidia-smi: pstate."""
        state: int = call(pynvml.nvmlDeviceGetPerformanceState, self._handle)
        if state == pynvml.NVML_PSTATE_UNKNOWN:
            raise Absent(0, "unknown performance state")
        return state

    # -- field values ------------------------------------------------------------------------------------------------
    def _field(self, field: int) -> int:
        """A number of nvmlDeviceGetFieldValues, which has a return code and a type for each value."""
        value = call(pynvml.nvmlDeviceGetFieldValues, self._handle, [field])[0]
        call(_check, value.nvmlReturn)
        # `valueType` says which member of the union was written: read as another, -2 becomes 4294967294.
        member = _UNION_MEMBER.get(value.valueType)
        if member is None:
            raise Absent(0, f"unknown value type {value.valueType}")
        return number(int(getattr(value.value, member)))

    def _once(self, what: str, read: Callable[[], Any]) -> Any:  # noqa: ANN401  whatever is read
        """Read what several methods need once per Device."""
        if what not in self._known:
            self._known[what] = read()
        return self._known[what]


def _check(code: int) -> None:
    if code != pynvml.NVML_SUCCESS:
        raise pynvml.NVMLError(code)


_UNION_MEMBER = {
    pynvml.NVML_VALUE_TYPE_DOUBLE: "dVal",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_INT: "uiVal",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG: "ulVal",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG: "ullVal",
    pynvml.NVML_VALUE_TYPE_SIGNED_LONG_LONG: "sllVal",
    pynvml.NVML_VALUE_TYPE_SIGNED_INT: "siVal",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_SHORT: "usVal",
}
