"""Cards whose indices move while the service runs: a card is plugged in before another, or removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.unit.collector.resident.world import INTERVAL, World
from zbx_nvidia.collector.resident.reports import XidReport

if TYPE_CHECKING:
    from tests.conftest import Machine, MachineFactory
    from tests.unit.collector.collector import Answer
    from tests.unit.collector.resident.conftest import ServiceFactory

OLD, NEW = "GPU-aaaaaaaa-2222-3333-4444-555555555550", "GPU-bbbbbbbb-2222-3333-4444-555555555551"


def turn(node: Machine, to: Machine) -> None:
    node.write(to.path.read_text())


def xids(answer: Answer, uuid: str) -> str | None:
    found: str | None = answer.document["gpus"].get(uuid, {}).get("xid_recent")
    return found


def both_watched(answer: Answer) -> bool:
    """A new worker may know of one card before it knows of the other."""
    return None not in (xids(answer, OLD), xids(answer, NEW))


def test_a_card_that_is_plugged_in_before_another_is_watched(machine: MachineFactory, serve: ServiceFactory) -> None:
    node = machine("shift-a")
    service = serve(node)
    assert xids(service.until(lambda answer: xids(answer, OLD) is not None, "a watched card"), OLD) == ","
    worker = service.worker()
    turn(node, machine("shift-b"))
    service.other_worker(worker)
    both = service.until(both_watched, "a new card that is watched")
    assert xids(both, OLD) == xids(both, NEW) == ","
    node.set("gpu 0", {"xid.8": 62})
    after = service.until(lambda answer: xids(answer, NEW) != ",", "the XID of the new card")
    assert xids(after, NEW) == ",62,"
    assert xids(after, OLD) == ","
    node.set("gpu 1", {"xid.9": 43})
    last = service.until(lambda answer: xids(answer, OLD) != ",", "the XID of the old card, which has moved")
    assert (xids(last, OLD), xids(last, NEW)) == (",43,", ",62,")


def test_an_xid_that_comes_with_the_new_card_is_not_told_of_the_old_one(
    machine: MachineFactory, serve: ServiceFactory
) -> None:
    node = machine("shift-a")
    service = serve(node)
    service.until(lambda answer: xids(answer, OLD) is not None, "a watched card")
    turn(node, machine("shift-c"))
    after = service.until(both_watched, "a new card that is watched")
    assert xids(after, OLD) == ","
    assert xids(after, NEW) == ",62,"


def test_a_card_that_is_lost_does_not_get_the_past_of_the_one_before(
    machine: MachineFactory, serve: ServiceFactory
) -> None:
    node = machine("shift-a")
    service = serve(node)
    service.until(lambda answer: xids(answer, OLD) is not None, "a watched card")
    node.set("gpu 0", {"xid.2": 79})
    service.until(lambda answer: xids(answer, OLD) == ",79,", "an XID of the old card")
    turn(node, machine("shift-b-lost"))
    after = service.until(lambda answer: answer.document["host"]["gpus_lost"] == 1, "a lost card")
    assert "XID" not in after.document["host"]["lost"]
    assert xids(after, OLD) == ",79,"


def test_a_service_whose_cards_move_begins_again() -> None:
    world = World(2)
    world.leap(INTERVAL)
    assert len(world.starts) == 1
    world.moved = 1
    world.leap(INTERVAL)
    assert len(world.starts) == 2
    assert world.said == ["GPU 0 is GPU-1, no longer GPU-0: the worker is restarted"]
    world.leap(10 * INTERVAL)
    assert len(world.starts) == 2


def test_a_service_whose_driver_counts_another_number_begins_again() -> None:
    world = World(2)
    world.leap(INTERVAL)
    world.gpu_count = 3
    world.leap(INTERVAL)
    assert len(world.starts) == 2
    assert world.said == ["the driver counts 3 GPUs, no longer 2: the worker is restarted"]


def test_slots_that_change_begin_again() -> None:
    """A process that has NVML open keeps its count: only the kernel module shows the new card."""
    world = World(2)
    world.slots = ["00000000:01:00.0", "00000000:02:00.0"]
    world.restart()
    world.leap(INTERVAL)
    starts = len(world.starts)
    world.slots = [*world.slots, "00000000:03:00.0"]
    world.leap(INTERVAL)
    assert len(world.starts) == starts + 1


def test_while_a_call_hangs_nothing_begins_again() -> None:
    world = World(3)
    world.leap(INTERVAL)
    world.hung = {2}
    world.moved = 1
    world.leap(10 * INTERVAL)
    assert len(world.starts) == 1
    world.back(2)
    world.leap(2 * INTERVAL)
    assert len(world.starts) == 2


def test_a_lost_card_is_not_given_the_name_that_its_index_had() -> None:
    world = World(2)
    world.reports = [XidReport(0, "GPU-0", True, None, ((79, 1, world.now, world.now),))]
    world.leap(INTERVAL)
    world.moved, world.nameless = 1, True
    world.lost = {0}
    world.leap(INTERVAL)
    (lost,) = (gpu for gpu in world.last.gpus if gpu.state == "lost")
    assert "XID" not in lost.problems[0].message
