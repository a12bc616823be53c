"""The fleet dashboard: all GPUs of all hosts, as a global dashboard, which belongs to no host.

It has the form of the API's dashboard.create. 6.0 has no honeycombs and no pie charts: there the problems, the hosts in
order, and the graphs over all hosts are all.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from zbx_nvidia.template.expressions import BY_REF
from zbx_nvidia.template.names import HOST_PREFIX
from zbx_nvidia.template.widgets import (
    COLORS,
    Fields,
    colors_of_column,
    decimals_of,
    honeycomb,
    item_pattern,
    problems,
    selected,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "NVIDIA GPU fleet"

# Numbers of the API for types of fields.
_TYPES = {"INTEGER": 0, "STRING": 1, "GROUP": 2}
_GRID = {"6.0": 3, "7.0": 1}
_LABEL = r'{HOST.NAME} {{ITEM.NAME}.regsub("^GPU ([0-9]+)","\1")}'
_TOP, _BOTTOM = "2", "3"


class _Widget(NamedTuple):
    kind: str
    title: str
    x: int
    y: int
    width: int
    height: int
    fields: Fields
    reference: str = ""
    of_groups: bool = False


def _ranking(title: str, ref: str, order: str, place: int, top: int) -> _Widget:
    """Hosts in the order of an item of theirs: shares as bars, all else as numbers on a color."""
    metric = BY_REF[ref]
    # 6.0 takes what has neither bar nor color for text, and sorts text in the other direction.
    look: Fields = (
        [("STRING", "columns.1.min", "0"), ("STRING", "columns.1.max", "100")]
        if metric.unit == "%"
        else colors_of_column(ref, 1)
    )
    fields: Fields = [
        ("STRING", "columns.0.name", "Host"),
        ("INTEGER", "columns.0.data", "2"),
        ("INTEGER", "columns.0.aggregate_function", "0"),
        ("STRING", "columns.0.base_color", ""),
        ("STRING", "columns.1.name", metric.name),
        ("INTEGER", "columns.1.data", "1"),
        ("STRING", "columns.1.item", HOST_PREFIX + metric.name),
        ("STRING", "columns.1.timeshift", ""),
        ("INTEGER", "columns.1.aggregate_function", "0"),
        ("INTEGER", "columns.1.display", "2" if metric.unit == "%" else "1"),
        ("INTEGER", "columns.1.history", "1"),
        ("INTEGER", "columns.1.decimal_places", decimals_of(metric)),
        ("STRING", "columns.1.base_color", "B3E5FC" if metric.unit == "%" else ""),
        *look,
        ("INTEGER", "column", "1"),
        ("INTEGER", "order", order),
    ]
    return _Widget("tophosts", title, place * 18, top, 18, 5, fields, of_groups=True)


def _of_all_hosts(pattern: str) -> Fields:
    """The data set of all items of that name, in shades of one color."""
    return [
        ("STRING", "ds.0.hosts.0", "*"),
        ("STRING", "ds.0.items.0", pattern),
        ("STRING", "ds.0.color", COLORS[1]),
    ]


def _by_host(title: str, ref: str, x: int, top: int, height: int) -> _Widget:
    """A graph with an area for each host, one on top of the other: their upper edge is the sum. In 6.0, lines."""
    fields: Fields = [
        *_of_all_hosts(HOST_PREFIX + BY_REF[ref].name),
        ("INTEGER", "ds.0.stacked", "1"),
        ("STRING", "lefty_min", "0"),
        ("INTEGER", "righty", "0"),
        ("INTEGER", "legend", "0"),
    ]
    return _Widget("svggraph", title, x, top, 36, height, fields)


def _every(title: str, ref: str, x: int, top: int) -> _Widget:
    """A graph with a line for each GPU of each host."""
    fields: Fields = [
        *_of_all_hosts(item_pattern(BY_REF[ref])),
        ("INTEGER", "ds.0.fill", "0"),
        ("INTEGER", "righty", "0"),
        ("INTEGER", "legend", "0"),
    ]
    return _Widget("svggraph", title, x, top, 36, 5, fields)


def _total(title: str, ref: str, x: int, top: int) -> _Widget:
    """A ring of all hosts with their total in the middle."""
    fields: Fields = [
        *_of_all_hosts(HOST_PREFIX + BY_REF[ref].name),
        ("INTEGER", "draw_type", "1"),
        ("INTEGER", "total_show", "1"),
        ("INTEGER", "decimal_places", decimals_of(BY_REF[ref])),
        ("INTEGER", "units_show", "1"),
        ("STRING", "units", BY_REF[ref].unit),
        ("INTEGER", "legend", "0"),
    ]
    return _Widget("piechart", title, x, top, 12, 4, fields)


_RANKED = (
    ("Hottest hosts", "host.temperature_headroom", _BOTTOM),
    ("Busiest hosts", "host.utilization", _TOP),
    ("Hosts with GPUs held but idle", "host.gpus_held_idle", _TOP),
    ("Hosts by power draw", "host.power", _TOP),
)


def _rankings(top: int) -> tuple[_Widget, ...]:
    return tuple(_ranking(title, ref, order, place, top) for place, (title, ref, order) in enumerate(_RANKED))


_PROBLEMS = _Widget("problems", "Problems", 0, 0, 36, 6, problems(), of_groups=True)
WIDGETS: dict[str, tuple[_Widget, ...]] = {
    "6.0": (
        _PROBLEMS,
        _by_host("GPUs lost by host", "host.gpus_lost", 36, 0, 6),
        *_rankings(6),
        _every("Temperature headroom", "gpu.temperature_headroom", 0, 11),
        _every("GPU utilization", "gpu.utilization", 36, 11),
        _by_host("Power draw by host", "host.power", 0, 16, 4),
        _by_host("GPUs present by host", "host.gpus_present", 36, 16, 4),
    ),
    "7.0": (
        _PROBLEMS,
        _Widget("honeycomb", "Presence", 36, 0, 36, 6, honeycomb("gpu.present", _LABEL), "NVFAA", of_groups=True),
        *(
            widget
            for place, (ref, cells, graph) in enumerate(
                (("gpu.temperature_headroom", "NVFAB", "NVFAC"), ("gpu.utilization", "NVFAD", "NVFAE"))
            )
            for widget in (
                _Widget(
                    "honeycomb", BY_REF[ref].name, place * 36, 6, 36, 6, honeycomb(ref, _LABEL), cells, of_groups=True
                ),
                _Widget(
                    "svggraph", f"{BY_REF[ref].name}: selected cell", place * 36, 12, 36, 4, selected(cells, ref), graph
                ),
            )
        ),
        *_rankings(16),
        _total("Power draw, all hosts", "host.power", 0, 21),
        _total("GPUs present, all hosts", "host.gpus_present", 12, 21),
        _total("GPUs lost, all hosts", "host.gpus_lost", 24, 21),
        _by_host("Power draw by host", "host.power", 36, 21, 4),
    ),
}


def pages(series: str, groupids: Sequence[str]) -> list[dict[str, Any]]:
    """The dashboard's pages for dashboard.create.

    Args:
        series: `6.0`, or `7.0` for it and newer ones.
        groupids: Host groups whose hosts it shows. Rings and graphs take every host that the viewer may see: Zabbix
            has no groups there.
    """
    form = "6.0" if series == "6.0" else "7.0"
    return [{"name": "Fleet", "widgets": [_api(widget, form, groupids) for widget in WIDGETS[form]]}]


def _api(widget: _Widget, form: str, groupids: Sequence[str]) -> dict[str, Any]:
    fields = list(widget.fields)
    if widget.of_groups:
        fields += [("GROUP", f"groupids.{place}", groupid) for place, groupid in enumerate(groupids)]
    if widget.reference:
        fields.append(("STRING", "reference", widget.reference))
    return {
        "type": widget.kind,
        "name": widget.title,
        "x": widget.x // _GRID[form],
        "y": widget.y,
        "width": widget.width // _GRID[form],
        "height": widget.height,
        "fields": [
            {"type": _TYPES[kind], "name": _field(name) if form == "6.0" else name, "value": value}
            for kind, name, value in fields
            if name not in _UNKNOWN[form]
        ],
    }


# 7.0 refuses the first when it draws the widget; 6.0 draws an error without it.
_UNKNOWN = {"7.0": {"columns.1.timeshift"}, "6.0": {"columns.1.decimal_places", "ds.0.stacked"}}


def _field(name: str) -> str:
    """The name in 6.0, where the number of a row comes last: ds.0.items.1 is ds.items.0.1 there."""
    name = re.sub(r"^(ds|columns|columnsthresholds)\.(\d+)\.([a-z_]+)", r"\1.\3.\2", name)
    return re.sub(r"^groupids\.\d+$", "groupids", name)
