"""A host that works so much that the service gets hardly any processor."""

from __future__ import annotations

import contextlib
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from zbx_nvidia.catalog.status import HOST_BUSY, OK
from zbx_nvidia.collector.scheduling import Thread, most_was_waiting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import MachineFactory
    from tests.unit.collector.resident.conftest import ServiceFactory

NICE = 10  # beside a loop of the usual niceness, such a process gets a tenth of a processor


@pytest.fixture
def busy_loops() -> Iterator[None]:
    """A process that never rests for each processor."""
    with contextlib.ExitStack() as stack:
        for _ in os.sched_getaffinity(0):
            loop = stack.enter_context(subprocess.Popen(["/bin/sh", "-c", "while :; do :; done"]))
            stack.callback(loop.kill)
        yield


@pytest.mark.slow
@pytest.mark.once
@pytest.mark.usefixtures("busy_loops")
def test_a_service_beside_busy_loops_does_not_accuse_the_driver(machine: MachineFactory, serve: ServiceFactory) -> None:
    """Also with a limit that it may well reach there: documents come, and none says that the driver hangs."""
    service = serve(machine("h100x8"), speed=1, stall="0.5s")
    # As many loops as would take as much from it would slow all other tests down. What it starts has the same niceness.
    os.setpriority(os.PRIO_PROCESS, service.process.pid, NICE)
    service.well()
    seen = [service.next() for _ in range(5)]
    assert {answer.code for answer in seen} <= {OK.code, HOST_BUSY.code}
    assert all(answer.document["status"]["driver"] == 1 for answer in seen)


CALM = Thread(wants=False, ran=1.0, waited=5.0)


@pytest.mark.parametrize(
    ("before", "after", "busy"),
    [
        ({"1": CALM}, {"1": CALM._replace(waited=5.1)}, 0),  # it has waited long, but before
        ({"1": CALM}, {"1": CALM._replace(waited=8.0)}, 1),
        ({"1": CALM}, {"1": CALM, "2": Thread(wants=False, ran=0.0, waited=3.0)}, 1),  # a thread that is new
        ({"1": CALM}, {"1": CALM._replace(wants=True, ran=1.1)}, 1),  # it waits now
        ({"1": CALM}, {"1": CALM._replace(wants=True, ran=5.9)}, 0),  # the driver keeps a processor busy
        ({"1": CALM}, None, 0),  # it hangs in the kernel
        (None, {"1": CALM}, 0),
        ({}, {}, 0),  # the kernel does not count
    ],
)
def test_only_what_was_waited_since_counts(
    before: dict[str, Thread] | None, after: dict[str, Thread] | None, busy: int
) -> None:
    assert most_was_waiting(before, after, 5.0) == bool(busy)
