"""From the card in its slot to the driver's library: bus, kernel module, device files, libnvidia-ml."""

from __future__ import annotations

import grp
import os
import platform
import re
import stat
from pathlib import Path
from typing import NamedTuple

from zbx_nvidia.doctor.checks import DRIVER, Fault, Result, check, good, unseen
from zbx_nvidia.doctor.host_state import RESIDENT, HostState, exists
from zbx_nvidia.errors import HostError
from zbx_nvidia.host import permissions, system

LIBRARY = "libnvidia-ml.so.1"
ANSWERS = ("nvml",)  # if this is good, the driver has GPUs, whatever of it cannot be seen
ALL_WELL = ("nvml", "gpus")  # and if these are, it has all of them
ALL_RW, GROUP_RW = 0o006, 0o060
# As NVIDIA and most distributions call it; Debian's packages name their branch: nvidia-current, nvidia-legacy-390xx,
# nvidia-tesla-470. The kernel has modules of its own whose names begin so, such as nvidia-wmi-ec-backlight.
MODULE = re.compile(r"nvidia(-(current|legacy|tesla)[\w-]*)?\.ko(\.\w+)?")

# A reboot resets what nvidia-smi sets. Some distributions have NVIDIA's service in a package of its own, and Ubuntu's
# unit leaves the mode alone.
AT_EACH_BOOT = (
    "To keep this after a reboot, enable NVIDIA's service, which must not have --no-persistence-mode (on Debian, "
    "install the package nvidia-persistenced):\n    systemctl cat nvidia-persistenced\n    systemctl enable --now "
    "nvidia-persistenced\nIf there is no such service, or it has that option, add a unit of your own:\n    printf "
    "'[Service]\\nType=oneshot\\nExecStart=/usr/bin/nvidia-smi -pm 1\\n[Install]\\nWantedBy=multi-user.target\\n' > "
    "/etc/systemd/system/nvidia-awake.service\n    systemctl enable nvidia-awake"
)
LOAD_NEW_MODULE = (
    "Restart the host. Or end all programs that use the GPUs, and load the new module:\n    modprobe -r nvidia_uvm "
    "nvidia_drm nvidia_modeset nvidia && modprobe nvidia"
)


class PciDevice(NamedTuple):
    """An NVIDIA GPU on the PCI bus.

    Attributes:
        address: Of its slot.
        driver: Name of the kernel module that holds it; "" if none does.
    """

    address: str
    driver: str


def pci_devices(host: HostState) -> list[PciDevice]:
    """The GPUs on the PCI bus: displays (class 3) of vendor 10de, not their audio and USB functions."""
    gpus = []
    bus_folder = host.at("/sys/bus/pci/devices")
    for place in sorted(bus_folder.iterdir()) if bus_folder.is_dir() else []:
        # A card that is shared out has virtual functions on the bus too, which are for virtual machines.
        virtual = (place / "physfn").is_symlink()
        if _line(place / "vendor") == "0x10de" and _line(place / "class").startswith("0x03") and not virtual:
            driver = place / "driver"
            gpus.append(PciDevice(place.name, driver.readlink().name if driver.is_symlink() else ""))
    return gpus


def device_files(host: HostState) -> list[Path]:
    """The device files of GPUs. A container has those of the GPUs that it is given, but shows the whole bus."""
    return [path for path in sorted(host.at("/dev").glob("nvidia*")) if re.fullmatch(r"nvidia\d+", path.name)]


def module_version(host: HostState) -> str:
    """The version of the loaded kernel module; "" if none is loaded."""
    line = _line(host.at("/proc/driver/nvidia/version")) + " "
    version = re.search(r"Kernel Module.*?\s(\d+\.\d+(?:\.\d+)*)\s", line)
    return version[1] if version else ""


def reader_may(host: HostState, path: Path, *rights: str) -> bool:
    """Whether the kernel grants the reader these rights. Access lists and groups count, too."""
    if host.root_is_reader:
        # This needs no other process of root: this one is root's, if root runs the doctor.
        return all(os.access(path, {"-r": os.R_OK, "-w": os.W_OK, "-x": os.X_OK}[right]) for right in rights)
    conditions = " ".join(f"-a {right} {path}" for right in rights).split()[1:]
    return host.as_user(host.reader, "test", *conditions).code == 0


