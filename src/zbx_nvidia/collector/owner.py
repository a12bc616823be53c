"""What a process belongs to, from the names of its control groups: a Slurm job, a pod, a container, a service.

Root makes the first parts of such a name. Below a session or a service of a user, the user makes groups of any name:
what stands there is not believed.

No regular expressions: to compile them costs as much as reading the processes of eight GPUs.
"""

# Without `from __future__ import annotations`: typing would compile the text of each annotation at each poll.
import os
from collections.abc import Iterator

from zbx_nvidia.errors import printable

PODS = "/var/log/pods"
# What the names of container runtimes for their control groups end in; people and tools say its first 12 digits.
_ID = 64
_SHORT_ID = 12
_HEXADECIMAL = frozenset("0123456789abcdef")
_POD = 36  # characters of the UID of a pod; static pods have 32 digits without dashes
_STATIC_POD = 32
# Slurm from 26.05 on names a job by its SLUID: s and 13 characters of base 32.
_SLUID = 14
_BASE_32 = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_LONGEST = 64
# Services below which root's runtimes make the groups of containers.
_RUNTIMES = frozenset(
    {"containerd", "docker", "crio", "cri-o", "k3s", "k3s-agent", "rke2-agent", "rke2-server", "kubelet"}
)


def owner(cgroups: str, pods: str = PODS) -> dict[str, str]:
    """What a process belongs to.

    Args:
        cgroups: The text of its /proc/PID/cgroup.
        pods: The folder of the pods' logs, whose names say what a pod is called.

    Returns:
        As far as known `job`, `pod` (its name, or its UID), `namespace`, `container` and `unit`.
    """
    owners: dict[str, str] = {}
    for line in cgroups.splitlines():
        # The first two fields have no slash; the path may have colons.
        path = line.split(":", 2)[-1]
        # In a namespace of control groups of its own, the path to others begins with these.
        parts = [part for part in path.split("/") if part not in {"", ".."}]
        for key, value in _of(parts):
            owners.setdefault(key, value)
    if len(owners) > 1:
        owners.pop("unit", None)  # of the runtime, or of Slurm itself
    if pod := owners.get("pod"):
        owners.update(_named(pod, pods))
    return {key: _printable(value) for key, value in owners.items()}


def _of(parts: list[str]) -> Iterator[tuple[str, str]]:
    if not parts or parts[0] == "user.slice":
        return
    if (job := _job(parts)) is not None:
        yield "job", job
        return
    for place, part in enumerate(parts):
        # containerd without systemd makes one part of three: SLICE:cri-containerd:ID.
        for piece in part.split(":"):
            if uid := _pod(piece):
                yield "pod", uid
            if container := _container(piece):
                yield "container", container
                return  # whoever is root in a container makes groups below
        if lxc := _lxc(parts, place):
            yield "container", lxc
            return
        if part.endswith(".service"):
            yield "unit", part
            if part.removesuffix(".service") not in _RUNTIMES:
                return  # it may run as a user who may make groups below


def _job(parts: list[str]) -> str | None:
    """The Slurm job, where slurmd or its steps stand at the top, as only root can have put them."""
    top = parts[1:] if parts[0] == "system.slice" else parts
    if not top:
        return None
    first = top[0]
    steps = first in {"slurmstepd.scope", "slurmd.service"} or first.endswith("_slurmstepd.scope")
    if not steps and not (parts[0] == first and (first == "slurm" or first.startswith("slurm_"))):
        return None
    for part in top[1:3]:  # v1 has the user between
        name = part.removeprefix("job_")
        if (part != name and name.isdigit()) or is_sluid(name):
            return name
    return None


def is_sluid(name: str) -> bool:
    """Whether it can be the name of a job by Slurm from 26.05 on."""
    return len(name) == _SLUID and name[0] == "s" and _BASE_32.issuperset(name[1:].upper())


def _pod(part: str) -> str:
    """The UID of a pod: `pod<uid>` by cgroupfs, `kubepods-burstable-pod<uid with underscores>.slice` by systemd."""
    if not part.startswith(("pod", "kubepods")):
        return ""
    uid = part.removesuffix(".slice").rpartition("pod")[2].replace("_", "-")
    digits = uid.replace("-", "")
    is_uid = len(uid) in {_POD, _STATIC_POD} and len(digits) == _STATIC_POD and _HEXADECIMAL.issuperset(digits)
    return uid if is_uid else ""


def _container(part: str) -> str:
    last = part.removesuffix(".scope").rpartition("-")[2]
    return last[:_SHORT_ID] if len(last) == _ID and _HEXADECIMAL.issuperset(last) else ""


def _lxc(parts: list[str], place: int) -> str:
    if parts[place].startswith("lxc.payload."):
        return parts[place].removeprefix("lxc.payload.")
    return parts[1] if place == 1 and parts[0] == "lxc" else ""


def _named(uid: str, pods: str) -> dict[str, str]:
    """Name and namespace of a pod, from the folder of its logs: <namespace>_<name>_<uid>."""
    try:
        names = os.listdir(pods)
    except OSError:
        return {}
    for name in names:
        namespace, _, rest = name.partition("_")
        pod, _, known = rest.rpartition("_")
        if known == uid and pod:
            return {"pod": pod, "namespace": namespace}
    return {}


def _printable(text: str) -> str:
    # systemd writes what a name may not have as \x2d.
    text = text.replace("\\x2d", "-")
    return printable(text[:_LONGEST])
