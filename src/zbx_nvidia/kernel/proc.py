"""What /proc has of a process."""

from __future__ import annotations

import os
import time

STATE, PARENT, START = 0, 1, 19  # in `stat`
_READ = 4096  # bytes, more than the kernel writes


def fields_of(folder: str) -> list[bytes]:
    """The fields of a process or thread that stand behind its name, which can have any character.

    Args:
        folder: Of the process or thread, such as /proc/self.

    Raises:
        OSError: It has ended, or is hidden from us (hidepid).
    """
    with open(f"{folder}/stat", "rb") as file:
        return file.read(_READ).rpartition(b")")[2].split()


def name_of(folder: str) -> bytes:
    """The name of a process or thread, of 15 bytes at most, which it can change itself.

    Args:
        folder: As for `fields_of`.

    Raises:
        OSError: As `fields_of`.
    """
    with open(f"{folder}/comm", "rb") as file:
        return file.read(_READ).rstrip(b"\n")


def age(fields: list[bytes]) -> float:
    """Seconds since a process was started. Below zero in a container whose clocks were shifted.

    Args:
        fields: As of `fields_of`.

    Raises:
        ValueError, IndexError: The kernel writes others.
    """
    ticks = int(fields[START])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
