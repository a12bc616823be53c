"""The kernel module's own list of slots. It is read without NVML, so here and not in another process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.collector.collector import python
from zbx_nvidia.kernel import bus

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MachineFactory


def test_slots_are_spelt_as_nvml_spells_them(tmp_path: Path) -> None:
    for name in ("0000:0a:00.0", "0000:01:00.0", "10000:17:00.0"):
        (tmp_path / name).mkdir()
    assert bus.slots(str(tmp_path)) == ["00000000:01:00.0", "00000000:0A:00.0", "00010000:17:00.0"]


def test_no_kernel_module(tmp_path: Path) -> None:
    assert bus.slots(str(tmp_path / "gpus")) == []
    assert bus.SLOTS == "/proc/driver/nvidia/gpus"


@pytest.mark.parametrize(
    ("pci", "folder"), [("00000000:1B:00.0", "0000:1b:00.0"), ("00010000:17:00.0", "10000:17:00.0")]
)
def test_the_port_above_a_card(tmp_path: Path, pci: str, folder: str) -> None:
    port = tmp_path / "devices" / "pci0000:00" / "0000:00:01.0"
    (port / folder).mkdir(parents=True)
    (tmp_path / "bus").mkdir()
    (tmp_path / "bus" / folder).symlink_to(port / folder)
    (port / folder / "max_link_width").write_text("16\n")  # the card's own is not asked for
    assert bus.port_above(pci, str(tmp_path / "bus")) == (None, None)
    for speed, width, known in (
        ("16.0 GT/s PCIe", "8", (4, 8)),
        ("2.5 GT/s PCIe", "1", (1, 1)),
        ("32.0 GT/s PCIe", "16", (5, 16)),
        ("Unknown", "255", (None, None)),
        ("", "", (None, None)),
        ("8.0 GT/s PCIe", "0", (3, None)),
    ):
        (port / "max_link_speed").write_text(f"{speed}\n")
        (port / "max_link_width").write_text(f"{width}\n")
        assert bus.port_above(pci, str(tmp_path / "bus")) == known


def test_no_sysfs(tmp_path: Path) -> None:
    assert bus.port_above("00000000:1B:00.0", str(tmp_path / "bus")) == (None, None)
    assert bus.PCI_DEVICES == "/sys/bus/pci/devices"


PROGRAM = """
import sys
from zbx_nvidia.driver import system
from zbx_nvidia.kernel import bus
bus.port_above.__defaults__ = (sys.argv[1],)
from zbx_nvidia.driver.device import Device
system.start()
card = Device(0)
print(card.pcie_width_max(), card.pcie_generation_max())
"""


def test_the_maximum_is_that_of_card_and_slot(machine: MachineFactory, tmp_path: Path) -> None:
    """The driver says 16 lanes and generation 3 of a T4, whose slot has less."""
    node = machine("t4")
    node.set("gpu 0", virtualization_mode=0, max_pcie_link_width=16, max_pcie_link_generation=3)
    (tmp_path / "port" / "card").mkdir(parents=True)
    address = next(line.split("=")[1].strip() for line in node.path.read_text().splitlines() if "pci_bus_id" in line)
    (tmp_path / address[4:].lower()).symlink_to(tmp_path / "port" / "card")
    assert python(PROGRAM, node.env, str(tmp_path)).split() == ["16", "3"]
    (tmp_path / "port" / "max_link_width").write_text("8\n")
    (tmp_path / "port" / "max_link_speed").write_text("5.0 GT/s PCIe\n")
    assert python(PROGRAM, node.env, str(tmp_path)).split() == ["8", "2"]
