"""Processes of a GPU: the lists, their names and their share of it, and the driver's own samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conftest import MachineFactory
    from tests.unit.simulator.conftest import ClientFactory

NOON = 1_700_000_000
LIST = "[(p.pid, p.usedGpuMemory) for p in nvmlDeviceGet{kind}RunningProcesses_v{version}(h({gpu}))]"
RAW = (
    "(lambda n, a: (pynvml.nvmlLib.nvmlDeviceGet{kind}RunningProcesses_v3(h(0), byref(n), a), n.value))"
    "(c_uint({room}), {array})"
)


def test_each_list_has_its_own(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("h100x8", clock=NOON)
    node.set("process *", used_memory=None)
    node.set("gpu 0 process 5011345", used_memory=1000, mps=1)
    node.set("gpu 0 process 7", name="both", graphics=1, used_memory=2**40)
    node.set("gpu 0 process 8", name="neither", compute=0)
    node.set("gpu 1 process 9", compute=0, mps="step(0, 1, 100)")
    ask = nvml(node)
    for version in (2, 3):
        of = LIST.replace("{version}", str(version)).format
        assert ask(of(kind="Compute", gpu=0)) == [[5011345, 1000], [7, 2**40]]
        assert ask(of(kind="Graphics", gpu=0)) == [[7, 2**40]]
        assert ask(of(kind="MPSCompute", gpu=0)) == [[5011345, 1000]]
        assert ask(of(kind="Compute", gpu=1)) == [[5011346, None]]  # memory that the driver does not know
        assert ask(of(kind="Graphics", gpu=1)) == []
    assert ask("(lambda p: (p.gpuInstanceId, p.computeInstanceId))(nvmlDeviceGetComputeRunningProcesses(h(0))[0])") == [
        2**32 - 1,
        2**32 - 1,
    ]


def test_processes_come_and_go(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("t4")
    ask = nvml(node)
    pids = "[p.pid for p in nvmlDeviceGetComputeRunningProcesses(h(0))]"
    assert ask(pids) == [5005762]
    node.set("gpu 0 process 6000", compute=1)
    assert ask(pids) == [5005762, 6000]
    node.remove("gpu 0 process 5005762")
    assert ask(pids) == [6000]
    node.set("gpu 0 process 6000", compute=0)
    assert ask(pids) == []
    node.set("gpu 0", processes="!NO_PERMISSION")
    assert ask(pids) == "NVMLError_NoPermission"
    node.set("gpu 0", processes=None, nvmlDeviceGetComputeRunningProcesses_v3="!FUNCTION_NOT_FOUND")
    assert ask(pids) == "NVMLLibraryMismatchError"
    assert ask(LIST.format(kind="Compute", version=2, gpu=0)) == []


def test_the_size_is_told_first(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("t4")
    ask = nvml(node)
    of = RAW.replace("{kind}", "Compute").format
    array = "(c_nvmlProcessInfo_v3_t * 4)()"
    assert ask(of(room=0, array="None")) == [7, 1]
    assert ask(of(room=4, array="None")) == [7, 1]
    assert ask(of(room=0, array=array)) == [7, 1]
    assert ask(of(room=4, array=array)) == [0, 1]
    assert ask(RAW.format(kind="MPSCompute", room=0, array="None")) == [0, 0]  # empty: success at once
    assert ask("pynvml.nvmlLib.nvmlDeviceGetComputeRunningProcesses_v3(h(0), None, None)") == 2


def test_names_of_processes(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("t4")
    ask = nvml(node)
    assert ask("nvmlSystemGetProcessName(5000675)") == "/usr/lib/xorg/Xorg"
    assert ask("nvmlSystemGetProcessName(1)") == "NVMLError_NotFound"
    assert ask(
        "(lambda b: (pynvml.nvmlLib.nvmlSystemGetProcessName(5000675, b, 5), b.value.decode()))((c_char * 9)())"
    ) == [
        *(0, "/usr"),
    ]
    node.set("gpu 0 process 5000675", name="!NO_PERMISSION")
    assert ask("nvmlSystemGetProcessName(5000675)") == "NVMLError_NoPermission"


def test_shares_of_the_gpu(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("t4", clock=NOON + 0.7)
    shares = {"sm_utilization": 61, "utilization_memory": 22, "encoder_utilization": 3, "jpg_utilization": 4}
    node.set("gpu 0 process 5005762", {**shares, "decoder_utilization": 5, "ofa_utilization": 6})
    ask = nvml(node)
    since = (NOON - 5) * 1_000_000
    stamp = NOON * 1_000_000
    assert ask(f"[list(plain(s).values()) for s in nvmlDeviceGetProcessUtilization(h(0), {since})]") == [
        [5005762, stamp, 61, 22, 3, 5]
    ]
    assert ask(f"[list(plain(s).values()) for s in nvmlDeviceGetProcessesUtilizationInfo(h(0), {since})]") == [
        [stamp, 5005762, 61, 22, 3, 5, 4, 6]
    ]
    node.set("gpu 0 process 5000675", sm_utilization=1)
    assert ask(f"len(nvmlDeviceGetProcessUtilization(h(0), {since}))") == 2
    for call in ("ProcessUtilization", "ProcessesUtilizationInfo"):  # nothing new since the last sample
        assert ask(f"nvmlDeviceGet{call}(h(0), {stamp})") == "NVMLError_NotFound"
    assert nvml(machine("p400"))("nvmlDeviceGetProcessUtilization(h(0), 0)") == "NVMLError_NotFound"


SAMPLES = "(lambda t, s: (t, [(x.timeStamp, x.sampleValue.uiVal) for x in s]))(*nvmlDeviceGetSamples(h(0), {}, {}))"


def test_the_buffers_of_the_driver(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("rtx4080s", clock=NOON + 100)
    keys = ["power_usage", "utilization_gpu", "utilization_memory", "encoder_utilization", "decoder_utilization"]
    keys += ["clock_sm", "clock_mem", "", "jpg_utilization", "ofa_utilization"]
    for number, key in enumerate(keys):
        if key:
            node.set("gpu 0", {key: f"{number} + 6 * (t - {NOON})"})
    ask = nvml(node)
    for number, key in enumerate(keys):
        if key:
            kind, samples = ask(SAMPLES.format(number, 0))
            assert kind == 1
            assert [value for _, value in samples] == [number + 600 - age for age in range(119, -1, -1)]
            assert samples[-1][0] == (NOON + 100) * 1_000_000
    assert ask(SAMPLES.format(7, 0)) == "NVMLError_NotSupported"
    assert ask(SAMPLES.format(10, 0)) == "NVMLError_InvalidArgument"


def test_only_newer_samples(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("rtx4080s", clock=NOON)
    ask = nvml(node)
    _, samples = ask(SAMPLES.format(0, (NOON - 1) * 1_000_000))
    assert len(samples) == 6
    assert ask(SAMPLES.format(0, NOON * 1_000_000)) == "NVMLError_NotFound"
    node.set("gpu 0", power_usage="!NO_PERMISSION")
    assert ask(SAMPLES.format(0, 0)) == "NVMLError_NoPermission"
