"""The metrics: one row each, from which the collector, the templates, the documentation and the tests are derived.

A row is found in three places under one name: ``$.<entity>...<key>`` in the document, ``nvidia.<entity>.<key>`` as the
Zabbix item, and a line of docs/METRICS.md. All values are in base units (B, W, J, Hz, °C, %, s).
"""

# Without `from __future__ import annotations`: typing would compile the text of each annotation at each poll.
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

    key: str
    name: str
    kind: str
    text: str
    entity: str = "gpu"
    unit: str = ""
    group: str = ""
    storage: str = LIVE
    valuemap: str = ""
    reader: str = ""
    field: str = ""
    call: str = ""
    smi: str = ""
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


# Of the host as a whole: always in the document, whatever happens (those of `host` only when NVML answers).
HOST_METRICS = (
    Metric(
        entity="", key="timestamp", name="Document time", kind=UNSIGNED, unit="unixtime",
        text="When the document was made.",
    ),
    Metric(
        entity="status", key="driver", name="Driver answers", kind=UNSIGNED, valuemap="NVIDIA yes or no",
        call="nvmlInitWithFlags",
        text="1 when there are readings, be it not of every GPU, and while the driver is let go of on purpose.",
    ),
    Metric(
        entity="status", key="code", name="Driver status", kind=UNSIGNED, valuemap="NVIDIA driver status",
        call="nvmlInitWithFlags",
        text="0 when the driver answers; else why not.",
    ),
    Metric(
        entity="status", key="message", name="Driver status message", kind=CHAR, storage=SLOW, call="nvmlInitWithFlags",
        text="The same in words, with what to do.",
    ),
    Metric(
        entity="collector", key="version", name="Collector version", kind=CHAR, storage=STATIC,
        text="Version of zbx-nvidia on the host.",
    ),
    Metric(
        entity="collector", key="mode", name="Collector mode", kind=CHAR, storage=STATIC,
        text="oneshot: a process a poll; resident: a service that writes a file.",
    ),
    Metric(
        entity="collector", key="duration", name="Collection time", kind=FLOAT, unit="s",
        text="From the start of the process, or from the question to the driver, to the document.",
    ),
    Metric(
        entity="collector", key="driver_time", name="Time in the driver", kind=FLOAT, unit="s",
        text="How long the calls into the driver took, those for all GPUs together, which run side by side; of the "
        "resident collector all since the last document, but for the waits for XIDs.",
    ),
    Metric(
        entity="collector", key="driver_cpu", name="Processor time in the driver", kind=FLOAT, unit="s",
        text="What they took of a processor, waits for XIDs and all: the rest of what the collector takes is its own.",
    ),
    Metric(
        entity="collector", key="error_count", name="Readings in error", kind=UNSIGNED,
        text="Readings that the driver neither gave nor called unsupported: no permission, unknown error. Those of "
        "lost and sick cards do not count.",
    ),
    Metric(
        entity="host", key="driver_version", name="Driver version", kind=CHAR, storage=STATIC,
        call="nvmlSystemGetDriverVersion",
        text="Version of the NVIDIA kernel driver.",
    ),
    Metric(
        entity="host", key="nvml_version", name="NVML version", kind=CHAR, storage=STATIC,
        call="nvmlSystemGetNVMLVersion",
        text="Version of the library libnvidia-ml.so.1.",
    ),
    Metric(
        entity="host", key="cuda_version", name="CUDA version", kind=CHAR, storage=STATIC,
        call="nvmlSystemGetCudaDriverVersion_v2",
        text="The newest CUDA version that the driver serves, as major.minor.",
    ),
    Metric(
        entity="host", key="gpu_count", name="GPU count", kind=UNSIGNED, call="nvmlDeviceGetCount_v2",
        text="GPUs that the driver counts; a lost one is still among them.",
    ),
    Metric(
        entity="host", key="gpus_present", name="GPUs present", kind=UNSIGNED, storage=STATIC, call="nvmlDeviceGetUUID",
        text="GPUs that answer. Stored when it changes; the most of a month is what the host should have.",
    ),
    Metric(
        entity="host", key="gpus_lost", name="GPUs lost", kind=UNSIGNED, call="nvmlDeviceGetHandleByIndex_v2",
        text="GPUs that the driver counts but has lost (fallen off the bus, reset required).",
    ),
    Metric(
        entity="host", key="lost", name="Lost GPUs", kind=CHAR, storage=SLOW, call="nvmlDeviceGetHandleByIndex_v2",
        text="Which GPUs are lost: index, slot and UUID as far as known; empty when none is.",
    ),
    Metric(
        entity="host", key="gpus_sick", name="GPUs sick", kind=UNSIGNED,
        text="GPUs that answer every reading with an error, or not at all.",
    ),
    Metric(
        entity="host", key="sick", name="Sick GPUs", kind=CHAR, storage=SLOW,
        text="Which GPUs are sick: index, slot and UUID as far as known; empty when none is.",
    ),
    Metric(
        entity="host", key="sxid_count", name="SXid errors", kind=UNSIGNED,
        text="Errors of NVSwitches, as far as the kernel's log goes back; with the resident collector and its key "
        "kernel_log only.",
    ),
    Metric(
        entity="host", key="sxid_last", name="Last SXid error", kind=UNSIGNED,
        text="Code of the last of them; NVIDIA's Fabric Manager User Guide says what it means.",
    ),
    Metric(
        entity="host", key="sxid_recent", name="Recent fatal SXid errors", kind=CHAR, storage=SLOW,
        text="Switches and codes of fatal ones that came lately (xid_memory of the service); empty when there were "
        "none, and where nobody reads the kernel's log.",
    ),
)  # fmt: skip

