"""A world for the service's state: a clock that the test moves, a driver, and a worker that reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zbx_nvidia import __version__
from zbx_nvidia.collector.document import Gpu, Problem
from zbx_nvidia.collector.protocol import AllAsked, Broken, Failed, GpuRead, HostRead
from zbx_nvidia.collector.resident.config import Config, parse
from zbx_nvidia.collector.resident.events import (
    Action,
    AllAsleep,
    Answer,
    AskWorker,
    CheckHost,
    EndWorker,
    Event,
    Exit,
    HostChecked,
    Log,
    Release,
    Reload,
    StartWorker,
    WorkerBlocked,
    WorkerClosed,
    WorkerEnded,
    WorkerNotStarted,
    WorkerStarted,
    Write,
)
from zbx_nvidia.collector.resident.reports import Ready
from zbx_nvidia.collector.resident.state import HOST, RELEASED, ServiceState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zbx_nvidia.collector.document import Collection
    from zbx_nvidia.collector.resident.kernel_log import LogLine
    from zbx_nvidia.collector.resident.reports import WorkerMessage, XidReport

INTERVAL, STALL, WINDOW = 5.0, 10.0, 60.0
MAX_TURNS = 10  # of the loop at one time
MAX_MESSAGES = 1000  # at one time
EPOCH = 1.7e9  # Unix time when the clock was 0


def config(**values: str) -> Config:
    """The usual one of these tests, with other values."""
    lines = {
        "interval": f"{INTERVAL:g}s",
        "stall": f"{STALL:g}s",
        "window": f"{WINDOW:g}s",
        "xid_repeat": "2h",
        **values,
    }
    return parse("".join(f"{key} = {value}\n" for key, value in lines.items()))


class World:
    """Carries out what the state decides.

    Attributes:
        now: Its clock, in s.
        hung: Positions of GPUs whose calls do not come back; HOST for the driver as a whole.
        lost: Positions of GPUs that the driver has lost.
        moved: How many cards were plugged in before all others.
        nameless: Whether a lost GPU no longer has a UUID.
        slots: What the kernel module lists.
        busy: Whether the GPUs have work.
        driver: Why NVML does not answer; None while it does.
        blocked: Whether a worker of an earlier service holds the lock.
        startable: Whether a process can be started.
        asleep: Whether every GPU sleeps.
        lingers: Whether a worker that ends hangs in the driver as it closes the devices.
        documents: (when, what) of each that was written.
        answers: To those who asked for a release.
        said: Lines of the log.
        starts: When a worker was started.
        asked: (number, idle) of each round.
    """

    def __init__(self, gpu_count: int = 8, **values: str) -> None:
        self.now = 1000.0
        self.gpu_count = gpu_count
        self.hung: set[int] = set()
        self.lost: set[int] = set()
        self.moved = 0
        self.nameless = False
        self.slots: list[str] = []
        self.busy = True
        self.driver: Failed | Broken | None = None
        self.version = __version__
        self.blocked = False
        self.startable = True
        self.lingers = False
        self.asleep = False
        self.library_replaced = False
        self.lines: list[LogLine] = []
        self.log_reads, self.log_complaint = False, ""
        self.reports: list[XidReport] = []
        self.documents: list[tuple[float, Collection]] = []
        self.answers: list[str] = []
        self.said: list[str] = []
        self.starts: list[float] = []
        self.asked: list[tuple[int, bool]] = []
        self.exit_code: int | None = None
        self._coming: list[Event | WorkerMessage] = []  # from the worker
        self._alive = self._ending = False
        self._owed: dict[int, int] = {}  # position -> number of the round in which its call began to hang
        self.state = ServiceState(config(**values), lambda moment: EPOCH + moment)
        self.leap(0)

    # -- for tests ---------------------------------------------------------------------------------------------------

    @property
    def last(self) -> Collection:
        """The document that is there."""
        return self.documents[-1][1]

    @property
    def name(self) -> str:
        """Of its status."""
        return self.last.status.name

    @property
    def read(self) -> list[int]:
        """Positions of the GPUs that have answered in it."""
        return sorted(gpu.position for gpu in self.last.gpus)

    def leap(self, seconds: float) -> None:
        """Let time pass: whatever is due in it happens when it is due."""
        end = self.now + seconds
        turns = 0
        while True:
            self._settle()
            due = self.state.next_time(self.now)
            if due > end:
                break
            turns = turns + 1 if due <= self.now else 0
            assert turns < MAX_TURNS, "it must not spin"
            self.now = max(self.now, due)
        self.now = end

    def _settle(self) -> None:
        """As the loop does: what has come is taken in one by one, and what is due is done after each."""
        turns = 0
        while (actions := self.state.advance(self.now)) or self._coming:
            turns += 1
            assert turns < MAX_MESSAGES, "it must not spin"
            self._do(actions)
            if self._coming:
                self._hear(self._coming.pop(0))

    def sleep(self, seconds: float) -> None:
        """The machine sleeps, or nobody lets us run: time has passed, and nothing has happened in it."""
        self.now += seconds
        self.leap(0)

    def back(self, position: int) -> None:
        """The call that hangs there comes back, late."""
        self.hung.discard(position)
        number = self._owed.pop(position, 0)
        if position == HOST:
            self._round(number)
        elif number:
            self._coming.append(GpuRead(number, self._gpu(position)))
        self._end_if_it_can()
        self.leap(0)

    def die(self, how: str) -> None:
        """The worker is killed by somebody else."""
        self._coming = [WorkerClosed()]
        self._gone(how)
        self.leap(0)

    def restart(self) -> None:
        """A new service on the same machine."""
        self.die("signal 9")
        self.leap(INTERVAL)

    def release(self, seconds: float) -> None:
        self._hear(Release(seconds, not self._alive and not self.blocked))
        self.leap(0)

    def reload(self, **values: str) -> None:
        self._hear(Reload(config(**values)))
        self.leap(0)

    @property
    def holds_driver(self) -> bool:
        """Whether a worker is there."""
        return self._alive

    # -- the other side ----------------------------------------------------------------------------------------------

    def _hear(self, event: Event | WorkerMessage) -> None:
        self._do(self.state.handle(self.now, event))

    def _do(self, actions: Iterable[Action]) -> None:
        for action in actions:
            match action:
                case StartWorker(arguments):
                    self._start(arguments)
                case EndWorker():
                    assert self._alive
                    self._ending = True
                    self._end_if_it_can()
                case AskWorker(number, idle):
                    self.asked.append((number, idle))
                    self._round(number)
                case CheckHost():
                    lines, self.lines = self.lines, []
                    self._hear(self._checked(lines))
                case Write(collection):
                    self.documents.append((self.now, collection))
                case Answer(text):
                    assert text != RELEASED or not self._alive, "nobody may believe that it is free while it is held"
                    self.answers.append(text)
                case Log(text):
                    self.said.append(text)
                case Exit(code):
                    self.exit_code = code

    def _checked(self, lines: list[LogLine]) -> HostChecked:
        asleep = self._sleepers() if self.asleep else []
        return HostChecked(lines, self.log_reads, self.log_complaint, self.library_replaced, asleep)

    def _sleepers(self) -> list[Gpu]:
        return [
            Gpu(position, "asleep", {"uuid": f"GPU-{position}", "asleep": 1}, {}, (), ())
            for position in range(self.gpu_count)
        ]

    def _start(self, arguments: tuple[str | float, ...]) -> None:
        assert not self._alive, "never two workers"
        if self.asleep:
            self._hear(AllAsleep(self._sleepers()))
            return
        if self.blocked:
            self._hear(WorkerBlocked())
            return
        if not self.startable:
            self._hear(WorkerNotStarted("No process can be started: Cannot allocate memory"))
            return
        self._alive, self._ending, self._owed = True, False, {}
        self.library_replaced = False
        self._coming = []
        self.starts.append(self.now)
        self._hear(WorkerStarted(arguments))
        if HOST in self.hung:
            self._owed[HOST] = 0
        elif self.driver is not None:
            self._fails(self.driver)
        else:
            self._coming.append(Ready(self.version))

    def _fails(self, why: Failed | Broken) -> None:
        self._coming.append(why)
        self._ending = True
        self._end_if_it_can()

    def _round(self, number: int) -> None:
        if HOST in self.hung:
            self._owed.setdefault(HOST, number)
            return
        if self.driver is not None:
            self._fails(self.driver)
            return
        if number == 0:
            self._coming.append(Ready(self.version))
            return
        reports, self.reports = self.reports, []
        self._coming += reports
        self._coming.append(HostRead(number, {"driver_version": "580"}, self.gpu_count, self.slots, [], (0.0, 0.0)))
        for position in range(self.gpu_count):
            if position in self.hung:
                self._owed.setdefault(position, number)
            else:
                self._coming.append(GpuRead(number, self._gpu(position)))
        self._coming.append(AllAsked(number, {1000: "ada"}))

    def _gpu(self, position: int) -> Gpu:
        uuid = f"GPU-{position + self.moved}"
        if position in self.lost and self.nameless:
            return Gpu(position, "lost", {}, {}, (), (Problem("", "", 15, "GPU is lost"),))
        if position in self.lost:
            return Gpu(position, "lost", {"uuid": uuid}, {}, (), (Problem(uuid, "", 15, "GPU is lost"),))
        readings = {"uuid": uuid, "pci": f"00000000:{position + 1:02X}:00.0", "utilization": 40 * self.busy}
        return Gpu(position, "ok", readings, {}, (), ())

    def _end_if_it_can(self) -> None:
        if self._alive and self._ending and not self._owed:
            self._coming.append(WorkerClosed())
            self._gone("exit code 0")

    def _gone(self, how: str) -> None:
        if self.lingers:
            return
        self._alive, self._owed = False, {}
        self._coming.append(WorkerEnded(how))
