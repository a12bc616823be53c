"""The document: what a collection found, as the one JSON object that everything in Zabbix is taken from.

docs/document.schema.json describes it. Absent values are absent: never 0, never null, never the last known one.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from zbx_nvidia import __version__
from zbx_nvidia.catalog.metrics import FAN_METRICS, GPU_METRICS, GROUPS, MIG_METRICS
from zbx_nvidia.catalog.sampled import SAMPLED_METRICS

if TYPE_CHECKING:
    from collections.abc import Callable

    from zbx_nvidia.catalog.status import Status

VERSION = 1

# Zabbix 6.0 agents read no larger file, and MySQL stores no larger text.
LIMIT = 65_536
# A driver gone mad must not fill the document with its complaints.
MAX_ERRORS = 40
_CHAR = 255  # characters that Zabbix keeps of a CHAR value
_SHORT = 8  # characters of a UUID in names


class Problem(NamedTuple):
    """A reading that gave no value for no good reason.

    Attributes:
        gpu: UUID; "" for the host.
        metric: Reader of the catalogue.
        code: NVML's return code.
        message: NVML's words.
    """

    gpu: str
    metric: str
    code: int
    message: str


class Mig(NamedTuple):
    """A MIG instance.

    Attributes:
        uuid: Its UUID.
        gpu_instance: Number of its GPU instance.
        compute_instance: Number of its compute instance within that.
        readings: Values by catalogue key.
    """

    uuid: str
    gpu_instance: int
    compute_instance: int
    readings: dict[str, Any]


class Gpu(NamedTuple):
    """What one GPU answered.

    Attributes:
        position: Its place in the driver's order (NVML's index).
        state: `ok`, `lost` (the driver has lost it) or `sick` (it answers every reading with an error).
        readings: Values by catalogue key, in base units. Void unless `ok`, but for what identifies the card.
        fans: Speed of each fan, in %; empty for cards with fewer than two.
        mig: Its MIG instances.
        lacks: Readers that the card cannot serve.
        problems: Readings in error.
    """

    position: int
    state: str
    readings: dict[str, Any]
    fans: tuple[int, ...]
    mig: tuple[Mig, ...]
    lacks: tuple[str, ...]
    problems: tuple[Problem, ...]


class Collection(NamedTuple):
    """Everything a collection found.

    Attributes:
        status: How it ended.
        detail: What to add to the status' own words; "" for nothing.
        host: Versions, by catalogue key.
        gpu_count: GPUs that the driver counts; None when it was not asked.
        gpus: Those that have answered, in any order.
        slots: PCI addresses that the kernel module has bound.
        problems: Readings of the host in error.
        mode: `oneshot` or `resident`.
        duration: In s.
    """

    status: Status
    detail: str
    host: dict[str, str]
    gpu_count: int | None
    gpus: list[Gpu]
    slots: list[str]
    problems: list[Problem]
    mode: str
    duration: float


def build(found: Collection, clock: Callable[[], float] = time.time) -> dict[str, Any]:
    """Put the document together.

    Returns:
        The document as an object; `render` makes text of it.
    """
    gpus = sorted(found.gpus, key=lambda gpu: gpu.position)
    healthy = [gpu for gpu in gpus if gpu.state == "ok"]
    problems = [*found.problems, *(problem for gpu in gpus for problem in gpu.problems)]
    document: dict[str, Any] = {
        "version": VERSION,
        "timestamp": int(clock()),
        "collector": {
            "version": __version__,
            "mode": found.mode,
            "duration": round(found.duration, 4),
            "error_count": len(problems),
            "errors": [
                problem._replace(message=_words(problem.message))._asdict() for problem in problems[:MAX_ERRORS]
            ],
        },
        "status": {
            "code": found.status.code,
            "name": found.status.name,
            "message": _words(". ".join(part for part in (found.detail, found.status.remedy) if part)),
        },
    }
    if found.gpu_count is None:
        document["gpus"] = {}
        document["discovery"] = {}
        return document

    silent = _silent(found)
    lost = [_describe(gpu) for gpu in gpus if gpu.state == "lost"]
    sick = [_describe(gpu) for gpu in gpus if gpu.state == "sick"] + [f"GPU {index}: no answer" for index in silent]
    document["host"] = {
        **found.host,
        "gpu_count": found.gpu_count,
        "gpus_lost": len(lost),
        "lost": _words("; ".join([*lost, *_empty_slots(found, gpus)] if lost else lost)),
        "gpus_sick": len(sick),
        "sick": _words("; ".join(sick)),
    }
    if not silent:
        # A card that merely has not answered yet must not count as gone: without `presence` nothing is concluded.
        document["presence"] = {
            gpu.readings["uuid"]: 1 for gpu in gpus if gpu.state != "lost" and "uuid" in gpu.readings
        }
    document["gpus"] = {gpu.readings["uuid"]: gpu.readings for gpu in healthy}
    fans = {f"{gpu.readings['uuid']}/{fan}": {"speed": speed} for gpu in healthy for fan, speed in enumerate(gpu.fans)}
    if fans:
        document["fans"] = fans
    mig = {instance.uuid: instance.readings for gpu in healthy for instance in gpu.mig}
    if mig:
        document["mig"] = mig
    if not silent:
        document["discovery"] = {
            "gpus": [_gpu_row(gpu) for gpu in healthy],
            "fans": [_fan_row(gpu, fan) for gpu in healthy for fan in range(len(gpu.fans))],
            "mig": [_mig_row(gpu, instance) for gpu in healthy for instance in gpu.mig],
        }
    else:
        document["discovery"] = {}
    return document


def render(document: dict[str, Any], limit: int = LIMIT) -> str:
    """The document as compact ASCII.

    Where it would not fit, whole groups of metrics are left out, the last of the catalogue first, and
    `collector.errors` says so.
    """
    text = _text(document)
    for group in reversed(GROUPS):
        if len(text) <= limit:
            break
        _shed(document, group.name)
        text = _text(document)
    return text


def _words(text: str) -> str:
    """Zabbix cuts a text of this kind, so that the end is better lost on purpose."""
    return text if len(text) <= _CHAR else text[: _CHAR - 3] + "..."


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _shed(document: dict[str, Any], group: str) -> None:
    keys = [metric.key for metric in (*GPU_METRICS, *SAMPLED_METRICS) if metric.group == group]
    if not keys and group not in {metric.group for metric in (*FAN_METRICS, *MIG_METRICS)}:
        return
    for readings in document["gpus"].values():
        for key in keys:
            readings.pop(key, None)
    for parts, metrics in (("fans", FAN_METRICS), ("mig", MIG_METRICS)):
        if any(metric.group == group for metric in metrics):
            document.pop(parts, None)
            # Without its rows the rule stays as it is: what was discovered is not given up for want of room.
            document["discovery"].pop(parts, None)
    collector = document["collector"]
    collector["errors"] = collector["errors"][: MAX_ERRORS // 2]
    collector["errors"].insert(0, Problem("", group, 0, "left out: the document would be too large")._asdict())
    collector["error_count"] += 1


def _silent(found: Collection) -> list[int]:
    """Indices of the GPUs that have not answered when the collection ended."""
    answered = {gpu.position for gpu in found.gpus}
    return [index for index in range(found.gpu_count or 0) if index not in answered]


def _describe(gpu: Gpu) -> str:
    """A lost or sick GPU in words: what of its identity could still be read."""
    known = [gpu.readings[key] for key in ("name", "pci", "uuid", "serial") if key in gpu.readings]
    # A card without a UUID cannot be told from another, and no error came with it.
    reason = gpu.problems[-1].message if gpu.problems else "no UUID"
    return f"GPU {gpu.position}: " + ", ".join([*known, reason])


def _empty_slots(found: Collection, gpus: list[Gpu]) -> list[str]:
    """Slots that the kernel module has bound and no GPU answers for: that is where the lost ones sit."""
    answered = {str(gpu.readings["pci"]).upper() for gpu in gpus if "pci" in gpu.readings}
    return [f"slot {slot}" for slot in found.slots if slot not in answered]


def short(uuid: str) -> str:
    """The part of a UUID that stands in names."""
    return uuid.removeprefix("GPU-")[:_SHORT]


def model(name: str) -> str:
    """A product name as it stands in names: without what every card of this maker says."""
    return name.removeprefix("NVIDIA ").removeprefix("GeForce ")


def _row(gpu: Gpu) -> dict[str, str]:
    """What the discovery rows of a GPU and of its parts have in common.

    Every row carries every macro that a condition of the template names; a missing one is an error of the rule.
    `{#ONE}` is a constant for conditions on user macros alone. `{#VERSION}` makes rows differ after an update, so that
    new prototypes get their items at once although unchanged rows are discarded.
    """
    uuid = gpu.readings["uuid"]
    return {
        "{#UUID}": uuid,
        "{#SHORT}": short(uuid),
        "{#INDEX}": str(gpu.position),
        "{#NAME}": gpu.readings.get("name", "unknown"),
        "{#MODEL}": model(gpu.readings.get("name", "unknown")),
        "{#ONE}": "1",
        "{#VERSION}": __version__,
    }


def _gpu_row(gpu: Gpu) -> dict[str, str]:
    # Delimited on both sides, so that ",fan," cannot match inside another token.
    return {
        **_row(gpu),
        "{#PCI}": gpu.readings.get("pci", ""),
        "{#SERIAL}": gpu.readings.get("serial", ""),
        "{#LACKS}": f",{','.join(gpu.lacks)},",
    }


def _fan_row(gpu: Gpu, fan: int) -> dict[str, str]:
    return {**_row(gpu), "{#FAN}": str(fan), "{#LACKS}": ",,"}


def _mig_row(gpu: Gpu, instance: Mig) -> dict[str, str]:
    return {
        **_row(gpu),
        "{#MIG}": instance.uuid,
        "{#PROFILE}": str(instance.readings.get("profile", "unknown")),
        "{#GI}": str(instance.gpu_instance),
        "{#CI}": str(instance.compute_instance),
        "{#LACKS}": ",,",
    }


def failed(status: Status, detail: str, duration: float, mode: str = "oneshot") -> Collection:
    """A collection that ended before the driver was asked for anything."""
    return Collection(status, detail, {}, None, [], [], [], mode, duration)
