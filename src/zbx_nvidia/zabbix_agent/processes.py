"""The running Zabbix agents, from /proc."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path
from typing import NamedTuple

from zbx_nvidia.host import permissions, system
from zbx_nvidia.kernel.proc import PARENT, START, fields_of, name_of
from zbx_nvidia.zabbix_agent.config import AGENT2, AGENTD

PROC = Path("/proc")
PROGRAMS = {AGENTD: "zabbix_agentd", AGENT2: "zabbix_agent2"}


class AgentProcess(NamedTuple):
    """A running agent: its first process, the parent of agentd's others.

    Attributes:
        kind: agentd or agent2.
        pid: Its process ID.
        started: Seconds since the epoch.
        user: Its user, or the number if the user has no name.
        command: Its command line.
        program: The path of its program.
        folder: Its working directory, to which a path of its configuration can be relative.
        unit: Its systemd service; "" if none.
    """

    kind: str
    pid: int
    started: float
    user: str
    command: tuple[str, ...]
    program: Path
    folder: Path
    unit: str

    @property
    def config(self) -> Path | None:
        """The configuration that its command names; None for the program's default."""
        return config_of(self.command, self.folder)


def agents() -> tuple[AgentProcess, ...]:
    """Every agent that runs on this host, without those in containers, which /proc shows too.

    A process that only has the name of an agent is left out: any user can start one, and its program would be run here.
    """
    agents_by_pid: dict[int, AgentProcess] = {}
    parents: dict[int, int] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                process, parent = _read(int(entry.name))
            except (OSError, ValueError, IndexError):  # it has ended, or this user cannot read it
                continue
            if process is not None:
                agents_by_pid[process.pid] = process
                parents[process.pid] = parent
    return tuple(process for pid, process in sorted(agents_by_pid.items()) if parents[pid] not in agents_by_pid)


def in_containers() -> tuple[tuple[str, int], ...]:
    """Name and process ID of every agent that runs in a container of this host."""
    contained = []
    for entry in sorted(PROC.iterdir()):
        if entry.name.isdigit():
            try:
                name = name_of(str(entry)).decode("utf-8", "replace")
            except OSError:
                continue
            # It may have ended meanwhile.
            with contextlib.suppress(OSError):
                if name in PROGRAMS.values() and not _of_this_host(entry):
                    contained.append((name, int(entry.name)))
    return tuple(contained)


def config_of(command: tuple[str, ...], folder: Path = Path("/")) -> Path | None:
    """The configuration that a command line names; None if it names none.

    Args:
        command: Program and arguments.
        folder: The directory to which it may be relative.
    """
    for number, word in enumerate(command[1:], 1):
        if word in {"-c", "--config", "-config"} and number + 1 < len(command):
            return folder / command[number + 1]
        match = re.fullmatch(r"(?:--?config=|-c=|-c(?=[/.]))(.+)", word)
        if match:
            return folder / match[1]
    return None


def _read(pid: int) -> tuple[AgentProcess | None, int]:
    """The process and the ID of its parent; None if it is no agent of this host."""
    place = PROC / str(pid)
    # The name in the kernel first: it can be read for every process, and neither agent's is cut at 15 bytes.
    name = name_of(str(place)).decode("utf-8", "replace")
    kind = next((kind for kind, program in PROGRAMS.items() if program == name), None)
    if kind is None or not _of_this_host(place):
        return None, 0
    fields = fields_of(str(place))
    words = place.joinpath("cmdline").read_bytes().split(b"\0")
    uid = place.stat().st_uid
    # Without root, and as root in a container, the link cannot be read: only the command line is left.
    program = _link(place / "exe") or Path(shutil.which(words[0].decode("utf-8", "replace"), path=system.PATH) or ".")
    if program.name != name or not program.is_absolute() or not program.is_file() or permissions.changeable(program):
        return None, 0
    process = AgentProcess(
        kind=kind,
        pid=pid,
        started=_boot() + int(fields[START]) / os.sysconf("SC_CLK_TCK"),
        user=permissions.owner(uid),
        command=tuple(word.decode("utf-8", "replace") for word in words if word),
        program=program,
        folder=_link(place / "cwd") or Path("/"),
        unit=_unit(place),
    )
    return process, int(fields[PARENT])


def _of_this_host(place: Path) -> bool:
    """Whether it is not in a container: containers have process IDs of their own, or at least files."""
    me = PROC / "self"
    # Every user can read how many IDs a process has: one for each container that it is in.
    if _depth(place) != _depth(me):
        return False
    # These links only root can read for other users' processes. Some containers share the IDs of the host.
    ours, theirs = _link(me / "ns" / "pid"), _link(place / "ns" / "pid")
    if ours is not None and theirs is not None and ours != theirs:
        return False
    try:
        root, own = place.joinpath("root").stat(), Path("/").stat()
    except OSError:
        return True
    return (root.st_dev, root.st_ino) == (own.st_dev, own.st_ino)


def _depth(place: Path) -> int:
    """How many PID namespaces a process is in; 0 if the kernel does not say."""
    for line in place.joinpath("status").read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("NSpid:"):
            return len(line.split()) - 1
    return 0


def _link(path: Path) -> Path | None:
    try:
        target = str(path.readlink())
    except OSError:
        return None
    # The kernel marks a program that an update has replaced.
    return Path(target.removesuffix(" (deleted)"))


def _unit(place: Path) -> str:
    try:
        lines = place.joinpath("cgroup").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    names = [part for line in lines for part in line.rpartition(":")[2].split("/") if part.endswith(".service")]
    return names[-1] if names else ""


def _boot() -> float:
    for line in PROC.joinpath("stat").read_text(encoding="utf-8").splitlines():
        if line.startswith("btime "):
            return float(line.split()[1])
    return 0.0
