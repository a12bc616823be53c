"""What `state` takes and gives: events, which have happened, and actions, which the supervisor is to carry out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from zbx_nvidia.collector.document import Collection, Gpu
    from zbx_nvidia.collector.resident.config import Config
    from zbx_nvidia.collector.resident.kernel_log import LogLine

# -- events: what has happened ---------------------------------------------------------------------------------------


class WorkerStarted(NamedTuple):
    """A worker process runs.

    Attributes:
        arguments: With which it was started, as of `worker_arguments`.
    """

    arguments: tuple[str | float, ...]


class WorkerBlocked(NamedTuple):
    """No worker was started: one of an earlier service still hangs in the driver."""


class WorkerNotStarted(NamedTuple):
    """No worker could be started.

    Attributes:
        detail: Why.
    """

    detail: str


class AllAsleep(NamedTuple):
    """No worker was started: every GPU sleeps, and would be woken.

    Attributes:
        gpus: All of them.
    """

    gpus: list[Gpu]


class WorkerClosed(NamedTuple):
    """The worker has closed its pipe: it is about to end."""


class WorkerEnded(NamedTuple):
    """The worker process is gone.

    Attributes:
        how: Its signal or exit code, in words.
    """

    how: str


class HostChecked(NamedTuple):
    """The answer to `CheckHost`.

    Attributes:
        lines: New errors of the kernel log.
        log_reads: Whether the kernel log can be read.
        log_complaint: Why it cannot, although it is wanted; "" otherwise.
        library_replaced: Whether the driver's library is another than the worker has loaded.
        asleep: All GPUs, if every one of them sleeps; else none.
    """

    lines: list[LogLine]
    log_reads: bool
    log_complaint: str
    library_replaced: bool
    asleep: list[Gpu]


class Reload(NamedTuple):
    """The configuration was read again."""

    config: Config


class Release(NamedTuple):
    """Somebody asks to release the driver.

    Attributes:
        seconds: For how long; 0 to resume.
        is_free: Whether no worker holds its lock: neither ours nor one of an earlier service.
    """

    seconds: float
    is_free: bool


Event = (
    WorkerStarted
    | WorkerBlocked
    | WorkerNotStarted
    | AllAsleep
    | WorkerClosed
    | WorkerEnded
    | HostChecked
    | Reload
    | Release
)


# -- actions: what is to be done -------------------------------------------------------------------------------------


class StartWorker(NamedTuple):
    """Start a worker; an event says how that went."""

    arguments: tuple[str | float, ...]


class EndWorker(NamedTuple):
    """Close the worker's standard input: it releases the driver and ends. It is never killed: that froze GPUs."""


class CheckHost(NamedTuple):
    """Read the kernel log, look at the driver's library and for GPUs that sleep; `HostChecked` is the answer."""


class AskWorker(NamedTuple):
    """Start a round.

    Attributes:
        number: Of the round.
        idle: Whether the GPUs are not to be sampled until the next.
    """

    number: int
    idle: bool


class Write(NamedTuple):
    """Write the document."""

    collection: Collection


class Answer(NamedTuple):
    """Answer everybody who waits for the driver to be released."""

    text: str


class Log(NamedTuple):
    """Write a line to the service's log."""

    text: str


class Exit(NamedTuple):
    """End the service."""

    code: int


Action = StartWorker | EndWorker | CheckHost | AskWorker | Write | Answer | Log | Exit
