"""The door between driver and document: a number that cannot be is dropped here, and reported.

Drivers were seen to answer 127622 % and 511 °C, with success.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zbx_nvidia.collector.document import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zbx_nvidia.catalog.metrics import Metric


def possible(metric: Metric, value: object) -> bool:
    """Whether a metric can have this value. Texts can be anything; NaN is in no range."""
    limits = metric.range
    return limits is None or _is_within(limits, value)


def _is_within(limits: tuple[float, float], value: object) -> bool:
    return not isinstance(value, (int, float)) or limits[0] <= value <= limits[1]


class Ranges:
    """What each number of one kind of entity can be.

    Args:
        metrics: The catalog's rows of it.
    """

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._rows = {metric.key: metric for metric in metrics}
        # Worked out once: 1,000 numbers come in at a poll of eight GPUs.
        self._ranges = {key: limits for key, metric in self._rows.items() if (limits := metric.range)}

    def let_in(self, readings: dict[str, Any], problems: list[Problem], prefix: str = "") -> None:
        """Drop the readings that cannot be.

        Args:
            readings: Values by catalog key; changed. Counters of which only the rate is a row can be anything.
            problems: Where each number that was dropped is reported, once; changed.
            prefix: What the reader's name in a problem begins with, for a part of a GPU.
        """
        ranges, rows = self._ranges, self._rows
        void = {key for key, value in readings.items() if key in ranges and not _is_within(ranges[key], value)}
        if not void:
            return
        # What is calculated from such a number is none either, and is not reported in addition.
        follow = {key for key in readings if key in rows and void.intersection(rows[key].of)}
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
