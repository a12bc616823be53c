"""The faults of pynvml itself, each with the remedy that the driver part has for it.

Each test shows the fault first: when pynvml has mended it, the test says so, and the remedy can go.
"""

from __future__ import annotations

import ast
import ctypes
import inspect
import subprocess
import sys
from typing import TYPE_CHECKING

import pynvml
import pytest

from tests.conftest import REPOSITORY
from tests.unit.collector.collector import python

if TYPE_CHECKING:
    from tests.conftest import Machine, MachineFactory

PROGRAM = """
import ctypes, sys
import pynvml
from pynvml import *
from zbx_nvidia.driver import calls, device, system
system.start()
card = device.Device(0)
handle = card._handle
def ask(question):
    try:
        return eval(question)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
print(ask(sys.argv[1]), ask(sys.argv[2]), sep="|")
"""


def answers(machine: Machine, theirs: str, ours: str, library: str = "simulator") -> tuple[str, str]:
    """What pynvml says, and what the driver part makes of it."""
    env = {**machine.env, "LD_LIBRARY_PATH": str(REPOSITORY / "build" / library)}
    first, _, second = python(PROGRAM, env, theirs, ours).rstrip("\n").partition("|")
    return first, second


def test_revolutions_of_fan_0_alone(machine: MachineFactory) -> None:
    card = machine("rtx4080s")
    card.set("gpu 0", {"fan_speed_rpm": 1000, "fan_speed_rpm.1": 2000})
    theirs, ours = answers(card, "nvmlDeviceGetFanSpeedRPM(handle)", "card.fan_rpms()[1]")
    assert (theirs, ours) == ("1000", "2000")


def test_flag_of_unrepairable_memory_is_looked_for_in_the_wrong_place(machine: MachineFactory) -> None:
    card = machine("h100x8")
    card.set("gpu 0", unrepairable_memory=1)
    theirs, ours = answers(card, "nvmlDeviceGetUnrepairableMemoryFlag_v1(handle)", "card.memory_unrepairable()")
    assert (theirs, ours) == ("0", "1")
    card.set("gpu 0", unrepairable_memory=0)
    assert answers(card, "0", "card.memory_unrepairable()")[1] == "0"


def test_numbers_of_the_rack_are_characters(machine: MachineFactory) -> None:
    card = machine("b200x8")
    card.set("gpu 0", platform_slot=200, platform_chassis_serial="1234567890123456")
    info = "(lambda info: (nvmlDeviceGetPlatformInfo(handle, ctypes.byref(info)), info)[1])(c_nvmlPlatformInfo_v2_t())"
    theirs, ours = answers(card, f"{info}.slotNumber", "tuple(card.platform())")
    assert "UnicodeDecodeError" in theirs
    assert ours == "('1234567890123456', 200, 3)"


def test_retired_pages_are_asked_by_the_first_version(machine: MachineFactory) -> None:
    """The second one asks for the size with an argument too few: what then stands in its place is chance."""
    card = machine("v100")
    card.set("gpu 0", {"retired_pages_sbe": 2, "retired_pages_dbe": 1, "nvmlDeviceGetRetiredPages_v2": "!UNKNOWN"})
    theirs, ours = answers(card, "nvmlDeviceGetRetiredPages_v2(handle, 0)", "card.retired_pages()")
    assert theirs.startswith("NVMLError_Unknown")
    assert ours == "RetiredPages(single=2, double=1)"


def test_fabric_state_is_one_byte(machine: MachineFactory) -> None:
    """The driver writes one byte of the four that pynvml reads; the others are the caller's."""
    theirs = (
        "(lambda info: (ctypes.memset(ctypes.byref(info, type(info).state.offset), 0xEE, 4),"
        " nvmlDeviceGetGpuFabricInfoV(handle, ctypes.byref(info)), hex(info.state))[2])(c_nvmlGpuFabricInfo_v3_t())"
    )
    assert answers(machine("h100x8"), theirs, "card.fabric().state") == ("0xeeeeee03", "3")


