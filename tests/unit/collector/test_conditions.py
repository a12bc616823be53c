"""Everything that can be wrong with a driver and its GPUs, short of a call that never returns.

`collector.get` holds every answer here to the same: exit code 0, silent stderr, one line of ASCII, valid by the schema.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import PATIENCE
from tests.unit.clocks import SLOW
from tests.unit.collector.collector import AGENT, CLOCK, NO_DEADLINE, Answer, Poll, checked, collect
from zbx_nvidia.catalog.entities import DOCUMENT, ENTITIES
from zbx_nvidia.catalog.metrics import GPU_METRICS, GPU_READERS
from zbx_nvidia.catalog.sampled import BUFFERED_METRICS, BUFFERED_READERS
from zbx_nvidia.collector.document import MAX_ERRORS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Machine, MachineFactory
    from tests.unit.conftest import ClocksFactory

IDENTITY = {"index", "name", "uuid", "pci", "serial", "vbios"}
OF_THE_MACHINE = {"confidential"}
SECTIONS = ("gpus", *(entity.section for entity in ENTITIES if entity.document == DOCUMENT))
READ = (*GPU_METRICS, *BUFFERED_METRICS)
KEYS = {
    reader: {metric.key for metric in READ if metric.reader == reader} for reader in (*GPU_READERS, *BUFFERED_READERS)
}


def assert_unharmed(answer: Answer, well: Answer, *broken: int) -> None:
    """Every GPU but the broken ones has every reading and the discovery row that it has when all is well."""
    for index in set(range(8)) - set(broken):
        assert answer.by_index[index] == well.by_index[index]
        assert answer.rows[index] == well.rows[index]
        assert answer.document["presence"][well.by_index[index]["uuid"]] == 1
    assert answer.document["host"]["gpu_count"] == 8


def all_calls(error: str, *, identity: bool) -> dict[str, str]:
    """The lines of a profile that make every call for the catalog fail, optionally except those for identity."""
    rows = [metric for metric in READ if metric.reader != "index" and (identity or metric.reader not in IDENTITY)]
    calls = {call for metric in rows for call in metric.call.split(", ") if call} | {"nvmlDeviceGetNumFans"}
    return dict.fromkeys(calls, f"!{error}")


# -- no driver -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "code", "words"),
    [
        ("no_driver", 9, "kernel module nvidia is not loaded"),
        ("mismatch", 18, "Reboot"),
        ("no_permission", 4, "/dev/nvidia"),
        ("UNKNOWN", 999, "dmesg"),
        ("OPERATING_SYSTEM", 999, "NVML error 17"),
    ],
)
def test_driver_that_does_not_start(machine: MachineFactory, state: str, code: int, words: str) -> None:
    broken = machine("h100x8")
    broken.set("machine", state=state)
    answer = collect(broken.env)
    assert answer.code == code
    assert words in answer.message
    assert answer.document["gpus"] == answer.document["discovery"] == {}
    assert not {"host", "presence", "fans"} & set(answer.document)


def test_no_library(machine: MachineFactory) -> None:
    env = {key: value for key, value in machine("t4").env.items() if key != "LD_LIBRARY_PATH"}
    answer = collect(env)
    assert (answer.code, answer.document["status"]["name"]) == (12, "Library not found")
    assert "libnvidia-ml.so.1" in answer.message
    assert "presence" not in answer.document


def test_no_gpu(machine: MachineFactory) -> None:
    empty = machine("t4")
    empty.write("[machine]\ndriver_version = 590.48.01\nnvml_version = 13.590.48.01\ncuda_version = 13010\n")
    answer = collect(empty.env)
    assert answer.code == 0
    assert answer.document["host"]["gpu_count"] == 0
    assert answer.document["gpus"] == answer.document["presence"] == {}
    assert answer.document["discovery"] == {section: [] for section in SECTIONS}


@pytest.mark.parametrize("error", ["UNKNOWN", "NO_PERMISSION"])
def test_gpus_that_cannot_be_counted(machine: MachineFactory, error: str) -> None:
    broken = machine("t4")
    broken.set("machine", gpu_count=f"!{error}")
    answer = collect(broken.env)
    assert answer.code == (4 if error == "NO_PERMISSION" else 999)
    assert "host" not in answer.document


def test_version_in_error_is_left_out_and_reported(machine: MachineFactory) -> None:
    broken = machine("t4")
    broken.set("machine", driver_version="!NO_PERMISSION", cuda_version="!NOT_SUPPORTED")
    answer = collect(broken.env)
    assert answer.code == 0
    assert answer.document["host"].keys() & {"driver_version", "nvml_version", "cuda_version"} == {"nvml_version"}
    assert answer.errors == [
        {"gpu": "", "metric": "driver_version", "code": 4, "message": "Insufficient Permissions"},
    ]
    assert len(answer.document["gpus"]) == 1


# -- one GPU of eight ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", [{"state": "lost"}, {"temperature": "!GPU_IS_LOST"}, {"uuid": "!RESET_REQUIRED"}])
def test_lost_gpu(eight: Machine, well: Answer, values: dict[str, Any]) -> None:
    eight.set("gpu 5", values)
    answer = collect(eight.env)
    uuid = well.by_index[5]["uuid"]
    assert answer.code == 0
    assert answer.document["host"]["gpus_lost"] == 1
    assert answer.document["host"]["lost"].startswith("GPU 5: ")
    assert answer.document["host"]["gpus_sick"] == 0
    assert uuid not in answer.document["presence"]
    assert uuid not in answer.document["gpus"]
    assert 5 not in answer.rows
    assert len(answer.errors) == 1
    assert_unharmed(answer, well, 5)


def test_lost_gpu_is_named_as_far_as_it_is_known(eight: Machine, well: Answer) -> None:
    """Lost between the first reading and the last: its identity is reported, and every reading is void."""
    eight.set("gpu 2", performance_state="!GPU_IS_LOST")
    answer = collect(eight.env)
    known = well.by_index[2]
    assert answer.document["host"]["lost"] == (
        f"GPU 2: {known['name']}, {known['pci']}, {known['uuid']}, {known['serial']}, GPU is lost"
    )
    assert answer.errors == [{"gpu": known["uuid"], "metric": "", "code": 15, "message": "GPU is lost"}]


def test_sick_gpu(eight: Machine, well: Answer) -> None:
    """One that answers every call with an unknown error, that for its UUID included."""
    eight.set("gpu 0", state="sick")
    answer = collect(eight.env)
    assert answer.code == 0
    assert answer.document["host"]["gpus_sick"] == 1
    assert answer.document["host"]["sick"].startswith("GPU 0: ")
    assert "Unknown Error" in answer.document["host"]["sick"]
    assert answer.document["host"]["gpus_lost"] == 0
    assert len(answer.document["presence"]) == 7
    assert {error["code"] for error in answer.errors} == {999}
    assert_unharmed(answer, well, 0)


def test_sick_gpu_that_knows_who_it_is(eight: Machine, well: Answer) -> None:
    """It is present, so that nobody looks for it elsewhere, but it has no readings."""
    eight.set("gpu 7", all_calls("UNKNOWN", identity=False))
    answer = collect(eight.env)
    known = well.by_index[7]
    assert answer.document["host"]["gpus_sick"] == 1
    assert {known["pci"], known["uuid"], known["serial"]} <= set(answer.document["host"]["sick"].split(", "))
    assert answer.document["presence"][known["uuid"]] == 1
    assert known["uuid"] not in answer.document["gpus"]
    assert 7 not in answer.rows
    assert_unharmed(answer, well, 7)


GSP_DEAD = (
    *("temperature", "margin_temperature", "power_usage", "utilization_gpu", "memory_used", "memory_total", "clock_sm"),
    *("memory_reserved", "clock_mem", "clock_graphics", "clock_video", "performance_state", "clocks_event_reasons"),
    *("encoder_utilization", "decoder_utilization", "jpg_utilization", "ofa_utilization", "total_energy"),
    *("enforced_power_limit", "power_limit", "bar1_used", "bar1_total", "pcie_replay_counter"),
    "nvmlDeviceGetFieldValues",
)


def test_a_gpu_that_mostly_fails_is_sick(eight: Machine, well: Answer) -> None:
    """Its system processor (GSP) is dead. The driver still answers for ECC."""
    eight.set("gpu 3", dict.fromkeys(GSP_DEAD, "!UNKNOWN"))
    answer = collect(eight.env)
    assert answer.document["host"]["gpus_sick"] == 1
    assert well.by_index[3]["uuid"] in answer.document["host"]["sick"]
    assert "Unknown Error" in answer.document["host"]["sick"]
    assert answer.document["collector"]["error_count"] == 0
    assert_unharmed(answer, well, 3)


@pytest.mark.parametrize("error", ["NO_PERMISSION", "NOT_SUPPORTED"])
def test_a_gpu_of_which_much_is_refused_is_not_sick(eight: Machine, well: Answer, error: str) -> None:
    eight.set("gpu 3", dict.fromkeys(GSP_DEAD, f"!{error}"))
    answer = collect(eight.env)
    assert answer.document["host"]["gpus_sick"] == 0
    assert answer.by_index[3]["ecc_mode"] == well.by_index[3]["ecc_mode"]


def test_a_gpu_of_which_some_readings_fail_is_not_sick(eight: Machine, well: Answer) -> None:
    eight.set("gpu 3", dict.fromkeys(GSP_DEAD[:8], "!UNKNOWN"))
    answer = collect(eight.env)
    assert answer.document["host"]["gpus_sick"] == 0
    assert answer.document["collector"]["error_count"] > 8
    assert answer.by_index[3]["energy"] == well.by_index[3]["energy"]


def test_gpu_without_a_uuid_cannot_be_told_from_another(eight: Machine, well: Answer) -> None:
    eight.set("gpu 3", uuid="!NOT_SUPPORTED")
    answer = collect(eight.env)
    assert answer.document["host"]["gpus_sick"] == 1
    assert answer.document["host"]["sick"].endswith(", no UUID")
    assert_unharmed(answer, well, 3)


@pytest.mark.parametrize(("error", "code"), [("NO_PERMISSION", 4), ("UNKNOWN", 999), ("TIMEOUT", 10)])
def test_one_call_refused(eight: Machine, well: Answer, error: str, code: int) -> None:
    """Left out and reported, but not among what the card lacks: its item must go on existing."""
    eight.set("gpu 4", nvmlDeviceGetTotalEnergyConsumption=f"!{error}")
    answer = collect(eight.env)
    healthy = well.by_index[4]
    assert answer.by_index[4] == {key: value for key, value in healthy.items() if key != "energy"}
    assert answer.rows[4] == well.rows[4]
    assert [(problem["gpu"], problem["metric"], problem["code"]) for problem in answer.errors] == [
        (healthy["uuid"], "energy", code)
    ]
    # What is forbidden stays so, and must not keep an alert raised.
    assert answer.document["collector"]["error_count"] == (0 if code == 4 else 1)
    assert answer.document["host"]["gpus_sick"] == 0
    assert_unharmed(answer, well, 4)


def test_problem_before_the_uuid_is_known_is_the_gpus_all_the_same(eight: Machine, well: Answer) -> None:
    eight.set("gpu 4", name="!NO_PERMISSION")
    answer = collect(eight.env)
    assert [problem["gpu"] for problem in answer.errors] == [well.by_index[4]["uuid"]]
    assert answer.rows[4]["{#NAME}"] == "unknown"


def test_nonsense_in_one_reading_harms_no_other(eight: Machine, well: Answer) -> None:
    """Infinity, where NVML's header allows a double."""
    eight.set("gpu 1", {"field.194": "DOUBLE 1 / 0"})
    answer = collect(eight.env)
    lost = {"temperature_slowdown_margin", "temperature_headroom"}  # the second is worked out from the first
    assert answer.by_index[1] == {key: value for key, value in well.by_index[1].items() if key not in lost}
    assert {problem["metric"] for problem in answer.errors} == lost
    for problem in answer.errors:
        assert (problem["code"], problem["message"]) == (0, "not a value: inf")
    assert_unharmed(answer, well, 1)


