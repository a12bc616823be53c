"""The driver's own samples: each once, whatever the clock does, and nothing that is no value."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.collector.collector import get, python
from zbx_nvidia.catalog.sampled import SERVICE
from zbx_nvidia.driver.buffers import summary

if TYPE_CHECKING:
    from tests.conftest import Machine, MachineFactory

NOON = 1_700_000_000
PROGRAM = """
import json, os, sys
from zbx_nvidia.driver import buffers, calls, system
system.start()
buffer = buffers.Buffer(0, sys.argv[1])
for now, wall, driver in json.loads(sys.argv[2]):
    os.environ["NVML_SIMULATOR_CLOCK"] = str(driver)
    try:
        print(json.dumps(buffer.take(now, wall)))
    except calls.NvmlError as error:
        print(json.dumps(type(error).__name__))
"""


def taken(machine: Machine, *steps: tuple[float, float, float], name: str = "utilization") -> list[Any]:
    """What a buffer gives, step by step: monotonic clock, wall clock, and the clock of the driver."""
    lines = python(PROGRAM, machine.env, name, json.dumps(steps)).splitlines()
    return [json.loads(line) for line in lines]


def steady(machine: Machine, *times: float, name: str = "utilization") -> list[Any]:
    return taken(machine, *((100.0 + time, NOON + time, NOON + time) for time in times), name=name)


@pytest.fixture
def card(machine: MachineFactory) -> Machine:
    """A card whose utilization says how many sixths of a second have gone by since noon, modulo 100."""
    made = machine("t4")
    made.set("gpu 0", utilization_gpu=f"ramp(0, 100, {100 / 6}, {-(NOON % (100 / 6))})")
    return made


def test_each_sample_is_taken_once_and_with_its_time(card: Machine) -> None:
    first, again, later, much_later = steady(card, 0, 0.1, 3, 60)
    assert len(first) == len(much_later) == 120
    assert again == "NotNow"
    assert [round(at, 3) for at, _ in later] == [round(100 + sixth / 6, 3) for sixth in range(1, 19)]
    times = [at for at, _ in first + later + much_later]
    assert times == sorted(set(times))
    assert first[-1][0] == 100
    assert much_later[0][0] > 140
    # The values are those of their times, and not of one moment.
    assert len({value for _, value in first}) > 90


def test_a_clock_that_is_put_back(card: Machine) -> None:
    """By an hour: what comes from then on is new, what was stamped before is not told again."""
    before, after, then = taken(
        card, (100, NOON, NOON), (105, NOON + 5 - 3600, NOON + 5 - 3600), (106, NOON - 3594, NOON - 3594)
    )
    assert before[-1][0] == 100
    assert [round(at, 3) for at, _ in after] == [round(100 + sixth / 6, 3) for sixth in range(1, 31)]
    assert [round(at, 3) for at, _ in then] == [round(105 + sixth / 6, 3) for sixth in range(1, 7)]


def test_a_clock_that_is_put_forward(card: Machine) -> None:
    """What was before lies an hour back, and out of every window."""
    _, after = taken(card, (100, NOON, NOON), (105, NOON + 3605, NOON + 3605))
    assert after[-1][0] == 105
    assert len(after) == 120
    # The driver's clock is late: its samples count when their time has come.
    ahead = taken(card, (100, NOON, NOON + 60), (180, NOON + 80, NOON + 80))
    assert ahead[0] == []
    assert len(ahead[1]) == 120


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("NOT_FOUND", "NotNow"),
        ("NOT_SUPPORTED", "Absent"),
        ("FUNCTION_NOT_FOUND", "Absent"),
        ("NO_PERMISSION", "Refused"),
        ("GPU_IS_LOST", "Lost"),
    ],
)
def test_without_a_buffer(card: Machine, error: str, said: str) -> None:
    card.set("gpu 0", nvmlDeviceGetSamples=f"!{error}")
    assert steady(card, 0) == [said]


def test_clocks_that_are_announced_but_never_there(card: Machine) -> None:
    """As an H100 has them."""
    card.set("gpu 0", clock_sm_samples=0)
    assert steady(card, 0, name="clock_sm") == ["Absent"]
    assert len(steady(card, 0)[0]) > 0


def test_what_is_no_value_never_leaves(card: Machine) -> None:
    card.set("gpu 0", utilization_gpu=101, power_usage=4294967295, clock_sm="step(2147483647, 1500, 2)")
    assert steady(card, 0) == ["Absent"]
    assert steady(card, 0, name="power") == ["Absent"]
    (clocks,) = steady(card, 0, name="clock_sm")
    assert len(clocks) == 60
    assert {value for _, value in clocks} == {1_500_000_000}


def test_power_is_in_watts(card: Machine) -> None:
    card.set("gpu 0", power_usage=69_500)
    (samples,) = steady(card, 0, name="power")
    assert {value for _, value in samples} == {69.5}


TYPES = """
import ctypes, json, pynvml
from zbx_nvidia.driver import buffers
class Pointer:
    def __init__(self, kind, member, value):
        self.kind, self.member, self.value = kind, member, value
    def __call__(self, handle, number, since, kind, count, samples):
        kind._obj.value, count._obj.value = self.kind, 2
        if samples is not None:
            array = (pynvml.c_nvmlSample_t * 2).from_buffer(samples)
            ctypes.memset(array, 0xEE, ctypes.sizeof(array))  # the rest of the union is whatever it was
            for place in range(2):
                array[place].timeStamp = 7 + place
                setattr(array[place].sampleValue, self.member, self.value)
        return 0
