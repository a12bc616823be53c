"""NVML's answers as the three refusals, in a process of its own with real pynvml on the simulated driver."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.collector.collector import python

if TYPE_CHECKING:
    from tests.conftest import MachineFactory

PROGRAM = """
import sys
import pynvml
from zbx_nvidia.driver import calls, device, system
system.start()
card = device.Device(0)
handle = card._handle
try:
    print(eval(sys.argv[1]))
except calls.NvmlError as error:
    print(type(error).__name__, error.code, error.message)
system.stop()
"""


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        ("NOT_SUPPORTED", "Absent 3"),
        ("FUNCTION_NOT_FOUND", "Absent 13"),
        ("ARGUMENT_VERSION_MISMATCH", "Absent 25"),
        ("DEPRECATED", "Absent 26"),
        ("NO_DATA", "Absent 21"),
        ("NO_PERMISSION", "Refused 4"),
        ("UNKNOWN", "Refused 999"),
        ("INVALID_ARGUMENT", "Refused 2"),
        ("IN_USE", "Refused 19"),
        ("777", "Refused 777"),  # a code that pynvml has no class for
        ("GPU_IS_LOST", "Lost 15"),
        ("RESET_REQUIRED", "Lost 16"),
        ("GPU_NOT_FOUND", "Lost 28"),
        ("UNINITIALIZED", "Lost 1"),
        ("DRIVER_NOT_LOADED", "Lost 9"),
        ("LIB_RM_VERSION_MISMATCH", "Lost 18"),
    ],
)
def test_classes_of_errors(machine: MachineFactory, error: str, answer: str) -> None:
    broken = machine("t4")
    broken.set("gpu 0", power_usage=f"!{error}")
    assert python(PROGRAM, broken.env, "card.power()").startswith(answer + " ")


def test_error_of_a_single_field(machine: MachineFactory) -> None:
    """The call succeeds, the value in it does not."""
    broken = machine("h100x8")
    broken.set("gpu 0", tlimit_slowdown="!GPU_IS_LOST", tlimit_shutdown="!NO_PERMISSION")
    assert python(PROGRAM, broken.env, "card.temperature_slowdown_margin()").startswith("Lost 15 ")
    assert python(PROGRAM, broken.env, "card.temperature_shutdown_margin()").startswith("Refused 4 ")


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        ("SIGNED_INT -2", "-2"),
        ("UNSIGNED_INT 4294967294", "4294967294"),
        ("SIGNED_LONG_LONG -2", "-2"),
        ("UNSIGNED_LONG_LONG 90", "90"),
        ("UNSIGNED_SHORT 90", "90"),
        ("DOUBLE -2.0", "-2"),
    ],
)
def test_field_is_read_as_what_it_says_it_is(machine: MachineFactory, value: str, answer: str) -> None:
    card = machine("h100x8")
    card.set("gpu 0", {"field.194": value})
    assert python(PROGRAM, card.env, "card.temperature_slowdown_margin()") == answer + "\n"


def test_exception_of_pynvml_that_is_no_nvmlerror(machine: MachineFactory) -> None:
    """pynvml's unversioned process calls, on a library that lacks the version that they stand for."""
    old = machine("t4")
    old.set("gpu 0", nvmlDeviceGetComputeRunningProcesses_v3="!FUNCTION_NOT_FOUND")
    raw = "issubclass(pynvml.NVMLLibraryMismatchError, pynvml.NVMLError)"
    assert python(PROGRAM, old.env, raw) == "False\n"
    asked = "calls.call(pynvml.nvmlDeviceGetComputeRunningProcesses, handle)"
    assert python(PROGRAM, old.env, asked).startswith("Absent 13 Unversioned function called")


def test_string_that_pynvml_cannot_decode(machine: MachineFactory) -> None:
    strange = machine("t4")
    strange.set("gpu 0", serial=r"12\xff34")
    assert python(PROGRAM, strange.env, "ascii(card.serial())") == r"'12\ufffd34'" + "\n"
    # The same by pynvml alone, which is why `text` goes below its decorator.
    alone = "import pynvml; pynvml.nvmlInit(); pynvml.nvmlDeviceGetSerial(pynvml.nvmlDeviceGetHandleByIndex(0))"
    caught = f"try:\n exec({alone!r})\nexcept UnicodeDecodeError:\n print('cannot')"
    assert python(caught, strange.env) == "cannot\n"


def test_functions_that_a_library_does_not_have(machine: MachineFactory) -> None:
    """No symbol at all, and not a function that answers: as with a driver older than the function."""
    missing = "[pynvml._nvmlGetFunctionPointer_cache.clear(), calls.call(pynvml._nvmlGetFunctionPointer, 'nvmlNone')]"
    assert python(PROGRAM, machine("t4").env, missing).startswith("Absent 13 ")


def test_letting_go(machine: MachineFactory) -> None:
    stopped = "[system.stop(), calls.call(pynvml.nvmlDeviceGetCount)]"
    assert python(PROGRAM.replace("\nsystem.stop()\n", "\n"), machine("t4").env, stopped).startswith("Lost 1 ")
