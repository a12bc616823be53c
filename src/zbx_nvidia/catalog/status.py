"""The states in which a collection can end: `status` of the document.

Codes below 1000 are NVML's own (`nvmlReturn_t`), so that they can be looked up; from 1000 they are ours.
"""

# Without `from __future__ import annotations`: typing would compile the text of each annotation at each poll.
from typing import NamedTuple


class Status(NamedTuple):
    """One way a collection can end.

    Attributes:
        code: What Zabbix stores. 0 is good.
        name: The name in the document and in the value map.
        remedy: What happened and what to do, one sentence each: the start of the document's `status.message`.
    """

    code: int
    name: str
    remedy: str


OK = Status(0, "OK", "All is well")
NO_PERMISSION = Status(
    4, "No permission", "The user of the agent cannot open /dev/nvidia*. Check the permissions of the device files"
)
DRIVER_NOT_LOADED = Status(
    9, "Driver not loaded", "The kernel module nvidia is not loaded. Run nvidia-smi and check dmesg"
)
LIBRARY_NOT_FOUND = Status(
    12, "Library not found", "libnvidia-ml.so.1 cannot be loaded. Install the NVIDIA driver's NVML library"
)
NO_POWER = Status(
    8, "No auxiliary power", "A GPU has too little power. Switch the host off and connect the GPU's power cable"
)
NO_GPU = Status(
    28,
    "No GPU bound to the driver",
    "No GPU is bound to the driver nvidia. Run lspci -k -d 10de: to see which driver has it",
)
VERSION_MISMATCH = Status(
    18,
    "Driver and library versions differ",
    "The driver was updated while the old kernel module is still loaded. Reboot, or unload and load the module",
)
UNKNOWN = Status(999, "Unknown driver error", "NVML reports an unknown error. Check dmesg for NVRM and Xid lines")
DEADLINE_EXCEEDED = Status(
    1000,
    "Deadline exceeded",
    "The driver did not answer in time. Check dmesg. If persistence mode is off, switch it on",
)
STILL_STUCK = Status(
    1001, "Previous collection still running", "An earlier collection still hangs in the driver. Check dmesg"
)
COLLECTOR_FAILED = Status(1002, "Collector failed", "The collector itself failed. Please report this message")
STALLED = Status(
    1003,
    "Stalled",
    "The service waits for a hanging driver call and starts no second one. Check dmesg",
)
RELEASED = Status(
    1004,
    "Released",
    "The driver was released on purpose (zbx-nvidia-agent release). The service reopens it by itself",
)

HOST_BUSY = Status(
    1005,
    "Host is busy",
    "The collector got no processor in time, so this says nothing of the driver. Check the load of the host",
)

STATUSES = (
    OK,
    NO_PERMISSION,
    NO_POWER,
    DRIVER_NOT_LOADED,
    LIBRARY_NOT_FOUND,
    VERSION_MISMATCH,
    NO_GPU,
    UNKNOWN,
    DEADLINE_EXCEEDED,
    STILL_STUCK,
    COLLECTOR_FAILED,
    STALLED,
    RELEASED,
    HOST_BUSY,
)

# What to do for a single GPU that gives no readings, by NVML's return code, where the alert's own advice is wrong.
ADVICE = {
    NO_POWER.code: "connect its power cable",
    16: "reset it",  # RESET_REQUIRED
}

BY_CODE = {status.code: status for status in STATUSES}


def of_error(code: int) -> Status:
    """The status that an error of NVML means for the whole driver.

    Code 0 is that of a call that succeeded with nonsense: an unknown error too.
    """
    return BY_CODE.get(code, UNKNOWN) if code else UNKNOWN
