"""Hosts that lack what every host has: /proc, /dev/null, threads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.collector.collector import python
from zbx_nvidia.collector.protocol import CHUNK, NUMBER, AllAsked, Broken, Failed, GpuRead
from zbx_nvidia.collector.resident import reports

if TYPE_CHECKING:
    from tests.conftest import Machine
    from zbx_nvidia.collector.document import Gpu

POLL = """
import os, threading
{change}
from zbx_nvidia.collector.main import get
print(get(600.0), end="")
"""
NO_NULL = """
opened = os.open
def without(path, *rest, **more):
    if path == os.devnull:
        raise FileNotFoundError(2, "No such file or directory", path)
    return opened(path, *rest, **more)
os.open = without
"""
NO_PROC = """
listed = os.listdir
def without(path="."):
    if str(path).startswith("/proc"):
        raise FileNotFoundError(2, "No such file or directory", path)
    return listed(path)
os.listdir = without
"""
NO_THREADS = """
begun = threading.Thread.start
started = []
def start(thread):
    if len(started) == {most}:
        raise RuntimeError("can't start new thread")
    started.append(thread)
    begun(thread)
threading.Thread.start = start
"""


def poll(node: Machine, change: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(python(POLL.format(change=change), node.env))
    return found


WORKER = """
import os, threading
{change}
from zbx_nvidia.collector.resident.worker import main
main("/run/gpustat", 0.0, 60.0, 0.0, 0.0, 0.0, 0.0)
"""


@pytest.mark.parametrize("most", [0, 3])
def test_the_service_says_that_no_thread_can_be_started(eight: Machine, most: int) -> None:
    """The GPUs that have one are read."""
    program = WORKER.format(change=NO_THREADS.format(most=most))
    with subprocess.Popen(
        [sys.executable, "-c", program], env=eight.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as worker:
        assert worker.stdin
        assert worker.stdout
        worker.stdin.write((1).to_bytes(NUMBER, "big"))
        worker.stdin.flush()
        receiver, done = reports.receiver(), False
        gpus: dict[int, Gpu] = {}
        while len(gpus) < 8 or not done:
            data = os.read(worker.stdout.fileno(), CHUNK)
            assert data
            for message in receiver.feed(data):
                assert not isinstance(message, Broken | Failed), message
                done = done or isinstance(message, AllAsked)
                if isinstance(message, GpuRead):
                    gpus[message.gpu.position] = message.gpu
    states = [gpus[index].state for index in range(8)]
    assert states == ["ok"] * most + ["sick"] * (8 - most)
    assert "TasksMax=" in gpus[7].problems[0].message


def test_without_a_thread_users_have_numbers(eight: Machine) -> None:
    code = "import threading\n" + NO_THREADS.format(most=0) + "from zbx_nvidia.collector.processes import names\n"
    assert python(code + "print(names({0}), end='')", eight.env) == "{}"


@pytest.mark.parametrize(
    "change", [NO_NULL, NO_PROC, NO_NULL + NO_PROC, NO_THREADS.format(most=0), NO_THREADS.format(most=3)]
)
def test_every_gpu_is_read_all_the_same(eight: Machine, change: str) -> None:
    document = poll(eight, change)
    assert document["status"]["code"] == 0
    assert len(document["gpus"]) == 8
    assert document["collector"]["error_count"] == 0
