"""The metrics: one row each, from which the collector, the templates, the documentation and the tests are derived.

A row is found in three places under one name: ``$.<entity>...<key>`` in the document, ``nvidia.<entity>.<key>`` as the
Zabbix item, and a line of docs/METRICS.md. All values are in base units (B, W, J, Hz, °C, %, s).
"""

from __future__ import annotations

from typing import NamedTuple

# Zabbix value types, by the names of its export format.
FLOAT = "FLOAT"
UNSIGNED = "UNSIGNED"
CHAR = "CHAR"  # at most 255 characters
TEXT = "TEXT"  # at most 65,535

# How a value is stored.
LIVE = "live"  # each poll
SLOW = "slow"  # when it changes, and once an hour: a setting that a graph shows as a line
STATIC = "static"  # when it changes, and once a day: an identity


class Group(NamedTuple):
    """A family of metrics, switched off at discovery by its macro.

    Attributes:
        name: Also the end of the macro `{$NVIDIA.GROUP.<NAME>}`.
        component: Value of the item tag `component`, in Zabbix's own vocabulary.
        text: What it holds, for the macro's description.
        on: Whether it is discovered unless the macro says otherwise.
    """

    name: str
    component: str
    text: str
    on: bool = True


# In the order in which they are kept: a document that would be too large loses the last ones first.
GROUPS = (
    Group("health", "health", "presence and condition of a GPU"),
    Group("inventory", "inventory", "identity: name, index, UUID, PCI address, serial and part number, VBIOS"),
    Group("utilization", "load", "utilisation of the GPU and of its memory controller"),
    Group("memory", "memory", "frame buffer memory"),
    Group("temperature", "temperature", "temperatures and the card's own limits"),
    Group("fan", "fan", "fans"),
    Group("power", "power", "power draw, limit and energy"),
    Group("clocks", "clocks", "clocks and performance state; the alarm of a slow PCIe link needs it"),
    Group(
        "throttling",
        "clocks",
        "what holds the clocks down, and for what share of the time; the alarm of temperature margins needs it",
    ),
    Group("ecc", "memory", "ECC mode and errors, retired pages, remapped rows"),
    Group("pcie", "interface", "PCIe link and replays"),
    Group("nvlink", "interface", "NVLink, of a GPU as a whole and link by link, and the fabric that it is part of"),
    Group("xid", "health", "XID errors; with the resident collector only"),
    Group("gpm", "load", "how busy the parts of a GPU are (Hopper and newer); with the resident collector only"),
    Group("peaks", "load", "peaks and means between two polls; some, and PCIe, with the resident collector only"),
    Group("modes", "configuration", "persistence and MIG mode"),
    Group("codec", "codec", "video encoder and decoder"),
    Group("mig", "memory", "MIG instances"),
    Group("vgpu", "virtualization", "vGPUs on their host, the license in their guest"),
    Group("processes", "processes", "how many processes use a GPU, and for how long"),
    Group(
        "details", "configuration", "what few need: firmware, further modes, clocks, power readings, counters", on=False
    ),
    Group("sessions", "codec", "encoder and frame-capture sessions", on=False),
    Group("limits", "configuration", "ranges: highest clocks, power limits that can be set, spare rows", on=False),
    Group("ecc_detail", "memory", "ECC errors by kind of memory", on=False),
    Group("confidential", "configuration", "confidential computing", on=False),
    Group("bar1", "memory", "BAR1, the window through which the CPU sees the frame buffer", on=False),
    Group("process_list", "processes", "the processes of a GPU, by name and user", on=False),
    Group("users", "processes", "GPU memory and utilisation by user", on=False),
)


class Metric(NamedTuple):
    """One metric.

    Attributes:
        entity: Where it lives in the document: `host`, `status`, `collector`, `gpu`, the name of an `Entity`, or "" for
            the top.
        key: Its name in the document and the end of the Zabbix item key.
        name: Its name for people. The end of the item name; unique, because override patterns are anchored on it.
        kind: Zabbix value type.
        unit: Zabbix unit; "" for none.
        group: Name of its `Group`; "" outside discovered entities.
        reader: The method of `driver.Device` (or of what an `Entity` is) that reads it, and the token that `{#LACKS}`
            carries when the card cannot serve it. All metrics of one reader are there or lacking together.
        field: The field of what the reader returns; "" when it returns the value itself.
        storage: `LIVE`, `SLOW` or `STATIC`.
        valuemap: Name of the value map, or "".
        call: The NVML call behind it.
        smi: The field of `nvidia-smi --query-gpu` that shows the same, or "".
        text: What it means, in what case it is absent.
        counter: For what Zabbix works out: the key of the metric that it takes. "" for what is in the document.
        factor: What the change per second is multiplied by.
        only: Not the change per second: the pattern of values that count, each stored as 1, and no other.
    """

    entity: str
    key: str
    name: str
    kind: str
    unit: str
    group: str
    reader: str
    field: str
    storage: str
    valuemap: str
    call: str
    smi: str
    text: str
    counter: str = ""
    factor: int = 1
    only: str = ""

    @property
    def item_key(self) -> str:
        """The Zabbix item key, without the parameters of a discovered entity."""
        return ".".join(part for part in ("nvidia", self.entity, self.key) if part)

    @property
    def ref(self) -> str:
        """How alerts and graphs refer to this row."""
        return f"{self.entity}.{self.key}" if self.entity else self.key


def _top(  # noqa: PLR0913, PLR0917  one argument a column
    entity: str, key: str, name: str, kind: str, unit: str, storage: str, call: str, text: str, valuemap: str = ""
) -> Metric:
    return Metric(entity, key, name, kind, unit, "", "", "", storage, valuemap, call, "", text)


