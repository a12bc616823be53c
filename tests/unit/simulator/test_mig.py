"""MIG: instances with handles of their own, holes, handles that go stale, and what the GPU itself no longer tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conftest import MachineFactory
    from tests.unit.simulator.conftest import ClientFactory

NOON = 1_700_000_000


def test_the_instances_of_an_h100(machine: MachineFactory, nvml: ClientFactory) -> None:
    ask = nvml(machine("h100-mig", clock=NOON))
    assert ask("nvmlDeviceGetMigMode(h(0))") == [1, 1]
    assert ask("nvmlDeviceGetMaxMigDeviceCount(h(0))") == 7
    each = "[{} for i in range(4)]"
    assert ask(each.format("nvmlDeviceGetGpuInstanceId(m(0, i))")) == [2, 3, 9, 10]
    assert ask(each.format("nvmlDeviceGetComputeInstanceId(m(0, i))")) == [0] * 4
    assert ask(each.format("nvmlDeviceGetIndex(m(0, i))")) == [0, 1, 2, 3]
    assert ask(each.format("nvmlDeviceGetMemoryInfo(m(0, i), version=nvmlMemory_v2).total // 2**20")) == [
        *(40448, 20096),
        *(9984, 9984),
    ]
    assert ask(each.format("nvmlDeviceGetBAR1MemoryInfo(m(0, i)).bar1Total // 2**20")) == [24739, 12369, 6184, 6184]
    assert ask("nvmlDeviceGetName(m(0, 1))") == "NVIDIA H100 80GB HBM3 MIG 2g.20gb"
    assert len(set(ask(each.format("nvmlDeviceGetUUID(m(0, i))")))) == 4
    assert ask("nvmlDeviceGetUUID(m(0, 0))").startswith("MIG-")
    assert ask("nvmlDeviceGetMemoryErrorCounter(m(0, 2), 1, 0, NVML_MEMORY_LOCATION_SRAM)") == 0


ATTRIBUTES = {
    "multiprocessorCount": "multiprocessor_count",
    "sharedCopyEngineCount": "copy_engine_count",
    "sharedDecoderCount": "decoder_count",
    "sharedEncoderCount": "encoder_count",
    "sharedJpegCount": "jpeg_count",
    "sharedOfaCount": "ofa_count",
    "gpuInstanceSliceCount": "gpu_instance_slice_count",
    "computeInstanceSliceCount": "compute_instance_slice_count",
    "memorySizeMB": "memory_size_mb",
}


def test_attributes(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("h100-mig")
    ask = nvml(node)
    question = "plain(nvmlDeviceGetAttributes_v2(m(0, 0)))"
    assert list(ask(question).values()) == [60, 3, 3, 0, 3, 0, 3, 3, 40448]
    for number, key in enumerate(ATTRIBUTES.values()):
        node.set("gpu 0 mig 0", {key: number})
    assert ask(question) == {member: number for number, member in enumerate(ATTRIBUTES)}
    assert ask("nvmlDeviceGetAttributes_v2(h(0))") == "NVMLError_NotSupported"


def test_holes_and_wrong_numbers(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("h100-mig")
    ask = nvml(node)
    assert [ask(f"m(0, {number})") for number in (4, 6)] == ["NVMLError_NotFound"] * 2
    assert ask("m(0, 7)") == "NVMLError_InvalidArgument"
    node.remove("gpu 0 mig 1")
    assert ask("m(0, 1)") == "NVMLError_NotFound"
    assert ask("nvmlDeviceGetGpuInstanceId(m(0, 2))") == 9
    node.set("gpu 0", mig_mode_current=0)
    assert ask("m(0, 0)") == "NVMLError_NotFound"
    assert nvml(machine("gtx1070"))("m(0, 0)") == "NVMLError_NotSupported"
    assert nvml(machine("h100x8"))("m(0, 0)") == "NVMLError_NotFound"


def test_handles_of_both_kinds(machine: MachineFactory, nvml: ClientFactory) -> None:
    ask = nvml(machine("a100-mig"))
    assert ask("[nvmlDeviceIsMigDeviceHandle(x).value for x in (h(1), m(1, 6))]") == [0, 1]
    assert ask("nvmlDeviceGetIndex(nvmlDeviceGetDeviceHandleFromMigDeviceHandle(m(1, 6)))") == 1
    assert ask("nvmlDeviceGetDeviceHandleFromMigDeviceHandle(h(1))") == "NVMLError_InvalidArgument"
    assert ask("nvmlDeviceGetMigDeviceHandleByIndex(m(1, 6), 0)") == "NVMLError_InvalidArgument"
    uuid = ask("nvmlDeviceGetUUID(m(1, 5))")
    assert ask(f"nvmlDeviceGetIndex(nvmlDeviceGetHandleByUUID('{uuid}'))") == 5
    assert ask("nvmlDeviceGetHandleByUUID('MIG-nobody')") == "NVMLError_NotFound"
    assert ask("nvmlDeviceGetGpuInstanceId(h(0))") == "NVMLError_NotSupported"
    for call in ("nvmlDeviceGetPowerUsage", "nvmlDeviceGetUtilizationRates", "nvmlDeviceGetSerial"):
        assert ask(f"{call}(m(0, 0))") == "NVMLError_NotSupported"


def test_a_handle_goes_stale(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("h100-mig")
    ask = nvml(node)
    assert ask("setattr(pynvml, 'old', m(0, 3))") is None
    uuid = ask("nvmlDeviceGetUUID(pynvml.old)")
    node.set("gpu 0 mig 3", uuid="MIG-00000000-1111-2222-3333-444444444444")
    assert ask("nvmlDeviceGetName(pynvml.old)") == "NVMLError_InvalidArgument"
    assert ask("nvmlDeviceGetUUID(m(0, 3))").endswith("444444444444")
    node.set("gpu 0 mig 3", uuid=uuid)
    assert ask("nvmlDeviceGetUUID(pynvml.old)") == uuid
    node.remove("gpu 0 mig 3")
    assert ask("nvmlDeviceGetUUID(pynvml.old)") == "NVMLError_InvalidArgument"
    assert ask("nvmlDeviceIsMigDeviceHandle(pynvml.old)") == "NVMLError_InvalidArgument"
    assert ask("setattr(pynvml, 'old', m(0, 0))") is None
    node.set("gpu 0", state="lost")
    assert ask("nvmlDeviceGetName(pynvml.old)") == "NVMLError_GpuIsLost"
    node.set("gpu 0", state="ok", mig_mode_current=0)
    assert ask("nvmlDeviceGetName(pynvml.old)") == "NVMLError_InvalidArgument"


def test_what_a_gpu_in_parts_does_not_tell(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("h100x8")
    ask = nvml(node)
    calls = ["UtilizationRates(h(0))", *(f"{unit}Utilization(h(0))" for unit in ("Encoder", "Decoder", "Jpg", "Ofa"))]
    calls += ["NvLinkState(h(0), 0)", "NvLinkErrorCounter(h(0), 0, 0)", "ProcessUtilization(h(0), 0)"]
    calls += ["Samples(h(0), NVML_GPU_UTILIZATION_SAMPLES, 0)"]
    assert not [call for call in calls if ask(f"nvmlDeviceGet{call}") == "NVMLError_NotSupported"]
    node.set("gpu 0", mig_mode_current=1)
    assert [call for call in calls if ask(f"nvmlDeviceGet{call}") != "NVMLError_NotSupported"] == []
    assert isinstance(ask("nvmlDeviceGetPowerUsage(h(0))"), int)
    assert isinstance(ask("nvmlDeviceGetSamples(h(0), NVML_TOTAL_POWER_SAMPLES, 0)"), list)
    assert isinstance(ask("nvmlDeviceGetEncoderUtilization(h(1))"), list)


def test_processes_of_instances(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("a100-mig")
    ask = nvml(node)
    pids = "[(p.pid, p.gpuInstanceId, p.computeInstanceId) for p in nvmlDeviceGetComputeRunningProcesses({})]"
    assert ask(pids.format("m(0, 2)")) == [[5030102, 5, 0]]
    assert ask(pids.format("h(0)")) == [[5030100 + i, 3 + i, 0] for i in range(4)]
    node.remove("gpu 0 process 5030102")
    assert ask(pids.format("m(0, 2)")) == []


def test_an_instance_lives_with_its_gpu(machine: MachineFactory, nvml: ClientFactory) -> None:
    """Its numbers may use the variables of the GPU, and not the GPU's keys."""
    node = machine("h100-mig", clock=NOON)
    node.set("gpu 0", {"var.load": 0.5, "board_id": 77})
    node.set("gpu 0 mig 0", memory_used="1000 * var.load + index")
    ask = nvml(node)
    assert ask("nvmlDeviceGetMemoryInfo(m(0, 0)).used") == 500
    assert ask("nvmlDeviceGetBoardId(m(0, 0))") == "NVMLError_NotSupported"
    node.set("mig *", nvmlDeviceGetMemoryInfo="!UNKNOWN")
    assert ask("nvmlDeviceGetMemoryInfo(m(0, 0)).used") == "NVMLError_Unknown"
    assert isinstance(ask("nvmlDeviceGetMemoryInfo(h(0)).used"), int)
