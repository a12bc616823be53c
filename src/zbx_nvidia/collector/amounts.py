"""Times and energies in words, as exact as a person needs them."""

from __future__ import annotations

_MINUTE = 60  # s in one, and minutes in an hour
_WATT_HOUR, _KILO = 3600.0, 1000.0  # J


def duration(seconds: float) -> str:
    """A time in its two largest units, and one below a minute in s: 14 s, 2 min 5 s, 3 h 12 min."""
    if seconds < _MINUTE - 0.5:  # 59.5 rounds to a minute
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), _MINUTE)
    if minutes < _MINUTE:
        return f"{minutes} min {rest} s"
    return f"{minutes // _MINUTE} h {minutes % _MINUTE} min"


def energy(joules: float) -> str:
    """Energy in the unit that people know for so much."""
    hours = joules / _WATT_HOUR
    if round(hours, 1) < 1:
        return f"{joules:.0f} J"
    for unit in ("Wh", "kWh", "MWh"):
        if round(hours) < _KILO or unit == "MWh":
            break
        hours /= _KILO
    return f"{hours:.1f} {unit}" if round(hours, 1) < 10 else f"{hours:,.0f} {unit}"  # noqa: PLR2004  two digits