def test_mig_instances_that_are_refused_are_not_gone(machine: MachineFactory) -> None:
    """As if the service may not open their device files: nothing is concluded, and an error is reported."""
    node = machine("h100-mig")
    instances = collect(node.env).document["discovery"]["mig"]
    assert instances
    node.set("gpu 0", nvmlDeviceGetMigDeviceHandleByIndex="!NO_PERMISSION")
    answer = collect(node.env)
    assert answer.code == 0
    assert {"mig"} == {problem["metric"] for problem in answer.errors}
    assert "mig" not in answer.document["discovery"]
    assert "fans" in answer.document["discovery"]
    node.set("gpu 0", nvmlDeviceGetMigDeviceHandleByIndex=None)
    assert collect(node.env).document["discovery"]["mig"] == instances


def test_errors_are_counted_in_full_and_listed_in_part(eight: Machine) -> None:
    eight.set("gpu *", all_calls("UNKNOWN", identity=False))
    answer = collect(eight.env)
    assert len(answer.errors) == MAX_ERRORS
    assert answer.document["host"]["gpus_sick"] == 8
    assert len(answer.document["presence"]) == 8
    # Sick cards are a matter of their own, and do not count here.
    assert answer.document["collector"]["error_count"] == 0
    # One call that goes well, and they are not sick but refuse the rest, which is no failure.
    eight.set("gpu *", {**all_calls("NO_PERMISSION", identity=False), "nvmlDeviceGetPersistenceMode": None})
    answer = collect(eight.env)
    assert answer.document["host"]["gpus_sick"] == 0
    assert len(answer.errors) == MAX_ERRORS
    assert answer.document["collector"]["error_count"] == 0
    few = (
        "PcieReplayCounter",
        "ComputeMode",
        "DisplayActive",
        "AccountingMode",
        "PersistenceMode",
        "CurrPcieLinkWidth",
    )
    eight.set("gpu *", dict.fromkeys(all_calls("", identity=False)))
    eight.set("gpu *", {f"nvmlDeviceGet{call}": "!UNKNOWN" for call in few})
    answer = collect(eight.env)
    assert answer.document["host"]["gpus_sick"] == 0
    assert len(answer.errors) == MAX_ERRORS < 8 * len(few)
    assert answer.document["collector"]["error_count"] == 8 * len(few)


