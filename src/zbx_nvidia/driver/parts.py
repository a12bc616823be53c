"""Parts of a GPU with readers of their own: fans, MIG instances, vGPUs.

Like those of `Device`, a reader can raise `Absent`, `Refused` or `Lost` of `calls`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pynvml

from zbx_nvidia.driver.calls import Absent, NotNow, NvmlError, Refused, call, clean, first, number, text
from zbx_nvidia.driver.readings import Memory, VgpuUtilization

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Fan:
    """One fan of a card.

    Args:
        place: Its number.
        speeds: Reads the speeds of all fans of the card, in %.
        rpms: The same in rpm.

    Attributes:
        place: Its number.
    """

    def __init__(
        self, place: int, speeds: Callable[[], dict[int, int | Refused]], rpms: Callable[[], dict[int, int | Refused]]
    ) -> None:
        self.place = place
        self._speeds = speeds
        self._rpms = rpms

    def speed(self) -> int:
        """Requested speed, in %. nvmlDeviceGetFanSpeed_v2."""
        return _its(self._speeds(), self.place)

    def rpm(self) -> int:
        """Requested speed, in rpm. nvmlDeviceGetFanSpeedRPM. Since r570."""
        return _its(self._rpms(), self.place)


def each(places: Iterable[int], read: Callable[[int], int]) -> dict[int, int | Refused]:
    """The answers of several parts by place: those that the card lacks are left out, and an error stands for itself.

    A driver was seen to count three fans and to serve two.

    Raises:
        Absent: It lacks all.
        Refused: None answers, and one with this error.
        Lost: The device is gone.
    """
    answers: dict[int, int | Refused] = {}
    lacking: Absent | None = None
    for place in places:
        try:
            answers[place] = read(place)
        except Absent as error:
            lacking = lacking or error
        except Refused as error:
            if error.code == pynvml.NVML_ERROR_INVALID_ARGUMENT:  # no such part
                lacking = lacking or Absent(error.code, error.message)
            else:
                answers[place] = error
    answered(answers)
    if not answers:
        raise lacking or Absent(0, "no part")
    return answers


def answered(answers: dict[int, int | Refused]) -> dict[int, int]:
    """The numbers among the answers of `each`.

    Raises:
        Refused: All are errors.
    """
    numbers = {place: answer for place, answer in answers.items() if not isinstance(answer, Refused)}
    if answers and not numbers:
        for answer in answers.values():
            if isinstance(answer, Refused):
                raise answer
    return numbers


def _its(answers: dict[int, int | Refused], place: int) -> int:
    if place not in answers:
        raise Absent(0, "not of this part")
    answer = answers[place]
    if isinstance(answer, Refused):
        raise answer
    return answer


class MigInstance:
    """A MIG instance. Its handle becomes stale when instances change.

    Args:
        handle: Of nvmlDeviceGetMigDeviceHandleByIndex.
    """

    def __init__(self, handle: Any) -> None:  # noqa: ANN401  of pynvml
        self._handle = handle

    def uuid(self) -> str:
        """`MIG-` and 36 characters; before r470 it contains the GPU's UUID and two numbers. nvmlDeviceGetUUID."""
        return text(pynvml.nvmlDeviceGetUUID, self._handle)

    def gpu_instance(self) -> int:
        """Number of the GPU instance. nvmlDeviceGetGpuInstanceId. nvidia-smi mig -lgi: Instance ID."""
        return int(call(pynvml.nvmlDeviceGetGpuInstanceId, self._handle))

    def compute_instance(self) -> int:
        """Number of the compute instance. nvmlDeviceGetComputeInstanceId. nvidia-smi mig -lci: Instance ID."""
        return int(call(pynvml.nvmlDeviceGetComputeInstanceId, self._handle))

    def profile(self) -> str:
        """Share of the GPU, such as 1g.10gb. nvmlDeviceGetName. nvidia-smi -L."""
        return text(pynvml.nvmlDeviceGetName, self._handle).rpartition("MIG ")[2]

    def memory(self) -> Memory:
        """Memory of the instance, in B. nvmlDeviceGetMemoryInfo. nvidia-smi: MIG devices, Memory-Usage."""
        return memory_of(memory_info(self._handle))

    def multiprocessors(self) -> int:
        """Number of multiprocessors. nvmlDeviceGetAttributes_v2. nvidia-smi: MIG devices, SM."""
        return number(call(pynvml.nvmlDeviceGetAttributes_v2, self._handle).multiprocessorCount)