found = []
for kind, member, value in (
    (0, "dVal", 12.5), (1, "uiVal", 13), (2, "ulVal", 14), (3, "ullVal", 15), (4, "sllVal", 16), (5, "siVal", 17),
    (6, "usVal", 18), (5, "siVal", -2), (99, "uiVal", 1),
):
    pynvml._nvmlGetFunctionPointer = lambda name: Pointer(kind, member, value)
    try:
        found.append([value for _, value in buffers.read(None, "power")])
    except Exception as error:
        found.append(type(error).__name__)
print(json.dumps(found))
"""


def test_every_type_of_value_is_read_from_its_own_member(card: Machine) -> None:
    """The simulated driver has unsigned ones alone: here the library's function itself is another."""
    *good, negative, unknown = json.loads(python(TYPES, card.env))
    assert good == [[value / 1000] * 2 for value in (12.5, 13, 14, 15, 16, 17, 18)]
    assert (negative, unknown) == ("Absent", "Absent")


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=300))
def test_what_is_made_of_samples(values: list[int]) -> None:
    made = summary([float(value) for value in values])
    assert made.peak == max(values)
    assert made.average == pytest.approx(sum(values) / len(values), abs=0.01)
    assert made.p95 in values
    assert sum(value <= made.p95 for value in values) >= 0.95 * len(values)
    assert sum(value < made.p95 for value in values) < 0.95 * len(values)


# -- a poll ----------------------------------------------------------------------------------------------------------


def test_a_poll_says_what_the_driver_remembers(machine: MachineFactory) -> None:
    """A card that was busy, and hot, until a moment ago."""
    node = machine("gtx1070", clock=NOON + 5)
    node.set("gpu 0", utilization_gpu="step(2, 97, 20)", power_usage="step(9000, 140000, 20)", clock_sm="!UNKNOWN")
    answer = get(node.env)
    gpu = answer.by_index[0]
    assert (gpu["utilization"], gpu["sampled_utilization_peak"], gpu["sampled_utilization_p95"]) == (2, 97, 97)
    assert gpu["sampled_utilization_average"] == pytest.approx(49.5, abs=1)
    assert (gpu["power"], gpu["sampled_power_peak"]) == (9, 140)
    assert not [key for key in gpu if key.startswith("sampled_clock")]
    assert "sampled_clock_sm" not in answer.lacks(), "an error is no lack"
    assert {error["metric"] for error in answer.errors} >= {"sampled_clock_sm"}
    assert SERVICE in answer.lacks()


def test_a_poll_where_the_driver_has_no_buffer_or_nothing_in_it(machine: MachineFactory) -> None:
    node = machine("gtx1070", clock=NOON)
    node.set("gpu 0", nvmlDeviceGetSamples="!NOT_SUPPORTED")
    answer = get(node.env)
    assert {"sampled_utilization", "sampled_power", "sampled_clock_sm"} <= answer.lacks()
    assert not [key for key in answer.by_index[0] if key.startswith("sampled")]
    node.set("gpu 0", nvmlDeviceGetSamples="!NOT_FOUND")
    answer = get(node.env)
    assert not {"sampled_utilization", "sampled_power", "sampled_clock_sm"} & answer.lacks()
    assert not [key for key in answer.by_index[0] if key.startswith("sampled")]
    assert answer.errors == []