def _gpu(  # noqa: PLR0913, PLR0917  one argument a column
    key: str,
    name: str,
    kind: str,
    unit: str,
    group: str,
    reader: str,
    storage: str,
    call: str,
    smi: str,
    text: str,
    valuemap: str = "",
) -> Metric:
    reader, _, field = reader.partition(".")
    return Metric("gpu", key, name, kind, unit, group, reader, field, storage, valuemap, call, smi, text)


# Of the host as a whole: always in the document, whatever happens (those of `host` only when NVML answers).
HOST_METRICS = (
    _top("", "timestamp", "Document time", UNSIGNED, "unixtime", LIVE, "", "When the document was made."),
    _top(
        "status", "driver", "Driver answers", UNSIGNED, "", LIVE, "nvmlInitWithFlags",
        "1 when there are readings, be it not of every GPU, and while the driver is let go of on purpose.",
        "NVIDIA yes or no",
    ),
    _top(
        "status", "code", "Driver status", UNSIGNED, "", LIVE, "nvmlInitWithFlags",
        "0 when the driver answers; else why not.", "NVIDIA driver status",
    ),
    _top(
        "status", "message", "Driver status message", CHAR, "", SLOW, "nvmlInitWithFlags",
        "The same in words, with what to do.",
    ),
    _top(
        "collector", "version", "Collector version", CHAR, "", STATIC, "",
        "Version of zbx-nvidia on the host.",
    ),
    _top(
        "collector", "mode", "Collector mode", CHAR, "", STATIC, "",
        "oneshot: a process a poll; resident: a service that writes a file.",
    ),
    _top(
        "collector", "duration", "Collection time", FLOAT, "s", LIVE, "",
        "From the start of the process, or from the question to the driver, to the document.",
    ),
    _top(
        "collector", "driver_time", "Time in the driver", FLOAT, "s", LIVE, "",
        "How long the calls into the driver took, those for all GPUs together, which run side by side; of the resident "
        "collector all since the last document, but for the waits for XIDs.",
    ),
    _top(
        "collector", "driver_cpu", "Processor time in the driver", FLOAT, "s", LIVE, "",
        "What they took of a processor, waits for XIDs and all: the rest of what the collector takes is its own.",
    ),
    _top(
        "collector", "error_count", "Readings in error", UNSIGNED, "", LIVE, "",
        "Readings that the driver neither gave nor called unsupported: no permission, unknown error. Those of lost and "
        "sick cards do not count.",
    ),
    _top(
        "host", "driver_version", "Driver version", CHAR, "", STATIC, "nvmlSystemGetDriverVersion",
        "Version of the NVIDIA kernel driver.",
    ),
    _top(
        "host", "nvml_version", "NVML version", CHAR, "", STATIC, "nvmlSystemGetNVMLVersion",
        "Version of the library libnvidia-ml.so.1.",
    ),
    _top(
        "host", "cuda_version", "CUDA version", CHAR, "", STATIC, "nvmlSystemGetCudaDriverVersion_v2",
        "The newest CUDA version that the driver serves, as major.minor.",
    ),
    _top(
        "host", "gpu_count", "GPU count", UNSIGNED, "", LIVE, "nvmlDeviceGetCount_v2",
        "GPUs that the driver counts; a lost one is still among them.",
    ),
    _top(
        "host", "gpus_present", "GPUs present", UNSIGNED, "", STATIC, "nvmlDeviceGetUUID",
        "GPUs that answer. Stored when it changes; the most of a month is what the host should have.",
    ),
    _top(
        "host", "gpus_lost", "GPUs lost", UNSIGNED, "", LIVE, "nvmlDeviceGetHandleByIndex_v2",
        "GPUs that the driver counts but has lost (fallen off the bus, reset required).",
    ),
    _top(
        "host", "lost", "Lost GPUs", CHAR, "", SLOW, "nvmlDeviceGetHandleByIndex_v2",
        "Which GPUs are lost: index, slot and UUID as far as known; empty when none is.",
    ),
    _top(
        "host", "gpus_sick", "GPUs sick", UNSIGNED, "", LIVE, "",
        "GPUs that answer every reading with an error, or not at all.",
    ),
    _top(
        "host", "sick", "Sick GPUs", CHAR, "", SLOW, "",
        "Which GPUs are sick: index, slot and UUID as far as known; empty when none is.",
    ),
    _top(
        "host", "sxid_count", "SXid errors", UNSIGNED, "", LIVE, "",
        "Errors of NVSwitches, as far as the kernel's log goes back; with the resident collector and its key "
        "kernel_log only.",
    ),
    _top(
        "host", "sxid_last", "Last SXid error", UNSIGNED, "", LIVE, "",
        "Code of the last of them; NVIDIA's Fabric Manager User Guide says what it means.",
    ),
    _top(
        "host", "sxid_recent", "Recent fatal SXid errors", CHAR, "", SLOW, "",
        "Switches and codes of fatal ones that came lately (xid_memory of the service); empty when there were none, "
        "and where nobody reads the kernel's log.",
    ),
)  # fmt: skip

