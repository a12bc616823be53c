"""The steps of an installation, which can be shown before and undone after."""

# ruff: noqa: D102  `Step` documents the methods of each class

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

from zbx_nvidia.errors import HostError
from zbx_nvidia.host import system
from zbx_nvidia.install import files, program_check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from zbx_nvidia.install.files import FileState
    from zbx_nvidia.install.program_check import Program

Answer = TypeVar("Answer")


class Step(Protocol):
    """One step."""

    def lines(self) -> list[str]:
        """What it does, for the user; nothing if it does not change the host."""

    def apply(self) -> None:
        """Do the step."""

    def undo(self) -> None:
        """Restore the state before `apply`, whether that was called or not."""


class Interrupted(BaseException):
    """The process received a signal to end."""


class File:
    """Creates, changes or removes a file."""

    def __init__(
        self, path: Path, before: FileState | None, after: FileState | None, changes: list[str], text: list[str]
    ) -> None:
        """One file.

        Args:
            path: The file.
            before: Its present state.
            after: The new state; None to remove it.
            changes: The changed lines, for the user.
            text: The whole file, shown only in a dry run.
        """
        self.path, self.before, self.after, self.changes, self.text = path, before, after, changes, text
        self.done = False

    def lines(self) -> list[str]:
        sign = "+" if self.before is None else "-" if self.after is None else "~"
        return [f"{sign} {self.path}", *(f"    {line}".rstrip() for line in self.changes)]

    def details(self) -> list[str]:
        """The whole file."""
        return [f"    {line}".rstrip() for line in self.text]

    def apply(self) -> None:
        # Between plan and step a driver may have taken long, and Puppet may have run.
        if files.state(self.path) != self.before:
            raise HostError(f"{self.path} was changed by somebody else meanwhile: run this again")
        self.done = True
        files.put(self.path, self.after)

    def undo(self) -> None:
        now = files.state(self.path) if self.done else self.before
        if now == self.before:
            return
        if _data(now) != _data(self.after):
            raise HostError(f"{self.path} was changed by somebody else meanwhile, and stays unchanged")
        files.put(self.path, self.before)


class NewKey:
    """Creates a key, which is in no plan, no record and no message."""

    def __init__(self, path: Path, uid: int, gid: int, make: Callable[[], str]) -> None:
        self.path, self.uid, self.gid, self.make = path, uid, gid, make
        self.done = False

    def lines(self) -> list[str]:
        return [f"+ {self.path}", f"    (a new key of 256 bits, mode 0600, for the user {self.uid})"]

    def apply(self) -> None:
        wanted = files.FileState(self.make().encode() + b"\n", files.PRIVATE, self.uid, self.gid)
        files.put(self.path, wanted, new=True)
        self.done = True

    def undo(self) -> None:
        if self.done:
            self.path.unlink(missing_ok=True)


