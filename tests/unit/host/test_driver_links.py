"""What the doctor makes of /sys, /proc and /dev, in directories that look like those of real hosts."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import pytest

from zbx_nvidia.findings import FAULT, GOOD, UNSEEN, Seen, look
from zbx_nvidia.host import driver_links
from zbx_nvidia.host.scene import Scene

if TYPE_CHECKING:
    from pathlib import Path

CLOSED = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05  Wed Sep 17 19:00:00 UTC 2025"
OPEN = (
    "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.211.01  Release Build  (dvs-builder@U22-I3-AE18-01-5)"
)
OLD = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  450.248  Tue Jun 20 12:00:00 UTC 2023"


def device(base: Path, address: str, kind: str = "0x030000", vendor: str = "0x10de", driver: str = "nvidia") -> None:
    place = base / "sys/bus/pci/devices" / address
    place.mkdir(parents=True)
    (place / "vendor").write_text(f"{vendor}\n", encoding="ascii")
    (place / "class").write_text(f"{kind}\n", encoding="ascii")
    if driver:
        (place / "driver").symlink_to(f"../../../bus/pci/drivers/{driver}")


def module(base: Path, line: str) -> None:
    place = base / "proc/driver/nvidia"
    place.mkdir(parents=True)
    (place / "version").write_text(f"{line}\nGCC version:  gcc version 12.2.0\n", encoding="ascii")


def seen(base: Path, name: str) -> Seen:
    (link,) = [one for one in driver_links.CHAIN.links if one.id == name]
    return look(link, Scene(base=base))


def test_a_gpu_is_a_display_of_nvidias(tmp_path: Path) -> None:
    device(tmp_path, "0000:01:00.0")
    device(tmp_path, "0000:01:00.1", kind="0x040300", driver="snd_hda_intel")  # its sound
    device(tmp_path, "0000:41:00.0", kind="0x030200")  # a card without a plug for a display
    device(tmp_path, "0000:42:00.0", vendor="0x1a03", driver="ast")  # the server's own display
    device(tmp_path, "0000:41:00.4", kind="0x030200")  # a virtual function of the second card
    (tmp_path / "sys/bus/pci/devices/0000:41:00.4/physfn").symlink_to("../0000:41:00.0")
    assert seen(tmp_path, "bus") == Seen(GOOD, "2: 0000:01:00.0, 0000:41:00.0")


def test_no_gpu_on_the_bus(tmp_path: Path) -> None:
    device(tmp_path, "0000:42:00.0", vendor="0x1a03", driver="ast")
    found = seen(tmp_path, "bus")
    assert (found.state, found.key) == (FAULT, "none")
    assert "lspci -d 10de:" in found.cure


def test_hosts_that_show_no_bus(tmp_path: Path) -> None:
    assert seen(tmp_path, "bus").state == UNSEEN
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/dxg").touch()
    (tmp_path / "sys/bus/pci/devices").mkdir(parents=True)
    assert "WSL 2" in seen(tmp_path, "bus").text
    assert seen(tmp_path, "module").state == UNSEEN


@pytest.mark.parametrize(("line", "version"), [(CLOSED, "580.95.05"), (OPEN, "570.211.01"), (OLD, "450.248")])
def test_the_version_of_the_module(tmp_path: Path, line: str, version: str) -> None:
    module(tmp_path, line)
    assert seen(tmp_path, "module") == Seen(GOOD, f"nvidia {version}")


@pytest.mark.parametrize(
    ("driver", "key", "word"),
    [
        ("nouveau", "nouveau", "blacklist nouveau"),
        ("vfio-pci", "vfio", "within that virtual machine"),
        ("", "not-loaded", "modprobe nvidia"),
    ],
)
def test_who_has_the_card_instead(tmp_path: Path, driver: str, key: str, word: str) -> None:
    device(tmp_path, "0000:01:00.0", driver=driver)
    found = seen(tmp_path, "module")
    assert (found.state, found.key) == (FAULT, key)
    assert word in found.cure


def test_a_module_that_was_not_built_for_this_kernel(tmp_path: Path) -> None:
    device(tmp_path, "0000:01:00.0", driver="")
    modules = tmp_path / "lib/modules" / platform.release()
    modules.mkdir(parents=True)
    assert seen(tmp_path, "module").key == "not-built"
    (modules / "updates").mkdir()
    (modules / "updates/nvidia.ko.xz").touch()
    assert seen(tmp_path, "module").key == "not-loaded"


def test_device_files_that_are_missing(tmp_path: Path) -> None:
    module(tmp_path, CLOSED)
    (tmp_path / "dev").mkdir()
    assert "/dev/nvidiactl" in seen(tmp_path, "devices").cause
    (tmp_path / "dev/nvidiactl").touch(0o666)
    (tmp_path / "dev/nvidia-uvm").touch(0o666)
    assert "/dev/nvidia0" in seen(tmp_path, "devices").cause
