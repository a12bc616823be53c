"""XID errors, counted as the worker finds them; `xid_history` remembers them."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

from zbx_nvidia.collector.resident.reports import XidReport
from zbx_nvidia.collector.resident.rota import Looked
from zbx_nvidia.collector.resident.xid_history import MAX_CODES
from zbx_nvidia.driver.calls import Absent, Lost, NvmlError, spent

if TYPE_CHECKING:
    from collections.abc import Callable

# s between two looks: the driver keeps what comes between them, and a document is written less often. A thread for each
# GPU that waits half a second again and again took twice the processor time of one that looks as often at all.
EVERY = 1.0
_FIRST_TRY = 0.2  # s
_LAST_LOOK = 0.5  # s, at most: there are storms of XIDs
_PAUSE = 2.0  # s between attempts to watch a GPU that does not let us
_HURRY = 1.0  # s between two reports of a watcher that has seen XIDs
_ASKED_AGAIN = 1.0  # s between two questions for the card that an XID came from: as above
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
        rows = [(code, int(count), first, last) for code, (count, first, last) in codes.items()]
        return tuple(sorted(rows, key=lambda row: row[3]))


class Watcher:
    """Looks for the XIDs of one GPU: also while another call for that GPU hangs, which they may explain.

    It reports them itself: they must not be lost with a worker that is about to end, or whose main thread hangs.

    Args:
        index: Its place in the driver's order.
        watch: What makes a watch of an index: the driver's `XidWatch`.
        send: What takes a report.

    Attributes:
        looked: The GPU as a rota looks for its XIDs, every so many `EVERY`.
        able: Whether the card reports XIDs: None until it is known, and while it cannot be had.
        refusal: Code and message of why it cannot be had, unless the card is lost, which is a matter of its own.
        uuid: Whose they are; "" until it is known.
        driver_cpu: What the driver has taken of a processor for all this, in s.
    """

    def __init__(self, index: int, watch: Callable[[int], Any], send: Callable[[XidReport], None]) -> None:
        self.looked = Looked(self._look)
        self.able: bool | None = None
        self.refusal: tuple[int, str] | None = None
        self.uuid = ""
        self.driver_cpu = 0.0
        self._index = index
        self._make = watch
        self._send = send
        self._watch: Any = None  # of the driver
        self._tried = threading.Event()
        self._not_before = 0.0  # when it is tried again
        self._tally = Tally()
        self._sent_at = 0.0
        self._end = threading.Event()
        self._asked_at = -_ASKED_AGAIN
        # Threads that may be in a call: of the first try, and the last that asked whose an XID is.
        self._first: threading.Thread | None = None
        self._asking: threading.Thread | None = None

    def begin(self) -> None:
        """Try for the first time, and wait a moment: the first document already lists what the card lacks.

        Raises:
            RuntimeError: The limit of processes is reached.
        """
        first = threading.Thread(target=self.looked.look, daemon=True)
        first.start()
        self._first = first
        self._tried.wait(_FIRST_TRY)

    def _look(self) -> None:
        """Count what has come; start again when the GPU went away."""
        if not (self._end.is_set() or self.able is False or time.monotonic() < self._not_before):
            self._take_all(self._end.is_set)

    def _take_all(self, enough: Callable[[], bool]) -> None:
        try:
            if self._watch is None:
                self._watch = self._made()
                self._tried.set()
            while self._watch is not None and not enough():
                code = self._watch.next()
                self.refusal = None  # and not before: a set that can be made may still be refused the question
                if code is None:
                    break
                self._take_source()
                self._tally.add(code)
                self._report_soon()
        except Exception as error:  # noqa: BLE001  nobody would notice the end of the thread
            # A lost GPU fails at once, again and again.
            self._pause(error)
        self.driver_cpu += spent()[1]
        self._report_soon()

    def _made(self) -> Any:  # noqa: ANN401  of the driver
        """A watch; None if the card reports no XIDs."""
        try:
            watch = self._make(self._index)
        except Absent:
            self.able, self.refusal = False, None
            return None
        self.able, self.uuid = True, watch.uuid
        return watch

    def _take_source(self) -> None:
        """Ask which card the last XID came from: a card that was plugged in may have this index since the watch began.

        In a thread of its own, because the card may hang; then the XID counts for the card that had the index before.
        """
        now = time.monotonic()
        if now - self._asked_at < _ASKED_AGAIN or (self._asking is not None and self._asking.is_alive()):
            return
        self._asked_at = now
        sources: list[str] = []

        def ask(watch: Any = self._watch) -> None:  # noqa: ANN401  as above
            with contextlib.suppress(NvmlError):
                sources.append(watch.source())

        asking = threading.Thread(target=ask, daemon=True)
        try:
            asking.start()
        except RuntimeError:  # the limit of processes is reached
            return
        self._asking = asking
        self._asking.join(_SOURCE_WAIT)
        if sources and sources[0] != self.uuid:
            self._report_soon(0.0)  # what has come before was the other card's
            self.uuid = sources[0]

    def _report_soon(self, pause: float = _HURRY) -> None:
        """Report what there is, if anything, unless it has reported a moment ago."""
        if self._tally and time.monotonic() - self._sent_at >= pause:
            self._sent_at = time.monotonic()
            self._send(self.report())

    def report(self) -> XidReport:
        """What there is to say, each XID once."""
        return XidReport(self._index, self.uuid, self.able, self.refusal, self._tally.take())

    def _pause(self, error: Exception) -> None:
        """Keep why there is nothing to ask, and let some time pass before the next attempt."""
        self.able = None
        if isinstance(error, NvmlError):
            self.refusal = None if isinstance(error, Lost) else (error.code, error.message)
        else:
            self.refusal = (0, f"collector: {type(error).__name__}: {error}")
        self._not_before = time.monotonic() + _PAUSE
        self._close()
        self._tried.set()

    def _close(self) -> None:
        watch, self._watch = self._watch, None
        with contextlib.suppress(NvmlError):
            if watch is not None:
                watch.close()

    def stop(self) -> None:
        """End soon; `join` says when."""
        self._end.set()
        self._report_soon(0.0)

    def join(self) -> None:
        """Wait for the end of all calls, after `stop` and after the end of the rota.

        What has come since the last look is still counted: whoever watches next would not see it.
        """
        if self._first is not None:
            self._first.join()
        until = time.monotonic() + _LAST_LOOK
        if self._watch is not None:
            self._take_all(lambda: time.monotonic() >= until)
        if self._asking is not None:
            self._asking.join()  # the worker must not leave while a call is under way, also one of this look
        self._close()
        self._report_soon(0.0)
