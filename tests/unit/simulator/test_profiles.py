"""Each profile, read by real pynvml: what the card has, what it lacks, and that its values hold together."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MachineFactory
    from tests.unit.simulator.conftest import ClientFactory

NOON = 1_700_000_000
PID_MAX = 1 << 22  # PID_MAX_LIMIT of a kernel of 64 bits
GPUS = {
    "gtx1070": 1,
    "rtx2080s": 1,
    "rtx3090": 1,
    "rtx4080s": 1,
    "p400": 1,
    "t4": 1,
    "a10g": 1,
    "h100x8": 8,
    "h200x8": 8,
    "h100-mig": 1,
    "h100-vm": 1,
    "a100-mig": 2,
    "vgpu-guest": 1,
    "gb10": 1,
    "v100": 1,
    "b200x8": 8,
    "a10-vgpu-host": 1,
    "gtx1070ti-r450": 1,
    "rtx2080s-wsl2": 1,
    "jetson-orin": 1,
}
PROFILES = tuple(GPUS)

# What the cards answer in captures of nvidia-smi (degC, mW, MHz, bytes); the GTX 1070's is estimated, see its profile.
FACTS: dict[str, dict[str, Any]] = {
    "gtx1070": {
        "nvmlDeviceGetCount()": 1,
        "nvmlSystemGetDriverVersion()": "580.95.05",
        "nvmlSystemGetCudaDriverVersion()": 13000,
        "nvmlDeviceGetName(h(0))": "NVIDIA GeForce GTX 1070",
        "nvmlDeviceGetArchitecture(h(0)) == NVML_DEVICE_ARCH_PASCAL": True,
        "nvmlDeviceGetNumFans(h(0))": 1,
        "nvmlDeviceGetFanSpeed_v2(h(0), 1)": "NVMLError_InvalidArgument",
        "nvmlDeviceGetTemperatureThreshold(h(0), NVML_TEMPERATURE_THRESHOLD_SHUTDOWN)": 102,
        "nvmlDeviceGetTemperatureThreshold(h(0), NVML_TEMPERATURE_THRESHOLD_SLOWDOWN)": 99,
        "nvmlDeviceGetSerial(h(0))": "NVMLError_NotSupported",
        "nvmlDeviceGetEccMode(h(0))": "NVMLError_NotSupported",
        "nvmlDeviceGetTotalEnergyConsumption(h(0))": "NVMLError_NotSupported",
        "nvmlDeviceGetMarginTemperature(h(0))": "NVMLError_NotSupported",
        "nvmlDeviceGetOfaUtilization(h(0))": "NVMLError_NotSupported",
        "nvmlDeviceGetPowerManagementLimitConstraints(h(0))": [75500, 170000],
    },
    "rtx4080s": {
        "nvmlDeviceGetCount()": 1,
        "nvmlSystemGetDriverVersion()": "595.71.05",
        "nvmlDeviceGetNumFans(h(0))": 3,
        "nvmlDeviceGetTemperatureThreshold(h(0), NVML_TEMPERATURE_THRESHOLD_SHUTDOWN)": 101,
        "nvmlDeviceGetTemperatureThreshold(h(0), NVML_TEMPERATURE_THRESHOLD_SLOWDOWN)": 96,
        "nvmlDeviceGetTemperatureThreshold(h(0), NVML_TEMPERATURE_THRESHOLD_GPU_MAX)": 90,
        "nvmlDeviceGetTemperatureThreshold(h(0), NVML_TEMPERATURE_THRESHOLD_MEM_MAX)": "NVMLError_NotSupported",
        "[v[0] for v in field(0, NVML_FI_DEV_TEMPERATURE_GPU_MAX_TLIMIT, NVML_FI_DEV_MEMORY_TEMP)]": [3, 3],
        "nvmlDeviceGetSerial(h(0))": "NVMLError_NotSupported",
        "nvmlDeviceGetTotalEccErrors(h(0), 0, 0)": "NVMLError_NotSupported",
        "nvmlDeviceGetEnforcedPowerLimit(h(0))": 320000,
        "nvmlDeviceGetMaxClockInfo(h(0), NVML_CLOCK_SM)": 3165,
        "nvmlDeviceGetMemoryInfo(h(0)).total // 2**20": 16376,
        "hex(nvmlDeviceGetPciInfo(h(0)).pciDeviceId)": "0x270210de",
    },
    "rtx2080s-wsl2": {
        "nvmlSystemGetDriverVersion()": "610.62",
        "nvmlDeviceGetPersistenceMode(h(0))": "NVMLError_NotSupported",
        "[p.usedGpuMemory for p in nvmlDeviceGetComputeRunningProcesses(h(0))]": [None],
        "nvmlDeviceGetTotalEnergyConsumption(h(0))": "NVMLError_NotSupported",
        "nvmlDeviceGetNumFans(h(0))": 1,
    },
    "jetson-orin": {
        "nvmlDeviceGetName(h(0))": "Orin (nvgpu)",
        "nvmlDeviceGetMemoryInfo(h(0))": "NVMLError_NotSupported",
        "nvmlDeviceGetTemperature(h(0), NVML_TEMPERATURE_GPU)": "NVMLError_NotSupported",
        "nvmlDeviceGetPowerUsage(h(0))": "NVMLError_NotSupported",
        "nvmlDeviceGetUtilizationRates(h(0))": "NVMLError_NotSupported",
    },
    "t4": {
        "nvmlDeviceGetCount()": 1,
        "nvmlDeviceGetNumFans(h(0))": 0,
        "nvmlDeviceGetFanSpeed(h(0))": "NVMLError_NotSupported",
        "nvmlDeviceGetFanSpeed_v2(h(0), 0)": "NVMLError_NotSupported",
        "nvmlDeviceGetTemperatureThreshold(h(0), NVML_TEMPERATURE_THRESHOLD_SHUTDOWN)": 96,
        "nvmlDeviceGetTemperatureThreshold(h(0), NVML_TEMPERATURE_THRESHOLD_SLOWDOWN)": 93,
        "nvmlDeviceGetEnforcedPowerLimit(h(0))": 70000,
        "nvmlDeviceGetEccMode(h(0))": [1, 1],
        "nvmlDeviceGetRetiredPages(h(0), 0)": [],
        "nvmlDeviceGetRemappedRows(h(0))": "NVMLError_NotSupported",
        "nvmlDeviceGetPciInfo(h(0)).busId": "00000000:00:1E.0",
        "nvmlDeviceGetPciInfo(h(0)).busIdLegacy": "0000:00:1E.0",
        "nvmlDeviceGetIndex(nvmlDeviceGetHandleByPciBusId('0:0:1e.0'))": 0,
    },
    "h100x8": {
        "nvmlDeviceGetCount()": 8,
        "nvmlDeviceGetNumFans(h(7))": 0,
        "nvmlDeviceGetTemperatureThreshold(h(0), NVML_TEMPERATURE_THRESHOLD_SLOWDOWN)": "NVMLError_NotSupported",
        # NVML_VALUE_TYPE_SIGNED_INT is 5; as an unsigned number -8 would be 4294967288
        "[v[:3] for v in field(3, 193, 194, 195, 196)]": [[0, 5, -8], [0, 5, -2], [0, 5, 0], [0, 5, 0]],
        "nvmlDeviceGetEnforcedPowerLimit(h(5))": 700000,
        "nvmlDeviceGetMemoryInfo(h(0)).total // 2**20": 81559,
        "nvmlDeviceGetPcieReplayCounter(h(2))": 9,
        "nvmlDeviceGetMinorNumber(h(6))": 6,
        "nvmlDeviceGetRemappedRows(h(0))": [0, 0, 0, 0],
        "nvmlDeviceGetRowRemapperHistogram(h(0)).max": 2560,
        "nvmlDeviceGetMigMode(h(0))": [0, 0],
        "nvmlDeviceGetJpgUtilization(h(0))": [0, 167000],
        "[v[3] for v in field(0, NVML_FI_DEV_GET_GPU_RECOVERY_ACTION)]": [0],
        "[nvmlDeviceGetNvLinkState(h(7), link) for link in range(18)]": [1] * 18,
        "[v[3] for v in field(0, NVML_FI_DEV_NVLINK_SPEED_MBPS_COMMON, NVML_FI_DEV_NVLINK_LINK_COUNT)]": [26562, 18],
        "nvmlDeviceGetInforomVersion(h(0), NVML_INFOROM_ECC)": "7.16",
        "len(nvmlDeviceGetComputeRunningProcesses(h(5)))": 1,
        "nvmlDeviceGetNumaNodeId(h(0))": "NVMLError_NotSupported",
    },
    "h200x8": {
        "nvmlDeviceGetName(h(0))": "NVIDIA H200",
        "nvmlDeviceGetMemoryInfo(h(3)).total // 2**20": 143771,
        "nvmlDeviceGetBAR1MemoryInfo(h(0)).bar1Total // 2**20": 262144,
        "nvmlDeviceGetMaxClockInfo(h(0), NVML_CLOCK_MEM)": 3201,
        "nvmlDeviceGetPcieReplayCounter(h(2))": 0,
        "nvmlDeviceGetRowRemapperHistogram(h(0)).max": 3072,
        "[v[2] for v in field(3, 193, 194, 195, 196)]": [-8, -2, 0, 0],
        "hex(nvmlDeviceGetPciInfo(h(0)).pciDeviceId)": "0x233510de",
    },
    "h100-mig": {
        "nvmlDeviceGetMigMode(h(0))": [1, 1],
        "nvmlDeviceGetUtilizationRates(h(0))": "NVMLError_NotSupported",
        "nvmlDeviceGetNvLinkState(h(0), 0)": "NVMLError_NotSupported",
        "nvmlDeviceGetRemappedRows(h(0))": "NVMLError_NotSupported",
        "nvmlDeviceGetRowRemapperHistogram(h(0))": "NVMLError_NotSupported",
        "[nvmlDeviceGetName(m(0, i))[-7:] for i in range(4)]": ["3g.40gb", "2g.20gb", "1g.10gb", "1g.10gb"],
        "[nvmlDeviceGetAttributes_v2(m(0, i)).multiprocessorCount for i in range(4)]": [60, 32, 16, 16],
        "nvmlDeviceGetVirtualizationMode(h(0))": 1,
    },
    "h100-vm": {
        "[nvmlDeviceGetTemperatureThreshold(h(0), kind) for kind in (0, 1, 2, 3)]": [95, 89, 95, 87],
        "[v[:3] for v in field(0, 193, 194, 195, 196)]": [[0, 5, -8], [0, 5, -2], [0, 5, 0], [0, 5, 0]],
        "nvmlDeviceGetNvLinkState(h(0), 0)": "NVMLError_NotSupported",
        "[v[0] for v in field(0, NVML_FI_DEV_NVLINK_LINK_COUNT)]": [3],
        "nvmlDeviceGetVirtualizationMode(h(0))": 1,
        "nvmlDeviceGetMaxPcieLinkGeneration(h(0))": 5,
        "nvmlDeviceGetSamples(h(0), NVML_PROCESSOR_CLK_SAMPLES, 0)": "NVMLError_NotFound",
    },
    "a100-mig": {
        "nvmlSystemGetDriverVersion()": "535.54.03",
        "nvmlDeviceGetTemperatureThreshold(h(0), NVML_TEMPERATURE_THRESHOLD_MEM_MAX)": 95,
        "[nvmlDeviceGetMemoryInfo(m(0, i)).total // 2**20 for i in range(4)]": [19968] * 4,
        "nvmlDeviceGetMigDeviceHandleByIndex(h(0), 4)": "NVMLError_NotFound",
        "[nvmlDeviceGetGpuInstanceId(m(1, i)) for i in range(7)]": [7, 8, 9, 10, 11, 12, 13],
        "nvmlDeviceGetUtilizationRates(h(1))": "NVMLError_NotSupported",
        "[v[0] for v in field(0, NVML_FI_DEV_GET_GPU_RECOVERY_ACTION, 269)]": [3, 3],
        "nvmlGpmQueryDeviceSupport(h(0)).isSupportedDevice": 0,
    },
    "rtx2080s": {
        "nvmlSystemGetDriverVersion()": "610.57.04",
        "nvmlDeviceGetTemperatureThreshold(h(0), NVML_TEMPERATURE_THRESHOLD_SHUTDOWN)": 100,
        "nvmlDeviceGetPowerManagementLimitConstraints(h(0))": [105000, 350000],
        "nvmlDeviceGetFanSpeed(h(0))": 38,
        "[v[0] for v in field(0, NVML_FI_DEV_POWER_AVERAGE, NVML_FI_DEV_POWER_INSTANT)]": [3, 0],
        "field(0, NVML_FI_DEV_PERF_POLICY_POWER)[0][3] >= 15814235622000": True,
        "nvmlDeviceGetNvLinkState(h(0), 0)": 0,
        "nvmlDeviceGetRemappedRows(h(0))": "NVMLError_NotSupported",
    },
    "rtx3090": {
        "nvmlSystemGetDriverVersion()": "525.147.05",
        "nvmlDeviceGetEnforcedPowerLimit(h(0))": 200000,
        "nvmlDeviceGetPowerManagementDefaultLimit(h(0))": 350000,
        "nvmlDeviceGetTemperatureV(h(0), 0)": "NVMLError_FunctionNotFound",
        "nvmlDeviceGetCurrentClocksEventReasons(h(0))": "NVMLError_FunctionNotFound",
        "nvmlDeviceGetSupportedClocksThrottleReasons(h(0))": 0x1FF,
        "nvmlDeviceGetNumFans(h(0))": 2,
        "nvmlDeviceGetGspFirmwareVersion(h(0))": "NVMLError_NotSupported",
    },
    "a10g": {
        "nvmlSystemGetCudaDriverVersion()": 11070,
        "nvmlDeviceGetNumFans(h(0))": 1,
        "nvmlDeviceGetFanSpeed(h(0))": 0,
        "nvmlDeviceGetRowRemapperHistogram(h(0)).max": 192,
        "nvmlDeviceGetRetiredPages(h(0), 0)": "NVMLError_NotSupported",
        "nvmlDeviceGetEccMode(h(0))": [1, 1],
        "nvmlDeviceGetMaxPcieLinkWidth(h(0)) - nvmlDeviceGetCurrPcieLinkWidth(h(0))": 8,
    },
    "p400": {
        "nvmlSystemGetDriverVersion()": "470.256.02",
        "nvmlDeviceGetPowerUsage(h(0))": "NVMLError_NotSupported",
        "nvmlDeviceGetEnforcedPowerLimit(h(0))": "NVMLError_NotSupported",
        "nvmlDeviceGetMemoryInfo(h(0), version=nvmlMemory_v2)": "NVMLError_FunctionNotFound",
        "nvmlDeviceGetMemoryInfo(h(0)).total // 2**20": 1998,
        "nvmlDeviceGetNumFans(h(0))": "NVMLError_FunctionNotFound",
        "nvmlDeviceGetFanSpeed(h(0)) >= 34": True,
        "nvmlDeviceGetTemperatureThreshold(h(0), NVML_TEMPERATURE_THRESHOLD_SLOWDOWN)": 100,
        "nvmlDeviceGetComputeRunningProcesses(h(0))": "NVMLLibraryMismatchError",
    },
    "vgpu-guest": {
        "nvmlDeviceGetVirtualizationMode(h(0))": 2,
        "nvmlDeviceGetTemperature(h(0), 0)": "NVMLError_NotSupported",
        "nvmlDeviceGetPowerUsage(h(0))": "NVMLError_NotSupported",
        "nvmlDeviceGetFanSpeed(h(0))": "NVMLError_NotSupported",
        "nvmlDeviceGetNumFans(h(0))": "NVMLError_NotSupported",
        "nvmlDeviceGetCurrPcieLinkGeneration(h(0))": "NVMLError_NotSupported",
        "nvmlDeviceGetMemoryInfo(h(0)).total": 2**33,
        "nvmlDeviceGetGridLicensableFeatures(h(0)).gridLicensableFeatures[0].featureState": 5,
    },
    "gb10": {
        "nvmlDeviceGetName(h(0))": "NVIDIA GB10",
        "nvmlDeviceGetMemoryInfo(h(0))": "NVMLError_NotSupported",
        "nvmlDeviceGetMemoryInfo(h(0), version=nvmlMemory_v2)": "NVMLError_NotSupported",
        "nvmlDeviceGetBAR1MemoryInfo(h(0))": "NVMLError_NotSupported",
        "nvmlDeviceGetClockInfo(h(0), NVML_CLOCK_MEM)": "NVMLError_NotSupported",
        "nvmlDeviceGetEnforcedPowerLimit(h(0))": "NVMLError_NotSupported",
        "nvmlDeviceGetNumaNodeId(h(0))": 0,
        "nvmlDeviceGetPciInfo(h(0)).busId": "0000000F:01:00.0",
    },
    "v100": {
        "nvmlDeviceGetArchitecture(h(0)) == NVML_DEVICE_ARCH_VOLTA": True,
        "[len(nvmlDeviceGetRetiredPages(h(0), cause)) for cause in (0, 1)]": [2, 1],
        "nvmlDeviceGetRemappedRows(h(0))": "NVMLError_NotSupported",
        "[nvmlDeviceGetNvLinkState(h(0), link) for link in range(6)]": [1] * 6,
        "nvmlDeviceGetNvLinkState(h(0), 6)": "NVMLError_InvalidArgument",
        "nvmlDeviceGetEnforcedPowerLimit(h(0))": 300000,
    },
    "b200x8": {
        "nvmlDeviceGetMemoryInfo(h(0)).total // 2**20": 183359,
        "nvmlDeviceGetNvLinkVersion(h(0), 17)": 7,
        "nvmlDeviceGetNvLinkErrorCounter(h(0), 0, 0)": "NVMLError_NotSupported",
        "[v[:2] for v in field(7, 202, 208, 220)]": [[0, 3], [0, 3], [3, 1]],
    },
    "a10-vgpu-host": {
        "nvmlDeviceGetVirtualizationMode(h(0))": 3,
        "nvmlDeviceGetActiveVgpus(h(0))": [3251634213, 3251634214],
        "[nvmlVgpuInstanceGetLicenseStatus(v) for v in nvmlDeviceGetActiveVgpus(h(0))]": [1, 0],
        "nvmlVgpuTypeGetName(nvmlVgpuInstanceGetType(3251634213))": "NVIDIA A10-8Q",
        "nvmlDeviceGetNumFans(h(0))": 0,
    },
    "gtx1070ti-r450": {
        "nvmlDeviceGetComputeRunningProcesses_v2(h(0))": "NVMLError_FunctionNotFound",
        "nvmlDeviceGetArchitecture(h(0))": "NVMLError_FunctionNotFound",
        "nvmlDeviceGetFanSpeed(h(0)) >= 34": True,
        "nvmlDeviceGetCurrentClocksThrottleReasons(h(0)) in (0, 1)": True,
    },
}


@pytest.mark.parametrize("profile", PROFILES)
def test_facts_of_the_card(machine: MachineFactory, nvml: ClientFactory, profile: str) -> None:
    ask = nvml(machine(profile, clock=NOON))
    assert {question: ask(question) for question in FACTS[profile]} == FACTS[profile]


def test_every_profile_is_tested(profiles: Path) -> None:
    assert sorted(path.stem for path in profiles.iterdir()) == sorted(PROFILES)


def test_no_process_of_a_profile_is_one_of_the_machine(profiles: Path) -> None:
    """Their PIDs are above the largest of a kernel: else they have the user, age and job of what has this PID here."""
    found = {path.name: re.findall(r"(?m)^\[gpu \d+ process (\d+)\]", path.read_text()) for path in profiles.iterdir()}
    assert found["h100x8.profile"]
    assert {name: low for name, pids in found.items() if (low := [pid for pid in pids if int(pid) <= PID_MAX])} == {}


@pytest.mark.slow
def test_no_two_gpus_share_an_identity(machine: MachineFactory, nvml: ClientFactory) -> None:
    uuids = []
    for profile in PROFILES:
        ask = nvml(machine(profile))
        own = ask("[nvmlDeviceGetUUID(h(i)) for i in range(nvmlDeviceGetCount())]")
        assert len(own) == GPUS[profile]
        uuids += own
        addresses = ask("[nvmlDeviceGetPciInfo(h(i)).busId for i in range(nvmlDeviceGetCount())]")
        if profile != "jetson-orin":  # part of a processor: it has no address
            assert len(set(addresses)) == len(addresses) == GPUS[profile]
        if profile.endswith("-mig"):
            uuids += ask("[nvmlDeviceGetUUID(m(0, i)) for i in range(4)]")
    uuids += nvml(machine("a100-mig"))("[nvmlDeviceGetUUID(m(1, i)) for i in range(7)]")
    assert len(set(uuids)) == len(uuids) == sum(GPUS.values()) + 15
    assert all(re.fullmatch(r"(GPU|MIG)-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", uuid) for uuid in uuids)


# The readings of a GPU at a time: a frozen clock is read from the environment at every call. `of` makes an error None.
READINGS = """[(os.environ.__setitem__("NVML_SIMULATOR_CLOCK", str({start} + 20 * i)), dict(
    gpu=of(lambda: nvmlDeviceGetUtilizationRates(h({gpu})).gpu),
    memory=of(lambda: nvmlDeviceGetUtilizationRates(h({gpu})).memory),
    temperature=of(lambda: nvmlDeviceGetTemperature(h({gpu}), 0)),
    power=of(lambda: nvmlDeviceGetPowerUsage(h({gpu}))),
    clock=of(lambda: nvmlDeviceGetClockInfo(h({gpu}), NVML_CLOCK_SM)),
    max_clock=of(lambda: nvmlDeviceGetMaxClockInfo(h({gpu}), NVML_CLOCK_SM)),
    pstate=of(lambda: nvmlDeviceGetPerformanceState(h({gpu}))),
    limit=of(lambda: nvmlDeviceGetEnforcedPowerLimit(h({gpu}))),
    fans=[nvmlDeviceGetFanSpeed_v2(h({gpu}), f) for f in range(of(lambda: nvmlDeviceGetNumFans(h({gpu}))) or 0)],
    v1=of(lambda: (lambda m: (m.total, m.used, m.free))(nvmlDeviceGetMemoryInfo(h({gpu})))),
    v2=of(lambda: (lambda m: (m.total, m.used, m.free, m.reserved))(
        nvmlDeviceGetMemoryInfo(h({gpu}), version=nvmlMemory_v2))),
    held=sum(p.usedGpuMemory or 0 for p in of(lambda: nvmlDeviceGetComputeRunningProcesses_v2(h({gpu}))) or []),
    instances=sum(of(lambda: nvmlDeviceGetMemoryInfo(m({gpu}, i)).used) or 0 for i in range(7)),
))[1] for i in range({count})]"""


def readings(ask: Any, gpu: int, start: int = NOON, count: int = 180) -> list[dict[str, Any]]:
    answer = ask(READINGS.format(gpu=gpu, start=start, count=count).replace("\n", " "))
    assert isinstance(answer, list), answer
    return answer


# What a card cannot say, of what others can.
LACKS = {
    "h100-mig": {"gpu", "memory"},
    "a100-mig": {"gpu", "memory"},
    "p400": {"power", "limit", "v2"},
    "vgpu-guest": {"temperature", "power", "limit", "max_clock"},
    "gb10": {"limit", "v1", "v2"},
    "gtx1070ti-r450": {"v2"},
    "jetson-orin": {
        "gpu",
        "memory",
        "temperature",
        "power",
        "clock",
        "max_clock",
        "pstate",
        "limit",
        "v1",
        "v2",
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("profile", PROFILES)
def test_values_move_and_hold_together_through_an_hour(
    machine: MachineFactory, nvml: ClientFactory, profile: str
) -> None:
    hour = readings(nvml(machine(profile)), 0)
    assert len(hour) == 180
    for now in hour:
        assert {name for name, value in now.items() if value is None} == LACKS.get(profile, set())
        total, used, free, reserved = now["v2"] or (0, 0, 0, 0)
        assert used + free + reserved == total
        if now["v1"] and now["v2"]:
            assert now["v1"] == [total, used + reserved, free]
            assert now["held"] <= used + 1  # both are rounded
            assert now["instances"] <= used + 1
        assert all(0 <= percent <= 100 for percent in (now["gpu"] or 0, now["memory"] or 0, *now["fans"]))
        assert now["temperature"] is None or 25 <= now["temperature"] <= 80
        assert now["power"] is None or 0 < now["power"] <= (now["limit"] or 200_000)
        assert now["clock"] is None or 0 < now["clock"] <= (now["max_clock"] or 5000)
        assert now["pstate"] is None or 0 <= now["pstate"] <= 15
    moving = {"gpu", "temperature", "power", "clock", "v1"} - LACKS.get(profile, set())
    for reading in moving:
        assert len({str(now[reading]) for now in hour}) > 1, f"{reading} never moves"
    if "temperature" in moving:
        steps = [abs(a["temperature"] - b["temperature"]) for a, b in pairwise(hour)]
        assert max(steps) <= 6, "a temperature does not jump within 20 s"


def test_the_gpus_of_a_node_are_at_different_points_of_the_wave(machine: MachineFactory, nvml: ClientFactory) -> None:
    ask = nvml(machine("h100x8", clock=NOON + 60))
    assert len(set(ask("[nvmlDeviceGetPowerUsage(h(i)) for i in range(8)]"))) > 3


@pytest.mark.parametrize(
    "profile", ["rtx2080s", "rtx3090", "rtx4080s", "t4", "a10g", "h100x8", "h200x8", "h100-mig", "a100-mig"]
)
def test_energy_agrees_with_power(machine: MachineFactory, nvml: ClientFactory, profile: str) -> None:
    ask = nvml(machine(profile))
    question = (
        '[(os.environ.__setitem__("NVML_SIMULATOR_CLOCK", str(1700003601.5 + 10 * i)),'
        " nvmlDeviceGetTotalEnergyConsumption(h(0)), nvmlDeviceGetPowerUsage(h(0)))[1:] for i in range(361)]"
    )
    hour = ask(question)
    energies = [energy for energy, _ in hour]
    assert all(later > earlier for earlier, later in pairwise(energies))
    drawn = sum(power * 10 for _, power in hour[1:])  # mW x s = mJ
    assert energies[-1] - energies[0] == pytest.approx(drawn, rel=0.01)
