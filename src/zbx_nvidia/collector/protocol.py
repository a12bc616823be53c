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


class Done(NamedTuple):
    """A process that reads once has read everything."""


Message = Failed | Broken | Stuck | HostRead | GpuRead | AllAsked | Done

_KINDS = (Failed, Broken, Stuck, HostRead, GpuRead, AllAsked, Done)


class Sender:
    """Sends messages, one at a time, from any thread.

    Args:
        pipe: Where they go.
    """

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._turn = threading.Lock()

    def send(self, message: tuple[Any, ...]) -> None:
        """Send one message, or drop it when nobody reads any more.

        The process goes on then: to leave while another thread is in a call would end that call as SIGKILL does.

        Args:
            message: A `Message`, or one of the kinds that the receiver was given.
        """
        data = marshal.dumps((type(message).__name__, _plain(message)))
        data = len(data).to_bytes(_LENGTH, "big") + data
        with self._turn, contextlib.suppress(BrokenPipeError):
            while data:
                data = data[os.write(self._pipe, data) :]


class Receiver:
    """Makes messages of what comes out of a pipe.

    Args:
        kinds: NamedTuples that may come, apart from those of `Message`.
    """

    def __init__(self, *kinds: type[Any]) -> None:
        self._received = bytearray()
        self._kinds: dict[str, type[Any]] = {kind.__name__: kind for kind in (*_KINDS, *kinds)}

    def feed(self, data: bytes) -> list[Any]:
        """The messages that are complete with this piece of data."""
        self._received += data
        messages = []
        while len(self._received) >= _LENGTH:
            end = _LENGTH + int.from_bytes(self._received[:_LENGTH], "big")
            if len(self._received) < end:
                break
            kind, fields = marshal.loads(self._received[_LENGTH:end])  # noqa: S302  written by our own child
            messages.append(_named(self._kinds[kind], fields))
            del self._received[:end]
        return messages


def _plain(value: Any) -> Any:  # noqa: ANN401  anything that marshal knows
    if isinstance(value, (tuple, list)):
        return tuple(_plain(part) for part in value)
    if isinstance(value, dict):
        # Most are the readings of a GPU: numbers and texts.
        return {key: part if isinstance(part, (int, float, str)) else _plain(part) for key, part in value.items()}
    return value


def _named(kind: type[Any], fields: tuple[Any, ...]) -> Any:  # noqa: ANN401  one of its kinds
    message = kind._make(fields)
    if isinstance(message, GpuRead):
        return message._replace(gpu=_gpu(message.gpu))
    if isinstance(message, HostRead):
        problems = [Problem(*problem) for problem in message.problems]
        return message._replace(slots=list(message.slots), problems=problems)
    return message


def _gpu(fields: tuple[Any, ...]) -> Gpu:
    gpu = Gpu(*fields)
    return gpu._replace(
        parts={entity: tuple(Part(*part) for part in parts) for entity, parts in gpu.parts.items()},
        problems=tuple(Problem(*problem) for problem in gpu.problems),
    )
