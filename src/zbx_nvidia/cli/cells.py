"""Cells of the tables of `zbx-nvidia show`: readings as people see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zbx_nvidia.cli.table import Span

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zbx_nvidia.cli.table import Line

_GIB = 2**30


def number(  # noqa: PLR0913, PLR0917  what there is to print, and how
    readings: Mapping[str, Any], key: str, unit: str, divisor: int = 1, digits: int = 0, before: str = ""
) -> str:
    """A reading with its unit; "" if there is none."""
    value = readings.get(key)
    return f"{before}{value / divisor:.{digits}f}{unit}" if isinstance(value, (int, float)) else ""


def memory(readings: Mapping[str, Any]) -> str:
    """What is used of all memory. The used part is as wide as the total: it does not move with each byte."""
    used, total = (number(readings, key, "", _GIB, 1) for key in ("memory_used", "memory_total"))
    return f"{used:>{len(total)}}/{total}GiB" if total else ""


def cell(text: str, style: str = "") -> Line:
    """A cell of one piece."""
    return (Span(text, style),) if text else ()
