"""The XID errors of a GPU, remembered by the supervisor for as long as the service lives: workers come and go."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

from zbx_nvidia.catalog.xid import kind_of
from zbx_nvidia.catalog.xid_actions import CLASSES, TO_MEND

# However mad a driver goes: of so many codes each is counted by itself, all others together as the last.
MAX_CODES = 64
# For how long, in s, codes are recent ones after which nothing is to be mended: that is news, and then it is over.
_NEWS = 600.0
# Codes that fit into a text of 255 characters.
_MAX_RECENT = 36
# The two sources of an error; how far apart, in s, their times of it may be; and within what time errors of the log
# are kept as one number.
DRIVER, LOG = "driver", "log"
_SAME = 5.0
_APART = 1.0
_MAX_SPANS = 64


class XidTimes(NamedTuple):
    """A code as the history has it.

    Attributes:
        counted: When it last counted as an event, in s of the monotonic clock.
        last: When it last came, likewise.
    """

    counted: float
    last: float


class XidSpan:
    """Errors of one code between two times.

    Args:
        count: How many.
        first: When the first came, by the monotonic clock.
        last: When the last came.
    """

    __slots__ = ("count", "first", "last")

    def __init__(self, count: int, first: float, last: float) -> None:
        self.count = count
        self.first = first
        self.last = last


class XidHistory:
    """The XIDs of one GPU since the service was started.

    Args:
        repeat: For how long repetitions of a code are one event, in s.
        memory: For how long a code is a recent one, in s, if something is to be mended after it.
    """

    def __init__(self, repeat: float, memory: float) -> None:
        self.repeat = repeat
        self.memory = memory
        self._count = self._events = 0
        self._classes = {kind.key: 0 for kind in CLASSES}
        self._codes: dict[int, XidTimes] = {}
        self._last: tuple[int, int, float] | None = None
        self._words: dict[int, str] = {}  # of the kernel log, by code
        # By code and source: what the other source has not reported.
        self._untold: dict[tuple[int, str], deque[XidSpan]] = {}

    def add(  # noqa: PLR0913, PLR0917  what there is to say of an error
        self, code: int, count: int, when: float, now: float, first: float | None = None, source: str = DRIVER
    ) -> int:
        """Take in what has come since the last time.

        Args:
            code: The code.
            count: How often it came.
            when: When it came last, Unix time.
            now: The same by the monotonic clock.
            first: When the first of them came.
            source: Who says so.

        Returns:
            How many of them the other source had not reported already.
        """
        count = self._new(code, count, now if first is None else first, now, source)
        if not count:
            return 0
        self._count += count
        self._classes[kind_of(code).key] += count
        seen = self._codes.pop(code, None)
        if seen is None or now - seen.counted >= self.repeat:
            self._events += 1
            seen = XidTimes(now, now)
        # The last that came is at the end.
        self._codes[code] = XidTimes(seen.counted, max(seen.last, now))
        while len(self._codes) > MAX_CODES:
            del self._codes[next(iter(self._codes))]
        if self._last is None or now >= self._last[2]:  # not by when: the wall clock may have been set back
            self._last = (code, int(when), now)
        return count

    def _new(self, code: int, count: int, first: float, last: float, source: str) -> int:
        """How many of these are news.

        Each source reports a number of errors between two times. What one has reported and the other has not is kept,
        and the next report of the other for that time is compared with it.
        """
        other = DRIVER if source == LOG else LOG
        for span in self._untold.get((code, other), ()):
            if span.first - _SAME <= last and span.last + _SAME >= first:
                known = min(count, span.count)
                span.count -= known
                count -= known
        if count:
            spans = self._untold.setdefault((code, source), deque(maxlen=_MAX_SPANS))
            if spans and spans[-1].first <= first <= spans[-1].last + _APART:
                spans[-1].count += count
                spans[-1].last = max(spans[-1].last, last)
            else:
                spans.append(XidSpan(count, first, last))
        while len(self._untold) > 2 * MAX_CODES:
            del self._untold[next(iter(self._untold))]
        return count

    def describe(self, code: int, words: str) -> None:
        """Keep what the kernel log says of the last error of a code."""
        if code in self._codes:
            self._words[code] = words
        for gone in self._words.keys() - self._codes.keys():
            del self._words[gone]

    def words(self, code: int) -> str:
        """What the kernel log says of the last error of a code; "" for nothing."""
        return self._words.get(code, "")

    def recent(self, now: float) -> list[int]:
        """Codes that came lately, the last one at the end."""
        known = sorted(self._codes.items(), key=lambda row: row[1].last)
        return [code for code, seen in known if now - seen.last < self._memory_of(code)][-_MAX_RECENT:]

    def _memory_of(self, code: int) -> float:
        return self.memory if kind_of(code) in TO_MEND else min(self.memory, _NEWS)

    def readings(self, now: float) -> dict[str, Any]:
        """Readings by catalog key."""
        last = {} if self._last is None else {"xid_last": self._last[0], "xid_last_time": self._last[1]}
        recent = self.recent(now)
        return {
            **last,
            "xid_recent": "".join((",", *(f"{code}," for code in recent))),
            **{
                f"xid_{kind.key}_last": next((code for code in reversed(recent) if kind_of(code) is kind), 0)
                for kind in TO_MEND
            },
            "xid_count": self._count,
            "xid_events": self._events,
            **{f"xid_{key}": count for key, count in self._classes.items()},
        }
