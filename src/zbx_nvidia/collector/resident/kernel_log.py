"""The kernel log as a second source of XID errors, and the only one of SXid errors, those of NVSwitches.

It has what came before the service, and during a release. Reading it takes a right, so it is asked for by name.
"""

from __future__ import annotations

import errno
import os
import re
from collections import deque
from typing import NamedTuple

from zbx_nvidia.errors import printable

# Longer than any record: the kernel refuses to hand one over in parts.
_RECORD = 16_384
# Records of one turn; what is left is there the next time.
_TURN = 20_000
# Switches and codes that are remembered as recent, and characters of the text that names them.
_MAX_RECENT = 64
_TEXT = 255
# Errors that are kept of each GPU until it is known.
_MAX_WAITING = 200

# Priority and facility, sequence number, microseconds since the start of the machine; then the message.
_HEAD = re.compile(rb"(\d+),(\d+),(\d+),[^;]*;")
_XID = re.compile(rb"NVRM: Xid \((?:PCI:)?([0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2})[^)]*\): (\d{1,6})\b(?:, )?")
# The process, and registers: long, and of use to NVIDIA only.
_NOISE = re.compile(rb"pid='?[^,]*, |name='?[^,]*, |\s*\(0x[0-9a-fA-F ,x]*\)")
_WORDS = 120  # characters
# Two lines of numbers follow that begin alike, and are no errors of their own.
_SXID = re.compile(
    rb"nvidia-nvswitch\d*:? SXid \(PCI:([0-9a-fA-F:.]+)\): (\d{1,6}), (?!Severity|Data)(Fatal)?", re.ASCII
)
_FACILITY = 3  # bits of the priority below it; that of the kernel is 0


class LogLine(NamedTuple):
    """An error as the kernel log has it.

    Attributes:
        switch: Whether it is a switch's, or a GPU's.
        place: Its PCI address, as `place` says.
        code: The code of the error.
        fatal: Of a switch: whether traffic was lost for good.
        when: When it came, in s of the monotonic clock.
        earliest: When it can have come at the earliest.
        latest: When it can have come at the latest.
        words: What the log says of it after the code, without the process.
    """

    switch: bool
    place: str
    code: int
    fatal: bool
    when: float
    earliest: float
    latest: float
    words: str = ""


def place(address: str) -> str:
    """A PCI address, however it is written, as domain:bus:device; what is none, as it is."""
    parts = address.partition(".")[0].split(":")
    try:
        return ":".join(f"{int(part, 16):0{width}x}" for part, width in zip(parts, (4, 2, 2), strict=True))
    except ValueError:
        return address


class KernelLog:
    """Reads what is new, and at first all that there is.

    Args:
        path: /dev/kmsg, or what has the form of it; "" for none.
    """

    def __init__(self, path: str) -> None:
        self._path = ""
        self._descriptor: int | None = None
        self._rest = b""
        # When all that there was had been read. The kernel stamps its log by a clock of its own, which is not set right
        # with the others and drifts by seconds a week: what is new since then came since then, whatever is on it.
        self._drained: float | None = None
        self._seen = -1  # the number of the last record: a log that is opened again begins at its beginning
        # Why it cannot be read; "" while it can, or is not wanted.
        self.complaint = ""
        self.use(path)

    @property
    def reads(self) -> bool:
        """Whether the log can be read: then what it does not have has not happened."""
        return self._descriptor is not None

    def use(self, path: str) -> None:
        """Read this one from now on."""
        if path != self._path:
            self._path = path
            self._close()
            self._drained = None
            self.complaint = ""

    def take(self, now: float) -> list[LogLine]:
        """Errors that were logged since the last time."""
        if not self._path:
            return []
        errors: list[LogLine] = []
        drained = False
        try:
            if self._descriptor is None:
                # Never one that waits: a named pipe would, for a writer.
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
            for _ in range(_TURN):
                data = self._read(self._descriptor)
                if not data:
                    drained = True
                    break
                *lines, rest = (self._rest + data).split(b"\n")
                self._rest = rest[:_RECORD]  # what has no ends of lines is no log
                errors += [line for text in lines if b"id (" in text and (line := self._line(text, now))]
        except OSError as error:
            self._close()
            self.complaint = f"{self._path}: {error.strerror}"
        else:
            self.complaint = ""
            if drained:
                self._drained = now
        return errors

    def _read(self, descriptor: int) -> bytes:
        """The next record; nothing when there is no other yet."""
        while True:
            try:
                return os.read(descriptor, _RECORD)
            except BlockingIOError:
                return b""
            except OSError as error:
                # Records were overwritten before we came: the next read begins at the oldest that is left.
                if error.errno != errno.EPIPE:
                    raise

    def _line(self, text: bytes, now: float) -> LogLine | None:
        head = _HEAD.match(text)
        # Whoever may write to the log may claim anything, but not in the kernel's name.
        if head is None or int(head[1]) >> _FACILITY or int(head[2]) <= self._seen:
            return None
        self._seen = int(head[2])
        when = min(now, int(head[3]) / 1e6)
        earliest, latest = when, when
        if self._drained is not None:
            when, earliest, latest = max(when, self._drained), self._drained, now
        if error := _XID.match(text, head.end()):
            where, words = place(error[1].decode()), _words(text[error.end() :])
            return LogLine(False, where, int(error[2]), False, when, earliest, latest, words)
        if error := _SXID.match(text, head.end()):
            return LogLine(True, error[1].decode().lower(), int(error[2]), bool(error[3]), when, earliest, latest)
        return None

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None
        self._rest = b""


def _words(text: bytes) -> str:
    words = " ".join(_NOISE.sub(b"", text[:_RECORD]).decode("utf-8", "replace").split())
    return printable(words)[:_WORDS].strip(" ,.")


class Switches:
    """SXid errors of the host's NVSwitches, as far as the log goes back.

    Args:
        memory: For how long a fatal one is recent, in s.
    """

    def __init__(self, memory: float) -> None:
        self.memory = memory
        self._count = 0
        self._last: int | None = None
        self._fatal: dict[tuple[str, int], float] = {}

    def add(self, line: LogLine) -> None:
        """Take in one error."""
        self._count += 1
        self._last = line.code
        if line.fatal:
            self._fatal.pop((line.place, line.code), None)
            self._fatal[line.place, line.code] = line.when
            while len(self._fatal) > _MAX_RECENT:
                del self._fatal[next(iter(self._fatal))]

    def readings(self, now: float) -> dict[str, int | str]:
        """Readings of the host by catalog key."""
        text = "; ".join(
            f"NVSwitch {place}: SXid {code}"
            for (place, code), when in reversed(self._fatal.items())
            if now - when < self.memory
        )
        last = {} if self._last is None else {"sxid_last": self._last}
        return {**last, "sxid_count": self._count, "sxid_recent": text[:_TEXT]}


class Waiting:
    """Errors of GPUs whose name is not known yet: at first no GPU has been asked who it is."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[LogLine]] = {}

    def add(self, line: LogLine) -> None:
        """Keep one."""
        if line.place in self._lines or len(self._lines) < _MAX_RECENT:
            self._lines.setdefault(line.place, deque(maxlen=_MAX_WAITING)).append(line)

    def take(self, place: str) -> deque[LogLine]:
        """Those of the GPU at this place, which is known from now on."""
        return self._lines.pop(place, deque())
