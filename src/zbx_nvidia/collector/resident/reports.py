"""Messages of the service's worker alone, beside those of `collector.protocol`."""

from __future__ import annotations

from typing import NamedTuple

from zbx_nvidia.collector.protocol import Message, Receiver


class Ready(NamedTuple):
    """The worker has NVML open.

    Attributes:
        version: Of the package that the worker runs.
    """

    version: str


class XidReport(NamedTuple):
    """What the watcher of one GPU reports: before each `HostRead`, and whenever there is an XID.

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


WorkerMessage = Message | Ready | XidReport


def receiver() -> Receiver:
    """A receiver of all that a worker sends."""
    return Receiver(Ready, XidReport)
