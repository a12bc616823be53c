"""What NVML answers: its status, every GPU, persistence mode, and how long a collection takes."""

from __future__ import annotations

from typing import Any

from zbx_nvidia.catalog import status as states
from zbx_nvidia.collector.document import model
from zbx_nvidia.doctor.checks import COLLECTOR, NOTE, Fault, Result, check, good, unchecked, unseen
from zbx_nvidia.doctor.driver_checks import AT_EACH_BOOT, LIBRARY, LOAD_NEW_MODULE, device_files, pci_devices
from zbx_nvidia.doctor.host_state import ONESHOT, RESIDENT, HostState

TIMEOUT = 3.0  # s; the agents' default
MARGIN = 0.3  # s that the agent needs for itself
REFUSED = {states.NO_PERMISSION.code, states.LIBRARY_NOT_FOUND.code}  # may happen to one user alone

KERNEL_LOG = "Read the kernel log:\n    dmesg | grep -i -e nvrm -e xid | tail"
HANGS = f"{KERNEL_LOG}\nA process that hangs in the kernel only ends when you restart the host."
GO_RESIDENT = "\n    zbx-nvidia install-agent --mode resident"

REFUSES_USER = Fault(
    "status-4",
    cause="The driver refuses the user {user}: {said}",
    fix="Check who may open the device files. For a container or a service, check which devices it has.\n    ls -l "
    "/dev/nvidia*",
)
DRIVER_NOT_LOADED = Fault(
    "status-9",
    cause="NVML reports that the driver is not loaded: {said}",
    fix=f"Load it:\n    modprobe nvidia\n{KERNEL_LOG}",
)
LIBRARY_NOT_LOADED = Fault(
    "status-12",
    cause=f"The program cannot load {LIBRARY}: {{said}}",
    fix="Install the driver's library, and let the linker find it:\n    ldconfig && ldconfig -p | grep libnvidia-ml",
)
VERSIONS_DIFFER = Fault(
    "status-18",
    cause="The driver's library and kernel module have different versions: {said}",
    fix=LOAD_NEW_MODULE,
)
UNKNOWN_ERROR = Fault("status-999", cause="NVML answers with an unknown error: {said}", fix=KERNEL_LOG)
COLLECTION_HANGS = Fault(
    "status-1001",
    cause="An earlier collection hangs in a driver call, so no second one starts: {said}",
    fix=HANGS,
)
COLLECTOR_FAILED = Fault(
    "status-1002", cause="The collector itself failed: {said}", fix="Report this message: it is a fault of ours."
)
SERVICE_HANGS = Fault(
    "status-1003", cause="The service waits for a driver call that does not return: {said}", fix=HANGS
)
RELEASED = Fault(
    "status-1004",
    cause="The service has released the driver on request, and will take it back by itself.",
    fix="To end the release now:\n    zbx-nvidia-agent release --for 0",
    state=NOTE,
)
NO_GPU = Fault(
    "none",
    cause="NVML answers, but lists no GPU.",
    fix="Check whether nvidia-smi lists a GPU. For a container or a MIG slice, check which GPU it has.\n    nvidia-smi "
    "-L",
)
OF_STATUS = {
    4: REFUSES_USER,
    9: DRIVER_NOT_LOADED,
    12: LIBRARY_NOT_LOADED,
    18: VERSIONS_DIFFER,
    999: UNKNOWN_ERROR,
    1001: COLLECTION_HANGS,
    1002: COLLECTOR_FAILED,
    1003: SERVICE_HANGS,
    1004: RELEASED,
}


@check(
    "nvml",
    "NVML answers",
    COLLECTOR,
    *OF_STATUS.values(),
    NO_GPU,
    needs=("bus", "module", "devices", "library", "program", "document"),
)
def nvml(host: HostState) -> Result:
    """What does the driver answer this user, by the status of the document? The doctor never asks it as root."""
    document = host.collected.document
    if host.root_is_reader:
        return unseen(f"{host.reader} runs the agent, and the doctor never reads the driver as root")
    if document is None:
        return unchecked("there is no document")
    code, said = host.status, document["status"].get("message", "")
    if code in REFUSED and not host.acts_as_reader:
        return unseen(f"not for {host.user}; only root sees whether for {host.reader}: use sudo")
    if code and code != states.DEADLINE_EXCEEDED.code:
        fault = OF_STATUS.get(code, UNKNOWN_ERROR)
        raise fault(document["status"]["name"], user=host.acting_user, said=said)
    if code:
        # Later checks say whether the cards slept, or the driver was slow.
        return good("it answers, late")
    if not document["gpus"] and not document.get("host", {}).get("gpu_count"):
        raise NO_GPU("no GPU")
    count = document["host"].get("gpu_count")
    return good(f"driver {document['host'].get('driver_version')}, {count} GPU{'s' * (count != 1)}")


LOST = Fault(
    "lost",
    cause="The driver has lost a GPU: {which}.",
    fix="Find the XID error before it (79: fallen off the bus):\n    dmesg | grep -i xid | tail\nThen restart the "
    "host. If it happens again, check the card's seat, power and temperature.",
)
SICK = Fault(
    "sick",
    cause="A GPU answers with nothing but errors: {which}.",
    fix=f"{KERNEL_LOG}\nThen reset the GPU, or restart the host.",
)
FEWER = Fault(
    "fewer",
    cause="{bus} GPUs on the bus belong to the driver, but NVML lists {count}.",
    fix="The driver could not start one of them. Find out which, and why:\n    dmesg | grep -i nvrm | tail",
)
READING_ERRORS = Fault(
    "errors",
    cause="Some readings fail: {which}.",
    fix="Everything else is read as usual. List all failed readings:\n    zbx-nvidia show",
    state=NOTE,
)


