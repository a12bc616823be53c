"""The host dashboard. 6.0 has item and graph-prototype widgets; 7.0 has all widgets, which can listen to one another.

The pages are the same for every host: those that a single home card fills come first, and none is all empty on it.
Positions are on the grid of 7.0, 72 columns wide; 6.0's has 24.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from zbx_nvidia.catalog.graphs import GRAPHS
from zbx_nvidia.template.expressions import BY_REF, key
from zbx_nvidia.template.names import GPU_PREFIX
from zbx_nvidia.template.widgets import (
    COLORS,
    Fields,
    decimals_of,
    honeycomb,
    item_pattern,
    limits_of,
    problems,
    selected,
    thresholds_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

Tree = dict[str, Any]

NAME = "NVIDIA GPUs"

# A line for each GPU of the largest hosts.
_LINES = 16
_HALF, _THIRD, _QUARTER, _SIXTH, _EIGHTH = 36, 24, 18, 12, 9
# GPUs below one another. The arrows of a graph lead to the next ones.
_ROWS = 8
_NARROW = 22
_NAME_OF_GRAPH = {graph.key: graph.name for graph in GRAPHS}


class Widget(NamedTuple):
    """One widget.

    Attributes:
        kind: `item`, `graphprototype`, `problems`, `problemsbysv` (their number by severity), `honeycomb`, `svggraph`,
            or `selected`: the graph of the cell that was clicked in a honeycomb.
        what: The metric; or the key of the graph; or, of `selected`, the metric of the honeycomb on its page.
        title: Its heading; "" for that of the graph.
        x: From the left, in columns.
        y: From the top, in rows.
        width: In columns.
        height: In rows.
        rows: Of a graph prototype: for how many GPUs, one below the other.
    """

    kind: str
    what: str
    title: str
    x: int
    y: int
    width: int
    height: int
    rows: int = 1


# Fields of widgets that show no metric.
_CONSTANT: dict[str, Fields] = {
    "problems": problems(),
    "problemsbysv": [("INTEGER", "show_type", "1"), ("INTEGER", "layout", "1")],  # one number a severity, in a column
}


def _name(ref: str) -> str:
    """Names of metrics are unique only among those of a GPU, or of its parts and users."""
    metric = BY_REF[ref]
    return {"user": "Users: ", "mig": "MIG: "}.get(metric.entity, "") + metric.name


# The headings are short: a tile is an eighth of the screen, or half of a phone's.
_TILES = (
    ("status.code", "Driver status"),
    ("host.gpus_present", "GPUs present"),
    ("host.gpus_lost", "GPUs lost"),
    ("host.gpus_sick", "GPUs sick"),
    ("host.temperature_headroom", "Headroom"),
    ("host.power", "Power draw"),
)


def _tiles(x: int, y: int, width: int, columns: int) -> tuple[Widget, ...]:
    return tuple(
        Widget("item", ref, title, x + place % columns * width, y + place // columns * 2, width, 2)
        for place, (ref, title) in enumerate(_TILES)
    )


def _row_for_each_gpu(*keys: str, top: int = 0) -> tuple[Widget, ...]:
    """Three graphs of each GPU, side by side: with four, 6.0 cuts headings and legends at 1920 px."""
    return tuple(
        Widget("graphprototype", graph, "", place * _THIRD, top, _THIRD, 4 * _ROWS, rows=_ROWS)
        for place, graph in enumerate(keys)
    )


def _single(keys: tuple[str, ...]) -> tuple[Widget, ...]:
    """Graphs of one GPU a page, two side by side."""
    return tuple(
        Widget("graphprototype", graph, "", place % 2 * _HALF, place // 2 * 5, _HALF, 5)
        for place, graph in enumerate(keys)
    )


def _compared(*refs: str, top: int = 0) -> tuple[Widget, ...]:
    """Graphs with a line for each GPU, two side by side."""
    return tuple(
        Widget("svggraph", ref, _name(ref), place % 2 * _HALF, top + place // 2 * 5, _HALF, 5)
        for place, ref in enumerate(refs)
    )


_COMBS = ("gpu.temperature_headroom", "gpu.utilization", "gpu.memory_used_percent")

PAGES: dict[str, dict[str, tuple[Widget, ...]]] = {
    "6.0": {
        "Overview": (*_tiles(0, 0, _SIXTH, 6), *_row_for_each_gpu("headroom", "utilization", "memory", top=2)),
        # A home card without the service has the encoder and the fan of the last two. An H100 has no fan.
        "Power, clocks and throttling": _row_for_each_gpu("power", "clocks", "throttling"),
        "Activity and errors": _row_for_each_gpu("codec", "gpm", "ecc"),
        "Links and fan": _row_for_each_gpu("pcie", "nvlink", "fan"),
    },
    "7.0": {
        "Overview": (
            Widget("problems", "", "Problems", 0, 0, _HALF, 6),
            Widget("honeycomb", "gpu.present", "Presence", _HALF, 0, _QUARTER, 6),
            *_tiles(_HALF + _QUARTER, 0, _EIGHTH, 2),
            *(
                Widget(kind, ref, title, place * _THIRD, y, _THIRD, height)
                for place, ref in enumerate(_COMBS)
                for kind, title, y, height in (
                    ("honeycomb", _name(ref), 6, 5),
                    ("selected", f"{_name(ref)}: selected cell", 11, 4),
                )
            ),
            *_compared("gpu.temperature", "gpu.power", "gpu.utilization", "gpu.memory_used_percent", top=15),
        ),
        "Heat and power": _compared(
            "gpu.temperature",
            "gpu.temperature_headroom",
            "gpu.power",
            "gpu.power_percent",
            "gpu.fan_speed",
            "gpu.clock_sm",
            "gpu.temperature_memory",
            "gpu.sampled_power_peak",
        ),
        "Throttling": _compared(
            "gpu.throttle_share_power",
            "gpu.throttle_share_sw_thermal",
            "gpu.throttle_share_hw_thermal",
            "gpu.throttle_share_power_brake",
        ),
        "Memory and errors": _compared(
            "gpu.memory_used",
            "gpu.utilization_memory",
            "gpu.ecc_corrected_volatile",
            "gpu.ecc_uncorrected_volatile",
            "gpu.remapped_uncorrected",
            "gpu.remapped_corrected",
            "gpu.retired_pages_single",
            "gpu.retired_pages_double",
        ),
        "Links": _compared(
            "gpu.pcie_generation",
            "gpu.pcie_width",
            "gpu.sampled_pcie_sent",
            "gpu.sampled_pcie_received",
            "gpu.nvlink_sent_rate",
            "gpu.nvlink_received_rate",
            "gpu.nvlink_up",
            "gpu.fabric_state",
        ),
        "Activity": _compared(
            "gpu.utilization",
            "gpu.sampled_utilization_peak",
            "gpu.utilization_encoder",
            "gpu.utilization_decoder",
            "gpu.gpm_sm",
            "gpu.gpm_tensor",
            "gpu.gpm_occupancy",
            "gpu.gpm_memory",
        ),
        "Processes, users and MIG": _compared(
            "gpu.processes",
            "gpu.process_oldest",
            "user.memory",
            "user.utilization",
            "mig.memory_used_percent",
            "mig.gpm_sm",
        ),
        "Single GPUs": _single(("headroom", "utilization", "memory", "power", "clocks", "throttling", "codec", "fan")),
        # Zabbix draws a page at least 1200 px wide: of that, a screen of 390 px shows the first 22 columns.
        "Phone": (
            Widget("problemsbysv", "", "Problems", 0, 0, _NARROW, 3),
            *_tiles(0, 3, _NARROW // 2, 2),
            *(
                Widget("honeycomb", ref, _name(ref), 0, 9 + 4 * place, _NARROW, 4)
                for place, ref in enumerate(("gpu.present", *_COMBS))
            ),
        ),
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
        {"name": name, "widgets": [_widget(widgets, place, template, number) for place in range(len(widgets))]}
        for number, (name, widgets) in enumerate(PAGES[series].items())
    ]
    return {"uuid": make_uuid("dashboard", "gpus"), "name": NAME, "auto_start": "NO", "pages": pages}


def _reference(page: int, place: int) -> str:
    """Five capital letters, unique on the dashboard, by which widgets of 7.0 refer to one another."""
    return f"NVG{chr(ord('A') + page)}{chr(ord('A') + place)}"


def _widget(widgets: tuple[Widget, ...], place: int, template: str, page: int) -> Tree:
    widget = widgets[place]
    if widget.kind == "selected":
        (comb,) = (other for other, one in enumerate(widgets) if one[:2] == ("honeycomb", widget.what))
        fields = selected(_reference(page, comb), widget.what)
    else:
        fields = _fields(widget, template)
    return {
        "type": "svggraph" if widget.kind == "selected" else widget.kind,
        "name": widget.title,
        "x": str(widget.x),
        "y": str(widget.y),
        "width": str(widget.width),
        "height": str(widget.height),
        "fields": [
            {"type": kind, "name": name, "value": value}
            for kind, name, value in [*fields, ("STRING", "reference", _reference(page, place))]
        ],
    }


def _fields(widget: Widget, template: str) -> Fields:
    if widget.kind == "item":
        shown: Fields = [("INTEGER", f"show.{place}", str(part)) for place, part in enumerate((2, 4))]  # value, change
        metric = BY_REF[widget.what]
        item = {"host": template, "key": key(metric)}
        decimals: Fields = [("INTEGER", "decimal_places", decimals_of(metric))]
        return [("ITEM", "itemid.0", item), *decimals, *shown, *thresholds_of(widget.what)]
    if widget.kind == "graphprototype":
        name = GPU_PREFIX + _NAME_OF_GRAPH[widget.what]
        return [
            ("INTEGER", "columns", "1"),
            ("INTEGER", "rows", str(widget.rows)),
            ("GRAPH_PROTOTYPE", "graphid.0", {"host": template, "name": name}),
        ]
    if widget.kind in _CONSTANT:
        return _CONSTANT[widget.kind]
    if widget.kind == "honeycomb":
        # "GPU 3", without model and metric: the cell is small, and the heading has the metric.
        return honeycomb(widget.what, r'{{ITEM.NAME}.regsub("^(GPU [0-9]+)","\1")}')
    return _lines(widget.what)


def _lines(ref: str) -> Fields:
    metric = BY_REF[ref]
    return [
        *(field for line in _sets(ref) for field in line),
        *limits_of(ref),
        ("INTEGER", "legend_lines_mode", "1"),  # as many as it takes, up to
        ("INTEGER", "legend_lines", "8"),
        # The name of a MIG instance has its profile, and is cut in half of the width.
        ("INTEGER", "legend_columns", "2" if metric.entity == "gpu" else "1"),
        ("INTEGER", "righty", "0"),
    ]


def _sets(ref: str) -> list[Fields]:
    """The data sets of a graph: one for each GPU.

    One for all would draw them in shades of one color, filled one over the other. Users and MIG instances have no
    number to tell them by.
    """
    metric = BY_REF[ref]
    patterns = (
        [f"GPU {gpu} *]: {metric.name}" for gpu in range(_LINES)] if metric.entity == "gpu" else [item_pattern(metric)]
    )
    return [
        [
            ("STRING", f"ds.{place}.color", COLORS[place % len(COLORS)]),
            ("INTEGER", f"ds.{place}.fill", "0"),
            ("STRING", f"ds.{place}.items.0", pattern),
            ("INTEGER", f"ds.{place}.transparency", "0"),
        ]
        for place, pattern in enumerate(patterns)
    ]
