"""Processes on GPUs: who they are, as far as /proc tells, and what of that leaves the host."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import REPOSITORY
from tests.unit.collector.collector import CLOCK, Answer, collect, program
from zbx_nvidia.collector import processes
from zbx_nvidia.driver.readings import GpuProcess

if TYPE_CHECKING:
    from tests.conftest import Machine, MachineFactory

CONTAINER = "3f4b2c1d9e8a" + "0" * 52
NO_PID = 2**22 + 17  # above the kernel's highest
ME = {"pid": os.getpid(), "type": "C", "name": "trainer", "memory": 1000}


def with_process(machine: MachineFactory, **values: int) -> Machine:
    """A machine with one process on its GPU: this one."""
    made = machine("t4")
    for pid in (5000675, 5005762):
        made.remove(f"gpu 0 process {pid}")
    made.set(f"gpu 0 process {os.getpid()}", {"name": "/opt/ai/trainer --token secret", "compute": 1, **values})
    return made


def listed(answer: Answer) -> list[dict[str, object]]:
    found: list[dict[str, object]] = answer.by_index[0]["process_list"]
    return found


def test_a_process_of_this_machine(machine: MachineFactory) -> None:
    answer = collect(with_process(machine, used_memory=1000).env)
    (entry,) = listed(answer)
    owner = Path(f"/proc/{os.getpid()}").owner()
    assert {key: entry[key] for key in ME} == ME
    assert entry["user"] == owner
    assert answer.by_index[0]["processes"] == 1
    assert 0 <= answer.by_index[0]["process_oldest"] < time.clock_gettime(time.CLOCK_BOOTTIME)
    assert answer.document["users"] == {owner: {"memory": 1000, "processes": 1, "gpus": 1}}
    assert answer.document["discovery"]["users"][0]["{#USER}"] == owner


def test_arguments_never_leave_the_host(machine: MachineFactory) -> None:
    """Neither those that the driver tells, nor those that /proc has."""
    node = machine("t4")
    with program(node):
        (entry,) = listed(collect(node.env))
        assert entry["name"] == "trainer"
        assert "user" in entry, "it was looked up in /proc"
        assert "secret" not in collect(node.env).text


def test_arguments_of_a_program_that_has_ended() -> None:
    assert "arguments" not in processes.describe(GpuProcess(NO_PID, "C", None, None), local=True, arguments=True)


def test_no_process(machine: MachineFactory) -> None:
    idle = machine("t4")
    for pid in (5000675, 5005762):
        idle.remove(f"gpu 0 process {pid}")
    answer = collect(idle.env)
    assert answer.by_index[0]["processes"] == answer.by_index[0]["process_oldest"] == 0
    assert listed(answer) == []
    assert "users" not in answer.document


def test_a_process_that_has_ended_meanwhile_is_listed_with_what_the_driver_knows(machine: MachineFactory) -> None:
    gone = machine("t4")
    for pid in (5000675, 5005762):
        gone.remove(f"gpu 0 process {pid}")
    gone.set(f"gpu 0 process {NO_PID}", compute=1, used_memory=18446744073709551615)
    answer = collect(gone.env)
    assert listed(answer) == [{"pid": NO_PID, "type": "C"}]
    assert "process_oldest" not in answer.by_index[0]
    assert "process_oldest" not in answer.lacks(), "it has none now, and had one before"
    assert "job" not in answer.by_index[0]
    assert "job" not in answer.lacks(), "as above"
    assert "users" not in answer.document


@pytest.mark.parametrize(
    ("lists", "kind"), [({"graphics": 1}, "C+G"), ({"compute": 0, "mps": 1}, "M"), ({"mps": 1}, "C+M")]
)
def test_kinds_are_those_of_nvidia_smi(machine: MachineFactory, lists: dict[str, int], kind: str) -> None:
    answer = collect(with_process(machine, **lists).env)
    assert [entry["type"] for entry in listed(answer)] == [kind]
    assert answer.by_index[0]["processes"] == 1


@pytest.mark.parametrize("error", ["NOT_SUPPORTED", "FUNCTION_NOT_FOUND"])
def test_a_driver_without_lists(machine: MachineFactory, error: str) -> None:
    old = machine("t4")
    old.set("gpu 0", processes=f"!{error}")
    answer = collect(old.env)
    assert {"processes", "process_list", "process_oldest"} <= answer.lacks()
    assert answer.errors == []


def test_the_drivers_with_longer_entries_are_read_right(machine: MachineFactory) -> None:
    """535.43 to 535.86, as they are built: from the second entry on pynvml's own reading is shifted."""
    card = machine("t4", clock=CLOCK)
    card.set("machine", driver_version="535.54.03")
    card.set("gpu 0 process 5004711", compute=1, used_memory=4711)
    card.set("gpu 0 process 5004712", compute=1, used_memory=4712, gpu_instance_id=3)
    usual = {entry["pid"]: entry for entry in listed(collect(card.env))}
    library = REPOSITORY / "build" / "simulator-r535"
    longer = listed(collect({**card.env, "LD_LIBRARY_PATH": str(library)}))
    assert {entry["pid"]: entry for entry in longer} == usual
    assert (usual[5004711]["memory"], usual[5004712]["memory"], usual[5004712]["mig"]) == (4711, 4712, 3)


# -- /proc -----------------------------------------------------------------------------------------------------------


def test_what_proc_tells(tmp_path: Path) -> None:
    folder = tmp_path / "77"
    folder.mkdir()
    # A program may have blanks and parentheses in its name; the start is the 22nd field, in ticks.
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    started = before / 2  # however young the machine is
    start = int(started * os.sysconf("SC_CLK_TCK"))
    (folder / "stat").write_text(f"77 (a) b (c) S {' '.join(['1'] * 18)} {start} 0 0\n")
    (folder / "status").write_text(f"Name:\tx\nUid:\t{os.getuid()}\t{os.getuid()}\t0\t0\n")
    (folder / "cgroup").write_text(f"0::/docker-{CONTAINER}.scope\n")
    entry = processes.describe(GpuProcess(77, "C", None, None), local=True, folder=str(tmp_path))
    assert entry["uid"] == os.getuid()
    assert before - started - 1 <= entry["age"] <= time.clock_gettime(time.CLOCK_BOOTTIME) - started + 1
    assert entry["container"] == "3f4b2c1d9e8a"
    assert json.dumps(entry)


def test_pids_of_another_namespace_are_not_looked_up(tmp_path: Path) -> None:
    """A container with PIDs of its own, where an older driver says those of the host."""
    namespaces = tmp_path / "self" / "ns"
    namespaces.mkdir(parents=True)
    (namespaces / "pid").touch()
    assert not processes.visible("510.47.03", str(tmp_path))
    assert processes.visible("515.43.04", str(tmp_path))
    assert not processes.visible("510.47.03", str(tmp_path / "nowhere"))
    first = Path("/proc/self/ns/pid").stat().st_ino == 0xEFFFFFFC
    assert processes.visible("510.47.03") is first
    assert processes.describe(GpuProcess(os.getpid(), "G", 5, 2), local=False) == {
        "pid": os.getpid(),
        "type": "G",
        "memory": 5,
        "mig": 2,
    }


def test_names_of_users() -> None:
    assert processes.names([]) == {}
    assert processes.names([0, 4_000_000_001]) == {0: "root"}
