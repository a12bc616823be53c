"""The host dashboard. 6.0 has item and graph-prototype widgets; 7.0 has honeycombs and graphs over all GPUs too.

Positions are on the grid of 7.0, 72 columns wide; 6.0's has 24.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from zbx_nvidia.catalog.graphs import GRAPHS
from zbx_nvidia.template.expressions import BY_REF, key
from zbx_nvidia.template.names import GPU_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable

    from zbx_nvidia.catalog.metrics import Metric

Tree = dict[str, Any]

NAME = "NVIDIA GPUs"

# A line for each GPU of the largest hosts.
_LINES = 16
_COLORS = ("1A7C11", "2774A4", "A54F10", "6C59DC", "D62728", "17A2B8", "AC8C14", "FC6EA3")

_HALF = 36
_QUARTER = 18
_NAME_OF_GRAPH = {graph.key: graph.name for graph in GRAPHS}


class Widget(NamedTuple):
    """One widget.

    Attributes:
        kind: `item`, `graphprototype`, `honeycomb` or `svggraph`.
        what: The metric, or the key of the graph.
        title: Its heading; "" for that of the graph.
        x: From the left, in columns.
        y: From the top, in rows.
        width: In columns.
        height: In rows.
    """

    kind: str
    what: str
    title: str
    x: int
    y: int
    width: int
    height: int


_HEAD = (
    Widget("item", "status.code", "Driver status", 0, 0, _QUARTER, 2),
    Widget("item", "host.gpu_count", "GPU count", _QUARTER, 0, _QUARTER, 2),
    Widget("item", "host.gpus_lost", "GPUs lost", 2 * _QUARTER, 0, _QUARTER, 2),
    Widget("item", "host.gpus_sick", "GPUs sick", 3 * _QUARTER, 0, _QUARTER, 2),
)


def _graphs(keys: tuple[str, ...], top: int = 0) -> tuple[Widget, ...]:
    return tuple(
        Widget("graphprototype", graph, "", place % 2 * _HALF, top + place // 2 * 5, _HALF, 5)
        for place, graph in enumerate(keys)
    )


# A card has either thresholds or margins: side by side, so that no row stays empty.
_TEMPERATURES = ("temperature", "temperature_margin")

PAGES: dict[str, dict[str, tuple[Widget, ...]]] = {
    "6.0": {
        "Overview": (*_HEAD, *_graphs(("utilization", "memory", *_TEMPERATURES), 2)),
        "Power, fan and clocks": _graphs(("power", "fan", "clocks", "codec")),
    },
    "7.0": {
        "Overview": (
            *_HEAD,
            Widget("honeycomb", "gpu.temperature", "Temperature", 0, 2, _HALF, 5),
            Widget("honeycomb", "gpu.utilization", "GPU utilization", _HALF, 2, _HALF, 5),
            Widget("svggraph", "gpu.temperature", "Temperature", 0, 7, _HALF, 5),
            Widget("svggraph", "gpu.utilization", "GPU utilization", _HALF, 7, _HALF, 5),
            Widget("svggraph", "gpu.power", "Power draw", 0, 12, _HALF, 5),
            Widget("svggraph", "gpu.memory_used_percent", "Memory used, in %", _HALF, 12, _HALF, 5),
        ),
        "Single GPUs": _graphs(("utilization", "memory", "power", "clocks", *_TEMPERATURES, "fan", "codec")),
    },
}


def build(template: str, series: str, make_uuid: Callable[..., str]) -> Tree:
    """The dashboard for a series, in neutral form.

    Args:
        template: Name of the template.
        series: `6.0` or `7.0`.
        make_uuid: Returns the UUID of a path.
    """
    pages = [
        {"name": name, "widgets": [_widget(widget, template, number, place) for place, widget in enumerate(widgets)]}
        for number, (name, widgets) in enumerate(PAGES[series].items())
    ]
    return {"uuid": make_uuid("dashboard", "gpus"), "name": NAME, "auto_start": "NO", "pages": pages}


def _widget(widget: Widget, template: str, page: int, place: int) -> Tree:
    # Five capital letters, unique on the dashboard, by which widgets of 7.0 refer to one another.
    reference = f"NVG{chr(ord('A') + page)}{chr(ord('A') + place)}"
    return {
        "type": widget.kind,
        "name": widget.title,
        "x": str(widget.x),
        "y": str(widget.y),
        "width": str(widget.width),
        "height": str(widget.height),
        "fields": [
            {"type": kind, "name": name, "value": value} for kind, name, value in _fields(widget, template, reference)
        ],
    }


def _fields(widget: Widget, template: str, reference: str) -> list[tuple[str, str, Any]]:
    if widget.kind == "item":
        shown = [("INTEGER", f"show.{place}", str(part)) for place, part in enumerate((2, 4))]  # value, change
        item = {"host": template, "key": key(BY_REF[widget.what])}
        return [("ITEM", "itemid.0", item), ("INTEGER", "decimal_places", "0"), *shown]
    if widget.kind == "graphprototype":
        name = GPU_PREFIX + _NAME_OF_GRAPH[widget.what]
        return [
            ("INTEGER", "columns", "1"),
            ("GRAPH_PROTOTYPE", "graphid.0", {"host": template, "name": name}),
            ("STRING", "reference", reference),
        ]
    metric = BY_REF[widget.what]
    # Only a GPU's own items: their prefix ends in its short UUID, “[1a2b3c4d]”; the prefix of a part's items does not.
    if widget.kind == "honeycomb":
        return [
            ("STRING", "items.0", f"GPU *]: {metric.name}"),
            # "GPU 3", without model and metric: the cell is small, and the heading has the metric.
            ("STRING", "primary_label", '{{ITEM.NAME}.regsub("^(GPU [0-9]+)","\\1")}'),
            ("STRING", "reference", reference),
            ("INTEGER", "secondary_label_decimal_places", "0"),
            ("STRING", "secondary_label", "{ITEM.LASTVALUE}"),
        ]
    return [
        *(field for gpu in range(_LINES) for field in _line(gpu, metric)),
        ("STRING", "lefty_min", "0"),
        *([("STRING", "lefty_max", "100")] if metric.unit == "%" else []),
        ("INTEGER", "legend_lines", "4"),
        ("INTEGER", "legend_columns", "2"),
        ("INTEGER", "righty", "0"),
        ("STRING", "reference", reference),
    ]


def _line(gpu: int, metric: Metric) -> list[tuple[str, str, Any]]:
    """A data set for each GPU: one for all would draw them in shades of one color, filled one over the other."""
    return [
        ("STRING", f"ds.{gpu}.color", _COLORS[gpu % len(_COLORS)]),
        ("INTEGER", f"ds.{gpu}.fill", "0"),
        ("STRING", f"ds.{gpu}.items.0", f"GPU {gpu} *]: {metric.name}"),
        ("INTEGER", f"ds.{gpu}.transparency", "0"),
    ]
