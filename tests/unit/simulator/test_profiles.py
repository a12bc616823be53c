"""Each profile, read by real pynvml: what the card has, what it lacks, and that its values hold together."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MachineFactory
    from tests.unit.simulator.conftest import ClientFactory

NOON = 1_700_000_000
PROFILES = ("gtx1070", "rtx4080s", "t4", "h100x8")

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
    },
}


@pytest.mark.parametrize("profile", PROFILES)
def test_facts_of_the_card(machine: MachineFactory, nvml: ClientFactory, profile: str) -> None:
    ask = nvml(machine(profile, clock=NOON))
    assert {question: ask(question) for question in FACTS[profile]} == FACTS[profile]


def test_every_profile_is_tested(profiles: Path) -> None:
    assert sorted(path.stem for path in profiles.iterdir()) == sorted(PROFILES)


def test_no_two_gpus_share_an_identity(machine: MachineFactory, nvml: ClientFactory) -> None:
    uuids = []
    for profile in PROFILES:
        ask = nvml(machine(profile))
        uuids += ask("[nvmlDeviceGetUUID(h(i)) for i in range(nvmlDeviceGetCount())]")
        addresses = ask("[nvmlDeviceGetPciInfo(h(i)).busId for i in range(nvmlDeviceGetCount())]")
        assert len(set(addresses)) == len(addresses)
    assert len(set(uuids)) == len(uuids) == 11
    assert all(len(uuid) == 40 for uuid in uuids)


# The readings of a GPU at a time: a frozen clock is read from the environment at every call.
READINGS = """[(os.environ.__setitem__("NVML_SIMULATOR_CLOCK", str({start} + 20 * i)), dict(
    gpu=nvmlDeviceGetUtilizationRates(h({gpu})).gpu,
    memory=nvmlDeviceGetUtilizationRates(h({gpu})).memory,
    temperature=nvmlDeviceGetTemperatureV(h({gpu}), 0),
    power=nvmlDeviceGetPowerUsage(h({gpu})),
    clock=nvmlDeviceGetClockInfo(h({gpu}), NVML_CLOCK_SM),
    max_clock=nvmlDeviceGetMaxClockInfo(h({gpu}), NVML_CLOCK_SM),
    pstate=nvmlDeviceGetPerformanceState(h({gpu})),
    limit=nvmlDeviceGetEnforcedPowerLimit(h({gpu})),
    fans=[nvmlDeviceGetFanSpeed_v2(h({gpu}), fan) for fan in range(nvmlDeviceGetNumFans(h({gpu})))],
    v1=(lambda m: (m.total, m.used, m.free))(nvmlDeviceGetMemoryInfo(h({gpu}))),
    v2=(lambda m: (m.total, m.used, m.free, m.reserved))(nvmlDeviceGetMemoryInfo(h({gpu}), version=nvmlMemory_v2)),
))[1] for i in range({count})]"""


def readings(ask: Any, gpu: int, start: int = NOON, count: int = 180) -> list[dict[str, Any]]:
    answer = ask(READINGS.format(gpu=gpu, start=start, count=count).replace("\n", " "))
    assert isinstance(answer, list), answer
    return answer


@pytest.mark.parametrize("profile", PROFILES)
def test_values_move_and_hold_together_through_an_hour(
    machine: MachineFactory, nvml: ClientFactory, profile: str
) -> None:
    hour = readings(nvml(machine(profile)), 0)
    assert len(hour) == 180
    for now in hour:
        total, used, free, reserved = now["v2"]
        assert used + free + reserved == total
        assert now["v1"] == [total, used + reserved, free]
        assert all(0 <= percent <= 100 for percent in (now["gpu"], now["memory"], *now["fans"]))
        assert 35 <= now["temperature"] <= 80
        assert 0 < now["power"] <= now["limit"]
        assert 0 < now["clock"] <= now["max_clock"]
        assert 0 <= now["pstate"] <= 15
    for reading in ("gpu", "memory", "temperature", "power", "clock", "v2"):
        assert len({str(now[reading]) for now in hour}) > 1, f"{reading} never moves"
    steps = [abs(a["temperature"] - b["temperature"]) for a, b in pairwise(hour)]
    assert max(steps) <= 6, "a temperature does not jump within 20 s"


def test_the_gpus_of_a_node_are_at_different_points_of_the_wave(machine: MachineFactory, nvml: ClientFactory) -> None:
    ask = nvml(machine("h100x8", clock=NOON + 60))
    assert len(set(ask("[nvmlDeviceGetPowerUsage(h(i)) for i in range(8)]"))) > 3


@pytest.mark.parametrize("profile", ["rtx4080s", "t4", "h100x8"])
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
