"""The document: what a collection found, as the one JSON object that everything in Zabbix is taken from.

docs/document.schema.json describes it. Absent values are absent: never 0, never null, never the last known one.
"""

# Without `from __future__ import annotations`: typing would compile the text of each annotation at each poll.
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from zbx_nvidia import __version__
from zbx_nvidia.catalog.entities import DOCUMENT, ENTITIES, LINKS_DOCUMENT, Entity
from zbx_nvidia.catalog.metrics import BETWEEN_JOBS
from zbx_nvidia.catalog.status import ADVICE, HOST_BUSY, NO_PERMISSION, OK, RELEASED, Status

if TYPE_CHECKING:
    from collections.abc import Callable

VERSION = 1

# A broken driver must not fill the document with its errors.
MAX_ERRORS = 40
# The largest processes of the host and the users who hold most: of a machine with hundreds no more would fit.
MAX_PROCESSES = 16
MAX_USERS = 32
LONGEST_CHAR = 255  # characters that Zabbix keeps of a CHAR value
# While these say that it is not the driver's fault, or that all is well.
_ANSWERS = (OK, RELEASED, HOST_BUSY)
ASLEEP = "asleep"  # the state of a GPU that was not read, so that it is not woken
_GONE = frozenset({"lost", "refused"})
_OF_PROC = frozenset({"uid", "age", "started"})  # of an entry of a process list: for what follows from it
# Allowed in a JSONPath's quotes, beside letters and digits: 'DOMAIN\\user' is not.
_QUOTABLE = frozenset("_.@$+-")
_UNKNOWN = ("utilization",)  # what a user's row lacks where the driver does not say who uses what
_HELD = 10  # % of a GPU's memory: above it somebody holds the GPU (the default of {$NVIDIA.IDLE.MEMORY})
_IMEX = 5  # NVML_GPU_RECOVERY_ACTION_RECOVER_IMEX_DOMAIN
_OF_APPLICATIONS = frozenset({"13", "31"})  # XID codes
_SHORT = 8  # characters of a UUID in names


class Problem(NamedTuple):
    """A reading that gave no value for no good reason.

    Attributes:
        gpu: UUID; "" for the host.
        metric: Reader of the catalog.
        code: NVML's return code.
        message: NVML's words.
    """

    gpu: str
    metric: str
    code: int
    message: str


class Part(NamedTuple):
    """A part of a GPU that has items of its own: an `Entity` of the catalog.

    Attributes:
        macros: What its discovery row has beyond that of the GPU.
        readings: Values by catalog key.
        lacks: Readers that it cannot serve.
    """

    macros: dict[str, str]
    readings: dict[str, Any]
    lacks: tuple[str, ...]


class Gpu(NamedTuple):
    """What one GPU answered.

    Attributes:
        position: Its place in the driver's order (NVML's index).
        state: `ok`, `lost` (the driver has lost it), `sick` (it answers every reading with an error), `refused` (this
            user or container may not use it) or `asleep`.
        readings: Values by catalog key, in base units. Void unless `ok`, but for what identifies the card.
        parts: Its parts by the name of their entity; without an entity whose parts the driver refuses to list.
        lacks: Readers that the card cannot serve.
        problems: Readings in error.
        spent: What the driver took for it, in s: by the clock, and of a processor.
    """

    position: int
    state: str
    readings: dict[str, Any]
    parts: dict[str, tuple[Part, ...]]
    lacks: tuple[str, ...]
    problems: tuple[Problem, ...]
    spent: tuple[float, float] = (0.0, 0.0)


class Collection(NamedTuple):
    """Everything a collection found.

    Attributes:
        status: How it ended.
        detail: What to add to the status' own words; "" for nothing.
        host: Versions and other readings of the host, by catalog key.
        gpu_count: GPUs that the driver counts; None when it was not asked.
        gpus: Those that have answered, in any order.
        slots: PCI addresses that the kernel module has bound.
        problems: Readings of the host in error.
        users: Names of the users of processes, as far as known, by number.
        mode: `oneshot` or `resident`.
        duration: In s.
        spent: What the driver took for the host as a whole, as of `Gpu`; None when nothing of that is known.
        remarks: What is known of GPUs that have not answered, by position.
    """

    status: Status
    detail: str
    host: dict[str, Any]
    gpu_count: int | None
    gpus: list[Gpu]
    slots: list[str]
    problems: list[Problem]
    users: dict[int, str]
    mode: str
    duration: float
    spent: tuple[float, float] | None = None
    remarks: dict[int, str] | None = None


