"""The language of the profiles: expressions of time, names, errors, delays, strings, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import SIMULATOR

if TYPE_CHECKING:
    from tests.conftest import MachineFactory
    from tests.unit.simulator.conftest import ClientFactory

EPOCH = 1_700_000_000

PROFILE = """
[machine]
[gpu *]
minor_number = {minor}
[gpu 0]
name = zero
[gpu 1]
name = one
"""


def power(ask: Any) -> Any:
    return ask("nvmlDeviceGetPowerUsage(h(0))")


@pytest.mark.parametrize(
    ("expression", "elapsed", "value"),
    [
        ("1500", 0, 1500),
        ("0xff", 0, 255),
        ("2 + 3 * 4", 0, 14),
        ("(2 + 3) * 4", 0, 20),
        ("10 - 4 - 3", 0, 3),
        ("100 / 5 / 2", 0, 10),
        ("10 - -2", 0, 12),
        ("2.5 + 0.25", 0, 3),  # rounded to the nearest
        ("2.4", 0, 2),
        (f"t - {EPOCH}", 12.4, 12),
        ("min(7, 3, 5) + 10 * max(1, 2)", 0, 23),
        ("clamp(150, 0, 100)", 0, 100),
        ("clamp(-5, 0, 100)", 0, 0),
        ("floor(2.99)", 0, 2),
        ("wave(100, 50, 400)", 0, 100),
        ("wave(100, 50, 400)", 100, 150),
        ("wave(100, 50, 400)", 300, 50),
        ("wave(100, 50, 400, 100)", 0, 150),
        ("ramp(10, 20, 100)", 50, 15),
        ("ramp(10, 20, 100)", 99.9, 20),
        ("ramp(10, 20, 100)", 100, 10),
        ("step(1, 2, 100)", 49, 1),
        ("step(1, 2, 100)", 50, 2),
        ("counter(1000, 5)", 60, 1300),
        ("integral(7, 100)", 250, 1750),
        ("integral(wave(100, 50, 400), 400)", 400, 40000),
        ("integral(ramp(0, 100, 100), 100) * 0 + 5", 0, 5),
        ("power_limit / 2", 0, 35000),
        ("var.a + var.b", 0, 1503),
        ("5 - 8", 0, 0),  # an unsigned number has no less
        ("18446744073709551615", 0, 2**32 - 1),
        ("1 / 0", 0, 2**32 - 1),
        ("0 / 0", 0, 0),
    ],
)
def test_expressions(machine: MachineFactory, nvml: ClientFactory, expression: str, elapsed: float, value: int) -> None:
    node = machine("t4", clock=EPOCH + elapsed)
    node.set("gpu 0", {"var.a": "var.b * 1.5 + 0.5", "var.b": "601"}, power_usage=expression)
    assert power(nvml(node)) == value


def test_a_number_is_whole_wherever_it_is_used(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("t4")
    node.set("gpu 0", {"var.half": 0.4}, memory_used="1000.4", power_usage="memory_used * 10 + var.half * 10")
    assert power(nvml(node)) == 10004


def test_index_and_defaults(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("t4")
    node.write(PROFILE.format(minor="10 + index"))
    ask = nvml(node)
    assert ask("[nvmlDeviceGetMinorNumber(h(i)) for i in (0, 1)]") == [10, 11]
    node.set("gpu 1", minor_number=99)
    assert ask("[nvmlDeviceGetMinorNumber(h(i)) for i in (0, 1)]") == [10, 99]
    node.set("gpu 0", minor_number=None)
    assert ask("nvmlDeviceGetMinorNumber(h(0))") == "NVMLError_NotSupported"


def test_sentinels_reach_the_caller(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("t4")
    node.set("gpu 0", total_energy=2**64 - 1, ecc_corrected_volatile=2**63, tlimit_slowdown=-(2**40))
    ask = nvml(node)
    assert ask("nvmlDeviceGetTotalEnergyConsumption(h(0))") == 2**64 - 1
    assert ask("nvmlDeviceGetTotalEccErrors(h(0), 0, 0)") == 2**63
    assert ask("field(0, NVML_FI_DEV_TEMPERATURE_SLOWDOWN_TLIMIT)[0][2]") == -(2**31)


def test_fields_take_a_type_and_a_scope(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("t4")
    node.set(
        "gpu 0",
        {
            "field.300": 7,
            "field.301": "SIGNED_INT -7",
            "field.302": "DOUBLE 2.5",
            "field.303": "UNSIGNED_LONG_LONG 18446744073709551615",
            "field.304": "SIGNED_LONG_LONG -3",
            "field.305": "UNSIGNED_SHORT 70000",
            "field.306": "!NO_PERMISSION",
            "field.82": 61,
            "field.138": "10 + scope",
            "field.138.4": 44,
            "field.138.sum": 99,
            "field.139": 5,
            f"field.139.{2**32 - 1}": 98,
        },
    )
    ask = nvml(node)
    decoded = (
        "[(v.nvmlReturn, v.valueType, {0: v.value.dVal, 1: v.value.uiVal, 3: v.value.ullVal, 4: v.value.sllVal,"
        " 5: v.value.siVal, 6: v.value.usVal}[v.valueType]) for v in nvmlDeviceGetFieldValues(h(0), %s)]"
    )
    assert ask(decoded % "list(range(300, 308))") == [
        [0, 1, 7],
        [0, 5, -7],
        [0, 0, 2.5],
        [0, 3, 2**64 - 1],
        [0, 4, -3],
        [0, 6, 65535],
        [4, 1, 0],
        [3, 1, 0],
    ]
    assert ask(decoded % "[82, (138, 0), (138, 3), (138, 4), (138, 2**32 - 1), (139, 7), (139, 2**32 - 1)]") == [
        [0, 1, 61],
        [0, 3, 10],
        [0, 3, 13],
        [0, 3, 44],
        [0, 3, 99],
        [0, 3, 5],
        [0, 3, 98],
    ]


def test_the_time_of_a_field_is_the_frozen_one(machine: MachineFactory, nvml: ClientFactory) -> None:
    ask = nvml(machine("h100x8", clock=EPOCH))
    assert ask("[v.timestamp for v in nvmlDeviceGetFieldValues(h(0), [82])]") == [EPOCH * 1_000_000]


def test_the_clock(machine: MachineFactory, nvml: ClientFactory) -> None:
    """Frozen by the profile, by the environment before the profile, else the time of day."""
    node = machine("t4")
    node.set("gpu 0", total_energy="t")
    ask = nvml(node)
    before, energy, after = ask("(time.time(), nvmlDeviceGetTotalEnergyConsumption(h(0)), time.time())")
    assert before - 1 <= energy <= after + 1
    node.set("machine", clock=EPOCH + 5)
    assert ask("nvmlDeviceGetTotalEnergyConsumption(h(0))") == EPOCH + 5
    frozen = machine("t4", clock=EPOCH + 7)
    frozen.set("machine", clock=EPOCH + 5)
    frozen.set("gpu 0", total_energy="t")
    assert nvml(frozen)("nvmlDeviceGetTotalEnergyConsumption(h(0))") == EPOCH + 7


def test_an_error_goes_on_to_what_is_computed_from_it(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("t4")
    node.set("gpu 0", memory_used="!NO_PERMISSION", power_usage="memory_used + 1", fan_count="memory_free")
    ask = nvml(node)
    assert ask("nvmlDeviceGetMemoryInfo(h(0))") == "NVMLError_NoPermission"
    assert power(ask) == "NVMLError_NoPermission"
    assert ask("nvmlDeviceGetNumFans(h(0))") == "NVMLError_NotSupported"


def test_slow_answers(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("t4")
    node.set("gpu 0", power_usage="!SLOW(0.6) 5000 + 1", serial="!SLOW(0.3) 123", vbios_version="!SLOW(0.2) !UNKNOWN")
    ask = nvml(node)
    timed = "(lambda t: (%s, time.monotonic() - t))(time.monotonic())"
    value, seconds = ask(timed % "nvmlDeviceGetPowerUsage(h(0))")
    assert value == 5001
    assert seconds >= 0.6
    value, seconds = ask(timed % "nvmlDeviceGetSerial(h(0))")
    assert value == "123"
    assert seconds >= 0.3
    assert ask("nvmlDeviceGetVbiosVersion(h(0))") == "NVMLError_Unknown"
    # The rest does not wait for them, not even while one is under way.
    node.set("gpu 0", power_usage="!SLOW(600) 5000")
    ask("threading.Thread(target=nvmlDeviceGetPowerUsage, args=[h(0)], daemon=True).start()")
    assert ask("nvmlDeviceGetName(h(0))") == "Tesla T4"


def test_names_that_are_not_utf_8(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("t4")
    node.set("gpu 0", name=r"Tesla \xff\xFE \\ \x23", serial="a # b", vbios_version="a#b")
    ask = nvml(node)
    assert ask("nvmlDeviceGetName(h(0))") == "UnicodeDecodeError"
    raw = ask("(lambda b: (pynvml.nvmlLib.nvmlDeviceGetName(h(0), b, 96), b.value.hex()))(create_string_buffer(96))")
    assert raw == [0, b"Tesla \xff\xfe \\ #".hex()]
    assert ask("nvmlDeviceGetSerial(h(0))") == "a"  # the rest is a comment
    assert ask("nvmlDeviceGetVbiosVersion(h(0))") == "a#b"


# Each name is eight times the next one.
EIGHTFOLD = [
    f"{name} = {'+'.join(8 * [f'var.{of}'])}"
    for name, of in zip(("temperature", "var.a", "var.b", "var.c", "var.d", "var.e"), "abcdeg", strict=True)
]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("temprature = 5", "temprature is no key"),
        ("temperature", "neither [section] nor key = value"),
        ("temperature =", "temperature has no value"),
        ("temperature = 5 +", "is missing"),
        ("temperature = (5", "parenthesis is missing"),
        ("temperature = 5 5", "something follows the expression"),
        ("temperature = wave(1, 2)", "no such function"),
        ("temperature = wave(1, 2, 0)", "a period must be above zero"),
        ("temperature = sine(1)", "no such function"),
        ("temperature = heat", "no such name"),
        ("temperature = name", "not a number"),
        ("temperature = temperature + 1", "a name uses itself"),
        ("var.a = var.b\nvar.b = var.a", "a name uses itself"),
        ("temperature = " + "(" * 200, "nested too deeply"),
        ("\n".join([*EIGHTFOLD, "var.g = 1"]), "takes too long"),
        ("temperature = min(1,1,1,1,1,1,1,1,1)", "too many arguments"),
        ("temperature = nan", "no such name"),
        ("temperature = 0x", "hexadecimal"),
        ("temperature = " + "a" * 99, "a name is too long"),
        ("temperature = !NOT_AN_ERROR", "is no NVML error"),
        ("temperature = !SUCCESS", "is no NVML error"),
        ("temperature = !0", "is no NVML error"),
        ("temperature = !SLOW(1 5", "is not closed"),
        ("temperature = !SLOW(x) 5", "a number of seconds"),
        ("temperature = 1\ntemperature = 2", "stands in line"),
        ("nvmlDeviceGetName = 5", "takes an error"),
        ("memory_v2 = 1", "takes an error"),
        (r"name = \q", "escapes"),
        (r"name = \x00", "escapes"),
        ("state = ill", "none of ok, lost, sick, hang"),
        ("state = !UNKNOWN", "takes a word"),
        ("[gpu 64]", "[gpu 63]"),
        ("[gpu x]", "none of [machine]"),
        ("[gpu 0]", "a second time"),
        ("field.x = 1", "is no key"),
        ("field.1.x = 1", "is no key"),
        ("field.1.sums = 1", "is no key"),
        ("name. = x", "is no key"),
        ("[gpu 0 mig 1]\nstate = lost", "is of the machine or a GPU"),
        ("[gpu 0 mig x]", "none of [machine]"),
        ("[gpu 0 part 1]", "[gpu 0 process 1]"),
        ("[gpu 64 mig 0]", "none of [machine]"),
        ("[gpu 0 process 4294967296]", "none of [machine]"),
        ("[gpu 0 process 12345678901]", "none of [machine]"),
        ("[gpu 0 mig 1]\n[gpu 0 mig 1]", "a second time"),
        ("[gpu 0 mig 1]\nmemory_used = var.nobody", "no such name"),
        ("[gpu 0 process 1]\n[process *]\nused_memory = 1 +", "is missing"),
        ("fan_speed.x = 1", "is no key"),
        ("var.A = 1", "is no key"),
        ("xid.5- = 1", "is no key"),
        ("xid.-5 = 1", "is no key"),
        ("xid.5-6-7 = 1", "is no key"),
        ("fan_speed.1-2 = 1", "is no key"),
        ("[machine]\nstate = ill", "no_driver"),
    ],
)
def test_what_is_refused_is_named_with_its_line(
    machine: MachineFactory, nvml: ClientFactory, line: str, complaint: str
) -> None:
    node = machine("t4")
    node.write(f"[gpu 0]\n# two lines before\n{line}\n")
    node.env["NVML_SIMULATOR_DEBUG"] = "1"
    ask = nvml(node, init=False)
    assert ask("nvmlInit()") == "NVMLError_Unknown"
    message = ask.errors()
    assert complaint in message
    assert message.startswith(tuple(f"{node.path}:{number}: " for number in (3, 4, 5)))
    assert message.count("\n") == 1


def test_the_example_of_the_readme_is_a_profile(machine: MachineFactory, nvml: ClientFactory) -> None:
    example = (SIMULATOR / "README.md").read_text().split("```ini\n")[1].split("```")[0]
    node = machine("t4")
    node.write(example)
    node.env["NVML_SIMULATOR_DEBUG"] = "1"
    ask = nvml(node)
    assert ask("[nvmlDeviceGetCount(), nvmlDeviceGetTemperatureV(h(1), 0), field(0, 82)[0][2]]") == [2, 74, 45]
    assert ask.errors() == ""