def test_texts_end_where_zabbix_would_cut_them(eight: Machine) -> None:
    eight.set("gpu *", all_calls("GPU_IS_LOST", identity=False))
    answer = collect(eight.env)
    assert answer.document["host"]["gpus_lost"] == 8
    assert len(answer.document["host"]["lost"]) == 255
    assert answer.document["host"]["lost"].endswith("...")


# -- strange strings and numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "seen"),
    [
        (r"NVIDIA H\xff\xfe100", "NVIDIA H\ufffd\ufffd100"),  # not UTF-8
        (r"\xe2\x82\xac 100", "\u20ac 100"),  # UTF-8
        (r"H\x07100\x1b[31m\x7f", "H?100?[31m?"),
        ('H"100\\\\', 'H"100\\'),
    ],
)
def test_strange_name(machine: MachineFactory, raw: str, seen: str) -> None:
    strange = machine("t4")
    strange.set("gpu 0", name=raw)
    answer = collect(strange.env)
    assert answer.by_index[0]["name"] == seen
    assert answer.rows[0]["{#NAME}"] == seen
    assert answer.errors == []


def test_empty_string_is_absence(machine: MachineFactory) -> None:
    strange = machine("t4")
    strange.set("gpu 0", serial=r"\x20")
    answer = collect(strange.env)
    assert "serial" not in answer.by_index[0]
    assert "serial" in answer.lacks()
    assert answer.rows[0]["{#SERIAL}"] == "none"


