"""Writes files as root, whole or line by line, and restores them."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from zbx_nvidia.errors import HostError
from zbx_nvidia.host import permissions
from zbx_nvidia.host.reading import read

if TYPE_CHECKING:
    from pathlib import Path

READABLE = 0o644
PRIVATE = 0o600


class FileState(NamedTuple):
    """A file with its content and permissions.

    Attributes:
        data: Its content.
        mode: Its permissions.
        uid: Its owner.
        gid: Its group.
        attributes: Its extended attributes: access lists and the SELinux label.
    """

    data: bytes
    mode: int = READABLE
    uid: int = 0
    gid: int = 0
    attributes: tuple[tuple[str, bytes], ...] = ()


class Edit(NamedTuple):
    """A change of one line.

    Attributes:
        old: The line before, without its end; None for a line added at the end of the file.
        new: The line after.
        glued: For an added line: whether the last line of the file had no end.
    """

    old: str | None
    new: str
    glued: bool = False


def state(path: Path) -> FileState | None:
    """The file at a path; None if there is none.

    Raises:
        HostError: It cannot be read, or is not a file.
    """
    try:
        about = path.stat()
        data = read(path, links=True)
    except FileNotFoundError:
        return None
    except IsADirectoryError:
        raise HostError(f"{path} is a directory, but must be a file: move it away") from None
    except OSError as error:
        raise HostError(f"{path} cannot be read: {error.strerror}") from None
    attributes = []
    # Not every file system has them, and not all can be read.
    with contextlib.suppress(OSError):
        for name in os.listxattr(path):
            attributes.append((name, os.getxattr(path, name)))  # noqa: PERF401  the first ones count if a later fails
    return FileState(data, stat.S_IMODE(about.st_mode), about.st_uid, about.st_gid, tuple(attributes))


def refuse_others(path: Path) -> None:
    """Refuse a path in a directory in which others than root can create links or files.

    Raises:
        HostError: It names the directory and the fix.
    """
    folder = path.parent
    problem = permissions.changeable(folder)
    # In a directory such as /tmp root's files are safe, but anybody can take the name of a new one.
    if not problem and folder.is_dir() and folder.stat().st_mode & stat.S_IWOTH:
        problem = f"{folder} is writable by everybody: chmod o-w {folder}"
    if problem:
        raise HostError(f"{path}: not safe for root to write there: {problem}")


def put(path: Path, wanted: FileState | None, *, new: bool = False) -> None:
    """Write a file by rename, so that nobody sees half of it. None removes it. Links are not followed.

    Args:
        path: The file.
        wanted: The state to write.
        new: Whether anything at that path is an error, a dangling link too.

    Raises:
        HostError: Others than root can write to its directory.
    """
    refuse_others(path)
    if wanted is None:
        path.unlink(missing_ok=True)
        return
    name = temporary(path)
    try:
        if os.path.lexists(name):
            name.unlink()  # of a run that was killed: nobody else can create files here
        handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE)
    except OSError as error:
        raise _cannot(error, path) from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(wanted.data)
            os.fchown(handle, wanted.uid, wanted.gid)
            for attribute, value in wanted.attributes:
                # What cannot be set is inherited from the directory.
                with contextlib.suppress(OSError):
                    os.setxattr(handle, attribute, value)
            os.fchmod(handle, wanted.mode)
            file.flush()
            os.fsync(handle)
        if new:
            # Not by rename, which would replace an existing file.
            os.link(name, path, follow_symlinks=False)
            name.unlink()
        else:
            name.replace(path)
    except OSError as error:
        name.unlink(missing_ok=True)
        raise _cannot(error, path) from None
    except BaseException:
        name.unlink(missing_ok=True)
        raise


def _cannot(error: OSError, path: Path) -> Exception:
    """Why a file cannot be written. An error of a full disk has no path, and the temporary one would mean nothing."""
    if error.errno == errno.EROFS:
        return HostError(
            f"{path}: the file system is read-only: add this file to the image of the host, or remount it with "
            f"`mount -o remount,rw`"
        )
    return OSError(error.errno, error.strerror, str(path))


def temporary(path: Path) -> Path:
    """Where a file is written before it gets its name: one place for each file, so that the next run finds it."""
    # Not a suffix of configuration files: an agent that starts now must not read it.
    return path.with_name(f".{path.name}.zbx-nvidia.new")


def sweep(path: Path) -> None:
    """Remove what a killed run has left beside a file. It may be a key."""
    # In a directory that root has given to somebody since, it may be anything.
    with contextlib.suppress(OSError, HostError):
        if os.path.lexists(temporary(path)):
            refuse_others(path)
            temporary(path).unlink()


def digest(data: bytes) -> str:
    """The digest by which a file is recognized."""
    return hashlib.sha256(data).hexdigest()


def edited(data: bytes, line: int, new: str) -> tuple[bytes, Edit]:
    """Replace a line.

    Args:
        data: The file.
        line: The line number, from 1.
        new: The new text; the kind of line end is kept.
    """
    lines = data.split(b"\n")
    old = lines[line - 1].decode("utf-8", "surrogateescape")
    end = "\r" if old.endswith("\r") else ""
    lines[line - 1] = (new + end).encode("utf-8", "surrogateescape")
    return b"\n".join(lines), Edit(old, new + end)


def appended(data: bytes, new: str) -> tuple[bytes, Edit]:
    """Add a line at the end."""
    glued = bool(data) and not data.endswith(b"\n")
    return data + b"\n" * glued + new.encode() + b"\n", Edit(None, new, glued)


def reverted(data: bytes, edits: tuple[Edit, ...]) -> tuple[bytes, tuple[Edit, ...]]:
    """Undo edits.

    Returns:
        The file, and the edits that are skipped because their line has changed since.
    """
    lines = data.split(b"\n")
    lost = []
    for edit in reversed(edits):
        new = edit.new.encode("utf-8", "surrogateescape")
        numbers = [number for number, line in enumerate(lines) if line == new]
        if not numbers:
            old = None if edit.old is None else edit.old.encode("utf-8", "surrogateescape")
            # With the old line there, the edit was undone already, or never done.
            if old is not None and old not in lines:
                lost.append(edit)
        elif edit.old is None:
            del lines[numbers[-1]]
            if edit.glued and lines[-1:] == [b""]:
                del lines[-1]
        else:
            lines[numbers[-1]] = edit.old.encode("utf-8", "surrogateescape")
    return b"\n".join(lines), tuple(lost)
