"""The kernel module's own list of slots. It is read without NVML, so here and not in another process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zbx_nvidia.driver import system

if TYPE_CHECKING:
    from pathlib import Path


def test_slots_are_spelt_as_nvml_spells_them(tmp_path: Path) -> None:
    for name in ("0000:0a:00.0", "0000:01:00.0", "10000:17:00.0"):
        (tmp_path / name).mkdir()
    assert system.slots(str(tmp_path)) == ["00000000:01:00.0", "00000000:0A:00.0", "00010000:17:00.0"]


def test_no_kernel_module(tmp_path: Path) -> None:
    assert system.slots(str(tmp_path / "gpus")) == []
    assert system.SLOTS == "/proc/driver/nvidia/gpus"