def build(collection: Collection, clock: "Callable[[], float]" = time.time) -> dict[str, Any]:
    """Put the document together.

    Returns:
        The document as an object; `render` makes text of it.
    """
    gpus = distinct(collection.gpus)
    healthy = [gpu for gpu in gpus if gpu.state == "ok"]
    problems = [*collection.problems, *(problem for gpu in gpus for problem in gpu.problems)]
    document: dict[str, Any] = {
        "version": VERSION,
        "timestamp": int(clock()),
        "collector": {
            "version": __version__,
            "mode": collection.mode,
            "duration": round(collection.duration, 4),
            **_spent(collection),
            # A card that is lost or sick is a matter of its own, and would drown all others. What is forbidden stays
            # forbidden, such as the memory of the whole GPU to a container with one MIG instance. But a service that
            # may not see XIDs must not be silent about it.
            "error_count": sum(
                problem.code != NO_PERMISSION.code or problem.metric == "xid"
                for problem in (*collection.problems, *(problem for gpu in healthy for problem in gpu.problems))
            ),
            "left_out": "",
            "errors": [problem._replace(message=cut(problem.message))._asdict() for problem in problems[:MAX_ERRORS]],
        },
        "status": {
            # Also while some GPUs have not answered, while the driver is released on purpose, and on a busy host.
            "driver": int(collection.status in _ANSWERS or bool(collection.gpus)),
            "code": collection.status.code,
            "name": collection.status.name,
            "message": cut(". ".join(part for part in (collection.detail, _remedy(collection)) if part)),
        },
    }
    if collection.gpu_count is None:
        document["gpus"] = {}
        document["discovery"] = {}
        return document

    silent, remarks = _silent(collection), collection.remarks or {}
    lost = [_describe(gpu) for gpu in gpus if gpu.state == "lost"]
    sick = [_describe(gpu) for gpu in gpus if gpu.state == "sick"] + [
        f"GPU {index}: " + ", ".join(filter(None, ("no answer", remarks.get(index))))
        for index in (silent if collection.status is not HOST_BUSY else ())
    ]
    document["host"] = {
        # Of switches nothing is known but by a service that reads the kernel log. The alarm on it needs a value: one
        # that was looked at while the item was in error is not looked at again before there is one.
        "sxid_recent": "",
        **collection.host,
        "gpu_count": collection.gpu_count,
        "gpus_lost": len(lost),
        "lost": cut("; ".join([*lost, *_empty_slots(collection, gpus)] if lost else lost)),
        "gpus_sick": len(sick),
        "sick": cut("; ".join(sick)),
        "gpus_refused": sum(gpu.state == "refused" for gpu in gpus),
        **_totals([gpu.readings for gpu in healthy]),
    }
    sleepers = [gpu for gpu in gpus if gpu.state == ASLEEP]
    if not silent and all("uuid" in gpu.readings for gpu in sleepers):
        # A card that merely has not answered yet must not count as gone, nor one that sleeps and is not known by name:
        # without `presence` nothing is concluded.
        document["presence"] = {
            gpu.readings["uuid"]: 1 for gpu in gpus if gpu.state not in _GONE and "uuid" in gpu.readings
        }
        document["host"]["gpus_present"] = len(document["presence"])
    document["gpus"] = {}
    shown_gpus = [gpu for gpu in gpus if gpu.state == "ok" or (gpu.state == ASLEEP and "uuid" in gpu.readings)]
    document["discovery"] = {} if silent else {"gpus": _rows([_gpu_row(gpu, healthy) for gpu in shown_gpus])}
    listed = [entry for gpu in healthy for entry in gpu.readings.get("process_list", ())]
    shown = {id(entry) for entry in sorted(listed, key=memory, reverse=True)[:MAX_PROCESSES]}
    for gpu in shown_gpus:
        readings = document["gpus"][gpu.readings["uuid"]] = dict(gpu.readings)
        if "process_list" in readings:
            readings["process_list"] = [
                _entry(entry, collection.users) for entry in gpu.readings["process_list"] if id(entry) in shown
            ]
        if "job" in readings:
            readings["job"] = cut(BETWEEN_JOBS.join(job_words(job, collection.users) for job in gpu.readings["job"]))
    users = _users(healthy, collection.users)
    for entity in ENTITIES:
        if entity.document == DOCUMENT:
            there = users if entity.name == "user" else _parts(entity, healthy)
            if there:
                document[entity.section] = {address: part.readings for address, (_, part) in there.items()}
            known = entity.name == "user" or all(entity.name in gpu.parts for gpu in healthy)
            if known and not silent:
                document["discovery"][entity.section] = _rows([_part_row(gpu, part) for gpu, part in there.values()])
    return document


