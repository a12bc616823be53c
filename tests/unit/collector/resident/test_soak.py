"""Thousands of rounds in little time: memory and open files of both processes stay what they are.

A fast clock (clocks.c) makes a second of 1/60 s. `make soak` runs it for as long as one likes; else the rounds count,
which take a slow machine longer.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.conftest import PATIENCE, wait_for
from tests.unit.collector.resident.service import pss

if TYPE_CHECKING:
    from tests.conftest import MachineFactory
    from tests.unit.collector.resident.conftest import ServiceFactory
    from tests.unit.conftest import ClocksFactory

SPEED = 60
SECONDS = float(os.environ.get("ZBX_NVIDIA_SOAK", "0"))
# Rounds at the least between two measurements.
ROUNDS = 600
# What Python and the C library keep for the next time comes in steps, and after 2,000 rounds at the latest no more: a
# span without growth ends the test. What leaks, grows in each.
SPANS = 6
GROWTH = 600  # kB


class Size(NamedTuple):
    """What both processes take: kB that are theirs alone, kB with their share of what others use too, open files."""

    own: int
    pss: int
    files: int
    threads: int


def size(pids: tuple[int, ...]) -> Size:
    folders = [Path(f"/proc/{pid}") for pid in pids]
    return Size(
        sum(pss(pid, "Pss_Anon") for pid in pids),
        sum(pss(pid) for pid in pids),
        sum(len(list((folder / "fd").iterdir())) for folder in folders),
        sum(len(list((folder / "task").iterdir())) for folder in folders),
    )


def rounds(pid: int) -> int:
    """Each is a question to the worker and a document: two writes."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    (count,) = (int(line.split()[1]) for line in lines if line.startswith("syscw:"))
    return count // 2


@pytest.mark.slow
@pytest.mark.once
def test_it_does_not_grow(
    machine: MachineFactory, serve: ServiceFactory, tmp_path: Path, clocked: ClocksFactory
) -> None:
    node = machine("h100x8")
    node.set("machine", gpu_count=1)
    clocks = clocked(node, speed=SPEED)
    log = tmp_path / "kmsg"
    log.touch()
    defaults = {"interval": "1s", "stall": "600s", "samples": "0.5s", "pcie": "5s", "window": "60s"}
    service = serve(node, speed=1, **defaults, xid_repeat="1s", xid_memory="10s", kernel_log=str(log))
    service.well()
    pids = (service.process.pid, service.worker() or 0)
    calm = node.path.read_text()
    sizes = [size(pids)]
    since, made = time.monotonic(), rounds(pids[0])
    for number in range(1, sys.maxsize):
        # What comes and goes in the life of a host.
        node.write(calm)
        node.set("gpu 0", {f"xid.{number}": number % 150, "temperature": 40 + number % 30})
        with log.open("a") as file:
            head, when = f"4,{number}", int(1e6 * clocks.monotonic())
            file.write(f"{head}0,{when},-;NVRM: Xid (PCI:0000:19:00): {number % 150}, x\n")
            file.write(f"{head}1,{when},-;nvidia-nvswitch0: SXid (PCI:0000:{number % 99:02}:00.0): 20034, Fatal\n")
        if number % 10 == 0:
            service.signal(signal.SIGHUP)
        time.sleep(0.1)
        span, count = time.monotonic() - since, rounds(pids[0]) - made
        if span < SECONDS / 2 or count < ROUNDS:
            assert span < SECONDS / 2 + PATIENCE, f"{count} rounds"
            continue
        sizes.append(size(pids))
        print(f"{span:.0f} s, {count} rounds: {sizes[-2]} -> {sizes[-1]}")  # noqa: T201  of a soak
        if len(sizes) > 2 and sizes[-1].own < sizes[-2].own + GROWTH:
            break
        assert len(sizes) <= SPANS, f"it grew in each of {SPANS} spans: {sizes}"
        since, made = time.monotonic(), rounds(pids[0])
    assert service.worker() == pids[1]
    assert service.answer().code == 0

    # A document that is being written is one file more for that moment (seen on a busy machine), what leaks stays open.
    def at_rest() -> bool:
        now = size(pids)
        return now.files <= sizes[1].files and now.threads <= sizes[1].threads

    wait_for(at_rest, f"no more files and threads than after the first span: {sizes}")
