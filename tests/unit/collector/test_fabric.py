"""NVLinks and the fabric behind them, and what else the driver says of parts that are out of order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.collector.collector import CLOCK, collect

if TYPE_CHECKING:
    from tests.conftest import Machine, MachineFactory
    from tests.unit.collector.collector import Answer

NVLINK_5 = (202, 204, 206, 207, 208, 211, 213, 214, 215, 219)


def changed(machine: MachineFactory, profile: str, values: dict[str, Any]) -> tuple[Answer, Answer]:
    """The answers of a machine, and of the same where one GPU is different."""
    broken: Machine = machine(profile, clock=CLOCK)
    before = collect(broken.env)
    broken.set("gpu 1" if "gpu 1" in broken.path.read_text() else "gpu 0", values)
    return before, collect(broken.env)


@pytest.mark.parametrize(
    ("mask", "summary", "faults"),
    [
        (0x1AA, 1, ""),
        (0xAA, 1, ""),
        (0, 1, ""),
        (0x199, 2, "bandwidth degraded, route unhealthy"),
        (
            0x155,
            2,
            "bandwidth degraded, route recovery in progress, route unhealthy, access timeout recovery in progress",
        ),
        (0x2AA, 2, "wrong system GUID"),
        (0x5AA, 3, "too few NVLinks"),
        (0x8AA, 2, "invalid GPU state"),
        (0x21AA, 2, "no partition assigned"),
        (0x91AA, 2, "global fabric manager disconnected"),
        (0x51AA, 1, ""),  # assigned, and connected
        (0x1AA, 2, "unhealthy"),
        (0, 3, "limited capacity"),
    ],
)
def test_health_of_the_fabric(machine: MachineFactory, mask: int, summary: int, faults: str) -> None:
    _, answer = changed(machine, "b200x8", {"fabric_health_mask": mask, "fabric_health_summary": summary})
    assert (answer.by_index[1]["fabric_health"], answer.by_index[1]["fabric_faults"]) == (summary, faults)
    assert answer.by_index[0]["fabric_faults"] == ""


@pytest.mark.parametrize(("state", "lacking"), [(3, True), (2, False), (1, False)])
def test_a_driver_without_information_on_health(machine: MachineFactory, state: int, *, lacking: bool) -> None:
    """While it joins, a GPU has none yet."""
    values = {"fabric_health_mask": 0, "fabric_health_summary": 0, "fabric_state": state}
    _, answer = changed(machine, "b200x8", values)
    assert not {"fabric_health", "fabric_faults"} & answer.by_index[1].keys()
    assert ("faults" in answer.lacks(1)) == lacking
    assert answer.errors == []


def test_place_in_a_fabric_of_several_machines(machine: MachineFactory) -> None:
    uuid = "9a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"
    before, answer = changed(machine, "h100x8", {"fabric_cluster_uuid": uuid, "fabric_clique_id": 7})
    assert (answer.by_index[1]["fabric_clique"], answer.by_index[1]["fabric_cluster"]) == (7, uuid)
    assert "clique" in before.lacks(1), "a machine alone"


def test_a_gpu_that_has_left_its_fabric_does_not_lack_one(machine: MachineFactory) -> None:
    before, answer = changed(machine, "b200x8", {"fabric_state": 0})
    assert answer.by_index[1]["fabric_state"] == 0
    assert answer.lacks(1) == before.lacks(1)
    assert answer.rows == before.rows


def test_a_card_without_nvlinks_has_no_fabric(machine: MachineFactory) -> None:
    _, answer = changed(machine, "h100x8", {"fabric_state": 0, "nvlink_count": 0})
    assert {reader for reader in answer.lacks(1) if reader.startswith(("fabric", "nvlink", "speeds"))} >= {
        "fabric",
        "nvlink",
        "nvlink_sent",
        "nvlink_received",
        "nvlink_replays",
        "nvlink_recoveries",
        "nvlink_crc",
        "speeds",
    }
    assert not [key for key in answer.by_index[1] if key.startswith(("fabric", "nvlink"))]
    assert answer.errors == []


def test_a_board_whose_nvlinks_are_all_down_does_not_lack_their_counters(machine: MachineFactory) -> None:
    values: dict[str, Any] = {f"field.{number}": "!NOT_SUPPORTED" for number in NVLINK_5}
    before, answer = changed(machine, "b200x8", {**values, "nvlink_state": 0})
    assert answer.by_index[1]["nvlink_up"] == 0
    assert answer.by_index[1]["nvlink_down"] == ", ".join(map(str, range(18)))
    assert answer.lacks(1) == before.lacks(1)
    gone = before.by_index[1].keys() - answer.by_index[1].keys()
    assert gone == {key for key in before.by_index[1] if key.startswith("nvlink_")} - {
        "nvlink_up",
        "nvlink_links",
        "nvlink_down",
    }


def test_a_card_that_never_had_a_bridge_lacks_the_counters(machine: MachineFactory) -> None:
    answer = collect(machine("rtx3090").env)
    assert answer.by_index[0]["nvlink_up"] == 0
    assert {"nvlink_sent", "nvlink_replays", "nvlink_crc", "speeds"} <= answer.lacks()


def test_a_counter_of_many_years_is_possible(machine: MachineFactory) -> None:
    _, answer = changed(machine, "h100x8", {"nvlink_throughput_data_tx.sum": 1 << 61})
    assert answer.by_index[1]["nvlink_sent"] == 1 << 71
    assert answer.errors == []


def test_errors_are_summed_where_the_driver_has_no_sum(machine: MachineFactory) -> None:
    totals = dict.fromkeys(("field.52", "field.59", "field.38", "field.45"), "!NOT_SUPPORTED")
    errors = {"nvlink_replay_errors.3": 4, "nvlink_recovery_errors.17": 2, "nvlink_crc_flit_errors.0": 5}
    _, answer = changed(machine, "h100x8", {**totals, **errors, "nvlink_crc_data_errors.9": 1})
    found = answer.by_index[1]
    assert (found["nvlink_replays"], found["nvlink_recoveries"], found["nvlink_crc"]) == (4, 2, 6)


@pytest.mark.parametrize(
    ("profile", "values", "lowest", "slow"),
    [
        ("h100x8", {}, 26_562_000_000, ""),
        ("h100x8", {"nvlink_speed.4": 13_281, "nvlink_speed.11": 20_000}, 13_281_000_000, "4, 11"),
        ("h100x8", {"nvlink_speed.4": 0, "nvlink_state.4": 0}, 26_562_000_000, ""),
        ("b200x8", {"nvlink_speed.17": 26_562}, 26_562_000_000, "17"),
        ("b200x8", {"nvlink_speed": 50_000}, 50_000_000_000, ""),
        ("v100", {}, 25_781_000_000, ""),
        ("rtx3090", {"nvlink_state": 1, "nvlink_speed": 14_062}, 14_062_000_000, ""),
        ("rtx3090", {"nvlink_state": 1, "nvlink_speed": 7_031}, 7_031_000_000, "0, 1, 2, 3"),
        ("h100x8", {"nvlink_version": 99, "nvlink_speed": 1}, 1_000_000, ""),
    ],
)
def test_speed_of_nvlinks(
    machine: MachineFactory, profile: str, values: dict[str, Any], lowest: int, slow: str
) -> None:
    _, answer = changed(machine, profile, values)
    found = answer.by_index[max(answer.by_index) and 1]
    assert (found["nvlink_speed"], found["nvlink_slow"]) == (lowest, slow)


def test_a_remapping_that_failed_counts_without_a_histogram(machine: MachineFactory) -> None:
    _, answer = changed(machine, "rtx4080s", {"remapped_rows_failure": 1})
    assert answer.by_index[0]["remap_failure"] == 1
    assert "remapped_rows" in collect(machine("rtx4080s").env).lacks()


def test_repairs_that_wait_for_a_reset(machine: MachineFactory) -> None:
    before, answer = changed(machine, "b200x8", {"repair_tpc_pending": 1})
    assert (answer.by_index[1]["repair_channel_pending"], answer.by_index[1]["repair_tpc_pending"]) == (0, 1)
    assert before.by_index[1]["repair_tpc_pending"] == 0
    assert "repairs" in collect(machine("t4").env).lacks()


def test_power_of_the_memory_and_identity_of_the_chip(machine: MachineFactory) -> None:
    _, answer = changed(machine, "b200x8", {"power_memory": 61_500, "pdi": 0x123456789ABC})
    assert (answer.by_index[1]["power_memory"], answer.by_index[1]["pdi"]) == (61.5, "0x123456789abc")
    lacks = collect(machine("t4").env).lacks()
    assert {"power_memory", "pdi"} <= lacks


def test_a_process_has_its_compute_instance(machine: MachineFactory) -> None:
    divided = machine("a100-mig")
    divided.set("gpu 0 process 5004242", compute=1, gpu_instance_id=2, compute_instance_id=1, used_memory=1 << 20)
    processes = [entry for gpu in collect(divided.env).by_index.values() for entry in gpu["process_list"]]
    assert [(entry["mig"], entry["ci"]) for entry in processes if entry["pid"] == 5004242] == [(2, 1)]


def test_vgpus_that_have_no_sample_yet_do_not_lack_their_utilization(machine: MachineFactory) -> None:
    host = machine("a10-vgpu-host")
    host.set("gpu 0", nvmlDeviceGetVgpuUtilization="!NOT_FOUND")
    rows = collect(host.env).document["discovery"]["vgpus"]
    assert rows
    assert not [row for row in rows if ",utilization," in row["{#LACKS}"]]
    host.set("gpu 0", nvmlDeviceGetVgpuUtilization="!NOT_SUPPORTED")
    assert all(",utilization," in row["{#LACKS}"] for row in collect(host.env).document["discovery"]["vgpus"])
