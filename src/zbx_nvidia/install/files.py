"""Files of root's, written whole or by the line, and put back as they were."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
from pathlib import Path
from typing import NamedTuple

from zbx_nvidia.errors import HostError
from zbx_nvidia.host import permissions

READABLE = 0o644
PRIVATE = 0o600


class State(NamedTuple):
    """A file as it is.

    Attributes:
        data: What it holds.
        mode: Its permissions.
        uid: Its owner.
        gid: Its group.
        attributes: Its extended ones: access lists, and what SELinux calls it.
    """

    data: bytes
    mode: int = READABLE
    uid: int = 0
    gid: int = 0
    attributes: tuple[tuple[str, bytes], ...] = ()


class Edit(NamedTuple):
    """A line of a file that becomes another.

    Attributes:
        old: The line as it was, without its end; None for one that is added at the end of the file.
        new: As it is now.
        glued: Whether the file had no end of line behind its last one, where one is added.
    """

    old: str | None
    new: str
    glued: bool = False


def state(path: Path) -> State | None:
    """What is at a path; None where there is no file.

    Raises:
        HostError: It cannot be read, or is no file.
    """
    try:
        about = path.stat()
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except IsADirectoryError:
        raise HostError(f"{path} is a directory, where a file has to be: move it away") from None
    except OSError as error:
        raise HostError(f"{path} cannot be read: {error.strerror}") from None
    attributes = []
    # Not every file system has any, and not all may be read.
    with contextlib.suppress(OSError):
        for name in os.listxattr(path):
            attributes.append((name, os.getxattr(path, name)))  # noqa: PERF401  the first ones count if a later fails
    return State(data, stat.S_IMODE(about.st_mode), about.st_uid, about.st_gid, tuple(attributes))


def refuse_others(path: Path) -> None:
    """Refuse a file in whose directory others than root can put links, or anything else.

    Raises:
        HostError: It says which directory, and what to do.
    """
    folder = path.parent
    problem = permissions.changeable(folder)
    # Root's files are safe in a directory such as /tmp, but the name of a new one is anybody's.
    if not problem and folder.is_dir() and folder.stat().st_mode & stat.S_IWOTH:
        problem = f"{folder} can be written to by everybody: chmod o-w {folder}"
    if problem:
        raise HostError(f"{path}: root does not write there: {problem}")


def put(path: Path, wanted: State | None, *, new: bool = False) -> None:
    """Make a file be so, by rename: nobody ever sees half of it. None removes it. No link is followed.

    Args:
        path: Of it.
        wanted: As it is to be.
        new: Whether it is an error if something has that name, be it a link that leads nowhere.

    Raises:
        HostError: Others than root can write to its directory.
    """
    refuse_others(path)
    if wanted is None:
        path.unlink(missing_ok=True)
        return
    # Not ending as configuration files do: an agent that starts meanwhile must not read it too.
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".new", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(wanted.data)
            os.fchown(handle, wanted.uid, wanted.gid)
            for attribute, value in wanted.attributes:
                # What cannot be set, the directory gives by itself.
                with contextlib.suppress(OSError):
                    os.setxattr(handle, attribute, value)
            os.fchmod(handle, wanted.mode)
            file.flush()
            os.fsync(handle)
        if new:
            # Not by rename, which would take the place of whatever is there.
            os.link(name, path, follow_symlinks=False)
            Path(name).unlink()
        else:
            Path(name).replace(path)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        # A full disk has no name, and the name of the new file means nothing to anybody.
        raise OSError(error.errno, error.strerror, str(path)) from None
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def digest(data: bytes) -> str:
    """By which a file is known again."""
    return hashlib.sha256(data).hexdigest()


def edited(data: bytes, line: int, new: str) -> tuple[bytes, Edit]:
    """Replace a line.

    Args:
        data: The file.
        line: The number of the line, from 1.
        new: What it becomes; it keeps its end, of whichever system.
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
    """Take edits back.

    Returns:
        The file, and the edits whose line is no longer what they made of it: those are left alone.
    """
    lines = data.split(b"\n")
    lost = []
    for edit in reversed(edits):
        new = edit.new.encode("utf-8", "surrogateescape")
        numbers = [number for number, line in enumerate(lines) if line == new]
        if not numbers:
            old = None if edit.old is None else edit.old.encode("utf-8", "surrogateescape")
            # As it was before, it was taken back already, or never done.
            if old is not None and old not in lines:
                lost.append(edit)
        elif edit.old is None:
            del lines[numbers[-1]]
            if edit.glued and lines[-1:] == [b""]:
                del lines[-1]
        else:
            lines[numbers[-1]] = edit.old.encode("utf-8", "surrogateescape")
    return b"\n".join(lines), tuple(lost)
