"""ECC errors, pages and rows, time lost to throttling, PCIe, modes and sessions, through real pynvml."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import MachineFactory
    from tests.unit.simulator.conftest import ClientFactory

NOON = 1_700_000_000
SRAM = "(lambda s: (nvmlDeviceGetSramEccErrorStatus(h(0), byref(s)), plain(s))[1])(c_nvmlEccSramErrorStatus_v1_t())"


SRAM_KEYS = {
    "aggregateUncParity": "aggregate_unc_parity",
    "aggregateUncSecDed": "aggregate_unc_sec_ded",
    "aggregateCor": "aggregate_cor",
    "volatileUncParity": "volatile_unc_parity",
    "volatileUncSecDed": "volatile_unc_sec_ded",
    "volatileCor": "volatile_cor",
    "aggregateUncBucketL2": "aggregate_unc_l2",
    "aggregateUncBucketSm": "aggregate_unc_sm",
    "aggregateUncBucketPcie": "aggregate_unc_pcie",
    "aggregateUncBucketMcu": "aggregate_unc_mcu",
    "aggregateUncBucketOther": "aggregate_unc_other",
    "bThresholdExceeded": "threshold_exceeded",
}


def test_ecc_totals_by_kind_and_life(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("t4")
    node.set(
        "gpu 0",
        ecc_corrected_volatile=1,
        ecc_corrected_aggregate=2,
        ecc_uncorrected_volatile=3,
        ecc_uncorrected_aggregate=4,
        ecc_mode_pending=0,
    )
    ask = nvml(node)
    assert ask("[nvmlDeviceGetTotalEccErrors(h(0), kind, life) for kind in (0, 1) for life in (0, 1)]") == [1, 2, 3, 4]
    assert ask("nvmlDeviceGetEccMode(h(0))") == [1, 0]
    assert [value[3] for value in ask("field(0, 1, 2, 3, 4, 5, 6)")] == [1, 0, 1, 3, 2, 4]


def test_ecc_by_location(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("h100x8")
    node.set("gpu 2", {"ecc_uncorrected_aggregate.2": 5, "ecc_corrected_volatile.7": 6})
    ask = nvml(node)
    count = "nvmlDeviceGetMemoryErrorCounter(h(2), {}, {}, {})"
    assert ask(count.format(1, 1, "NVML_MEMORY_LOCATION_DEVICE_MEMORY")) == 5
    assert ask(count.format(0, 0, "NVML_MEMORY_LOCATION_SRAM")) == 6
    assert ask(count.format(0, 0, "NVML_MEMORY_LOCATION_DEVICE_MEMORY")) == 0
    assert ask(count.format(0, 0, "NVML_MEMORY_LOCATION_L1_CACHE")) == "NVMLError_NotSupported"
    assert ask(count.format(0, 0, 8)) == "NVMLError_InvalidArgument"
    assert nvml(machine("rtx4080s"))(count.replace("h(2)", "h(0)").format(0, 0, 2)) == "NVMLError_NotSupported"


def test_sram_status_is_for_root(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("h100x8")
    ask = nvml(node)
    assert ask(SRAM) == "NVMLError_NoPermission"
    node.set("machine", root=1)
    for number, key in enumerate(SRAM_KEYS.values(), start=1):
        node.set("gpu 0", {f"sram_{key}": number})
    status = ask(SRAM)
    assert status.pop("version")
    assert status == {member: number for number, member in enumerate(SRAM_KEYS, start=1)}
    assert nvml(machine("t4"))(SRAM) == "NVMLError_NotSupported"


def test_retired_pages_with_their_times(machine: MachineFactory, nvml: ClientFactory) -> None:
    """By ctypes: pynvml 13.615 passes four of the five arguments when it asks for the number."""
    node = machine("t4")
    node.set("gpu 0", retired_pages_sbe=2, retired_pages_pending=1)
    ask = nvml(node)
    raw = (
        "(lambda n, a, t: (pynvml.nvmlLib.nvmlDeviceGetRetiredPages_v2(h(0), 0, byref(n), a, t), n.value,"
        " list(a or []), list(t or [])))(c_uint({room}), {addresses}, {times})"
    )
    assert ask(raw.format(room=0, addresses="None", times="None")) == [7, 2, [], []]
    array = "(c_ulonglong * 2)()"
    assert ask(raw.format(room=1, addresses=array, times=array))[:2] == [7, 2]
    assert ask(raw.format(room=2, addresses=array, times=array)) == [
        *(0, 2),
        [0x10000, 0x20000],
        [1_700_000_000, 1_700_000_001],
    ]
    assert ask("nvmlDeviceGetRetiredPages(h(0), 0)") == [0x10000, 0x20000]
    assert ask("nvmlDeviceGetRetiredPagesPendingStatus(h(0))") == 1


def test_rows_and_recovery(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("h100x8")
    rows = {"remapped_rows_corrected": 4, "remapped_rows_uncorrected": 3}
    rows |= {"remapped_rows_pending": 1, "remapped_rows_failure": 2}
    banks = {"max": 11, "high": 12, "partial": 13, "low": 14, "none": 15}
    node.set("gpu 1", {**rows, **{f"row_remapper_{name}": count for name, count in banks.items()}})
    node.set("gpu 1", gpu_recovery_action=2)
    ask = nvml(node)
    assert ask("nvmlDeviceGetRemappedRows(h(1))") == [4, 3, 1, 2]
    assert ask("plain(nvmlDeviceGetRowRemapperHistogram(h(1)))") == banks
    assert [value[:3] for value in ask("field(1, NVML_FI_DEV_GET_GPU_RECOVERY_ACTION)")] == [[0, 1, 2]]
    assert ask("field(1, 142, 143, 144, 145)") == [[0, 1, n, n] for n in (4, 3, 1, 2)]


POLICIES = {
    "NVML_PERF_POLICY_POWER": ("throttled_sw_power_cap", 74),
    "NVML_PERF_POLICY_THERMAL": ("throttled_thermal", 75),
    "NVML_PERF_POLICY_SYNC_BOOST": ("throttled_sync_boost", 76),
    "NVML_PERF_POLICY_BOARD_LIMIT": ("throttled_board_limit", 77),
    "NVML_PERF_POLICY_LOW_UTILIZATION": ("throttled_low_utilization", 78),
    "NVML_PERF_POLICY_RELIABILITY": ("throttled_reliability", 79),
    "NVML_PERF_POLICY_TOTAL_APP_CLOCKS": ("throttled_app_clocks", 80),
    "NVML_PERF_POLICY_TOTAL_BASE_CLOCKS": ("throttled_base_clocks", 81),
}


def test_time_lost_by_call_and_by_field(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("gtx1070", clock=NOON)
    for number, (key, _) in enumerate(POLICIES.values()):
        node.set("gpu 0", {key: 2**40 + number})
    node.set("gpu 0", throttled_sw_thermal=7, throttled_hw_thermal=8, throttled_hw_power_brake=9)
    ask = nvml(node)
    for number, (policy, (_, field)) in enumerate(POLICIES.items()):
        assert ask(f"plain(nvmlDeviceGetViolationStatus(h(0), {policy}))") == {
            "referenceTime": NOON * 1_000_000,
            "violationTime": 2**40 + number,
        }
        assert ask(f"field(0, {field})")[0][3] == 2**40 + number
    assert [value[3] for value in ask("field(0, 269, 270, 271)")] == [7, 8, 9]
    for wrong in (6, 9, 12):
        assert ask(f"nvmlDeviceGetViolationStatus(h(0), {wrong})") == "NVMLError_InvalidArgument"


def test_event_reasons_under_both_names(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("h100x8")
    node.set("gpu 0", clocks_event_reasons=0x48)
    ask = nvml(node)
    for word in ("Event", "Throttle"):
        assert ask(f"nvmlDeviceGetCurrentClocks{word}Reasons(h(0))") == 0x48
        assert ask(f"nvmlDeviceGetSupportedClocks{word}Reasons(h(0))") == 0x1FF


def test_pcie_throughput_takes_its_time(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("t4")
    node.set("gpu 0", pcie_throughput_tx=11, pcie_throughput_rx=22)
    ask = nvml(node)
    timed = "(lambda t: (nvmlDeviceGetPcieThroughput(h(0), {}), time.monotonic() - t))(time.monotonic())"
    for counter, value in ((0, 11), (1, 22)):
        answer, seconds = ask(timed.format(counter))
        assert answer == value
        assert seconds >= 0.02
    assert ask("nvmlDeviceGetPcieThroughput(h(0), 2)") == "NVMLError_InvalidArgument"


@pytest.mark.parametrize(
    ("question", "key", "value"),
    [
        ("nvmlDeviceGetCurrPcieLinkGeneration(h(0))", "pcie_link_generation", 2),
        ("nvmlDeviceGetCurrPcieLinkWidth(h(0))", "pcie_link_width", 4),
        ("nvmlDeviceGetMaxPcieLinkGeneration(h(0))", "max_pcie_link_generation", 6),
        ("nvmlDeviceGetMaxPcieLinkWidth(h(0))", "max_pcie_link_width", 32),
        ("nvmlDeviceGetGpuMaxPcieLinkGeneration(h(0))", "gpu_max_pcie_link_generation", 7),
        ("nvmlDeviceGetPcieReplayCounter(h(0))", "pcie_replay_counter", 12),
        ("nvmlDeviceGetPersistenceMode(h(0))", "persistence_mode", 1),
        ("nvmlDeviceGetComputeMode(h(0))", "compute_mode", 3),
        ("nvmlDeviceGetDisplayMode(h(0))", "display_mode", 1),
        ("nvmlDeviceGetDisplayActive(h(0))", "display_active", 1),
        ("nvmlDeviceGetAccountingMode(h(0))", "accounting_mode", 1),
        ("nvmlDeviceGetVirtualizationMode(h(0))", "virtualization_mode", 3),
        ("nvmlDeviceGetNumaNodeId(h(0))", "numa_node_id", 4),
        ("nvmlDeviceGetModuleId(h(0))", "module_id", 5),
        ("nvmlDeviceGetBrand(h(0))", "brand", 10),
        ("nvmlDeviceGetArchitecture(h(0))", "architecture", 10),
        ("nvmlDeviceGetMaxMigDeviceCount(h(0))", "max_mig_device_count", 7),
        ("nvmlDeviceGetMaxClockInfo(h(0), NVML_CLOCK_VIDEO)", "max_clock_video", 1234),
        ("nvmlDeviceGetPowerManagementDefaultLimit(h(0))", "power_default_limit", 65000),
        ("field(0, NVML_FI_DEV_POWER_INSTANT)[0][3]", "power_instant", 61000),
        ("field(0, NVML_FI_DEV_POWER_AVERAGE)[0][3]", "power_average", 62000),
        ("field(0, NVML_FI_DEV_MEMORY_TEMP)[0][3]", "memory_temperature", 84),
        ("nvmlDeviceGetBAR1MemoryInfo(h(0)).bar1Used", "bar1_used", 77),
        ("nvmlDeviceGetBAR1MemoryInfo(h(0)).bar1Total", "bar1_total", 2**40),
        ("nvmlDeviceGetBAR1MemoryInfo(h(0)).bar1Free", "bar1_free", 78),
        ("nvmlDeviceGetMarginTemperature(h(0))", "margin_temperature", -3),
        ("nvmlDeviceGetDefaultEccMode(h(0))[0]", "ecc_mode_default", 0),
        ("nvmlDeviceGetNumGpuCores(h(0))", "num_gpu_cores", 9),
        ("nvmlDeviceGetMemoryBusWidth(h(0))", "memory_bus_width", 64),
        ("nvmlDeviceGetMultiGpuBoard(h(0))", "multi_gpu_board", 1),
        ("nvmlDeviceGetPowerSource(h(0))", "power_source", 1),
        ("nvmlDeviceGetPowerManagementMode(h(0))", "power_management_mode", 0),
        ("nvmlDeviceGetPowerState(h(0))", "performance_state", 5),
        ("nvmlDeviceGetDecoderUtilization(h(0))[0]", "decoder_utilization", 33),
        ("nvmlDeviceGetTargetFanSpeed(nvmlDeviceGetHandleByIndex(0), 0)", "fan_speed_target", 44),
        ("nvmlDeviceGetJpgUtilization(h(0))[0]", "jpg_utilization", 31),
        ("nvmlDeviceGetOfaUtilization(h(0))[0]", "ofa_utilization", 32),
        ("nvmlDeviceGetSupportedEventTypes(h(0))", "supported_event_types", 8),
        ("nvmlDeviceGetBoardPartNumber(h(0))", "board_part_number", "900-X"),
        ("nvmlDeviceGetInforomImageVersion(h(0))", "inforom_image_version", "G9"),
        ("nvmlDeviceGetGspFirmwareVersion(h(0)).decode()", "gsp_firmware_version", "999.1"),
        ("nvmlDeviceGetInforomVersion(h(0), NVML_INFOROM_OEM)", "inforom_oem_version", "1.2"),
        ("nvmlDeviceGetInforomVersion(h(0), NVML_INFOROM_ECC)", "inforom_ecc_version", "6.3"),
        ("nvmlDeviceGetInforomVersion(h(0), NVML_INFOROM_POWER)", "inforom_power_version", "4.4"),
        ("nvmlDeviceGetInforomVersion(h(0), 3)", "inforom_den_version", "5.5"),
    ],
)
def test_single_values(machine: MachineFactory, nvml: ClientFactory, question: str, key: str, value: int | str) -> None:
    node = machine("t4")
    node.set("gpu 0", fan_count=1)
    node.set("gpu 0", {key: value})
    ask = nvml(node)
    assert ask(question) == value
    node.set("gpu 0", {key: "!NO_PERMISSION"})
    assert ask(question) == (0 if question.startswith("field") else "NVMLError_NoPermission")


def test_each_fan_by_itself(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("rtx4080s")
    node.set("gpu 0", {"fan_speed_rpm": 900, "fan_speed_rpm.2": 1200})
    node.set("gpu 0", {"fan_speed.1": 33, "fan_speed.2": None, "fan_speed": "10 + scope"})
    ask = nvml(node)
    rpm = "(lambda f: (pynvml.nvmlLib.nvmlDeviceGetFanSpeedRPM(h(0), byref(f)), f.speed))(c_nvmlFanSpeedInfo_t({}, {}))"
    version = "nvmlFanSpeedInfo_v1"
    assert [ask(rpm.format(version, fan)) for fan in range(4)] == [[0, 900], [0, 900], [0, 1200], [2, 0]]
    assert ask("[nvmlDeviceGetFanSpeed_v2(h(0), fan) for fan in range(3)]") == [10, 33, 12]


def test_sessions(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("t4")
    ask = nvml(node)
    assert ask("nvmlDeviceGetEncoderSessions(h(0)) + nvmlDeviceGetFBCSessions(h(0))") == []
    node.set("gpu 0", encoder_sessions=2, encoder_average_fps=60, encoder_average_latency=900)
    node.set("gpu 0", fbc_sessions=1, fbc_average_fps=30, fbc_average_latency=700)
    assert ask("nvmlDeviceGetEncoderStats(h(0))") == [2, 60, 900]
    sessions = ask("[list(plain(s).values()) for s in nvmlDeviceGetEncoderSessions(h(0))]")
    assert sessions == [[number, 0, 0, 0, 1920, 1080, 60, 900] for number in (1, 2)]
    assert list(ask("plain(nvmlDeviceGetFBCStats(h(0)))").values()) == [1, 30, 700]
    (session,) = ask("[plain(s) for s in nvmlDeviceGetFBCSessions(h(0))]")
    assert (session["hResolution"], session["averageFPS"], session["averageLatency"]) == (1920, 30, 700)
    assert nvml(machine("gb10"))("nvmlDeviceGetEncoderStats(h(0))") == [0, 0, 0]
