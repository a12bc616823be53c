"""The worker as the supervisor has it: a process, the pipe that asks it and the pipe that answers.

It is never killed: SIGKILL in the middle of a call has frozen GPUs. It ends when its standard input does.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import sys
import time
from typing import Any

from zbx_nvidia.collector.protocol import CHUNK, IDLE, NUMBER
from zbx_nvidia.collector.resident.descriptors import locked, pipe
from zbx_nvidia.collector.resident.events import WorkerBlocked, WorkerEnded, WorkerNotStarted, WorkerStarted
from zbx_nvidia.collector.resident.reports import WorkerMessage, receiver
from zbx_nvidia.collector.scheduling import Thread, threads

LAST_WAIT = 0.7  # s that the end of the service waits for the worker: with it, SIGTERM takes less than a second
_SOON, _LATER = 0.02, 1.0  # s between two looks whether a process is gone that is about to be; from a second on
_LIBRARY = "libnvidia-ml.so"
_START = """\
import sys
count = int(sys.argv[1])
sys.path[:] = sys.argv[2 : 2 + count]
from zbx_nvidia.collector.resident.worker import start
start(sys.argv[2 + count :])
"""
# glibc gives each of many threads a heap of its own, and the worker has two threads a GPU.
_HEAPS = {"MALLOC_ARENA_MAX": "2"}


class WorkerProcess:
    """At most one worker at a time.

    Args:
        lock: Path of the file that a worker holds locked for as long as it lives.
    """

    def __init__(self, lock: str) -> None:
        self._lock = lock
        self._pid = 0
        self._control = -1  # where it is asked
        self._receiver = receiver()
        self._closed_at: float | None = None
        self._library: dict[str, tuple[Any, ...]] = {}  # file -> what it was when the worker loaded it
        self.pipe = -1  # where it answers

    def start(self, arguments: tuple[str | float, ...]) -> WorkerStarted | WorkerBlocked | WorkerNotStarted:
        """Start one, unless the worker of an earlier service still hangs in the driver.

        Args:
            arguments: Of the worker's `main`.
        """
        try:
            lock = locked(self._lock)
        except OSError as error:
            return WorkerNotStarted(f"{error.filename}: {error.strerror}")
        if lock is None:
            return WorkerBlocked()
        for_worker, control = pipe()
        answers, from_worker = pipe()
        path = [entry or os.getcwd() for entry in sys.path]
        command = [sys.executable, "-I", "-S", "-c", _START, str(len(path)), *path, *map(str, arguments)]
        try:
            self._pid = os.posix_spawn(
                sys.executable,
                command,
                {**os.environ, **_HEAPS},
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, for_worker, 0),
                    (os.POSIX_SPAWN_DUP2, from_worker, 1),
                    (os.POSIX_SPAWN_DUP2, lock, 3),
                ],
                setsigmask=[],
            )
        except OSError as error:
            os.close(control)
            os.close(answers)
            return WorkerNotStarted(f"No process can be started: {error.strerror}")
        finally:
            for descriptor in (lock, for_worker, from_worker):
                os.close(descriptor)
        os.set_blocking(control, False)
        self._control, self.pipe, self._receiver = control, answers, receiver()
        return WorkerStarted(arguments)

    def is_free(self) -> bool:
        """Whether no worker holds the lock."""
        try:
            lock = locked(self._lock)
        except OSError:
            return False
        if lock is None:
            return False
        os.close(lock)
        return True

    def ask(self, number: int, *, idle: bool) -> None:
        """Start a round.

        Args:
            number: Of the round.
            idle: Whether the GPUs are not to be sampled until the next.
        """
        order = number | (IDLE if idle else 0)
        with contextlib.suppress(BrokenPipeError, BlockingIOError):
            # A worker whose main thread hangs leaves the numbers in the pipe, which has room for a day of them.
            os.write(self._control, order.to_bytes(NUMBER, "big"))

    def threads(self) -> dict[str, Thread] | None:
        """Its threads, as of `scheduling.threads`."""
        return threads(self._pid) if self._pid else None

    def end(self) -> None:
        """Have it release the driver and end."""
        # The other end reads the end of the pipe; the descriptor itself is closed when the worker is gone.
        null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(null, self._control, inheritable=False)
        os.close(null)

    def read(self) -> list[WorkerMessage] | None:
        """What has come, which may be no whole message; None when it has closed its pipe and is about to end."""
        data = os.read(self.pipe, CHUNK)
        if not data:
            self._closed_at = time.monotonic()
            return None
        return self._receiver.feed(data)

    def ended(self) -> WorkerEnded | None:
        """Whether it is gone. Without a wait: a process that leaves may hang in the driver as it closes the devices."""
        if self._closed_at is None:
            return None
        pid, code = os.waitpid(self._pid, os.WNOHANG)
        if not pid:
            return None
        os.close(self.pipe)
        os.close(self._control)
        self._closed_at = None
        self._pid, self.pipe = 0, -1
        number = os.waitstatus_to_exitcode(code)
        return WorkerEnded(f"signal {-number}" if number < 0 else f"exit code {number}")

    def next_look(self, now: float) -> float | None:
        """When to call `ended` again; None while its pipe is open."""
        if self._closed_at is None:
            return None
        return now + (_SOON if now - self._closed_at < _LATER else _LATER)

    def remember_library(self) -> None:
        """It has loaded the driver's library: which one that is, `library_replaced` compares with."""
        self._library = {path: _identity(path) for path in _library_of(self._pid)}

    def library_replaced(self) -> bool:
        """Whether a package has replaced the driver's library since."""
        return any(_identity(path) != known for path, known in self._library.items())

    def leave(self) -> bool:
        """Have it end and wait a moment for it; one that hangs is left alone.

        Returns:
            Whether it has ended, or there was none.
        """
        if not self._pid or self._closed_at is not None:
            return True
        self.end()
        until = time.monotonic() + LAST_WAIT
        with selectors.DefaultSelector() as selector:
            selector.register(self.pipe, selectors.EVENT_READ)
            while (left := until - time.monotonic()) > 0:
                # What it still reports does not matter, but it must not wait for a reader.
                if selector.select(left) and not os.read(self.pipe, CHUNK):
                    return True
        return False


def _library_of(pid: int) -> tuple[str, ...]:
    """The files that show whether the library that a process has mapped was replaced since.

    The mapped file itself, and what its soname leads to: a package may replace the one or turn the other.
    """
    try:
        with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as file:
            paths = {line.split(None, 5)[5].rstrip("\n") for line in file if _LIBRARY in line}
    except OSError:
        return ()
    if not paths:
        return ()
    mapped = min(paths).removesuffix(" (deleted)")
    return (mapped, f"{os.path.dirname(mapped)}/{_LIBRARY}.1")


def _identity(path: str) -> tuple[Any, ...]:
    try:
        status = os.stat(path)
    except OSError:
        return ()
    return (status.st_dev, status.st_ino, status.st_mtime_ns)
