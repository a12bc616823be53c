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
    """Energy with three digits, in the unit that people know for so much."""
    if round(joules) < _KILO:
        # As exact as cards count it.
        return f"{joules:.0f} J" if joules >= 10 else f"{joules:.1f} J"  # noqa: PLR2004  two digits
    amount = joules / _WATT_HOUR
    for unit in ("Wh", "kWh", "MWh"):
        if round(amount) < _KILO or unit == "MWh":
            break
        amount /= _KILO
    decimals = next((digits for digits, most in ((3, 1), (2, 10), (1, 100)) if round(amount, digits) < most), 0)
    return f"{amount:,.{decimals}f} {unit}"
