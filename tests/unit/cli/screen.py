"""A terminal for tests: a pseudoterminal of a certain size, and what would be seen on it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.conftest import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

# What the program may send: cursor to the top, clear the line or all below, colors, the other screen, the cursor.
_SEQUENCE = re.compile(r"\x1b\[(\??[0-9;]*)([HKJmhl])")
# At a Ctrl-C, a terminal throws away what it has not sent yet, and a sequence can be cut.
_CUT = re.compile(r"\x1b(\[\??[0-9;]*)?(?=\^C)")
_COLORS = re.compile(r"\x1b\[[0-9;]*m")


class Shown(NamedTuple):
    """What a command has left on the terminal.

    Attributes:
        code: Its exit code.
        raw: All that it has sent.
    """

    code: int
    raw: str

    @property
    def lines(self) -> list[str]:
        """Without colors."""
        return _COLORS.sub("", self.raw).replace("\r\n", "\n").splitlines()


class Screen:
    """Interprets what is sent to a terminal; what it does not know fails the test."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.alternate, self.cursor, self.frames = False, True, 0
        self._lines: list[str] = [""]
        self._row = 0

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self._lines]

    def feed(self, text: str) -> None:
        while text:
            if match := _SEQUENCE.match(text):
                self._obey(*match.groups())
                text = text[match.end() :]
                continue
            if match := _CUT.match(text):
                text = text[match.end() :]
                continue
            character, text = text[0], text[1:]
            if character == "\n":
                self._row += 1
                if self.alternate:
                    assert self._row < self.rows, "it scrolls"
                self._lines += [""] * (self._row + 1 - len(self._lines))
            elif character != "\r":
                assert character.isprintable(), f"{character!r} before {text[:80]!r}"
                self._lines[self._row] += character
                if self.alternate:
                    assert len(self._lines[self._row]) <= self.columns, f"it wraps: {self._lines[self._row]}"

    def _obey(self, number: str, kind: str) -> None:
        if (number, kind) in {("?1049", "h"), ("?1049", "l")}:
            self.alternate, self._lines, self._row = kind == "h", [""], 0
        elif (number, kind) in {("?25", "h"), ("?25", "l")}:
            self.cursor = kind == "h"
        elif (number, kind) == ("", "H"):
            self._row = 0
        elif (number, kind) == ("", "K"):
            self._lines[self._row] = ""
        elif (number, kind) == ("", "J"):
            del self._lines[self._row + 1 :]
            self.frames += 1
        else:
            assert kind == "m", f"unknown sequence {number}{kind}"


class Terminal:
    """A command on a pseudoterminal."""

    def __init__(self, command: list[str], env: Mapping[str, str], columns: int, rows: int) -> None:
        self._ours, theirs = pty.openpty()
        self.screen = Screen(columns, rows)
        self.raw = ""
        self._rest = b""
        self.resize(columns, rows)
        settings = termios.tcgetattr(theirs)
        # Else Ctrl-C discards what was written and not yet read, in the middle of a sequence.
        settings[3] |= termios.NOFLSH
        termios.tcsetattr(theirs, termios.TCSANOW, settings)
        self.process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={"TERM": "xterm-256color", **env},
            start_new_session=True,
            # So that Ctrl-C and new sizes reach it.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509  no threads here
        )
        os.close(theirs)

    def resize(self, columns: int, rows: int) -> None:
        self.screen.columns, self.screen.rows = columns, rows
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def until(self, true: Callable[[Screen], object], what: str) -> None:
        """Read until this is true of what is seen."""
        end = time.monotonic() + PATIENCE
        while not true(self.screen):
            if not self._read(end):
                pytest.fail(f"no {what} on {self.screen.lines}")

    def end(self) -> int:
        """Read all that comes until the command has ended; its exit code."""
        end = time.monotonic() + PATIENCE
        while self._read(end):
            pass
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._ours)

    def _read(self, end: float) -> bool:
        if not select.select([self._ours], [], [], max(0.0, end - time.monotonic()))[0]:
            return False
        try:
            data = self._rest + os.read(self._ours, 65536)
        except OSError:
            return False  # nobody writes any more
        # A character or a sequence may come in two pieces.
        whole = max(data.rfind(b"\n"), data.rfind(b"J"), data.rfind(b"h"), data.rfind(b"l"), data.rfind(b"m")) + 1
        self._rest = data[whole:]
        text = data[:whole].decode()
        self.raw += text
        self.screen.feed(text)
        return bool(data)


@contextmanager
def terminal(command: list[str], env: Mapping[str, str], columns: int = 80, rows: int = 40) -> Iterator[Terminal]:
    made = Terminal(command, env, columns, rows)
    try:
        yield made
    finally:
        made.close()


def on_terminal(command: list[str], env: Mapping[str, str], columns: int = 80) -> Shown:
    """Runs a command that ends by itself."""
    with terminal(command, env, columns) as there:
        code = there.end()
        return Shown(code, there.raw)