GPU_METRICS = (
    # -- inventory -------------------------------------------------------------------------------------------------
    Metric(
        key="name", name="Model", kind=CHAR, group="inventory", storage=STATIC, reader="name", call="nvmlDeviceGetName",
        smi="name",
        text="Product name.",
    ),
    Metric(
        key="index", name="Index", kind=UNSIGNED, group="inventory", storage=STATIC, reader="index",
        call="nvmlDeviceGetHandleByIndex_v2", smi="index",
        text="Place in the driver's order, that of PCI addresses. CUDA's order can differ. It moves when a card goes.",
    ),
    Metric(
        key="uuid", name="UUID", kind=CHAR, group="inventory", storage=STATIC, reader="uuid", call="nvmlDeviceGetUUID",
        smi="uuid",
        text="Identity of the card, whatever its slot.",
    ),
    Metric(
        key="pci", name="PCI address", kind=CHAR, group="inventory", storage=STATIC, reader="pci",
        call="nvmlDeviceGetPciInfo_v3", smi="pci.bus_id",
        text="domain:bus:device.function.",
    ),
    Metric(
        key="serial", name="Serial number", kind=CHAR, group="inventory", storage=STATIC, reader="serial",
        call="nvmlDeviceGetSerial", smi="serial",
        text="As on the board's label. GeForce cards have none.",
    ),
    Metric(
        key="vbios", name="VBIOS version", kind=CHAR, group="inventory", storage=STATIC, reader="vbios",
        call="nvmlDeviceGetVbiosVersion", smi="vbios_version",
        text="Version of the card's firmware.",
    ),
    Metric(
        key="architecture", name="Architecture", kind=CHAR, group="details", storage=STATIC, reader="architecture",
        call="nvmlDeviceGetArchitecture",
        text="Generation of the chip: Pascal, Turing, Ampere, Hopper, ...",
    ),
    Metric(
        key="brand", name="Brand", kind=CHAR, group="details", storage=STATIC, reader="brand",
        call="nvmlDeviceGetBrand",
        text="Product line: GeForce, Tesla, NVIDIA RTX, ...",
    ),
    Metric(
        key="board_part_number", name="Board part number", kind=CHAR, group="inventory", storage=STATIC,
        reader="board_part_number", call="nvmlDeviceGetBoardPartNumber",
        text="What to order as a spare. As nvidia-smi -q shows it; GeForce cards have none.",
    ),
    Metric(
        key="inforom", name="InfoROM version", kind=CHAR, group="details", storage=STATIC, reader="inforom",
        call="nvmlDeviceGetInforomImageVersion", smi="inforom.img",
        text="Version of the card's configuration memory.",
    ),
    Metric(
        key="gsp_firmware", name="GSP firmware version", kind=CHAR, group="details", storage=STATIC,
        reader="gsp_firmware", call="nvmlDeviceGetGspFirmwareVersion",
        text="Firmware of the GPU system processor. Turing and newer, where the driver uses it.",
    ),
    Metric(
        key="numa_node", name="NUMA node", kind=UNSIGNED, group="details", storage=STATIC, reader="numa_node",
        call="nvmlDeviceGetNumaNodeId",
        text="Memory node of the host that the GPU's own memory is; only where the GPU is one.",
    ),
    # -- utilisation -----------------------------------------------------------------------------------------------
    Metric(
        key="utilization", name="GPU utilization", kind=UNSIGNED, unit="%", group="utilization", reader="utilization",
        field="gpu", call="nvmlDeviceGetUtilizationRates", smi="utilization.gpu",
        text="Share of the last sample period in which at least one kernel ran; not how much of the GPU it used.",
    ),
    Metric(
        key="utilization_memory", name="Memory controller utilization", kind=UNSIGNED, unit="%", group="utilization",
        reader="utilization", field="memory", call="nvmlDeviceGetUtilizationRates", smi="utilization.memory",
        text="Share of the last sample period in which memory was read or written; not how full it is.",
    ),
    Metric(
        key="utilization_encoder", name="Encoder utilization", kind=UNSIGNED, unit="%", group="codec",
        reader="encoder_utilization", call="nvmlDeviceGetEncoderUtilization", smi="utilization.encoder",
        text="Load of the video encoder (NVENC).",
    ),
    Metric(
        key="utilization_decoder", name="Decoder utilization", kind=UNSIGNED, unit="%", group="codec",
        reader="decoder_utilization", call="nvmlDeviceGetDecoderUtilization", smi="utilization.decoder",
        text="Load of the video decoder (NVDEC).",
    ),
    Metric(
        key="utilization_jpeg", name="JPEG engine utilization", kind=UNSIGNED, unit="%", group="codec",
        reader="jpeg_utilization", call="nvmlDeviceGetJpgUtilization", smi="utilization.jpeg",
        text="Load of the JPEG decoder. Turing and newer, driver branch r535 and newer.",
    ),
    Metric(
        key="utilization_ofa", name="Optical flow engine utilization", kind=UNSIGNED, unit="%", group="codec",
        reader="ofa_utilization", call="nvmlDeviceGetOfaUtilization", smi="utilization.ofa",
        text="Load of the optical flow accelerator. Turing and newer, driver branch r535 and newer.",
    ),
    # -- memory ----------------------------------------------------------------------------------------------------
    Metric(
        key="memory_total", name="Memory total", kind=UNSIGNED, unit="B", group="memory", storage=SLOW, reader="memory",
        field="total", call="nvmlDeviceGetMemoryInfo_v2", smi="memory.total",
        text="Frame buffer memory. Absent on devices that share the host's memory.",
    ),
    Metric(
        key="memory_used", name="Memory used", kind=UNSIGNED, unit="B", group="memory", reader="memory", field="used",
        call="nvmlDeviceGetMemoryInfo_v2", smi="memory.used",
        text="Allocated memory. Before driver branch r510 it includes what the driver reserves.",
    ),
    Metric(
        key="memory_free", name="Memory free", kind=UNSIGNED, unit="B", group="memory", reader="memory", field="free",
        call="nvmlDeviceGetMemoryInfo_v2", smi="memory.free",
        text="Memory that can be allocated.",
    ),
    Metric(
        key="memory_used_percent", name="Memory used in percent", kind=FLOAT, unit="%", group="memory", reader="memory",
        field="used_percent", call="nvmlDeviceGetMemoryInfo_v2",
        text="Used memory as a share of the total.",
    ),
    Metric(
        key="memory_reserved", name="Memory reserved", kind=UNSIGNED, unit="B", group="details", storage=SLOW,
        reader="memory_reserved", call="nvmlDeviceGetMemoryInfo_v2", smi="memory.reserved",
        text="Held back by driver and firmware; total = used + free + reserved. Driver branch r510 and newer.",
    ),
    Metric(
        key="bar1_total", name="BAR1 total", kind=UNSIGNED, unit="B", group="bar1", storage=STATIC, reader="bar1",
        field="total", call="nvmlDeviceGetBAR1MemoryInfo",
        text="Size of the window through which the CPU and other devices reach the frame buffer.",
    ),
    Metric(
        key="bar1_used", name="BAR1 used", kind=UNSIGNED, unit="B", group="bar1", reader="bar1", field="used",
        call="nvmlDeviceGetBAR1MemoryInfo",
        text="Mapped part of that window.",
    ),
    # -- temperature -----------------------------------------------------------------------------------------------
    Metric(
        key="temperature", name="Temperature", kind=UNSIGNED, unit="°C", group="temperature", reader="temperature",
        call="nvmlDeviceGetTemperatureV", smi="temperature.gpu",
        text="Temperature of the GPU die.",
    ),
    Metric(
        key="temperature_slowdown", name="Slowdown temperature", kind=UNSIGNED, unit="°C", group="temperature",
        storage=SLOW, reader="temperature_slowdown", call="nvmlDeviceGetTemperatureThreshold",
        text="The card slows itself down from here on. Hopper and newer data-centre cards give margins instead.",
    ),
    Metric(
        key="temperature_shutdown", name="Shutdown temperature", kind=UNSIGNED, unit="°C", group="temperature",
        storage=SLOW, reader="temperature_shutdown", call="nvmlDeviceGetTemperatureThreshold",
        text="The card switches itself off from here on. Hopper and newer data-centre cards give margins instead.",
    ),
    Metric(
        key="temperature_margin", name="Temperature margin", kind=FLOAT, unit="°C", group="temperature",
        reader="temperature_margin", call="nvmlDeviceGetMarginTemperature", smi="temperature.gpu.tlimit",
        text="Degrees left to the card's thermal limit (T.Limit); it may go below 0. Not the limit minus the "
        "temperature.",
    ),
    Metric(
        key="temperature_slowdown_margin", name="Slowdown margin", kind=FLOAT, unit="°C", group="temperature",
        storage=SLOW, reader="temperature_slowdown_margin", call="nvmlDeviceGetFieldValues",
        text="The card slows itself down when its temperature margin falls to this value (NVML field 194).",
    ),
    Metric(
        key="temperature_shutdown_margin", name="Shutdown margin", kind=FLOAT, unit="°C", group="temperature",
        storage=SLOW, reader="temperature_shutdown_margin", call="nvmlDeviceGetFieldValues",
        text="The card switches itself off when its temperature margin falls to this value (NVML field 193).",
    ),
    Metric(
        key="temperature_memory", name="Memory temperature", kind=UNSIGNED, unit="°C", group="temperature",
        reader="temperature_memory", call="nvmlDeviceGetFieldValues", smi="temperature.memory",
        text="Temperature of the HBM stacks (NVML field 82). Not on GeForce, whose memory temperature NVML does not "
        "give.",
    ),
    Metric(
        key="temperature_memory_max", name="Memory maximum temperature", kind=UNSIGNED, unit="°C", group="temperature",
        storage=SLOW, reader="temperature_memory_max", call="nvmlDeviceGetTemperatureThreshold",
        text="The memory slows the card down from here on.",
    ),
    Metric(
        key="temperature_max", name="Maximum operating temperature", kind=UNSIGNED, unit="°C", group="temperature",
        storage=SLOW, reader="temperature_max", call="nvmlDeviceGetTemperatureThreshold",
        text="The card begins to lower its clocks here, before the slowdown temperature.",
    ),
    Metric(
        key="temperature_max_margin", name="Maximum operating margin", kind=FLOAT, unit="°C", group="limits",
        storage=SLOW, reader="temperature_max_margin", call="nvmlDeviceGetFieldValues",
        text="The card begins to lower its clocks when its temperature margin falls to this value (NVML field 196).",
    ),
    Metric(
        key="temperature_memory_max_margin", name="Memory maximum margin", kind=FLOAT, unit="°C", group="limits",
        storage=SLOW, reader="temperature_memory_max_margin", call="nvmlDeviceGetFieldValues",
        text="The memory slows the card down when its own margin falls to this value (NVML field 195).",
    ),
    # -- fan -------------------------------------------------------------------------------------------------------
    Metric(
        key="fan_speed", name="Fan speed", kind=UNSIGNED, unit="%", group="fan", reader="fan_speed",
        call="nvmlDeviceGetFanSpeed_v2", smi="fan.speed",
        text="Speed that the card asks of its fastest fan, not what the fan really does; over 100 is possible. "
        "Passively cooled cards have none.",
    ),
    Metric(
        key="fan_rpm", name="Fan speed in rpm", kind=UNSIGNED, unit="!rpm", group="fan", reader="fan_rpm",
        call="nvmlDeviceGetFanSpeedRPM",
        text="Revolutions that the card asks of its fastest fan, not measured ones. Driver branch r570 and newer.",
    ),
    # -- power -----------------------------------------------------------------------------------------------------
    Metric(
        key="power", name="Power draw", kind=FLOAT, unit="W", group="power", reader="power",
        call="nvmlDeviceGetPowerUsage", smi="power.draw",
        text="Draw of the whole board; the mean of one second on Ampere (except GA100) and newer.",
    ),
    Metric(
        key="power_limit", name="Power limit", kind=FLOAT, unit="W", group="power", storage=SLOW, reader="power_limit",
        call="nvmlDeviceGetEnforcedPowerLimit", smi="enforced.power.limit",
        text="The lowest of all limits in force.",
    ),
    Metric(
        key="power_percent", name="Power draw in percent of the limit", kind=FLOAT, unit="%", group="power",
        reader="power_percent", call="nvmlDeviceGetPowerUsage, nvmlDeviceGetEnforcedPowerLimit",
        text="100 is normal for a card at work.",
    ),
    Metric(
        key="energy", name="Energy", kind=FLOAT, unit="J", group="power", reader="energy",
        call="nvmlDeviceGetTotalEnergyConsumption",
        text="Energy used since the driver was loaded; without persistence mode, since the card woke. Volta and newer.",
    ),
    Metric(
        key="power_instant", name="Power draw now", kind=FLOAT, unit="W", group="details", reader="power_instant",
        call="nvmlDeviceGetFieldValues", smi="power.draw.instant",
        text="Draw without smoothing (NVML field 186). Driver branch r535 and newer.",
    ),
    Metric(
        key="power_average", name="Power draw, mean of a second", kind=FLOAT, unit="W", group="details",
        reader="power_average", call="nvmlDeviceGetFieldValues", smi="power.draw.average",
        text="Draw, smoothed by the card (NVML field 185). Driver branch r535 and newer.",
    ),
    Metric(
        key="power_limit_requested", name="Requested power limit", kind=FLOAT, unit="W", group="limits", storage=SLOW,
        reader="power_limit_requested", call="nvmlDeviceGetPowerManagementLimit", smi="power.limit",
        text="The limit that an administrator has set.",
    ),
    Metric(
        key="power_limit_default", name="Default power limit", kind=FLOAT, unit="W", group="limits", storage=STATIC,
        reader="power_limit_default", call="nvmlDeviceGetPowerManagementDefaultLimit", smi="power.default_limit",
        text="The limit that the card starts with.",
    ),
    Metric(
        key="power_limit_min", name="Lowest power limit", kind=FLOAT, unit="W", group="limits", storage=STATIC,
        reader="power_limits", field="minimum", call="nvmlDeviceGetPowerManagementLimitConstraints",
        smi="power.min_limit",
        text="The lowest limit that can be set.",
    ),
    Metric(
        key="power_limit_max", name="Highest power limit", kind=FLOAT, unit="W", group="limits", storage=STATIC,
        reader="power_limits", field="maximum", call="nvmlDeviceGetPowerManagementLimitConstraints",
        smi="power.max_limit",
        text="The highest limit that can be set.",
    ),
    # -- clocks ----------------------------------------------------------------------------------------------------
    Metric(
        key="clock_sm", name="SM clock", kind=UNSIGNED, unit="Hz", group="clocks", reader="clock_sm",
        call="nvmlDeviceGetClockInfo", smi="clocks.sm",
        text="Clock of the streaming multiprocessors.",
    ),
    Metric(
        key="clock_memory", name="Memory clock", kind=UNSIGNED, unit="Hz", group="clocks", reader="clock_memory",
        call="nvmlDeviceGetClockInfo", smi="clocks.mem",
        text="Clock of the memory.",
    ),
    Metric(
        key="clock_graphics", name="Graphics clock", kind=UNSIGNED, unit="Hz", group="details", reader="clock_graphics",
        call="nvmlDeviceGetClockInfo", smi="clocks.gr",
        text="Clock of the graphics engine.",
    ),
    Metric(
        key="clock_video", name="Video clock", kind=UNSIGNED, unit="Hz", group="details", reader="clock_video",
        call="nvmlDeviceGetClockInfo", smi="clocks.video",
        text="Clock of the video encoder and decoder.",
    ),
    Metric(
        key="performance_state", name="Performance state", kind=UNSIGNED, group="clocks",
        valuemap="NVIDIA performance state", reader="performance_state", call="nvmlDeviceGetPerformanceState",
        smi="pstate",
        text="P0 is the fastest, P15 the slowest.",
    ),
    *(
        Metric(
            key=f"clock_{clock}_max", name=f"{name} clock maximum", kind=UNSIGNED, unit="Hz", group="limits",
            storage=STATIC, reader=f"clock_{clock}_max", call="nvmlDeviceGetMaxClockInfo", smi=smi,
            text=f"The highest {name.lower() if name != 'SM' else name} clock of this card.",
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
        Metric(
            key=f"throttle_{key}", name=f"Clocks held down by {name}", kind=UNSIGNED, group="throttling",
            valuemap="NVIDIA yes or no", reader="throttling", field=key, call="nvmlDeviceGetCurrentClocksEventReasons",
            smi=f"clocks_event_reasons.{smi}",
            text=text,
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
        Metric(
            key=f"throttle_time_{key}", name=f"Time held down by {name}", kind=FLOAT, unit="s", group="details",
            reader=f"throttle_time_{key}", call=call, smi=smi,
            text=f"{text} A counter since the driver was loaded; nvidia-smi shows microseconds.",
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
    Metric(
        key="ecc_mode", name="ECC mode", kind=UNSIGNED, group="ecc", storage=SLOW, valuemap="NVIDIA on or off",
        reader="ecc_mode", call="nvmlDeviceGetEccMode", smi="ecc.mode.current",
        text="Whether memory errors are corrected.",
    ),
    *(
        Metric(
            key=f"ecc_{kind}_{span}", name=f"{word} ECC errors, {name}", kind=UNSIGNED, group="ecc",
            reader=f"ecc_{kind}_{span}", call="nvmlDeviceGetTotalEccErrors", smi=f"ecc.errors.{kind}.{span}.total",
            text=f"{what} {since}",
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
        Metric(
            key=f"ecc_{location}_{kind}_{span}", name=f"{word} {location.upper()} errors, {name}", kind=UNSIGNED,
            group="ecc_detail", reader=f"ecc_{location}", field=f"{kind}_{span}",
            call="nvmlDeviceGetMemoryErrorCounter", smi=f"ecc.errors.{kind}.{span}.{location}",
            text=f"{what} {since}",
        )
        for location, what in (("sram", "Of caches and registers."), ("dram", "Of the device memory."))
        for kind, word in (("corrected", "Corrected"), ("uncorrected", "Uncorrected"))
        for span, name, since in (
            ("volatile", "since the driver was loaded", "A counter since the driver was loaded."),
            ("aggregate", "for life", "A counter over the life of the card."),
        )
    ),
    Metric(
        key="memory_unrepairable", name="Memory unrepairable", kind=UNSIGNED, group="ecc", valuemap="NVIDIA yes or no",
        reader="memory_unrepairable", call="nvmlDeviceGetUnrepairableMemoryFlag_v1",
        text="1: the memory has an error that nothing can repair. Hopper and newer, driver branch r590 and newer.",
    ),
    Metric(
        key="retired_pages_single", name="Pages retired for single-bit errors", kind=UNSIGNED, group="ecc",
        storage=SLOW, reader="retired_pages", field="single", call="nvmlDeviceGetRetiredPages",
        smi="retired_pages.single_bit_ecc.count",
        text="Memory pages taken out of use after repeated corrected errors. Before Ampere.",
    ),
    Metric(
        key="retired_pages_double", name="Pages retired for double-bit errors", kind=UNSIGNED, group="ecc",
        storage=SLOW, reader="retired_pages", field="double", call="nvmlDeviceGetRetiredPages",
        smi="retired_pages.double_bit.count",
        text="Memory pages taken out of use after an uncorrected error. Before Ampere.",
    ),
    Metric(
        key="retired_pages_pending", name="Page retirement pending", kind=UNSIGNED, group="ecc",
        valuemap="NVIDIA yes or no", reader="retired_pages_pending", call="nvmlDeviceGetRetiredPagesPendingStatus",
        smi="retired_pages.pending",
        text="1: pages will be retired when the driver is loaded anew.",
    ),
    Metric(
        key="remapped_corrected", name="Rows remapped for corrected errors", kind=UNSIGNED, group="ecc", storage=SLOW,
        reader="remapped_rows", field="corrected", call="nvmlDeviceGetRemappedRows", smi="remapped_rows.correctable",
        text="Memory rows replaced by spare ones after corrected errors. Ampere and newer.",
    ),
    Metric(
        key="remapped_uncorrected", name="Rows remapped for uncorrected errors", kind=UNSIGNED, group="ecc",
        storage=SLOW, reader="remapped_rows", field="uncorrected", call="nvmlDeviceGetRemappedRows",
        smi="remapped_rows.uncorrectable",
        text="Memory rows replaced by spare ones after uncorrected errors. Ampere and newer.",
    ),
    Metric(
        key="remap_pending", name="Row remapping pending", kind=UNSIGNED, group="ecc", valuemap="NVIDIA yes or no",
        reader="remapped_rows", field="pending", call="nvmlDeviceGetRemappedRows", smi="remapped_rows.pending",
        text="1: a row will be replaced at the next reset of the GPU.",
    ),
    Metric(
        key="remap_failure", name="Row remapping failed", kind=UNSIGNED, group="ecc", valuemap="NVIDIA yes or no",
        reader="remapped_rows", field="failure", call="nvmlDeviceGetRemappedRows", smi="remapped_rows.failure",
        text="1: a row could not be replaced, now or in the past.",
    ),
    *(
        Metric(
            key=f"spare_rows_{key}", name=f"Banks with {name} spare rows", kind=UNSIGNED, group="limits", storage=SLOW,
            reader="spare_rows", field=key, call="nvmlDeviceGetRowRemapperHistogram",
            smi=f"remapped_rows.histogram.{key}",
            text=f"Memory banks that have {name} of their spare rows left.",
        )
        for key, name in (("max", "all"), ("high", "most"), ("partial", "some"), ("low", "few"), ("none", "no"))
    ),
    # -- PCIe ------------------------------------------------------------------------------------------------------
    Metric(
        key="pcie_generation", name="PCIe generation", kind=UNSIGNED, group="pcie", reader="pcie_generation",
        call="nvmlDeviceGetCurrPcieLinkGeneration", smi="pcie.link.gen.current",
        text="Speed of the link now; cards at rest lower it to save power.",
    ),
    Metric(
        key="pcie_generation_max", name="PCIe generation maximum", kind=UNSIGNED, group="pcie", storage=SLOW,
        reader="pcie_generation_max", call="nvmlDeviceGetMaxPcieLinkGeneration", smi="pcie.link.gen.max",
        text="The highest speed that card and slot have in common. Not in a virtual machine, which does not see the "
        "slot.",
    ),
    Metric(
        key="pcie_width", name="PCIe width", kind=UNSIGNED, group="pcie", reader="pcie_width",
        call="nvmlDeviceGetCurrPcieLinkWidth", smi="pcie.link.width.current",
        text="Lanes in use.",
    ),
    Metric(
        key="pcie_width_max", name="PCIe width maximum", kind=UNSIGNED, group="pcie", storage=SLOW,
        reader="pcie_width_max", call="nvmlDeviceGetMaxPcieLinkWidth", smi="pcie.link.width.max",
        text="Lanes that card and slot have in common. Not in a virtual machine, which does not see the slot.",
    ),
    Metric(
        key="pcie_replays", name="PCIe replays", kind=UNSIGNED, group="pcie", reader="pcie_replays",
        call="nvmlDeviceGetPcieReplayCounter",
        text="Packets sent again after an error: a counter since the driver was loaded. A few are normal.",
    ),
    # -- NVLink and fabric -----------------------------------------------------------------------------------------
    Metric(
        key="nvlink_up", name="NVLinks up", kind=UNSIGNED, group="nvlink", storage=STATIC, reader="nvlink", field="up",
        call="nvmlDeviceGetNvLinkState",
        text="Links that carry data. A GeForce card without a bridge has links, and none is up.",
    ),
    Metric(
        key="nvlink_links", name="NVLinks", kind=UNSIGNED, group="nvlink", storage=SLOW, reader="nvlink", field="links",
        call="nvmlDeviceGetFieldValues",
        text="Links that the chip has (NVML field 91).",
    ),
    *(
        Metric(
            # A whole number, but Zabbix writes one above 1e17 with an exponent, which is no unsigned value: at full
            # speed that is reached within days.
            key=f"nvlink_{key}", name=f"NVLink data {word}", kind=FLOAT, unit="B", group="nvlink",
            reader=f"nvlink_{key}", call="nvmlDeviceGetFieldValues",
            text=f"Payload {word} over all links: a counter (NVML field {field}; with NVLink 5, {later}). Volta and "
            "newer.",
        )
        for key, word, field, later in (("sent", "sent", 138, 202), ("received", "received", 139, 204))
    ),
    *(
        Metric(
            key=f"nvlink_{key}", name=f"NVLink {name} errors", kind=UNSIGNED, group="nvlink", reader=f"nvlink_{key}",
            call="nvmlDeviceGetFieldValues",
            text=f"{text} A counter over all links (NVML field {field}).{since}",
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
    Metric(
        key="fabric_state", name="Fabric state", kind=UNSIGNED, group="nvlink", valuemap="NVIDIA fabric state",
        reader="fabric", field="state", call="nvmlDeviceGetGpuFabricInfoV", smi="fabric.state",
        text="Whether the GPU has joined the NVLink fabric of its NVSwitches. Hopper and newer.",
    ),
    Metric(
        key="fabric_status", name="Fabric status", kind=UNSIGNED, group="nvlink", reader="fabric", field="status",
        call="nvmlDeviceGetGpuFabricInfoV", smi="fabric.status",
        text="NVML's return code of that: 0 when it went well.",
    ),
    # -- health and modes ------------------------------------------------------------------------------------------
    Metric(
        key="recovery_action", name="Recovery action", kind=UNSIGNED, group="health", valuemap="NVIDIA recovery action",
        reader="recovery_action", call="nvmlDeviceGetFieldValues", smi="gpu_recovery_action",
        text="What the driver itself says must be done (NVML field 230). Driver branch r570 and newer.",
    ),
    Metric(
        key="persistence_mode", name="Persistence mode", kind=UNSIGNED, group="modes", storage=SLOW,
        valuemap="NVIDIA on or off", reader="persistence_mode", call="nvmlDeviceGetPersistenceMode",
        smi="persistence_mode",
        text="Whether the driver stays loaded while nobody uses the card; without it each poll wakes the card.",
    ),
    Metric(
        key="compute_mode", name="Compute mode", kind=UNSIGNED, group="details", storage=SLOW,
        valuemap="NVIDIA compute mode", reader="compute_mode", call="nvmlDeviceGetComputeMode", smi="compute_mode",
        text="Who may compute on the card.",
    ),
    Metric(
        key="mig_mode", name="MIG mode", kind=UNSIGNED, group="modes", storage=SLOW, valuemap="NVIDIA on or off",
        reader="mig_mode", call="nvmlDeviceGetMigMode", smi="mig.mode.current",
        text="Whether the card is divided into instances.",
    ),
    Metric(
        key="display_active", name="Display active", kind=UNSIGNED, group="details", storage=SLOW,
        valuemap="NVIDIA yes or no", reader="display_active", call="nvmlDeviceGetDisplayActive", smi="display_active",
        text="Whether a screen is driven by this card.",
    ),
    Metric(
        key="accounting_mode", name="Accounting mode", kind=UNSIGNED, group="details", storage=SLOW,
        valuemap="NVIDIA on or off", reader="accounting_mode", call="nvmlDeviceGetAccountingMode",
        smi="accounting.mode",
        text="Whether the driver keeps records of ended processes.",
    ),
    Metric(
        key="display_mode", name="Display attached", kind=UNSIGNED, group="details", storage=SLOW,
        valuemap="NVIDIA yes or no", reader="display_mode", call="nvmlDeviceGetDisplayMode",
        text="Whether a screen is attached to this card. Driver branch r590 and newer do not say.",
    ),
    Metric(
        key="virtualization_mode", name="Virtualization mode", kind=UNSIGNED, group="details", storage=SLOW,
        valuemap="NVIDIA virtualization mode", reader="virtualization_mode", call="nvmlDeviceGetVirtualizationMode",
        text="Whether this is a vGPU, a card passed through, or a host of vGPUs.",
    ),
    # -- vGPU, confidential computing ------------------------------------------------------------------------------
    Metric(
        key="vgpus", name="vGPUs", kind=UNSIGNED, group="vgpu", reader="vgpus", call="nvmlDeviceGetActiveVgpus",
        text="vGPUs that run on this card. On their host alone.",
    ),
    Metric(
        key="license_state", name="License state", kind=UNSIGNED, group="vgpu", valuemap="NVIDIA license state",
        reader="license", field="state", call="nvmlDeviceGetGridLicensableFeatures_v4",
        text="Whether this vGPU has its license; without one it is slowed down. In the guest alone.",
    ),
    Metric(
        key="license_product", name="Licensed product", kind=CHAR, group="vgpu", storage=STATIC, reader="license",
        field="product", call="nvmlDeviceGetGridLicensableFeatures_v4",
        text="What the license is for.",
    ),
    *(
        Metric(
            key=f"cc_{key}", name=name, kind=UNSIGNED, group="confidential", storage=SLOW, valuemap=valuemap,
            reader="confidential", field=key, call="nvmlSystemGetConfComputeState",
            text=text,
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
        Metric(
            key=f"protected_{key}", name=f"Protected memory {key}", kind=UNSIGNED, unit="B", group="confidential",
            storage=storage, reader="protected_memory", field=key, call="nvmlDeviceGetConfComputeProtectedMemoryUsage",
            smi=f"protected_memory.{key}",
            text=text,
        )
        for key, storage, text in (
            ("total", SLOW, "Memory that confidential computing protects; 0 while it is off."),
            ("used", LIVE, "What of it is allocated."),
        )
    ),
    # -- processes -------------------------------------------------------------------------------------------------
    Metric(
        key="processes", name="Processes", kind=UNSIGNED, group="processes", reader="processes",
        call="nvmlDeviceGetComputeRunningProcesses_v3, nvmlDeviceGetGraphicsRunningProcesses_v3, "
        "nvmlDeviceGetMPSComputeRunningProcesses_v3",
        text="Processes that hold a context on the card: computing, drawing, or through MPS.",
    ),
    Metric(
        key="process_oldest", name="Age of the oldest process", kind=UNSIGNED, unit="s", group="processes",
        reader="process_oldest", call="nvmlDeviceGetComputeRunningProcesses_v3",
        text="Since the start of the process that runs longest; 0 without one. From /proc, where the host's processes "
        "are to be seen.",
    ),
    Metric(
        key="process_list", name="Process list", kind=TEXT, group="process_list", storage=SLOW, reader="process_list",
        call="nvmlDeviceGetComputeRunningProcesses_v3, nvmlSystemGetProcessName, nvmlDeviceGetProcessesUtilizationInfo",
        text="The largest processes of the host, those of this card: pid, name (arguments only where the service's "
        "configuration asks for them), type (C computes, G draws, M by MPS), memory in B, user, container or Slurm "
        "job, MIG GPU instance; with the resident collector also what it used of multiprocessors, memory controller, "
        "encoder and decoder since the last reading, in %.",
    ),
    # -- sessions --------------------------------------------------------------------------------------------------
    *(
        Metric(
            key=f"{key}_{field}", name=f"{name} {word}", kind=kind, unit=unit, group="sessions", reader=key,
            field=field, call=call, smi=smi,
            text=text,
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


def _rate(  # noqa: PLR0913  one argument a column
    *, key: str, name: str, source: str, text: str, unit: str = "", factor: int = 1, group: str = ""
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
        key="power_mean", name="Mean power draw", unit="W", source="energy",
        text="Mean since the last poll, from the energy counter: no peak is missed.",
    ),
    *(
        _rate(
            key=f"throttle_share_{key}", name=f"Share of time held down by {name}", unit="%",
            source=f"throttle_time_{key}", factor=100, group="throttling",
            text="Since the last poll.",
        )
        for key, name in (
            ("power", "the power limit"),
            ("sw_thermal", "the driver for heat"),
            ("hw_thermal", "the hardware for heat"),
            ("power_brake", "the power brake"),
        )
    ),
    *(
        _rate(
            key=f"nvlink_{key}_rate", name=f"NVLink data {word} per second", unit="Bps", source=f"nvlink_{key}",
            text="Since the last poll.",
        )
        for key, word in (("sent", "sent"), ("received", "received"))
    ),
    _rate(
        key="nvlink_crc_rate", name="NVLink CRC errors per second", source="nvlink_crc",
        text="Since the last poll.",
    ),
    _rate(
        key="ecc_corrected_rate", name="Corrected ECC errors per hour", source="ecc_corrected_volatile", factor=3600,
        text="Since the last poll. Some are normal; many, for long, foretell uncorrected ones.",
    ),
    _rate(
        key="pcie_replay_rate", name="PCIe replays per minute", source="pcie_replays", factor=60,
        text="Since the last poll.",
    ),
)  # fmt: skip

# Written by the template from the document's `presence`, not read from a Device.
PRESENT = Metric(
    key="present", name="Present", kind=UNSIGNED, group="health", valuemap="NVIDIA presence", call="nvmlDeviceGetUUID",
    text="1 while a card with this UUID answers, 0 when it does not although the driver does.",
)  # fmt: skip

# What a card cannot serve is named in {#LACKS} by these tokens, and by nothing else.
GPU_READERS = tuple(dict.fromkeys(metric.reader for metric in GPU_METRICS))