def distinct(gpus: list[Gpu]) -> list[Gpu]:
    """The GPUs in the driver's order. Of two with one UUID the second is sick: the document has room for one."""
    first: dict[str, int] = {}
    ordered = []
    for gpu in sorted(gpus, key=lambda gpu: gpu.position):
        uuid = gpu.readings.get("uuid")
        if uuid is None or gpu.state != "ok" or first.setdefault(uuid, gpu.position) == gpu.position:
            ordered.append(gpu)
            continue
        known: dict[str, Any] = {
            key: gpu.readings[key] for key in ("name", "pci", "serial", "uuid") if key in gpu.readings
        }
        problem = Problem("", "", 0, f"same UUID as GPU {first[uuid]}, its readings are left out")
        ordered.append(gpu._replace(state="sick", readings=known, parts={}, lacks=(), problems=(problem,)))
    return ordered


def _remedy(collection: Collection) -> str:
    """The words of the status, unless the driver answers but has not all GPUs."""
    bound = collection.host.get("gpus_bound")
    if collection.status is not OK or collection.gpu_count is None:
        return collection.status.remedy
    asleep = sum(gpu.state == ASLEEP for gpu in collection.gpus)
    if asleep and asleep == collection.gpu_count:
        return "Every GPU sleeps, and is not woken: there are no readings until a program uses one"
    if bound is not None and collection.gpu_count < bound:
        return (
            f"The driver counts {collection.gpu_count} of {bound} GPUs that are bound to it. "
            "Check dmesg for NVRM lines. Compare nvidia-smi -L with lspci -k -d 10de:"
        )
    return collection.status.remedy if collection.gpu_count else "The driver answers, but has no GPU"


def _totals(gpus: list[dict[str, Any]]) -> dict[str, float]:
    """What the healthy GPUs of a host are together; without what no GPU reports."""

    def values(key: str) -> list[float]:
        return [readings[key] for readings in gpus if key in readings]

    totals: dict[str, float] = {}
    if headrooms := values("temperature_headroom"):
        totals["temperature_headroom"] = min(headrooms)
    if utilizations := values("utilization"):
        totals["utilization"] = round(sum(utilizations) / len(utilizations), 2)
        totals["gpus_held_idle"] = sum(
            readings.get("utilization") == 0 and readings.get("memory_used_percent", 0) > _HELD for readings in gpus
        )
    if powers := values("power"):
        totals["power"] = round(sum(powers), 3)
    if actions := values("recovery_action"):
        totals["gpus_imex"] = actions.count(_IMEX)
    if recent := [str(readings["xid_recent"]).split(",") for readings in gpus if "xid_recent" in readings]:
        totals["xid_application_gpus"] = sum(not _OF_APPLICATIONS.isdisjoint(codes) for codes in recent)
    return totals


