"""XID errors from the driver, which reports them only to a process that waits when they occur."""

from __future__ import annotations

import ctypes

import pynvml

from zbx_nvidia.driver import native
from zbx_nvidia.driver.calls import Absent, call, text

_AT_ONCE = 0  # ms that the driver waits for an event


class XidWatch:
    """The XID errors of one GPU, from now on.

    Each GPU has an event set of its own: with a lost GPU in the set, every wait for the set fails.

    Args:
        index: Its place in the driver's order.

    Attributes:
        uuid: Of the GPU.

    Raises:
        Absent: The card reports no XIDs.
        Refused: No permission, or an error without a reason.
        Lost: The device is gone.
    """

    def __init__(self, index: int) -> None:
        handle = call(pynvml.nvmlDeviceGetHandleByIndex, index)
        self.uuid = text(pynvml.nvmlDeviceGetUUID, handle)
        self._source = handle
        self._event = pynvml.c_nvmlEventData_t()
        if not call(pynvml.nvmlDeviceGetSupportedEventTypes, handle) & pynvml.nvmlEventTypeXidCriticalError:
            raise Absent(0, "no XID events")
        self._set = call(pynvml.nvmlEventSetCreate)
        try:
            call(pynvml.nvmlDeviceRegisterEvents, handle, pynvml.nvmlEventTypeXidCriticalError, self._set)
        except BaseException:
            self.close()
            raise

    def next(self) -> int | None:
        """Code of the next XID; None if none has come. nvmlEventSetWait_v2. `source` then knows whose it is.

        Raises:
            Refused: The driver does not allow further questions.
            Lost: The device is gone.
        """
        # Not pynvml's own function: it makes an error of each call in vain, which takes longer than all else here.
        code = call(native.result, "nvmlEventSetWait_v2", self._set, ctypes.byref(self._event), _AT_ONCE)
        if code == pynvml.NVML_ERROR_TIMEOUT:
            return None
        call(native.check, code)
        # The device lies in the memory of the event: the next one must not be written over it.
        event, self._event = self._event, pynvml.c_nvmlEventData_t()
        self._source = event.device
        return int(event.eventData)

    def source(self) -> str:
        """UUID of the card that the last XID came from. It is another one if cards have moved since.

        nvmlDeviceGetUUID, which may hang: the card has just reported an error.
        """
        return text(pynvml.nvmlDeviceGetUUID, self._source)

    def close(self) -> None:
        """Free the event set. nvmlEventSetFree."""
        call(pynvml.nvmlEventSetFree, self._set)