@pytest.mark.parametrize(
    ("profile", "values", "lacking"),
    [
        ("t4", {"utilization_gpu": 0xFFFFFFFF}, {"utilization", "sampled_utilization"}),
        ("t4", {"utilization_memory": 0xFFFFFFFF}, {"utilization"}),
        ("t4", {"encoder_utilization": 0xFFFFFFFF}, {"encoder_utilization"}),
        ("t4", {"decoder_utilization": 0x7FFFFFFF}, {"decoder_utilization"}),
        ("t4", {"memory_total": 2**64}, {"memory"}),
        ("t4", {"memory_used": 2**63, "memory_free": 1}, {"memory"}),
        ("t4", {"memory_free": 2**63 - 1}, {"memory"}),
        ("t4", {"memory_reserved": 2**64}, {"memory_reserved"}),
        ("t4", {"memory_total": 0}, {"memory"}),
        ("t4", {"temperature": 0x7FFFFFFF}, {"temperature", "temperature_headroom"}),
        (
            "t4",
            {"temperature": 0xFFFFFFFF, "temperature_v": "!FUNCTION_NOT_FOUND"},
            {"temperature", "temperature_headroom"},
        ),
        ("t4", {"temperature_threshold_slowdown": 0xFFFFFFFF}, {"temperature_slowdown", "temperature_headroom"}),
        ("t4", {"temperature_threshold_shutdown": 0}, {"temperature_shutdown"}),
        ("h100x8", {"margin_temperature": 0x7FFFFFFF}, {"temperature_margin", "temperature_headroom"}),
        ("h100x8", {"tlimit_slowdown": 0x7FFFFFFF}, {"temperature_slowdown_margin", "temperature_headroom"}),
        ("h100x8", {"field.193": f"UNSIGNED_LONG_LONG {2**64}"}, {"temperature_shutdown_margin"}),
        ("gtx1070", {"fan_speed": 0xFFFFFFFF}, {"fan_speed", "fan_rpm"}),
        ("t4", {"power_usage": 0xFFFFFFFF}, {"power", "power_percent", "sampled_power"}),
        ("t4", {"enforced_power_limit": 0xFFFFFFFF}, {"power_limit", "power_percent"}),
        ("t4", {"total_energy": 2**64}, {"energy"}),
        ("t4", {"total_energy": 2**63 - 1}, {"energy"}),
        ("t4", {"clock_sm": 0xFFFFFFFF}, {"clock_sm", "sampled_clock_sm"}),
        ("t4", {"performance_state": 32}, {"performance_state"}),
    ],
)
def test_number_that_is_no_value(
    machine: MachineFactory, profile: str, values: dict[str, Any], lacking: set[str]
) -> None:
    before = collect(machine(profile, clock=CLOCK).env)
    strange = machine(profile, clock=CLOCK)
    strange.set("gpu 0", values)
    after = collect(strange.env)
    assert after.lacks() - before.lacks() == lacking
    assert before.by_index[0].keys() - after.by_index[0].keys() == {key for reader in lacking for key in KEYS[reader]}
    assert after.errors == []
    wrong = {0x7FFFFFFF, 0xFFFFFFFF}
    forbidden = wrong | {number * 10**6 for number in wrong} | {number / 1000 for number in wrong}
    assert not [number for number in numbers(after.document["gpus"]) if number in forbidden or abs(number) > 2**50]


