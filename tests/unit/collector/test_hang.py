"""A call into the driver that never returns, and a child that dies: the document comes in time, and one child is left.

The simulated driver hangs as a real one does: in the kernel, in state D, where no handler runs.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import LOOK, PATIENCE, wait_for
from tests.unit.clocks import SLOW
from tests.unit.collector.collector import (
    AGENT,
    Answer,
    Poll,
    checked,
    children,
    end,
    get,
    leaders,
    python,
    stat,
    states_of_threads,
    wait_until_gone,
)
from zbx_nvidia.collector import oneshot
from zbx_nvidia.collector.document import Gpu
from zbx_nvidia.collector.oneshot import DEADLINE
from zbx_nvidia.collector.protocol import GpuRead, HostRead, Sender

if TYPE_CHECKING:
    from tests.conftest import Machine
    from tests.unit.conftest import ClocksFactory

# Past its deadline a poll says so, or that it got no processor: which of them depends on how busy the machine is.
LATE = {1000, 1005}
# Of the clock of a collection whose deadline a test lets come: a busy machine has twenty times as long for what must be
# done before, and nobody has to wait so long for the rest.
SPEED = SLOW


def assert_seven_are_complete(answer: Answer, well: Answer, stuck: int) -> None:
    assert answer.code in LATE
    assert answer.document["status"]["name"] in {"Deadline exceeded", "Host is busy"}
    assert f"No answer in {DEADLINE:g} s from GPU {stuck}. " in answer.message
    for index in set(range(8)) - {stuck}:
        assert answer.by_index[index] == well.by_index[index]
    assert stuck not in answer.by_index
    # Nothing that makes a card that has merely not answered look as if it had gone.
    assert answer.document["discovery"] == {}
    assert "presence" not in answer.document
    # On a busy machine nothing is said of the GPU that has not answered.
    silent = answer.code == 1000
    assert answer.document["host"]["gpus_sick"] == silent
    assert answer.document["host"]["sick"] == (f"GPU {stuck}: no answer" if silent else "")
    assert answer.document["host"]["gpus_lost"] == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "values",
    [
        {"state": "hang"},  # no handle
        {"nvmlDeviceGetUUID": "!HANG"},
        {"power_usage": "!HANG"},
        {"field.193": "!HANG"},  # the very last reading but a few
    ],
)
def test_one_gpu_of_eight_hangs(
    eight: Machine, clocked: ClocksFactory, well: Answer, tmp_path: Path, values: dict[str, Any]
) -> None:
    healthy = eight.path.read_text()
    real = dict(eight.env)
    clocks = clocked(eight, speed=SPEED)
    eight.set("gpu 5", values)
    began = clocks.monotonic()
    poll = Poll(eight.env, deadline=None)
    stuck = child_that_waits_for_one_gpu(tmp_path)
    assert poll.process.poll() is None
    clocks.leap(DEADLINE)
    answer = poll.answer()
    # The kernel tells the start of a process in hundredths of a second, rounded down.
    assert DEADLINE <= answer.document["collector"]["duration"] <= clocks.monotonic() - began + 0.01
    assert_seven_are_complete(answer, well, 5)
    assert only_child(tmp_path) == stuck

    # As long as it hangs: no waiting for the deadline, and no second process.
    for _ in range(3):
        again = get(real)
        assert again.code == 1001
        assert again.document["status"]["name"] == "Previous collection still running"
        assert again.document["gpus"] == again.document["discovery"] == {}
        assert only_child(tmp_path) == stuck

    end(tmp_path)
    eight.write(healthy)
    healed = get(real)
    assert healed.code == 0
    assert len(healed.document["presence"]) == 8


@pytest.mark.slow
def test_ten_polls_at_once_leave_one_process(eight: Machine, clocked: ClocksFactory, tmp_path: Path) -> None:
    clocks = clocked(eight, speed=SPEED)
    eight.set("gpu 5", state="hang")
    polls = [Poll(eight.env, deadline=None) for _ in range(10)]
    wait_for(lambda: sum(poll.process.poll() is None for poll in polls) == 1, "nine that do not wait")
    child_that_waits_for_one_gpu(tmp_path)
    clocks.leap(DEADLINE)
    answers = [poll.answer() for poll in polls]
    assert sorted(answer.code for answer in answers) == [1000, *9 * [1001]]
    assert [len(answer.by_index) for answer in answers if "host" in answer.document] == [7]
    assert only_child(tmp_path)


@pytest.mark.parametrize("values", [{"state": "hang"}, {"gpu_count": "!HANG"}, {"nvml_version": "!HANG"}])
def test_driver_hangs_before_a_gpu_is_asked(eight: Machine, tmp_path: Path, values: dict[str, Any]) -> None:
    eight.set("machine", values)
    answer = get(eight.env, deadline=1)
    assert answer.code in LATE
    assert answer.message.startswith("No answer in 1 s. ")
    assert answer.document["gpus"] == answer.document["discovery"] == {}
    assert not {"host", "presence"} & set(answer.document)
    # It has left although the call hangs still.
    assert len(children(tmp_path)) == 1


@pytest.mark.slow
def test_deadline_is_counted_from_the_start_of_the_process(
    eight: Machine, clocked: ClocksFactory, tmp_path: Path
) -> None:
    """A start that takes long, on a disk that sleeps for example, takes from the time of the calls."""
    eight.set("gpu 0", state="hang")
    clocks = clocked(eight, speed=SPEED / 2)
    # The kernel, which knows nothing of this clock, has it that the process was started so long ago.
    clocks.leap(DEADLINE - 1)
    began = clocks.monotonic()
    poll = Poll(eight.env, deadline=None)
    child_that_waits_for_one_gpu(tmp_path)
    clocks.leap(1.2)
    answer = poll.answer()
    assert clocks.monotonic() - began < DEADLINE
    assert answer.document["collector"]["duration"] >= DEADLINE
    assert answer.code in LATE
    assert len(answer.by_index) == 7


def test_what_came_in_time_counts_when_the_parent_was_late() -> None:
    """On a busy machine it may run only after the deadline. It must not wait for more then."""
    reading, writing = os.pipe()
    sender = Sender(writing)
    sender.send(HostRead(0, {}, 2, [], [], (0.0, 0.0)))
    sender.send(GpuRead(0, Gpu(0, "ok", {"uuid": "GPU-0"}, {}, (), ())))
    # So long ago that what this process has waited for a processor since its own start is little of it.
    found = oneshot._listen(reading, time.monotonic() - 1e6, 1.0)  # noqa: SLF001  a parent cannot be held up from outside
    assert [gpu.position for gpu in found.gpus] == [0]
    assert (found.status.name, found.detail) == ("Deadline exceeded", "No answer in 1 s from GPU 1")
    os.close(reading)
    os.close(writing)


def only_child(folder: Path) -> int:
    """The one that is left when those that merely said that they would not wait have gone."""
    wait_for(lambda: len(children(folder)) == 1, "all processes but one to end")
    return children(folder)[0]


def test_calls_end_in_peace_when_nobody_waits(eight: Machine, clocked: ClocksFactory, tmp_path: Path) -> None:
    """A process that leaves ends the calls of its other threads as SIGKILL does, which has frozen GPUs."""
    clocks = clocked(eight)
    eight.set("gpu 1", power_usage="!SLOW(1000) 70000")
    eight.set("gpu 2", power_usage="!SLOW(2000) 70000")
    poll = Poll(eight.env, deadline=1)
    clocks.until_slow_calls(2)
    assert poll.answer().code in LATE
    clocks.leap(1000)
    clocks.until_slow_calls(1)
    (child,) = children(tmp_path)
    clocks.leap(1000)
    wait_until_gone(tmp_path, f"{child}, whose calls are back")
    clocks.until_slow_calls(0)


def test_call_that_returns_late(eight: Machine, clocked: ClocksFactory, tmp_path: Path) -> None:
    """It finds nobody who wants to know, and ends by itself."""
    real = dict(eight.env)
    clocks = clocked(eight)
    eight.set("gpu 5", power_usage="!SLOW(1000) 70000")
    assert get(eight.env, deadline=1).code in LATE
    clocks.until_slow_calls()
    assert len(children(tmp_path)) == 1
    clocks.leap(1000)
    wait_until_gone(tmp_path, "the late call")
    eight.set("gpu 5", power_usage=70000)
    assert get(real).code == 0


@pytest.mark.slow
def test_gpus_are_asked_side_by_side(eight: Machine, clocked: ClocksFactory) -> None:
    """Without persistence mode each takes 1 to 3 s to wake: one after another they would not be done in time."""
    clocks = clocked(eight, speed=SPEED)
    eight.set("gpu *", power_usage="!SLOW(2) 70000")
    poll = Poll(eight.env, deadline=None)
    clocks.until_slow_calls(8)
    clocks.leap(2)
    assert poll.answer().code == 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_child_that_dies(eight: Machine, well: Answer, tmp_path: Path, number: signal.Signals) -> None:
    eight.set("gpu 5", power_usage="!SLOW(1000) 70000")
    poll = Poll(eight.env)
    os.kill(child_that_waits_for_one_gpu(tmp_path), number)
    answer = poll.answer()  # which waits for less than the deadline
    assert answer.code == 1002
    assert answer.message.startswith("The process that reads the driver died: no answer from GPU 5. ")
    assert answer.by_index == {index: gpu for index, gpu in well.by_index.items() if index != 5}
    assert "presence" not in answer.document
    eight.set("gpu 5", power_usage=70000)
    assert get(eight.env).code == 0


def child_that_waits_for_one_gpu(folder: Path) -> int:
    """The child of a running collection, once all its threads but one have ended."""
    calm = 0

    def waits() -> bool:
        nonlocal calm
        alone = [int(stat(pid)[17]) for pid in leaders(folder)] == [2]
        calm = calm + 1 if alone else 0
        # Not the first of eight threads that are just being started: a second is ten times what passes between two.
        return calm > 1 / LOOK

    wait_for(waits, "a child that waits for one GPU")
    return leaders(folder)[0]


def test_child_outlives_the_agents_kill(eight: Machine, clocked: ClocksFactory, tmp_path: Path) -> None:
    """At a timeout an agent kills the process group: SIGKILL in the middle of a call has frozen GPUs."""
    clocks = clocked(eight)
    eight.set("gpu 5", power_usage="!SLOW(1000) 70000")
    with subprocess.Popen(
        [AGENT, "get"], env=eight.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as run:
        wait_for(lambda: set(leaders(tmp_path)) - {run.pid}, "a session of the child's own")
        (child,) = set(leaders(tmp_path)) - {run.pid}
        os.killpg(run.pid, signal.SIGKILL)
    clocks.until_slow_calls()
    assert children(tmp_path) == [child]
    clocks.leap(1000)
    wait_until_gone(tmp_path, "the call to return")


@pytest.mark.slow
def test_stuck_child_holds_nothing_of_the_callers(eight: Machine, tmp_path: Path) -> None:
    eight.set("gpu 5", state="hang")
    # As the socket that zabbix_agentd listens on, which its children inherit.
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    listener.set_inheritable(True)
    spare = os.open(eight.path, os.O_RDONLY)
    high = os.dup2(spare, 900)
    os.set_inheritable(high, True)
    try:
        run = subprocess.run(
            [AGENT, "get"], env=eight.env, stdin=subprocess.DEVNULL, capture_output=True, close_fds=False, check=False
        )
    finally:
        os.close(spare)
        os.close(high)
        listener.close()
    assert checked(run.stdout).code in LATE

    (stuck,) = children(tmp_path)
    wait_for(lambda: int(stat(stuck)[17]) == 2 and "D" in states_of_threads(stuck), "the other GPUs")
    held = {path.name: str(path.readlink()) for path in Path(f"/proc/{stuck}/fd").iterdir()}
    assert [held.pop(name) for name in ("0", "1", "2")] == ["/dev/null"] * 3
    # The pipe to the parent that has left, the lock, and the driver: the simulated one keeps its profile open.
    kinds = sorted(target.split(":")[0] for target in held.values())
    assert kinds == [str(eight.path), "pipe", "socket"], held
    socket.create_server(("127.0.0.1", port), backlog=1).close()

    assert int(stat(stuck)[3]) == stuck
    assert str(Path(f"/proc/{stuck}/cwd").readlink()) == "/"


@pytest.mark.slow
def test_lock_is_of_one_installation(eight: Machine, tmp_path: Path) -> None:
    """A copy elsewhere is not silenced, and nothing is written beside the program."""
    package = Path(python("import zbx_nvidia; print(zbx_nvidia.__path__[0])", eight.env).strip())
    before = sorted(package.rglob("*"))
    shutil.copytree(package, tmp_path / "other" / "zbx_nvidia")
    eight.set("gpu 5", state="hang")
    assert get(eight.env, deadline=1).code in LATE
    wait_for(lambda: "D" in states_of_threads(only_child(tmp_path)), "a call that hangs, and so a lock that is held")
    assert get(eight.env).code == 1001
    assert sorted(package.rglob("*")) == before
    other = {**eight.env, "PYTHONPATH": str(tmp_path / "other")}
    code = "from zbx_nvidia.collector import main; assert main.__file__.startswith(sys.argv[1]); print(main.get(1))"
    # Not forked: what is left of it is found by its environment, and ended.
    command = [sys.executable, "-c", f"import sys; {code}", str(tmp_path)]
    said = subprocess.run(command, env=other, capture_output=True, check=True, timeout=PATIENCE)
    assert checked(said.stdout).code in LATE
    end(tmp_path)
