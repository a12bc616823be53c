"""What takes more than one look: peaks between two polls, XID errors. One row each, as in `metrics`.

A collector that is started for each poll has these readers among {#LACKS}, so that their items are never created; but
for those of which the driver keeps samples itself.
"""

from __future__ import annotations

from zbx_nvidia.catalog.metrics import CHAR, FLOAT, GPU_METRICS, GPU_RATES, LIVE, SLOW, UNSIGNED, Metric
from zbx_nvidia.catalog.xid_actions import CLASSES, TO_MEND

# What is made of the samples of the window.
PEAK, AVERAGE, P95 = "peak", "average", "p95"

# Method of the driver's `Probe`: what it samples.
_SAMPLED = (
    ("utilization", "GPU utilization", UNSIGNED, "%", "nvmlDeviceGetUtilizationRates, nvmlDeviceGetSamples"),
    (
        "power", "Power draw", FLOAT, "W",
        "nvmlDeviceGetFieldValues, nvmlDeviceGetPowerUsage, nvmlDeviceGetSamples",
    ),
    ("temperature", "Temperature", UNSIGNED, "°C", "nvmlDeviceGetTemperatureV"),
    ("temperature_memory", "Memory temperature", UNSIGNED, "°C", "nvmlDeviceGetFieldValues"),
    ("clock_sm", "SM clock", UNSIGNED, "Hz", "nvmlDeviceGetClockInfo, nvmlDeviceGetSamples"),
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


def _row(  # noqa: PLR0913, PLR0917  one argument a column
    key: str,
    name: str,
    kind: str,
    unit: str,
    group: str,
    reader: str,
    field: str,
    storage: str,
    call: str,
    text: str,
    valuemap: str = "",
) -> Metric:
    return Metric("gpu", key, name, kind, unit, group, reader, field, storage, valuemap, call, "", text)


def _xid(key: str, name: str, kind: str, text: str, unit: str = "", valuemap: str = "", storage: str = LIVE) -> Metric:  # noqa: PLR0913, PLR0917  as above
    return _row(key, name, kind, unit, "xid", "xid", "", storage, "nvmlEventSetWait_v2", text, valuemap)


SAMPLED_METRICS = (
    *(
        _row(
            f"sampled_{key}_{what}", f"{name}, {_WORDS[what][0]}", FLOAT if what == AVERAGE else kind, unit, "peaks",
            f"sampled_{key}", what, LIVE, call, _WORDS[what][1] + (_BUFFERED if _BUFFER in call else ""),
        )
        for key, name, kind, unit, call in _SAMPLED
        for what in _WORDS
        if (key, what) not in _NO_ROOM
    ),
    *(
        _row(
            f"sampled_pcie_{word}", f"PCIe data {word} per second", FLOAT, "Bps", "peaks", f"sampled_pcie_{word}",
            AVERAGE, LIVE, "nvmlDeviceGetPcieThroughput",
            "Mean of the samples of the last minute, each of them over 20 ms.",
        )
        for word in ("sent", "received")
    ),
    *(
        _row(
            f"gpm_{key}", name, FLOAT, "%", "gpm", f"gpm_{key}", "", LIVE, "nvmlGpmMetricsGet", f"{text} {_GPM}",
        )
        for key, name, text in (
            ("graphics", "Graphics engine activity", "Share of the time in which any compute or graphics work ran."),
            ("sm", "SM activity", "Share of the time, over all multiprocessors, in which one had work."),
            ("occupancy", "SM occupancy", "Warps that were resident, as a share of what fits."),
            ("tensor", "Tensor core activity", "Share of the time in which tensor cores worked."),
            ("memory", "Memory bandwidth activity", "Share of the bandwidth of the memory that was used."),
        )
    ),
    _xid(
        "xid_last", "Last XID error", UNSIGNED,
        "Code of the last XID error since the service was started, or the host where the service reads the kernel's "
        "log; no value until there is one.",
        valuemap="NVIDIA XID",
    ),
    _xid(
        "xid_last_time", "Time of the last XID error", UNSIGNED, "When it came.", "unixtime",
    ),
    _xid(
        "xid_recent", "Recent XID errors", CHAR,
        "Codes that came lately (xid_memory of the service), each between two commas, the last one at the end; only a "
        "comma when there were none. Alarms stand on it.",
    ),
    *(
        _xid(
            f"xid_{kind.key}_last", f"Last XID error: {kind.name}", UNSIGNED,
            f"The last of the recent ones of this class. {kind.text} 0 when there is none.",
            valuemap="NVIDIA XID", storage=SLOW,
        )
        for kind in TO_MEND
    ),
    _xid(
        "xid_count", "XID errors", UNSIGNED,
        "All since the service was started, or the host where the service reads the kernel's log, each repetition "
        "counted.",
    ),
    _xid(
        "xid_events", "XID events", UNSIGNED,
        "The same, with repetitions of a code within a minute (xid_repeat of the service) counted once.",
    ),
    *(
        _xid(
            f"xid_{kind.key}", f"XID errors: {kind.name}", UNSIGNED, f"{kind.text} Each repetition counted.",
            storage=SLOW,
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
