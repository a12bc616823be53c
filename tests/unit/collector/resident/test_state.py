"""What the service decides, on a clock of its own: hours pass in milliseconds."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.unit.collector.resident.world import EPOCH, INTERVAL, STALL, WINDOW, World
from zbx_nvidia.collector.protocol import Broken, Failed
from zbx_nvidia.collector.resident.kernel_log import LogLine
from zbx_nvidia.collector.resident.reports import XidReport
from zbx_nvidia.collector.resident.state import (
    FIRST_PAUSE,
    HELD,
    HOST,
    LONGEST_INTERVAL,
    LONGEST_PAUSE,
    RENEW_LOST,
)

OTHERS = [0, 1, 2, 3, 4, 6, 7]  # but GPU 5
NO_DRIVER = Failed(9, "Driver Not Loaded")


def age(world: World) -> int:
    found = re.match(r"No answer for (\d+) s", world.last.detail)
    assert found, world.last
    return int(found[1])


# -- while all is well -----------------------------------------------------------------------------------------------


def test_a_round_each_interval() -> None:
    world = World()
    world.leap(10 * INTERVAL)
    assert [when for when, _ in world.documents] == [1000 + INTERVAL * number for number in range(11)]
    assert all(len(document.gpus) == 8 for _, document in world.documents)
    assert (world.name, world.last.users) == ("OK", {1000: "ada"})
    assert len(world.starts) == 1


@pytest.mark.parametrize("hours", [1, 1000])
def test_rounds_that_a_sleeping_machine_missed_are_not_made_up(hours: int) -> None:
    world = World()
    world.sleep(3600 * hours)
    assert len(world.documents) == 2
    world.leap(INTERVAL)
    assert len(world.documents) == 3


def test_a_round_that_begins_late_moves_none_that_follow() -> None:
    world = World()
    world.leap(INTERVAL - 0.1)
    world.sleep(0.4)
    world.leap(INTERVAL)
    assert [when for when, _ in world.documents] == [1000, 1005.3, 1010]


def test_no_round_begins_while_one_is_under_way() -> None:
    world = World(stall="60s")
    world.hung = {5}
    world.leap(50)
    assert len(world.asked) == 2
    assert len(world.documents) == 1


def test_gpus_come_and_go() -> None:
    world = World(gpu_count=6)
    world.gpu_count = 8
    world.leap(INTERVAL)
    assert world.read == list(range(8))
    world.gpu_count = 7
    world.leap(INTERVAL)
    assert (world.name, world.read) == ("OK", list(range(7)))


def test_a_worker_of_another_version_ends_the_service() -> None:
    world = World()
    world.version = "9.9"
    world.die("signal 9")
    world.leap(FIRST_PAUSE)
    assert world.exit_code == 1
    assert world.said[-1].startswith("9.9 was installed over ")


# -- calls that do not come back -------------------------------------------------------------------------------------


def test_one_gpu_of_eight_stalls() -> None:
    world = World()
    world.hung = {5}
    world.leap(INTERVAL + STALL)
    assert (world.name, world.last.detail) == ("Stalled", "No answer for 10 s from GPU 5")
    assert world.read == OTHERS
    first = age(world)
    world.leap(INTERVAL)
    assert age(world) == first + INTERVAL
    world.leap(3600)
    assert len(world.starts) == 1, "left alone, and none beside it"
    assert all(when - before <= INTERVAL + STALL for (before, _), (when, _) in pairwise(world.documents))


def test_once_it_hangs_the_others_are_not_kept_waiting() -> None:
    world = World()
    world.hung = {5}
    world.leap(INTERVAL + STALL)
    count = len(world.documents)
    world.leap(10 * INTERVAL)
    assert len(world.documents) == count + 10


def test_sums_that_are_rounded_do_not_make_it_spin() -> None:
    """10.69... + 10 - 10.69... is less than 10; what is due by the sum must be due by the difference."""
    world = World()
    world.sleep(10.692984368923284)
    world.hung = {0}
    world.leap(INTERVAL + STALL)
    assert world.name == "Stalled"


def test_a_call_that_comes_back_late() -> None:
    world = World()
    world.hung = {5}
    world.leap(INTERVAL + STALL + 1)
    world.back(5)
    world.leap(2 * INTERVAL)
    assert (world.name, world.read) == ("OK", list(range(8)))
    assert len(world.starts) == 1


def test_a_call_that_comes_back_and_hangs_again_begins_to_count_anew() -> None:
    world = World()
    world.hung = {5}
    world.leap(1000)
    assert age(world) > 900
    world.back(5)
    world.hung = {5}
    world.leap(2 * STALL)
    assert age(world) < 3 * STALL


def test_a_stall_is_reported_when_it_is_one_and_not_a_round_later() -> None:
    world = World(interval="1m")
    world.hung = {5}
    world.leap(60 + STALL)
    assert world.documents[-1][0] == 1000 + 60 + STALL
    assert world.name == "Stalled"


def test_a_gpu_that_hangs_again_is_waited_for_again() -> None:
    """Its call of an earlier round comes back while another GPU keeps the round open."""
    world = World()
    world.hung = {5}
    world.leap(100)
    world.hung = {5, 6}
    world.leap(INTERVAL)
    count = len(world.documents)
    world.leap(STALL / 2)
    world.back(5)
    world.hung = {5, 6}
    world.leap(STALL / 2)
    assert len(world.documents) == count
    world.leap(STALL / 2)
    assert len(world.documents) > count


def test_an_answer_to_a_round_of_long_ago_is_none_to_this_one() -> None:
    world = World()
    world.hung = {HOST}
    world.leap(100)
    world.back(HOST)
    world.leap(INTERVAL)
    assert not [document for _, document in world.documents if "No answer for 0 s" in document.detail]


def test_the_whole_driver_stalls() -> None:
    world = World()
    world.hung = {HOST}
    world.leap(INTERVAL + STALL)
    assert (world.name, world.last.gpus, world.last.gpu_count) == ("Stalled", [], None)
    first = age(world)
    world.leap(INTERVAL)
    assert age(world) == first + INTERVAL
    world.leap(3600)
    assert len(world.starts) == 1
    world.back(HOST)
    world.leap(2 * INTERVAL)
    assert world.name == "OK"


def test_a_driver_that_hangs_from_the_start() -> None:
    world = World()
    world.hung = {HOST}
    world.die("signal 9")
    world.leap(FIRST_PAUSE + STALL + INTERVAL)
    assert age(world) >= STALL
    world.leap(1000)
    assert age(world) > 900
    assert len(world.starts) == 2
    world.back(HOST)
    world.leap(INTERVAL)
    assert world.name == "OK"


def test_a_worker_that_does_not_come_up_is_reported_when_it_stalls() -> None:
    world = World(interval="1m")
    world.release(1)
    world.hung = {HOST}
    world.leap(1 + STALL)
    assert (world.name, world.documents[-1][0]) == ("Stalled", world.now)


def test_a_worker_that_hangs_on_its_way_out() -> None:
    world = World()
    world.lingers = True
    world.driver = NO_DRIVER
    world.leap(INTERVAL)
    assert world.name == "Driver not loaded"
    world.leap(STALL + INTERVAL)
    assert (world.name, len(world.starts)) == ("Stalled", 1)


def test_a_worker_that_closes_its_pipe_and_stays() -> None:
    world = World()
    world.lingers = True
    world.die("signal 9")
    world.leap(STALL + INTERVAL)
    assert (world.name, len(world.starts)) == ("Stalled", 1)


def test_a_worker_of_an_earlier_service_hangs() -> None:
    world = World()
    world.blocked = True
    world.die("signal 9")
    count = len(world.documents)
    world.leap(FIRST_PAUSE + STALL / 2)
    assert world.name == "Collector failed"
    world.leap(1000)
    assert len(world.starts) == 1
    assert len(world.documents) > count
    world.blocked = False
    world.leap(INTERVAL)
    assert world.name == "OK"


def test_a_first_worker_that_is_kept_out_is_reported_when_it_stalls() -> None:
    world = World()
    world.blocked = True
    world.release(1)
    world.leap(2)
    assert world.name == "Released"
    world.leap(STALL)
    assert world.name == "Previous collection still running"


def test_each_time_that_it_is_kept_out_counts_by_itself() -> None:
    world = World()
    for _ in range(2):
        world.release(1)
        world.blocked = True
        world.leap(1 + 0.8 * STALL)
        assert world.name == "Released"
        world.blocked = False
        world.leap(INTERVAL)
        assert world.name == "OK"


# -- drivers and GPUs that go and come -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("why", "name", "detail"),
    [
        (NO_DRIVER, "Driver not loaded", "NVML error 9: Driver Not Loaded"),
        (Failed(18, "Mismatch"), "Driver and library versions differ", "NVML error 18: Mismatch"),
        (Failed(77, "New"), "Unknown driver error", "NVML error 77: New"),
        (Broken("ValueError: x"), "Collector failed", "ValueError: x"),
    ],
)
def test_the_driver_goes_and_comes_back(why: Failed | Broken, name: str, detail: str) -> None:
    world = World()
    world.driver = why
    world.leap(INTERVAL)
    assert (world.name, world.last.detail, world.last.gpus) == (name, detail, [])
    world.leap(600)
    assert (world.name, world.last.detail) == (name, detail)
    world.driver = None
    world.leap(LONGEST_PAUSE)
    assert world.name == "OK"
    assert len(world.read) == 8


def test_the_pause_between_attempts_doubles_and_is_forgotten() -> None:
    world = World()
    world.driver = NO_DRIVER
    world.leap(300)
    pauses = [later - when for when, later in pairwise(world.starts[1:])]
    assert pauses[:6] == [2, 4, 8, 16, 30, 30]
    world.driver = None
    world.leap(LONGEST_PAUSE)
    world.die("signal 11")
    started = world.now
    world.leap(FIRST_PAUSE)
    assert world.starts[-1] == started + FIRST_PAUSE


def test_no_process_can_be_started() -> None:
    world = World()
    world.startable = False
    world.die("signal 9")
    world.leap(FIRST_PAUSE)
    assert world.last.detail == "No process can be started: Cannot allocate memory"
    world.startable = True
    world.leap(LONGEST_PAUSE)
    assert world.name == "OK"


def test_the_driver_goes_while_a_call_hangs() -> None:
    """The worker cannot end, and so none can be started: that is what the document says."""
    world = World()
    world.hung = {4}
    world.leap(INTERVAL + STALL)
    world.driver = Failed(999, "Unknown")
    world.leap(INTERVAL)
    assert world.name == "Unknown driver error"
    world.leap(2 * STALL)
    assert (world.name, len(world.starts)) == ("Stalled", 1)
    world.driver = None
    world.back(4)
    world.leap(LONGEST_PAUSE)
    assert (world.name, len(world.starts)) == ("OK", 2)


def test_the_worker_dies() -> None:
    world = World()
    world.die("signal 11")
    assert (world.name, world.last.detail) == ("Collector failed", "The process that reads the driver died: signal 11")
    assert world.said == [world.last.detail]
    world.leap(FIRST_PAUSE)
    assert (world.name, len(world.starts)) == ("OK", 2)


def test_the_worker_dies_after_the_driver_was_gone() -> None:
    world = World()
    world.driver = NO_DRIVER
    world.leap(INTERVAL)
    world.driver = None
    world.leap(LONGEST_PAUSE)
    world.die("signal 11")
    assert world.last.detail == "The process that reads the driver died: signal 11"


def test_without_a_worker_a_document_comes_at_least_once_a_minute() -> None:
    world = World(interval="1h")
    world.driver = NO_DRIVER
    world.leap(2 * 3600)
    times = [when for when, _ in world.documents[1:]]
    assert len(times) >= 60
    assert max(later - sooner for sooner, later in pairwise(times)) <= LONGEST_INTERVAL


def test_while_no_worker_can_start_a_document_comes_at_least_once_a_minute() -> None:
    world = World(interval="1h")
    world.die("signal 9")
    world.blocked = True
    world.leap(3 * 3600)
    times = [when for when, _ in world.documents[1:]]
    assert max(later - sooner for sooner, later in pairwise(times)) <= LONGEST_INTERVAL


def test_the_library_is_replaced() -> None:
    world = World()
    world.library_replaced = True
    world.leap(5 * INTERVAL)
    assert (world.name, len(world.starts)) == ("OK", 2)
    assert len([line for line in world.said if "library was replaced" in line]) == 1


def test_the_library_is_replaced_while_a_call_hangs() -> None:
    """A worker that was asked to end could not, and nobody would read the other GPUs."""
    world = World()
    world.hung = {5}
    world.leap(INTERVAL + STALL)
    world.library_replaced = True
    world.leap(100)
    assert (world.read, len(world.starts)) == (OTHERS, 1)
    world.back(5)
    world.leap(3 * INTERVAL)
    assert (world.name, len(world.starts)) == ("OK", 2)


def test_a_lost_gpu_is_looked_for_by_a_new_worker() -> None:
    """No other sees one again that was lost and then reset."""
    world = World()
    world.lost = {3}
    world.leap(RENEW_LOST)
    assert len(world.starts) == 1
    world.leap(2 * INTERVAL)
    assert len(world.starts) == 2
    world.leap(RENEW_LOST + INTERVAL)
    assert len(world.starts) == 3
    world.lost = set()
    world.leap(10 * RENEW_LOST)
    assert len(world.starts) == 3


# -- release ---------------------------------------------------------------------------------------------------------


def test_a_release() -> None:
    world = World()
    world.release(600)
    assert (world.holds_driver, world.answers, world.name) == (False, ["released"], "Released")
    assert world.last.detail == "For 600 s more"
    world.leap(100)
    assert world.last.detail == "For 500 s more"
    world.leap(499)
    assert (world.holds_driver, world.name) == (False, "Released")
    world.leap(1)
    assert (world.holds_driver, world.name) == (True, "OK")


def test_a_release_is_prolonged_and_ended() -> None:
    world = World()
    world.release(600)
    world.leap(500)
    world.release(600)
    world.leap(500)
    assert (world.holds_driver, world.last.detail) == (False, "For 100 s more")
    world.release(0)
    assert (world.holds_driver, world.name) == (True, "OK")
    assert world.answers == ["released", "released", "resumed"]


def test_a_release_waits_for_a_call() -> None:
    world = World()
    world.hung = {5}
    world.leap(INTERVAL)
    world.release(600)
    assert (world.holds_driver, world.answers) == (True, [])
    world.leap(STALL / 2)
    world.back(5)
    assert (world.holds_driver, world.answers, world.name) == (False, ["released"], "Released")


def test_a_release_while_a_call_hangs_is_refused_and_changes_nothing() -> None:
    world = World()
    world.hung = {5}
    world.leap(INTERVAL + STALL)
    world.release(600)
    assert world.answers == [HELD]
    world.leap(10 * INTERVAL)
    assert (world.name, world.read) == ("Stalled", OTHERS)
    world.back(5)
    world.leap(2 * INTERVAL)
    assert (world.name, len(world.starts)) == ("OK", 1)


def test_a_release_that_came_too_late_does_not_come_later() -> None:
    """The call comes back when whoever asked for the driver was answered that it is held."""
    world = World()
    world.hung = {5}
    world.leap(INTERVAL)
    world.release(3600)
    world.leap(2 * STALL)
    assert (world.answers, world.name) == ([HELD], "Stalled")
    world.back(5)
    world.leap(INTERVAL)
    assert (world.holds_driver, world.name) == (True, "OK")


def test_the_document_says_why_before_the_answer_does() -> None:
    world = World()
    world.hung = {5}
    world.leap(INTERVAL)
    world.release(3600)
    while not world.answers:
        names = [document.status.name for _, document in world.documents]
        world.leap(1)
    assert world.documents[len(names)][1].status.name == "Stalled"


def test_a_release_is_refused_when_one_call_comes_back_and_another_does_not() -> None:
    world = World()
    world.hung = {HOST, 5}
    world.leap(INTERVAL)
    world.release(600)
    world.back(HOST)
    world.leap(STALL)
    assert (world.answers, world.name) == ([HELD], "Stalled")


@pytest.mark.parametrize("ended", ["by another", "by its time"])
def test_a_release_that_is_over_before_it_has_begun(ended: str) -> None:
    """Nobody may take a driver for free that is in use again."""
    world = World(stall="600s")
    world.hung = {5}
    world.leap(INTERVAL)
    world.release(500)
    if ended == "by another":
        world.release(0)
    else:
        world.leap(500)
    assert world.answers
    assert set(world.answers) == {"resumed"}
    world.back(5)
    world.leap(2 * INTERVAL)
    assert world.name == "OK"


def test_a_release_while_there_is_no_driver() -> None:
    world = World()
    world.driver = NO_DRIVER
    world.leap(INTERVAL)
    world.release(500)
    assert (world.answers, world.name) == (["released"], "Released")
    starts = len(world.starts)
    world.leap(499)
    assert len(world.starts) == starts
    world.driver = None
    world.leap(1)
    assert world.name == "OK"


def test_a_release_while_an_earlier_worker_hangs_is_refused() -> None:
    world = World()
    world.blocked = True
    world.die("signal 9")
    world.leap(FIRST_PAUSE)
    world.release(600)
    assert world.answers == [HELD]


# -- configuration ---------------------------------------------------------------------------------------------------


def test_another_interval_needs_no_other_worker() -> None:
    world = World()
    world.reload(interval="10s", samples="0.5s", window="55s")  # horizon = window + interval
    count = len(world.documents)
    world.leap(50)
    assert len(world.documents) == count + 5
    assert len(world.starts) == 1
    assert world.said == ["configuration read again"]


def test_what_concerns_the_worker_restarts_it() -> None:
    world = World()
    world.reload(samples="2s")
    world.leap(INTERVAL)
    assert (world.name, len(world.starts)) == ("OK", 2)


def test_another_configuration_waits_for_the_call_that_hangs() -> None:
    world = World()
    world.hung = {5}
    world.leap(INTERVAL + STALL)
    world.reload(samples="2s")
    assert world.said == ["configuration read again, in part when the call that hangs is back"]
    world.leap(100)
    assert (world.read, len(world.starts)) == (OTHERS, 1)
    world.back(5)
    world.leap(2 * INTERVAL)
    assert (world.name, len(world.starts)) == ("OK", 2)


# -- GPUs without work -----------------------------------------------------------------------------------------------


def leaves_them_alone(world: World) -> bool:
    """Whether the worker was asked not to sample the GPUs."""
    _, idle = world.asked[-1]
    return idle


def test_gpus_without_work_are_looked_at_seldom_and_not_sampled() -> None:
    world = World(idle="60s")
    world.busy = False
    world.leap(WINDOW + INTERVAL)
    count = len(world.documents)
    world.leap(600)
    assert len(world.documents) - count == pytest.approx(10, abs=1)
    assert leaves_them_alone(world)
    world.busy = True
    world.leap(60 + INTERVAL)
    assert not leaves_them_alone(world)
    count = len(world.documents)
    world.leap(10 * INTERVAL)
    assert len(world.documents) == count + 10


def test_a_new_worker_samples_until_it_is_known_that_nothing_runs() -> None:
    world = World(idle="1m")
    world.busy = False
    world.leap(3 * WINDOW)
    assert leaves_them_alone(world)
    world.library_replaced = True
    world.leap(WINDOW)
    assert len(world.starts) == 2
    assert not leaves_them_alone(world)


def test_without_being_asked_to_it_looks_as_often_as_ever() -> None:
    world = World()
    world.busy = False
    world.leap(1000)
    assert not any(idle for _, idle in world.asked)
    assert len(world.documents) == 201


# -- XIDs ------------------------------------------------------------------------------------------------------------


def xid(position: int, code: int, when: float, *, able: bool = True) -> XidReport:
    return XidReport(position, f"GPU-{position}", able, None, ((code, 1, when, when),))


def test_an_xid_is_in_the_next_document() -> None:
    world = World()
    world.reports = [xid(2, 79, world.now + 1), xid(3, 13, world.now, able=True)]
    world.leap(INTERVAL)
    readings = {gpu.position: gpu.readings for gpu in world.last.gpus}
    assert (readings[2]["xid_last"], readings[2]["xid_recent"]) == (79, ",79,")
    assert readings[2]["xid_last_time"] == int(EPOCH + 1001)
    assert world.said[0].startswith("GPU 2: XID 79 (")


def test_a_card_that_reports_no_xids_lacks_them_and_one_that_is_not_known_yet_does_not() -> None:
    world = World()
    world.reports = [XidReport(2, "", None, None, ()), XidReport(3, "", False, None, ())]
    world.leap(INTERVAL)
    lacks = {gpu.position: gpu.lacks for gpu in world.last.gpus}
    assert (lacks[2], lacks[3]) == ((), ("xid",))


def test_a_refused_wait_is_a_problem() -> None:
    world = World()
    world.reports = [XidReport(2, "GPU-2", None, (4, "Insufficient Permissions"), ())]
    world.leap(INTERVAL)
    (problem,) = world.last.gpus[2].problems
    assert problem == ("GPU-2", "xid", 4, "Insufficient Permissions")


def test_a_gpu_that_hangs_says_why() -> None:
    world = World()
    world.reports = [xid(5, 79, world.now)]
    world.leap(INTERVAL)
    world.hung = {5}
    world.leap(INTERVAL + STALL)
    assert list(world.last.remarks or {}) == [5]
    assert (world.last.remarks or {})[5].startswith("XID 79: ")
    world.hung = {5, HOST}
    world.leap(2 * STALL)
    assert ". GPU 5: XID 79: " in world.last.detail


def test_a_gpu_that_fell_off_the_bus_says_why() -> None:
    world = World()
    world.reports = [xid(6, 79, world.now)]
    world.leap(INTERVAL)
    world.lost = {6}
    world.leap(INTERVAL)
    (problem,) = world.last.gpus[6].problems
    assert problem.message == "GPU is lost, XID 79: GPU has fallen off the bus"


def test_a_storm_of_switches_is_a_line_a_round() -> None:
    world = World()
    world.log_reads = True
    world.lines = 10_000 * [LogLine(True, "0000:06:00.0", 20034, True, world.now, world.now, world.now)]
    world.leap(INTERVAL)
    assert world.last.host["sxid_count"] == 10_000
    assert world.said == ["NVSwitch 0000:06:00.0: SXid 20034, fatal, 10000 times, by the kernel log"]


def test_xids_outlive_the_worker() -> None:
    world = World()
    world.reports = [xid(2, 79, world.now)]
    world.leap(INTERVAL)
    world.die("signal 9")
    world.leap(FIRST_PAUSE)
    world.reports = [XidReport(2, "GPU-2", True, None, ())]
    world.leap(INTERVAL)
    assert world.last.gpus[2].readings["xid_count"] == 1


def test_what_a_worker_said_of_its_watch_ends_with_it() -> None:
    world = World()
    world.reports = [XidReport(2, "", False, None, ()), XidReport(3, "GPU-3", None, (4, "No"), ())]
    world.leap(INTERVAL)
    assert (world.last.gpus[2].lacks, len(world.last.gpus[3].problems)) == (("xid",), 1)
    world.die("signal 9")
    world.leap(FIRST_PAUSE)
    assert (world.last.gpus[2].lacks, world.last.gpus[3].problems) == ((), ())


def test_after_a_card_has_gone_no_place_has_the_xid_of_its_last_card() -> None:
    """A lost GPU cannot say who it is, and indices have moved."""
    world = World()
    world.reports = [xid(5, 79, world.now)]
    world.leap(INTERVAL)
    world.die("signal 9")
    world.gpu_count = 6
    world.leap(FIRST_PAUSE)
    world.hung = {5}
    world.leap(INTERVAL + STALL)
    assert world.last.remarks == {}


def test_the_kernel_log_serves_without_the_driver() -> None:
    """Also what it had before the GPU was first read."""
    world = World()
    world.log_reads = True
    world.release(600)
    world.lines = [
        LogLine(False, "0000:03:00", 48, False, world.now, world.now, world.now),
        LogLine(True, "0000:c1:00.0", 20034, True, world.now, world.now, world.now),
    ]
    world.leap(600)
    world.leap(INTERVAL)
    readings = {gpu.position: gpu.readings for gpu in world.last.gpus}
    assert [readings[index]["xid_count"] for index in (1, 2, 3)] == [0, 1, 0]
    assert world.last.host["sxid_recent"] == "NVSwitch 0000:c1:00.0: SXid 20034"
    assert any(line.startswith("GPU at 0000:03:00: XID 48 (") for line in world.said)


def test_a_kernel_log_that_cannot_be_read_is_a_problem_and_is_logged_once() -> None:
    world = World()
    world.log_complaint = "/dev/kmsg: Permission denied"
    world.leap(10 * INTERVAL)
    assert world.said == ["/dev/kmsg: Permission denied"]
    assert world.last.problems == [("", "kernel_log", 0, "/dev/kmsg: Permission denied")]
    world.log_complaint, world.log_reads = "", True
    world.leap(INTERVAL)
    assert world.said[-1] == "the kernel log is read again"
    assert world.last.problems == []


# -- whatever comes --------------------------------------------------------------------------------------------------


class Anything(RuleBasedStateMachine):
    """Whatever happens in whatever order: documents go on to come, and it recovers."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(gpu_count=3, idle="20s")

    @rule(seconds=st.floats(0, 200))
    def time_passes(self, seconds: float) -> None:
        self.world.leap(seconds)

    @rule(seconds=st.floats(1, 1e6))
    def the_machine_sleeps(self, seconds: float) -> None:
        self.world.sleep(seconds)

    @rule(position=st.sampled_from([HOST, 0, 1, 2]))
    def a_call_hangs(self, position: int) -> None:
        self.world.hung.add(position)

    @rule(position=st.sampled_from([HOST, 0, 1, 2]))
    def a_call_comes_back(self, position: int) -> None:
        self.world.back(position)

    @rule(why=st.sampled_from([None, NO_DRIVER, Broken("x")]))
    def the_driver_goes_or_comes(self, why: Failed | Broken | None) -> None:
        self.world.driver = why

    @rule(lost=st.sets(st.integers(0, 2)), count=st.integers(0, 3), busy=st.booleans())
    def gpus_change(self, lost: set[int], count: int, *, busy: bool) -> None:
        self.world.lost, self.world.gpu_count, self.world.busy = lost, count, busy

    @rule()
    def the_worker_dies(self) -> None:
        if self.world.holds_driver:
            self.world.die("signal 9")

    @rule(blocked=st.booleans(), startable=st.booleans())
    def the_host_changes(self, *, blocked: bool, startable: bool) -> None:
        self.world.blocked, self.world.startable = blocked, startable

    @rule()
    def the_library_is_replaced(self) -> None:
        self.world.library_replaced = True

    @rule(seconds=st.sampled_from([0.0, 1.0, 600.0]))
    def somebody_asks_for_a_release(self, seconds: float) -> None:
        self.world.release(seconds)

    @rule(samples=st.sampled_from(["0", "1s"]), interval=st.sampled_from(["1s", "5s", "90s"]))
    def the_configuration_changes(self, samples: str, interval: str) -> None:
        self.world.reload(samples=samples, interval=interval)

    @invariant()
    def it_is_never_without_a_plan(self) -> None:
        assert self.world.state.next_time(self.world.now) < self.world.now + 601

    def teardown(self) -> None:
        """Everything is well again: so is the document, soon."""
        world = self.world
        world.driver, world.blocked, world.startable, world.lost, world.gpu_count = None, False, True, set(), 3
        for position in (0, 1, 2, HOST):
            world.back(position)
        world.release(0)
        world.leap(LONGEST_PAUSE + 200)
        assert (world.name, world.read) == ("OK", [0, 1, 2])


TestAnything = Anything.TestCase
TestAnything.settings = settings(max_examples=200, stateful_step_count=30)
