"""Machines after reports of people: containers with a part of the GPUs, a card without its cable, impossible counts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.collector.collector import collect, python
from zbx_nvidia.catalog.status import OK
from zbx_nvidia.collector import document
from zbx_nvidia.collector.document import Collection, Gpu
from zbx_nvidia.kernel import bus

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MachineFactory


# -- refused is not sick ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["get", "links"])
def test_a_card_that_a_container_may_not_use_is_not_sick(machine: MachineFactory, command: str) -> None:
    answer = collect(machine("lxc-one-of-two").env, command=command)
    assert answer.code == 0
    assert answer.document["collector"]["error_count"] == 0
    if command == "get":
        host = answer.document["host"]
        assert (host["gpus_lost"], host["gpus_sick"], host["gpus_refused"]) == (0, 0, 1)
        assert (host["lost"], host["sick"]) == ("", "")
        assert len(answer.document["presence"]) == host["gpus_present"] == 1
        assert list(answer.rows) == [0]


def test_what_a_mig_container_may_not_ask_of_the_whole_gpu_is_no_error(machine: MachineFactory) -> None:
    answer = collect(machine("mig-container").env)
    assert answer.document["collector"]["error_count"] == 0
    assert {problem["code"] for problem in answer.errors} == {4}
    assert {problem["metric"] for problem in answer.errors} >= {"memory", "bar1"}
    assert len(answer.document["mig"]) == 4


def test_a_card_without_power_says_so(machine: MachineFactory) -> None:
    answer = collect(machine("power-cable").env)
    assert answer.document["host"]["gpus_sick"] == 1
    assert answer.document["host"]["sick"].endswith("connect its power cable")


def test_a_driver_without_power_says_so(machine: MachineFactory) -> None:
    node = machine("t4")
    node.set("machine", state="INSUFFICIENT_POWER")
    answer = collect(node.env)
    assert (answer.code, answer.document["status"]["name"]) == (8, "No auxiliary power")
    assert "power cable" in answer.message


def test_a_driver_without_gpus_says_so(machine: MachineFactory) -> None:
    answer = collect(machine("no-supported-gpus").env)
    assert (answer.code, answer.document["status"]["driver"]) == (28, 0)
    assert "No GPU is bound to the driver" in answer.message


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("GPU_IS_LOST", "GPU is lost"),
        ("RESET_REQUIRED", "reset it"),
        ("UNKNOWN", "Unknown Error"),
    ],
)
def test_advice_for_a_card_goes_by_its_error(machine: MachineFactory, error: str, words: str) -> None:
    node = machine("power-cable")
    node.set("gpu 1", nvmlDeviceGetHandleByIndex_v2=f"!{error}")
    host = collect(node.env).document["host"]
    assert (host["lost"] or host["sick"]).endswith(words)


# -- two cards with one UUID -----------------------------------------------------------------------------------------


def test_two_cards_with_one_uuid_are_reported(machine: MachineFactory) -> None:
    answer = collect(machine("dup-uuid").env)
    host = answer.document["host"]
    assert (host["gpu_count"], host["gpus_sick"], len(answer.document["gpus"])) == (2, 1, 1)
    assert answer.by_index[0]["power"] == 100
    assert host["sick"].startswith("GPU 1: NVIDIA GeForce RTX 4090, ")
    assert host["sick"].endswith("same UUID as GPU 0, its readings are left out")


# -- fewer GPUs than the bus has -------------------------------------------------------------------------------------


def devices(folder: Path, **classes: str) -> str:
    """The folder of a driver in sysfs; of each device its class."""
    for number, name in enumerate(classes):
        device = folder / f"0000:0{number}:00.0"
        device.mkdir(parents=True)
        (device / "class").write_text(classes[name] + "\n")
    (folder / "bind").touch()
    (folder / "module").mkdir()
    return str(folder)


def listed(folder: Path, *slots: str) -> str:
    for slot in slots:
        (folder / slot).mkdir(parents=True)
    return str(folder)


def test_gpus_on_the_bus_are_those_of_the_driver_without_switches(tmp_path: Path) -> None:
    there = devices(tmp_path / "sys", gpu="0x030200", other="0x030000", switch="0x068000")
    every = listed(tmp_path / "proc", "0000:00:00.0", "0000:01:00.0", "0000:02:00.0")
    assert bus.bound(there, every) == ["00000000:00:00.0", "00000000:01:00.0"]


def test_a_container_counts_only_its_own_gpus(tmp_path: Path) -> None:
    """It sees the whole bus in sysfs."""
    there = devices(tmp_path / "sys", one="0x030200", two="0x030200")
    assert bus.bound(there, listed(tmp_path / "proc", "0000:01:00.0")) == ["00000000:01:00.0"]


def test_where_the_bus_cannot_be_seen_nothing_is_known(tmp_path: Path) -> None:
    assert bus.bound(str(tmp_path / "no"), listed(tmp_path / "proc", "0000:01:00.0")) is None
    assert bus.bound(devices(tmp_path / "sys", one="0x030200"), str(tmp_path / "no")) is None


POLL = """
import sys
from zbx_nvidia.collector.main import get
from zbx_nvidia.kernel import bus
bus.bound.__defaults__ = (sys.argv[1], sys.argv[2])
print(get(600.0), end="")
"""


def test_three_gpus_of_four(machine: MachineFactory, tmp_path: Path) -> None:
    """lspci shows four, and one of them never came up."""
    there = devices(tmp_path / "sys", a="0x030200", b="0x030200", c="0x030200", d="0x030200")
    every = listed(tmp_path / "proc", *(f"0000:0{number}:00.0" for number in range(4)))
    document = json.loads(python(POLL, machine("l40s-3-of-4").env, there, every))
    assert (document["host"]["gpu_count"], document["host"]["gpus_bound"]) == (3, 4)
    assert document["status"]["message"].startswith("The driver counts 3 of 4 GPUs that are bound to it.")
    without = collect(machine("l40s-3-of-4").env).document
    assert "gpus_bound" not in without["host"]
    assert without["status"]["message"] == "All is well"


def found(count: int, **host: Any) -> Collection:
    gpus = [Gpu(index, "ok", {"uuid": f"GPU-{index}"}, {}, (), ()) for index in range(count)]
    return Collection(OK, "", host, count, gpus, [], [], {}, "oneshot", 0.1)


@pytest.mark.parametrize(
    ("count", "host", "words"),
    [
        (3, {"gpus_bound": 4}, "The driver counts 3 of 4 GPUs"),
        (0, {"gpus_bound": 1}, "The driver counts 0 of 1 GPUs"),
        (0, {}, "The driver answers, but has no GPU"),
        (4, {"gpus_bound": 4}, "All is well"),
        (4, {}, "All is well"),
    ],
)
def test_all_is_well_only_with_every_gpu(count: int, host: dict[str, Any], words: str) -> None:
    made = document.build(found(count, **host))
    assert made["status"]["code"] == 0
    assert made["status"]["message"].startswith(words)
    assert made["host"].get("gpus_bound") == host.get("gpus_bound")


# -- what cannot be --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("profile", "key", "entity"),
    [("rtx3090", "fan_count", "fan"), ("h100-mig", "max_mig_device_count", "mig"), ("h100x8", "nvlink_count", "links")],
)
def test_a_count_that_no_card_has_is_an_error_of_one_reading(
    machine: MachineFactory, profile: str, key: str, entity: str
) -> None:
    node = machine(profile)
    node.set("gpu 0", {key: 1000 if entity == "links" else 4_000_000_000})
    answer = collect(node.env)
    assert answer.code == 0
    assert "power" in answer.by_index[0]
    wrong = [problem for problem in answer.errors if "not a count" in problem["message"]]
    assert wrong, (entity, answer.errors)


def test_a_number_of_gpus_that_no_machine_has_ends_the_poll(machine: MachineFactory) -> None:
    node = machine("t4")
    node.set("machine", gpu_count=100_000)
    answer = collect(node.env)
    assert answer.document["host"]["gpu_count"] <= 256


@pytest.mark.parametrize("new_call", ["there", "!FUNCTION_NOT_FOUND"])
def test_a_temperature_below_zero_is_kept(machine: MachineFactory, new_call: str) -> None:
    """Of a card in a cold room. Neither the old call nor the field of the memory has a sign."""
    node = machine("v100")
    if new_call.startswith("!"):
        node.set("gpu 0", temperature_v=new_call)
    node.set("gpu 0", temperature=-3, memory_temperature=-7)
    answer = collect(node.env)
    gpu = answer.by_index[0]
    assert (gpu["temperature"], gpu["temperature_memory"]) == (-3, -7)
    assert gpu["temperature_headroom"] == gpu["temperature_slowdown"] + 3
    assert answer.document["host"]["temperature_headroom"] == gpu["temperature_slowdown"] + 3
    assert answer.errors == []


def test_processes_without_memory_are_listed(machine: MachineFactory) -> None:
    """Under WSL 2."""
    answer = collect(machine("rtx2080s-wsl2").env)
    gpu = answer.by_index[0]
    assert gpu["processes"] == 2
    assert [entry.keys() & {"memory", "utilization"} for entry in gpu["process_list"]] == [set(), set()]
    assert (answer.errors, answer.document["collector"]["error_count"]) == ([], 0)


def test_markup_in_a_name_is_text(machine: MachineFactory) -> None:
    node = machine("t4")
    name = "[/bold] [link=http://x]T4[/link] \\\\x1b[31m"
    node.set("gpu 0", name=name)
    assert collect(node.env).by_index[0]["name"].startswith("[/bold] [link=http://x]T4[/link]")
