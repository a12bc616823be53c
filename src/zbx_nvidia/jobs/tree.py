"""The processes of a job: every descendant of the process that started it, those included whose parent has ended.

The process that starts the job adopts them: it is the "child subreaper" of all that it starts. What another service
starts for the job, such as a container engine, is no descendant.
"""

from __future__ import annotations

import ctypes
import os
from typing import NamedTuple

from zbx_nvidia.kernel.proc import PARENT, STATE, fields_of

PROC = "/proc"
_PR_SET_CHILD_SUBREAPER = 36
_TIMES, _RESIDENT = 11, 21  # as PARENT
_KIBI = 1024


class JobProcess(NamedTuple):
    """A process of the job.

    Attributes:
        pid: Its number.
        cpu: CPU time of it and of the children that it has waited for, in s.
        resident: Its memory, shared pages included, in B.
    """

    pid: int
    cpu: float
    resident: int


def adopt_orphans() -> None:
    """Make this process the parent of all its descendants whose own parent ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    # A kernel before 3.4 does not know it; then such descendants are not counted.
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants(root: int, without: frozenset[int] = frozenset(), proc: str = PROC) -> dict[int, JobProcess]:
    """The descendants of a process, by number.

    Args:
        root: Of the process, which is not one of them.
        without: Children of it that are left out, with their descendants.
        proc: /proc.
    """
    children: dict[int, list[int]] = {}
    known: dict[int, list[bytes]] = {}
    for name in os.listdir(proc):  # noqa: PTH208  thousands of names
        if not name.isdigit():
            continue
        fields = _stat(f"{proc}/{name}")
        if fields:
            known[int(name)] = fields
            children.setdefault(int(fields[PARENT]), []).append(int(name))
    processes: dict[int, JobProcess] = {}
    todo = [child for child in children.get(root, ()) if child not in without]
    while todo:
        pid = todo.pop()
        processes[pid] = _process(pid, known[pid])
        todo += children.get(pid, ())
    return processes


def memory(processes: dict[int, JobProcess], proc: str = PROC) -> int:
    """Memory of these processes together, in B: what several share counts once, as far as the kernel says it."""
    if len(processes) < 2:  # noqa: PLR2004  nothing is shared
        return sum(process.resident for process in processes.values())
    return sum(_share(pid, proc) or process.resident for pid, process in processes.items())


def is_stopped(pid: int, proc: str = PROC) -> bool:
    """Whether a process is stopped by a signal."""
    fields = _stat(f"{proc}/{pid}")
    return bool(fields) and fields[STATE] == b"T"


def descends(pid: int, root: int, proc: str = PROC) -> bool:
    """Whether a process descends from another."""
    while pid > 1:
        fields = _stat(f"{proc}/{pid}")
        if not fields:
            return False
        pid = int(fields[PARENT])
        if pid == root:
            return True
    return False


def _process(pid: int, fields: list[bytes]) -> JobProcess:
    ticks = sum(int(field) for field in fields[_TIMES : _TIMES + 4])
    return JobProcess(pid, ticks / os.sysconf("SC_CLK_TCK"), int(fields[_RESIDENT]) * os.sysconf("SC_PAGE_SIZE"))


def _stat(folder: str) -> list[bytes]:
    """As `fields_of`; none of a process that has ended."""
    try:
        return fields_of(folder)
    except OSError:
        return []


def _share(pid: int, proc: str) -> int:
    """Its part of the memory, where a page of n processes counts as a nth; 0 if the kernel does not say it."""
    try:
        with open(f"{proc}/{pid}/smaps_rollup", "rb") as file:  # noqa: PTH123  as above
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * _KIBI
    except OSError:
        return 0  # of another user, or without such a file
    return 0
