"""XID events: who sees them, who does not, and how a wait ends."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.conftest import wait_for

if TYPE_CHECKING:
    from tests.conftest import MachineFactory
    from tests.unit.simulator.conftest import Client, ClientFactory

WAIT = (
    "(lambda d: (d.eventType, d.eventData, nvmlDeviceGetIndex(d.device), d.gpuInstanceId))"
    "(nvmlEventSetWait_v2(s.{}, {}))"
)
NO_INSTANCE = 2**32 - 1
LONG = 600_000  # ms: longer than anybody waits here
LOOK_EVERY = 0.5  # s, as the driver of the simulator has it


def new_set(ask: Client, name: str, *gpus: int) -> None:
    """A set of events under a name, with XIDs of these GPUs."""
    assert ask(f"setattr(s, '{name}', nvmlEventSetCreate())") is None
    for gpu in gpus:
        assert ask(f"nvmlDeviceRegisterEvents(h({gpu}), nvmlEventTypeXidCriticalError, s.{name})") is None


def wait(ask: Client, name: str, milliseconds: int = 0) -> Any:
    return ask(WAIT.format(name, milliseconds))


def wake_ups(ask: Client) -> int:
    """How often those threads have been woken that wait in calls, and not for questions."""
    pid = ask.process.pid
    tasks = [task for task in Path(f"/proc/{pid}/task").iterdir() if task.name != str(pid)]
    lines = [line for task in tasks for line in (task / "status").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))


def test_an_xid_reaches_those_that_registered_before(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("h100x8")
    ask = nvml(node)
    new_set(ask, "all", *range(8))
    new_set(ask, "one", 3)
    node.set("gpu 3", {"xid.1": 79})
    new_set(ask, "late", 3)
    assert wait(ask, "all") == [8, 79, 3, NO_INSTANCE]
    assert wait(ask, "one") == [8, 79, 3, NO_INSTANCE]
    assert wait(ask, "late") == "NVMLError_Timeout"
    assert wait(ask, "all") == "NVMLError_Timeout"  # once each
    node.set("gpu 3", {"xid.2": 48})
    node.set("gpu 3", {"xid.3": 63, "xid.1": None})
    node.set("gpu 0", xid=13)
    assert [wait(ask, "late")[1] for _ in range(2)] == [48, 63]
    assert [wait(ask, "all")[1:3] for _ in range(3)] == [[13, 0], [48, 3], [63, 3]]


def test_many_xids_in_one_line(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("t4")
    ask = nvml(node)
    new_set(ask, "xids", 0)
    node.set("gpu 0", {"xid.1": 31, "xid.2-4": "40 + scope", "xid.5": 79})
    new_set(ask, "late", 0)
    assert [wait(ask, "xids")[1] for _ in range(5)] == [31, 42, 43, 44, 79]
    assert wait(ask, "xids") == wait(ask, "late") == "NVMLError_Timeout"
    node.set("gpu 0", {"xid.6-100005": 13})
    found = ask("[(lambda d: d.eventData)(nvmlEventSetWait_v2(s.late, 0)) for _ in range(100_000)]")
    assert found == [13] * 100_000
    assert wait(ask, "late") == "NVMLError_Timeout"


def test_a_wait_ends_when_the_event_comes(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("t4")
    ask = nvml(node)
    new_set(ask, "xids", 0)
    ask.send(WAIT.format("xids", LONG))
    time.sleep(0.3)  # it waits by now, or finds the event there
    node.set("gpu 0", {"xid.1": 94})
    assert ask.process.line() == f"[8, 94, 0, {NO_INSTANCE}]"


def test_a_wait_that_brings_nothing_takes_its_time(machine: MachineFactory, nvml: ClientFactory) -> None:
    ask = nvml(machine("t4"))
    new_set(ask, "xids", 0)
    answer, seconds = ask(
        "(lambda t: (pynvml.nvmlLib.nvmlEventSetWait(s.xids, byref(c_nvmlEventData_t()), 250), time.monotonic() - t))"
        "(time.monotonic())"
    )
    assert answer == 10
    assert seconds >= 0.25


def test_many_wait_and_one_thread_looks_for_them(machine: MachineFactory, nvml: ClientFactory) -> None:
    """All of them cost hardly anything: the kernel wakes that one."""
    node = machine("h100x8")
    ask = nvml(node)
    for gpu in range(8):
        new_set(ask, f"gpu{gpu}", gpu)
    # The first is back before anything happens, the last gets what it waits for, the rest wait in vain.
    ask("setattr(s, 'found', {})")
    ask(
        "setattr(s, 'wait', lambda gpu, ms: s.found.update({gpu: (pynvml.nvmlLib.nvmlEventSetWait_v2("
        "getattr(s, f'gpu{gpu}'), byref(c_nvmlEventData_t()), ms), time.monotonic())}))"
    )
    ask(
        "setattr(s, 'threads', [threading.Thread(target=s.wait, args=(gpu, ms)) for gpu, ms in"
        f" enumerate([200, *6 * [2000], {LONG}])])"
    )
    started = ask("[time.monotonic(), [thread.start() for thread in s.threads]][0]")
    wait_for(lambda: ask("0 in s.found"), "the first to leave")
    # The seven that are left sleep, and the one that looks does too.
    before, since = wake_ups(ask), time.monotonic()
    time.sleep(1)
    woken, looks = wake_ups(ask) - before, (time.monotonic() - since) / LOOK_EVERY
    assert woken < 2 * looks + 20
    wait_for(lambda: ask("len(s.found)") == 7, "those that wait in vain")
    node.set("gpu 7", {"xid.1": 79})
    ask("[thread.join() for thread in s.threads]")
    found = {int(gpu): (code, at - started) for gpu, (code, at) in ask("s.found").items()}
    assert {gpu: code for gpu, (code, _) in found.items()} == {**dict.fromkeys(range(7), 10), 7: 0}
    assert found[0][1] >= 0.2
    assert all(at >= 2 for gpu, (_, at) in found.items() if gpu)


def test_one_lost_gpu_spoils_the_whole_set(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("h100x8")
    ask = nvml(node)
    new_set(ask, "all", *range(8))
    new_set(ask, "two", 2)
    node.set("gpu 5", state="lost")
    node.set("gpu 2", {"xid.1": 31})
    for _ in range(2):
        answer = ask(f"pynvml.nvmlLib.nvmlEventSetWait_v2(s.all, byref(c_nvmlEventData_t()), {LONG})")
        assert answer == 15
    assert wait(ask, "two") == [8, 31, 2, NO_INSTANCE]
    node.set("gpu 5", state="ok")
    assert wait(ask, "all")[1:3] == [31, 2]


def test_what_can_be_registered(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("gtx1070")
    ask = nvml(node)
    assert ask("nvmlDeviceGetSupportedEventTypes(h(0)) & nvmlEventTypeXidCriticalError") == 8
    new_set(ask, "xids", 0)
    register = "nvmlDeviceRegisterEvents(h(0), {}, s.xids)"
    assert ask(register.format(8 | 4)) is None
    assert ask(register.format(0x100)) == "NVMLError_NotSupported"
    assert ask("nvmlDeviceRegisterEvents(h(0), 8, c_void_p(4096))") == "NVMLError_InvalidArgument"
    new_set(ask, "other")
    assert ask("nvmlDeviceRegisterEvents(h(0), 4, s.other)") is None
    node.set("gpu 0", {"xid.1": 8})
    assert wait(ask, "other") == "NVMLError_Timeout"
    assert ask("nvmlEventSetFree(s.other)") is None
    assert ask("nvmlEventSetFree(s.other)") == "NVMLError_InvalidArgument"
    assert wait(ask, "other") == "NVMLError_InvalidArgument"
    assert wait(ask, "xids")[1] == 8
    assert ask("nvmlShutdown()") is None
    assert ask("nvmlEventSetWait_v2(s.xids, 0)") == "NVMLError_Uninitialized"
    node = machine("gtx1070")
    node.set("gpu 0", supported_event_types=None)
    ask = nvml(node)
    new_set(ask, "none")
    assert ask("nvmlDeviceRegisterEvents(h(0), 8, s.none)") == "NVMLError_NotSupported"
