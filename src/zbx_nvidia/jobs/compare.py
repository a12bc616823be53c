"""Two runs side by side, in words: how much faster, and how much less energy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_FRACTIONS = ("", "", "half", "a third", "a quarter", "a fifth", "a sixth", "a seventh", "an eighth", "a ninth",
              "a tenth")  # fmt: skip
_ALIKE = 1.05  # a ratio below it is no difference: two runs of the same job are never equal


def energy(run: Mapping[str, Any]) -> float | None:
    """Energy of all GPUs of a run, in J; None if that of one is not known, or if it used none."""
    values = [gpu.get("energy") for gpu in run["gpus"]]
    numbers = [value for value in values if isinstance(value, (int, float))]
    return sum(numbers) if numbers and len(numbers) == len(values) else None


def words(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    """What the second run is against the first: "27 times faster, a ninth of the energy"."""
    parts = [_speed(first["wall"], second["wall"])]
    before, after = energy(first), energy(second)
    if before and after:
        parts.append(_energy(before, after))
    return ", ".join(parts)


def _speed(before: float, after: float) -> str:
    if before <= 0 or after <= 0:
        return "too short to compare"
    ratio = before / after
    if max(ratio, 1 / ratio) < _ALIKE:
        return "as fast"
    return f"{times(ratio)} faster" if ratio > 1 else f"{times(1 / ratio)} slower"


def _energy(before: float, after: float) -> str:
    ratio = after / before
    if max(ratio, 1 / ratio) < _ALIKE:
        return "the same energy"
    if ratio > 1:
        return f"{times(ratio)} the energy"
    if ratio > 0.75:  # noqa: PLR2004  no fraction has a name there
        return f"{100 * ratio:.0f} % of the energy"
    nearest = round(1 / ratio)
    if nearest < len(_FRACTIONS) and max(nearest * ratio, 1 / (nearest * ratio)) < 1.1:  # noqa: PLR2004  as people round
        return f"{_FRACTIONS[nearest]} of the energy"
    return f"{100 * ratio:.0f} % of the energy" if ratio >= 0.01 else f"{100 * ratio:.2g} % of the energy"  # noqa: PLR2004


def times(ratio: float) -> str:
    """A ratio above 1, as people say it."""
    return f"{ratio:.0f} times" if ratio >= 10 else f"{ratio:.1f} times".replace(".0 ", " ")  # noqa: PLR2004


def ratios(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """The same for machines: wall time and energy of the second run, as parts of those of the first."""
    comparison: dict[str, Any] = {"words": words(first, second)}
    if first["wall"] > 0:
        comparison["wall"] = round(second["wall"] / first["wall"], 6)
    before, after = energy(first), energy(second)
    if before and after is not None:
        comparison["energy"] = round(after / before, 6)
    return comparison
