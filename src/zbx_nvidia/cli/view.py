"""What `zbx-nvidia show` prints of a document: a line for each GPU, those that do not answer included."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from zbx_nvidia.cli import cells, health, instances
from zbx_nvidia.cli.cells import cell, number
from zbx_nvidia.cli.table import Column, Line, Look, Row, Span, bar, filled, fitting, lay_out, width, width_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zbx_nvidia.cli.health import Unwell

_MIB, _MHZ = 2**20, 10**6
# The last ones give way first. Utilization and memory are what people look for.
GPU_COLUMNS = (
    Column("GPU"),
    Column("Model", left=True),
    Column("Temp", least=4),
    Column("HBM", least=4, leaves=1),
    Column("Fan", least=4, leaves=2),
    Column("Power", leaves=3),
    Column("Memory"),
    Column("Util", least=4),
    Column("Mem", least=4, leaves=4),
    Column("SM clock", leaves=5),
    Column("P", least=2, leaves=6),
)
WIDE_COLUMNS = (
    Column("GPU"),
    Column("PCI address", left=True),
    Column("Serial", left=True),
    Column("UUID", left=True),
    Column("VBIOS", left=True),
)
PROCESS_COLUMNS = (
    Column("GPU"),
    Column("PID"),
    Column("User", left=True),
    Column("Type", left=True),
    Column("Memory"),
    Column("SM", least=4),
    Column("MIG"),
    Column("Container", left=True),
    Column("Job"),
    Column("Name", left=True),
)
_BARS = ("Memory", "Util")
_BAR_LEAST, _BAR_MOST = 6, 20  # columns of a bar
_NOTES_ROOM = 42  # columns that bars leave to what is written after a GPU: most reasons of throttling fit in
_MODEL, _SHORTEST_MODEL = 20, 8  # columns of it: before others give way, and after
_MANY = 5  # readings with one error that are named on a terminal


def lines(document: dict[str, Any], look: Look, *, wide: bool, processes: bool, seen: health.Seen) -> list[Line]:
    """The document for people.

    Args:
        document: What was collected.
        look: What the output can show.
        wide: Whether to print what identifies each GPU.
        processes: Whether to print the processes.
        seen: The GPUs as earlier documents had them.
    """
    status, host = document["status"], document.get("host", {})
    gpus = list(document["gpus"].values())
    unwell, rest = health.unwell(host, gpus, seen)
    all_lines: list[Line] = []
    if status["code"]:
        all_lines += look.wrap(look.clean(f"{status['name']}: {status['message']}"), "bad")
    if host:
        all_lines += look.wrap(look.clean(_versions(host)))
    errors = document["collector"]["errors"]
    failed = Counter(error["gpu"] for error in errors)
    all_lines += _gpus(gpus, [failed[gpu.get("uuid")] for gpu in gpus], unwell, look)
    for text in rest:
        all_lines += look.wrap(look.clean(text), "bad")
    if refused := host.get("gpus_refused"):
        words = f"{refused} of {host['gpu_count']} GPUs refused: this user or container may not use them"
        all_lines += look.wrap(words, "warn")
    if wide and (gpus or unwell):
        all_lines += [(), *_identities(gpus, unwell, look)]
    if divided := instances.lines(document, look, wide=wide):
        all_lines += [(), *divided]
    if processes and gpus:
        all_lines += [(), *_processes(document, gpus, look)]
    # What a lost card answers is in its row, and a refused one is counted above.
    errors = [error for error in errors if error["metric"] or not (unwell or refused)]
    return [*all_lines, *_errors(errors, look)]


def _versions(host: dict[str, Any]) -> str:
    known = (("Driver", "driver_version"), ("NVML", "nvml_version"), ("CUDA", "cuda_version"), ("GPUs", "gpu_count"))
    return "  ".join(f"{word} {host[key]}" for word, key in known if key in host)


def _errors(errors: list[dict[str, Any]], look: Look) -> list[Line]:
    """Failed readings; those with the same error in one line: a sick card refuses all of them."""
    alike: dict[tuple[Any, ...], list[str]] = {}
    for error in errors:
        alike.setdefault((error["gpu"], error["message"], error["code"]), []).append(str(error["metric"]))
    wrapped: list[Line] = []
    for (gpu, message, code), metrics in alike.items():
        if look.width is not None and len(metrics) > _MANY:
            metrics[_MANY - 1 :] = [f"and {len(metrics) - _MANY + 1} more"]
        where = f"{gpu or 'host'} {', '.join(metrics)}".rstrip()
        wrapped += look.wrap(look.clean(f"{where}: {message} ({code})"), "warn")
    return wrapped


# -- the GPUs ----------------------------------------------------------------------------------------------------------


def _gpus(gpus: list[dict[str, Any]], failed: list[int], unwell: list[Unwell], look: Look) -> list[Line]:
    if not gpus and not unwell:
        return []
    # A column that no card of this host can fill is left out, such as the fan of passively cooled cards.
    notes = [health.notes(gpu, count) for gpu, count in zip(gpus, failed, strict=True)]
    rows = [(gpu.get("index", -1), Row(_cells(gpu, own, look))) for gpu, own in zip(gpus, notes, strict=True)]
    columns = filled(GPU_COLUMNS, [row for _, row in rows] or [Row({"GPU": cell("0")})])
    columns = fitting(_narrowed(columns, _MODEL, look), look.width)
    columns = _narrowed(columns, _SHORTEST_MODEL, look)
    below: list[Line] = []
    if look.width is None or look.bars:
        rows, columns = _with_bars(gpus, rows, columns, look)
    room = None if look.width is None else look.width - width(columns) - 2
    if room is None or all(_width(own, look) <= room for own in notes):
        columns = [*columns, Column("", left=True)]
        for (_, row), own in zip(rows, notes, strict=True):
            row.cells[""] = _note(own, look)
    else:
        below = _below([(index, own) for (index, _), own in zip(rows, notes, strict=True)], look)
    rows += [(card.place, _unwell_row(card, look)) for card in unwell]
    return [*lay_out(columns, [row for _, row in sorted(rows, key=lambda row: row[0])], look), *below]


def _cells(gpu: dict[str, Any], notes: list[health.Note], look: Look) -> dict[str, Line]:
    """One line of the table, by heading; empty where the card has no value."""
    from zbx_nvidia.collector.document import model  # noqa: PLC0415  --help needs none of it

    degree = "°C" if look.shows("°") else "C"
    power, limit = number(gpu, "power", "W"), number(gpu, "power_limit", "W")
    # As wide as the limit: else everything after it would move with each watt.
    draw = f"{power:>{len(limit)}}/{limit}" if limit else power
    worst = max((note.style for note in notes), key=health.ORDER.index, default="")
    texts = {
        "GPU": (number(gpu, "index", ""), worst if worst in {"warn", "bad"} else ""),
        "Model": (look.clean(model(str(gpu.get("name", "")))), ""),
        "Temp": (number(gpu, "temperature", degree), health.heat(gpu)),
        "HBM": (number(gpu, "temperature_memory", degree), health.memory_heat(gpu)),
        "Fan": (number(gpu, "fan_speed", "%"), health.fan(gpu)),
        "Power": (draw, health.power(gpu)),
        "Memory": (cells.memory(gpu), health.memory(gpu)),
        "Util": (number(gpu, "utilization", "%"), ""),
        "Mem": (number(gpu, "utilization_memory", "%"), ""),
        "SM clock": (number(gpu, "clock_sm", "MHz", _MHZ), ""),
        "P": (number(gpu, "performance_state", "", before="P"), ""),
    }
    return {heading: cell(text, style) for heading, (text, style) in texts.items()}


def _narrowed(columns: list[Column], shortest: int, look: Look) -> list[Column]:
    """With a shorter model, if all of it is too much."""
    if look.width is None or width(columns) <= look.width:
        return columns
    excess = width(columns) - look.width
    return [
        column._replace(least=max(min(shortest, column.least), column.least - excess))
        if column.heading == "Model"
        else column
        for column in columns
    ]


def _with_bars(
    gpus: list[dict[str, Any]], rows: list[tuple[int, Row]], columns: list[Column], look: Look
) -> tuple[list[tuple[int, Row]], list[Column]]:
    """A bar in front of memory and utilization, if the terminal is wide."""
    barred = [column.heading for column in columns if column.heading in _BARS]
    if not look.bars or look.width is None or not barred:
        return rows, columns
    size = min(_BAR_MOST, (look.width - width(columns) - _NOTES_ROOM) // len(barred) - 1)
    if size < _BAR_LEAST:
        return rows, columns
    for gpu, (_, row) in zip(gpus, rows, strict=True):
        for heading, share in zip(_BARS, (health.memory_share(gpu), health.share(gpu.get("utilization"))), strict=True):
            if heading in barred and share is not None and row.cells[heading]:
                style = row.cells[heading][0].style or "good"
                (number,) = row.cells[heading]
                least = next(column.least for column in columns if column.heading == heading)
                text = number._replace(text=f" {number.text:>{least}}")
                row.cells[heading] = (*bar(share, size, style, look), text)
    wider = [
        column._replace(least=column.least + size + 1) if column.heading in barred else column for column in columns
    ]
    return rows, wider


def _unwell_row(card: Unwell, look: Look) -> Row:
    return Row({"GPU": cell(str(card.place), "bad")}, cell(look.clean(card.text()), "bad"))


# -- what is written after a GPU, or below them all --------------------------------------------------------------------


def _note(notes: Sequence[health.Note], look: Look) -> Line:
    spans: list[Span] = []
    for note in notes:
        spans += (Span("; " if spans else ""), Span(look.clean(note.text), note.style))
    return tuple(spans)


def _width(notes: Sequence[health.Note], look: Look) -> int:
    return width_of(_note(notes, look))


def _below(notes: list[tuple[int, list[health.Note]]], look: Look) -> list[Line]:
    """Each note with the GPUs that have it: all of a host are often throttled alike."""
    having: dict[health.Note, list[int]] = {}
    for index, own in notes:
        for note in own:
            having.setdefault(note, []).append(index)
    wrapped: list[Line] = []
    for note, indices in having.items():
        wrapped += look.wrap(look.clean(f"GPU {health.ranges(indices)}: {note.text}"), note.style)
    return wrapped


# -- --wide and --processes --------------------------------------------------------------------------------------------


def _identities(gpus: list[dict[str, Any]], unwell: list[Unwell], look: Look) -> list[Line]:
    rows = [(gpu.get("index", -1), gpu, "") for gpu in gpus]
    rows += [(card.place, card.known, "bad") for card in unwell]
    keys = {"GPU": "index", "PCI address": "pci", "Serial": "serial", "UUID": "uuid", "VBIOS": "vbios"}
    table = [
        Row({heading: cell(look.clean(known.get(key, "")), style) for heading, key in keys.items()})
        for _, known, style in sorted(rows, key=lambda row: row[0])
    ]
    return lay_out(filled(WIDE_COLUMNS, table), table, look)


def _processes(document: dict[str, Any], gpus: list[dict[str, Any]], look: Look) -> list[Line]:
    rows = [
        Row(_process(gpu, entry, look))
        for gpu in gpus
        for entry in sorted(gpu.get("process_list", ()), key=lambda entry: -int(entry.get("memory", 0)))
    ]
    all_lines = lay_out(filled(PROCESS_COLUMNS, rows), rows, look) if rows else []
    unlisted = [gpu for gpu in gpus if "process_list" not in gpu]
    if not rows and not unlisted and not any(gpu.get("processes") for gpu in gpus):
        all_lines += look.wrap("No processes.")
    for gpu in gpus:
        more = gpu.get("processes", 0) - len(gpu.get("process_list", ()))
        if more > 0 and gpu not in unlisted:
            all_lines += look.wrap(f"GPU {gpu.get('index')}: {more} more. The document has only the largest processes.")
    if unlisted:
        indices = health.ranges([gpu.get("index", -1) for gpu in unlisted])
        errors = {error["metric"]: error["message"] for error in document["collector"]["errors"]}
        why = errors.get("process_list", "the driver does not report it, or the document was made without it")
        all_lines += look.wrap(look.clean(f"GPU {indices}: no list of processes: {why}. Run nvidia-smi."), "warn")
    return all_lines


def _process(gpu: dict[str, Any], entry: dict[str, Any], look: Look) -> dict[str, Line]:
    texts = {
        "GPU": number(gpu, "index", ""),
        "PID": entry.get("pid", ""),
        "User": entry.get("user", ""),
        "Type": entry.get("type", ""),
        "Memory": number(entry, "memory", "MiB", _MIB),
        "SM": number(entry, "utilization", "%"),
        "MIG": entry.get("mig", ""),
        "Container": entry.get("pod", entry.get("container", entry.get("unit", ""))),
        "Job": entry.get("job", ""),
        "Name": " ".join(str(entry[key]) for key in ("name", "arguments") if key in entry),
    }
    return {heading: cell(look.clean(text)) for heading, text in texts.items()}
