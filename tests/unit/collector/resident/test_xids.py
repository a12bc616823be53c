"""The watcher of one GPU, with a driver that has XIDs when the test says so."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from tests.conftest import PATIENCE
from zbx_nvidia.collector.resident.xids import Watcher

if TYPE_CHECKING:
    from zbx_nvidia.collector.resident.reports import XidReport


class Driver:
    """Events of one GPU, as `driver.events.XidWatch` gives them."""

    uuid = "GPU-aaaaaaaa-2222-3333-4444-555555555550"

    def __init__(self) -> None:
        self.events: deque[int] = deque()
        self.asked = threading.Event()
        self.answers = threading.Event()  # the question whose an XID is
        self.answers.set()
        self.closed = False

    def next(self) -> int | None:
        return self.events.popleft() if self.events else None

    def source(self) -> str:
        self.asked.set()
        self.answers.wait(PATIENCE)
        return self.uuid

    def close(self) -> None:
        self.closed = True


def watched() -> tuple[Driver, Watcher, list[XidReport]]:
    driver = Driver()
    told: list[XidReport] = []
    watcher = Watcher(0, lambda _: driver, told.append)
    watcher.begin()
    return driver, watcher, told


def test_what_comes_between_the_last_look_and_the_end_is_told() -> None:
    driver, watcher, told = watched()
    driver.events.extend((79, 13, 13))
    watcher.stop()
    watcher.join()
    assert [(code, count) for report in told for code, count, *_ in report.codes] == [(79, 1), (13, 2)]
    assert {report.uuid for report in told} == {driver.uuid}
    assert driver.closed


def test_the_end_waits_for_a_question_of_the_last_look() -> None:
    """To leave during a call would end it."""
    driver, watcher, _ = watched()
    driver.answers.clear()
    driver.events.append(79)
    watcher.stop()
    ending = threading.Thread(target=watcher.join, daemon=True)
    ending.start()
    assert driver.asked.wait(PATIENCE)
    ending.join(1)
    assert ending.is_alive()
    driver.answers.set()
    ending.join(PATIENCE)
    assert driver.closed


def test_a_storm_does_not_hold_up_the_end() -> None:
    driver, watcher, told = watched()

    class Endless(deque[int]):
        def __bool__(self) -> bool:
            return True

        def popleft(self) -> int:
            return 13

    driver.events = Endless()
    watcher.stop()
    watcher.join()
    assert sum(count for report in told for _, count, *_ in report.codes) > 0
    assert driver.closed


def test_nothing_is_told_where_nothing_came() -> None:
    driver, watcher, told = watched()
    watcher.looked.look()
    watcher.stop()
    watcher.join()
    assert told == []
    assert watcher.able
    assert driver.closed
