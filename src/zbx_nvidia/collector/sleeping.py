"""GPUs that sleep: what is known of them without NVML, which would wake them.

No module of the driver's that needs NVML: the process that writes the service's document imports this one.
"""

# Without `from __future__ import annotations`: typing would compile the text of each annotation at each poll.
from typing import Any

from zbx_nvidia.catalog.metrics import GPU_METRICS
from zbx_nvidia.catalog.sampled import SAMPLED_METRICS
from zbx_nvidia.catalog.status import OK
from zbx_nvidia.collector.document import ASLEEP, Collection, Gpu
from zbx_nvidia.kernel import bus

# What a GPU that sleeps has: of nothing else is it known whether the card can serve it.
_KNOWN = frozenset({"index", "name", "uuid", "pci", "asleep"})


def asleep(place: int, sleeper: bus.Sleeper) -> Gpu:
    """A GPU that sleeps.

    Args:
        place: Its place in the driver's order.
        sleeper: Who it is.
    """
    known = {"uuid": sleeper.uuid, "name": sleeper.name}
    readings = {"index": place, "pci": sleeper.pci, "asleep": 1, **{key: text for key, text in known.items() if text}}
    readers = dict.fromkeys(metric.reader for metric in (*GPU_METRICS, *SAMPLED_METRICS))
    return Gpu(place, ASLEEP, readings, {}, tuple(reader for reader in readers if reader not in _KNOWN), ())


def everyone() -> list[Gpu]:
    """All GPUs of the driver, if every one of them sleeps; else none."""
    return [asleep(place, sleeper) for place, sleeper in enumerate(bus.all_sleep())]


def on_bus() -> dict[str, Any]:
    """What the bus shows of the GPUs, by catalog key."""
    there = bus.bound()
    return {} if there is None else {"gpus_bound": len(there), "gpus_asleep": sum(map(bus.sleeps, there))}


def collected(gpus: list[Gpu], mode: str, duration: float) -> Collection:
    """What is found where every GPU sleeps.

    Args:
        gpus: As of `everyone`.
        mode: `oneshot` or `resident`.
        duration: In s.
    """
    return Collection(OK, "", on_bus(), len(gpus), gpus, bus.slots(), [], {}, mode, duration)
