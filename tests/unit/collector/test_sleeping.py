"""GPUs that the kernel has suspended: any call of NVML would wake them, so nobody makes one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.unit.collector.collector import collect, python

if TYPE_CHECKING:
    from tests.conftest import Machine, MachineFactory

PCI = "0000:0c:00.0"


def asleep(node: Machine, *sections: str) -> Path:
    """Has these GPUs sleep; returns the file to which each wake is written."""
    for section in sections:
        node.set(section, runtime_status="suspended", power_control="auto")
    node.show_kernel()
    wakes = node.path.with_suffix(".wakes")
    wakes.write_text("")
    node.env["NVML_SIMULATOR_WAKES"] = str(wakes)
    return wakes


def test_a_poll_that_knows_nothing_of_sleep_wakes_a_card(machine: MachineFactory) -> None:
    """The simulator notices."""
    node = machine("rtx2080s")
    wakes = asleep(node, "gpu 0")
    del node.env["ZBX_NVIDIA_ROOT"]
    collect(node.env)
    assert set(wakes.read_text().splitlines()) == {"nvmlInit 0", "GPU 0"}


@pytest.mark.parametrize("command", ["get", "links"])
def test_a_card_that_sleeps_is_left_alone(machine: MachineFactory, command: str) -> None:
    node = machine("rtx2080s")
    wakes = asleep(node, "gpu 0")
    answer = collect(node.env, command=command)
    assert wakes.read_text() == ""
    assert (answer.code, answer.document["status"]["driver"]) == (0, 1)
    assert answer.message.startswith("Every GPU sleeps")
    assert (answer.errors, answer.document["collector"]["error_count"]) == ([], 0)
    if command == "links":
        return
    host = answer.document["host"]
    counts = ("gpu_count", "gpus_bound", "gpus_present", "gpus_asleep", "gpus_lost", "gpus_sick", "gpus_refused")
    assert [host[key] for key in counts] == [1, 1, 1, 1, 0, 0, 0]
    assert (host["lost"], host["sick"]) == ("", "")
    ((uuid, readings),) = answer.document["gpus"].items()
    assert readings == {
        "index": 0,
        "name": "NVIDIA GeForce RTX 2080 SUPER",
        "uuid": uuid,
        "pci": "00000000:0C:00.0",
        "asleep": 1,
    }
    assert answer.document["presence"] == {uuid: 1}
    assert answer.rows[0]["{#PCI}"] == "00000000:0C:00.0"
    assert "temperature" in answer.lacks()
    assert "asleep" not in answer.lacks()


def test_after_waking_all_goes_on(machine: MachineFactory) -> None:
    node = machine("rtx2080s")
    asleep(node, "gpu 0")
    before = collect(node.env)
    node.set("gpu 0", runtime_status="active")
    node.show_kernel()
    after = collect(node.env)
    assert after.document["presence"] == before.document["presence"]
    assert after.by_index[0]["asleep"] == 0
    assert "temperature" in after.by_index[0]
    assert after.document["host"]["gpus_asleep"] == 0
    assert after.message == "All is well"


@pytest.mark.parametrize("sleeper", [0, 3, 7])
def test_one_sleeps_among_others(machine: MachineFactory, sleeper: int) -> None:
    node = machine("h100x8")
    wakes = asleep(node, f"gpu {sleeper}")
    answer = collect(node.env)
    assert wakes.read_text() == ""
    assert [index for index, gpu in sorted(answer.by_index.items()) if "power" in gpu] == [
        index for index in range(8) if index != sleeper
    ]
    assert answer.by_index[sleeper]["asleep"] == 1
    host = answer.document["host"]
    assert (host["gpu_count"], host["gpus_present"], host["gpus_bound"], host["gpus_asleep"]) == (8, 8, 8, 1)
    assert sorted(answer.rows) == list(range(8))
    assert answer.message == "All is well"


def test_a_card_is_lost_while_another_sleeps(machine: MachineFactory) -> None:
    """It answers no look-up, so its index is what the others leave."""
    node = machine("h100x8")
    node.set("gpu 2", state="lost")
    wakes = asleep(node, "gpu 5")
    answer = collect(node.env)
    assert wakes.read_text() == ""
    host = answer.document["host"]
    assert (host["gpu_count"], host["gpus_lost"], host["gpus_asleep"], host["gpus_present"]) == (8, 1, 1, 7)
    assert host["lost"].startswith("GPU 2: ")
    assert "asleep" in answer.by_index[5]


def test_a_card_that_the_driver_has_not_seen_yet_has_no_name(machine: MachineFactory) -> None:
    """Which one it is, is not known: nothing is concluded, and none is missing."""
    node = machine("rtx2080s")
    wakes = asleep(node, "gpu 0")
    file = Path(node.env["ZBX_NVIDIA_ROOT"]) / "proc/driver/nvidia/gpus" / PCI / "information"
    lines = [line for line in file.read_text().splitlines() if not line.startswith("GPU UUID")]
    file.write_text("\n".join([*lines, "GPU UUID: \t GPU-????????-????-????-????-????????????"]) + "\n")
    answer = collect(node.env)
    assert wakes.read_text() == ""
    assert (answer.document["gpus"], answer.rows) == ({}, {})
    assert "presence" not in answer.document
    assert (answer.document["host"]["gpu_count"], answer.document["host"]["gpus_asleep"]) == (1, 1)
    assert "gpus_present" not in answer.document["host"]


@pytest.mark.parametrize("status", ["active", "suspending", "resuming", "unsupported", "error", ""])
def test_only_what_is_suspended_sleeps(machine: MachineFactory, status: str) -> None:
    node = machine("rtx2080s")
    node.show_kernel()
    folder = Path(node.env["ZBX_NVIDIA_ROOT"]) / "sys/bus/pci/devices" / PCI / "power"
    (folder / "runtime_status").write_text(f"{status}\n")
    answer = collect(node.env)
    assert "temperature" in answer.by_index[0]
    assert answer.document["host"]["gpus_asleep"] == 0
    # The kernel may not suspend it: no item for that.
    assert "asleep" not in answer.by_index[0]
    assert "asleep" in answer.lacks()


def test_a_card_of_another_driver_neither_sleeps_nor_counts(machine: MachineFactory) -> None:
    """It was passed through to a virtual machine, and the kernel has suspended it."""
    node = machine("h100x8")
    node.set("machine", gpu_count=7)
    node.set("gpu 7", runtime_status="suspended", pci_driver="vfio-pci")
    node.show_kernel()
    host = collect(node.env).document["host"]
    assert (host["gpu_count"], host["gpus_bound"], host["gpus_asleep"]) == (7, 7, 0)


def test_a_machine_without_sysfs_is_read(machine: MachineFactory, tmp_path: Path) -> None:
    node = machine("rtx2080s")
    wakes = asleep(node, "gpu 0")
    node.env["ZBX_NVIDIA_ROOT"] = str(tmp_path / "nothing")
    answer = collect(node.env)
    assert "temperature" in answer.by_index[0]
    assert wakes.read_text() != ""
    assert "gpus_asleep" not in answer.document["host"]


DAY = """
import sys
import zbx_nvidia.collector.collect, zbx_nvidia.collector.lock  # each poll finds them loaded
from zbx_nvidia.collector.main import get
seen = set()
for minute in range(1440):
    document = get(600.0)
    seen.add(document[document.index('"status"'):document.index('"host"')])
print(len(seen), document)
"""


@pytest.mark.slow
@pytest.mark.once
@pytest.mark.parametrize("profile", ["rtx2080s", "a100-mig"])
def test_no_wakes_in_a_day(machine: MachineFactory, profile: str) -> None:
    """1,440 polls. Of two GPUs the other one does not sleep."""
    node = machine(profile)
    wakes = asleep(node, "gpu 0")
    different, text = python(DAY, node.env).split(" ", 1)
    assert wakes.read_text() == ""
    assert different == "1"
    assert json.loads(text)["host"]["gpus_asleep"] == 1
