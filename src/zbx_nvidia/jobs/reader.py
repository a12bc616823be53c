"""The readings of the GPUs while a job runs, from a process that may hang for ever without anybody waiting for it."""

from __future__ import annotations

import os
import select
import socket
from typing import TYPE_CHECKING

from zbx_nvidia.collector import rounds
from zbx_nvidia.collector.protocol import CHUNK, NUMBER, AllAsked, Broken, Failed, GpuRead, HostRead, Receiver

if TYPE_CHECKING:
    from zbx_nvidia.collector.document import Gpu
    from zbx_nvidia.collector.protocol import Message


class Reader:
    """A process that reads the GPUs when asked.

    Attributes:
        pids: Of all that were started.
        waits: Whether a round was asked for that is not complete.
        complaint: Why the driver does not answer; "" while it does.
        cost: CPU time of a round, in s; 0 until it is known.
        count: GPUs that the driver counts; None until it has said so.
    """

    def __init__(self) -> None:
        self.pids: frozenset[int] = frozenset()
        self.waits = False
        self.complaint = ""
        self.count: int | None = None
        self.cost = 0.0
        self._cpu: float | None = None  # that the process had used when a round began
        self._socket: socket.socket | None = None
        self._receiver = Receiver()
        self._number = 0

    def ask(self) -> None:
        """Ask for a round. If an earlier one is not complete, that is waited for first."""
        if self.waits:
            return
        if self._socket is None and not self._start():
            return
        self._number += 1
        self.waits = True
        self._send(self._number.to_bytes(NUMBER, "big"))

    def take(self, seconds: float) -> list[Gpu]:
        """The GPUs that were read meanwhile, after waiting at most so long for the first."""
        if self._socket is None:
            return []
        gpus: list[Gpu] = []
        while self._socket is not None and select.select([self._socket], [], [], 0 if gpus else seconds)[0]:
            try:
                data = self._socket.recv(CHUNK)
            except OSError:
                data = b""
            for message in self._receiver.feed(data):
                self._note(message)
                if isinstance(message, GpuRead):
                    gpus.append(message.gpu)
            if not data:
                self.complaint = self.complaint or "the process that reads the driver has ended"
                self.close()
            if not self.waits:
                break
        return gpus

    def _note(self, message: Message) -> None:
        if isinstance(message, HostRead):
            self.count, self.complaint = message.gpu_count, ""
            used = message.spent[1]
            self.cost = used - self._cpu if self._cpu is not None else 0.0
            self._cpu = used
        elif isinstance(message, AllAsked):
            self.waits = False
        elif isinstance(message, (Failed, Broken)):
            self.complaint = message.message

    def close(self) -> None:
        """Ask for nothing more. The process leaves as soon as the driver answers it."""
        self.waits = False
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _start(self) -> bool:
        try:
            ours, theirs = socket.socketpair()
            child = rounds.start(ours, theirs)
        except OSError as error:
            # No more processes or files for this user: the job may still start.
            self.complaint = f"it cannot be read: {error.strerror}"
            return False
        self._socket = ours
        self._receiver = Receiver()
        self._cpu = None
        self.pids |= {child}
        return True

    def _send(self, data: bytes) -> None:
        assert self._socket is not None  # noqa: S101  of `ask`
        try:
            self._socket.sendall(data)
        except OSError:
            return  # it has ended: `take` notices that


def processors() -> int:
    """Number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
