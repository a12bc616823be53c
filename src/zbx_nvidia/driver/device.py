"""One GPU: a method for each thing that can be read from it.

Each method returns a value in base units, or a NamedTuple of values that are there or lacking together, and raises
`Absent`, `Refused` or `Lost` of `calls`. The names of the methods are the `reader` column of the catalogue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import pynvml

from zbx_nvidia.driver import buffers, fields
from zbx_nvidia.driver.calls import Absent, NotNow, Refused, call, clean, first, number, text
from zbx_nvidia.driver.fields import MEGA, MICRO, MILLI, NANO
from zbx_nvidia.driver.native import fabric, fan_rpm, running, unrepairable_memory
from zbx_nvidia.driver.parts import Fan, MigInstance, Vgpu, memory_info, memory_of
from zbx_nvidia.driver.readings import (
    Bar1,
    Confidential,
    EccLocation,
    Fabric,
    License,
    Memory,
    NvLink,
    PowerLimits,
    Process,
    ProtectedMemory,
    RemappedRows,
    RetiredPages,
    Sessions,
    SpareRows,
    Throttling,
    Utilization,
)

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


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
        return clean(call(pynvml.nvmlDeviceGetPciInfo_v3, self._handle).busId)

    def serial(self) -> str:
        """Serial number of the board; absent on GeForce. nvidia-smi: serial."""
        return text(pynvml.nvmlDeviceGetSerial, self._handle)

    def vbios(self) -> str:
        """Version of the VBIOS. nvidia-smi: vbios_version."""
        return text(pynvml.nvmlDeviceGetVbiosVersion, self._handle)

    def architecture(self) -> str:
        """Generation of the chip. nvidia-smi -q: Product Architecture."""
        return _ARCHITECTURES.get(code := number(call(pynvml.nvmlDeviceGetArchitecture, self._handle)), f"{code}")

    def brand(self) -> str:
        """Product line. nvidia-smi -q: Product Brand."""
        code = call(pynvml.nvmlDeviceGetBrand, self._handle)
        if code == pynvml.NVML_BRAND_UNKNOWN:
            raise Absent(0, "unknown brand")
        return _BRANDS.get(code, f"{code}")

    def board_part_number(self) -> str:
        """What to order as a spare. nvidia-smi -q: Board Part Number."""
        return text(pynvml.nvmlDeviceGetBoardPartNumber, self._handle)

    def inforom(self) -> str:
        """Version of the configuration memory. nvidia-smi: inforom.img."""
        return text(pynvml.nvmlDeviceGetInforomImageVersion, self._handle)

    def gsp_firmware(self) -> str:
        """Firmware of the GPU system processor. Since r515. nvidia-smi -q: GSP Firmware Version."""
        return text(pynvml.nvmlDeviceGetGspFirmwareVersion, self._handle)

    def numa_node(self) -> int:
        """NUMA node that the GPU's memory is, where it is one."""
        node: int = call(pynvml.nvmlDeviceGetNumaNodeId, self._handle)
        if node < 0:
            raise Absent(0, "no node")
        return number(node)

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

    def jpeg_utilization(self) -> int:
        """JPEG decoder, in %. Since r535. nvidia-smi: utilization.jpeg."""
        return number(call(pynvml.nvmlDeviceGetJpgUtilization, self._handle)[0])

    def ofa_utilization(self) -> int:
        """Optical flow accelerator, in %. Since r535. nvidia-smi: utilization.ofa."""
        return number(call(pynvml.nvmlDeviceGetOfaUtilization, self._handle)[0])

    # -- the driver's own samples ------------------------------------------------------------------------------------
    def sampled_utilization(self) -> buffers.Summary:
        """What the driver still has of it. nvidia-smi -q: GPU Utilization Samples."""
        return self._buffered("utilization")

    def sampled_power(self) -> buffers.Summary:
        """What the driver still has of it. nvidia-smi -q: Power Samples."""
        return self._buffered("power")

    def sampled_clock_sm(self) -> buffers.Summary:
        """What the driver still has of it. nvidia-smi -q: SM Clock Samples."""
        return self._buffered("clock_sm")

    def _buffered(self, name: str) -> buffers.Summary:
        return buffers.summary([value for _, value in buffers.read(self._handle, name)])

    # -- memory ------------------------------------------------------------------------------------------------------
    def memory(self) -> Memory:
        """Frame buffer memory. nvidia-smi: memory.total, memory.used, memory.free."""
        return memory_of(self._memory())

    def memory_reserved(self) -> int:
        """Held back by driver and firmware, in B. Since r510. nvidia-smi: memory.reserved."""
        info = self._memory()
        if not hasattr(info, "reserved"):
            raise Absent(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND, "nvmlDeviceGetMemoryInfo_v2 is missing")
        return number(info.reserved)

    def _memory(self) -> Any:  # noqa: ANN401  a structure of pynvml
        """Both versions count `used` differently: v2 leaves the reserved part out, v1 has it in."""
        return self._once("memory", lambda: memory_info(self._handle))

    def bar1(self) -> Bar1:
        """nvidia-smi -q: BAR1 Memory Usage."""
        info = call(pynvml.nvmlDeviceGetBAR1MemoryInfo, self._handle)
        if info.bar1Total == 0:
            raise Absent(0, "no BAR1")
        return Bar1(number(info.bar1Total), number(info.bar1Used))

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
        return self._field(fields.MARGIN_SLOWDOWN)

    def temperature_shutdown_margin(self) -> int:
        """Margin at which the card switches off. Since r535. nvidia-smi -q: GPU Shutdown T.Limit Temp."""
        return self._field(fields.MARGIN_SHUTDOWN)

    def temperature_memory(self) -> int:
        """Of the HBM stacks, in °C. nvidia-smi: temperature.memory."""
        return self._field(fields.TEMPERATURE_MEMORY)

    def temperature_memory_max(self) -> int:
        """The memory slows the card down from here on, in °C. nvidia-smi -q: Memory Max Operating Temp."""
        return self._threshold(pynvml.NVML_TEMPERATURE_THRESHOLD_MEM_MAX)

    def temperature_max(self) -> int:
        """The card lowers its clocks from here on, in °C. nvidia-smi -q: GPU Max Operating Temp."""
        return self._threshold(pynvml.NVML_TEMPERATURE_THRESHOLD_GPU_MAX)

    def temperature_max_margin(self) -> int:
        """Margin at which the card lowers its clocks. Since r535. nvidia-smi -q: GPU Max Operating T.Limit Temp."""
        return self._field(fields.MARGIN_MAX)

    def temperature_memory_max_margin(self) -> int:
        """The same for the memory. Since r535."""
        return self._field(fields.MARGIN_MEMORY_MAX)

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

    def fans(self) -> list[Fan]:
        """Its fans."""
        return [Fan(fan, self.fan_speeds, self.fan_rpms) for fan in range(len(self.fan_speeds()))]

    def _fans(self) -> tuple[int, ...]:
        try:
            count = call(pynvml.nvmlDeviceGetNumFans, self._handle)
        except Absent:
            return (number(call(pynvml.nvmlDeviceGetFanSpeed, self._handle)),)
        if count == 0:
            raise Absent(0, "no fan")
        return tuple(number(call(pynvml.nvmlDeviceGetFanSpeed_v2, self._handle, fan)) for fan in range(count))

    def fan_rpm(self) -> int:
        """Revolutions of the fastest fan, in rpm. Since r570. nvidia-smi -q does not show it."""
        return max(self.fan_rpms())

    def fan_rpms(self) -> tuple[int, ...]:
        """Revolutions of each fan, in rpm. Since r570."""
        revolutions: tuple[int, ...] = self._once(
            "rpms", lambda: tuple(fan_rpm(self._handle, fan) for fan in range(len(self.fan_speeds())))
        )
        return revolutions

    # -- power -------------------------------------------------------------------------------------------------------
    def power(self) -> float:
        """Draw of the board, in W. nvidia-smi: power.draw."""
        draw: int = self._once("power", lambda: number(call(pynvml.nvmlDeviceGetPowerUsage, self._handle)))
        return draw / MILLI

    def power_limit(self) -> float:
        """The limit in force, in W. nvidia-smi: enforced.power.limit."""
        limit: int = self._once("limit", lambda: number(call(pynvml.nvmlDeviceGetEnforcedPowerLimit, self._handle)))
        return limit / MILLI

    def power_percent(self) -> float:
        """Draw as a share of the limit in force, in %."""
        limit = self.power_limit()
        if limit == 0:
            raise Absent(0, "no limit")
        return round(100 * self.power() / limit, 2)

    def energy(self) -> float:
        """Energy used since the driver was loaded, in J. Volta and newer."""
        return number(call(pynvml.nvmlDeviceGetTotalEnergyConsumption, self._handle)) / MILLI

    def power_instant(self) -> float:
        """Draw without smoothing, in W. Since r535. nvidia-smi: power.draw.instant."""
        return self._field(fields.POWER_INSTANT)

    def power_average(self) -> float:
        """Draw, mean of one second, in W. Since r535. nvidia-smi: power.draw.average."""
        return self._field(fields.POWER_AVERAGE)

    def power_limit_requested(self) -> float:
        """The limit that an administrator has set, in W. nvidia-smi: power.limit."""
        return number(call(pynvml.nvmlDeviceGetPowerManagementLimit, self._handle)) / MILLI

    def power_limit_default(self) -> float:
        """The limit that the card starts with, in W. nvidia-smi: power.default_limit."""
        return number(call(pynvml.nvmlDeviceGetPowerManagementDefaultLimit, self._handle)) / MILLI

    def power_limits(self) -> PowerLimits:
        """nvidia-smi: power.min_limit, power.max_limit."""
        low, high = call(pynvml.nvmlDeviceGetPowerManagementLimitConstraints, self._handle)
        return PowerLimits(number(low) / MILLI, number(high) / MILLI)

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
        return number(call(pynvml.nvmlDeviceGetClockInfo, self._handle, which)) * MEGA

    def clock_sm_max(self) -> int:
        """In Hz. nvidia-smi: clocks.max.sm."""
        return self._clock_max(pynvml.NVML_CLOCK_SM)

    def clock_memory_max(self) -> int:
        """In Hz. nvidia-smi: clocks.max.memory."""
        return self._clock_max(pynvml.NVML_CLOCK_MEM)

    def clock_graphics_max(self) -> int:
        """In Hz. nvidia-smi: clocks.max.graphics."""
        return self._clock_max(pynvml.NVML_CLOCK_GRAPHICS)

    def clock_video_max(self) -> int:
        """In Hz. nvidia-smi -q: Max Clocks, Video."""
        return self._clock_max(pynvml.NVML_CLOCK_VIDEO)

    def _clock_max(self, which: int) -> int:
        return number(call(pynvml.nvmlDeviceGetMaxClockInfo, self._handle, which)) * MEGA

    def performance_state(self) -> int:
        """0 (fastest) to 15 (slowest). nvidia-smi: pstate."""
        state: int = call(pynvml.nvmlDeviceGetPerformanceState, self._handle)
        if state == pynvml.NVML_PSTATE_UNKNOWN:
            raise Absent(0, "unknown performance state")
        return state

    # -- throttling --------------------------------------------------------------------------------------------------
    def throttling(self) -> Throttling:
        """nvidia-smi: clocks_event_reasons.*; before r535 clocks_throttle_reasons.*."""
        reasons: int = first(
            lambda: call(pynvml.nvmlDeviceGetCurrentClocksEventReasons, self._handle),
            lambda: call(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons, self._handle),
        )
        return Throttling(*(int(bool(reasons & bit)) for bit in _REASONS))

    def throttle_time_power(self) -> float:
        """Time at the power limit, in s. nvidia-smi: clocks_event_reasons_counters.sw_power_cap."""
        return self._time_lost(fields.THROTTLED_POWER, pynvml.NVML_PERF_POLICY_POWER)

    def throttle_time_sw_thermal(self) -> float:
        """Time in which the driver cooled the card down, in s. Since r575."""
        return self._field(fields.THROTTLED_SW_THERMAL)

    def throttle_time_hw_thermal(self) -> float:
        """Time too hot, in s. Before r575 the thermal policy's violation time."""
        return float(
            first(
                lambda: self._field(fields.THROTTLED_HW_THERMAL),
                lambda: self._time_lost(fields.THROTTLED_THERMAL, pynvml.NVML_PERF_POLICY_THERMAL),
            )
        )

    def throttle_time_power_brake(self) -> float:
        """Time under the power brake, in s. Since r575."""
        return self._field(fields.THROTTLED_POWER_BRAKE)

    def _time_lost(self, field: fields.CardField[float], policy: int) -> float:
        return float(
            first(
                lambda: self._field(field),
                lambda: number(call(pynvml.nvmlDeviceGetViolationStatus, self._handle, policy).violationTime) / NANO,
            )
        )

    # -- ECC, retired pages, remapped rows ---------------------------------------------------------------------------
    def ecc_mode(self) -> int:
        """1 when errors are corrected. nvidia-smi: ecc.mode.current."""
        return int(call(pynvml.nvmlDeviceGetEccMode, self._handle)[0])

    def ecc_corrected_volatile(self) -> int:
        """Since the driver was loaded. nvidia-smi: ecc.errors.corrected.volatile.total."""
        return self._ecc(pynvml.NVML_MEMORY_ERROR_TYPE_CORRECTED, pynvml.NVML_VOLATILE_ECC)

    def ecc_corrected_aggregate(self) -> int:
        """Over the card's life. nvidia-smi: ecc.errors.corrected.aggregate.total."""
        return self._ecc(pynvml.NVML_MEMORY_ERROR_TYPE_CORRECTED, pynvml.NVML_AGGREGATE_ECC)

    def ecc_uncorrected_volatile(self) -> int:
        """Since the driver was loaded. nvidia-smi: ecc.errors.uncorrected.volatile.total."""
        return self._ecc(pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC)

    def ecc_uncorrected_aggregate(self) -> int:
        """Over the card's life. nvidia-smi: ecc.errors.uncorrected.aggregate.total."""
        return self._ecc(pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_AGGREGATE_ECC)

    def _ecc(self, kind: int, span: int) -> int:
        return number(call(pynvml.nvmlDeviceGetTotalEccErrors, self._handle, kind, span))

    def ecc_sram(self) -> EccLocation:
        """Of caches and registers. nvidia-smi -q: SRAM Correctable, SRAM Uncorrectable."""
        return self._ecc_of(pynvml.NVML_MEMORY_LOCATION_SRAM)

    def ecc_dram(self) -> EccLocation:
        """Of the device memory. nvidia-smi -q: DRAM Correctable, DRAM Uncorrectable."""
        return self._ecc_of(pynvml.NVML_MEMORY_LOCATION_DRAM)

    def _ecc_of(self, location: int) -> EccLocation:
        return EccLocation(
            *(
                number(call(pynvml.nvmlDeviceGetMemoryErrorCounter, self._handle, kind, span, location))
                for span in (pynvml.NVML_VOLATILE_ECC, pynvml.NVML_AGGREGATE_ECC)
                for kind in (pynvml.NVML_MEMORY_ERROR_TYPE_CORRECTED, pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED)
            )
        )

    def retired_pages(self) -> RetiredPages:
        """nvidia-smi: retired_pages.single_bit_ecc.count, retired_pages.double_bit.count."""
        single = pynvml.NVML_PAGE_RETIREMENT_CAUSE_MULTIPLE_SINGLE_BIT_ECC_ERRORS
        double = pynvml.NVML_PAGE_RETIREMENT_CAUSE_DOUBLE_BIT_ECC_ERROR
        # Not the _v2 call: pynvml 13.615 leaves an argument of it out.
        counts = (len(call(pynvml.nvmlDeviceGetRetiredPages, self._handle, cause)) for cause in (single, double))
        return RetiredPages(*counts)

    def retired_pages_pending(self) -> int:
        """1 when pages wait for the driver to be loaded anew. nvidia-smi: retired_pages.pending."""
        return int(call(pynvml.nvmlDeviceGetRetiredPagesPendingStatus, self._handle))

    def remapped_rows(self) -> RemappedRows:
        """nvidia-smi: remapped_rows.correctable, .uncorrectable, .pending, .failure."""
        try:
            self.spare_rows()
        except Absent as error:
            # An RTX 4080 SUPER and an RTX 4090 were seen to answer zeros, and have no spare rows that could be used:
            # nvidia-smi calls theirs N/A. Before r455 there is nothing else to ask.
            if error.code != pynvml.NVML_ERROR_FUNCTION_NOT_FOUND:
                raise
        return RemappedRows(*(number(part) for part in call(pynvml.nvmlDeviceGetRemappedRows, self._handle)))

    def spare_rows(self) -> SpareRows:
        """nvidia-smi: remapped_rows.histogram.max, .high, .partial, .low, .none."""
        rows = self._once("rows", lambda: call(pynvml.nvmlDeviceGetRowRemapperHistogram, self._handle))
        return SpareRows(rows.max, rows.high, rows.partial, rows.low, rows.none)

    def memory_unrepairable(self) -> int:
        """1 when the memory has an error that nothing can repair. Hopper and newer, driver branch r590."""
        return unrepairable_memory(self._handle)

    def recovery_action(self) -> int:
        """What the driver says must be done, 0 for nothing. Since r570. nvidia-smi: gpu_recovery_action."""
        return self._field(fields.RECOVERY_ACTION)

    # -- PCIe --------------------------------------------------------------------------------------------------------
    def pcie_generation(self) -> int:
        """nvidia-smi: pcie.link.gen.current."""
        return number(call(pynvml.nvmlDeviceGetCurrPcieLinkGeneration, self._handle))

    def pcie_generation_max(self) -> int:
        """What card and slot have in common. nvidia-smi: pcie.link.gen.max."""
        self._require_slot()
        return number(call(pynvml.nvmlDeviceGetMaxPcieLinkGeneration, self._handle))

    def pcie_width(self) -> int:
        """Lanes. nvidia-smi: pcie.link.width.current."""
        return number(call(pynvml.nvmlDeviceGetCurrPcieLinkWidth, self._handle))

    def pcie_width_max(self) -> int:
        """Lanes that card and slot have in common. nvidia-smi: pcie.link.width.max."""
        self._require_slot()
        return number(call(pynvml.nvmlDeviceGetMaxPcieLinkWidth, self._handle))

    def _require_slot(self) -> None:
        """Absent in a virtual machine, which does not see the slot: NVML gives what the card could do in another one.

        A T4 and an A10G that a cloud passes through have been seen to say 8 lanes of 16 all their lives; nvidia-smi
        has "Host Max: N/A" there.
        """
        try:
            mode = self.virtualization_mode()
        except (Absent, Refused):
            return
        if mode in {pynvml.NVML_GPU_VIRTUALIZATION_MODE_PASSTHROUGH, pynvml.NVML_GPU_VIRTUALIZATION_MODE_VGPU}:
            raise Absent(0, "a virtual machine does not see the slot")

    def pcie_replays(self) -> int:
        """Packets sent again. nvidia-smi -q: Replays Since Reset."""
        return number(call(pynvml.nvmlDeviceGetPcieReplayCounter, self._handle))

    # -- NVLink and fabric -------------------------------------------------------------------------------------------
    def nvlink(self) -> NvLink:
        """nvidia-smi nvlink -s."""
        links = self._links()
        return NvLink(sum(self._link_is_up(link) for link in range(links)), links)

    def _links(self) -> int:
        links = self._field(fields.NVLINKS)
        if links == 0:
            raise Absent(0, "no NVLink")
        return links

    def _link_is_up(self, link: int) -> int:
        try:
            return int(call(pynvml.nvmlDeviceGetNvLinkState, self._handle, link) == pynvml.NVML_FEATURE_ENABLED)
        except Absent:
            return 0

    def nvlink_sent(self) -> int:
        """Payload sent over all links, in B. nvidia-smi nvlink -gt d."""
        return int(
            first(
                lambda: self._over_links(fields.LINK_SENT),
                lambda: self._field(fields.NVLINK_SENT_BEFORE_5),
            )
        )

    def nvlink_received(self) -> int:
        """Payload received over all links, in B. nvidia-smi nvlink -gt d."""
        return int(
            first(
                lambda: self._over_links(fields.LINK_RECEIVED),
                lambda: self._field(fields.NVLINK_RECEIVED_BEFORE_5),
            )
        )

    def nvlink_replays(self) -> int:
        """Packets sent again. Before NVLink 5. nvidia-smi nvlink -e."""
        return self._field(fields.NVLINK_REPLAYS)

    def nvlink_recoveries(self) -> int:
        """Links trained anew. nvidia-smi nvlink -e."""
        return int(
            first(
                lambda: self._over_links(fields.LINK_RECOVERIES),
                lambda: self._field(fields.NVLINK_RECOVERIES),
            )
        )

    def nvlink_crc(self) -> int:
        """Packets with a wrong checksum, of data and of flow control. Before NVLink 5. nvidia-smi nvlink -e."""
        flow = self._field(fields.NVLINK_CRC_FLIT)
        return flow + self._field(fields.NVLINK_CRC_DATA)

    def nvlink_receive_errors(self) -> int:
        """Packets received with errors. NVLink 5. nvidia-smi nvlink -e."""
        return self._over_links(fields.LINK_RECEIVE_ERRORS)

    def nvlink_effective_errors(self) -> int:
        """Errors that the forward error correction left. NVLink 5. nvidia-smi nvlink -e."""
        return self._over_links(fields.LINK_EFFECTIVE_ERRORS)

    def nvlink_recoveries_failed(self) -> int:
        """Links that could not be trained anew and went down. NVLink 5. nvidia-smi nvlink -e."""
        return self._over_links(fields.LINK_RECOVERIES_FAILED)

    def _over_links(self, counter: fields.LinkCounter) -> int:
        """The sum over all links of a counter that the driver does not sum itself.

        Raises:
            NotNow: One link gives no count, as one that is down: without it the sum would fall, and jump when the link
                is back.
        """
        try:
            self._field(counter.of_first_link)
        except Absent:
            if self._link_is_up(0):
                raise
        links = self._links()
        answers = self._once("links", lambda: fields.ask_links(self._handle, links))
        counts = []
        for link in range(links):
            try:
                counts.append(counter.among(answers, link))
            except Absent:
                continue
        if not counts:
            raise Absent(pynvml.NVML_ERROR_NOT_SUPPORTED, "no such counter")
        if len(counts) < links:
            raise NotNow(0, "not every link gives its count")
        return sum(counts)

    def links(self) -> list[dict[str, int]]:
        """Its NVLinks one by one, each as `link` says."""
        return [self.link(link) for link in range(self._links())]

    def link(self, link: int) -> dict[str, int]:
        """One NVLink: what it answers of state, version, speed (B/s), bytes and errors, by the catalogue's keys.

        nvidia-smi nvlink -s, -gt d, -e.
        """
        readings = {"up": self._link_is_up(link)}
        answers = fields.ask_link(self._handle, link, [field for _, field in _LINK_FIELDS])
        for (key, field), answer in zip(_LINK_FIELDS, answers, strict=True):
            try:
                readings.setdefault(key, field.value(answer))
            except Absent:
                continue
        for key, counters in _LINK_ERRORS.items():
            try:
                readings.setdefault(
                    key,
                    sum(
                        number(call(pynvml.nvmlDeviceGetNvLinkErrorCounter, self._handle, link, counter))
                        for counter in counters
                    ),
                )
            except Absent:
                continue
        return readings

    def fabric(self) -> Fabric:
        """nvidia-smi -q: Fabric. Since r550."""
        state, status = first(
            lambda: fabric(self._handle, pynvml.c_nvmlGpuFabricInfo_v3_t()),
            lambda: fabric(self._handle, pynvml.c_nvmlGpuFabricInfo_v2_t()),
        )
        if state == pynvml.NVML_GPU_FABRIC_STATE_NOT_SUPPORTED:
            raise Absent(0, "no fabric")
        return Fabric(state, status)

    # -- modes -------------------------------------------------------------------------------------------------------
    def persistence_mode(self) -> int:
        """1 for on. nvidia-smi: persistence_mode."""
        return int(call(pynvml.nvmlDeviceGetPersistenceMode, self._handle))

    def compute_mode(self) -> int:
        """nvmlComputeMode_t. nvidia-smi: compute_mode."""
        return int(call(pynvml.nvmlDeviceGetComputeMode, self._handle))

    def mig_mode(self) -> int:
        """1 for on. nvidia-smi: mig.mode.current."""
        return number(call(pynvml.nvmlDeviceGetMigMode, self._handle)[0])

    def display_active(self) -> int:
        """1 when a screen is driven. nvidia-smi: display_active."""
        return int(call(pynvml.nvmlDeviceGetDisplayActive, self._handle))

    def display_mode(self) -> int:
        """1 when a screen is attached. Newer drivers give it up. nvidia-smi: display_attached."""
        return int(call(pynvml.nvmlDeviceGetDisplayMode, self._handle))

    def virtualization_mode(self) -> int:
        """NVML_GPU_VIRTUALIZATION_MODE_*: 0 none, 1 passed through, 2 vGPU, 3 and 4 host of them."""
        mode: int = self._once(
            "virtualization", lambda: number(call(pynvml.nvmlDeviceGetVirtualizationMode, self._handle))
        )
        return mode

    def accounting_mode(self) -> int:
        """1 for on. nvidia-smi: accounting.mode."""
        return int(call(pynvml.nvmlDeviceGetAccountingMode, self._handle))

    # -- sessions ----------------------------------------------------------------------------------------------------
    def encoder(self) -> Sessions:
        """nvidia-smi: encoder.stats.sessionCount, .averageFps, .averageLatency."""
        count, fps, latency = call(pynvml.nvmlDeviceGetEncoderStats, self._handle)
        return Sessions(number(count), number(fps), number(latency) / MICRO)

    def capture(self) -> Sessions:
        """nvidia-smi -q: FBC Stats."""
        stats = call(pynvml.nvmlDeviceGetFBCStats, self._handle)
        return Sessions(number(stats.sessionsCount), number(stats.averageFPS), number(stats.averageLatency) / MICRO)

    # -- virtualisation and confidential computing ---------------------------------------------------------------------
    def license(self) -> License:
        """Of a vGPU, inside its guest. nvidia-smi -q: vGPU Software Licensed Product."""
        # Elsewhere a licence is nothing that a card waits for, whatever the driver lists.
        if self.virtualization_mode() != pynvml.NVML_GPU_VIRTUALIZATION_MODE_VGPU:
            raise Absent(0, "no vGPU")
        features = call(pynvml.nvmlDeviceGetGridLicensableFeatures_v4, self._handle)
        if not features.isGridLicenseSupported or not features.licensableFeaturesCount:
            raise Absent(0, "nothing to license")
        known = features.gridLicensableFeatures[: features.licensableFeaturesCount]
        feature = next((feature for feature in known if feature.featureEnabled), known[0])
        return License(number(feature.featureState), clean(feature.productName))

    def vgpus(self) -> int:
        """VGPUs that run on this card. nvidia-smi vgpu."""
        return len(self._vgpus())

    def vgpu_instances(self) -> list[Vgpu]:
        """The vGPUs of a host. nvidia-smi vgpu -q."""
        instances = self._vgpus()
        if not instances:
            return []
        try:
            # All that the driver still has, the oldest first: the newest of each vGPU stays.
            samples = call(pynvml.nvmlDeviceGetVgpuUtilization, self._handle, 0)
        except (Absent, Refused):  # NOT_FOUND when there is none
            samples = []
        newest = {sample.vgpuInstance: sample for sample in samples}
        return [Vgpu(instance, newest.get(instance)) for instance in instances]

    def _vgpus(self) -> list[int]:
        instances: list[int] = self._once("vgpus", lambda: call(pynvml.nvmlDeviceGetActiveVgpus, self._handle))
        return instances

    def confidential(self) -> Confidential:
        """Confidential computing, as the machine has it. nvidia-smi conf-compute -f, -e, -d."""
        state = call(pynvml.nvmlSystemGetConfComputeState)
        return Confidential(number(state.ccFeature), number(state.environment), number(state.devToolsMode))

    def protected_memory(self) -> ProtectedMemory:
        """nvidia-smi -q: Conf Compute Protected Memory Usage."""
        memory = call(pynvml.nvmlDeviceGetConfComputeProtectedMemoryUsage, self._handle)
        return ProtectedMemory(number(memory.total), number(memory.used))

    # -- processes ---------------------------------------------------------------------------------------------------
    def processes(self) -> int:
        """How many processes use the card. nvidia-smi: Processes."""
        return len(self.process_list())

    def process_list(self) -> tuple[Process, ...]:
        """The processes on the card, each once. nvidia-smi: Processes. 4.5 ms on a real card."""
        found: tuple[Process, ...] = self._once("processes", self._processes)
        return found

    def _processes(self) -> tuple[Process, ...]:
        found: dict[tuple[int, int | None], Process] = {}
        answered = False
        for kind, name in _PROCESS_CALLS:
            try:
                infos = running(name, self._handle)
            except Absent:
                continue
            answered = True
            for pid, memory, instance in infos:
                known = found.get((pid, instance), Process(pid, "", memory, instance))
                found[pid, instance] = known._replace(kind="+".join(filter(None, (known.kind, kind))))
        if not answered:
            raise Absent(pynvml.NVML_ERROR_NOT_SUPPORTED, "no process list")
        return tuple(found.values())

    # -- MIG ---------------------------------------------------------------------------------------------------------
    def mig_instances(self) -> list[MigInstance]:
        """The instances of a divided GPU, in NVML's order. nvidia-smi -L.

        Only asked for while MIG mode is on: look-ups that fail again and again were seen to hang.
        """
        if not self.mig_mode():
            return []
        instances = []
        for index in range(call(pynvml.nvmlDeviceGetMaxMigDeviceCount, self._handle)):
            try:
                instances.append(MigInstance(call(pynvml.nvmlDeviceGetMigDeviceHandleByIndex, self._handle, index)))
            except Refused as error:
                if error.code != pynvml.NVML_ERROR_NOT_FOUND:  # a hole: instances keep their places when others go
                    raise
        return instances

    # -- field values ------------------------------------------------------------------------------------------------
    def _field(self, field: fields.CardField[T]) -> T:
        return field.among(self._once("fields", lambda: fields.ask_card(self._handle)))

    def _once(self, what: str, read: Callable[[], T]) -> T:
        """Read what several methods need once per Device."""
        if what not in self._known:
            self._known[what] = read()
        known: T = self._known[what]
        return known


