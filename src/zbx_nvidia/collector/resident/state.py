"""What the service knows and decides, without a process, a file or a clock of its own.

`ServiceState` takes the time and an event, and returns actions for the supervisor to carry out, in their order. All
times are of the monotonic clock: the wall clock, which may jump, decides nothing.

A round is one reading of everything. It ends when every GPU has answered from which an answer can be expected: one that
has not answered for `stall` seconds is not waited for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from zbx_nvidia import __version__
from zbx_nvidia.catalog import status as states
from zbx_nvidia.collector import document, sleeping
from zbx_nvidia.collector.document import Collection, Problem
from zbx_nvidia.collector.protocol import AllAsked, Broken, Failed, GpuRead, HostRead
from zbx_nvidia.collector.resident.cards import Cards
from zbx_nvidia.collector.resident.config import worker_arguments
from zbx_nvidia.collector.resident.events import (
    AllAsleep,
    Answer,
    AskWorker,
    CheckHost,
    EndWorker,
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
from zbx_nvidia.collector.resident.last_job import LastJobs
from zbx_nvidia.collector.resident.reports import Ready, WorkerMessage, XidReport
from zbx_nvidia.collector.resident.xid_tracker import XidTracker, unix_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from zbx_nvidia.catalog.status import Status
    from zbx_nvidia.collector.document import Gpu
    from zbx_nvidia.collector.resident.config import Config
    from zbx_nvidia.collector.resident.events import Action, Event

MODE = "resident"
HOST = -1  # beside the positions of GPUs: the worker as a whole
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # s before a failed worker is started again, doubled each time
LOCK_PAUSE = 0.2  # s until it is tried again to start a worker while an earlier one holds its lock
# Only a new process sees a GPU again that was lost and then reset. Whoever resets one releases the driver before, and
# that starts a new process: this is for the other cases, and costs the other GPUs their samples.
RENEW_LOST = 600.0
LONGEST_INTERVAL = 60.0  # s between two documents while there is no worker to ask: main.py goes by what they say
RELEASED, RESUMED = "released", "resumed"
HELD = "error: the driver does not answer, and is still held"


class Round(NamedTuple):
    """One reading of everything.

    Attributes:
        number: Which.
        started: When.
        gpus: What has answered, by position.
    """

    number: int
    started: float
    gpus: dict[int, Gpu]


class ServiceState:
    """The state of the service.

    Args:
        config: Of the service.
        wall: Unix time of a moment of the monotonic clock, for the times of XIDs.
    """

    def __init__(self, config: Config, wall: Callable[[float], float] = unix_time) -> None:
        self._config = config
        self._xids = XidTracker(config, wall)
        self._actions: list[Action] = []
        self._arguments: tuple[str | float, ...] | None = None  # of the worker that runs; None while there is none
        self._ready = False  # the worker has NVML open
        self._ending = False  # the worker was asked to end
        self._start_at: float | None = 0.0  # when a worker is to be started
        self._blocked_since: float | None = None
        self._pause = FIRST_PAUSE
        self._failure: tuple[Status, str] | None = None  # why there is no worker
        self._round: Round | None = None  # the one that is under way
        self._number = 0
        self._host: HostRead | None = None
        self._users: dict[int, str] = {}
        self._next = 0.0  # when the next round is due
        self._asked: dict[int, float] = {}  # GPUs that owe an answer, and since when; HOST is the worker as a whole
        self._lost_since: float | None = None
        self._cards = Cards()
        self._idle_since: float | None = None  # since when no GPU has had work
        self._released_until: float | None = None
        self._asleep: list[Gpu] = []  # all GPUs, while every one of them sleeps
        self._log_complaint = ""
        self._last_jobs = LastJobs()

    # -- from outside ------------------------------------------------------------------------------------------------

    def next_time(self, now: float) -> float:
        """When `advance` has something to do again, at the latest."""
        times = [self._next]
        if self._start_at is not None and self._arguments is None:
            times.append(self._start_at)
        if self._released_until is not None:
            times.append(self._released_until)
        times += [self._stalls_at(since) for since in self._asked.values() if now < self._stalls_at(since)]
        return min(times)

    def advance(self, now: float) -> list[Action]:
        """Do what is due: to be called whenever time has passed or something has happened."""
        if self._released_until is not None and now >= self._released_until:
            self._resume(now)
        if self._arguments is None and self._start_at is not None and now >= self._start_at:
            self._start_at = None  # until it is known how that went
            self._do(StartWorker(worker_arguments(self._config)))
        self._try_to_finish(now)
        if now >= self._next:
            self._tick(now)
        return self._taken()

    def handle(self, now: float, event: Event | WorkerMessage) -> list[Action]:  # noqa: C901, PLR0912  one event a line
        """Take in what has happened."""
        match event:
            case GpuRead():
                self._on_gpu(now, event)
            case HostRead():
                self._on_host(event)
            case XidReport():
                self._log(*self._xids.reported(event))
            case AllAsked():
                self._on_all_asked(now, event)
            case Ready(version):
                self._on_ready(now, version)
            case Failed(code, message):
                self._fail(now, states.of_error(code), f"NVML error {code}: {message}")
            case Broken(message):
                self._fail(now, states.COLLECTOR_FAILED, message)
            case WorkerStarted(arguments):
                self._on_started(now, arguments)
            case WorkerBlocked():
                self._on_blocked(now)
            case WorkerNotStarted(detail):
                self._fail(now, states.COLLECTOR_FAILED, detail)
            case AllAsleep(gpus):
                self._on_asleep(now, gpus)
            case WorkerClosed():
                self._on_closed(now)
            case WorkerEnded(how):
                self._on_ended(now, how)
            case HostChecked():
                self._on_checked(now, event)
            case Reload(config):
                self._on_reload(now, config)
            case Release():
                self._on_release(now, event)
        return self._taken()

    def _do(self, action: Action) -> None:
        self._actions.append(action)

    def _log(self, *lines: str) -> None:
        self._actions += [Log(line) for line in lines]

    def _taken(self) -> list[Action]:
        actions, self._actions = self._actions, []
        return actions

    # -- rounds ------------------------------------------------------------------------------------------------------

    def _tick(self, now: float) -> None:
        """A round is due."""
        if self._round is not None:
            # The previous round still waits for answers, and its time limit is not reached.
            self._next = now + self._config.interval
            return
        interval = self._config.idle if self._idle(now) else self._config.interval
        if not self._ready:
            interval = min(interval, LONGEST_INTERVAL)
        self._next += interval
        if self._next <= now:
            # The machine slept, or this is the first: missed rounds are not made up for.
            self._next = now + interval
        # Before the worker reports XIDs: so the two sources are compared.
        self._do(CheckHost())

    def _on_checked(self, now: float, checked: HostChecked) -> None:
        if checked.log_complaint != self._log_complaint:
            self._log_complaint = checked.log_complaint
            if checked.log_complaint or checked.log_reads:
                self._log(checked.log_complaint or "the kernel log is read again")
        self._log(*self._xids.logged(checked.lines, reads=checked.log_reads))
        self._on_asleep(now, checked.asleep)
        if self._ready and not self._asleep:
            self._renew(now, library_replaced=checked.library_replaced)
        if self._ready and not self._asleep:  # unless it was just asked to end
            self._ask(now)
        else:
            self._write_without(now)

    def _on_asleep(self, now: float, gpus: list[Gpu]) -> None:
        """Who sleeps. While all do, no worker is started or asked: a call would wake them."""
        if self._asleep and not gpus and self._arguments is None and self._released_until is None:
            self._start_at = now
        self._asleep = gpus

    def _ask(self, now: float) -> None:
        self._number += 1
        self._round = Round(self._number, now, {})
        self._host = None
        self._asked.setdefault(HOST, now)
        self._do(AskWorker(self._number, self._idle(now)))

    def _idle(self, now: float) -> bool:
        """Whether the GPUs are to be left alone: no work for as long as peaks look back."""
        since = self._idle_since
        return bool(self._config.idle) and since is not None and now - since >= self._config.window

    def _on_host(self, host: HostRead) -> None:
        self._xids.counted(host.gpu_count)
        self._cards.counted(host)
        self._on_cards()
        if self._round is not None and host.number == self._round.number:
            self._host = host
            for index in range(host.gpu_count):
                if index not in self._round.gpus:
                    # Since the round began: a document must not wait for one after the other.
                    self._asked.setdefault(index, self._round.started)

    def _on_cards(self) -> None:
        if self._cards.moved:
            self._xids.moved()

    def _on_gpu(self, now: float, read: GpuRead) -> None:
        gpu = read.gpu
        self._cards.read(gpu)
        self._on_cards()
        self._log(*self._xids.placed(gpu))
        self._asked.pop(gpu.position, None)
        if self._round is not None and read.number == self._round.number:
            self._round.gpus[gpu.position] = gpu
        elif self._round is not None and self._host is not None:
            # An answer to an earlier round: the call is back, and the GPU was asked again since.
            self._asked[gpu.position] = now

    def _on_all_asked(self, now: float, asked: AllAsked) -> None:
        if self._ending:
            return  # HOST stands for its end now
        self._users = asked.users
        self._asked.pop(HOST, None)
        if self._round is not None and asked.number != self._round.number:
            # As for a GPU.
            self._asked[HOST] = now

    def _try_to_finish(self, now: float) -> None:
        """Write the document when everybody has answered from whom an answer can be expected."""
        if self._round is None:
            if not self._ready and self._failure is None and self._worker_hangs(now):
                # It does not come up, or does not end.
                self._failure = (states.STALLED, "")
                self._write_without(now)
            return
        if any(now < self._stalls_at(since) for since in self._asked.values()):
            return
        owing = {index: now - since for index, since in self._asked.items()}
        round_, self._round = self._round, None
        if self._host is None:
            # Nothing is known of any GPU without it, not even how many there are.
            detail = f"No answer for {max(owing.values(), default=0.0):.0f} s{self._xids.last_xids(now)}"
            self._do(Write(document.failed(states.STALLED, detail, now - round_.started, MODE)))
            return
        self._write_round(now, round_, self._host, owing)

    def _write_round(self, now: float, round_: Round, host: HostRead, owing: dict[int, float]) -> None:
        status, detail = states.OK, ""
        if owing:
            names = ", ".join(f"GPU {index}" if index != HOST else "the driver" for index in sorted(owing))
            status, detail = states.STALLED, f"No answer for {max(owing.values()):.0f} s from {names}"
        known = (self._xids.with_xids(now, gpu) for gpu in round_.gpus.values())
        gpus = self._last_jobs.added(now, known, self._users, self._config)
        self._lost_since = (self._lost_since or now) if any(gpu.state == "lost" for gpu in gpus) else None
        if not owing and all(_is_without_work(gpu) for gpu in gpus):
            self._idle_since = self._idle_since or now
        else:
            if self._idle(now):
                self._next = min(self._next, now + self._config.interval)
            self._idle_since = None
        if self._cards.moved and not owing and self._arguments is not None:
            self._next = now  # the worker watches other cards than there are
        self._pause = FIRST_PAUSE
        log_problem = [Problem("", "kernel_log", 0, self._log_complaint)] if self._log_complaint else []
        collection = Collection(
            status=status,
            detail=detail,
            host={**host.versions, **self._xids.of_host(now)},
            gpu_count=host.gpu_count,
            gpus=gpus,
            slots=host.slots,
            problems=[*host.problems, *log_problem],
            users=self._users,
            mode=MODE,
            duration=now - round_.started,
            spent=host.spent,
            remarks={index: words for index in owing if (words := self._xids.last_xid(now, index))},
        )
        self._do(Write(collection))

    def _write_without(self, now: float) -> None:
        """Write the document while there is no worker to ask."""
        if self._worker_hangs(now):
            detail = f"No answer for {now - self._asked[HOST]:.0f} s{self._xids.last_xids(now)}"
            self._do(Write(document.failed(states.STALLED, detail, 0.0, MODE)))
            if self._released_until is not None:
                # It is not released later either, when nobody expects it any more.
                self._released_until = None
                self._do(Answer(HELD))
        elif self._released_until is not None:
            if self._arguments is None:
                detail = f"For {self._released_until - now:.0f} s more"
                self._do(Write(document.failed(states.RELEASED, detail, 0.0, MODE)))
        elif self._asleep:
            self._failure = None
            collection = sleeping.collected(self._asleep, MODE, 0.0)
            self._do(Write(collection._replace(host={**collection.host, **self._xids.of_host(now)})))
        elif self._failure is not None:
            status, detail = self._failure
            self._do(Write(document.failed(status, detail, 0.0, MODE)))
        # Else a worker is starting: the document stays until it is ready, or until that takes too long.

    # -- the worker --------------------------------------------------------------------------------------------------

    def _on_started(self, now: float, arguments: tuple[str | float, ...]) -> None:
        self._arguments = arguments
        self._blocked_since = None
        self._ready = self._ending = False
        self._cards = Cards()
        self._asked = {HOST: now}

    def _on_blocked(self, now: float) -> None:
        self._start_at = now + LOCK_PAUSE
        if self._blocked_since is None:
            self._blocked_since = now
        if now >= self._stalls_at(self._blocked_since) and self._failure is None:
            self._failure = (states.STILL_STUCK, "")
            self._write_without(now)

    def _on_ready(self, now: float, version: str) -> None:
        if version != __version__:
            # Its messages may mean something else. systemd starts what is installed now.
            self._log(f"{version} was installed over {__version__} while the service ran")
            self._do(Exit(1))
            return
        if self._ending:
            return
        self._asked.pop(HOST, None)
        self._ready = True
        self._next = now
        self._failure = None

    def _on_closed(self, now: float) -> None:
        # What it owes, nobody will answer.
        self._stop_asking(now)
        self._asked.setdefault(HOST, now)

    def _on_ended(self, now: float, how: str) -> None:
        self._arguments = None
        self._idle_since = None
        self._asked.clear()
        self._xids.forget_worker()
        if self._released_until is not None:
            self._failure = None
            self._write_without(now)
            self._do(Answer(RELEASED))
            return
        if self._failure is None and not self._ending:
            detail = f"The process that reads the driver died: {how}"
            self._log(detail)
            self._failure = (states.COLLECTOR_FAILED, detail)
            self._write_without(now)
        if self._failure is None:
            self._start_at = now
        else:
            self._start_later(now)

    def _start_later(self, now: float) -> None:
        self._start_at = now + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def _fail(self, now: float, status: Status, detail: str) -> None:
        """The driver is gone: report it at once. The worker ends by itself, and another one tries again."""
        self._failure = (status, detail)
        self._stop_asking(now)
        if self._arguments is None:
            self._asked = {}
            self._start_later(now)
        else:
            # If it hangs on its way out, that is what counts from then on.
            self._asked = {HOST: now}
        self._write_without(now)

    def _stop_asking(self, now: float) -> None:
        """The worker cannot be asked any more."""
        self._ready = False
        self._round = None
        self._next = min(self._next, now + LONGEST_INTERVAL)

    def _end_worker(self, now: float) -> None:
        if self._arguments is not None and not self._ending:
            self._ending = True
            self._stop_asking(now)
            self._asked[HOST] = now
            self._do(EndWorker())

    def _renew(self, now: float, *, library_replaced: bool) -> None:
        """Start a new worker where this one cannot see what there is now.

        Not while a call hangs: the worker could not end before that is back, and nobody would read the other GPUs.
        """
        if self._hangs(now):
            return
        if library_replaced:
            self._log("the driver's library was replaced: the worker is restarted")
            self._end_worker(now)
        elif self._cards.moved:
            self._log(f"{self._cards.moved}: the worker is restarted")
            self._end_worker(now)
        elif worker_arguments(self._config) != self._arguments:
            self._end_worker(now)
        elif self._lost_since is not None and now - self._lost_since >= RENEW_LOST:
            self._lost_since = now
            self._end_worker(now)

    def _hangs(self, now: float) -> bool:
        """Whether a call has not come back in time."""
        return any(now >= self._stalls_at(since) for since in self._asked.values())

    def _worker_hangs(self, now: float) -> bool:
        """Whether the worker as a whole has not answered in time."""
        return self._arguments is not None and HOST in self._asked and now >= self._stalls_at(self._asked[HOST])

    def _stalls_at(self, since: float) -> float:
        """When a call that began then is one that hangs.

        Everything compares with this sum: `now - since` is rounded differently, and the loop would spin in between.
        """
        return since + self._config.stall

    # -- requests ----------------------------------------------------------------------------------------------------

    def _on_reload(self, now: float, config: Config) -> None:
        self._config = config
        self._xids.use(config)
        self._next = now
        waits = self._arguments not in {None, worker_arguments(config)} and self._hangs(now)
        self._log("configuration read again" + (", in part when the call that hangs is back" if waits else ""))

    def _on_release(self, now: float, request: Release) -> None:
        if request.seconds <= 0:
            self._resume(now)
            return
        if self._hangs(now) or (self._arguments is None and not request.is_free):
            # Our worker hangs, or one of an earlier service: nobody may believe that the driver is free, and the GPUs
            # that still answer go on being read.
            self._do(Answer(HELD))
            return
        self._released_until = now + request.seconds
        self._start_at = None
        self._end_worker(now)
        if self._arguments is None:
            self._write_without(now)
            self._do(Answer(RELEASED))

    def _resume(self, now: float) -> None:
        if self._released_until is not None:
            self._log("the driver is used again")
            self._released_until = None
            self._failure = None
            if self._arguments is None:
                self._start_at = now
        # Also those who still wait for the release: it does not come any more.
        self._do(Answer(RESUMED))


def _is_without_work(gpu: Gpu) -> bool:
    """Whether nothing runs on a GPU. A process may be there and do nothing; without utilization, no process may be."""
    work = [gpu.readings[key] for key in ("utilization", "sampled_utilization_peak") if key in gpu.readings]
    return gpu.state == document.ASLEEP or (gpu.state == "ok" and not any(work or [gpu.readings.get("processes", 1)]))
