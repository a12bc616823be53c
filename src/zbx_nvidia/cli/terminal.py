"""The terminal: what it can show, and a view on it that is drawn again and again in place."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
from typing import TYPE_CHECKING

import click

from zbx_nvidia.cli.table import Look

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType
    from typing import TextIO

_DUMB = ("dumb", "unknown", "")  # values of TERM
# The alternate screen without a cursor, and back: what was on the terminal before is there again afterwards.
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_TOP, _CLEAR_LINE, _CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
_ENDING = ("SIGTERM", "SIGHUP")
_ENDED_BY = 128  # a shell's exit code of a command that a signal ended is that of the signal more than this


def look(color: str = "auto", stream: TextIO | None = None) -> Look:
    """What standard output can show.

    Args:
        color: `always`, `never`, or `auto`: on a terminal, unless NO_COLOR is set.
        stream: Another output.
    """
    stream = stream or sys.stdout
    terminal = stream.isatty()
    colored = color == "always" or (color == "auto" and _wants_color(terminal))
    counted = terminal or os.environ.get("COLUMNS", "").isdigit()
    columns = _size(stream).columns if counted else None
    return Look(columns, colored, stream.encoding or "ascii", bars=terminal)


def _wants_color(terminal: bool) -> bool:  # noqa: FBT001  of this module
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return terminal and os.environ.get("TERM", "") not in _DUMB


def _size(stream: TextIO | None = None) -> os.terminal_size:
    """What the terminal says: an exported COLUMNS does not follow a new size. Without a terminal, that variable."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        size = os.get_terminal_size((stream or sys.stdout).fileno())
        if size.columns and size.lines:
            return size
    return shutil.get_terminal_size()


def width(default: int) -> int:
    """The columns of the terminal that standard output is; without one the default."""
    return shutil.get_terminal_size((default, 0)).columns if sys.stdout.isatty() else default


def moves() -> bool:
    """Whether the cursor of standard output can be moved."""
    return sys.stdout.isatty() and os.environ.get("TERM", "") not in _DUMB


def watch(draw: Callable[[bool], list[str]], every: float) -> None:
    """Draw until Ctrl-C: in place on a terminal, else one below the other.

    Args:
        draw: The lines to show; called with True when there is to be news, with False when only the size has changed.
        every: Seconds from one to the next.
    """
    own = os.getpid()
    try:
        if moves():
            _in_place(draw, every)
        else:
            _one_below_the_other(draw, every)
    except KeyboardInterrupt:
        if os.getpid() != own:
            # The process that reads the driver, before it left the terminal's group.
            os._exit(0)


def _one_below_the_other(draw: Callable[[bool], list[str]], every: float) -> None:
    due = time.monotonic()
    while True:
        click.echo("\n".join(draw(True)), color=True)  # whether there is to be color was decided before
        due = max(due + every, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))
        _reap()


def _in_place(draw: Callable[[bool], list[str]], every: float) -> None:
    with _screen():
        due = time.monotonic()
        news = True
        while True:
            _show(draw(news))
            if news:
                due = max(due + every, time.monotonic())
                _reap()
            news = not _resized(due - time.monotonic())


@contextlib.contextmanager
def _screen() -> Iterator[None]:
    """The alternate screen; the terminal is restored however this ends."""

    def leave_for_good(number: int, _: FrameType | None) -> None:
        raise SystemExit(_ENDED_BY + number)

    handlers = {getattr(signal, name): leave_for_good for name in _ENDING}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    # Blocked, so that they wait for `_resized`: a handler could run in the middle of a frame.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGWINCH, signal.SIGTSTP})
    own = os.getpid()
    try:
        _write(_ENTER)
        yield
    finally:
        if os.getpid() == own:
            _write(_LEAVE)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in before.items():
            signal.signal(number, handler)


def _resized(seconds: float) -> bool:
    """Wait; True as soon as the screen must be drawn again, for another size or after `fg`."""
    if not hasattr(signal, "sigtimedwait"):
        time.sleep(max(0.0, seconds))
        return False
    came = signal.sigtimedwait({signal.SIGWINCH, signal.SIGTSTP}, max(0.0, seconds))
    if came and came.si_signo == signal.SIGTSTP:
        _write(_LEAVE)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTSTP})
        # Here it stops, and goes on after `fg`.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTSTP})
        _write(_ENTER)
    return came is not None


def _show(lines: list[str]) -> None:
    """Replace what is on the screen, in one piece and without a blank moment."""
    rows = _size().lines
    if len(lines) > rows:
        lines = [*lines[: rows - 1], f"{len(lines) - rows + 1} more lines"]
    # Each line is cleared before it is written: behind a full one, that would take its last character.
    _write(_TOP + "\r\n".join(f"{_CLEAR_LINE}{line}" for line in lines) + _CLEAR_BELOW)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _reap() -> None:
    """Bury the processes that have read the driver: each reading is one, and this process goes on."""
    with contextlib.suppress(ChildProcessError):
        while hasattr(os, "WNOHANG") and os.waitpid(-1, os.WNOHANG)[0]:
            pass
