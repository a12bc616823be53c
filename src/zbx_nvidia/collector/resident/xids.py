"""XID errors, counted while the worker waits for them; `xid_history` remembers them."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

from zbx_nvidia.collector.protocol import XidReport
from zbx_nvidia.collector.resident.xid_history import MAX_CODES
from zbx_nvidia.driver.calls import Absent, Lost, NvmlError, spent

if TYPE_CHECKING:
    from collections.abc import Callable

_PATIENCE = 500  # ms that a wait takes, and so how long it takes to end one
_PAUSE = 2.0  # s between attempts to wait for a GPU that does not let us
_HURRY = 1.0  # s between two reports of a watcher that has seen XIDs
_ASKED_AGAIN = 1.0  # s between two questions for the card that an XID came from: there are storms of XIDs
_SOURCE_WAIT = 0.25  # s that such a question is waited for: the card may hang


class Tally:
    """XIDs of one GPU since they were last taken, by code: bounded, whatever comes."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._codes: dict[int, list[float]] = {}  # how often, when first, when last
        self._last = 0

    def __bool__(self) -> bool:
        return bool(self._codes)

    def add(self, code: int) -> None:
        """Count one."""
        now = time.monotonic()
        with self._turn:
            known = self._codes.get(code)
            if known is None:
                if len(self._codes) >= MAX_CODES:
                    code = self._last
                known = self._codes.setdefault(code, [0, now, now])
            known[0] += 1
            known[2] = now
            self._last = code

    def take(self) -> tuple[tuple[int, int, float, float], ...]:
        """(code, how often, when first, when last) of each, by the last; then it starts at 0."""
        with self._turn:
            codes, self._codes = self._codes, {}
        found = [(code, int(count), first, last) for code, (count, first, last) in codes.items()]
        return tuple(sorted(found, key=lambda row: row[3]))


class Watcher(threading.Thread):
    """Waits for the XIDs of one GPU: also while another call for that GPU hangs, which they may explain.

    It reports them itself: they must not be lost with a worker that is about to end, or whose main thread hangs.

    Args:
        index: Its place in the driver's order.
        watch: What makes a watch of an index: the driver's `XidWatch`.
        send: What takes a report.
    """

    def __init__(self, index: int, watch: Callable[[int], Any], send: Callable[[XidReport], None]) -> None:
        super().__init__(daemon=True)
        self._tally = Tally()
        self._send = send
        self._sent_at = 0.0
        # Whether the card reports XIDs: None until it is known, and while it cannot be had.
        self.able: bool | None = None
        # Code and message of why it cannot be had, unless the card is lost, which is a matter of its own.
        self.refusal: tuple[int, str] | None = None
        # Whose they are; "" until it is known.
        self.uuid = ""
        # What the driver has taken of a processor for all this, in s. Not by the clock: to wait is no work.
        self.driver_cpu = 0.0
        # Set once a first attempt has shown it.
        self.tried = threading.Event()
        self._index = index
        self._watch = watch
        self._end = threading.Event()
        self._asking: threading.Thread | None = None
        self._asked_at = -_ASKED_AGAIN

    def run(self) -> None:
        """Wait until `stop`; start again whenever the GPU went away during the wait."""
        while not self._end.is_set():
            try:
                watch = self._watch(self._index)
            except Absent:
                self.able, self.refusal = False, None
                self.tried.set()
                return
            except Exception as error:  # noqa: BLE001  nobody would notice the end of the thread
                self._pause(error)
                continue
            self.able, self.uuid = True, watch.uuid
            self.tried.set()
            try:
                while not self._end.is_set():
                    # All waits end at the same times, between those at which a rota looks: what a machine does at once
                    # costs half, but whoever looks while eight threads wake up waits for Python's lock at each call.
                    code = watch.wait(_PATIENCE - (int(time.monotonic() * 1000) + _PATIENCE // 2) % _PATIENCE)
                    self.driver_cpu += spent()[1]
                    self.refusal = None  # and not before: a set that can be made may still be refused the wait
                    if code is not None:
                        self._take_source(watch)
                        self._tally.add(code)
                    self._report_soon()
            except Exception as error:  # noqa: BLE001  as above
                # The wait for a lost GPU fails at once, again and again.
                self._pause(error)
            with contextlib.suppress(NvmlError):
                watch.close()
        self._report_soon(0.0)
        if self._asking is not None:
            self._asking.join()  # the worker must not leave while a call is under way

    def _take_source(self, watch: Any) -> None:  # noqa: ANN401  of the driver
        """Ask which card the last XID came from: a card that was plugged in may have this index since the watch began.

        In a thread of its own, because the card may hang; then the XID counts for the card that had the index before.
        """
        now = time.monotonic()
        if now - self._asked_at < _ASKED_AGAIN or (self._asking is not None and self._asking.is_alive()):
            return
        self._asked_at = now
        found: list[str] = []

        def ask() -> None:
            with contextlib.suppress(NvmlError):
                found.append(watch.source())

        self._asking = threading.Thread(target=ask, daemon=True)
        try:
            self._asking.start()
        except RuntimeError:  # the limit of processes is reached
            self._asking = None
            return
        self._asking.join(_SOURCE_WAIT)
        if found and found[0] != self.uuid:
            self._report_soon(0.0)  # what has come before was the other card's
            self.uuid = found[0]

    def _report_soon(self, pause: float = _HURRY) -> None:
        """Report what there is, if anything, unless it has reported a moment ago."""
        if self._tally and time.monotonic() - self._sent_at >= pause:
            self._sent_at = time.monotonic()
            self._send(self.report())

    def report(self) -> XidReport:
        """What there is to say, each XID once."""
        return XidReport(self._index, self.uuid, self.able, self.refusal, self._tally.take())

    def _pause(self, error: Exception) -> None:
        """Keep why there is nothing to wait for, and let some time pass before the next attempt."""
        self.able = None
        if isinstance(error, NvmlError):
            self.refusal = None if isinstance(error, Lost) else (error.code, error.message)
        else:
            self.refusal = (0, f"collector: {type(error).__name__}: {error}")
        self.tried.set()
        self._end.wait(_PAUSE)

    def stop(self) -> None:
        """End soon; `join` says when."""
        self._end.set()
