"""Calls of the library itself, as in nvml.h, where pynvml is wrong or slow.

tests/unit/driver/test_faults.py shows each fault of pynvml.
"""

# Without `from __future__ import annotations`: typing would compile the text of each annotation at each poll. That took
# three quarters of the import time of this module.
import ctypes
import struct
from collections.abc import Iterable
from typing import Any, NamedTuple

import pynvml

from zbx_nvidia.driver.calls import amount, call, number

# Type of a value -> its letter in `struct`: fields and samples have a union, and the type says which member was
# written.
LETTERS = {
    pynvml.NVML_VALUE_TYPE_DOUBLE: "d",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_INT: "I",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG: "L",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG: "Q",
    pynvml.NVML_VALUE_TYPE_SIGNED_LONG_LONG: "q",
    pynvml.NVML_VALUE_TYPE_SIGNED_INT: "i",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_SHORT: "H",
}
# NVML's nvmlFieldValue_t: field, scope, time in us, latency in us, type, return code, union.
_ASKED = struct.Struct("@II32x")
_ANSWERED = struct.Struct("@24xII8s")
# What NVML says of one field: NVML_VALUE_TYPE_*, which says what member of the union was written; the return code for
# this field alone; the union. No NamedTuple: 600 are made at a poll of eight GPUs.
FieldAnswer = tuple[int, int, bytes]
_PROCESS_SIZE = ctypes.sizeof(pynvml.c_nvmlProcessInfo_v2_t)
_MOST_PROCESSES = 65_536  # on one GPU
_NO_MEMORY = 1 << 62  # NVML_VALUE_NOT_AVAILABLE, and its neighbors
_NO_INSTANCE = 0xFFFFFFFF


def raw(name: str, *arguments: object) -> None:
    """Call a function of the library.

    Args:
        name: In nvml.h.
        arguments: As ctypes passes them on.

    Raises:
        pynvml.NVMLError: The return code is not success. `call` converts it to one of our classes.
    """
    check(result(name, *arguments))


def result(name: str, *arguments: object) -> int:
    """Call a function of the library for its return code, as `raw`: where another one than success is no error."""
    code: int = pynvml._nvmlGetFunctionPointer(name)(*arguments)  # noqa: SLF001  there is no other way to the library
    return code


def check(code: int) -> None:
    """Raise pynvml's error for a return code, unless it is success."""
    if code != pynvml.NVML_SUCCESS:
        raise pynvml.NVMLError(code)


def fan_rpm(handle: Any, fan: int) -> int:  # noqa: ANN401  of pynvml
    """Speed of one fan, in rpm. nvmlDeviceGetFanSpeedRPM; pynvml's wrapper always asks for fan 0."""
    info = pynvml.c_nvmlFanSpeedInfo_t(version=pynvml.nvmlFanSpeedInfo_v1, fan=fan)
    call(raw, "nvmlDeviceGetFanSpeedRPM", handle, ctypes.byref(info))
    return number(info.speed)


def unrepairable_memory(handle: Any) -> int:  # noqa: ANN401  of pynvml
    """1 if the memory has an error that cannot be repaired. nvmlDeviceGetUnrepairableMemoryFlag_v1."""
    # pynvml 13.615 has a version before the flag. nvml.h has the flag alone, so the driver writes it over the version.
    status = pynvml.c_nvmlUnrepairableMemory_v1_t()
    version = status.version
    call(raw, "nvmlDeviceGetUnrepairableMemoryFlag_v1", handle, ctypes.byref(status))
    return number(status.unrepairableMemory if status.version == version else status.version)


class FieldRequest:
    """A request for values of fields, which is made once and asked often. nvmlDeviceGetFieldValues.

    pynvml fills and reads a structure for each field, by attributes written in Python: 0.2 ms for the 76 fields of an
    H100, and half of what a look at one field takes.

    Args:
        fields: NVML_FI_* and scope of each.
    """

    def __init__(self, fields: Iterable[tuple[int, int]]) -> None:
        request = [_ASKED.pack(field_id, scope) for field_id, scope in fields]
        self._count = len(request)
        self._request = b"".join(request)

    def ask(self, handle: Any) -> list[FieldAnswer]:  # noqa: ANN401  of pynvml
        """One answer for each field, in one call. Raises like `call`."""
        room = ctypes.create_string_buffer(self._request, len(self._request))
        call(raw, "nvmlDeviceGetFieldValues", handle, self._count, room)
        return list(_ANSWERED.iter_unpack(room))


