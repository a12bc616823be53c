"""What a run of the tests is said to have cost, and by what load they give way."""

from __future__ import annotations

import pytest

from tests.cost import LATELY, MINUTE, PERIOD, Cost, Load

pytestmark = pytest.mark.once


def seen(*minutes: float) -> Load:
    """A load that was so high in each minute from the start on."""
    load = Load()
    looks = int(MINUTE / PERIOD)
    for look in range(len(minutes) * looks):
        # Half of the looks one more than the other half.
        load.saw((look + 1) * PERIOD, int(minutes[look // looks] + look % 2 / 2))
    return load


def test_the_busiest_minute_and_when_it_began() -> None:
    cost = seen(2, 4, 9.5, 1).cost(240)
    assert cost == Cost(240, 4.125, 9.5, 120)
    assert str(cost) == (
        "processes runnable on average: 4.1 over 4.0 min, 9.5 in the busiest minute, which began at 2.0 min"
    )


def test_of_less_than_a_minute_the_mean_is_the_busiest() -> None:
    load = Load()
    for second, count in enumerate((3, 5, 4)):
        load.saw(second, count)
    assert load.cost(3) == Cost(3, 4, 4, 0)


def test_lately_is_the_last_quarter_of_a_minute_however_seldom_it_looked() -> None:
    load = seen(20)
    assert load.lately() == 20
    for late in (1, 2, 3):  # a thread that had to wait for a processor itself
        load.saw(MINUTE + late * LATELY / 3, 2 * late)
    assert load.lately() == 4


def test_nothing_was_seen_yet() -> None:
    assert Load().lately() == 0
    assert Load().cost(0.1) == Cost(0.1, 0, 0, 0)


def test_it_gives_way_while_it_should() -> None:
    load = seen(7)
    assert load.give_way(7, lambda _: True) == 0
    assert load.give_way(6.9, lambda seconds: seconds < 1) == 1
    assert load.give_way(6.9, lambda _: False) == 0
