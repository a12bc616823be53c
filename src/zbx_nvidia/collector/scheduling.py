"""Whether a process has waited for a processor, not for what it has called: the kernel counts both apart."""

# Without `from __future__ import annotations`: typing would compile the text of each annotation at each poll.
import os
from typing import NamedTuple

from zbx_nvidia.kernel.proc import STATE, fields_of

_NANO = 1e9


class Thread(NamedTuple):
    """A thread, as the scheduler counts it.

    Attributes:
        wants: Whether it runs now, or waits for a processor. That it waits now is not counted yet.
        ran: How long it has run, in s.
        waited: How long it has waited for a processor, in s.
    """

    wants: bool
    ran: float
    waited: float


def threads(pid: int, proc: str = "/proc") -> "dict[str, Thread] | None":
    """The threads of a process.

    Args:
        pid: Of the process.
        proc: /proc.

    Returns:
        By number; those of which the kernel says nothing are left out. None if one hangs in the kernel.
    """
    by_number = {}
    try:
        for thread in os.listdir(f"{proc}/{pid}/task"):
            folder = f"{proc}/{pid}/task/{thread}"
            state = fields_of(folder)[STATE]
            if state == b"D":
                return None
            with open(f"{folder}/schedstat", encoding="ascii") as file:
                ran, waited = (int(word) / _NANO for word in file.read().split()[:2])
            by_number[thread] = Thread(state == b"R", ran, waited)
    except (OSError, ValueError, IndexError):
        pass  # it has ended, or the kernel does not count
    return by_number


def waited_for_processor(pids: tuple[int, ...], elapsed: float, proc: str = "/proc") -> bool:
    """Whether these processes have spent most of a time waiting for a processor.

    Args:
        pids: Of processes that work one after the other.
        elapsed: The time, in s.
        proc: /proc.

    Returns:
        False also if a thread hangs in the kernel, or if it is not known.
    """
    waited = 0.0
    for pid in pids:
        by_number = threads(pid, proc)
        if by_number is None:
            return False
        waited += max((thread.waited for thread in by_number.values()), default=0.0)
    return waited > elapsed / 2


def most_was_waiting(before: "dict[str, Thread] | None", after: "dict[str, Thread] | None", elapsed: float) -> bool:
    """Whether a thread of a process that goes on running has spent most of a time waiting for a processor.

    Args:
        before: As of `threads`, at the beginning of the time.
        after: At its end.
        elapsed: The time, in s.

    Returns:
        False also if a thread hangs in the kernel, or if it is not known.
    """
    if before is None or after is None:
        return False
    for number, thread in after.items():
        then = before.get(number, Thread(wants=False, ran=0.0, waited=0.0))
        # One that wants to run but has hardly run waits now.
        if thread.waited - then.waited > elapsed / 2 or (thread.wants and thread.ran - then.ran < elapsed / 2):
            return True
    return False
