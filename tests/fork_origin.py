"""Forks a process for each request of forks.py, until the tests close their end of the connection."""

from __future__ import annotations

import contextlib
import ctypes  # noqa: F401  the first of what the processes use, so that none of them imports it again
import gc
import json
import os
import select
import signal
import socket
import sys
import threading  # noqa: F401  as above
import time  # noqa: F401  as above
import types
from typing import NamedTuple

import pynvml  # noqa: F401  as above

from zbx_nvidia.collector import document, main, oneshot, rendering  # noqa: F401  as above
from zbx_nvidia.driver import device, system  # noqa: F401  as above
from zbx_nvidia.install import install  # noqa: F401  as above

LARGEST = 1 << 20  # bytes of a request


class Asked(NamedTuple):
    """What a new process shall run."""

    code: str
    argv: list[str]
    env: dict[str, str]
    cwd: str


class Running(NamedTuple):
    """A process.

    Attributes:
        pid: Its number.
        end: The descriptor that can be read once it has ended.
        life: Takes its number and later its exit code. If the tests close their side before that, it is killed.
    """

    pid: int
    end: int
    life: socket.socket


class Origin:
    """What processes fork from."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._running: dict[int, Running] = {}  # by each of the two descriptors
        self._waiting = select.epoll()
        self._waiting.register(control, select.EPOLLIN)

    def serve(self) -> Asked | None:
        """Returns in each new process, and None in this one at the end."""
        while True:
            for ready, _ in self._waiting.poll():
                if ready == self._control.fileno():
                    data, descriptors, _, _ = socket.recv_fds(self._control, LARGEST, 4)
                    if not data:
                        for one in self._running.values():
                            os.kill(one.pid, signal.SIGKILL)
                        return None
                    if self._fork(descriptors):
                        return Asked(*json.loads(data))
                elif found := self._running.get(ready):
                    self._over(found, ready)

    def _over(self, one: Running, ready: int) -> None:
        if ready != one.end:
            self._waiting.unregister(ready)
            os.kill(one.pid, signal.SIGKILL)
            return
        del self._running[one.end], self._running[one.life.fileno()]
        os.close(one.end)
        with contextlib.suppress(BrokenPipeError):
            one.life.send(str(os.waitstatus_to_exitcode(os.waitpid(one.pid, 0)[1])).encode())
        one.life.close()

    def _fork(self, descriptors: list[int]) -> bool:
        """Whether this is the new process."""
        *standard, last = descriptors
        life = socket.socket(fileno=last)
        if not (pid := os.fork()):
            for number, descriptor in enumerate(standard):
                os.dup2(descriptor, number)
            for one in self._running.values():
                one.life.close()
            for descriptor in (*standard, *{one.end for one in self._running.values()}):
                os.close(descriptor)
            for opened in (life, self._waiting, self._control):
                opened.close()
            return True
        for descriptor in standard:
            os.close(descriptor)
        life.send(str(pid).encode())
        new = Running(pid, os.pidfd_open(pid), life)
        self._running |= {new.end: new, life.fileno(): new}
        self._waiting.register(new.end, select.EPOLLIN)
        self._waiting.register(life, select.EPOLLIN)
        return False


gc.collect()
gc.freeze()  # so that no collection in a process copies the memory that they share
if asked := Origin(socket.socket(fileno=int(sys.argv[1]))).serve():
    os.environ.clear()
    os.environ.update(asked.env)
    os.chdir(asked.cwd)
    sys.argv[:] = asked.argv
    sys.modules["__main__"] = types.ModuleType("__main__")
    exec(asked.code, vars(sys.modules["__main__"]))  # noqa: S102  as `python -c` does
