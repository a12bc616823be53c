"""The process that keeps NVML open, started by the supervisor with a fresh interpreter.

Standard input brings the numbers of rounds, four bytes each, whose first bit says that GPUs are not to be sampled until
the next; at its end the worker releases the driver and ends. What it finds leaves by standard output as messages
(`collector.protocol`, `reports`): `Failed` and nothing else where NVML does not answer, else `Ready`; then in each
round an `XidReport` of each watcher, `HostRead`, a `GpuRead` for each GPU when it is read, and `AllAsked` once every
GPU was asked.

It never leaves while a call is under way: that would end the call as SIGKILL does, which has frozen GPUs.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, NoReturn

from zbx_nvidia import __version__
from zbx_nvidia.collector import sleeping
from zbx_nvidia.collector.collect import (
    HEAD_START,
    fault,
    read_gpu,
    read_host,
    sick,
    told_apart,
    uids_of,
    with_instances,
)
from zbx_nvidia.collector.document import Gpu, Problem
from zbx_nvidia.collector.processes import NAMES_WAIT, look_up_names
from zbx_nvidia.collector.protocol import (
    CHUNK,
    IDLE,
    NUMBER,
    AllAsked,
    Broken,
    Failed,
    GpuRead,
    HostRead,
    Sender,
)
from zbx_nvidia.collector.resident.reports import Ready
from zbx_nvidia.collector.resident.rota import Looked, Rota
from zbx_nvidia.collector.resident.sampler import QUICK, SLOW, Activity, Consumers, Sampler
from zbx_nvidia.collector.resident.xids import EVERY, Watcher
from zbx_nvidia.driver import system
from zbx_nvidia.driver.calls import NvmlError, spent
from zbx_nvidia.driver.events import XidWatch
from zbx_nvidia.kernel import bus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_STREAMS = 3
_NO_THREAD = "no thread can be started to read it: raise TasksMax= of zbx-nvidia.service, or ulimit -u of its user"
_RETRY = 600.0  # s until a user without a name is looked up again: the directory server may be back


def main(  # noqa: PLR0913, PLR0917  the configuration's part for the worker
    job_map: str, samples: float, horizon: float, pcie: float, gpm: float, xid: float, arguments: float
) -> NoReturn:
    """Read whenever asked, until nobody asks any more. Never returns.

    Args:
        job_map: Directory in which another tool writes which job has which GPU.
        samples: Time between two samples, in s; 0 for none.
        horizon: What peaks and means look back on, in s.
        pcie: Time between two samples of PCIe throughput, in s; 0 for none.
        gpm: Whether to read GPM.
        xid: Whether to look for XIDs.
        arguments: Whether to include the arguments of programs.
    """
    for order in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # A signal to the whole process group is for the supervisor.
        signal.signal(order, signal.SIG_IGN)
    control, pipe = _streams()
    sender = Sender(pipe)
    readers: dict[int, GpuReader] = {}
    watchers: dict[int, Watcher] = {}
    rota, rota_of_xids = Rota(samples or horizon), Rota(EVERY)

    def begin(index: int) -> None:
        # RuntimeError: the limit of processes is reached. It is tried again in each round; the other GPUs go on.
        with contextlib.suppress(RuntimeError):
            if index not in readers:
                reader = GpuReader(index, sender, samples, horizon, pcie, gpm, arguments, job_map)
                reader.start()
                readers[index] = reader
                if samples:
                    rota.add(reader.looked)
            if xid and index not in watchers:
                watcher = Watcher(index, XidWatch, sender.send)
                watcher.begin()
                watchers[index] = watcher
                rota_of_xids.add(watcher.looked)

    try:
        _answer(control, sender, readers, watchers, begin, (rota, rota_of_xids))
    except NvmlError as error:
        sender.send(Failed(error.code, error.message))
    except BaseException as error:  # noqa: BLE001  the supervisor reports it, whatever it is
        sender.send(Broken(f"{type(error).__name__}: {error}"))
    # The XIDs first: what hangs below must not keep back what has come since the last look.
    threads: list[GpuReader | Watcher | Rota] = [rota_of_xids, *watchers.values(), rota, *readers.values()]
    for thread in threads:
        thread.stop()
    for thread in threads:
        thread.join()
    with contextlib.suppress(NvmlError):
        system.stop()
    os._exit(0)


def _answer(  # noqa: PLR0913, PLR0917  what `main` has
    control: int,
    sender: Sender,
    readers: dict[int, GpuReader],
    watchers: dict[int, Watcher],
    begin: Callable[[int], None],
    rotas: Sequence[Rota],
) -> None:
    """Serve round after round, until there are no more."""
    system.start()
    versions, problems = read_host()
    system.gpu_count()
    sender.send(Ready(__version__))
    users = Users()
    waited = 0.0
    while order := int.from_bytes(_read(control), "big"):
        number, idle = order & ~IDLE, bool(order & IDLE)
        # Also how it is noticed that the driver has gone, before each GPU says that it is lost.
        count, awake, others = told_apart(system.gpu_count())
        for index in awake:
            begin(index)
        for gpu in others:
            if gpu.position in readers:
                readers[gpu.position].rest()
        for watcher in watchers.values():
            sender.send(watcher.report())
        slots, host = bus.slots(), {**versions, **sleeping.on_bus()}
        waited, before = sum(watcher.driver_cpu for watcher in watchers.values()), waited
        taken, cpu = spent()
        sender.send(HostRead(number, host, count, slots, problems, (taken, cpu + waited - before)))
        for gpu in others:
            sender.send(GpuRead(number, gpu))
        for index in awake:
            if index in readers:
                readers[index].ask(number, idle=idle)
            else:
                gpu = Gpu(index, "sick", {}, {}, (), (Problem("", "", 0, _NO_THREAD),))
                sender.send(GpuRead(number, gpu))
        for rota in rotas:
            rota.wake()
        users.look_up(set().union(*(reader.uids for reader in readers.values())))
        sender.send(AllAsked(number, dict(users.names)))


class GpuReader(threading.Thread):
    """Reads all of one GPU when asked, and samples what takes its time. Beside it, only a rota calls the driver for it.

    Args:
        index: Its place in the driver's order.
        sender: Where readings go.
        samples: As of `main`.
        horizon: As of `main`.
        pcie: As of `main`.
        gpm: As of `main`.
        arguments: As of `main`.
        job_map: As of `main`.

    Attributes:
        looked: The GPU as a rota looks at it.
        uids: Whose its processes were when it was last read.
    """

    def __init__(  # noqa: PLR0913, PLR0917  as of `main`
        self,
        index: int,
        sender: Sender,
        samples: float,
        horizon: float,
        pcie: float,
        gpm: float,
        arguments: float,
        job_map: str,
    ) -> None:
        super().__init__(daemon=True)
        self._index = index
        self._sender = sender
        self._arguments = bool(arguments)
        self._job_map = job_map
        self._quick = QUICK if samples else ()
        self._pcie = pcie
        self._sampler = Sampler(index, horizon, self._quick + (SLOW if pcie else ()))
        self._activity = Activity(index, horizon, wanted=bool(gpm))
        self._consumers = Consumers(index)
        self.looked = Looked(self._look)
        self._has_past = False  # samples, since it rested or was away
        self._due = 0.0
        self._spent = [0.0, 0.0]
        self._wake = threading.Event()
        self._done = threading.Event()
        self._number = 0
        self._ends = False
        self._uuid: str | None = None
        self._pci = ""  # of a card that may sleep
        self._fault: Exception | None = None
        self.uids: set[int] = set()

    def ask(self, number: int, *, idle: bool) -> None:
        """Have everything read, sampled or not from now on, and give it a head start before the next GPU is asked.

        One that answers at once is done before the next begins: eight that wrestle for Python's lock at each call cost
        twice the CPU time. One that does not is not waited for.
        """
        self._done.clear()
        self.looked.resting = idle
        self._number = number
        self._wake.set()
        self._done.wait(HEAD_START)

    def rest(self) -> None:
        """Take no samples until it is asked again: the card sleeps."""
        self.looked.resting = True
        self._wake.set()

    def stop(self) -> None:
        """End when the call that is under way is back."""
        self._ends = True
        self._wake.set()

    def run(self) -> None:
        """Sample at its times, read when asked."""
        served = 0
        while not self._ends:
            gpu = None
            with self.looked.turn:
                self._sample_what_is_due()
                if self._number != served:
                    served = self._number
                    gpu = self._read()
                    self._count()
                    # With what its samples since the last time have taken.
                    gpu = gpu._replace(spent=(self._spent[0], self._spent[1]))
                    self._spent = [0.0, 0.0]
            if gpu is not None:
                self._sender.send(GpuRead(served, gpu))
                self._done.set()
            self.looked.look_if_due()
            waits = self._pcie and not self.looked.resting
            self._wake.wait(max(0.0, self._due - time.monotonic()) if waits else None)
            self._wake.clear()

    def _sample_what_is_due(self) -> None:
        if self.looked.resting:
            self._has_past = False
            return
        now = time.monotonic()
        if self._pcie and now >= self._due:
            # What was missed while the driver slept is not made up. For all GPUs at the same times: to wake for each
            # costs more than the samples.
            self._due = (now // self._pcie + 1) * self._pcie
            self._sample(SLOW)

    def _look(self) -> None:
        """Sample what changes fast, also in the thread of a rota."""
        if self._quick:
            self._sample(self._quick)
            self._count()

    def _count(self) -> None:
        """Add what this thread has taken in the driver for this GPU."""
        for place, taken in enumerate(spent()):
            self._spent[place] += taken

    def _sample(self, readers: tuple[str, ...]) -> None:
        if self._pci and bus.sleeps(self._pci):
            return
        try:
            self._sampler.sample(readers, time.monotonic())
        except Exception as error:  # noqa: BLE001  reported with the next reading; the thread goes on
            self._fault = error

    def _read(self) -> Gpu:
        try:
            gpu = read_gpu(self._index, arguments=self._arguments, job_map=self._job_map)
        except Exception as error:  # noqa: BLE001  a fault in reading one GPU must not silence the others
            gpu = sick(self._index, error)
        self.uids = uids_of(gpu)
        self._pci = gpu.readings.get("pci", "") if "asleep" in gpu.readings else ""
        uuid = gpu.readings.get("uuid")
        if gpu.state != "ok" or self._uuid not in {None, uuid}:
            # The past of a card that is gone, or of another.
            self._sampler.forget()
            self._activity.forget()
            self._consumers.forget()
            self._has_past = False
        self._uuid = uuid
        if gpu.state != "ok":
            return gpu
        if not (self._has_past or self.looked.resting):
            # Not only when the rota comes: the first document already has what there is, and lists what the card lacks.
            # After the reading, as the card may have come back just before it.
            self._has_past = True
            self._look()
        try:
            gpu = self._with_what_was_between(gpu)
        except Exception as error:  # noqa: BLE001  as above: the readings themselves are good
            self._fault = error
        if self._fault is not None:
            problem = Problem(gpu.readings["uuid"], "sampled", 0, fault(self._fault))
            gpu = gpu._replace(problems=(*gpu.problems, problem))
            self._fault = None
        return gpu

    def _with_what_was_between(self, gpu: Gpu) -> Gpu:
        now = time.monotonic()
        readings, lacks = self._sampler.made(now)
        if self.looked.resting:
            readings = {}  # of a time in which nobody looked
        # A reading that a document has too is reported by that one.
        known = {f"sampled_{problem.metric}" for problem in gpu.problems}
        odd = {reader: words for reader, words in self._sampler.odd().items() if reader not in known}
        problems = [Problem(gpu.readings["uuid"], reader, 0, words) for reader, words in odd.items()]
        busy, lacks_too = self._activity.made(now)
        used = self._consumers.added(gpu, now)
        gpu = with_instances(gpu, lambda instances: self._activity.of_instances(instances, now))
        return gpu._replace(
            readings={**gpu.readings, **readings, **busy, **used},
            lacks=(*gpu.lacks, *lacks, *lacks_too),
            problems=(*gpu.problems, *problems),
        )


class Users:
    """Names of users, looked up once: a directory server that is away holds up one thread, and not one a round.

    Attributes:
        names: What is known, by number.
    """

    def __init__(self) -> None:
        self.names: dict[int, str] = {}
        self._asked: dict[int, float] = {}
        self._thread: threading.Thread | None = None

    def look_up(self, uids: set[int]) -> None:
        """Have those looked up that are not known, and wait a moment for them."""
        if self._thread is not None and self._thread.is_alive():
            return
        now = time.monotonic()
        unknown = {uid for uid in uids - self.names.keys() if now - self._asked.get(uid, -_RETRY) >= _RETRY}
        if unknown:
            self._thread = threading.Thread(target=look_up_names, args=(unknown, self.names), daemon=True)
            try:
                self._thread.start()
            except RuntimeError:  # the limit of processes is reached: numbers will do until the next round
                self._thread = None
                return
            self._asked.update(dict.fromkeys(unknown, now))
            self._thread.join(NAMES_WAIT)


def _streams() -> tuple[int, int]:
    """Where orders come from and where answers go; nothing else may read or print in between."""
    control = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, _STREAMS)
    pipe = fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, _STREAMS)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    return control, pipe


def _read(control: int) -> bytes:
    """The newest number; nothing when the supervisor has closed the pipe, or is gone.

    While the driver hung there may have come thousands: they are not made up for.
    """
    data = os.read(control, CHUNK)
    while len(data) % NUMBER:
        piece = os.read(control, NUMBER - len(data) % NUMBER)
        if not piece:
            return b""
        data += piece
    return data[-NUMBER:]


def start(arguments: list[str]) -> NoReturn:
    """What the supervisor runs, with the arguments of `main`."""
    # What is loaded stays: a collection of garbage need not look through it again and again.
    gc.freeze()
    # Ctrl-C is for the supervisor: it must not end a call into the driver.
    os.setsid()
    main(arguments[0], *(float(number) for number in arguments[1:]))
