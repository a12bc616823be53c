"""The runs of a user: a file of his own, with one JSON object for each run.

Others may have written to it, or an editor: a line that is no run is left out, and counted.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from zbx_nvidia.errors import UsageError
from zbx_nvidia.host.reading import read

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NUMBERS = ("id", "started", "wall", "exit_code")  # what every run has
_OPTIONAL_NUMBERS = ("cpu", "memory_peak", "memory_below", "samples", "signal", "left_running", "gpus_seen")
_TEXTS = ("host", "driver")
_GPU_TEXTS = frozenset({"uuid", "name", "energy_of"})
_LARGEST = 8 << 20  # bytes
_MOST, _KEPT = 2_000, 1_000  # runs: if there are more, so many of the newest are kept


class Stored(NamedTuple):
    """What the file has.

    Attributes:
        runs: The oldest first.
        skipped: Lines that are no run.
    """

    runs: list[dict[str, Any]]
    skipped: int


def path_of(environment: Mapping[str, str]) -> Path:
    """The file of this user.

    Raises:
        OSError: The user has no home.
    """
    folder = environment.get("XDG_STATE_HOME", "")
    # A relative path is invalid by the XDG specification.
    if folder.startswith("/"):
        return Path(folder) / "zbx-nvidia" / "runs.jsonl"
    try:
        base = Path("~/.local/state").expanduser()
    except RuntimeError:
        raise FileNotFoundError(errno.ENOENT, "this user has no home: set XDG_STATE_HOME", "~") from None
    return base / "zbx-nvidia" / "runs.jsonl"


def load(path: Path) -> Stored:
    """The runs in the file; none if there is no file.

    Raises:
        OSError: It cannot be read.
    """
    if not path.exists():  # asked first: Windows cannot read it so
        return Stored([], 0)
    data = read(path, _LARGEST)
    lines = [line for line in data.split(b"\n") if line.strip()]
    runs = [run for line in lines if (run := _run(line)) is not None]
    return Stored(runs, len(lines) - len(runs))


def add(path: Path, run: Mapping[str, Any]) -> int:
    """Store a run.

    Returns:
        Its number.

    Raises:
        OSError: It cannot be stored.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(path.with_suffix(".lock")):
        stored = load(path)
        number = max((known["id"] for known in stored.runs), default=0) + 1
        line = json.dumps({"id": number, **run}, separators=(",", ":")).encode("ascii") + b"\n"
        if len(stored.runs) >= _MOST:
            newest = (json.dumps(known, separators=(",", ":")).encode("ascii") for known in stored.runs[-_KEPT:])
            _replace(path, b"\n".join((*newest, line)))
        else:
            _append(path, line)
    return number


def find(runs: list[dict[str, Any]], wanted: str) -> dict[str, Any]:
    """The run of a number, or else the newest of a name.

    Raises:
        UsageError: There is none.
    """
    named = [run for run in runs if run["name"] == wanted]
    numbered = [run for run in runs if str(run["id"]) == wanted]
    if not (numbered or named):
        raise UsageError(f"{wanted}: no such run; zbx-nvidia runs lists numbers and names")
    return (numbered or named)[-1]


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """While no other process stores a run; on a file system without locks, at the same time as another."""
    import fcntl  # noqa: PLC0415  Windows has none

    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _append(path: Path, line: bytes) -> None:
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    file = os.open(path, flags, 0o600)
    try:
        size = os.fstat(file).st_size
        # The last line of a run that could not be stored as a whole must not spoil this one.
        if size and os.pread(file, 1, size - 1) != b"\n":
            line = b"\n" + line
        os.write(file, line)
    finally:
        os.close(file)


def _replace(path: Path, data: bytes) -> None:
    # Made by mkstemp: 0600, and by a name that nobody else has.
    file, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
    try:
        with os.fdopen(file, "wb") as new:
            new.write(data)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def _run(line: bytes) -> dict[str, Any] | None:
    """The run of a line; None if it is none."""
    try:
        run = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(run, dict):
        return None
    numbers = [run.get(key) for key in _NUMBERS] + [run[key] for key in _OPTIONAL_NUMBERS if key in run]
    texts = [run.get("name"), *(run[key] for key in _TEXTS if key in run)]
    gpus = run.get("gpus")
    if (
        not all(map(_is_number, numbers))
        or not all(isinstance(text, str) for text in texts)
        or not isinstance(gpus, list)
        or not all(map(_is_gpu, gpus))
    ):
        return None
    return run


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1 << 62  # not NaN


def _is_gpu(gpu: object) -> bool:
    """Whether these can be the figures of a GPU."""
    return isinstance(gpu, dict) and all(_is_figure(key, value) for key, value in gpu.items())


def _is_figure(key: str, value: object) -> bool:
    if key == "shared_with":
        return isinstance(value, list) and all(map(_is_process, value))
    if key == "energy_split":
        return isinstance(value, bool)
    return isinstance(value, str) if key in _GPU_TEXTS else _is_number(value)


def _is_process(value: object) -> bool:
    """Whether it can be a process with which a GPU was shared."""
    return isinstance(value, dict) and all(isinstance(part, str) or _is_number(part) for part in value.values())
