"""A wall clock that jumps while the service runs: nothing but what shows it may notice."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.unit.agent.resident.conftest import Clocks

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Machine
    from tests.unit.agent.resident.conftest import ServiceFactory
    from tests.unit.agent.resident.service import Service

DAY = 86_400


@pytest.fixture
def clocks(tmp_path: Path, clocks_library: Path, eight: Machine) -> Clocks:
    made = Clocks(tmp_path / "clocks", clocks_library)
    eight.env |= made.env
    return made


def shows(service: Service, clocks: Clocks) -> bool:
    return bool(abs(service.answer().document["timestamp"] - clocks.time()) < 3)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [DAY, -DAY])
def test_a_jump_while_all_is_well(eight: Machine, serve: ServiceFactory, clocks: Clocks, seconds: float) -> None:
    service = serve(eight, window="10s", xid_memory="10s")
    service.well()
    assert shows(service, clocks)
    worker = service.worker()
    calm = eight.path.read_text()
    eight.set("gpu 2", {"power_instant": 690_000, "xid.1": 31})
    before = service.until(lambda answer: answer.by_index[2]["xid_count"] == 1, "an XID").by_index[2]
    seen = time.monotonic()
    assert before["sampled_power_peak"] == 690
    eight.write(calm)
    service.next()
    clocks.jump(seconds)
    service.until(lambda _: shows(service, clocks), "the new time", 3)
    # What is remembered is neither forgotten nor kept longer.
    after = service.next()
    assert after.code == 0
    gpu = after.by_index[2]
    assert (gpu["sampled_power_peak"], gpu["xid_recent"], gpu["xid_last_time"]) == (
        690,
        ",31,",
        before["xid_last_time"],
    )
    service.until(lambda answer: answer.by_index[2]["sampled_power_peak"] < 690, "an end of the window", 13)
    service.until(lambda answer: answer.by_index[2]["xid_recent"] == ",", "an end of the memory", 13)
    assert 9 < time.monotonic() - seen < 16
    # Documents come as often as before, with what is true now, and what happens now has the new time.
    started = time.monotonic()
    for degrees in range(41, 46):
        eight.set("gpu 2", temperature=degrees)
        wanted = f'"temperature":{degrees},'
        while wanted not in service.answer().text:
            assert time.monotonic() - started < 20, "an old value"
            time.sleep(0.02)
    assert time.monotonic() - started < 10
    eight.set("gpu 2", {"xid.2": 13})
    last = service.until(lambda answer: answer.by_index[2]["xid_count"] == 2, "another XID").by_index[2]
    assert abs(last["xid_last_time"] - clocks.time()) < 5
    assert service.worker() == worker
    assert service.said().count("8 GPUs") == 1, "it was well all the time"


@pytest.mark.parametrize("seconds", [DAY, -DAY])
def test_a_jump_while_a_call_hangs(eight: Machine, serve: ServiceFactory, clocks: Clocks, seconds: float) -> None:
    """For how long nothing has come does not jump, and the others go on."""
    service = serve(eight)
    service.well()
    eight.set("gpu 5", power_instant="!HANG")
    service.until(lambda answer: answer.code == 1003, "a stall")
    clocks.jump(seconds)
    answer = service.until(lambda _: shows(service, clocks), "the new time", 3)
    assert answer.message.startswith("No answer for ")
    assert 0 < int(answer.message.split()[3]) < 10
    assert len(service.next().by_index) == 7


@pytest.mark.parametrize("seconds", [DAY, -DAY])
def test_a_jump_during_a_release(eight: Machine, serve: ServiceFactory, clocks: Clocks, seconds: float) -> None:
    service = serve(eight)
    service.well()
    assert service.run("release", "--for", "3s").returncode == 0
    started = time.monotonic()
    clocks.jump(seconds)
    service.until(lambda answer: answer.code == 1004 and shows(service, clocks), "the new time", 3)
    service.well()
    assert 2 < time.monotonic() - started < 8
