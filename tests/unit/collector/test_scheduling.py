"""A busy host is not a dead driver: what has waited for a processor says nothing of the driver."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from zbx_nvidia.catalog import status
from zbx_nvidia.collector import document, oneshot
from zbx_nvidia.collector.document import Gpu
from zbx_nvidia.collector.protocol import GpuRead, HostRead
from zbx_nvidia.collector.scheduling import waited_for_processor

if TYPE_CHECKING:
    from pathlib import Path

    from zbx_nvidia.collector.protocol import Message


def process(folder: Path, pid: int, *threads: tuple[str, float]) -> None:
    """In a /proc: the state of each thread, and for how many seconds it has waited for a processor."""
    for number, (state, waited) in enumerate(threads):
        task = folder / str(pid) / "task" / str(pid + number)
        task.mkdir(parents=True)
        (task / "stat").write_text(f"{pid} (a) b) {state} 1 1")
        (task / "schedstat").write_text(f"20000000 {int(waited * 1e9)} 17\n")


def test_most_of_the_time_without_a_processor_is_a_busy_host(tmp_path: Path) -> None:
    process(tmp_path, 10, ("S", 0.5))
    process(tmp_path, 20, ("S", 0.1), ("R", 1.1))
    assert waited_for_processor((10, 20), 2.5, str(tmp_path))
    assert not waited_for_processor((10, 20), 4.0, str(tmp_path))
    assert not waited_for_processor((10,), 2.5, str(tmp_path))


def test_a_call_that_hangs_in_the_kernel_is_the_drivers(tmp_path: Path) -> None:
    process(tmp_path, 10, ("S", 2.4), ("D", 0.0))
    assert not waited_for_processor((10,), 2.5, str(tmp_path))


def test_a_call_that_waits_for_something_else_is_the_drivers(tmp_path: Path) -> None:
    process(tmp_path, 10, ("S", 0.05))
    assert not waited_for_processor((10,), 2.5, str(tmp_path))


def test_what_the_kernel_does_not_tell_is_no_excuse(tmp_path: Path) -> None:
    assert not waited_for_processor((10,), 2.5, str(tmp_path))
    assert not waited_for_processor((os.getpid(),), 1e9)


def test_a_busy_host_does_not_accuse_the_driver_or_a_gpu() -> None:
    host = HostRead(0, {}, 2, [], [], (0.0, 0.0))
    read = GpuRead(0, Gpu(0, "ok", {"uuid": "GPU-0"}, {}, (), ()))
    stages: tuple[list[Message], ...] = ([], [host], [host, read])
    for messages in stages:
        found = oneshot._result(messages, 2.5, 2.5, closed=False, busy=True)  # noqa: SLF001  a real one needs load
        assert found.status == status.HOST_BUSY
        made = document.build(found)
        assert made["status"]["driver"] == 1
        assert "presence" not in made
        assert made.get("host", {}).get("gpus_sick", 0) == 0


def test_a_deadline_without_load_is_still_the_drivers() -> None:
    found = oneshot._result([], 2.5, 2.5, closed=False, busy=False)  # noqa: SLF001  as above
    assert found.status == status.DEADLINE_EXCEEDED
    assert document.build(found)["status"]["driver"] == 0
