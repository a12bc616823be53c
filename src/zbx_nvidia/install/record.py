"""What has been installed on this host, so that it can be taken away again.

A file of root's that nobody else can read. It holds no secret: of a file of which single lines were changed, it keeps
those lines alone, and of a key not even a digest.
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
from zbx_nvidia.install.files import Edit, State

if TYPE_CHECKING:
    from collections.abc import Iterator

PATH = Path("/var/lib/zbx-nvidia/install.json")
FORMAT = 1

Kind = Literal["whole", "lines", "key", "folder", "compiled"]


@dataclass(frozen=True)
class Entry:
    """Something that was made or changed.

    Attributes:
        path: Where.
        of: What for: the configuration of an agent, "service" or "program".
        kind: whole: the file is ours; lines: those of its lines are; key: it holds a secret; folder: it was made;
            compiled: Python's own.
        original: What was there before, of a whole file; None if nothing.
        digest: Of the whole file as it was written.
        edits: Of the lines.
        mark: When the key was written, in ns: no digest of a secret.
    """

    path: str
    of: str
    kind: Kind
    original: State | None = None
    digest: str = ""
    edits: tuple[Edit, ...] = ()
    mark: int = 0


@dataclass(frozen=True)
class Record:
    """All of it.

    Attributes:
        entries: In the order in which they came about.
        modes: How each agent gets its document, by the path of its configuration.
        settings: What each agent was told besides, by the path of its configuration.
        users: That were made.
        enabled: Whether it was us who had the service start with the host.
    """

    entries: tuple[Entry, ...] = ()
    modes: dict[str, str] = field(default_factory=dict)
    settings: dict[str, dict[str, str]] = field(default_factory=dict)
    users: tuple[str, ...] = ()
    enabled: bool = False

    def entry(self, path: Path) -> Entry | None:
        """What is known of a path."""
        return next((entry for entry in self.entries if entry.path == str(path)), None)

    def with_entry(self, new: Entry) -> Record:
        """The same with an entry, in place of the one for that path."""
        if self.entry(Path(new.path)) is None:
            return replace(self, entries=(*self.entries, new))
        return replace(self, entries=tuple(new if entry.path == new.path else entry for entry in self.entries))

    def without(self, *gone: Entry) -> Record:
        """The same without these entries."""
        return replace(self, entries=tuple(entry for entry in self.entries if entry not in gone))


def load(path: Path = PATH) -> Record | None:
    """Read it; None where nothing is installed.

    Raises:
        HostError: It cannot be read.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise HostError(f"{path} was written by another version of zbx-nvidia: uninstall with that one first")
        entries = tuple(_entry(entry) for entry in data["entries"])
        return Record(entries, data["modes"], data["settings"], tuple(data["users"]), data["enabled"])
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HostError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise HostError(f"{path} is damaged ({error}): put it back from a backup, or remove it") from None


def save(record: Record | None, path: Path = PATH) -> None:
    """Write it; None removes it, and its directory."""
    if record is None:
        path.unlink(missing_ok=True)
        # It may hold something of somebody else's.
        with contextlib.suppress(OSError):
            path.parent.rmdir()
        return
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    data = {"format": FORMAT, **asdict(record), "entries": [_data(entry) for entry in record.entries]}
    files.put(path, State(json.dumps(data, indent=1).encode() + b"\n", files.PRIVATE))


@contextmanager
def locked(path: Path = PATH) -> Iterator[None]:
    """Keep every other run out; nothing is left of that afterwards.

    Raises:
        HostError: Another one is running, or nothing can be written there.
    """
    lock = path.with_suffix(".lock")
    handle = _lock(lock)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(handle)
        # Where nothing is installed.
        with contextlib.suppress(OSError):
            path.parent.rmdir()


def _lock(lock: Path) -> int:
    while True:
        try:
            lock.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, files.PRIVATE)
        except FileNotFoundError:
            continue  # another one has just removed the directory
        except OSError as error:
            raise HostError(f"{lock.parent}, where what is done is written down: {error.strerror}") from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # One that ended meanwhile has removed the file.
            if lock.exists() and os.path.samestat(os.fstat(handle), lock.stat()):
                return handle
        except BlockingIOError:
            os.close(handle)
            raise HostError("another install-agent or uninstall-agent is running: wait until it has ended") from None
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
        original = State(base64.b64decode(old["data"]), old["mode"], old["uid"], old["gid"], attributes)
    return Entry(**{**data, "original": original, "edits": tuple(Edit(*edit) for edit in data["edits"])})