@pytest.mark.parametrize(
    ("profile", "values", "dropped", "reported"),
    [
        (
            "h100x8",
            {"utilization_gpu": 127622, "utilization_memory": 2619},
            {"utilization", "utilization_memory", "sampled_utilization_peak"},
            {
                "utilization": "impossible value: 127622 %, not in 0 to 100",
                "utilization_memory": "impossible value: 2619 %, not in 0 to 100",
            },
        ),
        (
            "t4",
            {"temperature": 511},
            {"temperature", "temperature_headroom"},
            {"temperature": "impossible value: 511 °C, not in -40 to 150"},
        ),
        (
            "t4",
            {"temperature": -41},
            {"temperature", "temperature_headroom"},
            {"temperature": "impossible value: -41 °C, not in -40 to 150"},
        ),
        (
            "t4",
            {"power_usage": 2147483648},
            {"power", "power_percent", "sampled_power_peak"},
            {"power": "impossible value: 2147483.648 W, not in 0 to 10000"},
        ),
        ("t4", {"encoder_utilization": 101}, {"utilization_encoder"}, None),
        ("t4", {"decoder_utilization": 99999}, {"utilization_decoder"}, None),
        ("t4", {"clock_sm": 4_000_000}, {"clock_sm", "sampled_clock_sm_peak"}, None),
        ("t4", {"performance_state": 99}, {"performance_state"}, None),
        ("t4", {"pcie_link_width": 255, "pcie_link_generation": 200}, {"pcie_width", "pcie_generation"}, None),
        ("h100x8", {"margin_temperature": 4095}, {"temperature_margin", "temperature_headroom"}, None),
        ("gtx1070", {"fan_speed": 255}, {"fan_speed"}, {"fan_speed": "impossible value: 255 %, not in 0 to 200"}),
        ("t4", {"memory_used": 2**40, "memory_free": 0}, {"memory_used", "memory_total", "memory_used_percent"}, None),
    ],
)
def test_number_that_cannot_be(
    machine: MachineFactory, profile: str, values: dict[str, Any], dropped: set[str], reported: dict[str, str] | None
) -> None:
    """It is reported with the number, and not stored; nor is what is calculated from it. Its item stays."""
    before = collect(machine(profile, clock=CLOCK).env)
    strange = machine(profile, clock=CLOCK)
    strange.set("gpu 0", values)
    after = collect(strange.env)
    lost = before.by_index[0].keys() - after.by_index[0].keys()
    assert dropped <= lost
    assert {key.rpartition("_")[0] for key in lost - dropped} <= {"sampled_utilization", "sampled_power", "memory"} | {
        "sampled_clock_sm"
    }
    assert not {reader for reader in after.lacks() - before.lacks() if not reader.startswith("sampled_")}
    assert after.document["collector"]["error_count"] == len(after.errors) >= 1
    assert after.document["host"]["gpus_sick"] == 0
    if reported is not None:
        assert [problem["message"] for problem in after.errors] == list(reported.values())
    assert {problem["gpu"] for problem in after.errors} == {before.by_index[0]["uuid"]}
    assert {problem["code"] for problem in after.errors} == {0}
    others = [index for index in before.by_index if index]
    assert [after.by_index[index] for index in others] == [before.by_index[index] for index in others]
    host = after.document["host"]
    assert host.get("utilization", 0) <= 100
    assert host.get("power", 0) < 10_000


