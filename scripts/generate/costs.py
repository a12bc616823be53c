"""docs/COSTS.md: the load of a GPU on the server, and the size of the server."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

from scripts.generate.page import HEAD, ROOT
from scripts.generate.stored import PATH, per_hour
from zbx_nvidia.catalog.alerts import ALERTS
from zbx_nvidia.catalog.metrics import GROUPS, HOST_METRICS, PRESENT, Metric
from zbx_nvidia.catalog.sampled import BUFFERED_METRICS, GPU_ITEMS, SAMPLED_METRICS
from zbx_nvidia.catalog.storage import heartbeat
from zbx_nvidia.template.build import HISTORY, TRENDS
from zbx_nvidia.template.expressions import metrics_in

if TYPE_CHECKING:
    from collections.abc import Sequence

# Bytes, measured on Zabbix 7.0.22 with PostgreSQL 17 and 20 hosts of the simulated h100x8, the memory by Zabbix's own
# items zabbix[rcache,...], zabbix[vcache,...] and zabbix[wcache,...].
MIB, GIB = 2**20, 2**30
BASE = 9 * MIB  # configuration cache of a new server with its own templates
CONFIGURATION = 1500  # per item, with its share of triggers and all else; 113 such hosts took 122 MB
INDEX = 90  # per item with values to write: with 48,000 of them the default of 4 MiB was full
TREND = 95  # per item
# Per item, with the values of its triggers' periods: 270 after 20 minutes, and the longest periods are days.
VALUES = 600
STORED_VALUE = 100  # with its index, in the table history_uint
STORED_TREND = 110  # a row per hour, in the table trends_uint
SPARE = 1.5
DEFAULTS = {"CacheSize": 32, "HistoryIndexCacheSize": 4, "TrendCacheSize": 4, "ValueCacheSize": 8}  # MiB


def costs() -> str:
    """docs/COSTS.md, for a card of each simulated machine, from the golden documents."""
    parts = [
        HEAD,
        "# Costs\n",
        (
            "What one GPU of each simulated machine adds to Zabbix, by default and with all groups switched on. "
            f"Each host adds {len(HOST_METRICS) + 1} items and {sum(alert.entity == 'host' for alert in ALERTS)} "
            f"triggers. Resident mode adds up to {len(SAMPLED_METRICS) - len(BUFFERED_METRICS)} items and "
            f"{sum('@gpu.xid' in alert.expression for alert in ALERTS)} triggers per GPU.\n"
        ),
        (
            "The values are those that Zabbix stores of a simulated card at work, at one poll per minute, counted over "
            "two hours. Most readings are stored when they change and once an hour, and lines of graphs each 3 min. "
            "A card at rest has fewer. In resident mode, peaks and activity change with each poll.\n"
        ),
        (
            "Stored each poll is what alerts evaluate over a period, and what reports average: utilization, memory, "
            "power, processes. Average nothing else: Zabbix counts each stored value alike, however long it lasted.\n"
        ),
        "| Machine | Items | Triggers | Values per hour | Items, all on | Triggers, all on | Values per hour, all on |",
        "|---|---|---|---|---|---|---|",
    ]
    for path in sorted((ROOT / "tests/golden").glob("*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        cells = []
        for everything in (False, True):
            rows = items_of_a_gpu(document, everything=everything)
            refs = {metric.ref for metric in (*HOST_METRICS, *rows)}
            triggers = sum(
                alert.entity == "gpu"
                and {metric.ref for metric in metrics_in(alert.expression)} <= refs
                and not (alert.unless and alert.unless in {metric.reader for metric in rows})
                for alert in ALERTS
            )
            cells += [len(rows), triggers, round(values_per_hour(path.stem, rows))]
        parts.append(f"| {path.stem} | " + " | ".join(f"{cell:,}" for cell in cells) + " |")
    return "\n".join([*parts, "", *sizes()]) + "\n"


def items_of_a_gpu(document: dict[str, Any], *, everything: bool = False) -> list[Metric]:
    """What is discovered of the first GPU of a document, by default or with all groups on."""
    readings = next(iter(document["gpus"].values()))
    on = {group.name for group in GROUPS if group.on or everything}
    return [
        metric
        for metric in (PRESENT, *GPU_ITEMS)
        if metric.group in on and (metric is PRESENT or (metric.counter or metric.key) in readings)
    ]


def values_per_hour(profile: str, rows: Sequence[Metric]) -> float:
    """How many values of these items Zabbix stores per hour while the simulated card works."""
    return sum(per_hour(metric, _moves()[profile]) for metric in rows)


@functools.cache
def _moves() -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = json.loads(PATH.read_text(encoding="utf-8"))
    return found


def sizes() -> list[str]:
    """What a server needs for many hosts, estimated from what a few were seen to need."""
    document = json.loads((ROOT / "tests/golden/h100x8.json").read_text(encoding="utf-8"))
    gpus = len(document["gpus"])
    rows = [*HOST_METRICS, *items_of_a_gpu(document) * gpus]
    items = len(rows) + 1
    values = values_per_hour("h100x8", rows)
    trends = sum(1 / 24 if heartbeat(metric) == "1d" else 1 for metric in rows if metric.kind in {"UNSIGNED", "FLOAT"})
    lines = [
        "## The server's size\n",
        (
            "Set these caches in zabbix_server.conf before you add the hosts. The server stops if its configuration "
            "cache (“please increase CacheSize”) or its history index is full.\n"
        ),
        (
            "The table is for hosts with eight H100s, the default groups and one poll per minute. “default” is the "
            f"default of Zabbix. Such a host has {items} items. For other hosts, count the items with the table above. "
            "Add what else the server monitors.\n"
        ),
        (
            "The sizes are estimated from 20 such hosts on Zabbix 7.0.22, plus 50 %, rounded up to a power of two. Per "
            f"item, with its share of triggers, they are {CONFIGURATION:,} bytes of the configuration cache, {INDEX} "
            f"of the history index, {TREND} of the trend cache and {VALUES} of the value cache.\n"
        ),
        (
            f"Disk space is for PostgreSQL without compression: {HISTORY} days of values at {STORED_VALUE} bytes each, "
            f"and {TRENDS} days of hourly trends at {STORED_TREND} bytes each.\n"
        ),
        "| Hosts | Items | Values per second | " + " | ".join(DEFAULTS) + " | Disk, values | Disk, trends |",
        "|" + "---|" * (5 + len(DEFAULTS)),
    ]
    for hosts in (10, 30, 100, 300, 625):
        count = hosts * items
        needs = (BASE + count * CONFIGURATION, count * INDEX, count * TREND, count * VALUES)
        caches = [_cache(need, default) for need, default in zip(needs, DEFAULTS.values(), strict=True)]
        disk = (hosts * values * 24 * HISTORY * STORED_VALUE, hosts * trends * 24 * TRENDS * STORED_TREND)
        cells = [f"{hosts:,}", f"{count:,}", f"{hosts * values / 3600:,.0f}", *caches]
        lines.append("| " + " | ".join([*cells, *(f"{size / 1e9:,.0f} GB" for size in disk)]) + " |")
    return lines


def _cache(need: float, default: int) -> str:
    """A size in the notation of the server's configuration."""
    size = default
    while size * MIB < need * SPARE:
        size *= 2
    if size == default:
        return "default"
    return f"{size}M" if size * MIB < GIB else f"{size * MIB // GIB}G"
