"""What a run of the tests costs the machine: how many processes want a processor at once, minute by minute."""

from __future__ import annotations

import threading
import time
from collections import deque
from pathlib import Path
from typing import NamedTuple

PERIOD = 0.5  # s between two looks
MINUTE = 60.0  # s
LATELY = 15.0  # s: a browser and its front end raise the load from 2 to 20 within ten


class Cost(NamedTuple):
    """What was seen from the start to now.

    Attributes:
        seconds: How long.
        mean: Runnable processes on average over all of it.
        busiest: The same over its busiest minute; over all of it where it lasted less.
        began: When that minute began, in seconds from the start.
    """

    seconds: float
    mean: float
    busiest: float
    began: float

    def __str__(self) -> str:
        return (
            f"processes runnable on average: {self.mean:.1f} over {self.seconds / 60:.1f} min, "
            f"{self.busiest:.1f} in the busiest minute, which began at {self.began / 60:.1f} min"
        )


class Watch:
    """Counts runnable processes of the whole machine, containers included, in a thread of its own."""

    def __init__(self) -> None:
        self._minute: deque[tuple[float, int]] = deque()
        self._sum = 0
        self._looks = 0
        self._total = 0
        self._busiest = (0.0, 0.0)
        self._started = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="cost", daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(PERIOD):
            now = time.monotonic() - self._started
            count = runnable()
            self._looks += 1
            self._total += count
            self._minute.append((now, count))
            self._sum += count
            while now - self._minute[0][0] >= MINUTE:
                self._sum -= self._minute.popleft()[1]
            if now >= MINUTE:
                self._busiest = max(self._busiest, (self._sum / len(self._minute), now - MINUTE))

    def lately(self) -> float:
        """Runnable processes on average over the last `LATELY` seconds, or since the start."""
        counts = [count for _, count in tuple(self._minute)[-int(LATELY / PERIOD) :]]
        return sum(counts) / max(1, len(counts))

    def end(self) -> Cost:
        """Stop looking; what was seen."""
        self._over.set()
        self._thread.join()
        mean = self._total / max(1, self._looks)
        busiest, began = self._busiest if self._busiest[0] else (mean, 0.0)
        return Cost(time.monotonic() - self._started, mean, busiest, began)


def runnable() -> int:
    """Processes that run or wait for a processor now, without the one that asks. From /proc/stat."""
    text = Path("/proc/stat").read_text(encoding="ascii")
    return max(0, int(text.partition("\nprocs_running ")[2].split()[0]) - 1)
