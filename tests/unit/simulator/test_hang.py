"""A call that never returns: in uninterruptible sleep, alone, and leaving nothing behind."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import wait_for

if TYPE_CHECKING:
    from tests.conftest import MachineFactory
    from tests.unit.simulator.conftest import ClientFactory

START = "threading.Thread(target=lambda: {call}, daemon=True).start()"


def state(task: Path) -> str:
    """The letter that ps shows: D is uninterruptible sleep."""
    return (task / "stat").read_text().rpartition(")")[2].split()[0]


def stuck(pid: int) -> list[Path]:
    return [task for task in Path(f"/proc/{pid}/task").iterdir() if state(task) == "D"]


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def gone(pid: int) -> bool:
    """Ended; a zombie that nobody has asked for yet has ended too."""
    process = Path(f"/proc/{pid}")
    try:
        return state(process) == "Z"
    except OSError:
        return True


@pytest.mark.parametrize(
    ("where", "value", "call"),
    [
        ("gpu 3/temperature", "!HANG", "nvmlDeviceGetTemperature(h(3), 0)"),
        ("gpu 3/temperature", "!SLOW(0.1) !HANG", "nvmlDeviceGetTemperature(h(3), 0)"),
        ("gpu 3/memory_temperature", "!HANG", "nvmlDeviceGetFieldValues(h(3), [82])"),
        ("gpu 3/nvmlDeviceGetVirtualizationMode", "!HANG", "nvmlDeviceGetVirtualizationMode(h(3))"),
        ("gpu 3/state", "hang", "h(3)"),
        ("machine/driver_version", "!HANG", "nvmlSystemGetDriverVersion()"),
    ],
)
def test_a_hanging_call_is_in_state_d_and_the_others_go_on(
    machine: MachineFactory, nvml: ClientFactory, where: str, value: str, call: str
) -> None:
    section, key = where.split("/")
    node = machine("h100x8")
    node.set(section, {key: value})
    ask = nvml(node)
    pid = ask.process.pid
    assert stuck(pid) == []
    ask(START.format(call=call))
    wait_for(lambda: stuck(pid), "a thread in state D")
    (child,) = children(pid)
    wait_for(lambda: not any(Path(f"/proc/{child}/fd").iterdir()), "the child to close what it inherited")
    assert len(ask("[nvmlDeviceGetUUID(h(i)) for i in range(8) if i != 3]")) == 7
    assert ask("nvmlDeviceGetPowerUsage(h(4))") > 0
    # a changed profile does not free who hangs, and frees who comes after
    node.set(section, {key: "ok" if key == "state" else None})
    assert ask("nvmlDeviceGetIndex(h(3))") == 3
    assert len(stuck(pid)) == 1
    ask.process.kill()
    wait_for(lambda: gone(child), "the child to end")


def test_init_that_hangs(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("t4")
    node.set("machine", state="hang")
    ask = nvml(node, init=False)
    ask(START.format(call="pynvml.nvmlInit()"))
    wait_for(lambda: stuck(ask.process.pid), "a thread in state D")
    assert ask("1 + 1") == 2


def test_no_signal_with_a_handler_ends_it(machine: MachineFactory, nvml: ClientFactory) -> None:
    """In the main thread, as in a program of one thread: neither SIGALRM's handler nor SIGTERM's runs."""
    node = machine("t4")
    node.set("gpu 0", temperature="!HANG")
    ask = nvml(node)
    pid = ask.process.pid
    ask("__import__('signal').signal(__import__('signal').SIGALRM, lambda *_: os._exit(3))")
    ask.send("nvmlDeviceGetTemperature(h(0), 0)")
    wait_for(lambda: stuck(pid), "the process in state D")
    (child,) = children(pid)
    for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT):
        os.kill(pid, number)
    time.sleep(0.5)
    assert not ask.process.ended()
    assert state(Path(f"/proc/{pid}")) == "D"
    ask.process.kill()
    assert ask.process.wait() == -signal.SIGKILL
    wait_for(lambda: gone(child), "the child to end")


def test_leaving_the_process_ends_the_child(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("t4")
    node.set("gpu 0", temperature="!HANG")
    ask = nvml(node)
    ask(START.format(call="nvmlDeviceGetTemperature(h(0), 0)"))
    wait_for(lambda: stuck(ask.process.pid), "a thread in state D")
    (child,) = children(ask.process.pid)
    ask.send("os._exit(0)")
    assert ask.process.wait() == 0
    wait_for(lambda: gone(child), "the child to end")


def test_two_gpus_can_hang_at_once(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("h100x8")
    node.set("gpu 1", state="hang")
    node.set("gpu 2", state="hang")
    ask = nvml(node)
    ask(START.format(call="h(1)"))
    ask(START.format(call="h(2)"))
    wait_for(lambda: len(stuck(ask.process.pid)) == 2, "two threads in state D")
    before = children(ask.process.pid)
    for child in before:  # one that is killed does not free its caller
        os.kill(child, signal.SIGKILL)
    wait_for(lambda: not {*before} & {*children(ask.process.pid)}, "other children")
    wait_for(lambda: len(stuck(ask.process.pid)) == 2, "two threads in state D again")
    assert ask("nvmlDeviceGetIndex(h(0))") == 0