GPU_METRICS = (
    # -- inventory -------------------------------------------------------------------------------------------------
    _gpu(
        "name", "Model", CHAR, "", "inventory", "name", STATIC, "nvmlDeviceGetName", "name",
        "Product name.",
    ),
    _gpu(
        "index", "Index", UNSIGNED, "", "inventory", "index", STATIC, "nvmlDeviceGetHandleByIndex_v2", "index",
        "Place in the driver's order, that of PCI addresses. CUDA's order can differ. It moves when a card goes.",
    ),
    _gpu(
        "uuid", "UUID", CHAR, "", "inventory", "uuid", STATIC, "nvmlDeviceGetUUID", "uuid",
        "Identity of the card, whatever its slot.",
    ),
    _gpu(
        "pci", "PCI address", CHAR, "", "inventory", "pci", STATIC, "nvmlDeviceGetPciInfo_v3", "pci.bus_id",
        "domain:bus:device.function.",
    ),
    _gpu(
        "serial", "Serial number", CHAR, "", "inventory", "serial", STATIC, "nvmlDeviceGetSerial", "serial",
        "As on the board's label. GeForce cards have none.",
    ),
    _gpu(
        "vbios", "VBIOS version", CHAR, "", "inventory", "vbios", STATIC, "nvmlDeviceGetVbiosVersion", "vbios_version",
        "Version of the card's firmware.",
    ),
    _gpu(
        "architecture", "Architecture", CHAR, "", "details", "architecture", STATIC, "nvmlDeviceGetArchitecture", "",
        "Generation of the chip: Pascal, Turing, Ampere, Hopper, ...",
    ),
    _gpu(
        "brand", "Brand", CHAR, "", "details", "brand", STATIC, "nvmlDeviceGetBrand", "",
        "Product line: GeForce, Tesla, NVIDIA RTX, ...",
    ),
    _gpu(
        "board_part_number", "Board part number", CHAR, "", "inventory", "board_part_number", STATIC,
        "nvmlDeviceGetBoardPartNumber", "",
        "What to order as a spare. As nvidia-smi -q shows it; GeForce cards have none.",
    ),
    _gpu(
        "inforom", "InfoROM version", CHAR, "", "details", "inforom", STATIC,
        "nvmlDeviceGetInforomImageVersion", "inforom.img",
        "Version of the card's configuration memory.",
    ),
    _gpu(
        "gsp_firmware", "GSP firmware version", CHAR, "", "details", "gsp_firmware", STATIC,
        "nvmlDeviceGetGspFirmwareVersion", "",
        "Firmware of the GPU system processor. Turing and newer, where the driver uses it.",
    ),
    _gpu(
        "numa_node", "NUMA node", UNSIGNED, "", "details", "numa_node", STATIC, "nvmlDeviceGetNumaNodeId", "",
        "Memory node of the host that the GPU's own memory is; only where the GPU is one.",
    ),
    # -- utilisation -----------------------------------------------------------------------------------------------
    _gpu(
        "utilization", "GPU utilization", UNSIGNED, "%", "utilization", "utilization.gpu", LIVE,
        "nvmlDeviceGetUtilizationRates", "utilization.gpu",
        "Share of the last sample period in which at least one kernel ran; not how much of the GPU it used.",
    ),
    _gpu(
        "utilization_memory", "Memory controller utilization", UNSIGNED, "%", "utilization", "utilization.memory", LIVE,
        "nvmlDeviceGetUtilizationRates", "utilization.memory",
        "Share of the last sample period in which memory was read or written; not how full it is.",
    ),
    _gpu(
        "utilization_encoder", "Encoder utilization", UNSIGNED, "%", "codec", "encoder_utilization", LIVE,
        "nvmlDeviceGetEncoderUtilization", "utilization.encoder",
        "Load of the video encoder (NVENC).",
    ),
    _gpu(
        "utilization_decoder", "Decoder utilization", UNSIGNED, "%", "codec", "decoder_utilization", LIVE,
        "nvmlDeviceGetDecoderUtilization", "utilization.decoder",
        "Load of the video decoder (NVDEC).",
    ),
    _gpu(
        "utilization_jpeg", "JPEG engine utilization", UNSIGNED, "%", "codec", "jpeg_utilization", LIVE,
        "nvmlDeviceGetJpgUtilization", "utilization.jpeg",
        "Load of the JPEG decoder. Turing and newer, driver branch r535 and newer.",
    ),
    _gpu(
        "utilization_ofa", "Optical flow engine utilization", UNSIGNED, "%", "codec", "ofa_utilization", LIVE,
        "nvmlDeviceGetOfaUtilization", "utilization.ofa",
        "Load of the optical flow accelerator. Turing and newer, driver branch r535 and newer.",
    ),
    # -- memory ----------------------------------------------------------------------------------------------------
    _gpu(
        "memory_total", "Memory total", UNSIGNED, "B", "memory", "memory.total", SLOW,
        "nvmlDeviceGetMemoryInfo_v2", "memory.total",
        "Frame buffer memory. Absent on devices that share the host's memory.",
    ),
    _gpu(
        "memory_used", "Memory used", UNSIGNED, "B", "memory", "memory.used", LIVE,
        "nvmlDeviceGetMemoryInfo_v2", "memory.used",
        "Allocated memory. Before driver branch r510 it includes what the driver reserves.",
    ),
    _gpu(
        "memory_free", "Memory free", UNSIGNED, "B", "memory", "memory.free", LIVE,
        "nvmlDeviceGetMemoryInfo_v2", "memory.free",
        "Memory that can be allocated.",
    ),
    _gpu(
        "memory_used_percent", "Memory used in percent", FLOAT, "%", "memory", "memory.used_percent", LIVE,
        "nvmlDeviceGetMemoryInfo_v2", "",
        "Used memory as a share of the total.",
    ),
    _gpu(
        "memory_reserved", "Memory reserved", UNSIGNED, "B", "details", "memory_reserved", SLOW,
        "nvmlDeviceGetMemoryInfo_v2", "memory.reserved",
        "Held back by driver and firmware; total = used + free + reserved. Driver branch r510 and newer.",
    ),
    _gpu(
        "bar1_total", "BAR1 total", UNSIGNED, "B", "bar1", "bar1.total", STATIC,
        "nvmlDeviceGetBAR1MemoryInfo", "",
        "Size of the window through which the CPU and other devices reach the frame buffer.",
    ),
    _gpu(
        "bar1_used", "BAR1 used", UNSIGNED, "B", "bar1", "bar1.used", LIVE,
        "nvmlDeviceGetBAR1MemoryInfo", "",
        "Mapped part of that window.",
    ),
    # -- temperature -----------------------------------------------------------------------------------------------
    _gpu(
        "temperature", "Temperature", UNSIGNED, "°C", "temperature", "temperature", LIVE,
        "nvmlDeviceGetTemperatureV", "temperature.gpu",
        "Temperature of the GPU die.",
    ),
    _gpu(
        "temperature_slowdown", "Slowdown temperature", UNSIGNED, "°C", "temperature", "temperature_slowdown", SLOW,
        "nvmlDeviceGetTemperatureThreshold", "",
        "The card slows itself down from here on. Hopper and newer data-centre cards give margins instead.",
    ),
    _gpu(
        "temperature_shutdown", "Shutdown temperature", UNSIGNED, "°C", "temperature", "temperature_shutdown", SLOW,
        "nvmlDeviceGetTemperatureThreshold", "",
        "The card switches itself off from here on. Hopper and newer data-centre cards give margins instead.",
    ),
    _gpu(
        "temperature_margin", "Temperature margin", FLOAT, "°C", "temperature", "temperature_margin", LIVE,
        "nvmlDeviceGetMarginTemperature", "temperature.gpu.tlimit",
        "Degrees left to the card's thermal limit (T.Limit); it may go below 0. Not the limit minus the temperature.",
    ),
    _gpu(
        "temperature_slowdown_margin", "Slowdown margin", FLOAT, "°C", "temperature", "temperature_slowdown_margin",
        SLOW, "nvmlDeviceGetFieldValues", "",
        "The card slows itself down when its temperature margin falls to this value (NVML field 194).",
    ),
    _gpu(
        "temperature_shutdown_margin", "Shutdown margin", FLOAT, "°C", "temperature", "temperature_shutdown_margin",
        SLOW, "nvmlDeviceGetFieldValues", "",
        "The card switches itself off when its temperature margin falls to this value (NVML field 193).",
    ),
    _gpu(
        "temperature_memory", "Memory temperature", UNSIGNED, "°C", "temperature", "temperature_memory", LIVE,
        "nvmlDeviceGetFieldValues", "temperature.memory",
        "Temperature of the HBM stacks (NVML field 82). Not on GeForce, whose memory temperature NVML does not give.",
    ),
    _gpu(
        "temperature_memory_max", "Memory maximum temperature", UNSIGNED, "°C", "temperature",
        "temperature_memory_max", SLOW, "nvmlDeviceGetTemperatureThreshold", "",
        "The memory slows the card down from here on.",
    ),
    _gpu(
        "temperature_max", "Maximum operating temperature", UNSIGNED, "°C", "temperature", "temperature_max", SLOW,
        "nvmlDeviceGetTemperatureThreshold", "",
        "The card begins to lower its clocks here, before the slowdown temperature.",
    ),
    _gpu(
        "temperature_max_margin", "Maximum operating margin", FLOAT, "°C", "limits", "temperature_max_margin", SLOW,
        "nvmlDeviceGetFieldValues", "",
        "The card begins to lower its clocks when its temperature margin falls to this value (NVML field 196).",
    ),
    _gpu(
        "temperature_memory_max_margin", "Memory maximum margin", FLOAT, "°C", "limits",
        "temperature_memory_max_margin", SLOW, "nvmlDeviceGetFieldValues", "",
        "The memory slows the card down when its own margin falls to this value (NVML field 195).",
    ),
    # -- fan -------------------------------------------------------------------------------------------------------
    _gpu(
        "fan_speed", "Fan speed", UNSIGNED, "%", "fan", "fan_speed", LIVE,
        "nvmlDeviceGetFanSpeed_v2", "fan.speed",
        "Speed that the card asks of its fastest fan, not what the fan really does; over 100 is possible. "
        "Passively cooled cards have none.",
    ),
    _gpu(
        "fan_rpm", "Fan speed in rpm", UNSIGNED, "!rpm", "fan", "fan_rpm", LIVE,
        "nvmlDeviceGetFanSpeedRPM", "",
        "Revolutions that the card asks of its fastest fan, not measured ones. Driver branch r570 and newer.",
    ),
    # -- power -----------------------------------------------------------------------------------------------------
    _gpu(
        "power", "Power draw", FLOAT, "W", "power", "power", LIVE,
        "nvmlDeviceGetPowerUsage", "power.draw",
        "Draw of the whole board; the mean of one second on Ampere (except GA100) and newer.",
    ),
    _gpu(
        "power_limit", "Power limit", FLOAT, "W", "power", "power_limit", SLOW,
        "nvmlDeviceGetEnforcedPowerLimit", "enforced.power.limit",
        "The lowest of all limits in force.",
    ),
    _gpu(
        "power_percent", "Power draw in percent of the limit", FLOAT, "%", "power", "power_percent", LIVE,
        "nvmlDeviceGetPowerUsage, nvmlDeviceGetEnforcedPowerLimit", "",
        "100 is normal for a card at work.",
    ),
    _gpu(
        "energy", "Energy", FLOAT, "J", "power", "energy", LIVE,
        "nvmlDeviceGetTotalEnergyConsumption", "",
        "Energy used since the driver was loaded; without persistence mode, since the card woke. Volta and newer.",
    ),
    _gpu(
        "power_instant", "Power draw now", FLOAT, "W", "details", "power_instant", LIVE,
        "nvmlDeviceGetFieldValues", "power.draw.instant",
        "Draw without smoothing (NVML field 186). Driver branch r535 and newer.",
    ),
    _gpu(
        "power_average", "Power draw, mean of a second", FLOAT, "W", "details", "power_average", LIVE,
        "nvmlDeviceGetFieldValues", "power.draw.average",
        "Draw, smoothed by the card (NVML field 185). Driver branch r535 and newer.",
    ),
    _gpu(
        "power_limit_requested", "Requested power limit", FLOAT, "W", "limits", "power_limit_requested", SLOW,
        "nvmlDeviceGetPowerManagementLimit", "power.limit",
        "The limit that an administrator has set.",
    ),
    _gpu(
        "power_limit_default", "Default power limit", FLOAT, "W", "limits", "power_limit_default", STATIC,
        "nvmlDeviceGetPowerManagementDefaultLimit", "power.default_limit",
        "The limit that the card starts with.",
    ),
    _gpu(
        "power_limit_min", "Lowest power limit", FLOAT, "W", "limits", "power_limits.minimum", STATIC,
        "nvmlDeviceGetPowerManagementLimitConstraints", "power.min_limit",
        "The lowest limit that can be set.",
    ),
    _gpu(
        "power_limit_max", "Highest power limit", FLOAT, "W", "limits", "power_limits.maximum", STATIC,
        "nvmlDeviceGetPowerManagementLimitConstraints", "power.max_limit",
        "The highest limit that can be set.",
    ),
    # -- clocks ----------------------------------------------------------------------------------------------------
    _gpu(
        "clock_sm", "SM clock", UNSIGNED, "Hz", "clocks", "clock_sm", LIVE,
        "nvmlDeviceGetClockInfo", "clocks.sm",
        "Clock of the streaming multiprocessors.",
    ),
    _gpu(
        "clock_memory", "Memory clock", UNSIGNED, "Hz", "clocks", "clock_memory", LIVE,
        "nvmlDeviceGetClockInfo", "clocks.mem",
        "Clock of the memory.",
    ),
    _gpu(
        "clock_graphics", "Graphics clock", UNSIGNED, "Hz", "details", "clock_graphics", LIVE,
        "nvmlDeviceGetClockInfo", "clocks.gr",
        "Clock of the graphics engine.",
    ),
    _gpu(
        "clock_video", "Video clock", UNSIGNED, "Hz", "details", "clock_video", LIVE,
        "nvmlDeviceGetClockInfo", "clocks.video",
        "Clock of the video encoder and decoder.",
    ),
    _gpu(
        "performance_state", "Performance state", UNSIGNED, "", "clocks", "performance_state", LIVE,
        "nvmlDeviceGetPerformanceState", "pstate",
        "P0 is the fastest, P15 the slowest.", "NVIDIA performance state",
    ),
    *(
        _gpu(
            f"clock_{clock}_max", f"{name} clock maximum", UNSIGNED, "Hz", "limits", f"clock_{clock}_max", STATIC,
            "nvmlDeviceGetMaxClockInfo", smi,
            f"The highest {name.lower() if name != 'SM' else name} clock of this card.",
        )
        for clock, name, smi in (
            ("sm", "SM", "clocks.max.sm"),
            ("memory", "Memory", "clocks.max.memory"),
            ("graphics", "Graphics", "clocks.max.graphics"),
            ("video", "Video", ""),
        )
    ),
    # -- throttling ------------------------------------------------------------------------------------------------
    *(
        _gpu(
            f"throttle_{key}", f"Clocks held down by {name}", UNSIGNED, "", "throttling", f"throttling.{key}", LIVE,
            "nvmlDeviceGetCurrentClocksEventReasons", f"clocks_event_reasons.{smi}", text, "NVIDIA yes or no",
        )
        for key, name, smi, text in (
            ("sw_power_cap", "the power limit", "sw_power_cap", "Normal at work: the card is at its power limit."),
            ("hw_slowdown", "the hardware", "hw_slowdown", "Clocks at half or less: too hot, or too much power drawn."),
            ("sync_boost", "sync boost", "sync_boost", "Kept in step with the other GPUs of a sync boost group."),
            ("sw_thermal", "the driver for heat", "sw_thermal_slowdown", "The driver cools the card down."),
            ("hw_thermal", "the hardware for heat", "hw_thermal_slowdown", "Too hot: clocks at half or less."),
            ("power_brake", "the power brake", "hw_power_brake_slowdown", "The host or its power supply asked for it."),
        )
    ),
    *(
        _gpu(
            f"throttle_time_{key}", f"Time held down by {name}", FLOAT, "s", "details", f"throttle_time_{key}", LIVE,
            call, smi, f"{text} A counter since the driver was loaded; nvidia-smi shows microseconds.",
        )
        for key, name, call, smi, text in (
            ("power", "the power limit", "nvmlDeviceGetFieldValues", "clocks_event_reasons_counters.sw_power_cap",
             "Time at the power limit (NVML field 74)."),
            ("sw_thermal", "the driver for heat", "nvmlDeviceGetFieldValues",
             "clocks_event_reasons_counters.sw_thermal_slowdown",
             "Time in which the driver cooled the card down (NVML field 269). Driver branch r575 and newer."),
            ("hw_thermal", "the hardware for heat", "nvmlDeviceGetFieldValues",
             "clocks_event_reasons_counters.hw_thermal_slowdown",
             "Time too hot (NVML field 270; before r575 the thermal policy, field 75)."),
            ("power_brake", "the power brake", "nvmlDeviceGetFieldValues",
             "clocks_event_reasons_counters.hw_power_brake_slowdown",
             "Time under the power brake (NVML field 271). Driver branch r575 and newer."),
        )
    ),
    # -- ECC, retired pages, remapped rows -------------------------------------------------------------------------
    _gpu(
        "ecc_mode", "ECC mode", UNSIGNED, "", "ecc", "ecc_mode", SLOW, "nvmlDeviceGetEccMode", "ecc.mode.current",
        "Whether memory errors are corrected.", "NVIDIA on or off",
    ),
    *(
        _gpu(
            f"ecc_{kind}_{span}", f"{word} ECC errors, {name}", UNSIGNED, "", "ecc", f"ecc_{kind}_{span}", LIVE,
            "nvmlDeviceGetTotalEccErrors", f"ecc.errors.{kind}.{span}.total", f"{what} {since}",
        )
        for kind, word, what in (
            ("corrected", "Corrected", "Single-bit errors, put right by ECC."),
            ("uncorrected", "Uncorrected", "Errors that ECC could not put right: data was lost."),
        )
        for span, name, since in (
            ("volatile", "since the driver was loaded", "A counter since the driver was loaded."),
            ("aggregate", "for life", "A counter over the life of the card."),
        )
    ),
    *(
        _gpu(
            f"ecc_{location}_{kind}_{span}", f"{word} {location.upper()} errors, {name}", UNSIGNED, "", "ecc_detail",
            f"ecc_{location}.{kind}_{span}", LIVE, "nvmlDeviceGetMemoryErrorCounter",
            f"ecc.errors.{kind}.{span}.{location}", f"{what} {since}",
        )
        for location, what in (("sram", "Of caches and registers."), ("dram", "Of the device memory."))
        for kind, word in (("corrected", "Corrected"), ("uncorrected", "Uncorrected"))
        for span, name, since in (
            ("volatile", "since the driver was loaded", "A counter since the driver was loaded."),
            ("aggregate", "for life", "A counter over the life of the card."),
        )
    ),
    _gpu(
        "memory_unrepairable", "Memory unrepairable", UNSIGNED, "", "ecc", "memory_unrepairable", LIVE,
        "nvmlDeviceGetUnrepairableMemoryFlag_v1", "",
        "1: the memory has an error that nothing can repair. Hopper and newer, driver branch r590 and newer.",
        "NVIDIA yes or no",
    ),
    _gpu(
        "retired_pages_single", "Pages retired for single-bit errors", UNSIGNED, "", "ecc", "retired_pages.single",
        SLOW, "nvmlDeviceGetRetiredPages", "retired_pages.single_bit_ecc.count",
        "Memory pages taken out of use after repeated corrected errors. Before Ampere.",
    ),
    _gpu(
        "retired_pages_double", "Pages retired for double-bit errors", UNSIGNED, "", "ecc", "retired_pages.double",
        SLOW, "nvmlDeviceGetRetiredPages", "retired_pages.double_bit.count",
        "Memory pages taken out of use after an uncorrected error. Before Ampere.",
    ),
    _gpu(
        "retired_pages_pending", "Page retirement pending", UNSIGNED, "", "ecc", "retired_pages_pending", LIVE,
        "nvmlDeviceGetRetiredPagesPendingStatus", "retired_pages.pending",
        "1: pages will be retired when the driver is loaded anew.", "NVIDIA yes or no",
    ),
    _gpu(
        "remapped_corrected", "Rows remapped for corrected errors", UNSIGNED, "", "ecc", "remapped_rows.corrected",
        SLOW, "nvmlDeviceGetRemappedRows", "remapped_rows.correctable",
        "Memory rows replaced by spare ones after corrected errors. Ampere and newer.",
    ),
    _gpu(
        "remapped_uncorrected", "Rows remapped for uncorrected errors", UNSIGNED, "", "ecc",
        "remapped_rows.uncorrected", SLOW, "nvmlDeviceGetRemappedRows", "remapped_rows.uncorrectable",
        "Memory rows replaced by spare ones after uncorrected errors. Ampere and newer.",
    ),
    _gpu(
        "remap_pending", "Row remapping pending", UNSIGNED, "", "ecc", "remapped_rows.pending", LIVE,
        "nvmlDeviceGetRemappedRows", "remapped_rows.pending",
        "1: a row will be replaced at the next reset of the GPU.", "NVIDIA yes or no",
    ),
    _gpu(
        "remap_failure", "Row remapping failed", UNSIGNED, "", "ecc", "remapped_rows.failure", LIVE,
        "nvmlDeviceGetRemappedRows", "remapped_rows.failure",
        "1: a row could not be replaced, now or in the past.", "NVIDIA yes or no",
    ),
    *(
        _gpu(
            f"spare_rows_{key}", f"Banks with {name} spare rows", UNSIGNED, "", "limits", f"spare_rows.{key}", SLOW,
            "nvmlDeviceGetRowRemapperHistogram", f"remapped_rows.histogram.{key}",
            f"Memory banks that have {name} of their spare rows left.",
        )
        for key, name in (("max", "all"), ("high", "most"), ("partial", "some"), ("low", "few"), ("none", "no"))
    ),
    # -- PCIe ------------------------------------------------------------------------------------------------------
    _gpu(
        "pcie_generation", "PCIe generation", UNSIGNED, "", "pcie", "pcie_generation", LIVE,
        "nvmlDeviceGetCurrPcieLinkGeneration", "pcie.link.gen.current",
        "Speed of the link now; cards at rest lower it to save power.",
    ),
    _gpu(
        "pcie_generation_max", "PCIe generation maximum", UNSIGNED, "", "pcie", "pcie_generation_max", SLOW,
        "nvmlDeviceGetMaxPcieLinkGeneration", "pcie.link.gen.max",
        "The highest speed that card and slot have in common. Not in a virtual machine, which does not see the slot.",
    ),
    _gpu(
        "pcie_width", "PCIe width", UNSIGNED, "", "pcie", "pcie_width", LIVE,
        "nvmlDeviceGetCurrPcieLinkWidth", "pcie.link.width.current",
        "Lanes in use.",
    ),
    _gpu(
        "pcie_width_max", "PCIe width maximum", UNSIGNED, "", "pcie", "pcie_width_max", SLOW,
        "nvmlDeviceGetMaxPcieLinkWidth", "pcie.link.width.max",
        "Lanes that card and slot have in common. Not in a virtual machine, which does not see the slot.",
    ),
    _gpu(
        "pcie_replays", "PCIe replays", UNSIGNED, "", "pcie", "pcie_replays", LIVE,
        "nvmlDeviceGetPcieReplayCounter", "",
        "Packets sent again after an error: a counter since the driver was loaded. A few are normal.",
    ),
    # -- NVLink and fabric -----------------------------------------------------------------------------------------
    _gpu(
        "nvlink_up", "NVLinks up", UNSIGNED, "", "nvlink", "nvlink.up", STATIC, "nvmlDeviceGetNvLinkState", "",
        "Links that carry data. A GeForce card without a bridge has links, and none is up.",
    ),
    _gpu(
        "nvlink_links", "NVLinks", UNSIGNED, "", "nvlink", "nvlink.links", SLOW, "nvmlDeviceGetFieldValues", "",
        "Links that the chip has (NVML field 91).",
    ),
    *(
        _gpu(
            # A whole number, but Zabbix writes one above 1e17 with an exponent, which is no unsigned value: at full
            # speed that is reached within days.
            f"nvlink_{key}", f"NVLink data {word}", FLOAT, "B", "nvlink", f"nvlink_{key}", LIVE,
            "nvmlDeviceGetFieldValues", "",
            f"Payload {word} over all links: a counter (NVML field {field}; with NVLink 5, {later}). Volta and newer.",
        )
        for key, word, field, later in (("sent", "sent", 138, 202), ("received", "received", 139, 204))
    ),
    *(
        _gpu(
            f"nvlink_{key}", f"NVLink {name} errors", UNSIGNED, "", "nvlink", f"nvlink_{key}", LIVE,
            "nvmlDeviceGetFieldValues", "", f"{text} A counter over all links (NVML field {field}).{since}",
        )
        for key, name, field, text, since in (
            ("replays", "replay", "52", "Packets sent again.", " Before NVLink 5."),
            ("crc", "CRC", "38 and 45", "Packets with a wrong checksum; each leads to a replay.", " Before NVLink 5."),
            ("recoveries", "recovery", "59; with NVLink 5, 215", "Links trained anew.", ""),
            ("receive_errors", "receive", "208", "Packets received with errors.", " NVLink 5."),
            ("effective_errors", "effective", "219", "What the error correction could not put right.", " NVLink 5."),
            ("recoveries_failed", "failed recovery", "214", "Links that did not come back.", " NVLink 5."),
        )
    ),
    _gpu(
        "fabric_state", "Fabric state", UNSIGNED, "", "nvlink", "fabric.state", LIVE, "nvmlDeviceGetGpuFabricInfoV",
        "fabric.state",
        "Whether the GPU has joined the NVLink fabric of its NVSwitches. Hopper and newer.", "NVIDIA fabric state",
    ),
    _gpu(
        "fabric_status", "Fabric status", UNSIGNED, "", "nvlink", "fabric.status", LIVE, "nvmlDeviceGetGpuFabricInfoV",
        "fabric.status", "NVML's return code of that: 0 when it went well.",
    ),
    # -- health and modes ------------------------------------------------------------------------------------------
    _gpu(
        "recovery_action", "Recovery action", UNSIGNED, "", "health", "recovery_action", LIVE,
        "nvmlDeviceGetFieldValues", "gpu_recovery_action",
        "What the driver itself says must be done (NVML field 230). Driver branch r570 and newer.",
        "NVIDIA recovery action",
    ),
    _gpu(
        "persistence_mode", "Persistence mode", UNSIGNED, "", "modes", "persistence_mode", SLOW,
        "nvmlDeviceGetPersistenceMode", "persistence_mode",
        "Whether the driver stays loaded while nobody uses the card; without it each poll wakes the card.",
        "NVIDIA on or off",
    ),
    _gpu(
        "compute_mode", "Compute mode", UNSIGNED, "", "details", "compute_mode", SLOW, "nvmlDeviceGetComputeMode",
        "compute_mode", "Who may compute on the card.", "NVIDIA compute mode",
    ),
    _gpu(
        "mig_mode", "MIG mode", UNSIGNED, "", "modes", "mig_mode", SLOW, "nvmlDeviceGetMigMode", "mig.mode.current",
        "Whether the card is divided into instances.", "NVIDIA on or off",
    ),
    _gpu(
        "display_active", "Display active", UNSIGNED, "", "details", "display_active", SLOW,
        "nvmlDeviceGetDisplayActive", "display_active", "Whether a screen is driven by this card.", "NVIDIA yes or no",
    ),
    _gpu(
        "accounting_mode", "Accounting mode", UNSIGNED, "", "details", "accounting_mode", SLOW,
        "nvmlDeviceGetAccountingMode", "accounting.mode",
        "Whether the driver keeps records of ended processes.", "NVIDIA on or off",
    ),
    _gpu(
        "display_mode", "Display attached", UNSIGNED, "", "details", "display_mode", SLOW,
        "nvmlDeviceGetDisplayMode", "",
        "Whether a screen is attached to this card. Driver branch r590 and newer do not say.", "NVIDIA yes or no",
    ),
    _gpu(
        "virtualization_mode", "Virtualization mode", UNSIGNED, "", "details", "virtualization_mode", SLOW,
        "nvmlDeviceGetVirtualizationMode", "", "Whether this is a vGPU, a card passed through, or a host of vGPUs.",
        "NVIDIA virtualization mode",
    ),
    # -- vGPU, confidential computing ------------------------------------------------------------------------------
    _gpu(
        "vgpus", "vGPUs", UNSIGNED, "", "vgpu", "vgpus", LIVE, "nvmlDeviceGetActiveVgpus", "",
        "vGPUs that run on this card. On their host alone.",
    ),
    _gpu(
        "license_state", "License state", UNSIGNED, "", "vgpu", "license.state", LIVE,
        "nvmlDeviceGetGridLicensableFeatures_v4", "",
        "Whether this vGPU has its license; without one it is slowed down. In the guest alone.",
        "NVIDIA license state",
    ),
    _gpu(
        "license_product", "Licensed product", CHAR, "", "vgpu", "license.product", STATIC,
        "nvmlDeviceGetGridLicensableFeatures_v4", "", "What the license is for.",
    ),
    *(
        _gpu(
            f"cc_{key}", name, UNSIGNED, "", "confidential", f"confidential.{key}", SLOW,
            "nvmlSystemGetConfComputeState", "", text, valuemap,
        )
        for key, name, text, valuemap in (
            ("feature", "Confidential computing", "Whether it is on. Hopper and newer.", "NVIDIA on or off"),
            (
                "environment", "Confidential computing environment", "Whether it is meant to be secure.",
                "NVIDIA confidential computing environment",
            ),
            (
                "dev_tools", "Confidential computing tools mode", "On: debuggers may look inside; it is not secure.",
                "NVIDIA on or off",
            ),
        )
    ),
    *(
        _gpu(
            f"protected_{key}", f"Protected memory {key}", UNSIGNED, "B", "confidential", f"protected_memory.{key}",
            storage, "nvmlDeviceGetConfComputeProtectedMemoryUsage", f"protected_memory.{key}", text,
        )
        for key, storage, text in (
            ("total", SLOW, "Memory that confidential computing protects; 0 while it is off."),
            ("used", LIVE, "What of it is allocated."),
        )
    ),
    # -- processes -------------------------------------------------------------------------------------------------
    _gpu(
        "processes", "Processes", UNSIGNED, "", "processes", "processes", LIVE,
        "nvmlDeviceGetComputeRunningProcesses_v3, nvmlDeviceGetGraphicsRunningProcesses_v3, "
        "nvmlDeviceGetMPSComputeRunningProcesses_v3", "",
        "Processes that hold a context on the card: computing, drawing, or through MPS.",
    ),
    _gpu(
        "process_oldest", "Age of the oldest process", UNSIGNED, "s", "processes", "process_oldest", LIVE,
        "nvmlDeviceGetComputeRunningProcesses_v3", "",
        "Since the start of the process that runs longest; 0 without one. From /proc, where the host's processes are "
        "to be seen.",
    ),
    _gpu(
        "process_list", "Process list", TEXT, "", "process_list", "process_list", SLOW,
        "nvmlDeviceGetComputeRunningProcesses_v3, nvmlSystemGetProcessName, nvmlDeviceGetProcessesUtilizationInfo", "",
        "The largest processes of the host, those of this card: pid, name (arguments only where the service's "
        "configuration asks for them), type (C computes, G draws, M by MPS), memory in B, user, container or Slurm "
        "job, MIG GPU instance; with the resident collector also what it used of multiprocessors, memory controller, "
        "encoder and decoder since the last reading, in %.",
    ),
    # -- sessions --------------------------------------------------------------------------------------------------
    *(
        _gpu(
            f"{key}_{field}", f"{name} {word}", kind, unit, "sessions", f"{key}.{field}", LIVE, call, smi, text,
        )
        for key, name, call, prefix in (
            ("encoder", "Encoder", "nvmlDeviceGetEncoderStats", "encoder.stats"),
            ("capture", "Frame capture", "nvmlDeviceGetFBCStats", ""),
        )
        for field, word, kind, unit, suffix, text in (
            ("sessions", "sessions", UNSIGNED, "", "sessionCount", "Open sessions."),
            ("fps", "frame rate", UNSIGNED, "!fps", "averageFps", "Mean frames a second of all sessions."),
            ("latency", "latency", FLOAT, "s", "averageLatency", "Mean time a frame (NVML counts microseconds)."),
        )
        for smi in (f"{prefix}.{suffix}" if prefix else "",)
    ),
)  # fmt: skip


