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
TEXT = "TEXT"

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
    """

    name: str
    component: str
    text: str


GROUPS = (
    Group("health", "health", "presence and condition of a GPU"),
    Group("inventory", "inventory", "identity: name, index, UUID, PCI address, serial number, VBIOS"),
    Group("utilization", "load", "utilisation of the GPU and of its memory controller"),
    Group("memory", "memory", "frame buffer memory"),
    Group("temperature", "temperature", "temperature and the card's own limits"),
    Group("fan", "fan", "fans"),
    Group("power", "power", "power draw, limit and energy"),
    Group("clocks", "clocks", "clocks and performance state"),
    Group("codec", "codec", "video encoder and decoder"),
)


class Metric(NamedTuple):
    """One metric.

    Attributes:
        entity: Where it lives in the document: `host`, `status`, `collector`, `gpu`, `fan`, or "" for the top.
        key: Its name in the document and the end of the Zabbix item key.
        name: Its name for people. The end of the item name; unique, because override patterns are anchored on it.
        kind: Zabbix value type.
        unit: Zabbix unit; "" for none.
        group: Name of its `Group`; "" outside discovered entities.
        reader: The method of `driver.Device` that reads it, and the token that `{#LACKS}` carries when the card cannot
            serve it. All metrics of one reader are there or lacking together.
        field: The field of what the reader returns; "" when it returns the value itself.
        storage: `LIVE`, `SLOW` or `STATIC`.
        valuemap: Name of the value map, or "".
        call: The NVML call behind it.
        smi: The field of `nvidia-smi --query-gpu` that shows the same, or "".
        text: What it means, in what case it is absent.
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
        "oneshot: a process a poll.",
    ),
    _top(
        "collector", "duration", "Collection time", FLOAT, "s", LIVE, "",
        "From the start of the process to the document.",
    ),
    _top(
        "collector", "error_count", "Readings in error", UNSIGNED, "", LIVE, "",
        "Readings that the driver neither gave nor called unsupported: no permission, unknown error.",
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
        "memory_reserved", "Memory reserved", UNSIGNED, "B", "memory", "memory_reserved", SLOW,
        "nvmlDeviceGetMemoryInfo_v2", "memory.reserved",
        "Held back by driver and firmware; total = used + free + reserved. Driver branch r510 and newer.",
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
    # -- fan -------------------------------------------------------------------------------------------------------
    _gpu(
        "fan_speed", "Fan speed", UNSIGNED, "%", "fan", "fan_speed", LIVE,
        "nvmlDeviceGetFanSpeed_v2", "fan.speed",
        "Speed that the card asks of its fastest fan, not what the fan really does; over 100 is possible. "
        "Passively cooled cards have none.",
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
        "clock_graphics", "Graphics clock", UNSIGNED, "Hz", "clocks", "clock_graphics", LIVE,
        "nvmlDeviceGetClockInfo", "clocks.gr",
        "Clock of the graphics engine.",
    ),
    _gpu(
        "clock_video", "Video clock", UNSIGNED, "Hz", "clocks", "clock_video", LIVE,
        "nvmlDeviceGetClockInfo", "clocks.video",
        "Clock of the video encoder and decoder.",
    ),
    _gpu(
        "performance_state", "Performance state", UNSIGNED, "", "clocks", "performance_state", LIVE,
        "nvmlDeviceGetPerformanceState", "pstate",
        "P0 is the fastest, P15 the slowest.", "NVIDIA performance state",
    ),
)  # fmt: skip

# Each fan of a card that has more than one; the only fan of a card is the GPU's own "Fan speed".
FAN_METRICS = (
    Metric(
        "fan", "speed", "Speed", UNSIGNED, "%", "fan", "fan_speeds", "", LIVE, "",
        "nvmlDeviceGetFanSpeed_v2", "",
        "Speed that the card asks of this fan; over 100 is possible. Only on cards with several fans.",
    ),
)  # fmt: skip

# Written by the template from the document's `presence`, not read from a Device.
PRESENT = Metric(
    "gpu", "present", "Present", UNSIGNED, "", "health", "", "", LIVE, "NVIDIA presence",
    "nvmlDeviceGetUUID", "",
    "1 while a card with this UUID answers, 0 when it does not although the driver does.",
)  # fmt: skip

METRICS = (*HOST_METRICS, PRESENT, *GPU_METRICS, *FAN_METRICS)

# What a card cannot serve is named in {#LACKS} by these tokens, and by nothing else.
GPU_READERS = tuple(dict.fromkeys(metric.reader for metric in GPU_METRICS))
