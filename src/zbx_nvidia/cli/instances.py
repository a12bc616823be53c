"""What `zbx-nvidia show` prints of MIG instances: a line each, below the GPUs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zbx_nvidia.cli import cells, health
from zbx_nvidia.cli.cells import cell, number
from zbx_nvidia.cli.table import Column, Line, Look, Row, filled, lay_out

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    texts = {
        "GPU": (place.get("{#INDEX}", ""), ""),
        # As nvidia-smi has it: GPU instance, compute instance.
        "MIG": (f"{place.get('{#GI}', '')}/{place.get('{#CI}', '')}", ""),
        "Profile": (instance.get("profile", ""), ""),
        "Memory": (cells.memory(instance), health.memory(dict(instance))),
        "SM": (number(instance, "gpm_sm", "%"), ""),
        "Tensor": (number(instance, "gpm_tensor", "%"), ""),
        "UUID": (place["{#MIG}"], ""),
    }
    return {heading: cell(look.clean(text), style) for heading, (text, style) in texts.items()}
