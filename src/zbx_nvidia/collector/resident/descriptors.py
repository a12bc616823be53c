"""Pipes and locked files whose descriptors are none of the standard streams, even if those were closed."""

from __future__ import annotations

import errno
import fcntl
import os

_LOWEST = 10


def locked(path: str) -> int | None:
    """The file, open, and locked for as long as a process has it open; None when another process has it locked.

    Raises:
        OSError: It cannot be opened or locked.
    """
    raw = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    descriptor = fcntl.fcntl(raw, fcntl.F_DUPFD_CLOEXEC, _LOWEST)
    os.close(raw)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno in {errno.EAGAIN, errno.EACCES}:
            return None
        raise
    return descriptor


def pipe() -> tuple[int, int]:
    """A pipe neither of whose ends is a standard stream: where to read, where to write."""
    ends = os.pipe()
    moved = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, _LOWEST) for end in ends)
    for end in ends:
        os.close(end)
    return moved[0], moved[1]
