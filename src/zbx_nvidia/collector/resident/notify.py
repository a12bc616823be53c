"""Notifications to systemd: ready, alive, status. Without systemd, nothing is sent."""

from __future__ import annotations

import contextlib
import os
import socket


def send(*lines: str) -> None:
    """Send lines to systemd, where it has asked for them.

    Args:
        lines: Such as READY=1, WATCHDOG=1, STATUS=...
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    # Nothing that a service does may hang on whether anybody listens.
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as door:
        door.setblocking(False)
        door.sendto("\n".join(lines).encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)


def watchdog() -> float | None:
    """How often systemd wants a sign of life, in s: twice in the time that it waits; None when it wants none."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        return int(os.environ["WATCHDOG_USEC"]) / 2e6
    except (KeyError, ValueError):
        return None
