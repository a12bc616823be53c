"""The figures of a line of a report: one row each, for people and for programs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from zbx_nvidia.report.usage import JOULES_PER_KWH, Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from zbx_nvidia.report.gather import ReportedGpu

# What a line can be: the names of those that a GPU counts for. One in two groups counts for both.
BY_GPU: dict[str, Callable[[ReportedGpu], tuple[str, ...]]] = {
    "host": lambda gpu: (gpu.host,),
    "gpu": lambda gpu: (f"{gpu.host} {gpu.name}",),
    "model": lambda gpu: (gpu.model,),
    "group": lambda gpu: gpu.groups,
}
USER, JOB = "user", "job"
BY = (*BY_GPU, USER, JOB)


@dataclass(frozen=True)
class Money:
    """What energy costs.

    Attributes:
        price: Of a kWh, in the user's currency; None: not asked.
        co2: g for a kWh; None: not asked.
    """

    price: float | None = None
    co2: float | None = None


@dataclass
class Line:
    """A line of a report: a name, how many GPUs, and what they did. Of a user: how many there were at once."""

    name: str
    gpus: int = 0
    usage: Usage = field(default_factory=Usage)

    def add(self, usage: Usage) -> None:
        """Counts one GPU more."""
        self.gpus += 1
        self.usage.add(usage)


class Figure(NamedTuple):
    """A figure.

    Attributes:
        key: Its name in JSON and CSV.
        number: Its value; None if unknown.
        heading: Its name for people; "" if only programs get it.
        form: How people see the value.
        leaves: When it gives way on a narrow terminal: the highest number first, 0 never.
    """

    key: str
    number: Callable[[Line, Money], float | None]
    heading: str = ""
    form: str = "{:,.1f}"
    leaves: int = 0

    def text(self, line: Line, money: Money) -> str:
        """The value as people see it; "" if it is unknown."""
        value = self.number(line, money)
        if value is None:
            return ""
        return ("~" if self.of_energy and line.usage.estimated else "") + self.form.format(value)

    @property
    def of_energy(self) -> bool:
        """Whether it is only estimated for cards without an energy counter."""
        return self.key in {"kwh", "cost", "co2_kg"}


def _times(line: Line, factor: float | None) -> float | None:
    return None if line.usage.kwh is None or factor is None else line.usage.kwh * factor


def _if_known(line: Line, hours: float) -> float | None:
    """None of a user or a job of whose work nothing is known, as without the service: 0 would mean no work."""
    usage = line.usage
    return hours if usage.hours or usage.measured or usage.busy or usage.held_idle else None


FIGURES = (
    Figure("gpus", lambda line, _: line.gpus, "GPUs", "{}", leaves=9),
    Figure("hours", lambda line, _: line.usage.hours or None),
    Figure("covered_hours", lambda line, _: line.usage.covered if line.usage.hours else None),
    Figure("present_hours", lambda line, _: line.usage.present, "GPU-hours"),
    Figure("coverage", lambda line, _: line.usage.coverage, "Covered", "{:.1%}", leaves=3),
    Figure("busy_hours", lambda line, _: _if_known(line, line.usage.busy), "Busy"),
    Figure("held_idle_hours", lambda line, _: _if_known(line, line.usage.held_idle), "Held, idle"),
    Figure("free_hours", lambda line, _: line.usage.free if line.usage.hours else None, "Free", leaves=7),
    Figure("utilization", lambda line, _: line.usage.utilization, "GPU-Util", "{:.1%}"),
    Figure("kwh", lambda line, _: line.usage.kwh, "kWh", "{:,.2f}", leaves=2),
    Figure("kwh_estimated", lambda line, _: line.usage.estimated / JOULES_PER_KWH if line.usage.powered else None),
    Figure("energy_hours", lambda line, _: line.usage.powered),
    Figure("cost", lambda line, money: _times(line, money.price), "Cost", "{:,.2f}", leaves=1),
    Figure("co2_kg", lambda line, money: _times(line, money.co2 / 1000 if money.co2 is not None else None), "CO2 kg",
           "{:,.2f}", leaves=4),
    Figure("throttled_share", lambda line, _: line.usage.throttled_share, "Throttled", "{:.1%}", leaves=6),
    Figure("peak_temperature", lambda line, _: line.usage.hottest, "Peak", "{:.0f} °C", leaves=5),
    Figure("lost_hours", lambda line, _: line.usage.lost if line.usage.hours else None, "Lost h", leaves=8),
)  # fmt: skip
FOR_PEOPLE = tuple(figure for figure in FIGURES if figure.heading)


def numbers(line: Line, money: Money) -> dict[str, str | float | None]:
    """A line for programs."""
    by_key: dict[str, str | float | None] = {"name": line.name}
    for figure in FIGURES:
        value = figure.number(line, money)
        by_key[figure.key] = None if value is None else round(value, 6)
    return by_key
