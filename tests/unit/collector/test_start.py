"""What a poll loads: each import is paid for again at every poll, on every host."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.conftest import PATIENCE, wait_for
from tests.unit.collector.collector import AGENT, CLOCK, NO_DEADLINE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Machine, MachineFactory

# Python runs a `sitecustomize` at its start. This one notes what a process has loaded when it ends by os._exit, as both
# processes of a poll do.
RECORDER = """
import os, sys
leave = os._exit
def record(code):
    note = os.path.join(os.environ["RECORDED"], str(os.getpid()))
    with open(note + ".new", "w") as file:
        file.write("\\n".join(sys.modules))
    os.rename(note + ".new", note)
    leave(code)
os._exit = record
"""

# Beyond what these need there is nothing for which a poll should pay.
PARENT = [
    "gc",
    "__future__",
    "json",
    "typing",
    "threading",
    "select",
    "fcntl",
    "marshal",
    "time",
    "contextlib",
    "errno",
    "os",
    "sys",
]
CHILD = ["pynvml", "_socket"]
DEAR = {
    *("click", "yaml", "requests", "pyzabbix", "rich"),
    *("dataclasses", "argparse", "pathlib", "importlib.metadata", "logging", "inspect"),
}


def loaded_by(code: str, env: dict[str, str]) -> set[str]:
    run = subprocess.run(
        [sys.executable, "-c", f"{code}; import sys; print(*sys.modules)"],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(run.stdout.split())


@pytest.fixture
def recorded(machine: MachineFactory, tmp_path: Path) -> tuple[set[str], set[str], dict[str, str]]:
    """Modules of the parent and of the child of one poll, and the environment in which it ran."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(RECORDER)
    notes = tmp_path / "notes"
    notes.mkdir()
    poll: Machine = machine("h100x8", clock=CLOCK)
    path = f"{tmp_path / 'site'}:{poll.env.get('PYTHONPATH', '')}".rstrip(":")
    env = {**poll.env, "PYTHONPATH": path, "RECORDED": str(notes)}
    run = subprocess.run(
        [AGENT, "get", "--deadline", f"{NO_DEADLINE:g}"], env=env, capture_output=True, check=True, timeout=PATIENCE
    )
    assert run.stdout.startswith(b'{"version":1,')

    def left() -> list[Path]:
        return [note for note in notes.iterdir() if not note.suffix]

    wait_for(lambda: len(left()) == 2, "a note of each of the two processes")
    found = left()
    child, parent = sorted((set(note.read_text().split("\n")) for note in found), key=lambda mods: "pynvml" not in mods)
    return parent, child, env


def test_parent_loads_no_nvml_and_nothing_dear(recorded: tuple[set[str], set[str], dict[str, str]]) -> None:
    parent, _, env = recorded
    allowed = loaded_by(f"import {', '.join(PARENT)}", env)
    extra = {name for name in parent - allowed if not name.startswith("zbx_nvidia")}
    assert extra == set()
    assert not [name for name in parent if name.startswith(("pynvml", "ctypes", "zbx_nvidia.driver"))]


def test_child_adds_pynvml_and_nothing_dear(recorded: tuple[set[str], set[str], dict[str, str]]) -> None:
    parent, child, env = recorded
    assert "pynvml" in child
    allowed = loaded_by(f"import {', '.join([*PARENT, *CHILD])}", env)
    extra = {name for name in child - parent - allowed if not name.startswith("zbx_nvidia")}
    assert extra == set()


def test_nothing_for_people_or_servers_is_loaded(recorded: tuple[set[str], set[str], dict[str, str]]) -> None:
    parent, child, _ = recorded
    assert not (parent | child) & DEAR
    parts = {name.split(".")[1] for name in parent | child if name.startswith("zbx_nvidia.")}
    assert parts == {"collector", "catalog", "driver", "errors", "kernel"}


def test_a_poll_loads_nothing_of_the_service(recorded: tuple[set[str], set[str], dict[str, str]]) -> None:
    parent, child, _ = recorded
    loaded = {name for name in parent | child if name.startswith("zbx_nvidia.")}
    assert not [name for name in loaded if "resident" in name]
    assert not loaded & {
        f"zbx_nvidia.{name}"
        for name in ("driver.sampling", "driver.events", "driver.gpm", "driver.usage", "catalog.xid")
    }
    assert not parent & {"selectors", "socket", "signal", "subprocess"}  # pynvml loads some of them
