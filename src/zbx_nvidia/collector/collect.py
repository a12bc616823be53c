"""Reading the driver: the only module of the agent path that calls NVML, and it runs in a child only.

A call can hang in the kernel for ever, and a process that hangs so cannot be ended. So what is known is handed over
piece by piece, one thread per GPU, through the function `send`; whoever listens leaves when it has waited enough.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from zbx_nvidia.catalog.entities import ENTITIES
from zbx_nvidia.catalog.metrics import GPU_METRICS, GPU_READERS, STATIC
from zbx_nvidia.catalog.sampled import BUFFERED_METRICS, BUFFERED_READERS, GPM_READERS, SERVICE
from zbx_nvidia.catalog.status import NO_PERMISSION
from zbx_nvidia.collector import sleeping
from zbx_nvidia.collector.document import Gpu, Part, Problem
from zbx_nvidia.collector.job import MAP as JOB_MAP
from zbx_nvidia.collector.processes import Listing, names
from zbx_nvidia.collector.protocol import AllAsked, Failed, GpuRead, HostRead
from zbx_nvidia.collector.ranges import Ranges
from zbx_nvidia.driver import system
from zbx_nvidia.driver.calls import Absent, Lost, NotNow, NvmlError, Refused, spent
from zbx_nvidia.driver.device import Device
from zbx_nvidia.kernel import bus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zbx_nvidia.catalog.metrics import Metric
    from zbx_nvidia.collector.protocol import Message

    Send = Callable[[Message], None]

# Readers that say who a card is, not how it is: a card that still answers these and nothing else is sick.
_IDENTITY = frozenset(GPU_READERS) - {metric.reader for metric in GPU_METRICS if metric.storage != STATIC}
# What the machine has, whichever card is asked.
_OF_THE_MACHINE = frozenset({"confidential", "asleep"})
_NOT_FOUND = 6  # NVML_ERROR_NOT_FOUND
_SAYS_NOTHING = _IDENTITY | _OF_THE_MACHINE
_SEVERAL_FANS = 2
HEAD_START = 0.02  # s; reading a GPU that is awake takes 1 to 5 ms


def _by_reader(metrics: tuple[Metric, ...]) -> dict[str, list[Metric]]:
    rows: dict[str, list[Metric]] = {}
    for metric in metrics:
        rows.setdefault(metric.reader, []).append(metric)
    return rows


_METRICS = _by_reader((*GPU_METRICS, *BUFFERED_METRICS))
_ROWS = {metric.key: metric for metric in (*GPU_METRICS, *BUFFERED_METRICS)}
# What must be asked of the card: not a setting, nor what the driver itself counts.
_STATES = frozenset(
    metric.reader
    for metric in _ROWS.values()
    if metric.reader not in _SAYS_NOTHING
    and metric.group not in {"modes", "processes", "process_list", "jobs", "sessions"}
)
_RANGES = Ranges(_ROWS.values())
_PART_RANGES = {entity.name: Ranges(entity.metrics) for entity in ENTITIES}
_PART_METRICS = {
    entity.name: _by_reader(tuple(metric for metric in entity.metrics if metric.reader not in GPM_READERS))
    for entity in ENTITIES
}

_HOST_READERS: dict[str, Callable[[], str]] = {
    "driver_version": system.driver_version,
    "nvml_version": system.nvml_version,
    "cuda_version": system.cuda_version,
}


def collect(send: Send, read: Callable[[int], Gpu] | None = None) -> None:
    """Read everything once.

    Args:
        send: Called from several threads: with `Failed` when NVML does not start; else with `HostRead`, a `GpuRead` for
            each GPU, and `AllAsked`.
        read: How one GPU is read: `read_once` unless said otherwise.
    """
    if gpus := sleeping.everyone():
        # To open NVML would wake them.
        send(HostRead(0, sleeping.on_bus(), len(gpus), bus.slots(), [], (0.0, 0.0)))
        for gpu in gpus:
            send(GpuRead(0, gpu))
        send(AllAsked(0, {}))
        return
    try:
        system.start()
        versions, problems = read_host()
        count, awake, others = told_apart(system.gpu_count())
    except NvmlError as error:
        send(Failed(error.code, error.message))
        return
    send(HostRead(0, {**versions, **sleeping.on_bus()}, count, bus.slots(), problems, spent()))
    for gpu in others:
        send(GpuRead(0, gpu))
    send(AllAsked(0, names(_read_all(awake, send, read))))


def _read_all(awake: Sequence[int], send: Send, read: Callable[[int], Gpu] | None) -> set[int]:
    """Read these GPUs, as of `collect`; returns whose their processes are."""
    uids: set[int] = set()
    pending = deque(awake)

    def read_pending() -> None:
        with contextlib.suppress(IndexError):  # there is none left
            while True:
                _report(pending.popleft(), send, read, uids)

    threads = []
    while pending:
        threads.append(threading.Thread(target=read_pending, daemon=True))
        try:
            threads[-1].start()
        except RuntimeError:
            # The limit of the user's processes is reached: one after the other, when all others are read.
            threads.pop()
            break
        # One thread reads them all, as long as each answers at once: eight that wrestle for Python's lock at each call
        # cost twice the CPU time. One that does not answer is not waited for: another thread goes on with the next.
        left = len(pending) + 1
        while threads[-1].is_alive() and len(pending) < left:
            left = len(pending)
            threads[-1].join(HEAD_START)
    for thread in threads:
        thread.join()
    read_pending()
    return uids


def told_apart(count: int) -> tuple[int, Sequence[int], list[Gpu]]:
    """Which GPUs can be read without waking another.

    Args:
        count: GPUs that the driver counts.

    Returns:
        The number of GPUs, the indices of those to read, and the others: those that sleep. While one sleeps, also those
        that the driver gives no index of.
    """
    sleepers = {sleeper.pci: sleeper for sleeper in bus.sleepers()}
    if not sleepers:
        return count, range(count), []
    awake: list[int] = []
    others: dict[str, NvmlError | bus.Sleeper] = dict(sleepers)
    for pci in bus.slots():
        if pci in sleepers:
            continue
        try:
            awake.append(system.index_at(pci))
        except NvmlError as error:
            if error.code != _NOT_FOUND:  # it is not counted either
                others[pci] = error
    # The driver's order is that of the addresses.
    places = (place for place in itertools.count() if place not in awake)
    unread = []
    for place, (pci, known) in zip(places, sorted(others.items(), key=lambda other: other[0]), strict=False):
        if isinstance(known, bus.Sleeper):
            unread.append(sleeping.asleep(place, known))
        else:
            unread.append(_unwell(place, _state_of(known), {"pci": pci}, known))
    return max([count, *(gpu.position + 1 for gpu in unread)]), sorted(awake), unread


def read_once(index: int) -> Gpu:
    """Read one GPU that nobody looks at between two polls: what the driver remembers is all that is known of then.

    Args:
        index: Its place in the driver's order.

    Returns:
        As `read_gpu`.
    """
    gpu = read_gpu(index, (*GPU_READERS, *BUFFERED_READERS))
    gpu = with_instances(
        gpu, lambda instances: tuple(part._replace(lacks=(*part.lacks, SERVICE)) for part in instances)
    )
    return gpu._replace(lacks=(*gpu.lacks, SERVICE))


def with_instances(gpu: Gpu, change: Callable[[tuple[Part, ...]], tuple[Part, ...]]) -> Gpu:
    """A GPU with its MIG instances changed, if it is known which there are."""
    if "mig" not in gpu.parts:
        return gpu
    return gpu._replace(parts={**gpu.parts, "mig": change(gpu.parts["mig"])})


def read_gpu(
    index: int,
    readers: tuple[str, ...] = GPU_READERS,
    *,
    arguments: bool = False,
    job_map: str = JOB_MAP,
    parts: bool = True,
) -> Gpu:
    """Read one GPU.

    Args:
        index: Its place in the driver's order.
        readers: What is read of the GPU itself.
        arguments: Whether to include the arguments of the programs that use it.
        job_map: As of `Listing`.
        parts: Whether to read its parts: fans, MIG instances, vGPUs.

    Returns:
        What it answered; lost, sick and refused are states, not exceptions.
    """
    readings: dict[str, Any] = {}
    lacks: list[str] = []
    problems: list[Problem] = []
    alive = False
    try:
        device = Device(index)
        listing = Listing(device, arguments=arguments, job_map=job_map)
        for reader in readers:
            try:
                values = getattr(listing if reader in _LISTING else device, reader)()
            except Absent:
                lacks.append(reader)
            except NotNow:
                continue
            except Refused as error:
                problems.append(Problem("", reader, error.code, error.message))
            except NvmlError:
                raise
            except Exception as error:  # noqa: BLE001  a fault of ours in one reading must not silence the others
                problems.append(Problem("", reader, 0, fault(error)))
            else:
                _add(readings, _METRICS[reader], values)
                alive = alive or reader not in _SAYS_NOTHING
        _RANGES.let_in(readings, problems)
        parts_by_entity = _read_parts(device, problems) if parts else {}
    except NvmlError as error:
        return _unwell(index, _state_of(error), readings, error)
    if "uuid" not in readings or (problems and not alive) or _mostly_fails(readings, problems):
        return Gpu(index, "sick", _identity(readings), {}, (), _of(readings, problems))
    return Gpu(index, "ok", readings, parts_by_entity, tuple(lacks), _of(readings, problems))


def _mostly_fails(readings: dict[str, Any], problems: list[Problem]) -> bool:
    """Whether more readers fail than answer, of those that say how a card is.

    A card whose system processor (GSP) is dead was seen to fail 46 readings, while the driver still answered for its
    ECC counters. A refusal for lack of permission, or a value that cannot be, is not a sick card's.
    """
    failed = {problem.metric for problem in problems if problem.code not in {0, NO_PERMISSION.code}} & _STATES
    answered = {_ROWS[key].reader for key in readings} & _STATES
    return len(failed) > len(answered)


def sick(index: int, error: Exception) -> Gpu:
    """A GPU in whose reading we have failed."""
    return Gpu(index, "sick", {}, {}, (), (Problem("", "", 0, fault(error)),))


def uids_of(gpu: Gpu) -> set[int]:
    """Whose its processes and jobs are."""
    known = (*gpu.readings.get("process_list", ()), *gpu.readings.get("job", ()))
    return {entry["uid"] for entry in known if "uid" in entry}


def read_links(index: int) -> Gpu:
    """Read the NVLinks of one GPU, one by one.

    Args:
        index: Its place in the driver's order.

    Returns:
        Its identity and its links.
    """
    readings: dict[str, Any] = {}
    problems: list[Problem] = []
    links: tuple[Part, ...] = ()
    try:
        device = Device(index)
        for reader in _LINK_IDENTITY:
            with contextlib.suppress(Absent):
                _add(readings, _METRICS[reader], getattr(device, reader)())
        links = _links(device, problems)
    except Refused as error:
        if error.code == NO_PERMISSION.code and "uuid" not in readings:
            return _unwell(index, "refused", readings, error)
        problems.append(Problem("", "links", error.code, error.message))
    except Lost as error:
        return _unwell(index, "lost", readings, error)
    state = "ok" if "uuid" in readings else "sick"
    return Gpu(index, state, readings, {"link": links}, (), _of(readings, problems))


def _report(index: int, send: Send, read: Callable[[int], Gpu] | None, uids: set[int]) -> None:
    try:
        gpu = (read or read_once)(index)
        gpu = gpu._replace(spent=spent())
    except Exception as error:  # noqa: BLE001  a fault in reading one GPU must not silence the others
        gpu = sick(index, error)
    uids.update(uids_of(gpu))
    send(GpuRead(0, gpu))


def read_host() -> tuple[dict[str, str], list[Problem]]:
    """Versions by catalog key, and what of them could not be read. `sleeping.on_bus` has what may change."""
    versions: dict[str, str] = {}
    problems: list[Problem] = []
    for key, read in _HOST_READERS.items():
        try:
            versions[key] = read()
        except Absent:
            continue
        except Refused as error:
            problems.append(Problem("", key, error.code, error.message))
    return versions, problems


def _add(readings: dict[str, Any], metrics: list[Metric], values: Any) -> None:  # noqa: ANN401  as the rows say
    """Add what a reader has returned: the value of the one row, or a NamedTuple of those of several."""
    for metric in metrics:
        readings[metric.key] = getattr(values, metric.field) if metric.field else values


# Readers that need more than the driver.
_LISTING = frozenset({"process_list", "process_oldest", "job"})
# What the rows of its links need to know of a GPU.
_LINK_IDENTITY = ("uuid", "name")


def _read_parts(device: Device, problems: list[Problem]) -> dict[str, tuple[Part, ...]]:
    parts = {}
    for entity, read in _PARTS.items():
        try:
            parts[entity] = read(device, problems)
        except Absent:
            parts[entity] = ()
        except Refused as error:
            # Not none: which there are is not known, and nothing is concluded.
            problems.append(Problem("", entity, error.code, error.message))
    return parts


def _fans(device: Device, problems: list[Problem]) -> tuple[Part, ...]:
    fans = device.fans()
    if len(fans) < _SEVERAL_FANS:
        return ()
    return tuple(_part("fan", fan, {"{#FAN}": str(fan.place)}, problems) for fan in fans)


def _mig(device: Device, problems: list[Problem]) -> tuple[Part, ...]:
    """The instances; one that goes while it is read is left out, and the next poll sees what is there."""
    parts = []
    for instance in device.mig_instances():
        with contextlib.suppress(NvmlError):
            macros = {
                "{#MIG}": instance.uuid(),
                "{#GI}": str(instance.gpu_instance()),
                "{#CI}": str(instance.compute_instance()),
            }
            part = _part("mig", instance, macros, problems)
            parts.append(part._replace(macros={**macros, "{#PROFILE}": part.readings.get("profile", "unknown")}))
    return tuple(parts)


def _vgpus(device: Device, problems: list[Problem]) -> tuple[Part, ...]:
    """The vGPUs of a host; one that goes while it is read is left out."""
    parts = []
    for vgpu in device.vgpu_instances():
        with contextlib.suppress(NvmlError):
            macros = {"{#VGPU}": vgpu.uuid()}
            part = _part("vgpu", vgpu, macros, problems)
            known = {"{#VM}": "vm", "{#PROFILE}": "profile"}
            named = {macro: part.readings.get(key, "unknown") for macro, key in known.items()}
            parts.append(part._replace(macros={**macros, **named}))
    return tuple(parts)


# Entity -> what reads those of a GPU.
_PARTS: dict[str, Callable[[Device, list[Problem]], tuple[Part, ...]]] = {"fan": _fans, "mig": _mig, "vgpu": _vgpus}


def _links(device: Device, problems: list[Problem]) -> tuple[Part, ...]:
    try:
        links = device.links()
    except Absent:
        return ()
    for link, readings in enumerate(links):
        _PART_RANGES["link"].let_in(readings, problems, f"link {link} ")
    readers = _PART_METRICS["link"]
    return tuple(
        Part({"{#LINK}": str(link)}, readings, tuple(reader for reader in readers if reader not in readings))
        for link, readings in enumerate(links)
    )


def _part(entity: str, thing: object, macros: dict[str, str], problems: list[Problem]) -> Part:
    """Read a part of a GPU by the readers of its entity."""
    readings: dict[str, Any] = {}
    lacks = []
    for reader, metrics in _PART_METRICS[entity].items():
        try:
            _add(readings, metrics, getattr(thing, reader)())
        except Absent:
            lacks.append(reader)
        except NvmlError as error:
            if entity == "fan":  # others come and go, and their errors with them
                problems.append(Problem("", f"{entity} {macros['{#FAN}']} {reader}", error.code, error.message))
    _PART_RANGES[entity].let_in(readings, problems, f"{entity} ")
    return Part(macros, readings, tuple(lacks))


def _identity(readings: dict[str, Any]) -> dict[str, Any]:
    return {
        metric.key: readings[metric.key]
        for metric in GPU_METRICS
        if metric.reader in _IDENTITY and metric.key in readings
    }


def _of(readings: dict[str, Any], problems: list[Problem]) -> tuple[Problem, ...]:
    """The problems with the GPU's name on them: some came up before its UUID was known."""
    return tuple(problem._replace(gpu=readings.get("uuid", "")) for problem in problems)


def fault(error: Exception) -> str:
    """A fault of ours in words."""
    return f"collector: {type(error).__name__}: {error}"


def _state_of(error: NvmlError) -> str:
    """What a GPU is that answers with this error."""
    if isinstance(error, Lost):
        return "lost"
    return "refused" if error.code == NO_PERMISSION.code else "sick"


def _unwell(index: int, state: str, readings: dict[str, Any], error: NvmlError) -> Gpu:
    known = _identity(readings)
    return Gpu(index, state, known, {}, (), (Problem(known.get("uuid", ""), "", error.code, error.message),))
