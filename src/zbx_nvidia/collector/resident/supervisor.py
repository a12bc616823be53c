"""The process that writes the document, and never calls NVML: so it can always answer and always leave.

One loop over file descriptors and times. All times are of the monotonic clock: the wall clock, which may jump, stands
in the document's `timestamp` and at XIDs, and nothing is decided by it. The kernel's log is read here too: it goes on
while there is no worker.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import selectors
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from zbx_nvidia import __version__
from zbx_nvidia.catalog import status as states
from zbx_nvidia.catalog.xid import BY_CODE
from zbx_nvidia.collector import document, oneshot
from zbx_nvidia.collector.document import Collection, Gpu, Problem
from zbx_nvidia.collector.protocol import CHUNK, Receiver
from zbx_nvidia.collector.resident import config as configuration
from zbx_nvidia.collector.resident import notify
from zbx_nvidia.collector.resident.kernel_log import KernelLog, Switches, Waiting, place
from zbx_nvidia.collector.resident.xid_history import LOG, Ledger
from zbx_nvidia.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zbx_nvidia.catalog.status import Status
    from zbx_nvidia.collector.resident.config import Config
    from zbx_nvidia.collector.resident.kernel_log import Line

MODE = "resident"
HOST = -1  # beside the positions of GPUs: the worker as a whole
NUMBER, IDLE = 4, 1 << 31  # bytes of the number of a round, and the bit of it that says to leave the GPUs in peace
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # s before a worker that has failed is started again, doubled each time
# A lost GPU that was reset is seen again by a process that begins anew, and by no other. Whoever resets one has the
# driver released before, and that is such a beginning: this is for the rest, and costs the other GPUs their samples.
RENEW_LOST = 600.0
_LONGEST = 60.0  # s between two documents while there is nobody to ask
LAST_WAIT = 0.7  # s that the end waits for the worker: with it, SIGTERM takes less than a second
_LOCK_PAUSE = 0.2
_SOON = 0.02  # s until it is looked again whether a process is gone that is about to be
_HELD = "error: the driver does not answer, and is still held"
_XID = "xid"  # the reader of all that is told of XIDs
_LIBRARY = "libnvidia-ml.so"
_START = """\
import sys
count = int(sys.argv[1])
sys.path[:] = sys.argv[2 : 2 + count]
from zbx_nvidia.collector.resident.worker import start
start(sys.argv[2 + count :])
"""
# glibc gives each of many threads a heap of its own, and the worker has two a GPU.
_HEAPS = {"MALLOC_ARENA_MAX": "2"}


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


class Host(NamedTuple):
    """What a worker says of the host as a whole in one round."""

    versions: dict[str, str]
    total: int
    slots: list[str]
    problems: list[Problem]
    spent: tuple[float, float]


class Worker(NamedTuple):
    """A worker process.

    Attributes:
        pid: Its number.
        arguments: With which it was started.
        control: Where it is asked.
        pipe: Where it answers.
        receiver: What has come of that.
    """

    pid: int
    arguments: tuple[float, ...]
    control: int
    pipe: int
    receiver: Receiver


def log(text: str) -> None:
    """Say a line to whoever runs the service: under systemd, the journal."""
    with contextlib.suppress(OSError):
        os.write(2, f"zbx-nvidia-agent: {text}\n".encode("utf-8", "replace"))


def serve(path: str | None) -> int:
    """Run the service until it is told to end.

    Args:
        path: Of the configuration file; None for the usual place.

    Returns:
        The exit code.

    Raises:
        UsageError: The configuration is wrong.
    """
    config = configuration.load(path)
    try:
        folder = os.path.dirname(config.document)
        os.makedirs(folder, mode=0o755, exist_ok=True)
        if os.geteuid() == 0 and (owner := os.stat(folder).st_uid) != 0:
            # What root leaves there the service's user could not open.
            log(f"{folder} belongs to user {owner}: run it as that, not as root (systemctl start zbx-nvidia)")
            return 1
        lock = _locked(config.document + ".lock")
    except OSError as error:
        log(f"{config.document}: {error.strerror}: {error.filename}")
        return 1
    if lock is None:
        log(f"another one writes {config.document} already")
        return 1
    return Supervisor(path, config).run()


def clean(path: str | None) -> int:
    """Remove the document of a service that was killed, so that nobody goes on reading it.

    Args:
        path: As of `serve`.

    Returns:
        The exit code.

    Raises:
        UsageError: As of `serve`.
    """
    config = configuration.load(path)
    if not os.path.exists(config.document + ".lock"):
        return 0  # there was none; and one that root made here, the service could not take
    try:
        lock = _locked(config.document + ".lock")
        if lock is not None:  # else it is being written
            _remove(config.document)
            os.close(lock)
    except OSError as error:
        log(f"{config.document}: {error.strerror}: {error.filename}")
        return 1
    return 0


class Supervisor:
    """The loop.

    Args:
        path: Of the configuration file, for SIGHUP.
        config: What it says.
    """

    def __init__(self, path: str | None, config: Config) -> None:
        self._path = path
        self._config = config
        self._selector = selectors.DefaultSelector()
        self._worker: Worker | None = None
        self._silent_since: float | None = None  # since when its pipe has been at its end
        self._ready = False
        self._ending = False  # the worker was told to end
        self._start_at: float | None = 0.0  # when a worker is to be started
        self._blocked: float | None = None  # since when another one holds the place of the worker
        self._pause = FIRST_PAUSE
        self._library: tuple[str, ...] = ()
        self._seen: tuple[Any, ...] = ()  # what that library was when the worker loaded it
        self._failure: tuple[Status, str] | None = None  # why there is no worker
        self._round: Round | None = None  # the one that is under way
        self._number = 0
        self._host: Host | None = None
        self._users: dict[int, str] = {}
        self._next = 0.0  # when the next round is due
        self._asked: dict[int, float] = {}  # GPUs that owe an answer, and since when; HOST is the worker as a whole
        self._lost_since: float | None = None
        self._idle_since: float | None = None  # since when no GPU has had work
        self._released: float | None = None  # until when
        self._waiting: list[socket.socket] = []  # those who want to know when the driver is free
        self._ledgers: dict[str, Ledger] = {}  # by UUID: indices move when a card goes
        self._uuids: dict[int, str] = {}  # of the GPUs that were waited for; a lost one cannot be asked
        self._told: set[int] = set()  # those of them whose UUID this worker has said
        self._count: int | None = None  # of GPUs, when they were last counted
        self._able: dict[int, bool | None] = {}
        self._refusals: dict[int, Problem] = {}  # of the wait for XIDs
        self._log = KernelLog(config.kernel_log)
        self._complaint = ""  # that it cannot be read
        self._switches = Switches(config.xid_memory)
        self._places: dict[str, str] = {}  # PCI address -> UUID
        self._unplaced = Waiting()
        self._unwritable = False
        self._said = ""
        self._announced = False
        self._watchdog = notify.watchdog()
        self._alive = 0.0
        self._ends, self._code = False, 0

    def run(self) -> int:
        """Run until told to end."""
        self._listen_for_signals()
        door = self._open_door()
        try:
            while not self._ends:
                now = time.monotonic()
                self._keep_time(now)
                for key, _ in self._selector.select(max(0.0, min(self._times(now)) - time.monotonic())):
                    key.data()
        finally:
            notify.send("STOPPING=1")
            _remove(self._config.document)
            door.close()
        self._leave()
        return self._code

    # -- time --------------------------------------------------------------------------------------------------------

    def _times(self, now: float) -> list[float]:
        """When something has to be done next."""
        times = [self._next]
        if self._watchdog is not None:
            times.append(self._alive + self._watchdog)
        if self._start_at is not None and self._worker is None:
            times.append(self._start_at)
        if self._released is not None:
            times.append(self._released)
        if self._silent_since is not None:
            times.append(now + (_SOON if now - self._silent_since < 1 else 1.0))
        stall = self._config.stall
        times += [since + stall for since in self._asked.values() if now - since < stall]
        return times

    def _keep_time(self, now: float) -> None:
        if self._watchdog is not None and now >= self._alive + self._watchdog:
            self._alive = now
            notify.send("WATCHDOG=1")
        if self._released is not None and now >= self._released:
            self._resume(now)
        if self._worker is None and self._start_at is not None and now >= self._start_at:
            self._start(now)
        self._look_whether_it_is_gone(now)
        self._try_to_finish(now)
        if now >= self._next:
            self._tick(now)

    def _tick(self, now: float) -> None:
        """Ask for everything; or, where there is nobody to ask, say why."""
        if self._round is not None:
            # Not everybody has answered, and the time for it is not over.
            self._next = now + self._config.interval
            return
        interval = self._config.idle if self._idle(now) else self._config.interval
        if not self._ready:
            interval = min(interval, _LONGEST)  # others go by what it says now (main.py)
        self._next += interval
        if self._next <= now:
            # The machine slept, or this is the first: what was missed is not made up.
            self._next = now + interval
        # Before the worker says what the driver has told it: so the two are held against each other.
        self._read_log(now)
        if self._ready and not self._ending:
            self._renew(now)
        if self._ready and not self._ending:
            self._ask(now)
        else:
            self._write_without(now)

    # -- the worker --------------------------------------------------------------------------------------------------

    def _start(self, now: float) -> None:
        """Start a worker, unless one of an earlier service still hangs in the driver."""
        try:
            lock = _locked(self._config.document + ".worker.lock")
        except OSError as error:
            self._fail(now, states.COLLECTOR_FAILED, f"{error.filename}: {error.strerror}")
            return
        if lock is None:
            self._start_at = now + _LOCK_PAUSE
            if self._blocked is None:
                self._blocked = now
            if now - self._blocked >= self._config.stall and self._failure is None:
                self._failure = (states.STILL_STUCK, "")
                self._write_without(now)
            return
        self._blocked = None
        for_worker, control = _pipe()
        pipe, from_worker = _pipe()
        arguments = _for_worker(self._config)
        path = [entry or os.getcwd() for entry in sys.path]
        command = [sys.executable, "-I", "-S", "-c", _START, str(len(path)), *path, *map(str, arguments)]
        try:
            pid = os.posix_spawn(
                sys.executable,
                command,
                {**os.environ, **_HEAPS},
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, for_worker, 0),
                    (os.POSIX_SPAWN_DUP2, from_worker, 1),
                    (os.POSIX_SPAWN_DUP2, lock, 3),
                ],
                setsigmask=[],
            )
        except OSError as error:
            os.close(control)
            os.close(pipe)
            self._fail(now, states.COLLECTOR_FAILED, f"No process can be started: {error.strerror}")
            return
        finally:
            for descriptor in (lock, for_worker, from_worker):
                os.close(descriptor)
        os.set_blocking(control, False)
        self._worker = Worker(pid, arguments, control, pipe, Receiver())
        self._start_at = None
        self._ready = self._ending = False
        self._asked = {HOST: now}
        self._selector.register(pipe, selectors.EVENT_READ, self._hear)

    def _ask(self, now: float) -> None:
        self._number += 1
        self._round = Round(self._number, now, {})
        self._host = None
        self._asked.setdefault(HOST, now)
        assert self._worker is not None  # noqa: S101  it is ready
        with contextlib.suppress(BrokenPipeError, BlockingIOError):
            # A worker whose main thread hangs leaves the numbers in the pipe, which has room for a day of them.
            order = self._number | (IDLE if self._idle(now) else 0)
            os.write(self._worker.control, order.to_bytes(NUMBER, "big"))

    def _idle(self, now: float) -> bool:
        """Whether the GPUs are to be left in peace: no work for as long as peaks look back."""
        since = self._idle_since
        return bool(self._config.idle) and since is not None and now - since >= self._config.window

    def _hear(self) -> None:
        """Take what the worker says."""
        now = time.monotonic()
        worker = self._worker
        assert worker is not None  # noqa: S101  else its pipe would not be watched
        data = os.read(worker.pipe, CHUNK)
        if not data:
            # It is about to be gone. What it owes, nobody answers any more.
            self._selector.unregister(worker.pipe)
            self._silent_since = now
            self._ready = False
            self._round = None
            self._asked.setdefault(HOST, now)
            return
        for kind, value in worker.receiver.feed(data):
            if kind == "gpu":
                self._hear_gpu(now, value)
            elif kind == "host":
                self._hear_host(value)
            elif kind == "xids":
                self._hear_xids(value)
            elif kind == "asked":
                self._hear_asked(now, value)
            elif kind == "ready":
                self._hear_ready(now, worker, value)
            elif kind == "failed":
                code, message = value
                self._fail(now, states.of_error(code), f"NVML error {code}: {message}")
            elif kind == "broken":
                self._fail(now, states.COLLECTOR_FAILED, value)
        self._try_to_finish(now)

    def _hear_ready(self, now: float, worker: Worker, version: str) -> None:
        if version != __version__:
            # Its messages may mean something else. Whoever started us will start what is installed now.
            log(f"{version} was installed under {__version__} while it ran")
            self._ends, self._code = True, 1
            return
        if self._ending:
            return
        self._asked.pop(HOST, None)
        self._ready = True
        self._library = _library_of(worker.pid)
        self._seen = tuple(_identity(path) for path in self._library)
        self._next = now
        self._failure = None

    def _hear_host(self, value: tuple[Any, ...]) -> None:
        number, versions, count, slots, problems, spent = value
        if count != self._count:
            # Places may have moved: what an earlier worker said of them is void.
            self._count = count
            self._uuids = {index: uuid for index, uuid in self._uuids.items() if index in self._told}
        if self._round is not None and number == self._round.number:
            self._host = Host(versions, count, slots, [Problem(*problem) for problem in problems], spent)
            for index in range(count):
                if index not in self._round.gpus:
                    # Since the round began: a document is not to wait for one after the other.
                    self._asked.setdefault(index, self._round.started)

    def _hear_xids(self, reports: tuple[tuple[Any, ...], ...]) -> None:
        for index, uuid, able, refusal, codes in reports:
            self._able[index] = able
            self._refusals.pop(index, None)
            if refusal is not None:
                self._refusals[index] = Problem("", _XID, *refusal)
            if not uuid:
                continue
            self._uuids[index] = uuid
            self._told.add(index)
            ledger = self._ledger(uuid)
            for code, times, first, last in codes:
                if new := ledger.add(code, times, _wall(last), last, first):
                    log(f"GPU {index}: XID {code} ({_meaning(code)}), {new} times")

    def _hear_asked(self, now: float, value: tuple[Any, ...]) -> None:
        if self._ending:
            return  # it has its end still to come
        number, users = value
        self._users = users
        self._asked.pop(HOST, None)
        if self._round is not None and number != self._round.number:
            # An answer to a question of long ago: it is back, and has been asked again since.
            self._asked[HOST] = now

    def _hear_gpu(self, now: float, value: tuple[Any, ...]) -> None:
        number, plain = value
        gpu = oneshot.gpu_of(plain)
        if self._log.reads and {"pci", "uuid"} <= gpu.readings.keys():
            self._places[where := place(gpu.readings["pci"])] = gpu.readings["uuid"]
            self._count_logged(self._unplaced.take(where))
        self._asked.pop(gpu.position, None)
        if self._round is not None and number == self._round.number:
            self._round.gpus[gpu.position] = gpu
        elif self._round is not None and self._host is not None:
            # As above.
            self._asked[gpu.position] = now

    def _look_whether_it_is_gone(self, now: float) -> None:
        """Without a wait: a process that leaves may hang in the driver still, when it closes the devices."""
        worker = self._worker
        if worker is None or self._silent_since is None:
            return
        pid, how = os.waitpid(worker.pid, os.WNOHANG)
        if pid:
            self._gone(now, worker, how)

    def _gone(self, now: float, worker: Worker, how: int) -> None:
        """The worker has ended."""
        os.close(worker.pipe)
        os.close(worker.control)
        self._worker = None
        self._silent_since = None
        self._idle_since = None
        self._asked.clear()
        self._able.clear()
        self._told.clear()
        self._refusals.clear()
        if self._released is not None:
            self._failure = None
            self._write_without(now)
            self._tell("released")
            return
        if self._failure is None and not self._ending:
            detail = f"The process that reads the driver died: {_how(how)}"
            log(detail)
            self._failure = (states.COLLECTOR_FAILED, detail)
            self._write_without(now)
        if self._failure is None:
            self._start_at = now
        else:
            self._start_at = now + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def _fail(self, now: float, status: Status, detail: str) -> None:
        """There is no driver: say so at once; the worker ends by itself, and another tries again."""
        self._failure = (status, detail)
        self._ready = False
        self._round = None
        # If it hangs on its way out, that is what counts from then on.
        self._asked = {} if self._worker is None else {HOST: now}
        if self._worker is None:
            self._start_at = now + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
        self._write_without(now)

    def _end_worker(self) -> None:
        """Have the worker let go of the driver and end. It is never killed: that has frozen GPUs."""
        if self._worker is not None and not self._ending:
            self._ending = True
            self._ready = False
            self._round = None
            self._asked = {**self._asked, HOST: time.monotonic()}
            # The pipe's other end reads its end; the descriptor itself is closed when the worker is gone.
            null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
            os.dup2(null, self._worker.control, inheritable=False)
            os.close(null)

    def _renew(self, now: float) -> None:
        """Start the worker anew where it cannot see what there is now.

        Not while a call hangs: the worker could not end before that is back, and nobody would read the other GPUs.
        """
        assert self._worker is not None  # noqa: S101  it is ready
        if self._hangs(now):
            return
        if tuple(_identity(path) for path in self._library) != self._seen:
            log("the driver's library was replaced: the worker is started anew")
            self._end_worker()
        elif _for_worker(self._config) != self._worker.arguments:
            self._end_worker()
        elif self._lost_since is not None and now - self._lost_since >= RENEW_LOST:
            self._lost_since = now
            self._end_worker()

    def _hangs(self, now: float) -> bool:
        """Whether a call has not come back in time."""
        return any(now - since >= self._config.stall for since in self._asked.values())

    # -- the document ------------------------------------------------------------------------------------------------

    def _try_to_finish(self, now: float) -> None:
        """Write the document when everybody has answered from whom an answer can be hoped for."""
        stall = self._config.stall
        if self._round is None:
            if self._worker is not None and not self._ready and (since := self._asked.get(HOST)) is not None:
                self._failure_of_start(now, since)
            return
        owing = {index: now - since for index, since in self._asked.items()}
        if any(age < stall for age in owing.values()):
            return
        round_, self._round = self._round, None
        if self._host is None:
            # Nothing is known of any GPU without it, not even how many there are.
            detail = f"No answer for {max(owing.values(), default=0.0):.0f} s{self._all_last_words(now)}"
            self._write(document.failed(states.STALLED, detail, now - round_.started, MODE))
            return
        status, detail = states.OK, ""
        remarks = {index: words for index in owing if (words := self._last_words(now, index))}
        if owing:
            names = ", ".join(f"GPU {index}" if index != HOST else "the driver" for index in sorted(owing))
            status, detail = states.STALLED, f"No answer for {max(owing.values()):.0f} s from {names}"
        host = self._host
        gpus = [self._with_xids(now, gpu) for gpu in round_.gpus.values()]
        lost = any(gpu.state == "lost" for gpu in gpus)
        self._lost_since = (self._lost_since or now) if lost else None
        if not owing and all(_without_work(gpu) for gpu in gpus):
            self._idle_since = self._idle_since or now
        else:
            if self._idle(now):
                self._next = min(self._next, now + self._config.interval)
            self._idle_since = None
        self._pause = FIRST_PAUSE
        self._write(
            Collection(
                status,
                detail,
                {**host.versions, **(self._switches.readings(now) if self._log.reads else {})},
                host.total,
                gpus,
                host.slots,
                [*host.problems, *([Problem("", "kernel_log", 0, self._complaint)] if self._complaint else [])],
                self._users,
                MODE,
                now - round_.started,
                host.spent,
                remarks,
            )
        )

    def _failure_of_start(self, now: float, since: float) -> None:
        """A worker that does not come up, or does not end."""
        if now - since >= self._config.stall and self._failure is None:
            self._failure = (states.STALLED, "")
            self._write_without(now)

    def _write_without(self, now: float) -> None:
        """The document when there is nobody to ask."""
        since = self._asked.get(HOST)
        if self._worker is not None and since is not None and now - since >= self._config.stall:
            status, detail = states.STALLED, f"No answer for {now - since:.0f} s{self._all_last_words(now)}"
            if self._released is not None:
                # It is not released later either, when nobody reckons with it any more.
                self._released = None
                self._tell(_HELD)
        elif self._released is not None:
            if self._worker is not None:
                return  # it is about to end
            status, detail = states.RELEASED, f"For {self._released - now:.0f} s more"
        elif self._failure is not None:
            status, detail = self._failure
        else:
            return  # a worker is starting: what there is stands until it is ready, or until it takes too long
        self._write(document.failed(status, detail, 0.0, MODE))

    def _with_xids(self, now: float, gpu: Gpu) -> Gpu:
        """A GPU with what the ledger has of it."""
        able = self._able.get(gpu.position)
        ledger = self._ledgers.get(gpu.readings.get("uuid") or self._uuids.get(gpu.position, ""))
        if gpu.state == "ok" and self._log.reads:
            return gpu._replace(readings={**gpu.readings, **self._ledger(gpu.readings["uuid"]).readings(now)})
        if gpu.state == "ok" and (refusal := self._refusals.get(gpu.position)):
            # Neither there nor lacking, but in error: as with every reading that the driver refuses.
            return gpu._replace(problems=(*gpu.problems, refusal._replace(gpu=gpu.readings["uuid"])))
        if gpu.state == "ok" and ledger is not None and able:
            return gpu._replace(readings={**gpu.readings, **ledger.readings(now)})
        if gpu.state == "ok" and (able is False or not self._config.xid):
            # And not while it is merely not known yet: cards that sleep take seconds, and their items would come later.
            return gpu._replace(lacks=(*gpu.lacks, _XID))
        if gpu.state != "ok" and (words := self._last_words(now, gpu.position, gpu.readings.get("uuid"))):
            # Its readings are void; what the driver said before it went is what helps now.
            return gpu._replace(
                problems=tuple(part._replace(message=f"{part.message}, {words}") for part in gpu.problems)
            )
        return gpu

    def _last_words(self, now: float, index: int, uuid: str | None = None) -> str:
        """The last XID of a GPU that does not answer any more, if there was one lately."""
        ledger = self._ledgers.get(uuid or self._uuids.get(index, ""))
        recent = ledger.recent(now) if ledger is not None else []
        return f"XID {recent[-1]}: {_meaning(recent[-1])}" if recent else ""

    def _all_last_words(self, now: float) -> str:
        """The same of all, where the driver as a whole does not answer."""
        found = {index: self._last_words(now, index) for index in sorted(self._uuids)}
        return "".join(f". GPU {index}: {words}" for index, words in found.items() if words)

    def _write(self, found: Collection) -> None:
        # The file ends with a line break, and the agent reads no larger file.
        limit = document.LIMIT - 1
        try:
            text = document.render(document.build(found), limit)
        except Exception as error:  # noqa: BLE001  whatever a driver may say: the service goes on
            words = f"{type(error).__name__}: {error}"
            found = document.failed(states.COLLECTOR_FAILED, words, found.duration, MODE)
            text = document.render(document.build(found), limit)
        try:
            _write_file(self._config.document, text.encode("ascii") + b"\n")
        except OSError as error:
            # What cannot be renewed must not go on being read.
            _remove(self._config.document, "", ".new")
            if not self._unwritable:
                log(f"{self._config.document} cannot be written, and was removed: {error.strerror}")
            self._unwritable = True
        else:
            if self._unwritable:
                log(f"{self._config.document} is written again")
            self._unwritable = False
        self._say(found)

    def _say(self, found: Collection) -> None:
        """Tell systemd and the log what has changed."""
        words = found.status.name
        if found.status is states.OK:
            words = f"{found.gpu_count} GPUs"
            sick = sum(gpu.state != "ok" for gpu in found.gpus)
            words += f", {sick} of them lost or sick" if sick else ""
        elif found.status is states.STALLED and found.gpu_count is not None:
            # Not the detail, which has the age in it and is another each time.
            silent = sorted(set(range(found.gpu_count)) - {gpu.position for gpu in found.gpus})
            words += f": no answer from {', '.join(f'GPU {index}' for index in silent)}"
        elif found.status not in (states.STALLED, states.RELEASED) and found.detail:
            words += f": {found.detail}"
        if words != self._said:
            self._said = words
            log(words)
            notify.send(f"STATUS={words}")
        if not self._announced:
            self._announced = True
            notify.send("READY=1")

    # -- the kernel's log ----------------------------------------------------------------------------------------------

    def _read_log(self, now: float) -> None:
        lines = self._log.take(now)
        if self._log.complaint != self._complaint:
            self._complaint = self._log.complaint
            if self._complaint or self._log.reads:
                log(self._complaint or "the kernel's log is read again")
        of_switches: dict[str, int] = {}
        for line in lines:
            if line.switch:
                self._switches.add(line)
                words = f"NVSwitch {line.place}: SXid {line.code}{', fatal' if line.fatal else ''}"
                of_switches[words] = of_switches.get(words, 0) + 1
            elif line.place not in self._places:
                self._unplaced.add(line)
        for words, count in of_switches.items():
            log(f"{words}, {count} times, by the kernel's log")
        self._count_logged(line for line in lines if not line.switch and line.place in self._places)

    def _count_logged(self, lines: Iterable[Line]) -> None:
        new: dict[tuple[str, int], int] = {}
        for line in lines:
            ledger = self._ledger(self._places[line.place])
            count = ledger.add(line.code, 1, _wall(line.when), line.latest, line.earliest, source=LOG)
            new[line.place, line.code] = new.get((line.place, line.code), 0) + count
        for (where, code), count in new.items():
            if count:
                log(f"GPU at {where}: XID {code} ({_meaning(code)}), {count} times, by the kernel's log")

    def _ledger(self, uuid: str) -> Ledger:
        if uuid not in self._ledgers:
            self._ledgers[uuid] = Ledger(self._config.xid_repeat, self._config.xid_memory)
        return self._ledgers[uuid]

    # -- orders ------------------------------------------------------------------------------------------------------

    def _listen_for_signals(self) -> None:
        reading, writing = _pipe()
        os.set_blocking(reading, False)
        os.set_blocking(writing, False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        self._selector.register(reading, selectors.EVENT_READ, lambda: self._signalled(reading))

    def _signalled(self, pipe: int) -> None:
        for number in os.read(pipe, CHUNK):
            if number == signal.SIGHUP:
                self._reload()
            elif number in {signal.SIGTERM, signal.SIGINT}:
                self._ends = True

    def _reload(self) -> None:
        notify.send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            config = configuration.load(self._path)
        except UsageError as error:
            log(f"the old configuration stays: {error}")
        else:
            if config.document != self._config.document:
                log(f"document stays {self._config.document} until the service is restarted")
                config = config._replace(document=self._config.document)
            self._config = config
            for ledger in self._ledgers.values():
                ledger.repeat, ledger.memory = config.xid_repeat, config.xid_memory
            self._switches.memory = config.xid_memory
            self._log.use(config.kernel_log)
            now = self._next = time.monotonic()
            hangs = self._worker is not None and _for_worker(config) != self._worker.arguments and self._hangs(now)
            log("configuration read again" + (", in part when the call that hangs is back" if hangs else ""))
        notify.send("READY=1")

    def _open_door(self) -> socket.socket:
        """The socket for `release`: only our own user and root may write to it."""
        path = self._config.document + ".sock"
        with contextlib.suppress(OSError):
            os.unlink(path)  # of a service that was killed: the lock is ours
        door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        old = os.umask(0o177)
        try:
            door.bind(path)
        except OSError as error:
            log(f"release will not work: {path}: {error}")
            return door
        finally:
            os.umask(old)
        door.listen()
        self._selector.register(door, selectors.EVENT_READ, lambda: self._let_in(door))
        return door

    def _let_in(self, door: socket.socket) -> None:
        guest, _ = door.accept()
        guest.settimeout(0.2)
        now = time.monotonic()
        try:
            word, _, value = guest.recv(CHUNK).decode("ascii", "replace").strip().partition(" ")
            time_ = float(value)
        except (OSError, ValueError):
            guest.close()
            return
        if word != "release":
            guest.close()
            return
        self._waiting.append(guest)
        if time_ <= 0:
            self._resume(now)
            return
        if self._hangs(now) or (self._worker is None and not self._is_free()):
            # Our worker hangs, or one of an earlier service: nobody may believe that the driver is free, and what still
            # answers goes on being read.
            self._tell(_HELD)
            return
        self._released = now + time_
        self._start_at = None
        self._end_worker()
        if self._worker is None:
            self._write_without(now)
            self._tell("released")

    def _is_free(self) -> bool:
        try:
            lock = _locked(self._config.document + ".worker.lock")
        except OSError:
            return False
        if lock is None:
            return False
        os.close(lock)
        return True

    def _tell(self, answer: str) -> None:
        for guest in self._waiting:
            with contextlib.suppress(OSError):
                guest.sendall(f"{answer}\n".encode())
            guest.close()
        self._waiting.clear()

    def _resume(self, now: float) -> None:
        if self._released is not None:
            log("taking the driver up again")
            self._released = None
            self._failure = None
            if self._worker is None:
                self._start_at = now
        # Also those who still wait for it to be let go of: they must not wait for what does not come any more.
        self._tell("resumed")

    def _leave(self) -> None:
        """Let the worker end, and wait a moment for it; one that hangs is left to itself."""
        worker = self._worker
        if worker is None:
            return
        self._end_worker()
        until = time.monotonic() + LAST_WAIT
        while (left := until - time.monotonic()) > 0:
            # What it still says is of no interest, but it must not wait for a reader.
            with selectors.DefaultSelector() as selector:
                selector.register(worker.pipe, selectors.EVENT_READ)
                if selector.select(left) and not os.read(worker.pipe, CHUNK):
                    return
        log("the worker has not come back from the driver, and is left to itself")


def _without_work(gpu: Gpu) -> bool:
    """Whether nothing runs on it. A process may be there, and do nothing; where it is not known what it does, none."""
    work = [gpu.readings[key] for key in ("utilization", "sampled_utilization_peak") if key in gpu.readings]
    return gpu.state == "ok" and not any(work or [gpu.readings.get("processes", 1)])


def _wall(when: float) -> float:
    """Unix time of a moment of the monotonic clock."""
    return time.time() - (time.monotonic() - when)


def _for_worker(config: Config) -> tuple[float, ...]:
    """The arguments of the worker's `main`."""
    horizon = config.window + config.interval
    return (config.samples, horizon, config.pcie, float(config.gpm), float(config.xid), float(config.arguments))


