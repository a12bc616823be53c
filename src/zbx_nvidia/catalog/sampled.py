"""What takes more than one look: peaks between two polls, XID errors. One row each, as in `metrics`.

A collector that is started for each poll has these readers among {#LACKS}, so that their items are never created; but
for those of which the driver keeps samples itself.
"""

# Without `from __future__ import annotations`: typing would compile the text of each annotation at each poll.
from typing import NamedTuple

from zbx_nvidia.catalog.metrics import CHAR, FLOAT, GPU_METRICS, GPU_RATES, SLOW, UNSIGNED, Metric
from zbx_nvidia.catalog.xid_actions import CLASSES, TO_MEND

# What is made of the samples of the window.
PEAK, AVERAGE, P95 = "peak", "average", "p95"


class _Sampled(NamedTuple):
    """What a method of the driver's `Probe` samples, which has the name of its key."""

    key: str
    name: str
    kind: str
    unit: str
    call: str


_SAMPLED = (
    _Sampled(
        key="utilization", name="GPU utilization", kind=UNSIGNED, unit="%",
        call="nvmlDeviceGetUtilizationRates, nvmlDeviceGetSamples",
    ),
    _Sampled(
        key="power", name="Power draw", kind=FLOAT, unit="W",
        call="nvmlDeviceGetFieldValues, nvmlDeviceGetPowerUsage, nvmlDeviceGetSamples",
    ),
    _Sampled(key="temperature", name="Temperature", kind=UNSIGNED, unit="°C", call="nvmlDeviceGetTemperatureV"),
    _Sampled(
        key="temperature_memory", name="Memory temperature", kind=UNSIGNED, unit="°C", call="nvmlDeviceGetFieldValues",
    ),
    _Sampled(
        key="clock_sm", name="SM clock", kind=UNSIGNED, unit="Hz", call="nvmlDeviceGetClockInfo, nvmlDeviceGetSamples",
    ),
)  # fmt: skip
_WORDS = {
    PEAK: ("highest sample", "The highest of all samples of the last minute: what a poll would miss."),
    AVERAGE: ("mean of samples", "Mean of all samples of the last minute."),
    P95: ("95th percentile", "19 of 20 samples of the last minute were no higher."),
}
# With it the document of eight divided GPUs, busy to the last instance, would not fit.
_NO_ROOM = {("temperature_memory", P95)}
_BUFFER = "nvmlDeviceGetSamples"
_BUFFERED = " With a process a poll, of the last seconds alone: what the driver remembers."
_GPM = "Mean of the last minute, by the card's own counters. Hopper and newer, driver branch r520 and newer."


SAMPLED_METRICS = (
    *(
        Metric(
            key=f"sampled_{row.key}_{what}", name=f"{row.name}, {_WORDS[what][0]}",
            kind=FLOAT if what == AVERAGE else row.kind, unit=row.unit, group="peaks", reader=f"sampled_{row.key}",
            field=what, call=row.call,
            text=_WORDS[what][1] + (_BUFFERED if _BUFFER in row.call else ""),
        )
        for row in _SAMPLED
        for what in _WORDS
        if (row.key, what) not in _NO_ROOM
    ),
    *(
        Metric(
            key=f"sampled_pcie_{word}", name=f"PCIe data {word} per second", kind=FLOAT, unit="Bps", group="peaks",
            reader=f"sampled_pcie_{word}", field=AVERAGE, call="nvmlDeviceGetPcieThroughput",
            text="Mean of the samples of the last minute, each of them over 20 ms.",
        )
        for word in ("sent", "received")
    ),
    *(
        Metric(
            key=f"gpm_{key}", name=name, kind=FLOAT, unit="%", group="gpm", reader=f"gpm_{key}",
            call="nvmlGpmMetricsGet",
            text=f"{text} {_GPM}",
        )
        for key, name, text in (
            ("graphics", "Graphics engine activity", "Share of the time in which any compute or graphics work ran."),
            ("sm", "SM activity", "Share of the time, over all multiprocessors, in which one had work."),
            ("occupancy", "SM occupancy", "Warps that were resident, as a share of what fits."),
            ("tensor", "Tensor core activity", "Share of the time in which tensor cores worked."),
            ("memory", "Memory bandwidth activity", "Share of the bandwidth of the memory that was used."),
        )
    ),
    Metric(
        key="xid_last", name="Last XID error", kind=UNSIGNED, group="xid", valuemap="NVIDIA XID", reader="xid",
        call="nvmlEventSetWait_v2",
        text="Code of the last XID error since the service was started, or the host where the service reads the "
        "kernel's log; no value until there is one.",
    ),
    Metric(
        key="xid_last_time", name="Time of the last XID error", kind=UNSIGNED, unit="unixtime", group="xid",
        reader="xid", call="nvmlEventSetWait_v2",
        text="When it came.",
    ),
    Metric(
        key="xid_recent", name="Recent XID errors", kind=CHAR, group="xid", reader="xid", call="nvmlEventSetWait_v2",
        text="Codes that came lately (xid_memory of the service), each between two commas, the last one at the end; "
        "only a comma when there were none. Alarms stand on it.",
    ),
    *(
        Metric(
            key=f"xid_{kind.key}_last", name=f"Last XID error: {kind.name}", kind=UNSIGNED, group="xid", storage=SLOW,
            valuemap="NVIDIA XID", reader="xid", call="nvmlEventSetWait_v2",
            text=f"The last of the recent ones of this class. {kind.text} 0 when there is none.",
        )
        for kind in TO_MEND
    ),
    Metric(
        key="xid_count", name="XID errors", kind=UNSIGNED, group="xid", reader="xid", call="nvmlEventSetWait_v2",
        text="All since the service was started, or the host where the service reads the kernel's log, each "
        "repetition counted.",
    ),
    Metric(
        key="xid_events", name="XID events", kind=UNSIGNED, group="xid", reader="xid", call="nvmlEventSetWait_v2",
        text="The same, with repetitions of a code within a minute (xid_repeat of the service) counted once.",
    ),
    *(
        Metric(
            key=f"xid_{kind.key}", name=f"XID errors: {kind.name}", kind=UNSIGNED, group="xid", storage=SLOW,
            reader="xid", call="nvmlEventSetWait_v2",
            text=f"{kind.text} Each repetition counted.",
        )
        for kind in CLASSES
    ),
)  # fmt: skip

# Everything of a GPU that is an item, but for its presence.
GPU_ITEMS = (*GPU_METRICS, *GPU_RATES, *SAMPLED_METRICS)

GPM_METRICS = tuple(metric for metric in SAMPLED_METRICS if metric.group == "gpm")
GPM_READERS = tuple(metric.reader for metric in GPM_METRICS)
SAMPLED_READERS = tuple(dict.fromkeys(metric.reader for metric in SAMPLED_METRICS))
# Of these the driver keeps samples itself: one look shows the last seconds.
BUFFERED_METRICS = tuple(metric for metric in SAMPLED_METRICS if _BUFFER in metric.call)
BUFFERED_READERS = tuple(dict.fromkeys(metric.reader for metric in BUFFERED_METRICS))
