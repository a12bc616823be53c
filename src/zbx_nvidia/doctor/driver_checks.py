"""The links from the card in its slot to the document, and the time that takes."""

from __future__ import annotations

import os
import platform
import re
import stat
import sys
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any, NamedTuple

import zbx_nvidia
from zbx_nvidia.catalog import status as states
from zbx_nvidia.collector import document
from zbx_nvidia.doctor.checks import NOTE, Chain, Fault, Seen, good, unchecked, unseen, wrong
from zbx_nvidia.doctor.host_state import ONESHOT, RESIDENT, Scene, there
from zbx_nvidia.errors import HostError
from zbx_nvidia.host import installation, paths, system

HOST = "Host"
DRIVER = "Driver"
COLLECTOR = "Collector"
LIBRARY = "libnvidia-ml.so.1"
ALL_WELL = ("nvml", "gpus")  # where these are good, the driver works, whatever is not seen of it
TIMEOUT = 3.0  # s; the agents' default
ALL_RW, GROUP_RW = 0o006, 0o060
REFUSED = {states.NO_PERMISSION.code, states.LIBRARY_NOT_FOUND.code}  # as may happen to one user alone
MARGIN = 0.3  # s that the agent needs for itself
# As NVIDIA and most distributions call it; Debian's packages name their branch: nvidia-current, nvidia-legacy-390xx,
# nvidia-tesla-470. The kernel has modules of its own whose names begin so, such as nvidia-wmi-ec-backlight.
MODULE = re.compile(r"nvidia(-(current|legacy|tesla)[\w-]*)?\.ko(\.\w+)?")

# What nvidia-smi sets is gone after a start. NVIDIA's service is in a package of its own where it is packaged, and
# Ubuntu's is told to leave the mode alone.
LASTING = (
    "at each start, by NVIDIA's service (in Debian a package of that name), where systemctl cat nvidia-persistenced "
    "shows one without --no-persistence-mode:\n    systemctl enable --now nvidia-persistenced\nor else by a unit of "
    "your own:\n    printf '[Service]\\nType=oneshot\\nExecStart=/usr/bin/nvidia-smi -pm 1\\n[Install]\\n"
    "WantedBy=multi-user.target\\n' > /etc/systemd/system/nvidia-awake.service\n    systemctl enable nvidia-awake"
)

CHAIN: Chain[Scene] = Chain()
link = CHAIN.link


@link(
    "systemd",
    "systemd answers",
    HOST,
    Fault(
        "silent",
        "systemd runs this host and cannot be asked, so neither agent nor service can be found: {said}",
        "See what it says, and put that right; a container that shows the host's /run needs no systemctl:\n    "
        "systemctl show --property=Version",
    ),
)
def asked(scene: Scene) -> Seen:
    """Whether systemd tells of its services; in most containers there is none."""
    if not system.has_systemd():
        return unseen("there is none here")
    if system.answers():
        return good("it runs this host")
    if not scene.root:
        return unseen("here it talks to root alone: use sudo")
    done = system.run("systemctl", "show", "--property=Version")
    raise wrong("silent", "it does not", said=done.complaint)


class Device(NamedTuple):
    """An NVIDIA GPU on the PCI bus.

    Attributes:
        address: Of its slot.
        driver: Name of the kernel module that has it; "" if none has.
    """

    address: str
    driver: str


def devices(scene: Scene) -> list[Device]:
    """The GPUs on the PCI bus: displays (class 3) of vendor 10de, not their audio and USB functions."""
    found = []
    bus = scene.at("/sys/bus/pci/devices")
    for place in sorted(bus.iterdir()) if bus.is_dir() else []:
        # A card that is shared out has virtual functions on the bus too, which are for virtual machines.
        virtual = (place / "physfn").is_symlink()
        if _line(place / "vendor") == "0x10de" and _line(place / "class").startswith("0x03") and not virtual:
            driver = place / "driver"
            found.append(Device(place.name, driver.readlink().name if driver.is_symlink() else ""))
    return found


def nodes(scene: Scene) -> list[Path]:
    """The device files of GPUs. A container has those of the GPUs that it is given, but shows the whole bus."""
    return [path for path in sorted(scene.at("/dev").glob("nvidia*")) if re.fullmatch(r"nvidia\d+", path.name)]