@check("gpus", "All GPUs answer", COLLECTOR, LOST, SICK, FEWER, READING_ERRORS, needs=("nvml",))
def gpus(host: HostState) -> Result:
    """Is a GPU lost or sick, or on the bus but unknown to NVML?"""
    document = host.collected.document
    if document is None or host.status in {states.RELEASED.code, *REFUSED}:
        return unseen("not asked now")
    summary = document.get("host", {})
    if summary.get("gpus_lost"):
        raise LOST(summary["lost"], which=summary["lost"])
    late = host.status == states.DEADLINE_EXCEEDED.code
    if summary.get("gpus_sick") and not late:
        raise SICK(summary["sick"], which=summary["sick"])
    bound = sum(gpu.driver == "nvidia" for gpu in pci_devices(host))
    count = summary.get("gpu_count", 0)
    if bound > count < len(device_files(host)):
        raise FEWER(bus=bound, count=count)
    errors = document["collector"].get("errors", [])
    if errors and not late:
        which = ", ".join(dict.fromkeys(f"{one['metric']} ({one['message']})" for one in errors[:3]))
        raise READING_ERRORS(f"{len(errors)} readings fail", which=which)
    return good(", ".join(_models(document)) or "none has answered yet")


def _models(document: dict[str, Any]) -> list[str]:
    names = [model(str(gpu.get("name", "unknown"))) for gpu in document["gpus"].values()]
    return [f"{names.count(name)} x {name}" for name in dict.fromkeys(names)]


WAKES_TOO_SLOWLY = Fault(
    "late",
    cause="Persistence mode is off, so each poll wakes the cards first. This takes longer than the agent waits: "
    "{seconds} s, with Timeout={timeout}.",
    fix=f"Switch it on now:\n    nvidia-smi -pm 1\n{AT_EACH_BOOT}\nOr run the resident collector:{GO_RESIDENT}",
)
PERSISTENCE_OFF = Fault(
    "off",
    cause="Persistence mode is off. If nothing else uses the cards, each poll wakes them: 1 to 3 s per card.",
    fix=f"Switch it on now:\n    nvidia-smi -pm 1\n{AT_EACH_BOOT}",
    state=NOTE,
)


@check("persistence", "Persistence mode", COLLECTOR, WAKES_TOO_SLOWLY, PERSISTENCE_OFF, needs=("gpus",))
def persistence(host: HostState) -> Result:
    """Do the cards stay awake between two polls? With the resident collector, the agent does not wait for them."""
    if host.mode == RESIDENT:
        return unseen("the agent does not wait for the cards")
    document = host.collected.document
    modes = [gpu.get("persistence_mode") for gpu in document["gpus"].values()] if document else []
    if 0 in modes:
        if _is_late(host):
            text = "off, and the cards wake too slowly"
            raise WAKES_TOO_SLOWLY(text, seconds=_seconds(host), timeout=f"{_timeout(host):g}")
        raise PERSISTENCE_OFF("off")
    if not any(modes):
        return unseen("these cards do not report it")
    return good("on")


AGENT_TIMEOUT = Fault(
    "timeout",
    cause="A collection took {seconds} s, but the agent ends it after Timeout={timeout}.",
    fix="Raise the value in {file}:\n    Timeout=10\nThen restart the agent:\n{agent.restart}\nOr run the resident "
    f"collector, for which the agent never waits:{GO_RESIDENT}",
)
DEADLINE = Fault(
    "deadline",
    cause="The driver did not answer within the time limit of a collection: {said}",
    fix=f"{KERNEL_LOG}\nIf it shows no fault and the GPUs are only busy, run the resident collector:{GO_RESIDENT}",
)


@check("time", "Collection time", COLLECTOR, AGENT_TIMEOUT, DEADLINE, needs=("nvml", "persistence"))
def duration(host: HostState) -> Result:
    """How long does a collection take, compared with the agent's Timeout?"""
    if host.mode == RESIDENT:
        return unseen("the agent reads a file that is always ready")
    if host.root_is_reader:
        return unseen("not asked")
    if _is_late(host):
        if _timeout(host) < TIMEOUT:
            file = host.configuration.all("Timeout")[-1].file
            raise AGENT_TIMEOUT(seconds=_seconds(host), timeout=f"{_timeout(host):g}", file=file)
        document = host.collected.document or {}
        raise DEADLINE(said=document.get("status", {}).get("message", ""))
    return good(f"{_seconds(host)} s, and the agent waits {_timeout(host):g} s")


def _is_late(host: HostState) -> bool:
    late = host.status == states.DEADLINE_EXCEEDED.code
    return host.mode == ONESHOT and (late or host.collected.seconds > _timeout(host) - MARGIN)


def _timeout(host: HostState) -> float:
    text = host.configuration.last("Timeout") if host.agents else ""
    try:
        return float(text.rstrip("s"))
    except ValueError:
        return TIMEOUT


def _seconds(host: HostState) -> str:
    return f"{host.collected.seconds:.1f}"