def test_a_part_with_a_number_that_cannot_be(machine: MachineFactory) -> None:
    strange = machine("rtx4080s", clock=CLOCK)
    strange.set("gpu 0", {"fan_speed.1": 255})
    answer = collect(strange.env)
    uuid = answer.by_index[0]["uuid"]
    assert [sorted(answer.document["fans"][f"{uuid}/{fan}"]) for fan in range(3)] == [
        ["rpm", "speed"],
        ["rpm"],
        ["rpm", "speed"],
    ]
    assert [problem["metric"] for problem in answer.errors] == ["fan_speed", "fan speed"]


@pytest.mark.parametrize(
    ("values", "gone"),
    [
        ({"pcie_link_width": 0}, {"pcie_width"}),
        ({"pcie_link_generation": 0}, {"pcie_generation"}),
        ({"enforced_power_limit": 0}, {"power_percent"}),
    ],
)
def test_what_has_no_value_now_is_neither_lacking_nor_a_number(
    machine: MachineFactory, values: dict[str, Any], gone: set[str]
) -> None:
    """As of a PCIe link that is down."""
    before = collect(machine("t4", clock=CLOCK).env)
    strange = machine("t4", clock=CLOCK)
    strange.set("gpu 0", values)
    after = collect(strange.env)
    assert before.by_index[0].keys() - after.by_index[0].keys() == gone
    assert (after.lacks(), after.errors) == (before.lacks(), [])


def numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        for part in value.values():
            yield from numbers(part)
    elif isinstance(value, (int, float)):
        yield value


