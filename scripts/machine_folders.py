"""The folders of a simulated machine: what its kernel shows of its GPUs in /sys and /proc.

python -m scripts.machine_folders PROFILE FOLDER
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

_SECTION = re.compile(r"^\[([^\]]+)\]\n((?:(?!\[).*\n)*)", re.MULTILINE)
_LINE = re.compile(r"^([\w.]+)[ \t]*=[ \t]*(.*?)(?:[ \t]+#.*)?$", re.MULTILINE)
_SPEEDS = {1: "2.5", 2: "5.0", 3: "8.0", 4: "16.0", 5: "32.0", 6: "64.0"}  # GT/s, by generation


def gpus(profile: str) -> list[dict[str, str]]:
    """The keys of each GPU of a profile, without those of its parts."""
    sections = {name: dict(_LINE.findall(body)) for name, body in _SECTION.findall(profile)}
    numbers = sorted(int(name.split()[1]) for name in sections if re.fullmatch(r"gpu \d+", name))
    return [{**sections.get("gpu *", {}), **sections[f"gpu {number}"]} for number in numbers]


def make(profile: Path, folder: Path) -> None:
    """Write the folders of the machine of a profile, or replace them by what it says now.

    Args:
        profile: Of the simulator.
        folder: For `sys` and `proc`.
    """
    for part in ("sys", "proc"):
        shutil.rmtree(folder / part, ignore_errors=True)
    bus = folder / "sys/bus/pci"
    listed = folder / "proc/driver/nvidia/gpus"
    for place in (bus / "devices", bus / "drivers/nvidia", listed):
        place.mkdir(parents=True)
    for number, gpu in enumerate(gpus(profile.read_text(encoding="utf-8"))):
        address = gpu["pci_bus_id"].lower()[4:]  # the kernel writes a domain of four digits
        port = folder / f"sys/devices/pci0000:00/0000:00:{number:02x}.0"
        device = port / address
        (device / "power").mkdir(parents=True)
        (port / "max_link_speed").write_text(f"{_SPEEDS[int(gpu.get('port_generation', 5))]} GT/s PCIe\n")
        (port / "max_link_width").write_text(f"{gpu.get('port_lanes', 16)}\n")
        (device / "class").write_text("0x030200\n")
        (device / "vendor").write_text("0x10de\n")
        (device / "power/control").write_text(f"{gpu.get('power_control', 'on')}\n")
        (device / "power/runtime_status").write_text(f"{gpu.get('runtime_status', 'active')}\n")
        (bus / "devices" / address).symlink_to(os.path.relpath(device, bus / "devices"))
        driver = bus / "drivers" / gpu.get("pci_driver", "nvidia")
        driver.mkdir(exist_ok=True)
        (driver / address).symlink_to(os.path.relpath(device, driver))
        if driver.name == "nvidia":
            (listed / address).mkdir()
            (listed / address / "information").write_text(
                f"Model: \t\t {gpu['name']}\nIRQ:   \t\t {120 + number}\nGPU UUID: \t {gpu['uuid']}\n"
                f"Video BIOS: \t {gpu.get('vbios_version', '??.??.??.??.??')}\nBus Type: \t PCIe\n"
                f"Bus Location: \t {address}\nDevice Minor: \t {number}\nGPU Excluded:\t No\n"
            )


if __name__ == "__main__":
    make(Path(sys.argv[1]), Path(sys.argv[2]))
