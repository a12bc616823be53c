"""Readers of the users of a GPU: processes, sessions, MIG instances, virtual machines."""

from __future__ import annotations

import pynvml

from zbx_nvidia.driver import native
from zbx_nvidia.driver.calls import Absent, Refused, amount, call, clean, number
from zbx_nvidia.driver.card import Card
from zbx_nvidia.driver.fields import MICRO
from zbx_nvidia.driver.parts import MigInstance, Vgpu
from zbx_nvidia.driver.readings import GpuProcess, License, Sessions

# By nvidia-smi's letter.
_PROCESS_CALLS = {
    "C": "nvmlDeviceGetComputeRunningProcesses",
    "G": "nvmlDeviceGetGraphicsRunningProcesses",
    "M": "nvmlDeviceGetMPSComputeRunningProcesses",
}


class SharingReaders(Card):
    """The users of a GPU, and its division."""

    def processes(self) -> int:
        """Number of processes on the card. nvmlDeviceGet*RunningProcesses. nvidia-smi: Processes."""
        return len(self.process_list())

    def process_list(self) -> tuple[GpuProcess, ...]:
        """The processes on the card, each once. nvmlDeviceGet*RunningProcesses: 4.5 ms on a real card.

        nvidia-smi: Processes.
        """
        return self._once("processes", self._processes)

    def encoder(self) -> Sessions:
        """Encoder sessions, latency in s. nvmlDeviceGetEncoderStats.

        nvidia-smi: encoder.stats.sessionCount, .averageFps, .averageLatency.
        """
        count, fps, latency = call(pynvml.nvmlDeviceGetEncoderStats, self._handle)
        return Sessions(number(count), number(fps), number(latency) / MICRO)

    def capture(self) -> Sessions:
        """Frame-capture sessions, latency in s. nvmlDeviceGetFBCStats. nvidia-smi -q: FBC Stats."""
        stats = call(pynvml.nvmlDeviceGetFBCStats, self._handle)
        return Sessions(number(stats.sessionsCount), number(stats.averageFPS), number(stats.averageLatency) / MICRO)

    def mig_mode(self) -> int:
        """1 if the GPU can be divided into MIG instances. nvmlDeviceGetMigMode. nvidia-smi: mig.mode.current."""
        return number(call(pynvml.nvmlDeviceGetMigMode, self._handle)[0])

    def mig_instances(self) -> list[MigInstance]:
        """The instances of a divided GPU, in NVML's order. nvmlDeviceGetMigDeviceHandleByIndex. nvidia-smi -L.

        Only asked in MIG mode: repeated look-ups that fail were seen to hang.
        """
        if not self.mig_mode():
            return []
        instances = []
        for index in range(amount(call(pynvml.nvmlDeviceGetMaxMigDeviceCount, self._handle))):
            try:
                instances.append(MigInstance(call(pynvml.nvmlDeviceGetMigDeviceHandleByIndex, self._handle, index)))
            except Refused as error:
                if error.code != pynvml.NVML_ERROR_NOT_FOUND:  # a gap: instances keep their index if others go
                    raise
        return instances

    def vgpus(self) -> int:
        """Number of vGPUs that run on this card. nvmlDeviceGetActiveVgpus. nvidia-smi vgpu."""
        return len(self._vgpus())

    def vgpu_instances(self) -> list[Vgpu]:
        """The vGPUs of a host. nvmlDeviceGetActiveVgpus, nvmlDeviceGetVgpuUtilization. nvidia-smi vgpu -q."""
        instances = self._vgpus()
        if not instances:
            return []
        try:
            # All samples that the driver has, the oldest first: the dict below keeps the newest of each vGPU.
            samples = call(pynvml.nvmlDeviceGetVgpuUtilization, self._handle, 0)
        except Absent as error:
            return [Vgpu(instance, error) for instance in instances]
        except Refused:  # NOT_FOUND if there is none
            samples = []
        newest = {sample.vgpuInstance: sample for sample in samples}
        return [Vgpu(instance, newest.get(instance)) for instance in instances]

    def license(self) -> License:
        """License of a vGPU, inside its guest. nvmlDeviceGetGridLicensableFeatures_v4.

        nvidia-smi -q: vGPU Software Licensed Product.
        """
        # Only a vGPU needs a license, whatever the driver lists for other cards.
        if self.virtualization_mode() != pynvml.NVML_GPU_VIRTUALIZATION_MODE_VGPU:
            raise Absent(0, "no vGPU")
        features = call(pynvml.nvmlDeviceGetGridLicensableFeatures_v4, self._handle)
        if not features.isGridLicenseSupported or not features.licensableFeaturesCount:
            raise Absent(0, "nothing to license")
        known = features.gridLicensableFeatures[: features.licensableFeaturesCount]
        feature = next((feature for feature in known if feature.featureEnabled), known[0])
        return License(number(feature.featureState), clean(feature.productName))

    def _processes(self) -> tuple[GpuProcess, ...]:
        processes: dict[tuple[int | None, ...], GpuProcess] = {}
        answered = False
        for kind, name in _PROCESS_CALLS.items():
            try:
                infos = native.running(name, self._handle)
            except Absent:
                continue
            answered = True
            for pid, memory, *instances in infos:
                key = (pid, *instances)
                known = processes.get(key, GpuProcess(pid, "", memory, *instances))
                processes[key] = known._replace(kind="+".join(filter(None, (known.kind, kind))))
        if not answered:
            raise Absent(pynvml.NVML_ERROR_NOT_SUPPORTED, "no process list")
        return tuple(processes.values())

    def _vgpus(self) -> list[int]:
        return self._once("vgpus", lambda: call(pynvml.nvmlDeviceGetActiveVgpus, self._handle))
