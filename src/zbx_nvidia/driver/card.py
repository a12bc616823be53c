"""The base of all readers of a GPU: its handle, its field values, and the values that were already read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import pynvml

from zbx_nvidia.driver import fields
from zbx_nvidia.driver.calls import call, clean, number

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

T = TypeVar("T")


class Card:
    """A GPU with a handle, for one round of readings in which each shared value is read only once.

    Args:
        index: Its place in the driver's order.

    Raises:
        Lost: The driver counts the GPU but has lost it.
        Refused: The driver gives no handle.
    """

    def __init__(self, index: int) -> None:
        self._index = index
        # Without persistence mode this call wakes the card: 1 to 3 s.
        self._handle = call(pynvml.nvmlDeviceGetHandleByIndex, index)
        self._known: dict[Hashable, Any] = {}

    def virtualization_mode(self) -> int:
        """NVML_GPU_VIRTUALIZATION_MODE_*: 0 none, 1 passed through, 2 vGPU, 3 and 4 host of vGPUs.

        nvmlDeviceGetVirtualizationMode. nvidia-smi -q: Virtualization Mode.
        """
        return self._once("virtualization", lambda: number(call(pynvml.nvmlDeviceGetVirtualizationMode, self._handle)))

    def _address(self) -> str:
        return self._once("address", lambda: clean(call(pynvml.nvmlDeviceGetPciInfo_v3, self._handle).busId))

    def _field(self, field: fields.CardField[T]) -> T:
        return field.among(self._once("fields", lambda: fields.ask_card(self._handle)))

    def _once(self, what: Hashable, read: Callable[[], T]) -> T:
        """Call `read` for the first of several readers that need its value."""
        if what not in self._known:
            self._known[what] = read()
        value: T = self._known[what]
        return value