def _line(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").partition("\n")[0].strip()
    except OSError:
        return ""


NOT_ON_BUS = Fault(
    "none",
    cause="This host has no NVIDIA GPU on its PCI bus. The card is missing, has no power, or is not passed through to "
    "this virtual machine.",
    fix="List the devices of NVIDIA:\n    lspci -d 10de:\nIf the list is empty, check the card's seat and power, the "
    "BIOS (above 4G decoding), or the pass-through of the virtual machine.",
)


@check("bus", "GPU on the PCI bus", DRIVER, NOT_ON_BUS, outvoted_by=ANSWERS)
def bus(host: HostState) -> Result:
    """Does /sys/bus/pci/devices list a display of vendor 10de?"""
    gpus = pci_devices(host)
    if gpus:
        return good(f"{len(gpus)}: {', '.join(gpu.address for gpu in gpus[:8])}")
    if host.at("/dev/dxg").exists():
        return unseen("WSL 2: the card is on the bus of Windows")
    if _is_jetson(host):
        return unseen("a Jetson: the GPU is part of its processor")
    if not host.at("/sys/bus/pci/devices").is_dir():
        return unseen("this host shows no PCI bus")
    raise NOT_ON_BUS("no device of vendor 10de")


def _is_jetson(host: HostState) -> bool:
    return host.at("/etc/nv_tegra_release").exists()


NOUVEAU = Fault(
    "nouveau",
    cause="The open-source driver nouveau holds the card {address}. NVML needs the kernel module nvidia, which cannot "
    "use the card until nouveau releases it.",
    fix="Disable nouveau, then restart the host:\n    echo 'blacklist nouveau' > /etc/modprobe.d/nouveau.conf\n    "
    "update-initramfs -u    # or: dracut --force\n    reboot",
)
VFIO = Fault(
    "vfio",
    cause="The card {address} is reserved for a virtual machine (vfio-pci). This host cannot read it.",
    fix="Monitor the card inside that virtual machine. If this host should use it, remove its ID from the options of "
    "vfio-pci in /etc/modprobe.d, then restart the host.",
)
NOT_BUILT = Fault(
    "not-built",
    cause="The kernel module nvidia is not loaded, and none is built for the running kernel {kernel}. It was not built "
    "again after a kernel update.",
    fix="Install the kernel headers, then build and load the module:\n    apt install linux-headers-{kernel}    # or: "
    "dnf install kernel-devel-{kernel}\n    dkms autoinstall && modprobe nvidia",
)
NOT_LOADED = Fault(
    "not-loaded",
    cause="The kernel module nvidia is not loaded.",
    fix="Load it:\n    modprobe nvidia\nIf that fails, read the kernel log. With Secure Boot, the module may be "
    "unsigned.\n    dmesg | grep -i -e nvidia -e nvrm | tail",
)


@check(
    "module",
    "Kernel module",
    DRIVER,
    NOUVEAU,
    VFIO,
    NOT_BUILT,
    NOT_LOADED,
    needs=("bus",),
    outvoted_by=ANSWERS,
)
def module(host: HostState) -> Result:
    """Is /proc/driver/nvidia there, and if not, which module holds the card?"""
    if version := module_version(host):
        return good(f"nvidia {version}")
    if host.at("/dev/dxg").exists() or _is_jetson(host):
        return unseen("WSL 2 and Jetson use another module")
    for gpu in pci_devices(host):
        if gpu.driver == "nouveau":
            raise NOUVEAU(gpu.driver, address=gpu.address)
        if gpu.driver == "vfio-pci":
            raise VFIO(gpu.driver, address=gpu.address)
    kernel = platform.release()
    modules = host.at(f"/lib/modules/{kernel}")
    # A container often has no modules at all. Then a missing one means nothing.
    if modules.is_dir() and not any(MODULE.fullmatch(path.name) for path in modules.rglob("nvidia*.ko*")):
        raise NOT_BUILT(kernel=kernel)
    raise NOT_LOADED("not loaded")


OPEN_TO_ALL = "    chmod 0666 {paths}    # permanent: NVreg_DeviceFileMode=0666"
NO_DEVICE_FILE = Fault(
    "missing",
    cause="The kernel module is loaded, but {path} does not exist.",
    fix=f"Create the device files now:\n    nvidia-modprobe -c=0 -u    # without that program: nvidia-smi\n"
    f"{AT_EACH_BOOT}\nStart a container with --gpus all, or with nvidia-container-toolkit.",
)
DEVICE_DENIED = Fault(
    "denied",
    cause="The user {user} may not open {path} ({permissions}).",
    fix="Add the user to the group {group}, then restart the agent:\n    usermod -aG {group} {user}\n{agent.restart}\n"
    f"Or open the device files to all users, as the driver does by default:\n{OPEN_TO_ALL}",
)
DEVICE_DENIED_TO_SERVICE = Fault(
    "denied-service",
    cause="The service's user {user} may not open {path} ({permissions}).",
    fix="Give the service the group {group} (SupplementaryGroups={group} under [Service]), then restart it:\n"
    "{collector.edit}\n{collector.restart}\n"
    f"Or open the device files to all users, as the driver does by default:\n{OPEN_TO_ALL}",
)
DEVICE_CLOSED = Fault(
    "closed",
    cause="The user {user} may not open {path} ({permissions}), and no group gives access.",
    fix=f"Open the device files to all users, as the driver does by default:\n{OPEN_TO_ALL}\nOr give the files a group "
    "of their own and add {user} to it: set NVreg_DeviceFileMode=0660 and NVreg_DeviceFileGID= in the options of "
    "nvidia in /etc/modprobe.d.",
)


@check(
    "devices",
    "Access to /dev/nvidia*",
    DRIVER,
    NO_DEVICE_FILE,
    DEVICE_DENIED,
    DEVICE_DENIED_TO_SERVICE,
    DEVICE_CLOSED,
    needs=("systemd", "module"),
    outvoted_by=ALL_WELL,
)
def devices(host: HostState) -> Result:
    """May the user that reads the driver open /dev/nvidiactl and /dev/nvidia0, 1, ...? The doctor opens none."""
    if not module_version(host):
        return unseen("another driver has other files")
    cards = device_files(host)
    control = host.at("/dev/nvidiactl")
    for path in (control, *(cards or [host.at("/dev/nvidia0")])):
        if not path.exists():
            raise NO_DEVICE_FILE(path=path)
    if not host.acts_as_reader:
        if all(path.stat().st_mode & ALL_RW == ALL_RW for path in (control, *cards)):
            return good("everybody may open them")
        return unseen(f"only root can see what {host.reader} may open: use sudo")
    closed = [path for path in (control, *cards) if not reader_may(host, path, "-r", "-w")]
    if closed:
        stats = [path.stat() for path in closed]
        first, group = stats[0], _group(stats[0].st_gid)
        shared = all(one.st_gid == first.st_gid and one.st_mode & GROUP_RW == GROUP_RW for one in stats)
        # The group of root may do more than use the GPUs, and a bare number is no group.
        if not shared or first.st_gid == 0 or group.isdigit():
            fault = DEVICE_CLOSED
        else:
            fault = DEVICE_DENIED_TO_SERVICE if host.mode == RESIDENT else DEVICE_DENIED
        raise fault(
            f"{host.reader} may not open {closed[0]}",
            user=host.reader,
            path=closed[0],
            paths=" ".join(map(str, closed)),
            permissions=f"mode {stat.S_IMODE(first.st_mode):04o}, {permissions.owner(first.st_uid)}:{group}",
            group=group,
        )
    return good(f"{host.reader} may open {len(cards) + 1} files")


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


NO_LIBRARY = Fault(
    "missing",
    cause=f"The linker does not find {LIBRARY}. This part of the driver is not installed, or the linker's cache is out "
    "of date.",
    fix="Install it, and rebuild the cache:\n    apt install libnvidia-ml1    # or nvidia-utils-..., "
    "nvidia-driver-cuda-libs\n    ldconfig",
)
LIBRARY_UNREADABLE = Fault(
    "unreadable",
    cause="The user {user} may not read {path}.",
    fix="The permissions of the file, or of a directory above it, were changed. Find out which, and open it:\n    "
    "namei -l {path}\n    chmod 0755 {path}",
)
VERSION_MISMATCH = Fault(
    "mismatch",
    cause="The library has version {library}, the loaded kernel module {module}. The driver was updated, but the old "
    "module is still loaded. Every program that starts now fails.",
    fix=LOAD_NEW_MODULE,
)


@check(
    "library",
    "NVML library",
    DRIVER,
    NO_LIBRARY,
    LIBRARY_UNREADABLE,
    VERSION_MISMATCH,
    needs=("systemd", "module"),
    outvoted_by=ANSWERS,
)
def library(host: HostState) -> Result:
    """Does the linker find the library, may the reader read it, and does its version match the kernel module?"""
    try:
        done = system.run("ldconfig", "-p")
    except HostError:
        return unseen("this system has no ldconfig")
    paths = [line.rpartition("=> ")[2].strip() for line in done.out.splitlines() if line.split()[:1] == [LIBRARY]]
    # The libraries of 32-bit programs come last.
    paths.sort(key=lambda path: "/i386-" in path or path.startswith("/usr/lib32/"))
    path = next((Path(one) for one in paths if exists(Path(one))), None)
    if path is None:
        raise NO_LIBRARY(f"{LIBRARY} not found")
    if host.acts_as_reader and not reader_may(host, path, "-r"):
        raise LIBRARY_UNREADABLE(user=host.reader, path=path.resolve())
    version = re.search(r"\.so\.(\d{3,}\.\d+(?:\.\d+)*)$", str(path.resolve()))
    loaded = module_version(host)
    if version and loaded and version[1] != loaded:
        raise VERSION_MISMATCH(f"{version[1]}, but the module is {loaded}", library=version[1], module=loaded)
    return good(f"{path}{f' ({version[1]})' if version else ''}")