def _rate(  # noqa: PLR0913, PLR0917  as above
    key: str, name: str, unit: str, source: str, factor: int, text: str, group: str = ""
) -> Metric:
    (counter,) = (metric for metric in GPU_METRICS if metric.key == source)
    return counter._replace(
        key=key,
        name=name,
        kind=FLOAT,
        unit=unit,
        group=group or counter.group,
        smi="",
        text=text,
        counter=source,
        factor=factor,
        storage=LIVE,
    )


(_FAN_SPEED,) = (metric for metric in GPU_METRICS if metric.key == "fan_speed")

# What Zabbix works out; from a counter as change per second, so that nothing between two polls is lost.
GPU_RATES = (
    _FAN_SPEED._replace(
        key="fan_turned", name="Fan has turned", unit="", smi="", counter="fan_speed", only="^[1-9]", storage=STATIC,
        text="1 whenever the fan turns, stored once a day; no value for a fan that never did. Passively cooled cards "
        "were seen to answer with a fan at 0 %.",
    ),
    _rate(
        "power_mean", "Mean power draw", "W", "energy", 1,
        "Mean since the last poll, from the energy counter: no peak is missed.",
    ),
    *(
        _rate(
            f"throttle_share_{key}", f"Share of time held down by {name}", "%", f"throttle_time_{key}", 100,
            "Since the last poll.", "throttling",
        )
        for key, name in (
            ("power", "the power limit"),
            ("sw_thermal", "the driver for heat"),
            ("hw_thermal", "the hardware for heat"),
            ("power_brake", "the power brake"),
        )
    ),
    *(
        _rate(f"nvlink_{key}_rate", f"NVLink data {word} per second", "Bps", f"nvlink_{key}", 1, "Since the last poll.")
        for key, word in (("sent", "sent"), ("received", "received"))
    ),
    _rate("nvlink_crc_rate", "NVLink CRC errors per second", "", "nvlink_crc", 1, "Since the last poll."),
    _rate(
        "ecc_corrected_rate", "Corrected ECC errors per hour", "", "ecc_corrected_volatile", 3600,
        "Since the last poll. Some are normal; many, for long, foretell uncorrected ones.",
    ),
    _rate(
        "pcie_replay_rate", "PCIe replays per minute", "", "pcie_replays", 60,
        "Since the last poll.",
    ),
)  # fmt: skip

# Written by the template from the document's `presence`, not read from a Device.
PRESENT = Metric(
    "gpu", "present", "Present", UNSIGNED, "", "health", "", "", LIVE, "NVIDIA presence",
    "nvmlDeviceGetUUID", "",
    "1 while a card with this UUID answers, 0 when it does not although the driver does.",
)  # fmt: skip

# What a card cannot serve is named in {#LACKS} by these tokens, and by nothing else.
GPU_READERS = tuple(dict.fromkeys(metric.reader for metric in GPU_METRICS))
