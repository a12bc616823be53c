"""Sums of hourly trends, against those of the polls that the trends were made of."""

from __future__ import annotations

from dataclasses import fields
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zbx_nvidia.report.incidents import Incident, by_class, lost_hours
from zbx_nvidia.report.period import HOUR, Period
from zbx_nvidia.report.usage import Hour, Trend, Usage, counted, of_hours

POLLS = 60  # an hour
DAY = Period(0, 24 * HOUR)


class Poll(NamedTuple):
    """What a poll stores."""

    present: int = 1
    utilization: float = 50
    processes: int = 1
    power: float = 200


def trend(values: list[float]) -> Trend:
    """What Zabbix makes of an hour's values; of integers, it cuts the mean to an integer."""
    mean = sum(values) / len(values)
    whole = all(isinstance(value, int) for value in values)
    return Trend(len(values), min(values), int(mean) if whole else mean, max(values))


def hour_of(polls: list[Poll], energy: list[float] | None = None) -> Hour:
    here = [poll for poll in polls if poll.present]
    hour = Hour(polls=POLLS, present=trend([poll.present for poll in polls]))
    if here:
        hour.utilization = trend([poll.utilization for poll in here])
        hour.processes = trend([float(poll.processes) for poll in here])
        hour.power = trend([poll.power for poll in here])
    if energy:
        hour.energy = trend(energy)
    return hour


def day(**hours: list[Poll]) -> Usage:
    return of_hours({int(name[1:]) * HOUR: hour_of(polls) for name, polls in hours.items()}, DAY)


def test_an_hour_of_each_kind() -> None:
    busy, idle, free = Poll(), Poll(utilization=0), Poll(utilization=0, processes=0)
    usage = day(h0=[busy] * POLLS, h1=[idle] * POLLS, h2=[free] * POLLS)
    assert (usage.busy, usage.held_idle, usage.free) == (1, 1, 1)
    assert usage.present == usage.covered == 3
    assert usage.coverage == 3 / 24
    assert usage.utilization == pytest.approx(0.5 / 3)
    assert usage.joules == usage.estimated == 3 * HOUR * 200


def test_a_gap_is_not_idle() -> None:
    usage = day(h0=[Poll(utilization=0)] * 15)
    assert usage.held_idle == usage.covered == 0.25
    assert usage.free == 0
    assert day().utilization is None
    assert day().kwh is None
    assert day().throttled_share is None


def test_a_lost_card_is_covered_but_not_present() -> None:
    usage = day(h0=[Poll()] * 30 + [Poll(present=0)] * 30)
    assert (usage.covered, usage.present) == (1, 0.5)
    assert usage.busy == 0.5


def test_one_kernel_makes_an_hour_busy() -> None:
    assert day(h0=[*[Poll(utilization=0)] * 59, Poll(utilization=1)]).held_idle == 0


def test_where_processes_cannot_be_counted_only_work_is_known() -> None:
    working, resting = hour_of([Poll()] * POLLS), hour_of([Poll(utilization=0)] * POLLS)
    working.processes = resting.processes = None
    usage = of_hours({0: working, HOUR: resting}, DAY)
    assert (usage.busy, usage.held_idle, usage.free, usage.present) == (1, 0, 0, 2)


@pytest.mark.slow
@settings(max_examples=200)
@given(st.lists(st.lists(st.builds(Poll, st.integers(0, 1), st.floats(0, 100), st.integers(0, 1), st.floats(0, 700)),
                         min_size=1, max_size=POLLS), min_size=1, max_size=24))  # fmt: skip
