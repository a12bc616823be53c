"""Which card has which index, as one worker has seen it.

The worker has a thread for each index, and each handle and event set of it belongs to the card that had the index when
it was made. If a card is plugged in or removed, indices move. Then only a new worker reads and watches the right cards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zbx_nvidia.collector.document import Gpu
    from zbx_nvidia.collector.protocol import HostRead


class Cards:
    """The cards that one worker has found.

    Attributes:
        moved: What is different from when the worker began, in words; "" if nothing is.
    """

    def __init__(self) -> None:
        self.moved = ""
        self._uuids: dict[int, str] = {}
        self._count: int | None = None
        self._slots: Sequence[str] = ()

    def counted(self, host: HostRead) -> None:
        """The driver has counted its GPUs, and the kernel module has listed its slots."""
        if self._count is None:
            self._count, self._slots = host.gpu_count, host.slots
        elif host.gpu_count != self._count:
            self.moved = f"the driver counts {host.gpu_count} GPUs, no longer {self._count}"
        elif host.slots != self._slots:
            # A process that had NVML open before was seen to keep its old count.
            self.moved = "the kernel module has bound other GPUs"

    def read(self, gpu: Gpu) -> None:
        """A GPU was read."""
        uuid = gpu.readings.get("uuid")
        if uuid is None:
            return
        known = self._uuids.setdefault(gpu.position, uuid)
        if known != uuid and not self.moved:
            self.moved = f"GPU {gpu.position} is {uuid}, no longer {known}"