# -- older drivers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", ["FUNCTION_NOT_FOUND", "ARGUMENT_VERSION_MISMATCH", "NOT_SUPPORTED"])
def test_memory_of_drivers_before_r510(machine: MachineFactory, error: str) -> None:
    new = collect(machine("t4", clock=CLOCK).env).by_index[0]
    old_machine = machine("t4", clock=CLOCK)
    old_machine.set("gpu 0", memory_v2=f"!{error}")
    answer = collect(old_machine.env)
    old = answer.by_index[0]
    assert new["memory_reserved"] > 0
    assert "memory_reserved" not in old
    assert "memory_reserved" in answer.lacks()
    assert "memory" not in answer.lacks()
    # The old call has the reserved part in `used`.
    assert old["memory_used"] == new["memory_used"] + new["memory_reserved"]
    assert old["memory_total"] == old["memory_used"] + old["memory_free"]


@pytest.mark.parametrize(
    ("profile", "values"),
    [
        ("t4", {"temperature_v": "!FUNCTION_NOT_FOUND"}),  # before r570
        ("t4", {"temperature_v": "!NOT_SUPPORTED"}),
        ("gtx1070", {"nvmlDeviceGetNumFans": "!FUNCTION_NOT_FOUND"}),  # before r510
    ],
)
def test_older_call_says_the_same(machine: MachineFactory, profile: str, values: dict[str, Any]) -> None:
    new = collect(machine(profile, clock=CLOCK).env)
    old_machine = machine(profile, clock=CLOCK)
    old_machine.set("gpu 0", values)
    old = collect(old_machine.env)
    assert old.document["gpus"] == new.document["gpus"]
    assert old.document["discovery"] == new.document["discovery"]


def test_margins_are_signed(machine: MachineFactory) -> None:
    hot = machine("h100x8")
    hot.set("gpu 0", margin_temperature=-3, tlimit_slowdown=-2, tlimit_shutdown=-8)
    gpu = collect(hot.env).by_index[0]
    margins = [gpu[f"temperature_{which}"] for which in ("margin", "slowdown_margin", "shutdown_margin")]
    assert margins == [-3, -2, -8]


def test_fans_one_by_one(machine: MachineFactory) -> None:
    hot = machine("rtx4080s")
    hot.set("gpu 0", {"fan_count": 3, "fan_speed": 40, "fan_speed.1": 102, "fan_speed.2": 0})
    # pynvml's own call asks for fan 0 whatever there is.
    hot.set("gpu 0", {"fan_speed_rpm": 1200, "fan_speed_rpm.1": 3100, "fan_speed_rpm.2": 0})
    answer = collect(hot.env)
    uuid = answer.by_index[0]["uuid"]
    assert answer.by_index[0]["fan_speed"] == 102
    assert answer.by_index[0]["fan_rpm"] == 3100
    fans = ((40, 1200), (102, 3100), (0, 0))
    assert answer.document["fans"] == {
        f"{uuid}/{fan}": {"speed": speed, "rpm": rpm} for fan, (speed, rpm) in enumerate(fans)
    }
    assert [row["{#FAN}"] for row in answer.document["discovery"]["fans"]] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("value", "rows", "reported"),
    [
        ("!NOT_SUPPORTED", ["0", "1"], []),
        ("4294967295", ["0", "1"], []),
        ("!INVALID_ARGUMENT", ["0", "1"], []),
        ("!UNKNOWN", ["0", "1", "2"], [("fan 2 speed", 999)]),
    ],
)
def test_a_fan_that_does_not_answer_takes_no_other(
    machine: MachineFactory, value: str, rows: list[str], reported: list[tuple[str, int]]
) -> None:
    well = collect(machine("rtx4080s", clock=CLOCK).env)
    broken = machine("rtx4080s", clock=CLOCK)
    broken.set("gpu 0", {"fan_speed.2": value})
    answer = collect(broken.env)
    uuid = answer.by_index[0]["uuid"]
    assert [row["{#FAN}"] for row in answer.document["discovery"]["fans"]] == rows
    assert answer.document["fans"][f"{uuid}/1"] == well.document["fans"][f"{uuid}/1"]
    assert answer.by_index[0] == well.by_index[0]
    assert (answer.lacks(), answer.rows) == (well.lacks(), well.rows)
    assert [(problem["metric"], problem["code"]) for problem in answer.errors] == reported