class KeyRemoval:
    """Removes a key, and keeps it only in memory until all steps are done."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.before: FileState | None = None

    def lines(self) -> list[str]:
        return [f"- {self.path}"]

    def apply(self) -> None:
        self.before = files.state(self.path)
        files.put(self.path, None)

    def undo(self) -> None:
        if self.before is not None:
            files.put(self.path, self.before)


class Folder:
    """Creates a directory, or removes one of ours if it is empty."""

    def __init__(self, path: Path, *, make: bool) -> None:
        self.path, self.make = path, make
        self.done = False

    def lines(self) -> list[str]:
        return [f"+ {self.path}/" if self.make else f"- {self.path}/ (if nothing is in it)"]

    def apply(self) -> None:
        if self.make:
            # Not by the umask, which can be strict for root.
            self.path.mkdir()
            self.path.chmod(0o755)
            self.done = True
        elif self.path.is_dir() and not any(self.path.iterdir()):
            self.path.rmdir()
            self.done = True

    def undo(self) -> None:
        if self.done and self.make:
            if not any(self.path.iterdir()):
                self.path.rmdir()
        elif self.done:
            self.path.mkdir()
            self.path.chmod(0o755)


class Command:
    """A command that changes something, and the one that takes it back."""

    def __init__(self, *command: str, back: tuple[str, ...] = ()) -> None:
        self.command, self.back = command, back
        self.done = False

    def lines(self) -> list[str]:
        return [f"$ {' '.join(self.command)}"]

    def apply(self) -> None:
        self.done = True
        must(*self.command)

    def undo(self) -> None:
        if self.done and self.back:
            must(*self.back)


class Compile:
    """Compiles the package: otherwise each poll compiles it again."""

    def __init__(self, program: Program, missing: list[tuple[Path, Path]]) -> None:
        self.program, self.missing = program, missing
        self.compiled: list[Path] = []
        self.folders: list[Path] = []

    def lines(self) -> list[str]:
        return [f"$ {self.program.interpreter} -m compileall ({len(self.missing)} modules)"]

    def apply(self) -> None:
        there = {cache.parent for _, cache in self.missing if cache.parent.is_dir()}
        try:
            program_check.compile_modules(self.program, [source for source, _ in self.missing])
        finally:
            self.compiled = [cache for _, cache in self.missing if cache.is_file()]
            self.folders = sorted({cache.parent for cache in self.compiled} - there)

    def undo(self) -> None:
        for path in self.compiled:
            path.unlink(missing_ok=True)
        for folder in self.folders:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


class OnRollback:
    """An action after a rollback, such as starting an agent again."""

    def __init__(self, action: Callable[[], None]) -> None:
        self.action = action

    def lines(self) -> list[str]:
        return []

    def apply(self) -> None:
        """Do nothing: it comes first, so that it is undone last."""

    def undo(self) -> None:
        self.action()


class Action:
    """A step made of functions."""

    def __init__(self, lines: list[str], apply: Callable[[], None], undo: Callable[[], object] | None = None) -> None:
        self._lines, self._apply, self._undo = lines, apply, undo
        self.done = False

    def lines(self) -> list[str]:
        return self._lines

    def apply(self) -> None:
        self.done = True
        self._apply()

    def undo(self) -> None:
        if self.done and self._undo:
            self._undo()


def must(*command: str, timeout: float = system.PATIENCE) -> system.CommandResult:
    """Run a command that must succeed."""
    done = system.run(*command, timeout=timeout)
    if done.code:
        raise HostError(f"{' '.join(command)}: {done.complaint}")
    return done


def apply(steps: Sequence[Step]) -> None:
    """Apply all steps; if one fails, undo it and those before it.

    Raises:
        HostError: The failure, and what could not be undone.
    """
    done: list[Step] = []
    with _interruptible() as ignore:
        try:
            try:
                for step in steps:
                    done.append(step)
                    step.apply()
            except BaseException:
                # Nothing may interrupt the rollback. A signal before this line is caught below.
                ignore()
                raise
        except (HostError, OSError, Interrupted) as error:
            left = undo(done)
            state = f"; could not be undone: {'; '.join(left)}" if left else "; all changes were undone"
            text = "interrupted" if isinstance(error, Interrupted) else _text(error)
            raise HostError(text + state) from None
        except BaseException:
            # A bug of this program: show it, but do not leave the host half changed.
            undo(done)
            raise


def undo(done: Sequence[Step]) -> list[str]:
    """Undo steps, the last first; returns what failed."""
    left = []
    for step in reversed(done):
        try:
            step.undo()
        except (HostError, OSError) as error:  # the other steps must still be undone
            left.append(_text(error))
    return left


def wait(check: Callable[[], Answer], timeout: float, every: float = 0.2) -> Answer:
    """Wait until a check is true; its last answer, which is not true if it does not become so in time."""
    end = time.monotonic() + timeout
    while not (answer := check()) and time.monotonic() <= end:
        time.sleep(every)
    return answer


def _data(state: FileState | None) -> bytes | None:
    """The content of a file: the file system and SELinux may change the rest."""
    return state.data if state else None


def _text(error: HostError | OSError) -> str:
    if isinstance(error, HostError):
        return str(error)
    return f"{error.filename}: {error.strerror}" if error.filename else str(error)


@contextmanager
def _interruptible() -> Iterator[Callable[[], None]]:
    """Turn a signal to end into a failure, which is undone; yields a function that ignores signals from then on."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def ignore() -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)

    def end(_number: int, _frame: object) -> None:
        # One signal is enough.
        ignore()
        raise Interrupted

    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield ignore
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
