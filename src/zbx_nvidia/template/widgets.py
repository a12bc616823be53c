"""The fields of widgets that the host dashboard and the fleet dashboard have in common, for 7.0 and newer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zbx_nvidia.catalog.graphs import VALUEMAPS
from zbx_nvidia.template.expressions import BY_REF

if TYPE_CHECKING:
    from zbx_nvidia.catalog.metrics import Metric

# Type, name and value of each, in the words of an export.
Fields = list[tuple[str, str, Any]]

COLORS = ("1A7C11", "2774A4", "A54F10", "6C59DC", "D62728", "17A2B8", "AC8C14", "FC6EA3")
_GOOD, _FAIR, _POOR, _BAD = "66BB6A", "FFEE58", "FFA726", "EF5350"
# Without a verdict: a busy GPU is as well as an idle one.
_CALM, _BUSY, _FULL = "ECEFF1", "B3E5FC", "4FC3F7"

_ANY_IS_BAD = (("0", _GOOD), ("1", _BAD))
_NONE_IS_BAD = (("0", _BAD), ("1", _GOOD))
_DEGREES_LEFT = (("-100", _BAD), ("5", _POOR), ("10", _FAIR), ("15", _GOOD))
# From which value on a metric has a color. Below the first one a widget has none.
_THRESHOLDS: dict[str, tuple[tuple[str, str], ...]] = {
    "status.code": _ANY_IS_BAD,
    "host.gpus_present": _NONE_IS_BAD,
    "host.gpus_lost": _ANY_IS_BAD,
    "host.gpus_sick": _ANY_IS_BAD,
    "host.gpus_held_idle": (("0", _CALM), ("1", _FAIR)),
    "host.temperature_headroom": _DEGREES_LEFT,
    "gpu.present": _NONE_IS_BAD,
    "gpu.temperature_headroom": _DEGREES_LEFT,
    "gpu.utilization": (("0", _CALM), ("5", _BUSY), ("80", _FULL)),
    "gpu.memory_used_percent": (("0", _CALM), ("10", _BUSY), ("80", _FULL), ("98", _POOR)),
}


def decimals_of(metric: Metric) -> str:
    """How many a widget shows. Zabbix divides by 1000, so that without any 4,400 W would be "4 KW"."""
    return "1" if metric.unit == "W" else "0"


def thresholds_of(ref: str) -> Fields:
    """The colors of a metric; none if it has no good or bad values."""
    return _colors("thresholds.{place}.{field}", _THRESHOLDS.get(ref, ()))


def colors_of_column(ref: str, number: int) -> Fields:
    """The same for a column of the widget `tophosts`; calm if the metric has no good or bad values."""
    return _colors(f"columnsthresholds.{number}.{{field}}.{{place}}", _THRESHOLDS.get(ref, (("0", _CALM),)))


def _colors(name: str, steps: tuple[tuple[str, str], ...]) -> Fields:
    return [
        ("STRING", name.format(place=place, field=field), value)
        for place, (threshold, color) in enumerate(steps)
        for field, value in (("color", color), ("threshold", threshold))
    ]


def item_pattern(metric: Metric) -> str:
    """The pattern of the names of an item of every discovered thing of a kind.

    That of a GPU ends in its short UUID, "[1a2b3c4d]"; that of a part of a GPU does not.
    """
    beginning = {"gpu": "GPU *]", "user": "User *", "mig": "GPU * MIG *"}[metric.entity]
    return f"{beginning}: {metric.name}"


def honeycomb(ref: str, label: str) -> Fields:
    """A cell for each GPU.

    Args:
        ref: The metric.
        label: What the cells are called, with macros.
    """
    metric = BY_REF[ref]
    value: Fields = [("INTEGER", "secondary_label_decimal_places", decimals_of(metric))]
    if metric.valuemap:
        # Zabbix shows "Present (1)", which does not fit. A function of a macro gets the 1.
        words = (
            f'{{{{ITEM.LASTVALUE}}.regsub("^{number}$","{word}")}}'
            for number, word in VALUEMAPS[metric.valuemap].items()
        )
        value = [("INTEGER", "secondary_label_type", "0"), ("STRING", "secondary_label", "".join(words))]
    return [
        ("STRING", "items.0", item_pattern(metric)),
        ("STRING", "primary_label", label),
        *value,
        *thresholds_of(ref),
    ]


def problems() -> Fields:
    """What is wrong now, the worst first."""
    return [
        ("INTEGER", "show", "3"),  # unresolved only
        ("INTEGER", "show_opdata", "1"),
        ("INTEGER", "sort_triggers", "1"),  # severity, descending
    ]


def limits_of(ref: str) -> Fields:
    """The ends of the axis of a graph, but where values can be beyond: a cold card, or a user with several GPUs."""
    metric = BY_REF[ref]
    lower: Fields = [("STRING", "lefty_min", "0")] if metric.range and metric.range[0] >= 0 else []
    percent = metric.unit == "%" and metric.entity != "user"
    return [*lower, *([("STRING", "lefty_max", "100")] if percent else [])]


def selected(reference: str, ref: str) -> Fields:
    """The graph of the item of a cell that was clicked.

    Args:
        reference: That of the honeycomb.
        ref: The metric of its cells.
    """
    return [
        ("INTEGER", "ds.0.dataset_type", "0"),
        ("STRING", "ds.0.itemids.0._reference", f"{reference}._itemid"),
        ("STRING", "ds.0.color.0", COLORS[0]),
        ("INTEGER", "ds.0.fill", "3"),
        *limits_of(ref),
        ("INTEGER", "legend_lines", "1"),
        ("INTEGER", "legend_columns", "1"),
        ("INTEGER", "righty", "0"),
    ]
