"""What /proc has of a process."""

from __future__ import annotations

import os
import time

STATE, START = 0, 19  # in `stat`
_READ = 4096  # bytes, more than the kernel writes


def stat(folder: str) -> list[bytes]:
    """The fields of a process or thread that stand behind its name, which can have any character.

    Args:
        folder: Of the process or thread, such as /proc/self.

    Raises:
        OSError: It has ended, or is hidden from us (hidepid).
    """
    with open(f"{folder}/stat", "rb") as file:
        return file.read(_READ).rpartition(b")")[2].split()


def age(folder: str) -> float:
    """Seconds since a process was started. Below zero in a container whose clocks were shifted.

    Raises:
        OSError, ValueError, IndexError: It cannot be had.
    """
    ticks = int(stat(folder)[START])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
