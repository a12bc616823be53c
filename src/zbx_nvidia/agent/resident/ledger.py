"""The XID errors of a GPU, remembered by the supervisor for as long as the service lives: workers come and go."""

from __future__ import annotations

from typing import Any, NamedTuple

from zbx_nvidia.catalog.remedies import CLASSES
from zbx_nvidia.catalog.xid import kind_of

# However mad a driver goes: of so many codes each is counted by itself, all others together as the last.
MAX_CODES = 64
# Codes that fit into a text of 255 characters.
_MAX_RECENT = 36


class Seen(NamedTuple):
    """A code as the ledger has it.

    Attributes:
        counted: When it last counted as an event, in s of the monotonic clock.
        last: When it last came, likewise.
    """

    counted: float
    last: float


class Ledger:
    """The XIDs of one GPU since the service was started.

    Args:
        repeat: For how long repetitions of a code are one event, in s.
        memory: For how long a code is a recent one, in s.
    """

    def __init__(self, repeat: float, memory: float) -> None:
        self.repeat = repeat
        self.memory = memory
        self._count = self._events = 0
        self._classes = {kind.key: 0 for kind in CLASSES}
        self._codes: dict[int, Seen] = {}
        self._last: tuple[int, int] | None = None

    def add(self, code: int, count: int, when: float, now: float) -> None:
        """Take in what has come since the last time.

        Args:
            code: The code.
            count: How often it came.
            when: When it came last, Unix time.
            now: Now, by the monotonic clock.
        """
        self._count += count
        self._classes[kind_of(code).key] += count
        seen = self._codes.pop(code, None)
        if seen is None or now - seen.counted >= self.repeat:
            self._events += 1
            seen = Seen(now, now)
        # The last that came is at the end.
        self._codes[code] = Seen(seen.counted, now)
        while len(self._codes) > MAX_CODES:
            del self._codes[next(iter(self._codes))]
        self._last = (code, int(when))

    def recent(self, now: float) -> list[int]:
        """Codes that came lately, the last one at the end."""
        return [code for code, seen in self._codes.items() if now - seen.last < self.memory][-_MAX_RECENT:]

    def readings(self, now: float) -> dict[str, Any]:
        """Readings by catalogue key."""
        last = {} if self._last is None else {"xid_last": self._last[0], "xid_last_time": self._last[1]}
        recent = "".join(f"{code}," for code in self.recent(now))
        return {
            **last,
            "xid_recent": f",{recent}",
            "xid_count": self._count,
            "xid_events": self._events,
            **{f"xid_{key}": count for key, count in self._classes.items()},
        }
