"""What takes more than one look: peaks between two polls, XID errors. One row each, as in `metrics`.

A collector that is started for each poll has none of them, and one token for all among {#LACKS}, so their items are
never created. Excepted are those of which the driver keeps samples itself.
"""

# Without `from __future__ import annotations`: typing would compile the text of each annotation at each poll.
from typing import NamedTuple

from zbx_nvidia.catalog.metrics import CHAR, FLOAT, GPU_METRICS, GPU_RATES, LIVE, SENSOR, SLOW, UNSIGNED, Metric
from zbx_nvidia.catalog.xid_actions import CLASSES, NOTE, TO_MEND

# What is made of the samples of the window.
PEAK, AVERAGE, P95 = "peak", "average", "p95"


class _Sampled(NamedTuple):
    """What a method of the driver's `Probe` samples, which has the name of its key."""

    key: str
    name: str
    kind: str
    unit: str
    component: str
    call: str
    limits: tuple[float, float] | None = None


_SAMPLED = (
    _Sampled(
        key="utilization", name="GPU utilization", kind=UNSIGNED, unit="%", component="gpu",
        call="nvmlDeviceGetUtilizationRates, nvmlDeviceGetSamples",
    ),
    _Sampled(
        key="power", name="Power draw", kind=FLOAT, unit="W", component="power",
        call="nvmlDeviceGetFieldValues, nvmlDeviceGetPowerUsage, nvmlDeviceGetSamples",
    ),
    _Sampled(
        key="temperature", name="Temperature", kind=FLOAT, unit="°C", component="temperature",
        call="nvmlDeviceGetTemperatureV", limits=SENSOR,
    ),
    _Sampled(
        key="temperature_memory", name="Memory temperature", kind=FLOAT, unit="°C", component="temperature",
        call="nvmlDeviceGetFieldValues", limits=SENSOR,
    ),
    _Sampled(
        key="clock_sm", name="SM clock", kind=UNSIGNED, unit="Hz", component="clocks",
        call="nvmlDeviceGetClockInfo, nvmlDeviceGetSamples",
    ),
)  # fmt: skip
_WORDS = {
    PEAK: ("peak", "Highest sample of the last minute, which a poll can miss."),
    AVERAGE: ("average", "Average of all samples of the last minute."),
    P95: ("95th percentile", "95 % of the samples of the last minute were not higher."),
}
# With it, the document of eight divided GPUs, busy to the last instance, would not fit.
_NO_ROOM = {("temperature_memory", P95)}
_BUFFER = "nvmlDeviceGetSamples"
_BUFFERED = " Oneshot mode: only of the last seconds, which the driver keeps."
_GPM = "Average of the last minute. Hopper and newer, driver branch r520 and newer."