class Vgpu:
    """A vGPU, seen from its host.

    Args:
        instance: NVML's number of it.
        sample: Its newest utilization of nvmlDeviceGetVgpuUtilization, None if it has none yet, or what the driver
            answered instead of samples.
    """

    def __init__(self, instance: int, sample: Any) -> None:  # noqa: ANN401  of pynvml
        self._instance = instance
        self._sample = sample

    def uuid(self) -> str:
        """Identity. nvmlVgpuInstanceGetUUID. nvidia-smi vgpu -q: vGPU UUID."""
        return text(pynvml.nvmlVgpuInstanceGetUUID, self._instance)

    def vm(self) -> str:
        """UUID of its virtual machine, or the hypervisor's name for it. nvmlVgpuInstanceGetVmID.

        nvidia-smi vgpu -q: VM UUID.
        """
        return clean(call(pynvml.nvmlVgpuInstanceGetVmID, self._instance)[0])

    def profile(self) -> str:
        """Its type, such as NVIDIA A10-8Q. nvmlVgpuTypeGetName. nvidia-smi vgpu -q: vGPU Name."""
        return text(pynvml.nvmlVgpuTypeGetName, call(pynvml.nvmlVgpuInstanceGetType, self._instance))

    def driver(self) -> str:
        """Driver version of the guest. nvmlVgpuInstanceGetVmDriverVersion. nvidia-smi vgpu -q: Guest Driver Version."""
        return text(pynvml.nvmlVgpuInstanceGetVmDriverVersion, self._instance)

    def memory_used(self) -> int:
        """Used frame buffer, in B. nvmlVgpuInstanceGetFbUsage. nvidia-smi vgpu -q: FB Memory Usage."""
        return number(call(pynvml.nvmlVgpuInstanceGetFbUsage, self._instance))

    def license_state(self) -> int:
        """NVML_GRID_LICENSE_STATE_*: 5 is licensed. nvmlVgpuInstanceGetLicenseInfo_v2.

        nvidia-smi vgpu -q: License Status.
        """
        return number(call(pynvml.nvmlVgpuInstanceGetLicenseInfo_v2, self._instance).currentState)

    def utilization(self) -> VgpuUtilization:
        """Shares of the card, in %. nvmlDeviceGetVgpuUtilization. nvidia-smi vgpu -u."""
        if isinstance(self._sample, NvmlError):
            raise self._sample
        if self._sample is None:
            raise NotNow(0, "no sample")
        shares = (self._sample.smUtil, self._sample.memUtil, self._sample.encUtil, self._sample.decUtil)
        return VgpuUtilization(*(number(share.uiVal) for share in shares))


def memory_info(handle: Any) -> Any:  # noqa: ANN401  of pynvml
    """NVML's structure for the memory of a GPU or MIG instance. Since v2 (r510), `used` excludes `reserved`."""
    return first(
        lambda: call(pynvml.nvmlDeviceGetMemoryInfo, handle, pynvml.nvmlMemory_v2),
        lambda: call(pynvml.nvmlDeviceGetMemoryInfo, handle),
    )


def memory_of(info: Any) -> Memory:  # noqa: ANN401  of pynvml
    """The reading in such a structure."""
    total, used, free = number(info.total), number(info.used), number(info.free)
    if total == 0:
        # Devices that share the host's memory have no frame buffer, and some of them report 0.
        raise Absent(0, "no frame buffer")
    if max(used, free) > total:
        raise Refused(0, f"impossible value: {used} B used and {free} B free of {total} B")
    return Memory(total, used, free, round(100 * used / total, 2))
