"""GPU-hours of users, against those of the polls that the trends were made of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.report.test_usage import DAY, POLLS, trend
from zbx_nvidia.catalog.metrics import GROUPS
from zbx_nvidia.report.figures import Line, Money, numbers
from zbx_nvidia.report.gather import _OF_USER
from zbx_nvidia.report.period import HOUR
from zbx_nvidia.report.report import SWITCH
from zbx_nvidia.report.users import User, UserHour, most_at_once, of_user
from zbx_nvidia.template.build import switch

# How many GPUs a user has in each minute of an hour, 0 without a process: then there is no value.
MINUTES = st.lists(st.integers(0, 8), min_size=POLLS, max_size=POLLS)


def hour(gpus: list[int], utilization: float | None = None) -> UserHour:
    there = [float(count) for count in gpus if count]
    if not there:
        return UserHour()
    return UserHour(trend(there), None if utilization is None else trend([utilization] * len(there)))


@given(st.dictionaries(st.integers(0, 23), MINUTES, max_size=6))
def test_gpu_hours_are_those_of_the_polls(hours: dict[int, list[int]]) -> None:
    usage = of_user(
        {number * HOUR: hour(gpus) for number, gpus in hours.items()},
        dict.fromkeys((number * HOUR for number in hours), POLLS),
        DAY,
    )
    assert usage.present == pytest.approx(sum(sum(gpus) for gpus in hours.values()) / POLLS)
    # Nobody knows whether they worked.
    assert (usage.busy, usage.held_idle, usage.free, usage.utilization) == (0, 0, 0, None)


def test_an_hour_without_any_work_is_held_but_idle() -> None:
    hours = {0: hour([2] * POLLS, 150.0), HOUR: hour([2] * POLLS, 0.0), 25 * HOUR: hour([8] * POLLS, 800.0)}
    polls = dict.fromkeys(hours, POLLS)
    usage = of_user(hours, polls, DAY)
    assert (usage.present, usage.busy, usage.held_idle) == (4, 2, 2)
    assert usage.utilization == pytest.approx(1.5 / 4)
    user = User("alice", "1", hours=hours)
    assert most_at_once([user, User("alice", "2", hours={HOUR: hour([3] * POLLS)})], DAY) == 5
    assert usage.coverage is None, "a user has no gaps"


def test_work_of_which_nothing_is_known_is_not_0() -> None:
    def figures(utilization: float | None) -> tuple[object, object]:
        usage = of_user({0: hour([1] * POLLS, utilization)}, {0: POLLS}, DAY)
        found = numbers(Line("alice", 1, usage), Money())
        return found["busy_hours"], found["held_idle_hours"]

    assert figures(None) == (None, None)
    assert figures(0.0) == (0, 1)
    assert figures(50.0) == (1, 0)


def test_an_hour_of_which_the_host_has_no_values_is_nothing() -> None:
    assert of_user({0: hour([1] * POLLS)}, {}, DAY).present == 0


def test_the_items_and_the_switch_are_those_of_the_template() -> None:
    assert set(_OF_USER) == {"nvidia.user.gpus", "nvidia.user.utilization"}
    assert any(group.name == "users" for group in GROUPS)
    assert switch("users") == SWITCH
