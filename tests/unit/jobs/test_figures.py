"""The figures of a GPU, from readings whose truth is known."""

from __future__ import annotations

from typing import Any

import pytest

from zbx_nvidia.jobs.figures import GpuFigures

JOB, OTHER = 10, 20
GAP = 5.0


def entry(pid: int, utilization: int | None = None, memory: int | None = 1 << 30) -> dict[str, Any]:
    found: dict[str, Any] = {"pid": pid, "uid": 1000, "name": f"p{pid}"}
    if utilization is not None:
        found["utilization"] = utilization
    if memory is not None:
        found["memory"] = memory
    return found


def figures(
    *looks: tuple[float, dict[str, Any]], ended: float, started: float = 0.0, job: frozenset[int] = frozenset({JOB})
) -> dict[str, Any]:
    """What these readings, each with its time, come to. The readings after the end know that it has ended."""
    found = GpuFigures(started)
    for at, readings in looks:
        whole = {"uuid": "GPU-1", "process_list": [entry(JOB)], **readings}
        found.take(0, whole, job, at=at, gap=GAP, ended=ended if at > ended else None)
    return found.result(ended)


def test_the_counter_counts_within_the_job_only() -> None:
    """100 W all the time; the readings are before the start and after the end."""
    found = figures(*((at, {"energy": 100 * at}) for at in (-1.0, 1.0, 2.0, 4.0)), ended=3.0)
    assert found["energy"] == pytest.approx(300)
    assert found["energy_of"] == "counter"
    assert found["energy_covered"] == 3
    assert found["power_mean"] == 100


def test_power_is_integrated_where_there_is_no_counter() -> None:
    found = figures((0.0, {"power": 100.0}), (2.0, {"power": 200.0}), (4.0, {"power": 100.0}), ended=4.0)
    assert found["energy"] == pytest.approx(600)
    assert found["energy_of"] == "power"
    assert (found["power_mean"], found["power_peak"]) == (150, 200)


def test_over_a_long_gap_power_says_nothing() -> None:
    looks = [(0.0, {"power": 100.0}), (1.0, {"power": 100.0}), (100.0, {"power": 100.0}), (101.0, {"power": 100.0})]
    found = figures(*looks, ended=101.0)
    assert found["energy"] == pytest.approx(200)
    assert found["energy_covered"] == 2


def test_over_a_long_gap_nothing_else_is_averaged() -> None:
    looks = [(0.0, 10), (1.0, 10), (100.0, 90), (102.0, 90)]
    found = figures(*((at, {"utilization": value}) for at, value in looks), ended=102.0)
    assert found["utilization"] == pytest.approx((10 + 2 * 90) / 3, abs=0.01)


def test_a_counter_says_it_over_a_gap_too() -> None:
    found = figures((0.0, {"energy": 0.0}), (100.0, {"energy": 5000.0}), ended=100.0)
    assert (found["energy"], found["energy_covered"]) == (5000, 100)


@pytest.mark.parametrize("began_again", [3.0, 1e9])
def test_a_counter_that_begins_again(began_again: float) -> None:
    """After a reload of the driver, or at its end: the interval is that of the power, and that is said."""
    looks = [(0.0, 1000.0), (1.0, 1100.0), (2.0, began_again), (3.0, began_again + 100)]
    found = figures(*((at, {"energy": energy, "power": 100.0}) for at, energy in looks), ended=3.0)
    assert found["energy"] == pytest.approx(300)
    assert found["energy_of"] == "power and counter"
    assert found["energy_resets"] == 1


def test_a_counter_that_begins_again_on_a_card_without_power() -> None:
    found = figures((0.0, {"energy": 1000.0}), (1.0, {"energy": 1100.0}), (2.0, {"energy": 5.0}), ended=2.0)
    assert (found["energy"], found["energy_covered"], found["energy_resets"]) == (100, 1, 1)


def test_without_energy_and_power_nothing_is_made_up() -> None:
    found = figures((0.0, {}), (1.0, {}), ended=1.0)
    for key in ("energy", "power_mean", "power_peak", "utilization", "temperature_peak", "throttled"):
        assert key not in found


@pytest.mark.parametrize(
    ("own", "other", "part"), [(90, 30, 0.75), (0, 50, 0.0), (50, 0, 1.0), (0, 0, 1.0), (None, 30, 1.0)]
)
def test_a_shared_card(own: int | None, other: int, part: float) -> None:
    entries = [entry(JOB, own), entry(OTHER, other)]
    found = figures(*((at, {"energy": 100 * at, "process_list": entries}) for at in (0.0, 1.0, 2.0)), ended=2.0)
    assert found["energy"] == pytest.approx(200 * part)
    assert found["shared_with"] == [{"pid": OTHER, "name": "p20", "uid": 1000}]
    assert found["shared"] == 2
    assert found["energy_split"] == (own is not None and own + other > 0)


def test_while_only_others_are_on_the_card_nothing_counts() -> None:
    alone, shared = [entry(OTHER, 100)], [entry(JOB, 50), entry(OTHER, 50)]
    looks = [(0.0, alone), (1.0, alone), (2.0, shared), (3.0, shared)]
    found = figures(*((at, {"energy": 100 * at, "process_list": listed}) for at, listed in looks), ended=3.0)
    assert found["energy"] == pytest.approx(100)
    assert found["energy_card"] == pytest.approx(300)


def test_the_last_moment_is_that_of_the_process_that_has_ended() -> None:
    """The reading after the end has it no longer, but perhaps its successor."""
    looks = [(0.0, [entry(JOB, 100)]), (1.0, [entry(JOB, 100)]), (2.0, [entry(OTHER, 100)])]
    found = figures(*((at, {"energy": 100 * at, "process_list": listed}) for at, listed in looks), ended=1.9)
    assert found["energy"] == pytest.approx(190)


def test_memory_is_that_of_the_job() -> None:
    entries = [entry(JOB, memory=3), entry(11, memory=4), entry(OTHER, memory=100)]
    found = figures(
        (0.0, {"process_list": entries}), (1.0, {"process_list": entries[:1]}), ended=1.0, job=frozenset({JOB, 11})
    )
    assert found["memory_peak"] == 7


def test_memory_that_the_driver_does_not_say_is_not_zero() -> None:
    assert "memory_peak" not in figures((0.0, {"process_list": [entry(JOB, memory=None)]}), ended=1.0)


def test_a_pid_of_the_host_is_no_process_of_ours() -> None:
    """In a container, an old driver says the PIDs of the host; of these /proc knows nothing."""
    found = GpuFigures(0.0)
    found.take(0, {"uuid": "GPU-1", "process_list": [{"pid": JOB}]}, {JOB}, at=0.0, gap=GAP)
    assert not found.used


def test_shares_of_time() -> None:
    looks = [
        (0.0, {"throttle_hw_thermal": 0, "throttle_sw_power_cap": 1}),
        (1.0, {"throttle_hw_thermal": 0, "throttle_sw_power_cap": 1}),
        (2.0, {"throttle_hw_thermal": 1, "throttle_sw_power_cap": 0}),
        (4.0, {"throttle_hw_thermal": 1, "throttle_sw_power_cap": 0}),
    ]
    found = figures(*looks, ended=4.0)
    assert found["throttled"] == pytest.approx(62.5)
    assert found["power_capped"] == pytest.approx(37.5)


def test_until_when_a_card_was_read() -> None:
    assert "until" not in figures((0.0, {"power": 1.0}), (3.0, {"power": 1.0}), ended=2.5)
    assert figures((0.0, {"power": 1.0}), (1.0, {"power": 1.0}), ended=2.5)["until"] == 1
