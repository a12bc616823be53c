"""Whose a process on a GPU is: what /proc says beyond NVML's PID.

Of a process' command line only the program's name leaves the host, unless the service's configuration asks for all of
it: arguments can hold secrets.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from typing import TYPE_CHECKING, Any, NoReturn

from zbx_nvidia.collector import job
from zbx_nvidia.collector.owner import owner
from zbx_nvidia.driver import system
from zbx_nvidia.driver.calls import Absent, NotNow, NvmlError
from zbx_nvidia.errors import printable
from zbx_nvidia.kernel import proc

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zbx_nvidia.driver.device import Device
    from zbx_nvidia.driver.readings import GpuProcess

PROC = "/proc"
# Number of the PID namespace that the machine starts with: a constant of the kernel (PROC_PID_INIT_INO).
_FIRST_NAMESPACE = 0xEFFFFFFC
# From this branch on the driver says PIDs as the asking process sees them, and leaves out those that it does not.
_NAMESPACED = 515
# User names may come from a directory server, which may be away: nobody waits for it longer than this.
NAMES_WAIT = 0.25

# Characters that are shown of a program's arguments: there is no limit to those of some.
_ARGUMENTS = 200


class Listing:
    """The processes of a card, with what /proc knows of them.

    Args:
        device: The card.
        arguments: Whether to include the arguments of programs.
        job_map: Directory in which another tool writes which job has which GPU.
    """

    def __init__(self, device: Device, *, arguments: bool = False, job_map: str = job.MAP) -> None:
        self._device = device
        self._job_map = job_map
        self._arguments = arguments
        self._entries: list[dict[str, Any]] | None = None
        self._local = True

    def process_list(self) -> list[dict[str, Any]]:
        """Each as `describe` says."""
        if self._entries is None:
            listed = self._device.process_list()
            self._local = visible(_driver_version()) if listed else True
            self._entries = [describe(process, local=self._local, arguments=self._arguments) for process in listed]
        return self._entries

    def process_oldest(self) -> int:
        """Age of the one that runs longest, in s; 0 when there is none."""
        entries = self.process_list()
        ages = [entry["age"] for entry in entries if "age" in entry]
        if entries and not ages:
            self._unseen()
        return max(ages, default=0)

    def job(self) -> job.Held:
        """The jobs that hold the card."""
        entries = self.process_list()
        folders = (job.OWN, self._job_map)
        files = job.written(folders)
        jobs = job.held(entries, files, self._names() if files else set())
        if not jobs and entries and not any("uid" in entry for entry in entries):
            if any(map(os.path.isdir, folders)):
                raise NotNow(0, "/proc does not show these processes, but a file may name the next job")
            self._unseen()
        return job.Held(jobs, min((one["since"] for one in jobs), default=0))

    def _names(self) -> set[str]:
        """How files may call the card, or an instance of it."""
        names = {str(self._device.index()), self._device.uuid()}
        with contextlib.suppress(NvmlError):
            names.update(instance.uuid() for instance in self._device.mig_instances())
        return names

    def _unseen(self) -> NoReturn:
        if not self._local or not job.shows_others():
            raise Absent(0, "/proc does not show the processes")
        raise NotNow(0, "/proc does not show these processes")


def _driver_version() -> str:
    try:
        return system.driver_version()
    except NvmlError:
        return ""


def visible(driver_version: str, folder: str = PROC) -> bool:
    """Whether /proc knows the PIDs that this driver says.

    In a container with its own PIDs, a PID of the host would name another process.
    """
    branch = driver_version.partition(".")[0]
    if branch.isdigit() and int(branch) >= _NAMESPACED:
        return True
    return sees_every_process(folder)


def sees_every_process(folder: str = PROC) -> bool:
    """Whether PIDs are here what they are to the host: not so in a container with PIDs of its own."""
    try:
        return os.stat(f"{folder}/self/ns/pid").st_ino == _FIRST_NAMESPACE
    except OSError:
        return False


def describe(process: GpuProcess, *, local: bool, folder: str = PROC, arguments: bool = False) -> dict[str, Any]:
    """One entry of a process list.

    Args:
        process: As NVML has it.
        local: Whether `folder` knows its PID.
        folder: /proc.
        arguments: Whether to include those of the program.

    Returns:
        `pid`, `type`, and as far as known `name`, `arguments`, `memory` in B, `mig` (GPU instance), `ci` (its compute
        instance), `uid`, what `owner` finds, `age` in s, and `started` (Unix time).
    """
    entry: dict[str, Any] = {"pid": process.pid, "type": process.kind}
    with contextlib.suppress(NvmlError):
        entry["name"] = system.process_name(process.pid)
    if process.memory is not None:
        entry["memory"] = process.memory
    if process.gpu_instance is not None:
        entry["mig"] = process.gpu_instance
    if process.compute_instance is not None:
        entry["ci"] = process.compute_instance
    if local:
        entry.update(_of_proc(f"{folder}/{process.pid}"))
    if local and arguments and (words := _arguments_of(f"{folder}/{process.pid}")):
        entry["arguments"] = words
    return entry


def _arguments_of(folder: str) -> str:
    """What stands behind the program in its command line; nothing when it has ended, or is a thread of the kernel."""
    try:
        with open(f"{folder}/cmdline", "rb") as file:
            words = file.read(4 * _ARGUMENTS + 4096).rstrip(b"\0").split(b"\0")[1:]
    except OSError:
        return ""
    text = printable(b" ".join(words).decode("utf-8", "replace"))
    return text if len(text) <= _ARGUMENTS else f"{text[: _ARGUMENTS - 3]}..."


def _of_proc(folder: str) -> dict[str, Any]:
    """What /proc has of a process; nothing when it has ended, or is hidden from us (hidepid)."""
    facts: dict[str, Any] = {}
    try:
        facts["uid"] = job.user_of(folder)
        age = proc.age(proc.fields_of(folder))
        facts["age"] = max(0, round(age))
        facts["started"] = round(time.time() - age)
        with open(f"{folder}/cgroup", encoding="utf-8", errors="replace") as file:
            facts.update(owner(file.read()))
    except (OSError, ValueError, IndexError):
        pass
    return facts


def names(uids: Iterable[int]) -> dict[int, str]:
    """Names of users, of those who can be looked up in time."""
    user_names: dict[int, str] = {}
    wanted = set(uids)
    if not wanted:
        return user_names
    look_up = threading.Thread(target=look_up_names, args=(wanted, user_names), daemon=True)
    try:
        look_up.start()
    except RuntimeError:  # the limit of the user's processes is reached: numbers will do
        return {}
    look_up.join(NAMES_WAIT)
    return dict(user_names)


def look_up_names(uids: set[int], user_names: dict[int, str]) -> None:
    """Put the names of users in; it may take as long as a directory server likes."""
    import pwd  # noqa: PLC0415  only where there are processes

    for uid in uids:
        try:
            user_names[uid] = pwd.getpwuid(uid).pw_name
        except KeyError:
            continue
