"""Clocks of the processes that a test starts: time that is given does not depend on how fast the machine is."""

from __future__ import annotations

import mmap
import struct
import time
from typing import TYPE_CHECKING

from tests.conftest import wait_for

if TYPE_CHECKING:
    from pathlib import Path

# So slow that what a test does meanwhile takes next to no time of theirs; not 0, for some waits of theirs must end.
SLOW = 0.05


class Clocks:
    """The clocks of what runs with `env`: clocks.c says how."""

    _JUMP, _LEAP, _ASLEEP = 0, 8, 40  # bytes from the start of clocks.c's structure

    def __init__(self, path: Path, library: Path, speed: float = 1.0) -> None:
        self._since, self._begin, self._speed = time.time(), time.monotonic(), speed
        path.write_bytes(struct.pack("5dl", 0.0, 0.0, speed, self._begin, self._since, 0))
        self.env = {"TEST_CLOCKS": str(path), "LD_PRELOAD": str(library)}
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), 0)

    def jump(self, seconds: float) -> None:
        """Set the wall clock so much ahead, or behind, of what it would show."""
        struct.pack_into("d", self._shared, self._JUMP, seconds)

    def leap(self, seconds: float) -> None:
        """Let so much time pass at once, on all clocks."""
        # And a little more: what is due then is due, however the sum of floating-point numbers is rounded.
        struct.pack_into("d", self._shared, self._LEAP, self._read(self._LEAP) + seconds + 1e-6)

    def time(self) -> float:
        """What the wall clock shows."""
        passed = (time.time() - self._since) * self._speed
        return self._since + passed + self._read(self._LEAP) + self._read(self._JUMP)

    def monotonic(self) -> float:
        """What the other one shows."""
        return self._begin + (time.monotonic() - self._begin) * self._speed + self._read(self._LEAP)

    def until_slow_calls(self, count: int = 1) -> None:
        """Wait until this number of calls that the profile makes slow are running."""
        wait_for(lambda: struct.unpack_from("l", self._shared, self._ASLEEP)[0] == count, f"{count} slow calls")

    def _read(self, place: int) -> float:
        return float(struct.unpack_from("d", self._shared, place)[0])
