"""The document as text: what does not fit is left out, and the document says what."""

# Without `from __future__ import annotations`: typing would compile the text of each annotation at each poll.
import json
from typing import Any

from zbx_nvidia.catalog.entities import ENTITIES
from zbx_nvidia.catalog.metrics import GPU_METRICS, GROUPS, Group
from zbx_nvidia.catalog.sampled import SAMPLED_METRICS
from zbx_nvidia.collector.document import MAX_ERRORS, MAX_PROCESSES, Problem, cut, memory

# Bytes that an agent takes, by the way it reads the document: a file (agents before 7.0, and from 7.0 on), or what a
# UserParameter prints (before 7.0; from 7.0 on it is as much as of a file). The document itself is not stored.
FILE_LIMIT = 65_536
LARGE_FILE_LIMIT = 16 << 20
PRINTED_LIMIT = 512 << 10

# In this order groups are kept: of those that do not fit, the last ones are left out first. What is off unless somebody
# switches it on is left out before all others, in the order of the catalog.
KEPT = (
    "health",
    "xid",
    "ecc",
    "inventory",
    "temperature",
    "power",
    "memory",
    "utilization",
    "nvlink",
    "pcie",
    "throttling",
    "fan",
    "mig",
    "vgpu",
    "processes",
    "jobs",
    "clocks",
    "modes",
    "peaks",
    "codec",
    "gpm",
)

_ORDER = (
    *sorted((group for group in GROUPS if group.on), key=lambda group: KEPT.index(group.name)),
    *(group for group in GROUPS if not group.on),
)


def render(document: dict[str, Any], limit: int = PRINTED_LIMIT - 1) -> str:
    """The document as compact ASCII.

    Where it would not fit, fewer processes are listed. If that does not suffice, whole groups of metrics are left out,
    the last of `KEPT` first; `collector.errors` and `collector.left_out` say which.

    Args:
        document: As `build` makes it.
        limit: How many bytes it may have.
    """
    text = _text(document)
    if len(text) > limit:
        _shorten(document)
        text = _text(document)
    for group in reversed(_ORDER):
        if len(text) <= limit:
            break
        _shed(document, group)
        text = _text(document)
    return text


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _shorten(document: dict[str, Any]) -> None:
    """Keep half of the listed processes, the largest: eight divided GPUs, busy to the last instance, fit so."""
    lists = [readings["process_list"] for readings in document.get("gpus", {}).values() if "process_list" in readings]
    kept = sorted((entry for entries in lists for entry in entries), key=memory, reverse=True)[: MAX_PROCESSES // 2]
    for entries in lists:
        entries[:] = [entry for entry in entries if any(entry is one for one in kept)]


def _shed(document: dict[str, Any], group: Group) -> None:
    """Leave a group out. Without its rows a rule stays as it is: nothing is given up for want of room."""
    keys = [metric.key for metric in (*GPU_METRICS, *SAMPLED_METRICS) if metric.group == group.name]
    sections = [
        entity.section for entity in ENTITIES if entity.metrics[0].group == group.name and entity.section in document
    ]
    if not any(keys) and not sections:
        return
    for readings in document.get("gpus", {}).values():
        for key in keys:
            readings.pop(key, None)
    for section in sections:
        document.pop(section)
        document["discovery"].pop(section, None)
    collector = document["collector"]
    collector["errors"] = collector["errors"][: MAX_ERRORS - 1]
    collector["errors"].insert(0, Problem("", group.name, 0, "left out: the document would be too large")._asdict())
    if group.on:  # else hardly anybody misses it, and the alarm would stand for ever
        collector["left_out"] = cut(", ".join(filter(None, (collector["left_out"], group.label))))
