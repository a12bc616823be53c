"""Times in words, for people."""

from __future__ import annotations

_UNITS = ((86_400, "days"), (3_600, "hours"), (60, "min"))


def rough(seconds: float) -> str:
    """A time in the largest unit of which it has two: 90 s, 2 min, 47 hours."""
    for length, unit in _UNITS:
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} s"
