"""The process that writes the document, and never calls NVML: so it can always answer and always leave.

One loop over file descriptors and times. What is to be done, `state` decides; the other modules do it. The kernel log
is read here too: that goes on while there is no worker.
"""

from __future__ import annotations

import os
import selectors
import signal
import time
from typing import TYPE_CHECKING

from zbx_nvidia.catalog.status import HOST_BUSY, STALLED
from zbx_nvidia.collector import sleeping
from zbx_nvidia.collector.resident import config as configuration
from zbx_nvidia.collector.resident import notify
from zbx_nvidia.collector.resident.control import Door, Signals
from zbx_nvidia.collector.resident.descriptors import locked
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
    WorkerClosed,
    WorkerStarted,
    Write,
)
from zbx_nvidia.collector.resident.kernel_log import KernelLog
from zbx_nvidia.collector.resident.output import Output, log, remove
from zbx_nvidia.collector.resident.reports import Ready
from zbx_nvidia.collector.resident.state import ServiceState
from zbx_nvidia.collector.resident.worker_process import WorkerProcess
from zbx_nvidia.collector.scheduling import most_was_waiting
from zbx_nvidia.errors import UsageError

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable

    from zbx_nvidia.collector.document import Collection
    from zbx_nvidia.collector.resident.config import Config
    from zbx_nvidia.collector.resident.events import Action, Event
    from zbx_nvidia.collector.resident.reports import WorkerMessage
    from zbx_nvidia.collector.scheduling import Thread