class FabricInfo(NamedTuple):
    """What NVML's structure has of the NVLink fabric.

    Attributes:
        state: NVML_GPU_FABRIC_STATE_*.
        status: NVML's return code for joining it.
        clique: Number of the part of the fabric in which GPUs reach each other.
        cluster: UUID of the fabric, 16 bytes; zeros within a single machine.
        mask: NVML_GPU_FABRIC_HEALTH_MASK_*.
        summary: NVML_GPU_FABRIC_HEALTH_SUMMARY_*; 0 before the third version.
    """

    state: int
    status: int
    clique: int
    cluster: bytes
    mask: int
    summary: int


def fabric(handle: Any, info: Any) -> FabricInfo:  # noqa: ANN401  of pynvml
    """The NVLink fabric. nvmlDeviceGetGpuFabricInfoV.

    Args:
        handle: Of the GPU.
        info: A c_nvmlGpuFabricInfo structure, whose class says which version is asked for.
    """
    # By reference: pynvml passes the argument unchanged, and a structure alone would go by value.
    call(pynvml.nvmlDeviceGetGpuFabricInfoV, handle, ctypes.byref(info))
    # The state is one byte in C and four in pynvml; the others were seen to be padding (0xeeeeee03 for 3).
    return FabricInfo(
        info.state & 0xFF,
        int(info.status),
        int(info.cliqueId),
        bytes(info.clusterUuid),
        int(info.healthMask),
        int(getattr(info, "healthSummary", 0)),
    )


def platform(handle: Any) -> tuple[bytes, int, int]:  # noqa: ANN401  of pynvml
    """Serial number of the chassis, slot and tray of the board. nvmlDeviceGetPlatformInfo."""
    info = pynvml.c_nvmlPlatformInfo_v2_t()
    # By reference, as above.
    call(pynvml.nvmlDeviceGetPlatformInfo, handle, ctypes.byref(info))
    # pynvml has the numbers as characters, and decodes them: it raises an error for those above 127.
    members, raw_info = type(info), bytes(info)
    start = members.chassisSerialNumber.offset
    chassis = raw_info[start : start + members.chassisSerialNumber.size]
    return chassis.partition(b"\0")[0], raw_info[members.slotNumber.offset], raw_info[members.trayIndex.offset]


Running = tuple[int, int | None, int | None, int | None]


def running(name: str, handle: Any) -> list[Running]:  # noqa: ANN401  of pynvml
    """Process list: PID, memory in B, MIG GPU instance and compute instance of each.

    Args:
        name: nvmlDeviceGet*RunningProcesses, without its version: the third since r510, the second before.
        handle: Of the GPU.
    """
    if _has(f"{name}_v3"):
        return _entries(f"{name}_v3", handle, _v3_stride())
    return _entries(f"{name}_v2", handle, _PROCESS_SIZE)


def _has(name: str) -> bool:
    try:
        pynvml._nvmlGetFunctionPointer(name)  # noqa: SLF001  as in raw
    except pynvml.NVMLError:
        return False
    return True


def _v3_stride() -> int:
    """Size of an entry of the process lists.

    Drivers 535.43 to 535.86 write one more member under the same version number, so every entry after the first would
    be read at a wrong offset. These drivers have the first of the two calls below, but not yet the second.
    """
    longer = _has("nvmlDeviceGetConfComputeMemSizeInfo") and not _has("nvmlDeviceGetRunningProcessDetailList")
    return _PROCESS_SIZE + ctypes.sizeof(ctypes.c_ulonglong) * longer


def _instance(number: int) -> int | None:
    return None if number == _NO_INSTANCE else int(number)


def _entries(name: str, handle: Any, stride: int) -> list[Running]:  # noqa: ANN401  of pynvml
    function = call(pynvml._nvmlGetFunctionPointer, name)  # noqa: SLF001  as in raw
    count = ctypes.c_uint(0)
    code = call(function, handle, ctypes.byref(count), None)
    if code not in {pynvml.NVML_SUCCESS, pynvml.NVML_ERROR_INSUFFICIENT_SIZE}:
        call(check, code)
    # Success as the answer to a size query means that the list is empty. Where it came with a count, the list had
    # entries.
    if code == pynvml.NVML_SUCCESS and not count.value:
        return []
    # Room for processes that start before the second call.
    count.value = 2 * amount(count.value, _MOST_PROCESSES) + 5
    room = ctypes.create_string_buffer(count.value * stride)
    call(check, call(function, handle, ctypes.byref(count), room))
    infos = []
    for place in range(min(count.value, len(room) // stride)):
        info = pynvml.c_nvmlProcessInfo_v2_t.from_buffer(room, place * stride)
        memory = None if info.usedGpuMemory >= _NO_MEMORY else int(info.usedGpuMemory)
        infos.append((int(info.pid), memory, _instance(info.gpuInstanceId), _instance(info.computeInstanceId)))
    return infos
