"""The record of what was installed on this host, for its removal.

Only root can read the file. It holds no secrets: for a file with changed lines it keeps only those lines, and for a key
not even a digest.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from zbx_nvidia.errors import HostError
from zbx_nvidia.install import files
from zbx_nvidia.install.files import Edit, FileState

if TYPE_CHECKING:
    from collections.abc import Iterator

PATH = Path("/var/lib/zbx-nvidia/install.json")
FORMAT = 1

Kind = Literal["whole", "lines", "key", "folder", "compiled"]


@dataclass(frozen=True)
class Entry:
    """A file or directory that was created or changed.

    Attributes:
        path: Its path.
        of: What it is for: the path of an agent's configuration, "service" or "program".
        kind: whole: the file is ours; lines: only some lines are; key: it holds a secret; folder: a new directory;
            compiled: a cache file of Python.
        original: For kind whole: the file before; None if there was none.
        digest: For kind whole: of the file as written.
        edits: For kind lines.
        mark: For kind key: when it was written, in ns, instead of a digest of a secret.
    """

    path: str
    of: str
    kind: Kind
    original: FileState | None = None
    digest: str = ""
    edits: tuple[Edit, ...] = ()
    mark: int = 0


@dataclass(frozen=True)
class Record:
    """The whole record.

    Attributes:
        entries: In the order of their creation.
        modes: The mode of each agent, by the path of its configuration.
        settings: The further parameters of each agent, by the path of its configuration.
        users: Created users.
        enabled: Whether install-agent enabled the service.
    """

    entries: tuple[Entry, ...] = ()
    modes: dict[str, str] = field(default_factory=dict)
    settings: dict[str, dict[str, str]] = field(default_factory=dict)
    users: tuple[str, ...] = ()
    enabled: bool = False

    def entry(self, path: Path) -> Entry | None:
        """The entry of a path."""
        return next((entry for entry in self.entries if entry.path == str(path)), None)

    def with_entry(self, new: Entry) -> Record:
        """A copy with an entry, which replaces the one of its path."""
        if self.entry(Path(new.path)) is None:
            return replace(self, entries=(*self.entries, new))
        return replace(self, entries=tuple(new if entry.path == new.path else entry for entry in self.entries))

    def without(self, *gone: Entry) -> Record:
        """A copy without these entries."""
        return replace(self, entries=tuple(entry for entry in self.entries if entry not in gone))


def load(path: Path = PATH) -> Record | None:
    """Read the record; None if nothing is installed.

    Raises:
        HostError: It cannot be read.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise HostError(f"{path} was written by another version of zbx-nvidia: uninstall with that version first")
        entries = tuple(_entry(entry) for entry in data["entries"])
        return Record(entries, data["modes"], data["settings"], tuple(data["users"]), data["enabled"])
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HostError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise HostError(f"{path} is damaged ({error}): restore it from a backup, or remove it") from None


def save(record: Record | None, path: Path = PATH) -> None:
    """Write the record; None removes it and its directory."""
    if record is None:
        path.unlink(missing_ok=True)
        # The directory may hold files of others.
        with contextlib.suppress(OSError):
            path.parent.rmdir()
        return
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    data = {"format": FORMAT, **asdict(record), "entries": [_data(entry) for entry in record.entries]}
    files.put(path, FileState(json.dumps(data, indent=1).encode() + b"\n", files.PRIVATE))


@contextmanager
def locked(path: Path = PATH) -> Iterator[None]:
    """Hold a lock against other runs. It leaves no file behind.

    Raises:
        HostError: Another run holds it, or the directory cannot be written to.
    """
    lock = path.with_suffix(".lock")
    handle = _lock(lock)
    try:
        # What a killed run has left: for each file that it wanted to write, it recorded the name before.
        files.sweep(path)
        for entry in ((known := load(path)) and known.entries) or ():
            files.sweep(Path(entry.path))
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(handle)
        # Only if nothing is installed.
        with contextlib.suppress(OSError):
            path.parent.rmdir()


def _lock(lock: Path) -> int:
    while True:
        try:
            lock.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, files.PRIVATE)
        except FileNotFoundError:
            continue  # another run has just removed the directory
        except OSError as error:
            raise HostError(f"{lock.parent}, the directory of the record: {error.strerror}") from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A run that just ended may have removed the file.
            if lock.exists() and os.path.samestat(os.fstat(handle), lock.stat()):
                return handle
        except BlockingIOError:
            os.close(handle)
            raise HostError("another install-agent or uninstall-agent is running: wait until it ends") from None
        os.close(handle)


def _data(entry: Entry) -> dict[str, Any]:
    data = asdict(entry)
    if entry.original is not None:
        data["original"] = {
            "data": base64.b64encode(entry.original.data).decode(),
            "mode": entry.original.mode,
            "uid": entry.original.uid,
            "gid": entry.original.gid,
            "attributes": [[name, base64.b64encode(value).decode()] for name, value in entry.original.attributes],
        }
    return data


def _entry(data: dict[str, Any]) -> Entry:
    old = data["original"]
    original = None
    if old is not None:
        attributes = tuple((name, base64.b64decode(value)) for name, value in old["attributes"])
        original = FileState(base64.b64decode(old["data"]), old["mode"], old["uid"], old["gid"], attributes)
    return Entry(**{**data, "original": original, "edits": tuple(Edit(*edit) for edit in data["edits"])})