def module_version(scene: Scene) -> str:
    """The version of the loaded kernel module; "" if none is."""
    found = re.search(r"Kernel Module.*?\s(\d+\.\d+(?:\.\d+)*)\s", _line(scene.at("/proc/driver/nvidia/version")) + " ")
    return found[1] if found else ""


def _line(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").partition("\n")[0].strip()
    except OSError:
        return ""


@link(
    "bus",
    "GPU on the PCI bus",
    DRIVER,
    Fault(
        "none",
        "No NVIDIA GPU is on the PCI bus of this host: the card is not there, has no power, or is not given to this "
        "virtual machine.",
        "Look for it with\n    lspci -d 10de:\nand, if that is empty, at the card's seat and power, the BIOS (above 4G "
        "decoding), or the pass-through of the virtual machine.",
    ),
    outvoted_by=ALL_WELL,
)
def bus(scene: Scene) -> Seen:
    """Whether /sys/bus/pci/devices lists a display of vendor 10de."""
    found = devices(scene)
    if found:
        return good(f"{len(found)}: {', '.join(device.address for device in found[:8])}")
    if scene.at("/dev/dxg").exists():
        return unseen("WSL 2: the card is on the bus of Windows")
    if _jetson(scene):
        return unseen("a Jetson: the GPU is a part of its processor")
    if not scene.at("/sys/bus/pci/devices").is_dir():
        return unseen("this host shows no PCI bus")
    raise wrong("none", "no device of vendor 10de")


def _jetson(scene: Scene) -> bool:
    return scene.at("/etc/nv_tegra_release").exists()


@link(
    "module",
    "Kernel module",
    DRIVER,
    Fault(
        "nouveau",
        "The free driver nouveau has the card {address}: the kernel module nvidia cannot take it, and NVML needs that.",
        "Keep nouveau away, and restart the host:\n    echo 'blacklist nouveau' > /etc/modprobe.d/nouveau.conf\n    "
        "update-initramfs -u    # or: dracut --force\n    reboot",
    ),
    Fault(
        "vfio",
        "The card {address} is reserved for a virtual machine (vfio-pci): this host cannot read it.",
        "Watch it from within that virtual machine. If it is meant for this host, take its id out of the options of "
        "vfio-pci in /etc/modprobe.d and restart the host.",
    ),
    Fault(
        "not-built",
        "The kernel module nvidia is not loaded, and there is none for the running kernel {kernel}: after an update of "
        "the kernel it was not built.",
        "Install the kernel's headers and have it built:\n    apt install linux-headers-{kernel}    # or: dnf install "
        "kernel-devel-{kernel}\n    dkms autoinstall && modprobe nvidia",
    ),
    Fault(
        "not-loaded",
        "The kernel module nvidia is not loaded.",
        "Load it, and look at what the kernel says if that fails (with Secure Boot: an unsigned module):\n    modprobe "
        "nvidia\n    dmesg | grep -i -e nvidia -e nvrm | tail",
    ),
    needs=("bus",),
    outvoted_by=ALL_WELL,
)
def module(scene: Scene) -> Seen:
    """Whether /proc/driver/nvidia is there, and which module has the card if it is not."""
    if version := module_version(scene):
        return good(f"nvidia {version}")
    if scene.at("/dev/dxg").exists() or _jetson(scene):
        return unseen("WSL 2 and Jetson have another one")
    for device in devices(scene):
        if device.driver in {"nouveau", "vfio-pci"}:
            raise wrong("nouveau" if device.driver == "nouveau" else "vfio", device.driver, address=device.address)
    kernel = platform.release()
    modules = scene.at(f"/lib/modules/{kernel}")
    # Where there are no modules at all, as in a container, nothing follows from there being none of this name.
    if modules.is_dir() and not any(MODULE.fullmatch(path.name) for path in modules.rglob("nvidia*.ko*")):
        raise wrong("not-built", kernel=kernel)
    raise wrong("not-loaded")


@link(
    "devices",
    "Rights to /dev/nvidia*",
    DRIVER,
    Fault(
        "missing",
        "The kernel module is loaded, but {path} is not there.",
        f"Have it made, now:\n    nvidia-modprobe -c=0 -u    # or, without that program: nvidia-smi\nand {LASTING}\nA "
        "container is given it when it is started: --gpus all, or nvidia-container-toolkit.",
    ),
    Fault(
        "denied",
        "The user {user} may not open {path} ({mode}).",
        "Put that user into the group {group} and restart:\n    usermod -aG {group} {user}\n    systemctl restart "
        "{unit}\nor open the files to everybody, which is the driver's default:\n    chmod 0666 {paths}    # lasting: "
        "NVreg_DeviceFileMode=0666",
    ),
    Fault(
        "denied-service",
        "The user {user} of the service may not open {path} ({mode}).",
        "Give the service the group {group}:\n    systemctl edit {unit}    # [Service] SupplementaryGroups={group}"
        "\n    systemctl restart {unit}\nor open the files to everybody, which is the driver's default:\n    chmod "
        "0666 {paths}    # lasting: NVreg_DeviceFileMode=0666",
    ),
    Fault(
        "closed",
        "The user {user} may not open {path} ({mode}), and there is no group for that.",
        "Open the files to everybody, which is the driver's default:\n    chmod 0666 {paths}    # lasting: "
        "NVreg_DeviceFileMode=0666\nor have the driver make them for a group of their own, into which {user} is put: "
        "NVreg_DeviceFileMode=0660 and NVreg_DeviceFileGID=, in the options of nvidia in /etc/modprobe.d.",
    ),
    needs=("systemd", "module"),
    outvoted_by=ALL_WELL,
)
def rights(scene: Scene) -> Seen:
    """Whether the user that reads the driver may open /dev/nvidiactl and /dev/nvidia0, 1, ...; nothing is opened."""
    if not module_version(scene):
        return unseen("not those of the usual driver")
    cards = nodes(scene)
    control = scene.at("/dev/nvidiactl")
    for path in (control, *(cards or [scene.at("/dev/nvidia0")])):
        if not path.exists():
            raise wrong("missing", path=path)
    if not scene.like_reader:
        about = [path.stat() for path in (control, *cards)]
        if all(one.st_mode & ALL_RW == ALL_RW for one in about):
            return good("everybody may open them")
        return unseen(f"only root can see what {scene.reader} may: use sudo")
    closed = [path for path in (control, *cards) if not _may(scene, path, "-r", "-w")]
    if closed:
        about = [path.stat() for path in closed]
        node, group = about[0], _group(about[0].st_gid)
        # Who is in root's group may do more than use the GPUs.
        shared = all(one.st_gid == node.st_gid and one.st_mode & GROUP_RW == GROUP_RW for one in about)
        key = "denied-service" if scene.way == RESIDENT else "denied"
        raise wrong(
            key if shared and node.st_gid != 0 and not group.isdigit() else "closed",
            f"{scene.reader} may not open {closed[0]}",
            user=scene.reader,
            path=closed[0],
            paths=" ".join(map(str, closed)),
            mode=f"mode {stat.S_IMODE(node.st_mode):04o}, {_user(node.st_uid)}:{group}",
            group=group,
            unit=_unit(scene),
        )
    return good(f"{scene.reader} may open {len(cards) + 1} files")


def _may(scene: Scene, path: Path, *rights: str) -> bool:
    """Whether the kernel would let the reader: it knows of access lists and groups what no reading of modes shows."""
    if scene.root_reads:
        # No process is started as root for that: this one is root's, where it is asked.
        return all(os.access(path, {"-r": os.R_OK, "-w": os.W_OK, "-x": os.X_OK}[right]) for right in rights)
    conditions = " ".join(f"-a {right} {path}" for right in rights).split()[1:]
    return scene.as_user(scene.reader, "test", *conditions).code == 0


def _unit(scene: Scene) -> str:
    if scene.way == RESIDENT:
        return scene.service.name if scene.service else "zbx-nvidia.service"
    return scene.unit


def _user(number: int) -> str:
    import pwd  # noqa: PLC0415  for messages alone

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _group(number: int) -> str:
    import grp  # noqa: PLC0415  for messages alone

    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


@link(
    "library",
    "Library of NVML",
    DRIVER,
    Fault(
        "missing",
        f"{LIBRARY} is not where programs look for it: this part of the driver is not installed, or the linker's cache "
        "does not know it.",
        "Install it, or have the cache made anew:\n    apt install libnvidia-ml1    # or nvidia-utils-..., "
        "nvidia-driver-cuda-libs\n    ldconfig",
    ),
    Fault(
        "unreadable",
        "The user {user} may not read {path}.",
        "Its rights, and those of the directories above it, were changed. See which, and open them:\n    namei -l "
        "{path}\n    chmod 0755 {path}",
    ),
    Fault(
        "mismatch",
        "The library is of version {library}, the loaded kernel module of {module}: the driver was updated, and the "
        "old "
        "module is still loaded. Every program that is started now fails.",
        "Restart the host; or end everything that uses the GPUs and load the new module:\n    modprobe -r nvidia_uvm "
        "nvidia_drm nvidia_modeset nvidia && modprobe nvidia",
    ),
    needs=("systemd", "module"),
    outvoted_by=ALL_WELL,
)
def library(scene: Scene) -> Seen:
    """Whether the linker finds it, the reader may read it, and its version is that of the kernel module."""
    try:
        done = system.run("ldconfig", "-p")
    except HostError:
        return unseen("this system has no ldconfig to ask")
    paths = [line.rpartition("=> ")[2].strip() for line in done.out.splitlines() if line.split()[:1] == [LIBRARY]]
    # Those of 32-bit programs come behind.
    paths.sort(key=lambda path: "/i386-" in path or path.startswith("/usr/lib32/"))
    path = next((Path(one) for one in paths if there(Path(one))), None)
    if path is None:
        raise wrong("missing", f"{LIBRARY} is not found")
    if scene.like_reader and not _may(scene, path, "-r"):
        raise wrong("unreadable", user=scene.reader, path=path.resolve())
    found = re.search(r"\.so\.(\d{3,}\.\d+(?:\.\d+)*)$", str(path.resolve()))
    loaded = module_version(scene)
    if found and loaded and found[1] != loaded:
        raise wrong("mismatch", f"{found[1]}, but the module is {loaded}", library=found[1], module=loaded)
    return good(f"{path}{f' ({found[1]})' if found else ''}")


# Nothing is removed before its successor is there, and no index is asked for a name that anybody may register.
INSTALL = (
    "\n    umask 022\n    {python} -m venv {folder}\n    {folder}/bin/pip install --force-reinstall {wheel}\nor, where "
    "it came as zbx-nvidia.pyz:\n    {python} zbx-nvidia.pyz unpack {folder}"
)


@link(
    "program",
    "zbx-nvidia-agent",
    COLLECTOR,
    Fault(
        "missing",
        "{path} is not there: this installation is not complete.",
        f"Install it again, as root, beside the file that it came from:{INSTALL}",
    ),
    Fault(
        "denied",
        "The user {user} cannot run {path}: {stop} lets it not pass ({mode}).",
        "Open that:\n    chmod {rights} {stop}",
    ),
    Fault(
        "private",
        "The user {user} cannot run {path}: it lies in {stop}, which is not for everybody ({mode}).",
        "Leave that closed, and install it where everybody can read and root alone can write, as root, beside the file "
        f"that it came from:{INSTALL}\nThen have the agent told of that one:\n    {{folder}}/bin/zbx-nvidia "
        "install-agent --mode {way}",
    ),
    Fault(
        "fails",
        "{path}, run by the user {user}, ends with: {said}",
        "Install it again, as root, beside the file that it came from and with the Python that is on this host now:"
        f"{INSTALL}",
    ),
    Fault(
        "uncompiled",
        "Python's compiled files are missing, and the user {user} may not write them: each poll takes twice as long.",
        "Have them written once:\n    {python} -m compileall -q {package}",
        NOTE,
    ),
    needs=("systemd",),
)
def program(scene: Scene) -> Seen:
    """Whether the user that reads the driver can run it, and whether Python has compiled it."""
    path = scene.program
    folder = installation.folder(path)
    names = {"path": path, "user": scene.reader, **_install(folder)}
    if not path.is_file():
        raise wrong("missing", **names)
    if scene.like_reader:
        way = (*reversed(path.parents), path)
        for stop in way if not _may(scene, path, "-x") else ():
            if not _may(scene, stop, "-x"):
                inside = folder is not None and stop.is_relative_to(folder)
                names |= {"stop": stop, "mode": f"mode {stat.S_IMODE(stop.stat().st_mode):04o}", "way": scene.way}
                names |= _install(folder if inside else None)
                # Where one directory was made closed to others, by a umask, all of them were.
                names["rights"] = "o+rx" if stop == path else "-R go+rX"
                raise wrong("denied" if inside else "private", f"{scene.reader} cannot run it", **names)
    if scene.root_reads:
        return unseen(f"{path}; root runs the agent, and the doctor runs nothing of it as root")
    done = scene.as_user(scene.reader, str(path), "--version")
    if done.code and not scene.like_reader:
        return unseen(f"{scene.me} cannot run it; whether {scene.reader} can, only root sees: use sudo")
    if done.code:
        raise wrong("fails", f"it ends with: {done.complaint}", said=done.complaint, **names)
    if installation.archive():
        # What was unpacked was compiled then, and is not what this process was loaded from.
        return good(f"{path}, as {scene.caller}")
    package = Path(zbx_nvidia.__file__).parent
    compiled = Path(cache_from_source(str(package / "collector" / "collect.py")))
    if not compiled.exists() and not _owns(scene, package):
        raise wrong("uncompiled", "not compiled", user=scene.reader, python=sys.executable, package=package)
    return good(f"{path}, as {scene.caller}")


def _install(folder: Path | None) -> dict[str, object]:
    """What the commands that install it name."""
    # Of a virtual environment, the one that it was made with: a host's python3 may be too old.
    python = str(getattr(sys, "_base_executable", "")) or sys.executable
    wheel = f"zbx_nvidia-{zbx_nvidia.__version__}-py3-none-any.whl"
    return {"python": python, "folder": folder or Path(paths.PROGRAM).parents[1], "wheel": wheel}


def _owns(scene: Scene, package: Path) -> bool:
    """Whether Python can write there by itself when the reader runs it."""
    return scene.like_reader and _may(scene, package / "collector", "-w")


@link(
    "document",
    "Document",
    COLLECTOR,
    Fault(
        "none",
        "zbx-nvidia-agent get, run by the user {user}, gives no document: {why}",
        "Run it yourself and see; whatever stands before it in the output, such as a greeting of a shell's start file, "
        "must go:\n    runuser -u {user} -- {path} get | head -c 300",
    ),
    Fault(
        "version",
        "The document is of version {found}, the template of this package of {own}: two versions of zbx-nvidia are "
        "installed.",
        "Bring them to one version; for the service of the resident collector a restart may do:\n    systemctl restart "
        "zbx-nvidia",
    ),
    Fault(
        "large",
        "The document has {size} bytes, and a Zabbix agent of 6.0 reads no file of more than {limit}.",
        "Please report that with the document: it is meant never to happen.",
    ),
    needs=("program",),
)
def whole(scene: Scene) -> Seen:
    """Whether what it prints, or the service has written, is a document of this version, and not too large."""
    if scene.root_reads:
        return unseen(f"{scene.reader} runs the agent, and the doctor asks nothing as root")
    found = scene.collected
    if found.document is None and not scene.like_reader:
        return unseen(f"{scene.me} gets none; whether {scene.reader} does, only root sees: use sudo")
    if found.document is None:
        raise wrong("none", found.why, user=scene.reader, why=found.why, path=scene.program)
    if found.document.get("version") != document.VERSION:
        raise wrong("version", found=found.document.get("version"), own=document.VERSION)
    size = len(found.text.encode())
    if size > document.LIMIT:
        raise wrong("large", size=size, limit=document.LIMIT)
    by = found.document["collector"]
    return good(f"{size} bytes, {by.get('mode')}, of zbx-nvidia {by.get('version')}")


DMESG = "Look at what the kernel says:\n    dmesg | grep -i -e nvrm -e xid | tail"
NVML_FAULTS = (
    Fault(
        "status-4",
        "The driver refuses the user {user}: {said}",
        "Check who may open the device files, and in a container or a service which devices it is given:\n    ls -l "
        "/dev/nvidia*",
    ),
    Fault(
        "status-9",
        "NVML says that the driver is not loaded: {said}",
        f"Load it, and see why not:\n    modprobe nvidia\n{DMESG}",
    ),
    Fault(
        "status-12",
        f"The program cannot load {LIBRARY}: {{said}}",
        "Install the driver's library, and have the linker find it:\n    ldconfig && ldconfig -p | grep libnvidia-ml",
    ),
    Fault(
        "status-18",
        "Library and kernel module of the driver are of different versions: {said}",
        "Restart the host, or end everything that uses the GPUs and load the new module:\n    modprobe -r nvidia_uvm "
        "nvidia_drm nvidia_modeset nvidia && modprobe nvidia",
    ),
    Fault("status-999", "NVML answers with an unknown error: {said}", DMESG),
    Fault(
        "status-1001",
        "An earlier collection hangs in a call into the driver, and no second one is started beside it: {said}",
        f"{DMESG}\nA process that hangs in the kernel goes with a restart of the host alone.",
    ),
    Fault("status-1002", "The collector itself failed: {said}", "Please report that message."),
    Fault(
        "status-1003",
        "The service waits for a call into the driver that does not come back: {said}",
        f"{DMESG}\nA process that hangs in the kernel goes with a restart of the host alone.",
    ),
    Fault(
        "status-1004",
        "The service has let go of the driver on purpose, and takes it up again by itself.",
        "Earlier than planned:\n    zbx-nvidia-agent release --for 0",
        NOTE,
    ),
    Fault(
        "none",
        "NVML answers, and has no GPU.",
        "See whether nvidia-smi lists one; in a container or a MIG slice, which GPU it was given.\n    nvidia-smi -L",
    ),
)


@link(
    "nvml",
    "NVML answers",
    COLLECTOR,
    *NVML_FAULTS,
    needs=("bus", "module", "devices", "library", "program", "document"),
)
def nvml(scene: Scene) -> Seen:
    """What the driver answers that user: the status of the document. Root never asks it."""
    found = scene.collected.document
    if scene.root_reads:
        return unseen(f"{scene.reader} runs the agent, and the doctor asks nothing as root")
    if found is None:
        return unchecked("there is no document")
    code, said = scene.status, found["status"].get("message", "")
    if code in REFUSED and not scene.like_reader:
        return unseen(f"not to {scene.me}; whether to {scene.reader}, only root sees: use sudo")
    if code and code != states.DEADLINE_EXCEEDED.code:
        key = f"status-{code}"
        known = any(fault.key == key for fault in NVML_FAULTS)
        raise wrong(key if known else "status-999", found["status"]["name"], user=scene.caller, said=said)
    if code:
        # Whether that is a matter of the cards' sleep or of time is said further on.
        return good("it answers, late")
    if not found["gpus"] and not found.get("host", {}).get("gpu_count"):
        raise wrong("none")
    host = found["host"]
    return good(f"driver {host.get('driver_version')}, {_count(host.get('gpu_count'), 'GPU')}")


@link(
    "gpus",
    "Every GPU answers",
    COLLECTOR,
    Fault(
        "lost",
        "The driver has lost a GPU: {which}.",
        "Look for the Xid error before it (79: fallen off the bus), and restart the host; if it comes again, the "
        "card's "
        "seat, power and temperature:\n    dmesg | grep -i xid | tail",
    ),
    Fault("sick", "A GPU answers with errors alone: {which}.", f"{DMESG}\nThen reset it, or restart the host."),
    Fault(
        "fewer",
        "{bus} GPUs on the bus belong to the driver, and NVML has {count}.",
        "The driver could not start one of them. See which, and why:\n    dmesg | grep -i nvrm | tail",
    ),
    Fault(
        "errors",
        "Some readings fail: {which}.",
        "See all of them; the rest is read all the same:\n    zbx-nvidia show",
        NOTE,
    ),
    needs=("nvml",),
)
def gpus(scene: Scene) -> Seen:
    """Whether a GPU is lost or sick, or is on the bus and unknown to NVML."""
    found = scene.collected.document
    if found is None or scene.status in {states.RELEASED.code, *REFUSED}:
        return unseen("not asked now")
    host = found.get("host", {})
    if host.get("gpus_lost"):
        raise wrong("lost", host["lost"], which=host["lost"])
    late = scene.status == states.DEADLINE_EXCEEDED.code
    if host.get("gpus_sick") and not late:
        raise wrong("sick", host["sick"], which=host["sick"])
    bound = sum(device.driver == "nvidia" for device in devices(scene))
    count = host.get("gpu_count", 0)
    if bound > count < len(nodes(scene)):
        raise wrong("fewer", bus=bound, count=count)
    problems = found["collector"].get("errors", [])
    if problems and not late:
        which = ", ".join(dict.fromkeys(f"{one['metric']} ({one['message']})" for one in problems[:3]))
        raise wrong("errors", f"{len(problems)} readings fail", which=which)
    return good(", ".join(_models(found)) or "none has answered yet")


def _models(found: dict[str, Any]) -> list[str]:
    names = [document.model(str(gpu.get("name", "unknown"))) for gpu in found["gpus"].values()]
    return [f"{names.count(name)} x {name}" for name in dict.fromkeys(names)]


@link(
    "persistence",
    "Persistence mode",
    COLLECTOR,
    Fault(
        "late",
        "Persistence mode is off, so each poll wakes the cards first, and that takes longer than the agent waits: "
        "{seconds} s, with Timeout={timeout}.",
        f"Switch it on, now:\n    nvidia-smi -pm 1\nand {LASTING}\nOr run the resident collector:\n    zbx-nvidia "
        "install-agent --mode resident",
    ),
    Fault(
        "off",
        "Persistence mode is off: when nothing else uses the cards, each poll wakes them, which takes 1 to 3 s a card.",
        f"Switch it on, now:\n    nvidia-smi -pm 1\nand {LASTING}",
        NOTE,
    ),
    needs=("gpus",),
)
def persistence(scene: Scene) -> Seen:
    """Whether the cards stay awake between two polls; of the resident collector the agent does not wait for them."""
    if scene.way == RESIDENT:
        return unseen("the agent does not wait for the cards")
    found = scene.collected.document
    modes = [gpu.get("persistence_mode") for gpu in found["gpus"].values()] if found else []
    if 0 in modes:
        if _late(scene):
            raise wrong(
                "late", "off, and the cards wake too slowly", seconds=_seconds(scene), timeout=f"{_timeout(scene):g}"
            )
        raise wrong("off", "off")
    if not any(modes):
        return unseen("these cards do not say")
    return good("on")


@link(
    "time",
    "Time of a collection",
    COLLECTOR,
    Fault(
        "timeout",
        "One collection took {seconds} s, and the agent ends it after Timeout={timeout}.",
        "Raise that in {file} and restart the agent:\n    Timeout=10\nor run the resident collector, which the agent "
        "never waits for:\n    zbx-nvidia install-agent --mode resident",
    ),
    Fault(
        "deadline",
        "The driver did not answer within the 2.5 s that a collection may take: {said}",
        f"{DMESG}\nIf nothing is wrong there, and the GPUs are only busy, run the resident collector:\n    zbx-nvidia "
        "install-agent --mode resident",
    ),
    needs=("nvml", "persistence"),
)
def duration(scene: Scene) -> Seen:
    """What one collection takes, against the Timeout of the agent."""
    if scene.way == RESIDENT:
        return unseen("the agent reads a file that lies ready")
    if scene.root_reads:
        return unseen("not asked")
    if _late(scene):
        if _timeout(scene) < TIMEOUT:
            file = scene.configuration.all("Timeout")[-1].file
            raise wrong("timeout", seconds=_seconds(scene), timeout=f"{_timeout(scene):g}", file=file)
        found = scene.collected.document or {}
        raise wrong("deadline", said=found.get("status", {}).get("message", ""))
    return good(f"{_seconds(scene)} s, of {_timeout(scene):g} s that the agent waits")


def _late(scene: Scene) -> bool:
    late = scene.status == states.DEADLINE_EXCEEDED.code
    return scene.way == ONESHOT and (late or scene.collected.seconds > _timeout(scene) - MARGIN)


def _timeout(scene: Scene) -> float:
    text = scene.configuration.last("Timeout", "3") if scene.agents else "3"
    try:
        return float(text.rstrip("s"))
    except ValueError:
        return TIMEOUT


def _seconds(scene: Scene) -> str:
    return f"{scene.collected.seconds:.1f}"


def _count(number: Any, word: str) -> str:  # noqa: ANN401  JSON
    return f"{number} {word}{'' if number == 1 else 's'}"
