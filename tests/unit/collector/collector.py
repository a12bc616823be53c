"""Runs `zbx-nvidia-agent get` as a Zabbix agent does, and holds each answer to what every answer must be."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jsonschema  # type: ignore[import-untyped]  # it brings no types

from tests.conftest import PATIENCE, REPOSITORY, wait_for
from tests.forks import run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.conftest import Machine

AGENT = Path(sysconfig.get_path("scripts")) / "zbx-nvidia-agent"
MAIN = "from zbx_nvidia.collector.main import main; main()"  # what AGENT does
ROOT = "ZBX_NVIDIA_ROOT"  # read when the package is imported: what forks after that has no other
CLOCK = 1_700_000_000  # one moment for all machines, so that two documents can be compared
LIMIT = 524_288  # what an agent before 7.0 takes of a UserParameter
# s, the longest that it takes: where a test is not about the deadline, a slow machine is not to come to it.
NO_DEADLINE = 600.0


class Answer(NamedTuple):
    """One document, as text and as an object."""

    text: str
    document: dict[str, Any]

    @property
    def code(self) -> int:
        return int(self.document["status"]["code"])

    @property
    def message(self) -> str:
        return str(self.document["status"]["message"])

    @property
    def by_index(self) -> dict[int, dict[str, Any]]:
        return {gpu["index"]: gpu for gpu in self.document["gpus"].values()}

    @property
    def rows(self) -> dict[int, dict[str, str]]:
        rows = self.document["discovery"]["gpus"]
        # Only the first row says the version, whichever card that is.
        return {int(row["{#INDEX}"]): {**row, "{#VERSION}": ""} for row in rows}

    @property
    def errors(self) -> list[dict[str, Any]]:
        return list(self.document["collector"]["errors"])

    def lacks(self, index: int = 0) -> set[str]:
        return set(self.rows[index]["{#LACKS}"].split(",")) - {""}


class Poll:
    """A collection that is running; with the deadline of an installation where it is None."""

    def __init__(
        self, env: Mapping[str, str], *arguments: str, command: str = "get", deadline: float | None = NO_DEADLINE
    ) -> None:
        limit = () if deadline is None else ("--deadline", f"{deadline:g}")
        self.process = subprocess.Popen(
            [AGENT, command, *limit, *arguments],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def answer(self) -> Answer:
        """Waits for the end of its output, as an agent does: a child that keeps the pipe open would be noticed."""
        output, errors = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 0
        assert errors == b""
        return checked(output)


def get(env: Mapping[str, str], *arguments: str, command: str = "get", deadline: float | None = NO_DEADLINE) -> Answer:
    return Poll(env, *arguments, command=command, deadline=deadline).answer()


def collect(env: Mapping[str, str], *arguments: str, command: str = "get") -> Answer:
    """The answer of a collection that forks from a Python which has loaded it: a quarter of what `get` costs."""
    if ROOT in env:
        return get(env, *arguments, command=command)
    code, output, errors = run(MAIN, env, command, "--deadline", f"{NO_DEADLINE:g}", *arguments, program=str(AGENT))
    assert code == 0
    assert errors == b""
    return checked(output)


def checked(output: bytes) -> Answer:
    """What every document is, whatever the driver does."""
    text = output.decode("ascii")
    assert text.endswith("\n")
    assert text.count("\n") == 1
    assert len(text) <= LIMIT
    document = json.loads(text, parse_constant=lambda word: _refuse(f"{word} is not JSON"))
    validator("links" if "links" in document else "document").validate(document)
    assert None not in _values(document)
    for uuid, readings in document.get("gpus", {}).items():
        assert readings.get("uuid", uuid) == uuid  # it goes where all of a group is shed
    return Answer(text, document)


@contextlib.contextmanager
def program(node: Machine, *more: str) -> Iterator[None]:
    """A program with secrets in its command line uses the GPU of this T4."""
    with subprocess.Popen(["/bin/sh", "-c", "read wait", "--token", "secret", *more], stdin=subprocess.PIPE) as sleeper:
        for pid in (5000675, 5005762):
            node.remove(f"gpu 0 process {pid}")
        node.set(f"gpu 0 process {sleeper.pid}", {"name": "/opt/ai/trainer --token secret", "compute": 1})
        yield
        assert sleeper.stdin
        sleeper.stdin.close()


@functools.cache
def validator(name: str) -> jsonschema.Draft202012Validator:
    schema = json.loads((REPOSITORY / "docs" / f"{name}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def python(code: str, env: Mapping[str, str], *arguments: str) -> str:
    """What a Python of its own prints: whatever calls NVML runs in such a one, and never in that of the tests."""
    if ROOT in env:
        started = subprocess.run(
            [sys.executable, "-c", code, *arguments], env=env, capture_output=True, check=False, timeout=PATIENCE
        )
        done, output, errors = started.returncode, started.stdout, started.stderr
    else:
        done, output, errors = run(code, env, *arguments)
    assert done == 0, errors
    assert errors == b""
    return output.decode()


def children(folder: Path) -> list[int]:
    """Processes that read a profile in this folder, but for the helper that each hanging call of the simulator has."""
    pids = _of(folder)
    return [pid for pid in pids if int(stat(pid)[1]) not in pids]


def leaders(folder: Path) -> list[int]:
    """Those that have made a session of their own, as the child of a collection does."""
    return [pid for pid in _of(folder) if int(stat(pid)[3]) == pid]


def stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the third, the state, on."""
    return _read(f"/proc/{pid}/stat").decode().rpartition(") ")[2].split() or ["gone", *["0"] * 20]


def states_of_threads(pid: int) -> set[str]:
    """D is a call that hangs in the kernel."""
    found = (_read(str(path)).decode() for path in Path(f"/proc/{pid}/task").glob("*/stat"))
    return {text.rpartition(") ")[2][0] for text in found if text}


def end(folder: Path) -> None:
    """Ends every hanging collection of this folder: what a driver that comes back does."""
    for pid in (still := children(folder)):
        os.kill(pid, signal.SIGKILL)
    wait_until_gone(folder, f"{still} to end")


def wait_until_gone(folder: Path, what: str) -> None:
    wait_for(lambda: not children(folder), what)


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208  Path makes objects of them


def _of(folder: Path) -> list[int]:
    wanted = f"NVML_SIMULATOR_PROFILE={folder}/".encode()
    return [pid for pid in _pids() if wanted in _read(f"/proc/{pid}/environ")]


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""  # it has ended meanwhile, or is somebody else's


def _refuse(complaint: str) -> None:
    raise AssertionError(complaint)


def _values(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for part in value.values():
            yield from _values(part)
    elif isinstance(value, list):
        for part in value:
            yield from _values(part)
    else:
        yield value
