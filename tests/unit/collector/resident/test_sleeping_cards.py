"""The service beside GPUs that the kernel has suspended: it opens no driver that would wake them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.unit.collector.resident.world import INTERVAL, STALL, WINDOW, World
from tests.unit.collector.test_sleeping import asleep

if TYPE_CHECKING:
    from tests.conftest import Machine, MachineFactory
    from tests.unit.collector.collector import Answer
    from tests.unit.collector.resident.conftest import ServiceFactory

DAY = 86_400.0


def power_state(node: Machine, status: str) -> None:
    """What the kernel does to GPU 0 while everything runs."""
    (file,) = Path(node.env["ZBX_NVIDIA_ROOT"]).glob("sys/devices/*/0000:00:00.0/*/power/runtime_status")
    file.write_text(f"{status}\n")


def is_asleep(answer: Answer) -> bool:
    return answer.document["host"].get("gpus_asleep") == 1 and answer.by_index[0].get("asleep") == 1


def test_no_wakes_in_a_day_of_a_service() -> None:
    world = World(gpu_count=1)
    world.asleep = True
    world.die("signal 9")
    world.leap(WINDOW)
    asked, starts = len(world.asked), len(world.starts)
    world.leap(DAY)
    assert (len(world.asked), len(world.starts), world.holds_driver) == (asked, starts, False)
    written = [(when, what) for when, what in world.documents if when >= world.now - DAY + WINDOW]
    assert len(written) >= DAY / (INTERVAL + STALL)  # always fresh
    assert {gpu.state for _, what in written for gpu in what.gpus} == {"asleep"}
    assert {what.status.code for _, what in written} == {0}
    world.asleep = False
    world.leap(2 * INTERVAL)
    assert world.holds_driver
    assert {gpu.state for gpu in world.last.gpus} == {"ok"}


def test_a_worker_is_not_asked_while_every_card_sleeps() -> None:
    """It holds the driver, as some drivers let a card sleep even so."""
    world = World(gpu_count=1)
    asked = len(world.asked)
    world.asleep = True
    world.leap(DAY)
    assert len(world.asked) == asked
    assert {gpu.state for gpu in world.last.gpus} == {"asleep"}
    world.asleep = False
    world.leap(2 * INTERVAL)
    assert {gpu.state for gpu in world.last.gpus} == {"ok"}
    assert len(world.starts) == 1


def test_a_release_lasts_while_cards_sleep_and_wake() -> None:
    world = World(gpu_count=1)
    world.release(600)
    world.asleep = True
    world.leap(INTERVAL)
    world.asleep = False
    world.leap(INTERVAL)
    assert (world.name, world.holds_driver) == ("Released", False)
    world.leap(600)
    assert world.holds_driver


def test_a_service_leaves_a_card_asleep(machine: MachineFactory, serve: ServiceFactory) -> None:
    node = machine("rtx2080s")
    wakes = asleep(node, "gpu 0")
    service = serve(node)
    first = service.well()
    assert is_asleep(first)
    (uuid,) = first.document["presence"]
    for _ in range(3):
        assert is_asleep(service.next())
    assert service.worker() is None
    # The simulator learns it first: what it sees after that is no wake.
    node.set("gpu 0", runtime_status="active")
    power_state(node, "active")
    awake = service.until(lambda answer: "sampled_power_peak" in answer.by_index[0], "a card that was woken")
    assert awake.document["presence"] == {uuid: 1}
    assert wakes.read_text() == ""


def test_a_card_falls_asleep_under_a_service(machine: MachineFactory, serve: ServiceFactory) -> None:
    """Where nothing samples it. One GPU of two: the other one is read on."""
    node = machine("a100-mig")
    node.set("gpu 0", power_control="auto")
    node.show_kernel()
    wakes = node.path.with_suffix(".wakes")
    wakes.write_text("")
    node.env["NVML_SIMULATOR_WAKES"] = str(wakes)
    service = serve(node, samples="0", pcie="0", xid="no", gpm="no")
    service.until(lambda answer: len(answer.rows) == 2 and "power" in answer.by_index[0], "both GPUs")
    power_state(node, "suspended")
    found = service.until(is_asleep, "a GPU that sleeps")
    assert "power" in found.by_index[1]
    assert len(found.document["presence"]) == 2
    # From here on the simulator counts.
    node.set("gpu 0", runtime_status="suspended")
    for _ in range(3):
        assert is_asleep(service.next())
    assert wakes.read_text() == ""
    node.set("gpu 0", runtime_status="active")
    power_state(node, "active")
    service.until(lambda answer: "power" in answer.by_index[0], "a GPU that was woken")
