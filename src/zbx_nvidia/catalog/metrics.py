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

BETWEEN_JOBS = "; "  # of one GPU, in the value of its item

# How a value is stored; `storage` has the times. What needs no more is SLOW: most values are zeros that never change.
LIVE = "live"  # each poll: an alert evaluates what was stored over a period
# Each poll: reports average it. The mean of what is stored on change is not that over time, and of a small number that
# is UNSIGNED, Zabbix keeps it without its fraction: 0 for a GPU that works half of the time.
AVERAGED = "averaged"
SLOW = "slow"  # when it changes, and once an hour
STATIC = "static"  # when it changes, and once a day: an identity


# What a number can be, by its unit. A row that differs has its own; beyond it, a driver has answered nonsense.
_RANGES = {
    "%": (0, 100),
    "°C": (0, 150),
    "W": (0, 10_000),
    "Hz": (0, 100_000_000_000),  # GDDR7 counts 14 GHz
    "!rpm": (0, 100_000),
    "!fps": (0, 1_000_000),
    "B": (0, 1 << 62),
    "Bps": (0, 100_000_000_000_000),  # all NVLinks of a GPU
    "J": (0, 1 << 62),
    "s": (0, 1 << 62),
    "unixtime": (0, 1 << 62),
    "": (0, 1 << 62),
}
# By value map: what is on or off is nothing else. Other lists of values grow with the driver.
_RANGES_OF_MAPS = dict.fromkeys(("NVIDIA on or off", "NVIDIA yes or no", "NVIDIA presence"), (0, 1))
_MARGIN = (-200, 200)  # °C
# What a sensor reads, in °C. Zabbix has no whole number with a sign: such an item is FLOAT.
SENSOR = (-40, 150)
_GENERATIONS = (1, 10)
_LANES = (1, 32)
_NVLINKS = (0, 255)


class Group(NamedTuple):
    """A family of metrics, switched off at discovery by its macro.

    Attributes:
        name: Also the end of the macro `{$NVIDIA.GROUP.<NAME>}`.
        component: Value of the item tag `component`, unless a metric has its own.
        label: Its name for people: a heading, and the field of the macro in the Host Wizard.
        text: What it holds, for the macro's description: "Items for <text>."
        on: Whether it is discovered unless the macro says otherwise.
    """

    name: str
    component: str
    label: str
    text: str
    on: bool = True


