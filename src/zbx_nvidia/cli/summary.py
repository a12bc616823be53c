"""The figures of jobs for people: of one that has ended, of many as a table, and of two side by side."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from zbx_nvidia.cli.cells import cell, number
from zbx_nvidia.cli.table import Column, Look, Row, Span, filled, fitting, lay_out
from zbx_nvidia.collector import amounts
from zbx_nvidia.collector.amounts import energy
from zbx_nvidia.collector.document import model
from zbx_nvidia.jobs import compare

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_MIB, _GIB = 2**20, 2**30
_MODEL = 20  # columns
_COVERED = 0.98  # of the time of a job; less is said
_MOST_USERS = 3  # with whom a GPU was shared that are named

_GPU_COLUMNS = (
    Column("GPU"),
    Column("Model", left=True, leaves=4),
    Column("Energy"),
    Column("Power"),
    Column("Peak", leaves=2),
    Column("Util"),
    Column("Memory"),
    Column("Temp", leaves=1),
    Column("Throttled", leaves=3),
)
_RUN_COLUMNS = (
    Column("Run"),
    Column("Name", left=True),
    Column("Started", left=True, leaves=2),
    Column("Wall time"),
    Column("CPU time", leaves=3),
    Column("Memory", leaves=4),
    Column("GPUs"),
    Column("Energy"),
    Column("Power", leaves=5),
    Column("Util", leaves=1),
    Column("Exit"),
)
_NAME = 24  # columns


def of_run(run: Mapping[str, Any], look: Look) -> list[str]:
    """What is printed when a job has ended."""
    end = f"ended by signal {run['signal']}" if run.get("signal") else f"exit code {run['exit_code']}"
    lines = [*look.wrap(look.clean(f"{run['name']}: {duration(run['wall'])}, {end}"), "head")]
    for title, text in (
        ("CPU time", _cpu(run)),
        ("Peak memory", _memory(run)),
    ):
        lines.append((Span(f"  {title:12} {text}"),))
    gpus = run["gpus"]
    if len(gpus) > 1 and (joules := compare.energy(run)) is not None:
        lines.append((Span(f"  {'GPU energy':12} {energy(joules)}"),))
    if gpus:
        rows = [Row({heading: cell(look.clean(text)) for heading, text in _gpu(gpu, look).items()}) for gpu in gpus]
        columns = fitting(filled(_GPU_COLUMNS, rows), look.width)
        lines += [(), *lay_out(columns, rows, look)]
    for note in notes(run):
        lines += look.wrap(look.clean(note), "warn")
    return [look.paint(line) for line in lines]


def table(runs: Sequence[Mapping[str, Any]], look: Look) -> list[str]:
    """A line for each run."""
    rows = [
        Row({heading: cell(look.cut(look.clean(text), _NAME)) for heading, text in _row(run).items()}) for run in runs
    ]
    columns = filled(_RUN_COLUMNS, rows)
    return [look.paint(line) for line in lay_out(fitting(columns, look.width), rows, look)]


def compared(first: Mapping[str, Any], second: Mapping[str, Any], look: Look) -> list[str]:
    """Two runs side by side, and the second against the first in words."""
    titles = [look.cut(look.clean(f"{run['name']} ({run['id']})"), _NAME) for run in (first, second)]
    if titles[0] == titles[1]:
        titles[1] += " "  # the same run twice: a column needs a name of its own
    columns = [Column("", left=True), *(Column(title) for title in titles), Column("Ratio")]
    rows = []
    for title, value, text in _FIGURES:
        values = [value(run) for run in (first, second)]
        if all(each is None for each in values):
            continue
        cells = {"": cell(title)}
        for name, each in zip(titles, values, strict=True):
            cells[name] = cell("-" if each is None else text(each))
        if values[0] and values[1]:
            cells["Ratio"] = cell(f"{values[1] / values[0]:.3g}")
        rows.append(Row(cells))
    words = f"{second['name']} is {compare.words(first, second)}"
    shown = [*lay_out(filled_all(columns, rows), rows, look), *look.wrap(look.clean(words), "good")]
    return [look.paint(line) for line in shown]


def filled_all(columns: Sequence[Column], rows: Sequence[Row]) -> list[Column]:
    """As `filled`, with the columns that have a heading only."""
    known = {column.heading: column for column in filled(columns, rows)}
    return [known.get(column.heading, column) for column in columns]


def notes(run: Mapping[str, Any]) -> list[str]:
    """What has to be known to read the figures right."""
    texts = []
    if run.get("left_running"):
        count = run["left_running"]
        runs_on = (
            "1 process of the job still runs; it" if count == 1 else f"{count} processes of the job still run; each"
        )
        texts.append(f"{runs_on} counts until the end of the command.")
    driver = run.get("driver", "")
    if not run["gpus"]:
        if not run.get("gpus_seen"):
            return [*texts, f"No figures of GPUs: {driver or 'the driver did not answer in time'}."]
        texts.append(f"No process of the job was seen on a GPU (looked {run.get('samples', 0)} times).")
        if run["wall"] < 1:
            texts.append("So short a job can use a GPU unseen.")
    if driver:
        texts.append(f"The driver did not answer at the end: {driver}.")
    for gpu in run["gpus"]:
        texts += [f"GPU {gpu.get('index', '?')}: {note}" for note in _gpu_notes(gpu, run["wall"])]
    return texts


def _gpu_notes(gpu: Mapping[str, Any], wall: float) -> list[str]:
    texts = []
    if "until" in gpu:
        texts.append(f"figures until {duration(gpu['until'])} after the start; after that it was not read.")
    if gpu.get("energy_of", "counter") != "counter":
        texts.append("energy is estimated from power" + (
            ", in part: the energy counter began again." if gpu.get("energy_resets") else ": no energy counter."
        ))  # fmt: skip
    elif gpu.get("energy_resets"):
        texts.append("the energy counter began again, and power is not known for that time.")
    if "energy" not in gpu:
        texts.append("energy is not known: the card reports neither energy nor power in time.")
    elif gpu.get("energy_covered", wall) < _COVERED * wall:
        texts.append(f"energy is that of {duration(gpu['energy_covered'])} only.")
    if others := gpu.get("shared_with"):
        texts.append(_shared(gpu, others))
    return texts


def _shared(gpu: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> str:
    names = [f"{other.get('name') or 'process {}'.format(other.get('pid', '?'))}" + (
        f" of {other['user']}" if other.get("user") else "") for other in others]  # fmt: skip
    more = f" and {len(names) - _MOST_USERS} more" if len(names) > _MOST_USERS else ""
    part = (
        f"Energy is the part of the job, by the use of the SMs; the whole card took {energy(gpu['energy_card'])}."
        if gpu.get("energy_split") and "energy_card" in gpu
        else "Energy is the part of the job, by the use of the SMs."
        if gpu.get("energy_split")
        else "The driver does not always say who used it how much: then energy is that of the whole card."
    )
    return (
        f"shared with {', '.join(names[:_MOST_USERS])}{more} for {duration(gpu.get('shared', 0))}. {part} "
        "Memory is that of the job, and all else of the whole card."
    )


# -- cells -------------------------------------------------------------------------------------------------------------


def _gpu(gpu: Mapping[str, Any], look: Look) -> dict[str, str]:
    texts = {
        "GPU": str(gpu.get("index", "?")),
        "Model": look.cut(look.clean(model(str(gpu.get("name", "")))), _MODEL),
        "Energy": _tilde(gpu) + energy(gpu["energy"]) if "energy" in gpu else "",
        "Memory": memory(gpu["memory_peak"]) if "memory_peak" in gpu else "",
    }
    for heading, key, unit in (
        ("Power", "power_mean", " W"),
        ("Peak", "power_peak", " W"),
        ("Util", "utilization", "%"),
        ("Temp", "temperature_peak", "°C"),
        ("Throttled", "throttled", "%"),
    ):
        texts[heading] = number(gpu, key, unit)
    return texts


def _tilde(gpu: Mapping[str, Any]) -> str:
    """What stands before energy that is estimated."""
    return "~" if gpu.get("energy_of", "counter") != "counter" else ""


def _row(run: Mapping[str, Any]) -> dict[str, str]:
    joules, watts, busy = compare.energy(run), _power(run), _utilization(run)
    return {
        "Run": str(run["id"]),
        "Name": run["name"],
        "Started": time.strftime("%Y-%m-%d %H:%M", time.localtime(max(0, min(run["started"], 10**11)))),
        "Wall time": duration(run["wall"]),
        "CPU time": duration(run["cpu"]) if "cpu" in run else "",
        "Memory": _memory(run),
        "GPUs": str(len(run["gpus"])) if run["gpus"] else "-",
        "Energy": "" if joules is None else "".join(sorted({_tilde(gpu) for gpu in run["gpus"]})) + energy(joules),
        "Power": "" if watts is None else f"{watts:.0f} W",
        "Util": "" if busy is None else f"{busy:.0f}%",
        "Exit": str(run["exit_code"]),
    }


def _cpu(run: Mapping[str, Any]) -> str:
    if "cpu" not in run:
        return ""
    used = f" ({run['cpu'] / run['wall']:.1f} processors)" if run["wall"] > 0 else ""
    return f"{duration(run['cpu'])}{used}"


def _memory(run: Mapping[str, Any]) -> str:
    if "memory_peak" in run:
        return memory(run["memory_peak"])
    return f"below {memory(run['memory_below'])}" if "memory_below" in run else ""


def _sum(key: str) -> Callable[[Mapping[str, Any]], float | None]:
    def summed(run: Mapping[str, Any]) -> float | None:
        values = [gpu[key] for gpu in run["gpus"] if isinstance(gpu.get(key), (int, float))]
        return sum(values) if values and len(values) == len(run["gpus"]) else None

    return summed


def _mean(key: str) -> Callable[[Mapping[str, Any]], float | None]:
    def mean(run: Mapping[str, Any]) -> float | None:
        whole = _sum(key)(run)
        return None if whole is None else whole / len(run["gpus"])

    return mean


def _highest(key: str) -> Callable[[Mapping[str, Any]], float | None]:
    def highest(run: Mapping[str, Any]) -> float | None:
        return max((gpu[key] for gpu in run["gpus"] if isinstance(gpu.get(key), (int, float))), default=None)

    return highest


_power, _utilization = _sum("power_mean"), _mean("utilization")


def duration(seconds: float) -> str:
    """A time, exact enough to compare two."""
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 60:  # noqa: PLR2004  one minute
        return f"{seconds:.1f} s"
    return amounts.duration(seconds)


def memory(size: float) -> str:
    """Memory in binary units."""
    return f"{size / _GIB:.1f} GiB" if size >= _GIB else f"{size / _MIB:.0f} MiB"


# Title, value of a run, and how it is written.
_FIGURES: tuple[tuple[str, Callable[[Mapping[str, Any]], float | None], Callable[[float], str]], ...] = (
    ("Wall time", lambda run: run["wall"], duration),
    ("CPU time", lambda run: run.get("cpu"), duration),
    ("Peak memory", lambda run: run.get("memory_peak"), memory),
    ("GPUs", lambda run: len(run["gpus"]), lambda value: f"{value:.0f}"),
    ("GPU energy", compare.energy, energy),
    ("Mean power of the GPUs", _power, lambda value: f"{value:.0f} W"),
    ("Peak power of a GPU", _highest("power_peak"), lambda value: f"{value:.0f} W"),
    ("GPU utilization", _utilization, lambda value: f"{value:.0f} %"),
    ("GPU memory", _sum("memory_peak"), memory),
    ("Peak temperature", _highest("temperature_peak"), lambda value: f"{value:.0f} °C"),
    ("Throttled", _mean("throttled"), lambda value: f"{value:.0f} %"),
)