def test_a_structure_goes_by_value_unless_one_says_otherwise(machine: MachineFactory) -> None:
    card = machine("h100x8")
    # Whatever lies on the stack is written to: Python 3.10 goes on with a wrong answer, 3.13 was seen to crash.
    theirs = "nvmlDeviceGetGpuFabricInfoV(handle, c_nvmlGpuFabricInfo_v3_t())"
    done = subprocess.run([sys.executable, "-c", PROGRAM, theirs, "0"], env=card.env, capture_output=True, check=False)
    assert done.returncode or not done.stdout.startswith(b"0|")
    assert answers(card, "0", "card.fabric().state") == ("0", "3")


def test_no_binding_of_the_first_process_list(machine: MachineFactory) -> None:
    """r450 has no other: the card lacks the list, and nothing fails."""
    theirs, ours = answers(
        machine("gtx1070ti-r450"), "nvmlDeviceGetComputeRunningProcesses(handle)", "card.process_list()"
    )
    assert theirs.startswith("NVMLLibraryMismatchError")
    assert ours.startswith("Absent")


def test_longer_entries_of_process_lists(machine: MachineFactory) -> None:
    card = machine("a100-mig")  # four processes on its first GPU, driver 535.54.03
    theirs, ours = answers(
        card,
        "[process.pid for process in nvmlDeviceGetComputeRunningProcesses_v3(handle)]",
        "[process.pid for process in card.process_list()]",
        "simulator-r535",
    )
    assert ours == "[5030100, 5030101, 5030102, 5030103]"
    assert theirs != ours


def test_success_where_a_size_was_asked_for_is_an_empty_list(machine: MachineFactory) -> None:
    card = machine("t4")
    for pid in (5000675, 5005762):
        card.remove(f"gpu 0 process {pid}")
    assert answers(card, "nvmlDeviceGetComputeRunningProcesses(handle)", "card.process_list()") == ("[]", "()")


def test_success_with_a_count_where_a_size_was_asked_for_is_no_empty_list(machine: MachineFactory) -> None:
    card = machine("t4")
    card.set("gpu 0", processes_size_succeeds=1)
    assert answers(card, "nvmlDeviceGetComputeRunningProcesses(handle)", "card.processes()") == ("[]", "2")


@pytest.mark.parametrize(
    ("value", "theirs", "ours"), [("SIGNED_INT -2", "4294967294", "-2"), ("SIGNED_INT 5", "5", "5")]
)
def test_union_of_a_field_value(machine: MachineFactory, value: str, theirs: str, ours: str) -> None:
    card = machine("h100x8")
    card.set("gpu 0", {"field.194": value})
    found = answers(
        card, "nvmlDeviceGetFieldValues(handle, [194])[0].value.uiVal", "card.temperature_slowdown_margin()"
    )
    assert found == (theirs, ours)


def test_function_that_checks_no_return_code(machine: MachineFactory) -> None:
    """nvmlSystemGetConfComputeSettings passes the code on as if it were an answer: the older call is asked."""
    card = machine("t4")
    theirs, ours = answers(
        card,
        "nvmlSystemGetConfComputeSettings(ctypes.byref(c_nvmlSystemConfComputeSettings_v1_t()))",
        "card.confidential()",
    )
    assert theirs == "3"
    assert ours.startswith("Absent")


def _shared(parameter: inspect.Parameter) -> bool:
    """Whether the default of a parameter is one variable of C for all calls."""
    return isinstance(parameter.default, (ctypes._SimpleCData, ctypes.Structure))  # noqa: SLF001


def test_no_call_shares_a_variable_of_pynvml_with_other_threads() -> None:
    """Some of its functions have one: nvmlDeviceGetModuleId(handle, moduleId=c_uint())."""
    parameters = {
        name: list(inspect.signature(function).parameters.values())
        for name, function in inspect.getmembers(pynvml, inspect.isfunction)
        if name.startswith("nvml")
    }
    sharing = {name: len(found) for name, found in parameters.items() if any(map(_shared, found))}
    assert "nvmlDeviceGetModuleId" in sharing, "the trap is there"
    seen = []
    for path in sorted((REPOSITORY / "src/zbx_nvidia/driver").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "call" and node.args:
                function, *given = node.args
                if isinstance(function, ast.Attribute) and function.attr in sharing:
                    seen.append(function.attr)
                    assert len(given) == sharing[function.attr], f"{path.name}:{node.lineno}: {function.attr}"
    assert seen
