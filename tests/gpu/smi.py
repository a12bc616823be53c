"""What nvidia-smi prints of a GPU, as the document has it."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

from zbx_nvidia.catalog.graphs import VALUEMAPS
from zbx_nvidia.catalog.metrics import CHAR, GPU_METRICS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

COLUMNS = {metric.key: metric.smi for metric in GPU_METRICS if metric.smi}
_METRICS = {metric.key: metric for metric in GPU_METRICS}
_SCALE = {"B": 2**20, "Hz": 10**6, "s": 1e-6}  # nvidia-smi prints MiB, MHz and microseconds
_UNITS = ("%", "MiB", "MHz", "W", "us")
_ABSENT = {"N/A", "[N/A]", "[Not Supported]", "[Unknown Error]", ""}
# It prints whole MiB and hundredths of a watt.
_ROUNDING = {"B": 2**20, "W": 0.01}
_EXACT = 1e-9  # what a number may lose by being read as text
# Where nvidia-smi has a word for a number that no value map of ours has, or another one.
_WORDS = {
    "Enabled": 1,
    "Disabled": 0,
    "Active": 1,
    "Not Active": 0,
    "Yes": 1,
    "No": 0,
    "Exclusive_Process": 3,
    "Success": 0,
    "Reset": 1,
    "Reboot": 2,
    "Drain P2P": 3,
    "Drain and Reset": 4,
}


# A virtual machine does not see the slot: nvidia-smi prints the maximum of the card alone there, and the document none.
_OF_THE_SLOT = {"pcie_generation_max", "pcie_width_max"}


def _sees_no_slot(card: Mapping[str, Any]) -> bool:
    return VALUEMAPS["NVIDIA virtualization mode"][str(card.get("virtualization_mode", 0))] in {"Pass-through", "vGPU"}


def reading(key: str, text: str) -> Any:
    """A cell of `--format=csv`, with or without its unit, in the terms of the document; None where there is none."""
    text = text.strip()
    # "[Requested functionality has been deprecated]" among them.
    if text in _ABSENT or (text.startswith("[") and text.endswith("]")):
        return None
    metric = _METRICS[key]
    if metric.kind == CHAR:
        return text
    words = {word: int(number) for number, word in VALUEMAPS.get(metric.valuemap, {}).items()} | _WORDS
    text = text.removeprefix("status ").removeprefix("state ").strip()  # 535 says so of the NVLink fabric
    if text in words:
        return words[text]
    number, _, unit = text.removeprefix("P").partition(" ")
    assert unit in {"", *_UNITS}, text
    return float(number) * _SCALE.get(metric.unit, 1)


def readings(lines: Iterable[str], keys: Iterable[str]) -> list[dict[str, Any]]:
    """One dictionary for each line of CSV, by key of the document; what is absent is left out."""
    rows = []
    for row in csv.reader(lines, skipinitialspace=True):
        values = {key: reading(key, text) for key, text in zip(keys, row, strict=True)}
        rows.append({key: value for key, value in values.items() if value is not None})
    return rows


def known(help_text: str) -> dict[str, str]:
    """The columns that this nvidia-smi has, from its `--help-query-gpu`, by key of the document."""
    found = {key: column for key, column in COLUMNS.items() if f'"{column}"' in help_text}
    assert {"uuid", "temperature", "power", "memory_used"} <= found.keys()
    return found


def differences(
    gpus: Mapping[str, Mapping[str, Any]],
    seen: Iterable[Mapping[str, Any]],
    keys: Iterable[str],
    moves: Mapping[str, float],
) -> list[str]:
    """Where the document and nvidia-smi tell of one card unlike things, a line each.

    Args:
        gpus: Readings of the document, by UUID.
        seen: Readings of nvidia-smi.
        keys: What it was asked for.
        moves: By key, how far two readings of the same may lie apart, in the document's unit.
    """
    by_uuid = {card["uuid"]: card for card in seen}
    assert gpus.keys() == by_uuid.keys()
    found = []
    for uuid, card in by_uuid.items():
        for key in keys:
            mine, theirs = gpus[uuid].get(key), card.get(key)
            if mine == theirs or (mine is None and key in _OF_THE_SLOT and _sees_no_slot(gpus[uuid])):
                continue
            room = moves.get(key, 0) + _ROUNDING.get(_METRICS[key].unit, 0)
            if mine is None or theirs is None or _METRICS[key].kind == CHAR or abs(mine - theirs) > room + _EXACT:
                found.append(f"{uuid} {key}: {mine}, {COLUMNS[key]}: {theirs}")
    return found