def build_links(collection: Collection, clock: "Callable[[], float]" = time.time) -> dict[str, Any]:
    """Put the document of the NVLinks together.

    Returns:
        The document as an object; `render` makes text of it.
    """
    (entity,) = (entity for entity in ENTITIES if entity.document == LINKS_DOCUMENT)
    whole = build(collection, clock)
    gpus = [gpu for gpu in distinct(collection.gpus) if gpu.state == "ok" and gpu.parts.get(entity.name)]
    document = {part: whole[part] for part in ("version", "timestamp", "collector", "status")}
    # Lists, not addresses: 144 times a UUID would be a tenth of all that fits.
    document[entity.section] = {
        gpu.readings["uuid"]: [part.readings for part in gpu.parts[entity.name]] for gpu in gpus
    }
    # Without every GPU's rows none: a rule takes what it does not get for gone.
    complete = collection.gpu_count is not None and not _silent(collection)
    rows = [_part_row(gpu, part) for gpu in gpus for part in gpu.parts[entity.name]]
    document["discovery"] = {entity.section: _rows(rows)} if complete else {}
    return document


def _parts(entity: Entity, gpus: list[Gpu]) -> dict[str, tuple[Gpu | None, Part]]:
    """The parts of all GPUs by their address in the document."""
    return {
        address(entity, {"{#UUID}": gpu.readings["uuid"], **part.macros}): (gpu, part)
        for gpu in gpus
        for part in gpu.parts.get(entity.name, ())
    }


def address(entity: Entity, macros: dict[str, str]) -> str:
    """Where the document has the readings of a part."""
    place = entity.address
    for macro, value in macros.items():
        place = place.replace(macro, value)
    return place


def _users(gpus: list[Gpu], names: dict[int, str]) -> dict[str, tuple[Gpu | None, Part]]:
    """Those who hold most GPU memory, by name."""
    held: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    for gpu in gpus:
        for entry in gpu.readings.get("process_list", ()):
            if "uid" in entry:
                held.setdefault(_user(entry, names), []).append((gpu.position, entry))
    readings = {user: _sums(own) for user, own in held.items()}
    largest = sorted(held, key=lambda user: (-int(readings[user]["memory"]), user))[:MAX_USERS]
    return {
        user: (None, Part({"{#USER}": user}, readings[user], () if "utilization" in readings[user] else _UNKNOWN))
        for user in largest
    }


def _sums(held: list[tuple[int, dict[str, Any]]]) -> dict[str, Any]:
    """What a user's processes come to, each with the GPU that it is on."""
    entries = [entry for _, entry in held]
    # In part it would be too low: a divided GPU does not say it of its processes.
    used = {"utilization": sum(entry["utilization"] for entry in entries)} if all(map(_tells, entries)) else {}
    return {
        "memory": sum(map(memory, entries)),
        "processes": len(entries),
        "gpus": len({gpu for gpu, _ in held}),
        **used,
    }


def _tells(entry: dict[str, Any]) -> bool:
    return "utilization" in entry


def _user(entry: dict[str, Any], names: dict[int, str]) -> str:
    """A user's name, or number, as a JSONPath can have it between quotes."""
    name = names.get(entry["uid"], str(entry["uid"]))
    return "".join(
        character if (character.isascii() and character.isalnum()) or character in _QUOTABLE else "_"
        for character in name
    )


def memory(entry: dict[str, Any]) -> int:
    """What a process holds of a GPU, in B, as far as it is known."""
    return int(entry.get("memory", 0))


def _entry(entry: dict[str, Any], names: dict[int, str]) -> dict[str, Any]:
    """An entry of a process list as the document has it."""
    user = {"user": _user(entry, names)} if "uid" in entry else {}
    return {**{key: value for key, value in entry.items() if key not in _OF_PROC}, **user}


def job_words(job: dict[str, Any], names: dict[int, str]) -> str:
    """A job in words: `4711 training (alice)`."""
    user = f"({_user(job, names)})" if "uid" in job else ""
    return " ".join(filter(None, (job.get("id"), job.get("name"), user)))


def cut(text: str) -> str:
    """Zabbix cuts a text of this kind, so that the end is better lost on purpose."""
    return text if len(text) <= LONGEST_CHAR else text[: LONGEST_CHAR - 3] + "..."


def _spent(collection: Collection) -> dict[str, float]:
    """What the driver took of all that."""
    if collection.spent is None:
        return {}
    parts = [collection.spent, *(gpu.spent for gpu in collection.gpus)]
    return {
        "driver_time": round(sum(time for time, _ in parts), 4),
        "driver_cpu": round(sum(cpu for _, cpu in parts), 4),
    }