# What one link is asked for, by key of the catalog. Of several fields with one key the first that answers counts.
_LINK_FIELDS: tuple[tuple[str, fields.Field[int]], ...] = (
    ("version", fields.LINK_VERSION),
    ("speed", fields.LINK_SPEED),
    ("sent", fields.LINK_SENT),
    ("sent", fields.LINK_SENT_BEFORE_5),
    ("received", fields.LINK_RECEIVED),
    ("received", fields.LINK_RECEIVED_BEFORE_5),
    ("recoveries", fields.LINK_RECOVERIES),
    ("receive_errors", fields.LINK_RECEIVE_ERRORS),
    ("effective_errors", fields.LINK_EFFECTIVE_ERRORS),
)
# Before NVLink 5.
_LINK_ERRORS = {
    "recoveries": (pynvml.NVML_NVLINK_ERROR_DL_RECOVERY,),
    "replays": (pynvml.NVML_NVLINK_ERROR_DL_REPLAY,),
    "crc": (pynvml.NVML_NVLINK_ERROR_DL_CRC_FLIT, pynvml.NVML_NVLINK_ERROR_DL_CRC_DATA),
}

_PROCESS_CALLS = tuple(
    (kind, f"nvmlDeviceGet{name}RunningProcesses")
    for kind, name in (("C", "Compute"), ("G", "Graphics"), ("M", "MPSCompute"))
)

