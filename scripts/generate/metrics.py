"""docs/METRICS.md."""

from __future__ import annotations

from scripts.generate.page import HEAD, STORED
from zbx_nvidia.catalog.entities import DOCUMENT, ENTITIES, LINKS_DOCUMENT, Entity
from zbx_nvidia.catalog.metrics import GROUPS, HOST_METRICS, PRESENT, Metric
from zbx_nvidia.catalog.sampled import GPU_ITEMS
from zbx_nvidia.catalog.status import STATUSES
from zbx_nvidia.catalog.storage import heartbeat
from zbx_nvidia.collector.rendering import FILE_LIMIT, PRINTED_LIMIT
from zbx_nvidia.template.build import switch
from zbx_nvidia.template.expressions import key


def metrics() -> str:
    """docs/METRICS.md."""
    parts = [
        HEAD,
        "# Metrics\n",
        "Values are in base units. If a card does not report a value, its item does not exist.\n",
        (
            f"One agent check per poll, `{DOCUMENT}`, fetches everything except single NVLinks. The other items depend "
            f"on it. A document has at most {PRINTED_LIMIT:,} bytes, that of the "
            f"service {FILE_LIMIT:,} unless all agents that read it are 7.0 or newer.\n"
        ),
        "## Host\n",
        _table(HOST_METRICS),
        "## GPU\n",
        (
            "Each GPU has a set of items, keyed by its UUID. A macro switches off a group of items: set "
            f"`{{{switch('fan')}}}` to 0, on the template or a host.\n"
        ),
    ]
    for group in GROUPS:
        rows = tuple(metric for metric in (PRESENT, *GPU_ITEMS) if metric.group == group.name)
        if not rows:
            continue
        title = f"### {group.label}\n"
        state = "on" if group.on else "off"
        macro = "" if group.name == PRESENT.group else f"Switch: `{{{switch(group.name)}}}`, {state} by default.\n"
        parts += [title, *([macro] if macro else []), _table(rows)]
    for entity in ENTITIES:
        parts += [f"## {entity.title}\n", f"{entity.text}\n", f"{_switch_of(entity)}\n", _table(entity.metrics)]
    parts += ["## Driver status\n", _status_table()]
    return "\n".join(parts)


def _switch_of(entity: Entity) -> str:
    names = {metric.group for metric in entity.metrics}
    switches = [
        f"`{{{switch(group.name)}}}`, {'on' if group.on else 'off'} by default"
        for group in GROUPS
        if group.name in names
    ]
    line = f"Switch{'es' if len(switches) > 1 else ''}: {'; '.join(switches)}."
    if entity.document == LINKS_DOCUMENT:
        line += f" Also enable the item `{LINKS_DOCUMENT}` on a host or on the template: it is disabled by default."
    return line


def _table(rows: tuple[Metric, ...]) -> str:
    lines = ["| Item | Key | Unit | Stored | NVML | nvidia-smi | Meaning |", "|---|---|---|---|---|---|---|"]
    for metric in rows:
        call = ", ".join(f"`{name}`" for name in metric.call.split(", ") if name)
        smi = f"`{metric.smi}`" if metric.smi else ""
        cells = (metric.name, f"`{key(metric)}`", metric.unit, STORED[heartbeat(metric)], call, smi, metric.text)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _status_table() -> str:
    lines = ["| Code | Name | What to do |", "|---|---|---|"]
    lines += [f"| {status.code} | {status.name} | {status.remedy}. |" for status in STATUSES]
    return "\n".join(lines) + "\n"
