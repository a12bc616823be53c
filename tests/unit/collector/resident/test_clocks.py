"""A wall clock that jumps while the service runs: nothing but what shows it may notice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.collector.resident.service import FAST

if TYPE_CHECKING:
    from tests.conftest import Machine
    from tests.unit.clocks import Clocks
    from tests.unit.collector.resident.conftest import ServiceFactory
    from tests.unit.collector.resident.service import Service
    from tests.unit.conftest import ClocksFactory

DAY = 86_400


@pytest.fixture
def clocks(eight: Machine, clocked: ClocksFactory) -> Clocks:
    return clocked(eight, speed=FAST)


def shows(service: Service, clocks: Clocks) -> bool:
    """Whether the document is of the time that the wall clock has, and of no other day."""
    return bool(abs(service.answer().document["timestamp"] - clocks.time()) < DAY / 2)


def test_a_jump_while_all_is_well(eight: Machine, serve: ServiceFactory, clocks: Clocks) -> None:
    service = serve(eight, window="500s", xid_memory="500s", stall="600s")
    service.well()
    assert shows(service, clocks)
    worker = service.worker()
    calm = eight.path.read_text()
    eight.set("gpu 2", {"power_instant": 690_000, "xid.1": 31})
    before = service.until(
        lambda answer: (answer.by_index[2]["xid_count"], answer.by_index[2]["sampled_power_peak"]) == (1, 690), "both"
    ).by_index[2]
    eight.write(calm)
    service.next()
    clocks.jump(-DAY)
    service.until(lambda _: shows(service, clocks), "the new time")

    # What is remembered is neither forgotten nor kept longer.
    def remembered() -> tuple[float, str, float]:
        answer = service.next()
        assert answer.code == 0
        gpu = answer.by_index[2]
        return gpu["sampled_power_peak"], gpu["xid_recent"], gpu["xid_last_time"]

    assert remembered() == (690, ",31,", before["xid_last_time"])
    clocks.leap(350)
    assert remembered() == (690, ",31,", before["xid_last_time"])
    clocks.leap(150)
    peak, recent, came = remembered()
    assert peak < 690
    assert (recent, came) == (",", before["xid_last_time"])
    # Documents go on to come, with what is true now, and what happens now has the new time.
    for degrees in range(41, 46):
        eight.set("gpu 2", temperature=degrees)
        service.until(lambda answer, wanted=degrees: answer.by_index[2]["temperature"] == wanted, "a new value")  # type: ignore[misc]
    eight.set("gpu 2", {"xid.2": 13})
    last = service.until(lambda answer: answer.by_index[2]["xid_count"] == 2, "another XID").by_index[2]
    assert abs(last["xid_last_time"] - clocks.time()) < DAY / 2
    assert service.worker() == worker
    assert service.said().count("8 GPUs") == 1, "it was well all the time"
