"""Messages from a process that reads the driver to one that does not, and the pipe that carries them.

A message is a length, then its kind and fields by marshal, which is in the interpreter already: both ends belong to one
program and one Python. marshal knows no NamedTuple, so plain tuples travel and the receiver rebuilds the named ones.
"""

# Without `from __future__ import annotations`: typing would compile the text of each annotation at each poll.
import contextlib
import marshal
import os
import threading
from typing import Any, NamedTuple

from zbx_nvidia.collector.document import Gpu, Part, Problem

CHUNK = 65_536  # bytes of one read
NUMBER, IDLE = 4, 1 << 31  # bytes of a round's number for the worker, and its bit that says not to sample the GPUs
_LENGTH = 4  # bytes before each message


class Failed(NamedTuple):
    """NVML does not answer. The sender ends.

    Attributes:
        code: NVML's return code.
        message: NVML's words.
    """

    code: int
    message: str


class Broken(NamedTuple):
    """The collector itself failed. The sender ends.

    Attributes:
        message: Type and text of the exception.
    """

    message: str


class Stuck(NamedTuple):
    """An earlier collection still holds the lock: nothing was read."""


class Ready(NamedTuple):
    """The worker has NVML open.

    Attributes:
        version: Of the package that the worker runs.
    """

    version: str


class HostRead(NamedTuple):
    """What holds for the host as a whole.

    Attributes:
        number: Of the round; 0 for a process that reads once.
        versions: Of driver, NVML and CUDA, and GPUs on the bus, by catalog key.
        gpu_count: GPUs that the driver counts.
        slots: PCI addresses that the kernel module has bound.
        problems: Readings of the host in error.
        spent: Time in the driver's calls, in s: by the clock, and of a processor.
    """

    number: int
    versions: dict[str, Any]
    gpu_count: int
    slots: list[str]
    problems: list[Problem]
    spent: tuple[float, float]


class GpuRead(NamedTuple):
    """One GPU was read.

    Attributes:
        number: Of the round; 0 for a process that reads once.
        gpu: What it answered.
    """

    number: int
    gpu: Gpu


class AllAsked(NamedTuple):
    """Every GPU of the round was asked.

    Attributes:
        number: Of the round; 0 for a process that reads once.
        users: Names of the users of processes, as far as known, by number.
    """

    number: int
    users: dict[int, str]


class XidReport(NamedTuple):
    """What the watcher of one GPU reports.

    Attributes:
        position: Of the GPU, in the driver's order.
        uuid: Of the GPU; "" until it is known.
        able: Whether the card reports XIDs; None until it is known, and while it cannot be asked.
        refusal: Code and message of why it cannot be asked, unless the card is lost.
        codes: (code, count, first, last) of each XID since the last report, times by the monotonic clock.
    """

    position: int
    uuid: str
    able: bool | None
    refusal: tuple[int, str] | None
    codes: tuple[tuple[int, int, float, float], ...]


class XidsSeen(NamedTuple):
    """Reports of watchers: before each `HostRead`, and whenever there is an XID."""

    reports: tuple[XidReport, ...]


class Done(NamedTuple):
    """A process that reads once has read everything."""


Message = Failed | Broken | Stuck | Ready | HostRead | GpuRead | AllAsked | XidsSeen | Done

_KINDS: tuple[type[Any], ...] = (Failed, Broken, Stuck, Ready, HostRead, GpuRead, AllAsked, XidsSeen, Done)
_NUMBER_OF = {kind: number for number, kind in enumerate(_KINDS)}


class Sender:
    """Sends messages, one at a time, from any thread.

    Args:
        pipe: Where they go.
    """

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._turn = threading.Lock()

    def send(self, message: Message) -> None:
        """Send one message, or drop it when nobody reads any more.

        The process goes on then: to leave while another thread is in a call would end that call as SIGKILL does.
        """
        data = marshal.dumps((_NUMBER_OF[type(message)], _plain(message)))
        data = len(data).to_bytes(_LENGTH, "big") + data
        with self._turn, contextlib.suppress(BrokenPipeError):
            while data:
                data = data[os.write(self._pipe, data) :]


class Receiver:
    """Makes messages of what comes out of a pipe."""

    def __init__(self) -> None:
        self._received = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are complete with this piece of data."""
        self._received += data
        messages = []
        while len(self._received) >= _LENGTH:
            end = _LENGTH + int.from_bytes(self._received[:_LENGTH], "big")
            if len(self._received) < end:
                break
            number, fields = marshal.loads(self._received[_LENGTH:end])  # noqa: S302  written by our own child
            messages.append(_named(_KINDS[number], fields))
            del self._received[:end]
        return messages


def _plain(value: Any) -> Any:  # noqa: ANN401  anything that marshal knows
    if isinstance(value, (tuple, list)):
        return tuple(_plain(part) for part in value)
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return value


def _named(kind: type[Any], fields: tuple[Any, ...]) -> Message:
    message: Message = kind._make(fields)
    if isinstance(message, GpuRead):
        return message._replace(gpu=_gpu(message.gpu))
    if isinstance(message, HostRead):
        problems = [Problem(*problem) for problem in message.problems]
        return message._replace(slots=list(message.slots), problems=problems)
    if isinstance(message, XidsSeen):
        return XidsSeen(tuple(XidReport(*report) for report in message.reports))
    return message


def _gpu(fields: tuple[Any, ...]) -> Gpu:
    gpu = Gpu(*fields)
    return gpu._replace(
        parts={entity: tuple(Part(*part) for part in parts) for entity, parts in gpu.parts.items()},
        problems=tuple(Problem(*problem) for problem in gpu.problems),
    )
