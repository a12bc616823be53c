"""What a run of the tests costs the machine: how many processes want a processor at once, minute by minute."""

from __future__ import annotations

import threading
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

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


class Load:
    """How many processes wanted a processor at once, as it was seen."""

    def __init__(self) -> None:
        self._minute: deque[tuple[float, int]] = deque()
        self._sum = 0
        self._looks = 0
        self._total = 0
        self._busiest = (0.0, 0.0)

    def saw(self, now: float, count: int) -> None:
        """So many were runnable, so many seconds after the start."""
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
        looks = tuple(self._minute)
        counts = [count for at, count in looks if at > looks[-1][0] - LATELY]
        return sum(counts) / max(1, len(counts))

    def give_way(self, limit: float, may_wait: Callable[[int], bool]) -> int:
        """Wait while more than `limit` were runnable lately; the seconds that it took.

        Args:
            limit: Runnable processes.
            may_wait: Whether to continue, after that many seconds.
        """
        seconds = 0
        while may_wait(seconds) and self.lately() > limit:
            time.sleep(1)
            seconds += 1
        return seconds

    def cost(self, seconds: float) -> Cost:
        """What was seen in so many seconds."""
        mean = self._total / max(1, self._looks)
        return Cost(seconds, mean, *(self._busiest if self._busiest[0] else (mean, 0.0)))


class Watch(Load):
    """Looks at the whole machine, containers included, in a thread of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._started = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="cost", daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(PERIOD):
            self.saw(time.monotonic() - self._started, runnable())

    def end(self) -> Cost:
        """Stop looking; what was seen."""
        self._over.set()
        self._thread.join()
        return self.cost(time.monotonic() - self._started)


def runnable() -> int:
    """Processes that run or wait for a processor now, without the one that asks. From /proc/stat."""
    text = Path("/proc/stat").read_text(encoding="ascii")
    return max(0, int(text.partition("\nprocs_running ")[2].split()[0]) - 1)
