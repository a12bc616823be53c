"""What `zbx-nvidia show` prints of MIG instances: a line each, below the GPUs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zbx_nvidia.cli import health
from zbx_nvidia.cli.table import Column, Line, Look, Row, Span, filled, lay_out

if TYPE_CHECKING:
    from collections.abc import Mapping

_GIB = 2**30
_COLUMNS = (
    Column("GPU"),
    Column("MIG"),
    Column("Profile", left=True),
    Column("Memory"),
    Column("SM", least=4),
    Column("Tensor", least=4),
)
_UUID = Column("UUID", left=True)


def lines(document: Mapping[str, Any], look: Look, *, wide: bool) -> list[Line]:
    """One line for each MIG instance of the document; none if there is none.

    Args:
        document: What was collected.
        look: What the output can show.
        wide: Whether to print the UUIDs.
    """
    rows = [
        Row(_cells(place, instance, look))
        for place in document.get("discovery", {}).get("mig", ())
        if (instance := document.get("mig", {}).get(place.get("{#MIG}")))
    ]
    columns = (*_COLUMNS, _UUID) if wide else _COLUMNS
    return lay_out(filled(columns, rows), rows, look) if rows else []


def _cells(place: Mapping[str, str], instance: Mapping[str, Any], look: Look) -> dict[str, Line]:
    used, total = (instance.get(key) for key in ("memory_used", "memory_total"))
    memory = "" if used is None or total is None else f"{used / _GIB:.1f}/{total / _GIB:.1f}GiB"
    texts = {
        "GPU": (place.get("{#INDEX}", ""), ""),
        # As nvidia-smi has it: GPU instance, compute instance.
        "MIG": (f"{place.get('{#GI}', '')}/{place.get('{#CI}', '')}", ""),
        "Profile": (instance.get("profile", ""), ""),
        "Memory": (memory, health.memory(dict(instance))),
        "SM": (_percent(instance.get("gpm_sm")), ""),
        "Tensor": (_percent(instance.get("gpm_tensor")), ""),
        "UUID": (place["{#MIG}"], ""),
    }
    return {heading: (Span(look.clean(text), style),) if text else () for heading, (text, style) in texts.items()}


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}%"
