"""Readers of power, clocks and throttling."""

from __future__ import annotations

import pynvml

from zbx_nvidia.driver import fields
from zbx_nvidia.driver.calls import Absent, NotNow, call, first, number
from zbx_nvidia.driver.card import Card
from zbx_nvidia.driver.fields import MEGA, MILLI, NANO
from zbx_nvidia.driver.readings import PowerLimits, Throttling

# In the order of Throttling's members.
_REASONS = (
    pynvml.nvmlClocksEventReasonSwPowerCap,
    pynvml.nvmlClocksEventReasonHwSlowdown,
    pynvml.nvmlClocksEventReasonSyncBoost,
    pynvml.nvmlClocksEventReasonSwThermalSlowdown,
    pynvml.nvmlClocksEventReasonHwThermalSlowdown,
    pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown,
)


class PowerReaders(Card):
    """Power draw and clocks of a GPU."""

    def power(self) -> float:
        """Draw of the board, in W. nvmlDeviceGetPowerUsage. nvidia-smi: power.draw."""
        return self._once("power", lambda: number(call(pynvml.nvmlDeviceGetPowerUsage, self._handle))) / MILLI

    def power_instant(self) -> float:
        """Draw of the board without smoothing, in W. Field POWER_INSTANT. Since r535.

        nvidia-smi: power.draw.instant.
        """
        return self._field(fields.POWER_INSTANT)

    def power_average(self) -> float:
        """Draw of the board, mean of one second, in W. Field POWER_AVERAGE. Since r535.

        nvidia-smi: power.draw.average.
        """
        return self._field(fields.POWER_AVERAGE)

    def power_memory(self) -> float:
        """Draw of the memory, mean of one second, in W. Field POWER_AVERAGE, scope of the memory. Since r570.

        nvidia-smi -q: GPU Memory Power Readings, Average Power Draw.
        """
        return self._field(fields.POWER_MEMORY)

    def power_limit(self) -> float:
        """The limit in force, in W. nvmlDeviceGetEnforcedPowerLimit. nvidia-smi: enforced.power.limit."""
        return self._once("limit", lambda: number(call(pynvml.nvmlDeviceGetEnforcedPowerLimit, self._handle))) / MILLI

    def power_percent(self) -> float:
        """Draw as a share of the limit in force, in %. Of `power` and `power_limit`."""
        limit = self.power_limit()
        if limit == 0:
            raise NotNow(0, "no limit")
        return round(100 * self.power() / limit, 2)

    def power_limit_requested(self) -> float:
        """The limit set by an administrator, in W. nvmlDeviceGetPowerManagementLimit.

        nvidia-smi: power.limit.
        """
        return number(call(pynvml.nvmlDeviceGetPowerManagementLimit, self._handle)) / MILLI

    def power_limit_default(self) -> float:
        """The limit that the card starts with, in W. nvmlDeviceGetPowerManagementDefaultLimit.

        nvidia-smi: power.default_limit.
        """
        return number(call(pynvml.nvmlDeviceGetPowerManagementDefaultLimit, self._handle)) / MILLI

    def power_limits(self) -> PowerLimits:
        """Range of the limit, in W. nvmlDeviceGetPowerManagementLimitConstraints.

        nvidia-smi: power.min_limit, power.max_limit.
        """
        low, high = call(pynvml.nvmlDeviceGetPowerManagementLimitConstraints, self._handle)
        return PowerLimits(number(low) / MILLI, number(high) / MILLI)

    def energy(self) -> float:
        """Energy used since the driver was loaded, in J. nvmlDeviceGetTotalEnergyConsumption. Volta and newer."""
        return number(call(pynvml.nvmlDeviceGetTotalEnergyConsumption, self._handle)) / MILLI

    def clock_sm(self) -> int:
        """Clock of the streaming multiprocessors, in Hz. nvmlDeviceGetClockInfo. nvidia-smi: clocks.sm."""
        return self._clock(pynvml.NVML_CLOCK_SM)

    def clock_memory(self) -> int:
        """Clock of the memory, in Hz. nvmlDeviceGetClockInfo. nvidia-smi: clocks.mem."""
        return self._clock(pynvml.NVML_CLOCK_MEM)

    def clock_graphics(self) -> int:
        """Clock of the graphics engine, in Hz. nvmlDeviceGetClockInfo. nvidia-smi: clocks.gr."""
        return self._clock(pynvml.NVML_CLOCK_GRAPHICS)

    def clock_video(self) -> int:
        """Clock of the video encoder and decoder, in Hz. nvmlDeviceGetClockInfo. nvidia-smi: clocks.video."""
        return self._clock(pynvml.NVML_CLOCK_VIDEO)

    def clock_sm_max(self) -> int:
        """Highest of `clock_sm`, in Hz. nvmlDeviceGetMaxClockInfo. nvidia-smi: clocks.max.sm."""
        return self._clock_max(pynvml.NVML_CLOCK_SM)

    def clock_memory_max(self) -> int:
        """Highest of `clock_memory`, in Hz. nvmlDeviceGetMaxClockInfo. nvidia-smi: clocks.max.memory."""
        return self._clock_max(pynvml.NVML_CLOCK_MEM)

    def clock_graphics_max(self) -> int:
        """Highest of `clock_graphics`, in Hz. nvmlDeviceGetMaxClockInfo. nvidia-smi: clocks.max.graphics."""
        return self._clock_max(pynvml.NVML_CLOCK_GRAPHICS)

    def clock_video_max(self) -> int:
        """Highest of `clock_video`, in Hz. nvmlDeviceGetMaxClockInfo. nvidia-smi -q: Max Clocks, Video."""
        return self._clock_max(pynvml.NVML_CLOCK_VIDEO)

    def performance_state(self) -> int:
        """0 (fastest) to 15 (slowest). nvmlDeviceGetPerformanceState. nvidia-smi: pstate."""
        state: int = call(pynvml.nvmlDeviceGetPerformanceState, self._handle)
        if state == pynvml.NVML_PSTATE_UNKNOWN:
            raise Absent(0, "unknown performance state")
        return state

    def throttling(self) -> Throttling:
        """Why the clocks are reduced now. nvmlDeviceGetCurrentClocksEventReasons.

        nvidia-smi: clocks_event_reasons.*; before r535 clocks_throttle_reasons.*.
        """
        reasons = first(
            lambda: call(pynvml.nvmlDeviceGetCurrentClocksEventReasons, self._handle),
            lambda: call(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons, self._handle),
        )
        return Throttling(*(int(bool(reasons & bit)) for bit in _REASONS))

    def throttle_time_power(self) -> float:
        """Time at the power limit, in s. Field PERF_POLICY_POWER; before r575 nvmlDeviceGetViolationStatus.

        nvidia-smi: clocks_event_reasons_counters.sw_power_cap.
        """
        return self._time_lost(fields.THROTTLED_POWER, pynvml.NVML_PERF_POLICY_POWER)

    def throttle_time_sw_thermal(self) -> float:
        """Time in which the driver cooled the card down, in s. Field CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN.

        Since r575. nvidia-smi: clocks_event_reasons_counters.sw_thermal_slowdown.
        """
        return self._field(fields.THROTTLED_SW_THERMAL)

    def throttle_time_hw_thermal(self) -> float:
        """Time in which the card was too hot, in s. Field CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN.

        Before r575 the time that the thermal policy was violated: field PERF_POLICY_THERMAL or
        nvmlDeviceGetViolationStatus. nvidia-smi: clocks_event_reasons_counters.hw_thermal_slowdown.
        """
        return first(
            lambda: self._field(fields.THROTTLED_HW_THERMAL),
            lambda: self._time_lost(fields.THROTTLED_THERMAL, pynvml.NVML_PERF_POLICY_THERMAL),
        )

    def throttle_time_power_brake(self) -> float:
        """Time under the power brake, in s. Field CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN.

        Since r575. nvidia-smi: clocks_event_reasons_counters.hw_power_brake_slowdown.
        """
        return self._field(fields.THROTTLED_POWER_BRAKE)

    def _clock(self, which: int) -> int:
        return number(call(pynvml.nvmlDeviceGetClockInfo, self._handle, which)) * MEGA

    def _clock_max(self, which: int) -> int:
        return number(call(pynvml.nvmlDeviceGetMaxClockInfo, self._handle, which)) * MEGA

    def _time_lost(self, field: fields.CardField[float], policy: int) -> float:
        return first(
            lambda: self._field(field),
            lambda: number(call(pynvml.nvmlDeviceGetViolationStatus, self._handle, policy).violationTime) / NANO,
        )
