"""Reading the driver: the only module of the agent path that calls NVML, and it runs in a child only.

A call can hang in the kernel for ever, and a process that hangs so cannot be ended. So what is known is handed over
piece by piece, one thread per GPU, through the function `send`; whoever listens leaves when it has waited enough.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

from zbx_nvidia.agent.document import Gpu, Mig, Problem
from zbx_nvidia.catalog.metrics import FAN_METRICS, GPU_METRICS, GPU_READERS, MIG_METRICS
from zbx_nvidia.catalog.sampled import SAMPLED_READERS
from zbx_nvidia.driver import system
from zbx_nvidia.driver.calls import Absent, Lost, NvmlError, Refused
from zbx_nvidia.driver.device import Device

if TYPE_CHECKING:
    from collections.abc import Callable

    from zbx_nvidia.catalog.metrics import Metric

    Send = Callable[[str, Any], None]

# Readers that say who a card is, not how it is: a card that still answers these and nothing else is sick.
_IDENTITY = frozenset(metric.reader for metric in GPU_METRICS if metric.group == "inventory")
_SEVERAL_FANS = 2
HEAD_START = 0.02  # s; reading a GPU that is awake takes 1 to 5 ms


def _by_reader(metrics: tuple[Metric, ...]) -> dict[str, list[Metric]]:
    return {
        reader: [metric for metric in metrics if metric.reader == reader]
        for reader in dict.fromkeys(metric.reader for metric in metrics)
    }


_METRICS = _by_reader(GPU_METRICS)
_MIG_METRICS = _by_reader(MIG_METRICS)

_HOST_READERS: dict[str, Callable[[], str]] = {
    "driver_version": system.driver_version,
    "nvml_version": system.nvml_version,
    "cuda_version": system.cuda_version,
}


def collect(send: Send) -> None:
    """Read everything once.

    Args:
        send: Called from several threads, with a kind and its value: ("failed", (code, message)) when NVML does not
            start; else ("host", (versions, gpu_count, slots, problems)), then ("gpu", Gpu) for each.
    """
    try:
        system.start()
        versions, problems = read_host()
        count = system.gpu_count()
    except NvmlError as error:
        send("failed", (error.code, error.message))
        return
    send("host", (versions, count, system.slots(), problems))
    threads = [threading.Thread(target=_report, args=(index, send), daemon=True) for index in range(count)]
    for thread in threads:
        thread.start()
        # One that answers at once is done before the next begins: eight that wrestle for Python's lock at each call
        # cost twice the CPU time. One that does not is left to itself.
        thread.join(HEAD_START)
    for thread in threads:
        thread.join()


def read_gpu(index: int) -> Gpu:
    """Read one GPU.

    Args:
        index: Its place in the driver's order.

    Returns:
        What it answered; lost and sick are states, not exceptions.
    """
    readings: dict[str, Any] = {}
    lacks: list[str] = []
    problems: list[Problem] = []
    alive = False
    try:
        device = Device(index)
        for reader in GPU_READERS:
            try:
                values = getattr(device, reader)()
            except Absent:
                lacks.append(reader)
            except Refused as error:
                problems.append(Problem("", reader, error.code, error.message))
            except NvmlError:
                raise
            except Exception as error:  # noqa: BLE001  a fault of ours in one reading must not silence the others
                problems.append(Problem("", reader, 0, _fault(error)))
            else:
                readings.update(_named(_METRICS[reader], values))
                alive = alive or reader not in _IDENTITY
        fans, mig = _fans(device), _mig(device)
    except Lost as error:
        return _unwell(index, "lost", readings, error)
    except NvmlError as error:
        return _unwell(index, "sick", readings, error)
    if "uuid" not in readings or (problems and not alive):
        return Gpu(index, "sick", _identity(readings), (), (), (), _of(readings, problems))
    return Gpu(index, "ok", readings, fans, mig, tuple(lacks), _of(readings, problems))


def sick(index: int, error: Exception) -> Gpu:
    """A GPU in whose reading we have failed."""
    return Gpu(index, "sick", {}, (), (), (), (Problem("", "", 0, _fault(error)),))


def _report(index: int, send: Send) -> None:
    try:
        gpu = read_gpu(index)
        # What needs more than one look is not to be had in one.
        gpu = gpu._replace(lacks=(*gpu.lacks, *SAMPLED_READERS))
    except Exception as error:  # noqa: BLE001  a fault in reading one GPU must not silence the others
        gpu = sick(index, error)
    send("gpu", gpu)


def read_host() -> tuple[dict[str, str], list[Problem]]:
    """Versions by catalogue key, and what of them could not be read."""
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


def _named(metrics: list[Metric], values: Any) -> dict[str, Any]:  # noqa: ANN401  a value or a NamedTuple, as the row says
    return {metric.key: getattr(values, metric.field) if metric.field else values for metric in metrics}


def _fans(device: Device) -> tuple[int, ...]:
    try:
        speeds = getattr(device, FAN_METRICS[0].reader)()
    except (Absent, Refused):
        return ()
    return tuple(speeds) if len(speeds) >= _SEVERAL_FANS else ()


def _mig(device: Device) -> tuple[Mig, ...]:
    """The instances; one that goes while it is read is left out, and the next poll sees what is there."""
    found = []
    try:
        for instance in device.mig_instances():
            readings: dict[str, Any] = {}
            for reader, metrics in _MIG_METRICS.items():
                with contextlib.suppress(NvmlError):
                    readings.update(_named(metrics, getattr(instance, reader)()))
            with contextlib.suppress(NvmlError):
                found.append(Mig(instance.uuid(), instance.gpu_instance(), instance.compute_instance(), readings))
    except (Absent, Refused):
        return ()
    return tuple(found)


def _identity(readings: dict[str, Any]) -> dict[str, Any]:
    return {
        metric.key: readings[metric.key]
        for metric in GPU_METRICS
        if metric.reader in _IDENTITY and metric.key in readings
    }


def _of(readings: dict[str, Any], problems: list[Problem]) -> tuple[Problem, ...]:
    """The problems with the GPU's name on them: some came up before its UUID was known."""
    return tuple(problem._replace(gpu=readings.get("uuid", "")) for problem in problems)


def _fault(error: Exception) -> str:
    return f"collector: {type(error).__name__}: {error}"


def _unwell(index: int, state: str, readings: dict[str, Any], error: NvmlError) -> Gpu:
    known = _identity(readings)
    return Gpu(index, state, known, (), (), (), (Problem(known.get("uuid", ""), "", error.code, error.message),))
