"""Looks at all GPUs in turn, at fixed times, in one thread: to wake one for each GPU costs more than the looks.

A look may hang in the driver. That costs one thread, and no other GPU its looks: two threads take the times by turns,
so that one already sleeps until the next time while the other looks. If that one is still not back then, the first
starts another in its place, and leaves out the GPU that hangs.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_BOTH = 2


class Looked:
    """A GPU that a rota looks at. Its own thread calls the driver for it too: one of them at a time.

    Args:
        look: Looks once, with `turn` held.

    Attributes:
        turn: Held by whoever calls the driver for this GPU.
        resting: Whether it is not to be looked at.
    """

    def __init__(self, look: Callable[[], None]) -> None:
        self._look = look
        self.turn = threading.Lock()
        self.resting = False
        self._is_due = False

    def look(self) -> None:
        """Look once, unless another has the turn, which may hang: it is left a note for `look_if_due`."""
        self._is_due = True
        self.look_if_due()

    def look_if_due(self) -> None:
        """Make up for a look that was due during the turn that has just ended."""
        while self._is_due and self.turn.acquire(blocking=False):
            try:
                if self._is_due:
                    self._is_due = False
                    self._look()
            finally:
                self.turn.release()


class Rota:
    """The threads that look.

    Args:
        every: Time between two looks at a GPU, in s.
    """

    def __init__(self, every: float) -> None:
        self._every = every
        self._gpus: tuple[Looked, ...] = ()
        self._threads: list[threading.Thread] = []
        self._changed = threading.Condition()
        self._waiting = 0  # threads that are not looking
        self._taken = 0  # the last time that a thread waits for, or has waited for, in units of `every`
        self._began = 0.0  # when the last looks began
        self._ends = False

    def add(self, gpu: Looked) -> None:
        """Look at this one too, after the next `wake`."""
        with self._changed:
            self._gpus += (gpu,)

    def wake(self) -> None:
        """Take note of GPUs that are new, or rest no more; and start a thread if none is left that waits.

        Without effect where none can be started: it is tried again with the next.
        """
        with self._changed:
            if all(gpu.resting for gpu in self._gpus):
                return
            if not self._waiting:
                self._start()
            self._changed.notify_all()

    def stop(self) -> None:
        """End when the calls that are under way are back; `join` says when."""
        with self._changed:
            self._ends = True
            self._changed.notify_all()

    def join(self) -> None:
        """Wait for the end of all threads, after `stop`."""
        for thread in self._threads:
            thread.join()

    def _start(self) -> None:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        thread = threading.Thread(target=self._run, daemon=True)
        with contextlib.suppress(RuntimeError):  # the limit of processes is reached
            thread.start()
            self._threads.append(thread)

    def _run(self) -> None:
        while self._waits_for_turn():
            for gpu in self._gpus:
                if not gpu.resting:
                    gpu.look()

    def _waits_for_turn(self) -> bool:
        """Wait for the first time that no other thread waits for; False for the end of this thread."""
        with self._changed:
            if self._waiting == _BOTH:
                return False  # others have taken its place while a call hung
            self._waiting += 1
            at = self._take_time()
            while not self._ends:
                now = time.monotonic()
                if all(gpu.resting for gpu in self._gpus):
                    self._changed.wait()
                elif now < at:
                    self._changed.wait(at - now)
                elif self._began >= at:
                    # Both have slept for too long, as the machine has, and the other one was first.
                    at = self._take_time()
                else:
                    self._began = now
                    break
            self._waiting -= 1
            if not self._ends and not self._waiting:
                self._start()
            return not self._ends

    def _take_time(self) -> float:
        # What was missed while the driver slept is not made up for.
        self._taken = max(self._taken, int(time.monotonic() / self._every)) + 1
        return self._taken * self._every
