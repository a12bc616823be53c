"""Readers of temperatures, their limits, and fans."""

from __future__ import annotations

import pynvml

from zbx_nvidia.driver import fields, native
from zbx_nvidia.driver.calls import Absent, Refused, amount, call, first, number, signed
from zbx_nvidia.driver.card import Card
from zbx_nvidia.driver.parts import Fan, answered, each


class ThermalReaders(Card):
    """Temperatures and fans of a GPU."""

    def temperature(self) -> int:
        """Temperature of the die, in °C. nvmlDeviceGetTemperatureV. nvidia-smi: temperature.gpu."""
        return self._once("temperature", self._temperature)

    def temperature_slowdown(self) -> int:
        """Temperature at which the card slows down, in °C. nvmlDeviceGetTemperatureThreshold.

        nvidia-smi -q: GPU Slowdown Temp.
        """
        return self._once("slowdown", lambda: self._threshold(pynvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN))

    def temperature_headroom(self) -> int:
        """Distance to the slowdown, in °C; negative beyond it. Of the margins or, where there are none, the threshold.

        nvidia-smi -q: GPU T.Limit Temp less GPU Slowdown T.Limit Temp, or GPU Slowdown Temp less GPU Current Temp.
        """
        return first(
            lambda: self.temperature_margin() - self.temperature_slowdown_margin(),
            lambda: self.temperature_slowdown() - self.temperature(),
        )

    def temperature_shutdown(self) -> int:
        """Temperature at which the card switches off, in °C. nvmlDeviceGetTemperatureThreshold.

        nvidia-smi -q: GPU Shutdown Temp.
        """
        return self._threshold(pynvml.NVML_TEMPERATURE_THRESHOLD_SHUTDOWN)

    def temperature_max(self) -> int:
        """Temperature at which the card lowers its clocks, in °C. nvmlDeviceGetTemperatureThreshold.

        nvidia-smi -q: GPU Max Operating Temp.
        """
        return self._threshold(pynvml.NVML_TEMPERATURE_THRESHOLD_GPU_MAX)

    def temperature_memory_max(self) -> int:
        """Temperature of the memory at which the card slows down, in °C. nvmlDeviceGetTemperatureThreshold.

        nvidia-smi -q: Memory Max Operating Temp.
        """
        return self._threshold(pynvml.NVML_TEMPERATURE_THRESHOLD_MEM_MAX)

    def temperature_memory(self) -> int:
        """Temperature of the HBM stacks, in °C. Field MEMORY_TEMP. nvidia-smi: temperature.memory."""
        return self._field(fields.TEMPERATURE_MEMORY)

    def temperature_margin(self) -> int:
        """Distance to the thermal limit, in °C. nvmlDeviceGetMarginTemperature. Since r570.

        nvidia-smi: temperature.gpu.tlimit.
        """
        return self._once("margin", lambda: number(call(pynvml.nvmlDeviceGetMarginTemperature, self._handle)))

    def temperature_slowdown_margin(self) -> int:
        """Margin at which the card slows down, in °C. Field TEMPERATURE_SLOWDOWN_TLIMIT. Since r535.

        nvidia-smi -q: GPU Slowdown T.Limit Temp.
        """
        return self._field(fields.MARGIN_SLOWDOWN)

    def temperature_shutdown_margin(self) -> int:
        """Margin at which the card switches off, in °C. Field TEMPERATURE_SHUTDOWN_TLIMIT. Since r535.

        nvidia-smi -q: GPU Shutdown T.Limit Temp.
        """
        return self._field(fields.MARGIN_SHUTDOWN)

    def temperature_max_margin(self) -> int:
        """Margin at which the card lowers its clocks, in °C. Field TEMPERATURE_GPU_MAX_TLIMIT. Since r535.

        nvidia-smi -q: GPU Max Operating T.Limit Temp.
        """
        return self._field(fields.MARGIN_MAX)

    def temperature_memory_max_margin(self) -> int:
        """Margin of the memory at which the card slows down, in °C. Field TEMPERATURE_MEM_MAX_TLIMIT. Since r535."""
        return self._field(fields.MARGIN_MEMORY_MAX)

    def fan_speed(self) -> int:
        """Requested speed of the fastest fan, in %. nvmlDeviceGetFanSpeed_v2. nvidia-smi: fan.speed."""
        return max(answered(self.fan_speeds()).values())

    def fan_speeds(self) -> dict[int, int | Refused]:
        """Requested speed of each fan, in %. nvmlDeviceGetFanSpeed_v2; before r510 of one fan only."""
        return self._once("fans", self._fan_speeds)

    def fan_rpm(self) -> int:
        """Requested speed of the fastest fan, in rpm. nvmlDeviceGetFanSpeedRPM. Since r570. Not in nvidia-smi."""
        return max(answered(self.fan_rpms()).values())

    def fan_rpms(self) -> dict[int, int | Refused]:
        """Requested speed of each fan, in rpm. nvmlDeviceGetFanSpeedRPM. Since r570."""
        return self._once("rpms", lambda: each(self.fan_speeds(), lambda fan: native.fan_rpm(self._handle, fan)))

    def fans(self) -> list[Fan]:
        """Each fan that the driver knows, with readers of its own. nvmlDeviceGetNumFans."""
        return [Fan(fan, self.fan_speeds, self.fan_rpms) for fan in self.fan_speeds()]

    def _temperature(self) -> int:
        return number(
            first(
                lambda: call(pynvml.nvmlDeviceGetTemperatureV, self._handle, pynvml.NVML_TEMPERATURE_GPU),  # r570
                lambda: signed(call(pynvml.nvmlDeviceGetTemperature, self._handle, pynvml.NVML_TEMPERATURE_GPU)),
            )
        )

    def _threshold(self, which: int) -> int:
        value = number(call(pynvml.nvmlDeviceGetTemperatureThreshold, self._handle, which))
        if value == 0:
            raise Absent(0, "no threshold")
        return value

    def _fan_speeds(self) -> dict[int, int | Refused]:
        try:
            count = amount(call(pynvml.nvmlDeviceGetNumFans, self._handle))
        except Absent:
            return {0: number(call(pynvml.nvmlDeviceGetFanSpeed, self._handle))}
        if count == 0:
            raise Absent(0, "no fan")
        return each(range(count), lambda fan: number(call(pynvml.nvmlDeviceGetFanSpeed_v2, self._handle, fan)))
