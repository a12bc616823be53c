"""The door between driver and document: a number that cannot be is dropped here, and reported.

Drivers were seen to answer 127622 % and 511 °C, with success.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zbx_nvidia.collector.document import Problem

if TYPE_CHECKING:
    from zbx_nvidia.catalog.metrics import Metric


def possible(metric: Metric, value: object) -> bool:
    """Whether a metric can have this value. Texts can be anything; NaN is in no range."""
    if not isinstance(value, (int, float)):
        return True
    limits = metric.range
    return limits is None or limits[0] <= value <= limits[1]


def let_in(readings: dict[str, Any], rows: dict[str, Metric], problems: list[Problem], prefix: str = "") -> None:
    """Drop the readings that cannot be.

    Args:
        readings: Values by catalog key; changed.
        rows: The catalog's rows by key. Counters of which only the rate is a row can be anything.
        problems: Where each number that was dropped is reported, once; changed.
        prefix: What the reader's name in a problem begins with, for a part of a GPU.
    """
    void = {key for key, value in readings.items() if key in rows and not possible(rows[key], value)}
    # What is calculated from such a number is none either, and is not reported in addition.
    follow = {key for key in readings if key in rows and void.intersection(rows[key].of)} if void else set()
    problems += [
        Problem("", f"{prefix}{rows[key].reader}", 0, impossible(rows[key], readings[key]))
        for key in sorted(void - follow, key=list(rows).index)
    ]
    for key in void | follow:
        del readings[key]


def impossible(metric: Metric, value: float) -> str:
    """The message for a number that was dropped."""
    low, high = metric.range or (0, 0)
    unit = metric.unit.removeprefix("!")
    return f"impossible value: {value}{unit and f' {unit}'}, not in {low} to {high}"