def _silent(collection: Collection) -> list[int]:
    """Indices of the GPUs that have not answered when the collection ended."""
    answered = {gpu.position for gpu in collection.gpus}
    return [index for index in range(collection.gpu_count or 0) if index not in answered]


def _describe(gpu: Gpu) -> str:
    """A lost or sick GPU in words: what of its identity could still be read."""
    known = [gpu.readings[key] for key in ("name", "pci", "uuid", "serial") if key in gpu.readings]
    # A card without a UUID cannot be distinguished from another, and no error came with it.
    reason = gpu.problems[-1].message if gpu.problems else "no UUID"
    advice = ADVICE.get(gpu.problems[-1].code, "") if gpu.problems else ""
    return f"GPU {gpu.position}: " + ", ".join(filter(None, [*known, reason, advice]))


def _empty_slots(collection: Collection, gpus: list[Gpu]) -> list[str]:
    """Slots that the kernel module has bound and no GPU answers for: that is where the lost ones sit."""
    answered = {str(gpu.readings["pci"]).upper() for gpu in gpus if "pci" in gpu.readings}
    return [f"slot {slot}" for slot in collection.slots if slot not in answered]


def short(uuid: str) -> str:
    """The part of a UUID that stands in names."""
    return uuid.removeprefix("GPU-")[:_SHORT]


def model(name: str) -> str:
    """A product name as it stands in names: without what every card of this maker says."""
    return name.removeprefix("NVIDIA ").removeprefix("GeForce ")


def _row(gpu: Gpu) -> dict[str, str]:
    """What the discovery rows of a GPU and of its parts have in common.

    Every row carries every macro that a condition of the template names; a missing one is an error of the rule.
    `{#ONE}` is a constant for conditions on user macros alone.
    """
    uuid = gpu.readings["uuid"]
    return {
        "{#UUID}": uuid,
        "{#SHORT}": short(uuid),
        "{#INDEX}": str(gpu.position),
        "{#NAME}": gpu.readings.get("name", "unknown"),
        "{#ONE}": "1",
    }


def _rows(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """The rows of a rule, the first with `{#VERSION}`.

    So they differ after an update, and new prototypes get their items at once although unchanged rows are discarded.
    """
    return [{**row, "{#VERSION}": __version__} for row in rows[:1]] + rows[1:]


def _slot(gpu: Gpu, gpus: list[Gpu]) -> str:
    """Where the card sits, in words; "" if neither its chassis nor its number among the modules is known."""
    parts = [
        f"{word} {gpu.readings[key]}"
        for key, word in (("chassis_serial", "chassis"), ("chassis_slot", "slot"), ("tray", "tray"))
        if key in gpu.readings
    ]
    module = gpu.readings.get("module_id")
    # GeForce cards report module 1, each of them, and a T4 module 0; those have no baseboard with numbers.
    alone = sum(other.readings.get("module_id") == module for other in gpus) == 1
    if module and alone and "serial" in gpu.readings:
        parts.append(f"module {module}")
    return ", ".join(parts)


def _gpu_row(gpu: Gpu, gpus: list[Gpu]) -> dict[str, str]:
    pci, serial, slot = gpu.readings.get("pci", ""), gpu.readings.get("serial", ""), _slot(gpu, gpus)
    # Delimited on both sides, so that ",fan," cannot match inside another token.
    return {
        **_row(gpu),
        "{#MODEL}": model(gpu.readings.get("name", "unknown")),
        "{#PCI}": pci,
        "{#SERIAL}": serial or "none",
        "{#SLOT}": slot or "none",
        # For sentences: without what is not known.
        "{#PLACE}": ", ".join(filter(None, (pci, slot, serial and f"serial number {serial}"))),
        "{#LACKS}": f",{','.join(gpu.lacks)},",
    }


def _part_row(gpu: Gpu | None, part: Part) -> dict[str, str]:
    own = _row(gpu) if gpu else {"{#ONE}": "1"}
    return {**own, **part.macros, "{#LACKS}": f",{','.join(part.lacks)},"}


def failed(status: Status, detail: str, duration: float, mode: str = "oneshot") -> Collection:
    """A collection that ended before the driver was asked for anything."""
    return Collection(status, detail, {}, None, [], [], [], {}, mode, duration)
