"""What the kernel shows of the GPUs without NVML: which are on the bus, in which slots, and which of them sleep.

Nothing here wakes a GPU, and nothing here can hang in the driver.
"""

# Without `from __future__ import annotations`: typing would compile the text of each annotation at each poll.
import os
from typing import NamedTuple

from zbx_nvidia.errors import printable

# The tests set it to a folder with the /sys and /proc of a simulated machine. Nothing else reads from there.
ROOT = os.environ.get("ZBX_NVIDIA_ROOT", "")
SLOTS = f"{ROOT}/proc/driver/nvidia/gpus"
BOUND = f"{ROOT}/sys/bus/pci/drivers/nvidia"
PCI_DEVICES = f"{ROOT}/sys/bus/pci/devices"
_DISPLAY = "0x03"  # class of a PCI device; the driver has NVSwitches too, which are bridges
_UNKNOWN_LANES = 255
# Of the PCIe generations, by the start of the kernel's text for a speed.
_SPEEDS = {"2.5": 1, "5": 2, "8": 3, "16": 4, "32": 5, "64": 6}

_UNKNOWN = "?"  # in the UUID of a card that the driver has not initialized yet


class Sleeper(NamedTuple):
    """A GPU that the kernel has suspended, and who it is by the kernel module's own list.

    Attributes:
        pci: Its address, in NVML's spelling.
        uuid: "" if it is not known: the driver has not initialized the card since it was loaded.
        name: Product name; "" if it is not known.
    """

    pci: str
    uuid: str
    name: str


def bound(folder: str = BOUND, proc: str = SLOTS) -> list[str] | None:
    """PCI addresses of the GPUs that are bound to the driver nvidia, in NVML's spelling; None if that cannot be seen.

    Both sysfs and /proc must have them: containers see all of the host's sysfs, but only their own GPUs in /proc.
    """
    try:
        known = {f"{name:0>16}".upper() for name in os.listdir(proc)}
        addresses = []
        for name in os.listdir(folder):
            if ":" not in name:
                continue
            with open(f"{folder}/{name}/class", encoding="ascii") as file:
                if file.read(8).startswith(_DISPLAY):
                    addresses.append(f"{name:0>16}".upper())
    except (OSError, ValueError):
        return None
    return sorted(known.intersection(addresses))


def slots(folder: str = SLOTS) -> list[str]:
    """PCI addresses of every GPU that the kernel module has bound, lost ones included.

    From /proc/driver/nvidia/gpus, which lists a slot even if NVML can no longer say what is in it. In NVML's spelling
    (8 digits of domain, upper case). Empty if there is no such folder.
    """
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return sorted(f"{name:0>16}".upper() for name in names)


def port_above(pci: str, folder: str = PCI_DEVICES) -> tuple[int | None, int | None]:
    """Highest PCIe generation and most lanes of the port that a card is plugged into.

    From sysfs (max_link_speed, max_link_width): NVML documents a maximum of card and slot, but some drivers were seen
    to return that of the card alone. None for what cannot be read, as in most containers.

    Args:
        pci: Address of the card, in NVML's spelling.
        folder: The kernel's list of PCI devices.
    """
    port = os.path.dirname(os.path.realpath(f"{folder}/{_kernel_name(pci)}"))
    speed = _word_of(f"{port}/max_link_speed").removesuffix(".0")
    lanes = _word_of(f"{port}/max_link_width")
    known = int(lanes) if lanes.isdigit() and 0 < int(lanes) < _UNKNOWN_LANES else None
    return _SPEEDS.get(speed), known


def sleeps(pci: str) -> bool:
    """Whether the kernel has suspended a GPU: any call of NVML for it would wake it.

    Not while it is only about to be suspended, nor if it cannot be seen, as in most containers.

    Args:
        pci: Its address, in NVML's spelling.
    """
    return _word_of(f"{PCI_DEVICES}/{_kernel_name(pci)}/power/runtime_status") == "suspended"


def may_sleep(pci: str) -> bool:
    """Whether the kernel may suspend a GPU: its power is controlled automatically, as on notebooks.

    Args:
        pci: Its address, in NVML's spelling.
    """
    return _word_of(f"{PCI_DEVICES}/{_kernel_name(pci)}/power/control") == "auto"


def sleepers() -> list[Sleeper]:
    """The GPUs of the driver that are suspended, in the order of their addresses."""
    return [Sleeper(pci, *_identity(pci)) for pci in slots() if sleeps(pci)]


def all_sleep() -> list[Sleeper]:
    """The GPUs of the driver if every one of them is suspended; else none."""
    there = slots()
    # A poll begins with this: of a host without sleepers, one GPU is looked at.
    return [Sleeper(pci, *_identity(pci)) for pci in there] if all(map(sleeps, there)) else []


def _identity(pci: str) -> tuple[str, str]:
    """UUID and name of a GPU, from the kernel module's list."""
    known = {}
    try:
        with open(f"{SLOTS}/{_kernel_name(pci)}/information", encoding="utf-8", errors="replace") as file:
            for line in file.read(4096).splitlines():
                key, _, value = line.partition(":")
                known[key.strip()] = printable(value.strip())
    except OSError:
        pass
    uuid = known.get("GPU UUID", "")
    return "" if _UNKNOWN in uuid else uuid, known.get("Model", "")


def _kernel_name(pci: str) -> str:
    """How the kernel spells an address of NVML's."""
    domain, _, place = pci.lower().partition(":")
    return f"{domain.lstrip('0'):0>4}:{place}"


def _word_of(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return (file.read(64).split() or [""])[0]
    except OSError:
        return ""