def _pipe() -> tuple[int, int]:
    """A pipe neither of whose ends is a standard stream."""
    ends = os.pipe()
    moved = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return moved[0], moved[1]


def _locked(path: str) -> int | None:
    """The file, open and locked for as long as a process has it open; None when another has."""
    raw = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    descriptor = fcntl.fcntl(raw, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(raw)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno in {errno.EAGAIN, errno.EACCES}:
            return None
        raise
    return descriptor


def _remove(path: str, *ends: str) -> None:
    """Remove what nobody may read any more: unless said otherwise, all but the locks."""
    for end in ends or ("", ".new", ".sock"):
        with contextlib.suppress(OSError):
            os.unlink(path + end)


def _write_file(path: str, data: bytes) -> None:
    """Replace a file: whoever reads it finds the old one or the new one, whole."""
    new = path + ".new"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        while data:
            data = data[os.write(descriptor, data) :]
        os.fchmod(descriptor, 0o644)  # whatever the umask: the agent is another user
    finally:
        os.close(descriptor)
    os.rename(new, path)


def _library_of(pid: int) -> tuple[str, ...]:
    """The files that tell whether the library that a process has mapped was replaced since.

    The mapped file itself, and what its soname leads to: a package may replace the one or turn the other.
    """
    try:
        with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as file:
            paths = {line.split(None, 5)[5].rstrip("\n") for line in file if _LIBRARY in line}
    except OSError:
        return ()
    if not paths:
        return ()
    found = min(paths).removesuffix(" (deleted)")
    return (found, f"{os.path.dirname(found)}/{_LIBRARY}.1")


def _identity(path: str) -> tuple[Any, ...]:
    try:
        there = os.stat(path)
    except OSError:
        return (path,)
    return (path, there.st_dev, there.st_ino, there.st_mtime_ns)


def _how(code: int) -> str:
    number = os.waitstatus_to_exitcode(code)
    return f"signal {-number}" if number < 0 else f"exit code {number}"


def _meaning(code: int) -> str:
    return BY_CODE[code].meaning if code in BY_CODE else "unknown code"
