"""XID errors from the driver, which reports them only to a process that waits when they occur."""

from __future__ import annotations

import pynvml

from zbx_nvidia.driver.calls import Absent, Refused, call, text


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
        if not call(pynvml.nvmlDeviceGetSupportedEventTypes, handle) & pynvml.nvmlEventTypeXidCriticalError:
            raise Absent(0, "no XID events")
        self._set = call(pynvml.nvmlEventSetCreate)
        try:
            call(pynvml.nvmlDeviceRegisterEvents, handle, pynvml.nvmlEventTypeXidCriticalError, self._set)
        except BaseException:
            self.close()
            raise

    def wait(self, milliseconds: int) -> int | None:
        """Code of the next XID; None if none came in time. nvmlEventSetWait_v2.

        Raises:
            Refused: The driver does not allow further waiting.
            Lost: The device is gone.
        """
        try:
            return int(call(pynvml.nvmlEventSetWait_v2, self._set, milliseconds).eventData)
        except Refused as error:
            if error.code == pynvml.NVML_ERROR_TIMEOUT:
                return None
            raise

    def close(self) -> None:
        """Free the event set. nvmlEventSetFree."""
        call(pynvml.nvmlEventSetFree, self._set)
