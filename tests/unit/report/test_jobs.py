"""GPU-hours of jobs: when each held a GPU, and what the GPU did meanwhile."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.report.test_usage import DAY, POLLS, Poll, hour_of
from zbx_nvidia.report.jobs import HOLDS, held, of_job
from zbx_nvidia.report.period import HOUR
from zbx_nvidia.report.usage import of_hours

TRAIN, OTHER = "4711 train (alice)", "4712 (bob)"


def test_a_job_holds_the_gpu_from_its_first_value_to_the_next_one_without_it() -> None:
    values = [(-600, ""), (HOUR // 2, TRAIN), (HOUR, f"{TRAIN}; {OTHER}"), (2 * HOUR, OTHER), (2 * HOUR + 360, "")]
    assert held(values, DAY) == {TRAIN: {0: 0.5, HOUR: 1.0}, OTHER: {HOUR: 1.0, 2 * HOUR: 0.1}}


def test_a_gpu_of_which_nothing_is_known_is_held_by_nobody() -> None:
    assert held([], DAY) == {}


def test_what_was_held_before_the_period_counts_in_it() -> None:
    assert held([(-1800, TRAIN), (1800, "")], DAY) == {TRAIN: {0: 0.5}}


def test_a_value_holds_no_longer_than_the_next_one_may_take() -> None:
    """The host is down: nobody knows whether the job went on."""
    assert held([(0, TRAIN), (10 * HOUR, TRAIN)], DAY)[TRAIN] == {
        0: 1.0, HOUR: (HOLDS - HOUR) / HOUR, 10 * HOUR: 1.0, 11 * HOUR: (HOLDS - HOUR) / HOUR,
    }  # fmt: skip
    assert held([(24 * HOUR - 60, TRAIN)], DAY) == {TRAIN: {23 * HOUR: pytest.approx(1 / 60)}}


def test_the_last_job_of_a_value_that_was_cut_is_left_out() -> None:
    assert list(held([(0, f"{TRAIN}; 4712 a long na...")], DAY)) == [TRAIN]


def test_two_runs_of_one_name_hold_the_gpu_once() -> None:
    assert held([(0, "train (alice); train (alice)"), (1800, "")], DAY) == {"train (alice)": {0: 0.5}}


@given(st.lists(st.tuples(st.integers(1, 3000), st.sampled_from(["", TRAIN, OTHER, f"{TRAIN}; {OTHER}"])), max_size=40))
def test_no_second_is_lost_and_none_counts_twice(changes: list[tuple[int, str]]) -> None:
    clock, values = 0, []
    for length, text in changes:
        values.append((clock, text))
        clock += length
    values.append((clock, ""))
    found = held(values, DAY)
    for job in (TRAIN, OTHER):
        wanted = sum(length for length, text in changes if job in text)
        assert sum(found.get(job, {}).values()) * HOUR == pytest.approx(min(wanted, DAY.until))


def test_a_job_has_its_part_of_each_hour() -> None:
    busy, idle, free = Poll(power=200), Poll(utilization=0, power=100), Poll(utilization=0, processes=0, power=50)
    hours = {0: hour_of([busy] * POLLS), HOUR: hour_of([idle] * POLLS), 2 * HOUR: hour_of([free] * POLLS)}
    usage = of_job(hours, {0: 0.5, HOUR: 1.0, 2 * HOUR: 0.25, 5 * HOUR: 1.0})
    assert (usage.present, usage.busy) == (1.75, 0.5)
    assert usage.held_idle == 1.25, "also without a process on the GPU"
    assert usage.joules == HOUR * (0.5 * 200 + 100 + 0.25 * 50)
    assert usage.utilization == pytest.approx(0.25 / 1.75)
    assert usage.coverage is None, "a job has no gaps"


def test_a_job_for_all_hours_has_the_energy_of_the_counter() -> None:
    hours = {
        number * HOUR: hour_of([Poll()] * POLLS, [1000.0 * number + step for step in range(0, 1000, 100)])
        for number in range(-1, 24)
    }
    assert of_job(hours, dict.fromkeys(range(0, 24 * HOUR, HOUR), 1.0)).joules == of_hours(hours, DAY).joules == 24_000