@pytest.mark.parametrize(("error", "lacking", "reported"), [("NOT_SUPPORTED", True, 0), ("UNKNOWN", False, 2)])
def test_no_fan_answers(machine: MachineFactory, error: str, *, lacking: bool, reported: int) -> None:
    broken = machine("rtx4080s", clock=CLOCK)
    broken.set("gpu 0", nvmlDeviceGetFanSpeed_v2=f"!{error}")
    answer = collect(broken.env)
    assert ("fan_speed" in answer.lacks()) == lacking
    assert "fan_speed" not in answer.by_index[0]
    assert len([problem for problem in answer.errors if problem["metric"].startswith("fan_")]) == reported


def test_only_fan_has_no_row_of_its_own(machine: MachineFactory) -> None:
    answer = collect(machine("gtx1070").env)
    assert "fan_speed" in answer.by_index[0]
    assert "fans" not in answer.document
    assert answer.document["discovery"]["fans"] == []


# -- callers ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_polls_at_the_same_time_both_get_an_answer(eight: Machine, clocked: ClocksFactory) -> None:
    """Two servers, or a server and a person: the second waits for the first, which takes a moment."""
    clocked(eight, speed=SLOW)  # for them it takes no more, however busy the machine is
    eight.set("gpu 0", power_usage="!SLOW(0.1) 70000")
    for answer in [poll.answer() for poll in (Poll(eight.env), Poll(eight.env))]:
        assert answer.code == 0
        assert len(answer.by_index) == 8


@pytest.mark.parametrize("closed", [">&-", "<&- >&-", ">&- 2>&-", "<&- >&- 2>&-", ">/dev/full"])
def test_nobody_to_write_to_is_no_reason_to_complain(machine: MachineFactory, closed: str) -> None:
    run = subprocess.run(
        ["sh", "-c", f'"$0" get --deadline {NO_DEADLINE:g} {closed}', AGENT],
        env=machine("t4").env,
        capture_output=True,
        check=False,
        timeout=PATIENCE,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, b"", b"")


@pytest.mark.parametrize("closed", ["<&-", "<&- 2>&-"])
def test_streams_that_the_caller_has_closed_are_not_missed(machine: MachineFactory, closed: str) -> None:
    """The collector's pipe takes the place of what is closed."""
    run = subprocess.run(
        ["sh", "-c", f'"$0" get --deadline {NO_DEADLINE:g} {closed}', AGENT],
        env=machine("t4").env,
        capture_output=True,
        check=False,
        timeout=PATIENCE,
    )
    assert run.stderr == b""
    assert len(checked(run.stdout).by_index) == 1


def test_listener_that_has_left(machine: MachineFactory) -> None:
    run = subprocess.Popen(
        [AGENT, "get"], env=machine("t4").env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert run.stdout
    run.stdout.close()
    assert run.communicate(timeout=PATIENCE)[1] == b""
    assert run.returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["gat"],
        ["get", "--deadline"],
        ["get", "--deadline", "0"],
        ["get", "--deadline", "-1"],
        ["get", "--deadline", "nan"],
        ["get", "--deadline", "inf"],
        ["get", "--deadline", "601"],
        ["get", "--deadline", "soon"],
        ["get", "--quiet"],
        ["links", "--beside"],
        ["get", "--deadline", "1", "2"],
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(machine: MachineFactory, arguments: list[str]) -> None:
    run = subprocess.run(
        [AGENT, *arguments], env=machine("t4").env, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("zbx-nvidia-agent: ")
    assert run.stderr.count("\n") == 1
    assert "--help" in run.stderr


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_needs_no_driver(option: str) -> None:
    run = subprocess.run([AGENT, option], env={}, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert (run.returncode, run.stderr) == (0, "")
    assert "zbx-nvidia-agent" in run.stdout
