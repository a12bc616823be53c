"""The driver as a whole: start and stop, versions, number of GPUs."""

from __future__ import annotations

import pynvml

from zbx_nvidia.driver.calls import amount, call, number, text

_MOST_GPUS = 256  # each is a thread


def start() -> None:
    """Load the library and attach to the driver. nvmlInit.

    Raises:
        NvmlError: With NVML's code: no library (12), no driver (9), versions differ (18), no permission (4), ...
    """
    call(pynvml.nvmlInit)


def stop() -> None:
    """Release the driver. nvmlShutdown."""
    call(pynvml.nvmlShutdown)


def driver_version() -> str:
    """Version of the kernel driver. nvmlSystemGetDriverVersion. nvidia-smi: driver_version."""
    return text(pynvml.nvmlSystemGetDriverVersion)


def nvml_version() -> str:
    """Version of the library. nvmlSystemGetNVMLVersion. nvidia-smi --version: NVML version."""
    return text(pynvml.nvmlSystemGetNVMLVersion)


def cuda_version() -> str:
    """The newest CUDA version that the driver supports. nvmlSystemGetCudaDriverVersion_v2. nvidia-smi: CUDA Version."""
    version = number(call(pynvml.nvmlSystemGetCudaDriverVersion_v2))
    return f"{version // 1000}.{version % 1000 // 10}"


def gpu_count() -> int:
    """Number of GPUs that the driver counts, lost ones included. nvmlDeviceGetCount."""
    return amount(number(call(pynvml.nvmlDeviceGetCount)), _MOST_GPUS)


def index_at(pci: str) -> int:
    """Index of the GPU at a PCI address. nvmlDeviceGetHandleByPciBusId, nvmlDeviceGetIndex.

    Of all ways to a handle this is the one that touches no other GPU: one that sleeps stays asleep.
    """
    return number(call(pynvml.nvmlDeviceGetIndex, call(pynvml.nvmlDeviceGetHandleByPciBusId, pci)))


def process_name(pid: int) -> str:
    """Program of a process on a GPU, without its arguments. nvmlSystemGetProcessName. nvidia-smi: Process name."""
    # NVML's text begins with the path. After it, a program that sets its own title can have written anything.
    words = text(pynvml.nvmlSystemGetProcessName, pid).split()
    return words[0].rpartition("/")[2] or words[0]