# In the order of Throttling.
_REASONS = (
    pynvml.nvmlClocksEventReasonSwPowerCap,
    pynvml.nvmlClocksEventReasonHwSlowdown,
    pynvml.nvmlClocksEventReasonSyncBoost,
    pynvml.nvmlClocksEventReasonSwThermalSlowdown,
    pynvml.nvmlClocksEventReasonHwThermalSlowdown,
    pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown,
)

_ARCHITECTURES = {
    pynvml.NVML_DEVICE_ARCH_KEPLER: "Kepler",
    pynvml.NVML_DEVICE_ARCH_MAXWELL: "Maxwell",
    pynvml.NVML_DEVICE_ARCH_PASCAL: "Pascal",
    pynvml.NVML_DEVICE_ARCH_VOLTA: "Volta",
    pynvml.NVML_DEVICE_ARCH_TURING: "Turing",
    pynvml.NVML_DEVICE_ARCH_AMPERE: "Ampere",
    pynvml.NVML_DEVICE_ARCH_ADA: "Ada Lovelace",
    pynvml.NVML_DEVICE_ARCH_HOPPER: "Hopper",
    pynvml.NVML_DEVICE_ARCH_BLACKWELL: "Blackwell",
}

_BRANDS = {
    pynvml.NVML_BRAND_QUADRO: "Quadro",
    pynvml.NVML_BRAND_TESLA: "Tesla",
    pynvml.NVML_BRAND_NVS: "NVS",
    pynvml.NVML_BRAND_GRID: "GRID",
    pynvml.NVML_BRAND_GEFORCE: "GeForce",
    pynvml.NVML_BRAND_TITAN: "Titan",
    pynvml.NVML_BRAND_NVIDIA: "NVIDIA",
    pynvml.NVML_BRAND_QUADRO_RTX: "Quadro RTX",
    pynvml.NVML_BRAND_NVIDIA_RTX: "NVIDIA RTX",
    pynvml.NVML_BRAND_GEFORCE_RTX: "GeForce RTX",
    pynvml.NVML_BRAND_TITAN_RTX: "Titan RTX",
}
