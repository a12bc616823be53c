"""Debian's nvidia-smi on the simulated driver: a witness that knows NVML from elsewhere than this project."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.conftest import REPOSITORY, SIMULATOR
from tests.gpu.smi import differences, known, readings
from tests.unit.collector.collector import CLOCK, get

if TYPE_CHECKING:
    from tests.conftest import Machine, MachineFactory

NVIDIA_SMI = REPOSITORY / "build" / "nvidia-smi" / "nvidia-smi"
PROFILES = sorted(path.stem for path in (SIMULATOR / "profiles").glob("*.profile"))


class Smi(Protocol):
    """Runs nvidia-smi on a machine, and holds it to its exit code; what it prints."""

    def __call__(self, node: Machine, *arguments: str, code: int = 0) -> str: ...


@pytest.fixture(scope="module")
def smi() -> Smi:
    if not NVIDIA_SMI.exists():
        pytest.skip("no nvidia-smi of Debian here (scripts/nvidia-smi.sh says why): its readings are not compared")
    said = subprocess.run([NVIDIA_SMI, "--help"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"-- v([0-9.]+)", said)
    assert version, said

    def run(node: Machine, *arguments: str, code: int = 0) -> str:
        # It refuses a driver of another version than its own.
        node.set("machine", driver_version=version[1])
        done = subprocess.run([NVIDIA_SMI, *arguments], env=node.env, capture_output=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout.decode(errors="replace")  # the name of a process is any bytes

    return run


# 535 takes these, and all processes, from a table of functions that no header describes: the simulator has none there.
NOT_SERVED = {"power_limit", "temperature_margin"}
MEMORY = {"memory_total", "memory_used", "memory_free"}


@pytest.mark.parametrize("profile", PROFILES)
def test_document_says_what_it_says(profile: str, machine: MachineFactory, smi: Smi) -> None:
    node = machine(profile, clock=CLOCK)
    asked = known(smi(node, "--help-query-gpu"))
    table = smi(node, f"--query-gpu={','.join(asked.values())}", "--format=csv,noheader")
    answer = get(node.env)
    assert answer.code == 0, answer.message
    # A driver before r510 is without the only call for it that 535 knows.
    left_out = NOT_SERVED | (MEMORY if "memory_reserved" in answer.lacks() else set())
    compared = asked.keys() - left_out
    assert len(compared) > 60
    assert differences(answer.document["gpus"], readings(table.splitlines(), asked), compared, {}) == []


@pytest.mark.parametrize("profile", PROFILES)
def test_it_lists_the_same_cards(profile: str, machine: MachineFactory, smi: Smi) -> None:
    node = machine(profile, clock=CLOCK)
    listed = re.findall(r"^GPU (\d+): (.*) \(UUID: (.*)\)$", smi(node, "-L"), re.MULTILINE)
    gpus = get(node.env).document["gpus"]
    assert {(int(index), name, uuid) for index, name, uuid in listed} == {
        (gpu["index"], gpu["name"], uuid) for uuid, gpu in gpus.items()
    }


@pytest.mark.parametrize("profile", PROFILES)
def test_it_reports_all_sections_of_each_card(profile: str, machine: MachineFactory, smi: Smi) -> None:
    node = machine(profile, clock=CLOCK)
    report = smi(node, "-q")
    gpus = get(node.env).document["gpus"]
    assert re.findall(r"^    GPU UUID +: (.*)$", report, re.MULTILINE) == [
        uuid for uuid, _ in sorted(gpus.items(), key=lambda pair: pair[1]["index"])
    ]
    for section in ("FB Memory Usage", "Temperature", "Clocks", "PCI", "Processes"):
        assert len(re.findall(rf"^    {section}\b", report, re.MULTILINE)) >= len(gpus)


def test_a_lost_card_is_lost_to_it_too(machine: MachineFactory, smi: Smi) -> None:
    node = machine("h100x8", clock=CLOCK)
    node.set("gpu 3", state="lost")
    said = smi(node, "--query-gpu=index,temperature.gpu", "--format=csv,noheader", code=15)
    assert "device handle for GPU3: GPU is lost." in said
