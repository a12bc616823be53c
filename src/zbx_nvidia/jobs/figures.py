"""What a job took of a GPU, from the readings of it while the job ran.

An interval lies between two readings. Its energy is the difference of the card's counter, or else the power times the
time. Of the first and the last interval only the part within the job counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_MOST_POWER = 20_000  # W; a counter that grows faster did not count: it has begun again elsewhere
_THROTTLED = ("throttle_hw_slowdown", "throttle_sw_thermal", "throttle_hw_thermal", "throttle_power_brake")
_CAPPED = ("throttle_sw_power_cap",)  # normal under load


class GpuSample(NamedTuple):
    """One reading of a GPU.

    Attributes:
        at: When, by the monotonic clock.
        readings: By catalog key.
        own: Entries of its process list that belong to the job.
        others: The other entries.
    """

    at: float
    readings: Mapping[str, Any]
    own: tuple[dict[str, Any], ...]
    others: tuple[dict[str, Any], ...]

    def value(self, key: str) -> float | None:
        """A number; None if there is none."""
        value = self.readings.get(key)
        return value if isinstance(value, (int, float)) else None

    def flag(self, keys: tuple[str, ...]) -> float | None:
        """1 if one of these reasons is there, 0 if none is; None if the card does not say it."""
        known = [self.readings[key] for key in keys if key in self.readings]
        return float(any(known)) if known else None

    def part(self) -> float | None:
        """Part of the GPU's work that is the job's, from 0 to 1; None if the driver does not say it."""
        if not self.others:
            return 1.0
        entries = (*self.own, *self.others)
        if not all("utilization" in entry for entry in entries):
            return None
        whole = sum(entry["utilization"] for entry in entries)
        return sum(entry["utilization"] for entry in self.own) / whole if whole else None


class Mean:
    """A mean over time."""

    def __init__(self) -> None:
        self.sum = 0.0
        self.seconds = 0.0

    def add(self, value: float | None, seconds: float) -> None:
        """Take in a value that held for so long; nothing if it is not known."""
        if value is not None:
            self.sum += value * seconds
            self.seconds += seconds

    def value(self) -> float | None:
        """The mean; None of nothing."""
        return self.sum / self.seconds if self.seconds else None


class GpuFigures:
    """What is added up of one GPU.

    Args:
        started: When the job started, by the monotonic clock.

    Attributes:
        used: Whether a process of the job was seen on it.
        index: Its place in the driver's order.
    """

    def __init__(self, started: float) -> None:
        self._started = started
        self.used = False
        self.index = 0
        self._identity: dict[str, Any] = {}
        self._last: GpuSample | None = None
        self._energy = self._own_energy = 0.0
        self._counted = self._integrated = self._unsplit = self._shared = self._held = 0.0
        self._resets = 0
        self._power, self._utilization = Mean(), Mean()
        self._throttled, self._capped = Mean(), Mean()
        self._peaks: dict[str, float] = {}
        self._users: dict[tuple[str, int | None], int] = {}  # name and number of the user -> PID

    def take(  # noqa: PLR0913  what there is to know of a reading
        self,
        index: int,
        readings: Mapping[str, Any],
        job: Collection[int],
        *,
        at: float,
        gap: float,
        ended: float | None = None,
    ) -> None:
        """Take a reading in.

        Args:
            index: Place of the GPU in the driver's order.
            readings: By catalog key.
            job: The processes of the job.
            at: When it was read, by the monotonic clock.
            gap: Longest time between two readings over which power may be integrated, in s.
            ended: When the job ended, by the monotonic clock; None while it runs.
        """
        entries = readings.get("process_list", ())
        # Only the PID of a process that /proc knows is a PID of ours: in a container, a driver may say the host's.
        own = tuple(entry for entry in entries if entry["pid"] in job and "uid" in entry)
        sample = GpuSample(at, readings, own, tuple(entry for entry in entries if entry not in own))
        self.index = index
        self._identity = {"index": index, **{key: readings[key] for key in ("uuid", "name") if key in readings}}
        if own:
            self.used = True
            for entry in sample.others:
                self._users.setdefault((entry.get("name", ""), entry.get("uid")), entry["pid"])
        if self._last is not None:
            self._interval(self._last, sample, gap, ended)
        self._peak("power", sample.value("power"))
        self._peak("temperature", sample.value("temperature"))
        if own:
            known = [entry["memory"] for entry in own if "memory" in entry]
            self._peak("memory", sum(known) if len(known) == len(own) else None)
        self._last = sample

    def _peak(self, key: str, value: float | None) -> None:
        if value is not None:
            self._peaks[key] = max(self._peaks.get(key, value), value)

    def _interval(self, first: GpuSample, last: GpuSample, gap: float, ended: float | None) -> None:
        whole = last.at - first.at
        since, until = max(first.at, self._started), min(last.at, ended if ended is not None else last.at)
        seconds = until - since
        if whole <= 0 or seconds <= 0:
            return
        if first.own or last.own:
            self._held += seconds
            self._shared += seconds if first.others or last.others else 0
        counted, integrated = self._counted_joules(first, last), _integrated_joules(first, last, gap)
        if counted is not None:
            self._counted += seconds
            self._add_energy(first, last, counted * seconds / whole, seconds)
        elif integrated is not None:
            self._integrated += seconds
            self._add_energy(first, last, integrated * seconds / whole, seconds)
        if whole > gap:
            return
        self._power.add(_middle(first.value("power"), last.value("power")), seconds)
        self._utilization.add(_middle(first.value("utilization"), last.value("utilization")), seconds)
        self._throttled.add(_middle(first.flag(_THROTTLED), last.flag(_THROTTLED)), seconds)
        self._capped.add(_middle(first.flag(_CAPPED), last.flag(_CAPPED)), seconds)

    def _counted_joules(self, first: GpuSample, last: GpuSample) -> float | None:
        """Energy of an interval by the card's counter; None if it has none, or if that began again."""
        before, after = first.value("energy"), last.value("energy")
        if before is None or after is None:
            return None
        if 0 <= after - before <= _MOST_POWER * (last.at - first.at):
            return after - before
        self._resets += 1
        return None

    def _add_energy(self, first: GpuSample, last: GpuSample, joules: float, seconds: float) -> None:
        self._energy += joules
        sample = last if last.own or not first.own else first
        if not sample.own:
            # Nobody's, so the job's: it waits for its card. Unless others work there.
            self._own_energy += 0 if sample.others else joules
            return
        part = sample.part()
        if part is None:
            self._unsplit += seconds
        self._own_energy += joules * (1.0 if part is None else part)

    def result(self, ended: float) -> dict[str, Any]:
        """The figures, for people and for the file of runs; what is not known is not there.

        Args:
            ended: When the job ended, by the monotonic clock.
        """
        wall = ended - self._started
        covered = self._counted + self._integrated
        figures: dict[str, Any] = dict(self._identity)
        if covered:
            figures["energy"] = round(self._own_energy, 3)
            figures["energy_of"] = _source(self._counted, self._integrated)
            figures["energy_covered"] = round(min(covered, wall), 3)
            if self._energy - self._own_energy > 0.001 * self._energy:
                figures["energy_card"] = round(self._energy, 3)
        if self._resets:
            figures["energy_resets"] = self._resets
        mean = self._energy / covered if covered else self._power.value()
        for key, value in (
            ("power_mean", mean),
            ("power_peak", self._peaks.get("power")),
            ("utilization", self._utilization.value()),
            ("memory_peak", self._peaks.get("memory")),
            ("temperature_peak", self._peaks.get("temperature")),
            ("throttled", _percent(self._throttled)),
            ("power_capped", _percent(self._capped)),
        ):
            if value is not None:
                figures[key] = round(value, 2)
        figures["held"] = round(min(self._held, wall), 3)
        if self._users:
            figures["shared"] = round(min(self._shared, wall), 3)
            figures["shared_with"] = [
                {"pid": pid, **({"name": name} if name else {}), **({"uid": uid} if uid is not None else {})}
                for (name, uid), pid in self._users.items()
            ]
            figures["energy_split"] = self._unsplit == 0
        if self._last is not None and self._last.at < ended:
            figures["until"] = round(max(0.0, self._last.at - self._started), 3)
        return figures


def _integrated_joules(first: GpuSample, last: GpuSample, gap: float) -> float | None:
    """Energy of an interval by its power; None if that is not known, or if the readings are too far apart."""
    power, seconds = _middle(first.value("power"), last.value("power")), last.at - first.at
    return None if power is None or seconds > gap else power * seconds


def _middle(first: float | None, last: float | None) -> float | None:
    return None if first is None or last is None else (first + last) / 2


def _percent(mean: Mean) -> float | None:
    value = mean.value()
    return None if value is None else 100 * value


def _source(counted: float, integrated: float) -> str:
    if not integrated:
        return "counter"
    return "power and counter" if counted else "power"