SAMPLED_METRICS = (
    *(
        Metric(
            key=f"sampled_{row.key}_{what}", name=f"{row.name}, {_WORDS[what][0]}",
            kind=FLOAT if what == AVERAGE else row.kind, unit=row.unit, group="peaks", reader=f"sampled_{row.key}",
            field=what, call=row.call, component=row.component, limits=row.limits,
            text=_WORDS[what][1] + (_BUFFERED if _BUFFER in row.call else ""),
        )
        for row in _SAMPLED
        for what in _WORDS
        if (row.key, what) not in _NO_ROOM
    ),
    *(
        Metric(
            key=f"sampled_pcie_{word}", name=f"PCIe throughput {word}", kind=FLOAT, unit="Bps", group="peaks",
            reader=f"sampled_pcie_{word}", field=AVERAGE, call="nvmlDeviceGetPcieThroughput", component="pcie",
            text="Average of the samples of the last minute, of 20 ms each.", limits=(0, 1_000_000_000_000),
        )
        for word in ("sent", "received")
    ),
    *(
        Metric(
            key=f"gpm_{key}", name=name, kind=FLOAT, unit="%", group="gpm", reader=f"gpm_{key}",
            call="nvmlGpmMetricsGet", component="memory" if key == "memory" else "",
            text=f"{text} {_GPM}", limits=(0, 101),  # the driver rounds
        )
        for key, name, text in (
            ("graphics", "Graphics engine activity", "Percentage of time in which any compute or graphics work ran."),
            ("sm", "SM activity", "Percentage of time in which an SM had work, averaged over all SMs."),
            ("occupancy", "SM occupancy", "Resident warps, in percent of the maximum."),
            ("tensor", "Tensor core activity", "Percentage of time in which tensor cores worked."),
            ("memory", "Memory bandwidth utilization", "Used memory bandwidth, in percent of the maximum."),
        )
    ),
    Metric(
        key="xid_last", name="Last XID error", kind=UNSIGNED, group="xid", valuemap="NVIDIA XID", reader="xid",
        call="nvmlEventSetWait_v2",
        text="Code of the last XID error since the start of the service; with the kernel log, since the start of the "
        "host. No value before the first error.",
    ),
    Metric(
        key="xid_last_time", name="Last XID error time", kind=UNSIGNED, unit="unixtime", group="xid",
        reader="xid", call="nvmlEventSetWait_v2",
        text="Time of the last XID error.",
    ),
    Metric(
        key="xid_recent", name="Recent XID codes", kind=CHAR, group="xid", reader="xid", call="nvmlEventSetWait_v2",
        text="Codes within xid_memory of the service, between commas, the last one at the end. A single comma if "
        "there are none. Alerts evaluate it.",
    ),
    *(
        Metric(
            key=f"xid_{kind.key}_last", name=f"Last XID error: {kind.name}", kind=UNSIGNED, group="xid",
            valuemap="NVIDIA XID", reader="xid", call="nvmlEventSetWait_v2",
            text=f"Last of the recent XID codes of this class. {kind.text} 0 if there is none.",
        )
        for kind in TO_MEND
    ),
    Metric(
        key="xid_count", name="XID errors", kind=UNSIGNED, group="xid", reader="xid", call="nvmlEventSetWait_v2",
        text="All XID errors since the start of the service; with the kernel log, since the start of the host. Each "
        "repetition counts.",
    ),
    Metric(
        key="xid_events", name="XID events", kind=UNSIGNED, group="xid", reader="xid", call="nvmlEventSetWait_v2",
        text="As “XID errors”, but repetitions of a code within xid_repeat of the service (1 minute) count once.",
    ),
    *(
        Metric(
            key=f"xid_{kind.key}", name=f"XID errors: {kind.name}", kind=UNSIGNED, group="xid",
            # Alerts count the changes, which takes two values.
            storage=SLOW if kind is NOTE else LIVE, reader="xid", call="nvmlEventSetWait_v2",
            text=f"{kind.text} Each repetition counts.",
        )
        for kind in CLASSES
    ),
    Metric(
        key="job_last", name="Last job", kind=CHAR, group="jobs", reader="job_last",
        call="nvmlDeviceGetComputeRunningProcesses_v3, nvmlDeviceGetUtilizationRates, "
        "nvmlDeviceGetTotalEnergyConsumption",
        text="The last job that ended on the card: how long it held the card, and mean utilization and energy of the "
        "card in that time, as far as known. “At least”: the service did not see all of the job. No value before the "
        "first end of a job since the start of the service. Resident mode only.",
    ),
)  # fmt: skip

# All items of a GPU except its presence.
GPU_ITEMS = (*GPU_METRICS, *GPU_RATES, *SAMPLED_METRICS)

GPM_METRICS = tuple(metric for metric in SAMPLED_METRICS if metric.group == "gpm")
GPM_READERS = tuple(metric.reader for metric in GPM_METRICS)
SAMPLED_READERS = tuple(dict.fromkeys(metric.reader for metric in SAMPLED_METRICS))
# The driver keeps samples of these itself: one look shows the last seconds.
BUFFERED_METRICS = tuple(metric for metric in SAMPLED_METRICS if _BUFFER in metric.call)
BUFFERED_READERS = tuple(dict.fromkeys(metric.reader for metric in BUFFERED_METRICS))
# What is not to be had in one look, and the token among {#LACKS} that stands for all of it.
SERVICE_READERS = frozenset(SAMPLED_READERS) - frozenset(BUFFERED_READERS)
SERVICE = "service"
