"""Who directs the service: signals, and the socket by which `zbx-nvidia-agent release` asks for the driver."""

from __future__ import annotations

import contextlib
import os
import signal
import socket

from zbx_nvidia.collector.protocol import CHUNK
from zbx_nvidia.collector.resident.descriptors import pipe
from zbx_nvidia.collector.resident.output import log

_MAX_CLIENTS = 64  # only our own user and root can connect: more is a mistake


class Signals:
    """SIGTERM, SIGINT and SIGHUP as numbers that can be read from `pipe`."""

    def __init__(self) -> None:
        self.pipe, writing = pipe()
        os.set_blocking(self.pipe, False)
        os.set_blocking(writing, False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)

    def read(self) -> list[int]:
        """Those that have come."""
        return list(os.read(self.pipe, CHUNK))


class Door:
    """The socket for `release`: only our own user and root can connect.

    Args:
        path: Of the socket.
    """

    def __init__(self, path: str) -> None:
        self._waiting: list[socket.socket] = []  # those who have asked, and wait for the answer
        with contextlib.suppress(OSError):
            os.unlink(path)  # of a service that was killed: we hold the lock
        self.socket: socket.socket | None = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        old = os.umask(0o177)
        try:
            self.socket.bind(path)
        except OSError as error:
            log(f"release will not work: {path}: {error}")
            self.close()
            return
        finally:
            os.umask(old)
        self.socket.listen()
        self.socket.setblocking(False)

    def accept(self) -> socket.socket | None:
        """Somebody who has connected and is about to ask."""
        assert self.socket is not None  # noqa: S101  else nobody could connect
        with contextlib.suppress(OSError):
            client, _ = self.socket.accept()
            client.setblocking(False)
            return client
        return None

    def read(self, client: socket.socket) -> float | None:
        """The request of a client that has sent something: for how long to release the driver, in s; 0 to resume.

        Returns:
            None for anything else; the client is closed then.
        """
        try:
            word, _, value = client.recv(CHUNK).decode("ascii", "replace").strip().partition(" ")
            seconds = float(value)
        except (OSError, ValueError):
            word, seconds = "", 0.0
        if word != "release" or len(self._waiting) >= _MAX_CLIENTS:
            client.close()
            return None
        self._waiting.append(client)
        return seconds

    def answer(self, text: str) -> None:
        """Answer everybody who waits."""
        for client in self._waiting:
            with contextlib.suppress(OSError):
                client.sendall(f"{text}\n".encode())
            client.close()
        self._waiting.clear()

    def close(self) -> None:
        """Close it."""
        if self.socket is not None:
            self.socket.close()
            self.socket = None
