"""What processes use of a GPU since they were last asked about, and the faults of pynvml and of drivers on the way."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.collector.collector import python

if TYPE_CHECKING:
    from tests.conftest import Machine, MachineFactory

NOON = 1_700_000_000
NEW, OLD = "nvmlDeviceGetProcessesUtilizationInfo", "nvmlDeviceGetProcessUtilization"
PROGRAM = """
import json, os, sys
from zbx_nvidia.driver import calls, system, usage
system.start()
asked = usage.ProcessUsage(0)
for now, wall, driver in json.loads(sys.argv[1]):
    os.environ["NVML_SIMULATOR_CLOCK"] = str(driver)
    try:
        print(json.dumps(asked.take(now, wall)))
    except calls.NvmlError as error:
        print(json.dumps(type(error).__name__))
"""


def taken(machine: Machine, *steps: tuple[float, float, float]) -> list[Any]:
    """What is returned, step by step: monotonic clock, wall clock, and the clock of the driver."""
    return [json.loads(line) for line in python(PROGRAM, machine.env, json.dumps(steps)).splitlines()]


@pytest.fixture
def card(machine: MachineFactory) -> Machine:
    made = machine("t4")
    shares = {"utilization_memory": 22, "encoder_utilization": 3, "decoder_utilization": 5}
    made.set("gpu 0 process 5005762", {"sm_utilization": f"floor(t) - {NOON - 50}", **shares})
    made.set("gpu 0 process 5000675", {"sm_utilization": 1})
    return made


@pytest.mark.parametrize("missing", [None, NEW])
def test_what_came_since_the_last_time(card: Machine, missing: str | None) -> None:
    """By the call of r550, and by the one before it. A driver samples seldom: at least it is asked for two seconds."""
    if missing:
        card.set("gpu 0", {missing: "!FUNCTION_NOT_FOUND"})
    steps = [(100 + second, NOON + second, NOON + min(second, 5)) for second in (0, 0.5, 5, 6.5, 8)]
    first, again, later, still, no_more = taken(card, *steps)
    assert first == again == {"5005762": [50, 22, 3, 5], "5000675": [1, 0, 0, 0]}
    assert later == still == {"5005762": [55, 22, 3, 5], "5000675": [1, 0, 0, 0]}
    assert no_more == {}


def test_a_clock_that_is_put_back(card: Machine) -> None:
    steps = [
        (100.0 + second, NOON + second - 3600 * (second > 0), NOON + second - 3600 * (second > 0))
        for second in (0, 5, 9)
    ]
    assert [len(told) for told in taken(card, *steps)] == [2, 2, 2]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("NOT_FOUND", {}),
        ("NOT_SUPPORTED", "Absent"),
        ("FUNCTION_NOT_FOUND", "Absent"),
        ("INSUFFICIENT_SIZE", "NotNow"),
        ("NO_PERMISSION", "Refused"),
        ("GPU_IS_LOST", "Lost"),
    ],
)
def test_what_a_refusal_means(card: Machine, error: str, said: object) -> None:
    card.set("gpu 0", dict.fromkeys((NEW, OLD), f"!{error}"))
    assert taken(card, (100, NOON, NOON)) == [said]


NOTHING = """
import pynvml
from zbx_nvidia.driver import system, usage
system.start()
asked = usage.ProcessUsage(0)
pynvml._nvmlGetFunctionPointer = lambda name: lambda *arguments: 0
try:
    print(pynvml.nvmlDeviceGetProcessUtilization(None, 0))
except pynvml.NVMLError as error:
    print(error.value)
print(asked.take(100.0, 1000.0))
"""


def test_success_where_a_size_was_asked_for_means_nobody(card: Machine) -> None:
    """pynvml raises it as if it were an error."""
    assert python(NOTHING, card.env).split() == ["0", "{}"]


def test_no_process(machine: MachineFactory) -> None:
    idle = machine("t4")
    for pid in (5000675, 5005762):
        idle.remove(f"gpu 0 process {pid}")
    assert taken(idle, (100, NOON, NOON)) == [{}]


def test_a_gpu_in_mig_mode_does_not_tell(machine: MachineFactory) -> None:
    assert taken(machine("h100-mig"), (100, NOON, NOON)) == ["Absent"]


FILLED = """
import json, sys
import pynvml
from zbx_nvidia.driver import system, usage
system.start()
def entry(pid, stamp, *shares):
    made = pynvml.c_nvmlProcessUtilizationInfo_v1_t()
    made.pid, made.timeStamp = pid, stamp
    made.smUtil, made.memUtil, made.encUtil, made.decUtil = shares
    return made
pynvml.nvmlDeviceGetProcessesUtilizationInfo = lambda handle, since: [entry(*row) for row in json.loads(sys.argv[1])]
print(json.dumps(usage.ProcessUsage(0).take(100.0, 1000.0)))
"""


def test_several_samples_of_a_process_and_entries_that_were_never_filled(card: Machine) -> None:
    """As drivers return them; the simulated one has one sample each."""
    rows = [
        (7, 998_500_000, 100, 20, 0, 0),
        (7, 999_500_000, 51, 40, 0, 1),
        (7, 999_000_000, 4294967295, 40, 0, 0),
        (7, 990_000_000, 3, 3, 3, 3),  # long ago
        (8, 5_000_000_000_000, 50, 0, 0, 0),  # still to come
        (0, 0, 33, 0, 0, 0),
        (9, 999_900_000, 0, 0, 101, 0),
    ]
    assert json.loads(python(FILLED, card.env, json.dumps(rows))) == {"7": [76, 30, 0, 0]}