def serve(path: str | None, *, large: bool = False) -> int:
    """Run the service until it is asked to end.

    Args:
        path: Of the configuration file; None for the usual place.
        large: As of `config.parse`.

    Returns:
        The exit code.

    Raises:
        UsageError: The configuration is wrong.
    """
    config = configuration.load(path, large=large)
    try:
        folder = os.path.dirname(config.document)
        os.makedirs(folder, mode=0o755, exist_ok=True)
        if os.geteuid() == 0 and (owner := os.stat(folder).st_uid) != 0:
            # What root leaves there the service's user could not open.
            log(f"{folder} belongs to user {owner}: run it as that, not as root (systemctl start zbx-nvidia)")
            return 1
        lock = locked(config.document + ".lock")
    except OSError as error:
        log(f"{config.document}: {error.strerror}: {error.filename}")
        return 1
    if lock is None:
        log(f"another one writes {config.document} already")
        return 1
    return Supervisor(path, config, large=large).run()


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
        lock = locked(config.document + ".lock")
        if lock is not None:  # else it is being written
            remove(config.document)
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
        large: As of `serve`.
    """

    def __init__(self, path: str | None, config: Config, *, large: bool = False) -> None:
        self._path, self._large = path, large
        self._document = config.document
        self._state = ServiceState(config)
        self._worker = WorkerProcess(config.document + ".worker.lock")
        self._output = Output(config.document, large=config.large)
        self._kernel_log = KernelLog(config.kernel_log)
        self._signals = Signals()
        self._door = Door(config.document + ".sock")
        self._selector = selectors.DefaultSelector()
        self._watchdog = notify.watchdog()
        self._alive = 0.0  # when systemd was last notified
        self._exit_code: int | None = None
        # When the worker was asked that has not answered since, and how its threads were then.
        self._asked: tuple[float, dict[str, Thread] | None] = (0.0, None)
        self._stalls = False

    def run(self) -> int:
        """Run until asked to end; returns the exit code."""
        self._selector.register(self._signals.pipe, selectors.EVENT_READ, self._on_signals)
        if self._door.socket is not None:
            self._selector.register(self._door.socket, selectors.EVENT_READ, self._on_client)
        try:
            while self._exit_code is None:
                now = time.monotonic()
                self._beat(now)
                if (ended := self._worker.ended()) is not None:
                    self._take(now, ended)
                self._do(now, self._state.advance(now))
                for key, _ in self._selector.select(max(0.0, self._next_time(now) - time.monotonic())):
                    key.data()
        finally:
            notify.send("STOPPING=1")
            self._output.close()
            self._door.close()
        if not self._worker.leave():
            log("the worker has not come back from the driver, and is left alone")
        return self._exit_code

    def _next_time(self, now: float) -> float:
        times = [self._state.next_time(now)]
        if self._watchdog is not None:
            times.append(self._alive + self._watchdog)
        if (look := self._worker.next_look(now)) is not None:
            times.append(look)
        return min(times)

    def _beat(self, now: float) -> None:
        if self._watchdog is not None and now >= self._alive + self._watchdog:
            self._alive = now
            notify.send("WATCHDOG=1")

    # -- events ------------------------------------------------------------------------------------------------------

    def _take(self, now: float, event: Event | WorkerMessage) -> None:
        self._do(now, self._state.handle(now, event))

    def _on_worker(self) -> None:
        now = time.monotonic()
        messages = self._worker.read()
        if messages is None:
            self._selector.unregister(self._worker.pipe)
            self._take(now, WorkerClosed())
            return
        for message in messages:
            if isinstance(message, Ready):
                self._worker.remember_library()
            self._take(now, message)

    def _on_signals(self) -> None:
        for number in self._signals.read():
            if number == signal.SIGHUP:
                self._reload()
            elif number in {signal.SIGTERM, signal.SIGINT}:
                self._exit_code = 0

    def _reload(self) -> None:
        notify.send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            config = configuration.load(self._path, large=self._large)
        except UsageError as error:
            log(f"the old configuration stays: {error}")
        else:
            if config.document != self._document:
                log(f"document stays {self._document} until the service is restarted")
                config = config._replace(document=self._document)
            self._kernel_log.use(config.kernel_log)
            self._output.large = config.large
            self._take(time.monotonic(), Reload(config))
        notify.send("READY=1")

    def _on_client(self) -> None:
        client = self._door.accept()
        if client is not None:
            self._selector.register(client, selectors.EVENT_READ, lambda: self._on_request(client))

    def _on_request(self, client: socket.socket) -> None:
        self._selector.unregister(client)
        seconds = self._door.read(client)
        if seconds is not None:
            self._take(time.monotonic(), Release(seconds, self._worker.is_free()))

    def _told_apart(self, now: float, collection: Collection) -> Collection:
        """A stall, unless the worker has waited for a processor: that says nothing of the driver."""
        since, before = self._asked
        self._stalls = collection.status is STALLED
        if self._stalls and most_was_waiting(before, self._worker.threads(), now - since):
            return collection._replace(status=HOST_BUSY)
        return collection

    # -- actions -----------------------------------------------------------------------------------------------------

    def _do(self, now: float, actions: Iterable[Action]) -> None:  # noqa: C901  one action a line
        for action in actions:
            match action:
                case StartWorker(arguments):
                    asleep = sleeping.everyone()
                    started = AllAsleep(asleep) if asleep else self._worker.start(arguments)
                    if isinstance(started, WorkerStarted):
                        self._selector.register(self._worker.pipe, selectors.EVENT_READ, self._on_worker)
                    self._take(now, started)
                case EndWorker():
                    self._worker.end()
                case AskWorker(number, idle):
                    if not self._stalls:
                        self._asked = (now, self._worker.threads())
                    self._worker.ask(number, idle=idle)
                case CheckHost():
                    lines = self._kernel_log.take(now)
                    replaced = self._worker.library_replaced()
                    reads, complaint = self._kernel_log.reads, self._kernel_log.complaint
                    self._take(now, HostChecked(lines, reads, complaint, replaced, sleeping.everyone()))
                case Write(collection):
                    self._output.write(self._told_apart(now, collection))
                case Answer(text):
                    self._door.answer(text)
                case Log(text):
                    log(text)
                case Exit(code):
                    self._exit_code = code
