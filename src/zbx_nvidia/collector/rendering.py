"""The document as text: what does not fit is left out, and the document says what."""

# Without `from __future__ import annotations`: typing would compile the text of each annotation at each poll.
import json
from typing import Any

from zbx_nvidia.catalog.entities import ENTITIES
from zbx_nvidia.catalog.metrics import GPU_METRICS, GROUPS, Group
from zbx_nvidia.catalog.sampled import SAMPLED_METRICS
from zbx_nvidia.collector.document import MAX_ERRORS, Problem

# Zabbix 6.0 agents read no larger file, and MySQL stores no larger text.
LIMIT = 65_536


def render(document: dict[str, Any], limit: int = LIMIT) -> str:
    """The document as compact ASCII.

    Where it would not fit, whole groups of metrics are left out, the last of the catalog first, and
    `collector.errors` says so.
    """
    text = _text(document)
    for group in reversed(GROUPS):
        if len(text) <= limit:
            break
        _shed(document, group)
        text = _text(document)
    return text


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


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
    if group.on:  # else hardly anybody misses it, and the alarm on errors would stand for ever
        collector["error_count"] += 1