def test_sums_are_those_of_the_polls(hours: list[list[Poll]]) -> None:
    usage = of_hours({number * HOUR: hour_of(polls) for number, polls in enumerate(hours)}, DAY)
    polls = [poll for each in hours for poll in each]
    here = [poll for poll in polls if poll.present]
    assert usage.covered == pytest.approx(len(polls) / POLLS)
    assert usage.present == pytest.approx(len(here) / POLLS)
    assert usage.busy + usage.held_idle + usage.free == pytest.approx(usage.present)
    assert usage.free == pytest.approx(len([poll for poll in here if not poll.processes]) / POLLS)
    assert usage.worked == pytest.approx(sum(poll.utilization for poll in here) / 100 / POLLS)
    assert usage.joules == pytest.approx(sum(poll.power for poll in here) * HOUR / POLLS)


@pytest.mark.slow
@settings(max_examples=200)
@given(st.lists(st.lists(st.floats(0, 1e6), min_size=2, max_size=POLLS), min_size=1, max_size=24), st.booleans())
def test_energy_is_what_the_counter_counted(steps: list[list[float]], before: bool) -> None:  # noqa: FBT001
    """Also of the hour before, whose last value the first hour goes on from."""
    value, hours, first = 5e9, {}, 0.0
    for number, each in enumerate(steps):
        values = []
        for step in each:
            value += step
            values.append(value)
        first = first or values[0]
        hours[number * HOUR] = hour_of([Poll()] * len(values), values)
    if before:
        hours[-HOUR] = hour_of([Poll()], [5e9])
        first = 5e9
    usage = of_hours(hours, DAY)
    assert usage.joules == pytest.approx(value - first, abs=1)
    assert usage.estimated == 0


def test_a_counter_that_began_again() -> None:
    assert counted([Trend(60, 1000, 1500, 2000), Trend(60, 2100, 2500, 3000)]) == 2000
    # After a restart of the driver: what it counts from 0 was used since.
    assert counted([Trend(60, 1000, 1500, 2000), Trend(60, 10, 50, 90)]) == 1090
    # In the middle of the second hour, and lower still in the third.
    assert counted([Trend(60, 1000, 1500, 2000), Trend(60, 0, 500, 2600), Trend(60, 50, 100, 200)]) == 1000 + 600 + 200


def test_throttling_is_what_it_is_at_least() -> None:
    always, once, never = Trend(1, 100, 100, 100), Trend(3, 0, 20, 60), Trend(1, 0, 0, 0)
    hours = {number * HOUR: hour_of([Poll()] * POLLS) for number in range(4)}
    for hour, found in zip(hours.values(), ([always], [once], [never, never], []), strict=True):
        hour.throttling = found
    usage = of_hours(hours, DAY)
    assert usage.throttle_known == 3
    assert usage.throttled == pytest.approx(1 + 0.2 * 3 / 60)


def test_all_of_a_usage_is_added() -> None:
    one = Usage(**{each.name: 1.0 for each in fields(Usage)})
    one.add(Usage(**{each.name: 2.0 for each in fields(Usage)}))
    assert one == Usage(**{each.name: 3.0 for each in fields(Usage)} | {"hottest": 2.0})
    one.add(Usage())
    assert one.hottest == 2


def test_the_highest_temperature_of_all_hours() -> None:
    hours = {number * HOUR: hour_of([Poll()] * POLLS) for number in range(3)}
    for hour, most in zip(hours.values(), (-8.0, 0.0, -5.0), strict=True):
        hour.temperature = Trend(POLLS, most, most, most)
    assert of_hours(hours, DAY).hottest == 0


def test_problems_at_the_same_time_are_lost_once() -> None:
    def problem(gpu: str, since: int, until: int, scope: str = "availability") -> Incident:
        return Incident("1", gpu, scope, "", since * HOUR, until * HOUR)

    found = [
        problem("a", 1, 4),
        problem("", 3, 5),
        problem("a", 8, 9),
        problem("b", 0, 9),
        problem("a", 0, 9, "notice"),
    ]
    assert lost_hours(found, "1", "a") == 5
    assert lost_hours(found, "2", "a") == 0
    assert by_class(found) == {"availability": (4, 15), "notice": (1, 9)}
