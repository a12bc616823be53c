"""What leaves the service: the document's file, lines of the log, what systemd reads."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from zbx_nvidia.catalog import status as states
from zbx_nvidia.collector import document
from zbx_nvidia.collector.rendering import FILE_LIMIT, LARGE_FILE_LIMIT, render
from zbx_nvidia.collector.resident import notify

if TYPE_CHECKING:
    from zbx_nvidia.collector.document import Collection

_LEFTOVERS = ("", ".new", ".sock")  # beside the document, all but the locks


def log(text: str) -> None:
    """Write a line to whoever runs the service: under systemd, to the journal."""
    with contextlib.suppress(OSError):
        os.write(2, f"zbx-nvidia-agent: {text}\n".encode("utf-8", "replace"))


class Output:
    """Writes the document, and logs what has changed in it.

    Args:
        path: Of the document.
        large: Whether whoever reads it takes more than 64 KiB.
    """

    def __init__(self, path: str, *, large: bool = False) -> None:
        self._path = path
        self.large = large
        self._is_unwritable = False
        self._summary = ""
        self._is_announced = False

    def write(self, collection: Collection) -> None:
        """Replace the document."""
        # The file ends with a line break, and the agent reads no larger file.
        limit = (LARGE_FILE_LIMIT if self.large else FILE_LIMIT) - 1
        try:
            text = render(document.build(collection), limit)
        except Exception as error:  # noqa: BLE001  whatever a driver may report: the service goes on
            detail = f"{type(error).__name__}: {error}"
            collection = document.failed(states.COLLECTOR_FAILED, detail, collection.duration, collection.mode)
            text = render(document.build(collection), limit)
        try:
            write_file(self._path, text.encode("ascii") + b"\n")
        except OSError as error:
            # What cannot be renewed must not go on being read.
            remove(self._path, "", ".new")
            if not self._is_unwritable:
                log(f"{self._path} cannot be written, and was removed: {error.strerror}")
            self._is_unwritable = True
        else:
            if self._is_unwritable:
                log(f"{self._path} is written again")
            self._is_unwritable = False
        self._announce(_summary(collection))

    def close(self) -> None:
        """Remove the document: nobody may go on reading it."""
        remove(self._path)

    def _announce(self, summary: str) -> None:
        """Report it to systemd and the log, if it has changed."""
        if summary != self._summary:
            self._summary = summary
            log(summary)
            notify.send(f"STATUS={summary}")
        if not self._is_announced:
            self._is_announced = True
            notify.send("READY=1")


def _summary(collection: Collection) -> str:
    if collection.status is states.OK:
        asleep = sum(gpu.state == document.ASLEEP for gpu in collection.gpus)
        bad = sum(gpu.state != "ok" for gpu in collection.gpus) - asleep
        parts = [f"{bad} of them lost or sick"] * bool(bad) + [f"{asleep} of them asleep"] * bool(asleep)
        return ", ".join([f"{collection.gpu_count} GPUs", *parts])
    name = collection.status.name
    if collection.status is states.STALLED and collection.gpu_count is not None:
        # Not the detail, which has the age in it and differs each time.
        answered = {gpu.position for gpu in collection.gpus}
        silent = sorted(set(range(collection.gpu_count)) - answered)
        return f"{name}: no answer from {', '.join(f'GPU {index}' for index in silent)}"
    if collection.status in {states.STALLED, states.RELEASED} or not collection.detail:
        return name
    return f"{name}: {collection.detail}"


def write_file(path: str, data: bytes) -> None:
    """Replace a file: whoever reads it finds the old one or the new one, whole.

    Raises:
        OSError: It cannot be written.
    """
    new = path + ".new"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        while data:
            data = data[os.write(descriptor, data) :]
        os.fchmod(descriptor, 0o644)  # whatever the umask: the agent is another user
    finally:
        os.close(descriptor)
    os.rename(new, path)


def remove(path: str, *ends: str) -> None:
    """Remove files beside the document.

    Args:
        path: Of the document.
        ends: What their names have after its own; unless given, all that may be left but the locks.
    """
    for end in ends or _LEFTOVERS:
        with contextlib.suppress(OSError):
            os.unlink(path + end)
