"""Messages from a process that reads the driver to one that does not: a length, then a kind and its value.

By marshal: it is in the interpreter already, and both ends are of one program and one Python.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import threading
from typing import Any

CHUNK = 65_536
_LENGTH = 4  # bytes before each message


class Sender:
    """Hands messages over, one at a time, from any thread.

    Args:
        pipe: Where they go.
    """

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._turn = threading.Lock()

    def send(self, kind: str, value: object) -> None:
        """Send one message, or drop it when nobody listens any more.

        The process goes on then: to leave while another thread is in a call would end that call as SIGKILL does.
        """
        # marshal knows no NamedTuple: a plain tuple travels, and the other end gives it its name back.
        data = marshal.dumps((kind, _plain(value)))
        data = len(data).to_bytes(_LENGTH, "big") + data
        with self._turn, contextlib.suppress(BrokenPipeError):
            while data:
                data = data[os.write(self._pipe, data) :]


class Receiver:
    """Makes messages of what comes out of a pipe."""

    def __init__(self) -> None:
        self._received = bytearray()

    def feed(self, data: bytes) -> list[tuple[str, Any]]:
        """The messages that are complete with this piece of data."""
        self._received += data
        messages = []
        while len(self._received) >= _LENGTH:
            end = _LENGTH + int.from_bytes(self._received[:_LENGTH], "big")
            if len(self._received) < end:
                break
            messages.append(marshal.loads(self._received[_LENGTH:end]))  # noqa: S302  written by our own child
            del self._received[:end]
        return messages


def _plain(value: Any) -> Any:  # noqa: ANN401  anything that marshal knows
    if isinstance(value, (tuple, list)):
        return tuple(_plain(part) for part in value)
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return value