# In the order of the documentation. What a document keeps that would be too large is in collector/rendering.py.
GROUPS = (
    Group("health", "health", "Health", "presence and recovery action"),
    Group(
        "inventory", "inventory", "Inventory", "model, index, UUID, PCI address, serial and part number, VBIOS version"
    ),
    Group("utilization", "gpu", "Utilization", "utilization of GPU and memory controller"),
    Group("memory", "memory", "Memory", "frame buffer memory"),
    Group("temperature", "temperature", "Temperature", "temperatures and their limits"),
    Group("fan", "fan", "Fan", "fans"),
    Group("power", "power", "Power", "power draw, power limit and energy"),
    Group(
        "clocks", "clocks", "Clocks", "clocks and performance state; the alert “PCIe link slow under load” needs them"
    ),
    Group(
        "throttling",
        "clocks",
        "Throttling",
        "throttling and its share of time; the alert on the temperature margin needs it",
    ),
    Group("ecc", "memory", "ECC", "ECC mode and errors, retired pages, remapped rows"),
    Group("pcie", "pcie", "PCIe", "PCIe link and replays"),
    Group("nvlink", "nvlink", "NVLink", "NVLinks of a GPU, single NVLinks, and the NVLink fabric"),
    Group("xid", "health", "XID", "XID errors; resident mode only"),
    Group("gpm", "gpu", "GPM", "GPM: activity of the parts of a GPU; Hopper and newer, resident mode only"),
    Group("peaks", "gpu", "Peaks", "peaks and averages between polls; temperatures and PCIe in resident mode only"),
    Group("modes", "configuration", "Modes", "persistence mode and MIG mode"),
    Group("codec", "encoder", "Encoder and decoder", "video encoder and decoder, JPEG and optical flow engines"),
    Group("mig", "memory", "MIG", "MIG instances"),
    Group("vgpu", "virtualization", "vGPU", "vGPUs on their host, the license in their guest"),
    Group("processes", "processes", "Processes", "number of processes, and age of the oldest"),
    Group("jobs", "processes", "Jobs", "the jobs that hold a GPU; the alert “Held by a job, but idle” needs them"),
    Group(
        "details",
        "configuration",
        "Details",
        "firmware, further modes, clocks, power readings and counters, all rarely needed",
        on=False,
    ),
    Group("sessions", "encoder", "Sessions", "encoder sessions and frame capture sessions", on=False),
    Group(
        "limits",
        "configuration",
        "Limits",
        "maximum clocks, adjustable power limits, maximum margins, spare rows",
        on=False,
    ),
    Group("ecc_detail", "memory", "ECC by kind of memory", "ECC errors by kind of memory", on=False),
    Group("confidential", "security", "Confidential computing", "confidential computing", on=False),
    Group("bar1", "memory", "BAR1", "BAR1, the window through which the CPU accesses the frame buffer", on=False),
    Group("process_list", "processes", "Process list", "processes of a GPU with name and user", on=False),
    Group("users", "processes", "Users", "GPU memory and utilization by user", on=False),
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
        storage: `LIVE`, `AVERAGED`, `SLOW` or `STATIC`.
        valuemap: Name of the value map, or "".
        call: The NVML call behind it.
        smi: The field of `nvidia-smi --query-gpu` that shows the same, or "".
        text: What it means, in what case it is absent.
        component: Value of the item tag `component`: its subject, in Zabbix's own vocabulary. "" for the group's.
        counter: For what Zabbix works out: the key of the metric that it takes. "" for what is in the document.
        factor: What the change per second is multiplied by.
        only: Not the change per second: the pattern of values that count, each stored as 1, and no other.
        limits: The lowest and the highest number that it can be, unless those of its value map or unit hold.
        of: Keys of the metrics that it is calculated from: without one of them that was out of its range, it is none.
    """

    key: str
    name: str
    kind: str
    text: str
    entity: str = "gpu"
    unit: str = ""
    group: str = ""
    storage: str = SLOW
    valuemap: str = ""
    reader: str = ""
    field: str = ""
    call: str = ""
    smi: str = ""
    component: str = ""
    counter: str = ""
    factor: int = 1
    only: str = ""
    limits: tuple[float, float] | None = None
    of: tuple[str, ...] = ()

    @property
    def range(self) -> tuple[float, float] | None:
        """The lowest and the highest number that it can be; None for a text."""
        if self.kind in {CHAR, TEXT}:
            return None
        return self.limits or _RANGES_OF_MAPS.get(self.valuemap) or _RANGES[self.unit]

    @property
    def item_key(self) -> str:
        """The Zabbix item key, without the parameters of a discovered entity."""
        return ".".join(part for part in ("nvidia", self.entity, self.key) if part)

    @property
    def ref(self) -> str:
        """How alerts and graphs refer to this row."""
        return f"{self.entity}.{self.key}" if self.entity else self.key


TIMESTAMP = Metric(
    entity="", key="timestamp", name="Document time", kind=UNSIGNED, storage=LIVE, unit="unixtime",
    text="Time at which the document was made.",
)  # fmt: skip

# Of the host as a whole: always in the document, whatever happens (those of `host` only when NVML answers).
HOST_METRICS = (
    TIMESTAMP,
    Metric(
        entity="status", key="driver", name="Driver available", kind=UNSIGNED, valuemap="NVIDIA yes or no",
        storage=LIVE,
        call="nvmlInitWithFlags",
        text="1 if at least one GPU was read, the driver was released on purpose, or the host was too busy to tell.",
    ),
    Metric(
        entity="status", key="code", name="Driver status", kind=UNSIGNED, valuemap="NVIDIA driver status",
        call="nvmlInitWithFlags",
        text="0 if the driver answers. Otherwise the reason.",
    ),
    Metric(
        entity="status", key="message", name="Driver status message", kind=CHAR, call="nvmlInitWithFlags",
        text="The driver status in words, with what to do.",
    ),
    Metric(
        entity="collector", key="version", name="Collector version", kind=CHAR, storage=STATIC,
        text="Version of zbx-nvidia on the host.", component="inventory",
    ),
    Metric(
        entity="collector", key="mode", name="Collector mode", kind=CHAR, storage=STATIC,
        text="oneshot: one process per poll. resident: a service that keeps the document in a file.",
        component="inventory",
    ),
    Metric(
        entity="collector", key="duration", name="Collection duration", kind=FLOAT, storage=LIVE, unit="s",
        text="Time from the start of the process (oneshot) or of the reading (resident) to the document.",
    ),
    Metric(
        entity="collector", key="driver_time", name="Driver call time", kind=FLOAT, unit="s",
        text="Time of all driver calls together, without those for XIDs; resident: since the last document. GPUs are "
        "read in parallel, so the sum can exceed the collection duration.",
    ),
    Metric(
        entity="collector", key="driver_cpu", name="Driver CPU time", kind=FLOAT, unit="s",
        text="CPU time of these calls, including those for XIDs. The rest of the collector's CPU time is its own.",
    ),
    Metric(
        entity="collector", key="error_count", name="Failed readings", kind=UNSIGNED, storage=LIVE,
        text="Readings that failed with an error other than “not supported” and “no permission”; XID errors that may "
        "not be watched do count. Readings of lost and sick GPUs do not.",
    ),
    Metric(
        entity="collector", key="left_out", name="Readings left out", kind=CHAR,
        text="Groups of readings that are left out, because the document would be larger than the agent can read. "
        "Empty if there are none.",
    ),
    Metric(
        entity="host", key="driver_version", name="Driver version", kind=CHAR, storage=STATIC,
        call="nvmlSystemGetDriverVersion",
        text="Version of the NVIDIA kernel driver.", component="inventory",
    ),
    Metric(
        entity="host", key="nvml_version", name="NVML version", kind=CHAR, storage=STATIC,
        call="nvmlSystemGetNVMLVersion",
        text="Version of the library libnvidia-ml.so.1.", component="inventory",
    ),
    Metric(
        entity="host", key="cuda_version", name="CUDA version", kind=CHAR, storage=STATIC,
        call="nvmlSystemGetCudaDriverVersion_v2",
        text="Highest CUDA version that the driver supports, as major.minor.", component="inventory",
    ),
    Metric(
        entity="host", key="gpu_count", name="GPU count", kind=UNSIGNED, call="nvmlDeviceGetCount_v2",
        text="GPUs that the driver counts. A lost GPU can still be among them.",
    ),
    Metric(
        entity="host", key="gpus_present", name="GPUs present", kind=UNSIGNED, storage=STATIC, call="nvmlDeviceGetUUID",
        text="GPUs that answer. Alerts compare it with its maximum of the last 30 days.",
    ),
    Metric(
        entity="host", key="gpus_lost", name="GPUs lost", kind=UNSIGNED, call="nvmlDeviceGetHandleByIndex_v2",
        storage=LIVE,
        text="GPUs that the driver counts but cannot reach (fallen off the bus, reset required).",
    ),
    Metric(
        entity="host", key="lost", name="Lost GPU details", kind=CHAR,
        call="nvmlDeviceGetHandleByIndex_v2",
        text="Index, slot and UUID of each lost GPU, as far as known. Empty if no GPU is lost.",
    ),
    Metric(
        entity="host", key="gpus_sick", name="GPUs sick", kind=UNSIGNED, storage=LIVE,
        text="GPUs that answer every reading with an error, or not at all.",
    ),
    Metric(
        entity="host", key="sick", name="Sick GPU details", kind=CHAR,
        text="Index, slot and UUID of each sick GPU, as far as known. Empty if no GPU is sick.",
    ),
    Metric(
        entity="host", key="gpus_refused", name="GPUs refused", kind=UNSIGNED,
        call="nvmlDeviceGetHandleByIndex_v2",
        text="GPUs that the agent's user or container may not use. They raise no alert.",
    ),
    Metric(
        entity="host", key="gpus_bound", name="GPUs bound to the driver", kind=UNSIGNED, storage=LIVE,
        text="GPUs on the bus whose driver is nvidia, from sysfs. Absent in containers and where sysfs is not visible.",
    ),
    Metric(
        entity="host", key="gpus_asleep", name="GPUs asleep", kind=UNSIGNED,
        text="GPUs that the kernel has suspended, from sysfs. The collector does not read them, so that they stay "
        "asleep. They raise no alert.",
    ),
    Metric(
        entity="host", key="temperature_headroom", name="Lowest temperature headroom", kind=FLOAT, unit="°C",
        limits=_MARGIN,
        call="nvmlDeviceGetMarginTemperature, nvmlDeviceGetTemperatureThreshold",
        text="Temperature headroom of the GPU that is closest to its slowdown.", component="temperature",
    ),
    Metric(
        entity="host", key="utilization", name="Mean GPU utilization", kind=FLOAT, storage=AVERAGED, unit="%",
        call="nvmlDeviceGetUtilizationRates",
        text="GPU utilization, averaged over all GPUs that report it.", component="gpu",
    ),
    Metric(
        entity="host", key="power", name="Total power draw", kind=FLOAT, unit="W", call="nvmlDeviceGetPowerUsage",
        storage=AVERAGED,
        limits=(0, 1_000_000),
        text="Power draw of all GPUs that report it, together.", component="power",
    ),
    Metric(
        entity="host", key="gpus_held_idle", name="GPUs held but idle", kind=FLOAT, storage=AVERAGED,
        call="nvmlDeviceGetUtilizationRates, nvmlDeviceGetMemoryInfo_v2",
        text="GPUs with more than 10 % of their memory in use and a utilization of 0 %.", component="processes",
    ),
    Metric(
        entity="host", key="gpus_imex", name="GPUs whose IMEX domain must be recovered", kind=UNSIGNED,
        call="nvmlDeviceGetFieldValues",
        text="GPUs whose recovery action is 5. Only if a GPU reports its recovery action.",
    ),
    Metric(
        entity="host", key="xid_application_gpus", name="GPUs with XID 13 or 31", kind=UNSIGNED,
        call="nvmlEventSetWait_v2",
        text="GPUs with an XID 13 or 31 within 10 minutes. Resident mode only.",
    ),
    Metric(
        entity="host", key="xid_words", name="Last XID error in the kernel log", kind=CHAR,
        text="GPU, code and words of the last XID error in the kernel log: for NVLink whether it is fatal, its "
        "sub-code and its link. Only if the service reads the kernel log (kernel_log), and after the first error.",
    ),
    Metric(
        entity="host", key="sxid_count", name="SXid errors", kind=UNSIGNED,
        text="NVSwitch errors in the kernel log, as far as it goes back. Only if the service reads it (kernel_log).",
    ),
    Metric(
        entity="host", key="sxid_last", name="Last SXid error", kind=UNSIGNED,
        text="Code of the last SXid error. NVIDIA's Fabric Manager User Guide lists the codes.",
    ),
    Metric(
        entity="host", key="sxid_recent", name="Recent fatal SXid errors", kind=CHAR,
        text="Switches and codes of the fatal SXid errors within xid_memory of the service. Empty if there are none, "
        "or if the service does not read the kernel log.",
    ),
)  # fmt: skip

_ECC_SPANS = (
    ("volatile", "Counted since the driver was loaded."),
    ("aggregate", "Counted over the life of the card."),
)

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
        text="Index in the driver's order, by PCI address. It changes if a card is removed. CUDA's order can differ.",
    ),
    Metric(
        key="uuid", name="UUID", kind=CHAR, group="inventory", storage=STATIC, reader="uuid", call="nvmlDeviceGetUUID",
        smi="uuid",
        text="Identity of the card, in any slot.",
    ),
    Metric(
        key="pci", name="PCI address", kind=CHAR, group="inventory", storage=STATIC, reader="pci",
        call="nvmlDeviceGetPciInfo_v3", smi="pci.bus_id",
        text="PCI address as domain:bus:device.function.",
    ),
    Metric(
        key="asleep", name="Asleep", kind=UNSIGNED, group="health", valuemap="NVIDIA yes or no", reader="asleep",
        text="1 while the kernel has suspended the card, from sysfs. The card is not read then, so that it stays "
        "asleep. Only if the kernel may suspend it, as on notebooks.",
    ),
    Metric(
        key="serial", name="Serial number", kind=CHAR, group="inventory", storage=STATIC, reader="serial",
        call="nvmlDeviceGetSerial", smi="serial",
        text="Serial number on the label of the board. GeForce cards have none.",
    ),
    Metric(
        key="module_id", name="Module number", kind=UNSIGNED, group="inventory", storage=STATIC, reader="module_id",
        call="nvmlDeviceGetModuleId",
        text="Number of the module on the baseboard of the host. PCIe cards report 0 or 1. Driver branch r535 and "
        "newer.",
    ),
    Metric(
        key="pdi", name="Chip identity (PDI)", kind=CHAR, group="details", storage=STATIC, reader="pdi",
        call="nvmlDeviceGetPdi",
        text="Identity of the chip, in hexadecimal. Driver branch r580 and newer.", component="inventory",
    ),
    Metric(
        key="chassis_serial", name="Chassis serial number", kind=CHAR, group="inventory", storage=STATIC,
        reader="platform", field="chassis", call="nvmlDeviceGetPlatformInfo",
        text="Serial number of the chassis that the board sits in. Blackwell and newer, driver branch r570 and newer.",
    ),
    Metric(
        key="chassis_slot", name="Chassis slot", kind=UNSIGNED, group="inventory", storage=STATIC, reader="platform",
        field="slot", call="nvmlDeviceGetPlatformInfo",
        text="Slot of the chassis that the board sits in.",
    ),
    Metric(
        key="tray", name="Compute tray", kind=UNSIGNED, group="inventory", storage=STATIC, reader="platform",
        field="tray", call="nvmlDeviceGetPlatformInfo",
        text="Index of the compute tray that the board sits in.",
    ),
    Metric(
        key="vbios", name="VBIOS version", kind=CHAR, group="inventory", storage=STATIC, reader="vbios",
        call="nvmlDeviceGetVbiosVersion", smi="vbios_version",
        text="Version of the card's firmware.",
    ),
    Metric(
        key="architecture", name="Architecture", kind=CHAR, group="details", storage=STATIC, reader="architecture",
        call="nvmlDeviceGetArchitecture",
        text="Generation of the chip: Pascal, Turing, Ampere, Hopper, ...", component="inventory",
    ),
    Metric(
        key="brand", name="Brand", kind=CHAR, group="details", storage=STATIC, reader="brand",
        call="nvmlDeviceGetBrand",
        text="Product line: GeForce, Tesla, NVIDIA RTX, ...", component="inventory",
    ),
    Metric(
        key="board_part_number", name="Board part number", kind=CHAR, group="inventory", storage=STATIC,
        reader="board_part_number", call="nvmlDeviceGetBoardPartNumber",
        text="Part number for ordering a spare, as in nvidia-smi -q. GeForce cards have none.",
    ),
    Metric(
        key="inforom", name="InfoROM version", kind=CHAR, group="details", storage=STATIC, reader="inforom",
        call="nvmlDeviceGetInforomImageVersion", smi="inforom.img",
        text="Version of the card's configuration memory.", component="inventory",
    ),
    Metric(
        key="gsp_firmware", name="GSP firmware version", kind=CHAR, group="details", storage=STATIC,
        reader="gsp_firmware", call="nvmlDeviceGetGspFirmwareVersion",
        text="Version of the firmware of the GPU system processor. Turing and newer, if the driver uses it.",
        component="inventory",
    ),
    Metric(
        key="numa_node", name="NUMA node", kind=UNSIGNED, group="details", storage=STATIC, reader="numa_node",
        call="nvmlDeviceGetNumaNodeId",
        text="NUMA node of the GPU's own memory. Only if that memory is a node of the host.", component="inventory",
    ),
    # -- utilization -----------------------------------------------------------------------------------------------
    Metric(
        key="utilization", name="GPU utilization", kind=FLOAT, unit="%", group="utilization", reader="utilization",
        storage=LIVE,
        field="gpu", call="nvmlDeviceGetUtilizationRates", smi="utilization.gpu",
        text="Percentage of the last sample period in which at least one kernel ran. It does not say how much of the "
        "GPU the kernel used.",
    ),
    Metric(
        key="utilization_memory", name="Memory controller utilization", kind=UNSIGNED, unit="%", group="utilization",
        reader="utilization", field="memory", call="nvmlDeviceGetUtilizationRates", smi="utilization.memory",
        text="Percentage of the last sample period in which memory was read or written. It does not say how full the "
        "memory is.", component="memory",
    ),
    Metric(
        key="utilization_encoder", name="Encoder utilization", kind=UNSIGNED, unit="%", group="codec",
        reader="encoder_utilization", call="nvmlDeviceGetEncoderUtilization", smi="utilization.encoder",
        text="Utilization of the video encoder (NVENC).",
    ),
    Metric(
        key="utilization_decoder", name="Decoder utilization", kind=UNSIGNED, unit="%", group="codec",
        reader="decoder_utilization", call="nvmlDeviceGetDecoderUtilization", smi="utilization.decoder",
        text="Utilization of the video decoder (NVDEC).", component="decoder",
    ),
    Metric(
        key="utilization_jpeg", name="JPEG utilization", kind=UNSIGNED, unit="%", group="codec",
        reader="jpeg_utilization", call="nvmlDeviceGetJpgUtilization", smi="utilization.jpeg",
        text="Utilization of the JPEG decoder. Turing and newer, driver branch r535 and newer.", component="decoder",
    ),
    Metric(
        key="utilization_ofa", name="Optical flow (OFA) utilization", kind=UNSIGNED, unit="%", group="codec",
        reader="ofa_utilization", call="nvmlDeviceGetOfaUtilization", smi="utilization.ofa",
        text="Utilization of the optical flow accelerator. Turing and newer, driver branch r535 and newer.",
        component="gpu",
    ),
    # -- memory ----------------------------------------------------------------------------------------------------
    Metric(
        key="memory_total", name="Memory total", kind=UNSIGNED, unit="B", group="memory", reader="memory",
        field="total", call="nvmlDeviceGetMemoryInfo_v2", smi="memory.total",
        text="Frame buffer memory. Absent on devices that share the memory of the host.",
    ),
    Metric(
        key="memory_used", name="Memory used", kind=UNSIGNED, unit="B", group="memory", reader="memory", field="used",
        storage=AVERAGED,
        call="nvmlDeviceGetMemoryInfo_v2", smi="memory.used",
        text="Allocated memory. Before driver branch r510 it includes the reserved memory.",
    ),
    Metric(
        key="memory_free", name="Memory free", kind=UNSIGNED, unit="B", group="memory", reader="memory", field="free",
        call="nvmlDeviceGetMemoryInfo_v2", smi="memory.free",
        text="Memory that can be allocated.",
    ),
    Metric(
        key="memory_used_percent", name="Memory used, in %", kind=FLOAT, unit="%", group="memory", reader="memory",
        storage=LIVE,
        field="used_percent", call="nvmlDeviceGetMemoryInfo_v2",
        text="Used memory in percent of the total.",
        of=("memory_total", "memory_used"),
    ),
    Metric(
        key="memory_reserved", name="Memory reserved", kind=UNSIGNED, unit="B", group="details",
        reader="memory_reserved", call="nvmlDeviceGetMemoryInfo_v2", smi="memory.reserved",
        text="Memory that driver and firmware reserve: total = used + free + reserved. Driver branch r510 and newer.",
        component="memory",
    ),
    Metric(
        key="bar1_total", name="BAR1 memory total", kind=UNSIGNED, unit="B", group="bar1", storage=STATIC,
        reader="bar1",
        field="total", call="nvmlDeviceGetBAR1MemoryInfo",
        text="Size of the window through which the CPU and other devices access the frame buffer.",
    ),
    Metric(
        key="bar1_used", name="BAR1 memory used", kind=UNSIGNED, unit="B", group="bar1", reader="bar1", field="used",
        call="nvmlDeviceGetBAR1MemoryInfo",
        text="Mapped part of the BAR1 window.",
    ),
    # -- temperature -----------------------------------------------------------------------------------------------
    Metric(
        key="temperature", name="Temperature", kind=FLOAT, unit="°C", group="temperature", reader="temperature",
        storage=LIVE, limits=SENSOR,
        call="nvmlDeviceGetTemperatureV", smi="temperature.gpu",
        text="Temperature of the GPU die. It is below 0 °C in a cold enough room.",
    ),
    Metric(
        key="temperature_headroom", name="Temperature headroom", kind=FLOAT, unit="°C", group="temperature",
        reader="temperature_headroom", call="nvmlDeviceGetMarginTemperature, nvmlDeviceGetTemperatureThreshold",
        text="Degrees left until the card lowers its clocks to protect itself, by its own limit; negative beyond it. "
        "The same scale for every card.",
        limits=_MARGIN,
        of=("temperature", "temperature_slowdown", "temperature_margin", "temperature_slowdown_margin"),
    ),
    Metric(
        key="temperature_slowdown", name="Slowdown temperature", kind=UNSIGNED, unit="°C", group="temperature",
        reader="temperature_slowdown", call="nvmlDeviceGetTemperatureThreshold",
        text="Temperature at which the card lowers its clocks to protect itself. Data center cards since Hopper "
        "report margins instead.",
    ),
    Metric(
        key="temperature_shutdown", name="Shutdown temperature", kind=UNSIGNED, unit="°C", group="temperature",
        reader="temperature_shutdown", call="nvmlDeviceGetTemperatureThreshold",
        text="Temperature at which the card switches itself off. Data center cards since Hopper report margins "
        "instead.",
    ),
    Metric(
        key="temperature_margin", name="Temperature margin (T.Limit)", kind=FLOAT, unit="°C", group="temperature",
        storage=LIVE,
        reader="temperature_margin", call="nvmlDeviceGetMarginTemperature", smi="temperature.gpu.tlimit",
        text="Degrees left to the thermal limit of the card; can be negative. It is not the slowdown temperature "
        "minus the temperature.",
        limits=_MARGIN,
    ),
    Metric(
        key="temperature_slowdown_margin", name="Slowdown margin (T.Limit)", kind=FLOAT, unit="°C",
        group="temperature", reader="temperature_slowdown_margin", call="nvmlDeviceGetFieldValues",
        text="Temperature margin at which the card lowers its clocks to protect itself (NVML field 194).",
        limits=_MARGIN,
    ),
    Metric(
        key="temperature_shutdown_margin", name="Shutdown margin (T.Limit)", kind=FLOAT, unit="°C",
        group="temperature", reader="temperature_shutdown_margin", call="nvmlDeviceGetFieldValues",
        text="Temperature margin at which the card switches itself off (NVML field 193).",
        limits=_MARGIN,
    ),
    Metric(
        key="temperature_memory", name="Memory temperature", kind=FLOAT, unit="°C", group="temperature",
        storage=LIVE, limits=SENSOR,
        reader="temperature_memory", call="nvmlDeviceGetFieldValues", smi="temperature.memory",
        text="Temperature of the HBM stacks (NVML field 82). NVML does not report it for GeForce cards.",
    ),
    Metric(
        key="temperature_memory_max", name="Memory temperature maximum", kind=UNSIGNED, unit="°C", group="temperature",
        reader="temperature_memory_max", call="nvmlDeviceGetTemperatureThreshold",
        text="Memory temperature at which the card lowers its clocks.",
    ),
    Metric(
        key="temperature_max", name="Maximum operating temperature", kind=UNSIGNED, unit="°C", group="temperature",
        reader="temperature_max", call="nvmlDeviceGetTemperatureThreshold",
        text="Temperature at which the card starts to lower its clocks. It is below the slowdown temperature.",
    ),
    Metric(
        key="temperature_max_margin", name="Maximum operating margin (T.Limit)", kind=FLOAT, unit="°C", group="limits",
        reader="temperature_max_margin", call="nvmlDeviceGetFieldValues",
        text="Temperature margin at which the card starts to lower its clocks (NVML field 196).",
        component="temperature",
        limits=_MARGIN,
    ),
    Metric(
        key="temperature_memory_max_margin", name="Memory maximum margin (T.Limit)", kind=FLOAT, unit="°C",
        group="limits",
        reader="temperature_memory_max_margin", call="nvmlDeviceGetFieldValues",
        text="Margin of the memory temperature at which the card lowers its clocks (NVML field 195).",
        component="temperature",
        limits=_MARGIN,
    ),
    # -- fan -------------------------------------------------------------------------------------------------------
    Metric(
        key="fan_speed", name="Fan speed", kind=UNSIGNED, unit="%", group="fan", reader="fan_speed",
        call="nvmlDeviceGetFanSpeed_v2", smi="fan.speed",
        text="Speed that the card requests from its fastest fan, not a measured one; can exceed 100 %. Passively "
        "cooled cards have none.",
        limits=(0, 200),
    ),
    Metric(
        key="fan_rpm", name="Fan speed, in rpm", kind=UNSIGNED, unit="!rpm", group="fan", reader="fan_rpm",
        call="nvmlDeviceGetFanSpeedRPM",
        text="Speed that the card requests from its fastest fan, not a measured one. Driver branch r570 and newer.",
    ),
    # -- power -----------------------------------------------------------------------------------------------------
    Metric(
        key="power", name="Power draw", kind=FLOAT, storage=AVERAGED, unit="W", group="power", reader="power",
        call="nvmlDeviceGetPowerUsage", smi="power.draw",
        text="Power draw of the whole board. On Ampere (except GA100) and newer, averaged over one second.",
    ),
    Metric(
        key="power_limit", name="Power limit enforced", kind=FLOAT, unit="W", group="power",
        reader="power_limit",
        call="nvmlDeviceGetEnforcedPowerLimit", smi="enforced.power.limit",
        text="The lowest of all power limits in force.",
    ),
    Metric(
        key="power_percent", name="Power draw, in % of the limit", kind=FLOAT, storage=LIVE, unit="%", group="power",
        reader="power_percent", call="nvmlDeviceGetPowerUsage, nvmlDeviceGetEnforcedPowerLimit",
        text="Power draw in percent of the enforced limit. 100 % is normal under load.",
        limits=(0, 1000), of=("power", "power_limit"),
    ),
    Metric(
        key="energy", name="Energy consumption", kind=FLOAT, unit="J", group="power", reader="energy",
        call="nvmlDeviceGetTotalEnergyConsumption",
        text="Energy used since the driver was loaded; without persistence mode, since the card woke up. Volta and "
        "newer.",
    ),
    Metric(
        key="power_instant", name="Power draw, instantaneous", kind=FLOAT, unit="W", group="details",
        reader="power_instant",
        call="nvmlDeviceGetFieldValues", smi="power.draw.instant",
        text="Power draw without averaging (NVML field 186). Driver branch r535 and newer.", component="power",
    ),
    Metric(
        key="power_average", name="Power draw, 1-second average", kind=FLOAT, unit="W", group="details",
        reader="power_average", call="nvmlDeviceGetFieldValues", smi="power.draw.average",
        text="Power draw, averaged by the card over one second (NVML field 185). Driver branch r535 and newer.",
        component="power",
    ),
    Metric(
        key="power_memory", name="Power draw of the memory", kind=FLOAT, unit="W", group="details",
        reader="power_memory", call="nvmlDeviceGetFieldValues",
        text="Power draw of the memory alone, averaged by the card over one second (NVML field 185 with the scope of "
        "the memory). Data center cards since Hopper.", component="power",
    ),
    Metric(
        key="power_limit_requested", name="Power limit requested", kind=FLOAT, unit="W", group="limits",
        reader="power_limit_requested", call="nvmlDeviceGetPowerManagementLimit", smi="power.limit",
        text="Power limit that an administrator has set.", component="power",
    ),
    Metric(
        key="power_limit_default", name="Power limit default", kind=FLOAT, unit="W", group="limits", storage=STATIC,
        reader="power_limit_default", call="nvmlDeviceGetPowerManagementDefaultLimit", smi="power.default_limit",
        text="Power limit after the start of the card.", component="power",
    ),
    Metric(
        key="power_limit_min", name="Power limit minimum", kind=FLOAT, unit="W", group="limits", storage=STATIC,
        reader="power_limits", field="minimum", call="nvmlDeviceGetPowerManagementLimitConstraints",
        smi="power.min_limit",
        text="Lowest power limit that can be set.", component="power",
    ),
    Metric(
        key="power_limit_max", name="Power limit maximum", kind=FLOAT, unit="W", group="limits", storage=STATIC,
        reader="power_limits", field="maximum", call="nvmlDeviceGetPowerManagementLimitConstraints",
        smi="power.max_limit",
        text="Highest power limit that can be set.", component="power",
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
        text="Clock of the graphics engine.", component="clocks",
    ),
    Metric(
        key="clock_video", name="Video clock", kind=UNSIGNED, unit="Hz", group="details", reader="clock_video",
        call="nvmlDeviceGetClockInfo", smi="clocks.video",
        text="Clock of the video encoder and decoder.", component="clocks",
    ),
    Metric(
        key="performance_state", name="Performance state", kind=UNSIGNED, group="clocks",
        valuemap="NVIDIA performance state", reader="performance_state", call="nvmlDeviceGetPerformanceState",
        smi="pstate",
        text="P0 is the fastest state, P15 the slowest.",
        limits=(0, 15),
    ),
    *(
        Metric(
            key=f"clock_{clock}_max", name=f"{name} clock maximum", kind=UNSIGNED, unit="Hz", group="limits",
            storage=STATIC, reader=f"clock_{clock}_max", call="nvmlDeviceGetMaxClockInfo", smi=smi,
            text=f"Highest {name.lower() if name != 'SM' else name} clock of the card.", component="clocks",
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
            key=f"throttle_{key}", name=f"{name} ({by})", kind=UNSIGNED, group="throttling",
            valuemap="NVIDIA yes or no", reader="throttling", field=key, call="nvmlDeviceGetCurrentClocksEventReasons",
            smi=f"clocks_event_reasons.{smi}",
            text=text,
        )
        for key, name, by, smi, text in (
            ("sw_power_cap", "Power throttling", "power limit", "sw_power_cap",
             "The card is at its power limit. Normal under load."),
            ("hw_slowdown", "Throttling", "hardware slowdown", "hw_slowdown",
             "The hardware at least halves the clocks: too hot, or too much power."),
            ("sync_boost", "Throttling", "sync boost", "sync_boost",
             "The clocks follow those of the other GPUs in the sync boost group."),
            ("sw_thermal", "Thermal throttling", "software", "sw_thermal_slowdown",
             "The driver lowers the clocks because the GPU or its memory is too hot."),
            ("hw_thermal", "Thermal throttling", "hardware", "hw_thermal_slowdown",
             "The hardware at least halves the clocks because the GPU is too hot."),
            ("power_brake", "Power throttling", "power brake", "hw_power_brake_slowdown",
             "The host or its power supply requests lower clocks."),
        )
    ),
    *(
        Metric(
            key=f"throttle_time_{key}", name=f"{name} throttling time ({by})", kind=FLOAT, unit="s", group="details",
            reader=f"throttle_time_{key}", call="nvmlDeviceGetFieldValues", smi=f"clocks_event_reasons_counters.{smi}",
            text=f"Time since the driver was loaded (NVML field {field}; nvidia-smi shows microseconds).{since}",
            component="clocks",
        )
        for key, name, by, smi, field, since in (
            ("power", "Power", "power limit", "sw_power_cap", "74", ""),
            ("sw_thermal", "Thermal", "software", "sw_thermal_slowdown", "269", " Driver branch r575 and newer."),
            ("hw_thermal", "Thermal", "hardware", "hw_thermal_slowdown",
             "270; before r575 the thermal policy, field 75", ""),
            ("power_brake", "Power", "power brake", "hw_power_brake_slowdown", "271", " Driver branch r575 and newer."),
        )
    ),
    # -- ECC, retired pages, remapped rows -------------------------------------------------------------------------
    Metric(
        key="ecc_mode", name="ECC mode", kind=UNSIGNED, group="ecc", valuemap="NVIDIA on or off",
        reader="ecc_mode", call="nvmlDeviceGetEccMode", smi="ecc.mode.current",
        text="Whether ECC corrects memory errors.",
    ),
    *(
        Metric(
            key=f"ecc_{kind}_{span}", name=f"ECC errors {kind} ({span})", kind=UNSIGNED, group="ecc",
            reader=f"ecc_{kind}_{span}", call="nvmlDeviceGetTotalEccErrors", smi=f"ecc.errors.{kind}.{span}.total",
            storage=LIVE if (kind, span) == ("uncorrected", "volatile") else SLOW,
            text=f"{what} {since}",
        )
        for kind, what in (
            ("corrected", "Single-bit errors that ECC corrected."),
            ("uncorrected", "Errors that ECC could not correct: data was lost."),
        )
        for span, since in _ECC_SPANS
    ),
    *(
        Metric(
            key=f"ecc_{location}_{kind}_{span}", name=f"{location.upper()} ECC errors {kind} ({span})", kind=UNSIGNED,
            group="ecc_detail", reader=f"ecc_{location}", field=f"{kind}_{span}",
            call="nvmlDeviceGetMemoryErrorCounter", smi=f"ecc.errors.{kind}.{span}.{location}",
            text=f"{what} {since}",
        )
        for location, what in (("sram", "In caches and registers."), ("dram", "In device memory."))
        for kind in ("corrected", "uncorrected")
        for span, since in _ECC_SPANS
    ),
    Metric(
        key="memory_unrepairable", name="Memory unrepairable", kind=UNSIGNED, group="ecc", valuemap="NVIDIA yes or no",
        reader="memory_unrepairable", call="nvmlDeviceGetUnrepairableMemoryFlag_v1",
        text="1 if the memory has an error that nothing can repair. Hopper and newer, driver branch r590 and newer.",
    ),
    *(
        Metric(
            key=f"repair_{key}_pending", name=f"{name} repair pending", kind=UNSIGNED, group="ecc",
            valuemap="NVIDIA yes or no", reader="repairs", field=key, call="nvmlDeviceGetRepairStatus",
            text=f"1 if the next reset of the GPU repairs {what}. Ampere and newer, driver branch r580 and newer.",
        )
        for key, name, what in (
            ("channel", "Memory channel", "a memory channel"),
            ("tpc", "TPC", "a group of multiprocessors (TPC)"),
        )
    ),
    Metric(
        key="retired_pages_single", name="Retired pages (single-bit errors)", kind=UNSIGNED, group="ecc",
        reader="retired_pages", field="single", call="nvmlDeviceGetRetiredPages",
        smi="retired_pages.single_bit_ecc.count",
        text="Memory pages retired after repeated corrected errors. Before Ampere.",
    ),
    Metric(
        key="retired_pages_double", name="Retired pages (double-bit errors)", kind=UNSIGNED, group="ecc",
        reader="retired_pages", field="double", call="nvmlDeviceGetRetiredPages",
        smi="retired_pages.double_bit.count",
        text="Memory pages retired after an uncorrected error. Before Ampere.",
    ),
    Metric(
        key="retired_pages_pending", name="Page retirement pending", kind=UNSIGNED, group="ecc",
        valuemap="NVIDIA yes or no", reader="retired_pages_pending", call="nvmlDeviceGetRetiredPagesPendingStatus",
        smi="retired_pages.pending",
        text="1 if the next load of the driver retires pages. Before Ampere.",
    ),
    Metric(
        key="remapped_corrected", name="Remapped rows (corrected errors)", kind=UNSIGNED, group="ecc",
        reader="remapped_rows", field="corrected", call="nvmlDeviceGetRemappedRows", smi="remapped_rows.correctable",
        text="Memory rows replaced by spare rows after corrected errors. Ampere and newer.",
    ),
    Metric(
        key="remapped_uncorrected", name="Remapped rows (uncorrected errors)", kind=UNSIGNED, group="ecc",
        reader="remapped_rows", field="uncorrected", call="nvmlDeviceGetRemappedRows",
        smi="remapped_rows.uncorrectable",
        text="Memory rows replaced by spare rows after uncorrected errors. Ampere and newer.",
    ),
    Metric(
        key="remap_pending", name="Row remapping pending", kind=UNSIGNED, group="ecc", valuemap="NVIDIA yes or no",
        storage=LIVE,
        reader="remapped_rows", field="pending", call="nvmlDeviceGetRemappedRows", smi="remapped_rows.pending",
        text="1 if the next GPU reset replaces a row.",
    ),
    Metric(
        key="remap_failure", name="Row remapping failure", kind=UNSIGNED, group="ecc", valuemap="NVIDIA yes or no",
        reader="remapped_rows", field="failure", call="nvmlDeviceGetRemappedRows", smi="remapped_rows.failure",
        text="1 if a row could not be replaced, now or in the past.",
    ),
    *(
        Metric(
            key=f"spare_rows_{key}", name=f"Memory banks with {name} spare rows", kind=UNSIGNED, group="limits",
            reader="spare_rows", field=key, call="nvmlDeviceGetRowRemapperHistogram",
            smi=f"remapped_rows.histogram.{key}",
            text=f"Number of memory banks with {name} spare rows left. Ampere and newer.", component="memory",
        )
        for key, name in (("max", "all"), ("high", "most"), ("partial", "some"), ("low", "few"), ("none", "no"))
    ),
    # -- PCIe ------------------------------------------------------------------------------------------------------
    Metric(
        key="pcie_generation", name="PCIe link generation", kind=UNSIGNED, group="pcie", reader="pcie_generation",
        call="nvmlDeviceGetCurrPcieLinkGeneration", smi="pcie.link.gen.current",
        text="Current PCIe generation of the link. Idle cards lower it to save power.",
        limits=_GENERATIONS,
    ),
    Metric(
        key="pcie_generation_max", name="PCIe link generation maximum", kind=UNSIGNED, group="pcie",
        reader="pcie_generation_max", call="nvmlDeviceGetMaxPcieLinkGeneration", smi="pcie.link.gen.max",
        text="Highest generation that card and slot both support. Not in virtual machines, which do not see the slot.",
        limits=_GENERATIONS,
    ),
    Metric(
        key="pcie_width", name="PCIe link width", kind=UNSIGNED, group="pcie", reader="pcie_width",
        call="nvmlDeviceGetCurrPcieLinkWidth", smi="pcie.link.width.current",
        text="Lanes in use.",
        limits=_LANES,
    ),
    Metric(
        key="pcie_width_max", name="PCIe link width maximum", kind=UNSIGNED, group="pcie",
        reader="pcie_width_max", call="nvmlDeviceGetMaxPcieLinkWidth", smi="pcie.link.width.max",
        text="Most lanes that card and slot both support, as far as driver and kernel know the slot. Not in virtual "
        "machines, which do not see it.",
        limits=_LANES,
    ),
    Metric(
        key="pcie_replays", name="PCIe replays", kind=UNSIGNED, group="pcie", reader="pcie_replays",
        call="nvmlDeviceGetPcieReplayCounter",
        text="Packets sent again after an error, since the driver was loaded. A few are normal.",
    ),
    # -- NVLink and fabric -----------------------------------------------------------------------------------------
    Metric(
        key="nvlink_up", name="NVLinks up", kind=UNSIGNED, group="nvlink", storage=STATIC, reader="nvlink", field="up",
        call="nvmlDeviceGetNvLinkState",
        text="NVLinks that carry data. A GeForce card without a bridge has NVLinks, but none is up.",
        limits=_NVLINKS,
    ),
    Metric(
        key="nvlink_links", name="NVLinks present", kind=UNSIGNED, group="nvlink", reader="nvlink",
        field="links",
        call="nvmlDeviceGetFieldValues",
        text="NVLinks that the chip has (NVML field 91).",
        limits=_NVLINKS,
    ),
    Metric(
        key="nvlink_down", name="NVLinks down", kind=CHAR, group="nvlink", reader="nvlink", field="down",
        call="nvmlDeviceGetNvLinkState",
        text="Numbers of the NVLinks that carry no data. Empty if all are up.",
    ),
    Metric(
        key="nvlink_speed", name="NVLink speed", kind=FLOAT, unit="Bps", group="nvlink",
        reader="speeds", field="lowest", call="nvmlDeviceGetFieldValues",
        text="Speed of the slowest NVLink that is up, in one direction (NVML field 164).",
    ),
    Metric(
        key="nvlink_slow", name="Slow NVLinks", kind=CHAR, group="nvlink", reader="speeds",
        field="slow", call="nvmlDeviceGetFieldValues",
        text="Numbers of the NVLinks that are up, but slower than their version (NVML field 166). Empty if there are "
        "none.",
    ),
    *(
        Metric(
            # A whole number, but Zabbix writes one above 1e17 with an exponent, which is no unsigned value: at full
            # speed that is reached within days.
            key=f"nvlink_{key}", name=f"NVLink data {word}", kind=FLOAT, unit="B", group="nvlink",
            reader=f"nvlink_{key}", call="nvmlDeviceGetFieldValues",
            text=f"Payload {word} over all links (NVML field {field}; NVLink 5: {later}). Volta and newer.",
            limits=(0, 1 << 73),  # the driver counts KiB in 64 bits
        )
        for key, word, field, later in (("sent", "sent", 138, 202), ("received", "received", 139, 204))
    ),
    *(
        Metric(
            key=f"nvlink_{key}", name=f"NVLink {name}", kind=UNSIGNED, group="nvlink", reader=f"nvlink_{key}",
            call="nvmlDeviceGetFieldValues", storage=storage,
            text=f"{text} over all links (NVML field {field}).{since}",
        )
        for key, name, field, storage, text, since in (
            ("replays", "replay errors", "52", LIVE, "Packets sent again,", " Before NVLink 5."),
            ("crc", "CRC errors", "38 and 45", SLOW, "Packets with a wrong checksum,", " Before NVLink 5."),
            ("recoveries", "recovery errors", "59; NVLink 5: 215", LIVE, "Link recoveries by new training,", ""),
            ("receive_errors", "receive errors", "208", SLOW, "Packets received with errors,", " NVLink 5."),
            ("effective_errors", "effective errors", "219", LIVE, "Errors left after error correction,", " NVLink 5."),
            ("recoveries_failed", "failed recoveries", "214", LIVE, "Link recoveries that failed,", " NVLink 5."),
        )
    ),
    Metric(
        key="fabric_state", name="Fabric state", kind=UNSIGNED, group="nvlink", valuemap="NVIDIA fabric state",
        reader="fabric", field="state", call="nvmlDeviceGetGpuFabricInfoV", smi="fabric.state",
        text="Whether the GPU has joined the NVLink fabric of its NVSwitches. Hopper and newer, with NVLinks.",
    ),
    Metric(
        key="fabric_status", name="Fabric status", kind=UNSIGNED, group="nvlink", reader="fabric", field="status",
        call="nvmlDeviceGetGpuFabricInfoV", smi="fabric.status",
        text="NVML return code of joining the fabric. 0 is success.",
    ),
    Metric(
        key="fabric_health", name="Fabric health", kind=UNSIGNED, group="nvlink",
        valuemap="NVIDIA fabric health", reader="faults", field="summary", call="nvmlDeviceGetGpuFabricInfoV",
        text="Summary of the health of the NVLink fabric, as this GPU sees it. Blackwell and newer.",
    ),
    Metric(
        key="fabric_faults", name="Fabric faults", kind=CHAR, group="nvlink", reader="faults",
        field="faults", call="nvmlDeviceGetGpuFabricInfoV",
        text="What is wrong with the NVLink fabric, from its health mask. Empty if nothing is.",
    ),
    Metric(
        key="fabric_clique", name="Fabric clique", kind=UNSIGNED, group="nvlink", storage=STATIC, reader="clique",
        field="clique", call="nvmlDeviceGetGpuFabricInfoV",
        text="Number of the part of the fabric in which GPUs reach each other. Only in a fabric of several machines.",
    ),
    Metric(
        key="fabric_cluster", name="Fabric cluster", kind=CHAR, group="nvlink", storage=STATIC, reader="clique",
        field="cluster", call="nvmlDeviceGetGpuFabricInfoV",
        text="UUID of the fabric. Only in a fabric of several machines.",
    ),
    # -- health and modes ------------------------------------------------------------------------------------------
    Metric(
        key="recovery_action", name="Recovery action", kind=UNSIGNED, group="health", valuemap="NVIDIA recovery action",
        reader="recovery_action", call="nvmlDeviceGetFieldValues", smi="gpu_recovery_action",
        text="What the driver says must be done (NVML field 230). Driver branch r570 and newer.",
    ),
    Metric(
        key="persistence_mode", name="Persistence mode", kind=UNSIGNED, group="modes",
        valuemap="NVIDIA on or off", reader="persistence_mode", call="nvmlDeviceGetPersistenceMode",
        smi="persistence_mode",
        text="Whether the driver stays loaded while nothing uses the card. If off, each poll wakes the card.",
    ),
    Metric(
        key="compute_mode", name="Compute mode", kind=UNSIGNED, group="details",
        valuemap="NVIDIA compute mode", reader="compute_mode", call="nvmlDeviceGetComputeMode", smi="compute_mode",
        text="How many processes may compute on the card.",
    ),
    Metric(
        key="mig_mode", name="MIG mode", kind=UNSIGNED, group="modes", valuemap="NVIDIA on or off",
        reader="mig_mode", call="nvmlDeviceGetMigMode", smi="mig.mode.current",
        text="Whether the card is divided into MIG instances.",
    ),
    Metric(
        key="display_active", name="Display active", kind=UNSIGNED, group="details",
        valuemap="NVIDIA yes or no", reader="display_active", call="nvmlDeviceGetDisplayActive", smi="display_active",
        text="Whether the card drives a display.",
    ),
    Metric(
        key="accounting_mode", name="Accounting mode", kind=UNSIGNED, group="details",
        valuemap="NVIDIA on or off", reader="accounting_mode", call="nvmlDeviceGetAccountingMode",
        smi="accounting.mode",
        text="Whether the driver keeps records of ended processes.",
    ),
    Metric(
        key="display_mode", name="Display attached", kind=UNSIGNED, group="details",
        valuemap="NVIDIA yes or no", reader="display_mode", call="nvmlDeviceGetDisplayMode",
        text="Whether a display is attached to the card. Driver branch r590 and newer do not report it.",
    ),
    Metric(
        key="virtualization_mode", name="Virtualization mode", kind=UNSIGNED, group="details",
        valuemap="NVIDIA virtualization mode", reader="virtualization_mode", call="nvmlDeviceGetVirtualizationMode",
        text="Whether this is a vGPU, a passed-through card, or a vGPU host.", component="virtualization",
    ),
    # -- vGPU, confidential computing ------------------------------------------------------------------------------
    Metric(
        key="vgpus", name="vGPUs", kind=UNSIGNED, group="vgpu", reader="vgpus", call="nvmlDeviceGetActiveVgpus",
        text="vGPUs that run on this card. Only on vGPU hosts.",
    ),
    Metric(
        key="license_state", name="License state", kind=UNSIGNED, group="vgpu", valuemap="NVIDIA license state",
        reader="license", field="state", call="nvmlDeviceGetGridLicensableFeatures_v4",
        text="Whether this vGPU has its license; without one it is slowed down. Only in guests.", component="license",
    ),
    Metric(
        key="license_product", name="Licensed product", kind=CHAR, group="vgpu", storage=STATIC, reader="license",
        field="product", call="nvmlDeviceGetGridLicensableFeatures_v4",
        text="Product that the license is for.", component="license",
    ),
    *(
        Metric(
            key=f"cc_{key}", name=name, kind=UNSIGNED, group="confidential", valuemap=valuemap,
            reader="confidential", field=key, call="nvmlSystemGetConfComputeState",
            text=text,
        )
        for key, name, text, valuemap in (
            ("feature", "Confidential computing", "Whether it is on. Hopper and newer.", "NVIDIA on or off"),
            (
                "environment", "Confidential computing environment", "Production is secure, simulation is not.",
                "NVIDIA confidential computing environment",
            ),
            (
                "dev_tools", "Confidential computing DevTools mode",
                "If on, debuggers can look inside: it is not secure.", "NVIDIA on or off",
            ),
        )
    ),
    *(
        Metric(
            key=f"protected_{key}", name=f"Protected memory {key}", kind=UNSIGNED, unit="B", group="confidential",
            storage=storage, reader="protected_memory", field=key, call="nvmlDeviceGetConfComputeProtectedMemoryUsage",
            smi=f"protected_memory.{key}",
            text=text, component="memory",
        )
        for key, storage, text in (
            ("total", SLOW, "Memory that confidential computing protects. 0 if it is off."),
            ("used", SLOW, "Allocated part of the protected memory."),
        )
    ),
    # -- processes -------------------------------------------------------------------------------------------------
    Metric(
        key="processes", name="Processes", kind=FLOAT, storage=LIVE, group="processes", reader="processes",
        call="nvmlDeviceGetComputeRunningProcesses_v3, nvmlDeviceGetGraphicsRunningProcesses_v3, "
        "nvmlDeviceGetMPSComputeRunningProcesses_v3",
        text="Processes that use the card: compute, graphics, or through MPS.",
    ),
    Metric(
        key="process_oldest", name="Oldest process age", kind=UNSIGNED, unit="s", group="processes",
        reader="process_oldest", call="nvmlDeviceGetComputeRunningProcesses_v3",
        text="Time since the start of the oldest process on the card; 0 if there is none. Only where /proc shows the "
        "processes of the host.",
    ),
    Metric(
        key="process_list", name="Process list", kind=TEXT, group="process_list", reader="process_list",
        call="nvmlDeviceGetComputeRunningProcesses_v3, nvmlSystemGetProcessName, nvmlDeviceGetProcessesUtilizationInfo",
        text="The largest processes on the card: PID, name, type (C: compute, G: graphics, M: MPS), memory in B, "
        "user, Slurm job, pod, container or service, MIG GPU instance. Arguments only if the service is configured "
        "for them. Resident mode adds the usage of SM, memory controller, encoder and decoder since the last reading, "
        "in %.",
    ),
    Metric(
        key="job", name="Job", kind=CHAR, group="jobs", reader="job", field="jobs",
        call="nvmlDeviceGetComputeRunningProcesses_v3",
        text="Jobs that hold the card, each with its ID, name and user as far as known: what the prolog of Slurm has "
        "written, Slurm jobs and pods that have a process on the card, and jobs under `zbx-nvidia run`. Empty if there "
        "is none.",
    ),
    Metric(
        key="job_since", name="Held since", kind=UNSIGNED, unit="unixtime", group="jobs", reader="job", field="since",
        call="nvmlDeviceGetComputeRunningProcesses_v3",
        text="When the oldest of these jobs got the card. 0 if there is none.",
    ),
    # -- sessions --------------------------------------------------------------------------------------------------
    *(
        Metric(
            key=f"{key}_{field}", name=f"{name} {word}", kind=kind, unit=unit, group="sessions", reader=key,
            field=field, call=call, smi=smi, component=key,
            text=text,
        )
        for key, name, call, prefix in (
            ("encoder", "Encoder", "nvmlDeviceGetEncoderStats", "encoder.stats"),
            ("capture", "Frame capture", "nvmlDeviceGetFBCStats", ""),
        )
        for field, word, kind, unit, suffix, text in (
            ("sessions", "sessions", UNSIGNED, "", "sessionCount", "Open sessions."),
            ("fps", "average FPS", UNSIGNED, "!fps", "averageFps", "Average frames per second of all sessions."),
            ("latency", "average latency", FLOAT, "s", "averageLatency",
             "Average time per frame (NVML reports microseconds)."),
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
    )


(_FAN_SPEED,) = (metric for metric in GPU_METRICS if metric.key == "fan_speed")

# What Zabbix calculates; from a counter as change per second, so that nothing between two polls is lost.
GPU_RATES = (
    _FAN_SPEED._replace(
        key="fan_turned", name="Fan has run", unit="", smi="", counter="fan_speed", only="^[1-9]", storage=STATIC,
        text="1 when the card requests a fan speed above 0; it stays 1 when the fan stops. No value if the fan never "
        "ran, as on passively cooled cards with a fan at 0 %.",
    ),
    _rate(
        key="power_mean", name="Power draw, average since last poll", unit="W", source="energy",
        text="Average power draw since the last poll, from the energy counter. It misses no peak.",
    ),
    *(
        _rate(
            key=f"throttle_share_{key}", name=f"{name} throttling ({by}), in % of time", unit="%",
            source=f"throttle_time_{key}", factor=100, group="throttling",
            text="Percentage of the time since the last poll.",
        )
        for key, name, by in (
            ("power", "Power", "power limit"),
            ("sw_thermal", "Thermal", "software"),
            ("hw_thermal", "Thermal", "hardware"),
            ("power_brake", "Power", "power brake"),
        )
    ),
    *(
        _rate(
            key=f"nvlink_{key}_rate", name=f"NVLink throughput {word}", unit="Bps", source=f"nvlink_{key}",
            text=f"Payload {word} per second over all links, since the last poll.",
        )
        for key, word in (("sent", "sent"), ("received", "received"))
    ),
    _rate(
        key="nvlink_crc_rate", name="NVLink CRC errors per second", source="nvlink_crc",
        text="Average since the last poll.",
    ),
    _rate(
        key="ecc_corrected_rate", name="ECC errors corrected per hour", source="ecc_corrected_volatile", factor=3600,
        text="Average since the last poll. Some are normal. Many over a long time announce uncorrected errors.",
    ),
    _rate(
        key="pcie_replay_rate", name="PCIe replays per minute", source="pcie_replays", factor=60,
        text="Average since the last poll.",
    ),
)  # fmt: skip

# Written by the template from the document's `presence`, not read from a Device.
PRESENT = Metric(
    key="present", name="Presence", kind=UNSIGNED, group="health", valuemap="NVIDIA presence", call="nvmlDeviceGetUUID",
    storage=LIVE,
    text="1 if a card with this UUID answers. 0 if it does not, although the driver does.",
)  # fmt: skip

# What a card cannot serve is named in {#LACKS} by these tokens, and by nothing else.
GPU_READERS = tuple(dict.fromkeys(metric.reader for metric in GPU_METRICS))
