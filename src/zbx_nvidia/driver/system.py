"""The driver as a whole: start and stop, versions, number of GPUs."""

from __future__ import annotations

import os

import pynvml

from zbx_nvidia.driver.calls import amount, call, number, text

SLOTS = "/proc/driver/nvidia/gpus"
BOUND = "/sys/bus/pci/drivers/nvidia"
PCI_DEVICES = "/sys/bus/pci/devices"
_MOST_GPUS = 256  # each is a thread
_DISPLAY = "0x03"  # class of a PCI device; the driver has NVSwitches too, which are bridges
_UNKNOWN_LANES = 255
# Of the PCIe generations, by the start of the kernel's text for a speed.
_SPEEDS = {"2.5": 1, "5": 2, "8": 3, "16": 4, "32": 5, "64": 6}


def start() -> None:
    """Load the library and attach to the driver. nvmlInit.

    Raises:
        NvmlError: With NVML's code: no library (12), no driver (9), versions differ (18), no permission (4), ...
    """
    call(pynvml.nvmlInit)


def stop() -> None:
    """Release the driver. nvmlShutdown."""
    call(pynvml.nvmlShutdown)


def driver_version() -> str:
    """Version of the kernel driver. nvmlSystemGetDriverVersion. nvidia-smi: driver_version."""
    return text(pynvml.nvmlSystemGetDriverVersion)


def nvml_version() -> str:
    """Version of the library. nvmlSystemGetNVMLVersion. nvidia-smi --version: NVML version."""
    return text(pynvml.nvmlSystemGetNVMLVersion)


def cuda_version() -> str:
    """The newest CUDA version that the driver supports. nvmlSystemGetCudaDriverVersion_v2. nvidia-smi: CUDA Version."""
    version = number(call(pynvml.nvmlSystemGetCudaDriverVersion_v2))
    return f"{version // 1000}.{version % 1000 // 10}"


def gpu_count() -> int:
    """Number of GPUs that the driver counts, lost ones included. nvmlDeviceGetCount."""
    return amount(number(call(pynvml.nvmlDeviceGetCount)), _MOST_GPUS)


def process_name(pid: int) -> str:
    """Program of a process on a GPU, without its arguments. nvmlSystemGetProcessName. nvidia-smi: Process name."""
    # NVML's text begins with the path. After it, a program that sets its own title can have written anything.
    words = text(pynvml.nvmlSystemGetProcessName, pid).split()
    return words[0].rpartition("/")[2] or words[0]


def bound(folder: str = BOUND, proc: str = SLOTS) -> list[str] | None:
    """PCI addresses of the GPUs that are bound to the driver nvidia, in NVML's spelling; None if that cannot be seen.

    Both sysfs and /proc must have them: containers see all of the host's sysfs, but only their own GPUs in /proc.
    """
    try:
        known = {f"{name:0>16}".upper() for name in os.listdir(proc)}
        found = []
        for name in os.listdir(folder):
            if ":" not in name:
                continue
            with open(f"{folder}/{name}/class", encoding="ascii") as file:
                if file.read(8).startswith(_DISPLAY):
                    found.append(f"{name:0>16}".upper())
    except (OSError, ValueError):
        return None
    return sorted(known.intersection(found))


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
    domain, _, place = pci.lower().partition(":")
    card = f"{folder}/{domain.lstrip('0'):0>4}:{place}"
    port = os.path.dirname(os.path.realpath(card))
    speed = _word_of(f"{port}/max_link_speed").removesuffix(".0")
    lanes = _word_of(f"{port}/max_link_width")
    known = int(lanes) if lanes.isdigit() and 0 < int(lanes) < _UNKNOWN_LANES else None
    return _SPEEDS.get(speed), known


def _word_of(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return (file.read(64).split() or [""])[0]
    except OSError:
        return ""
