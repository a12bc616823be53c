"""What the collector says of each simulated machine, held against files that a person has read, and against pynvml."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.golden.documents import PROFILES, REWRITE, frozen, orphans, path_of
from tests.unit.collector.collector import CLOCK, collect, get, python
from zbx_nvidia.catalog.metrics import GPU_METRICS, GPU_READERS
from zbx_nvidia.catalog.sampled import BUFFERED_METRICS, BUFFERED_READERS, SERVICE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MachineFactory

# NVML's own words and units, one line for each key of the document; a call that fails says so by its exception's name.
# Not a line of this is taken from the driver part of the package: it is the other opinion.
WITNESS = r"""
import json
from ctypes import CDLL, c_uint
from pynvml import *

def field(handle, number):
    (value,) = nvmlDeviceGetFieldValues(handle, [number])
    if value.nvmlReturn:
        raise NVMLError(value.nvmlReturn)
    return {
        NVML_VALUE_TYPE_SIGNED_INT: value.value.siVal,
        NVML_VALUE_TYPE_UNSIGNED_INT: value.value.uiVal,
        NVML_VALUE_TYPE_UNSIGNED_LONG_LONG: value.value.ullVal,
    }[value.valueType]

def either(*questions):
    for question in questions[:-1]:
        try:
            return question()
        except (NVMLError_NotSupported, NVMLError_FunctionNotFound):
            pass
    return questions[-1]()

def reason(bit):
    return lambda h: int(nvmlDeviceGetCurrentClocksThrottleReasons(h) & bit == bit)

def ecc(kind, span):
    return lambda h: nvmlDeviceGetTotalEccErrors(h, kind, span)

def links(handle):
    count = field(handle, 91)
    if count == 0:
        raise NVMLError(NVML_ERROR_NOT_SUPPORTED)
    return count

def up(handle):
    return sum(either(lambda: nvmlDeviceGetNvLinkState(handle, link), lambda: 0) for link in range(links(handle)))

def down(handle):
    states = [either(lambda: nvmlDeviceGetNvLinkState(handle, link), lambda: 0) for link in range(links(handle))]
    return ", ".join(str(link) for link, state in enumerate(states) if not state)

def platform(handle):
    info = c_nvmlPlatformInfo_v2_t()
    nvmlDeviceGetPlatformInfo(handle, byref(info))
    return info

def remapped(handle):
    rows = nvmlDeviceGetRemappedRows(handle)
    if not any(rows):
        try:
            nvmlDeviceGetRowRemapperHistogram(handle)
        except NVMLError_FunctionNotFound:
            pass
    return rows

def scoped(handle, number, scope):
    (value,) = nvmlDeviceGetFieldValues(handle, [(number, scope)])
    if value.nvmlReturn:
        raise NVMLError(value.nvmlReturn)
    return value.value.uiVal

def speeds(handle):
    # Of the links that are up.
    found = {}
    for link in range(links(handle)):
        if either(lambda: nvmlDeviceGetNvLinkState(handle, link), lambda: 0):
            found[link] = 1_000_000 * scoped(handle, 164, link)
    if not found:
        raise NVMLError(NVML_ERROR_NOT_SUPPORTED)
    return found

def cluster(handle):
    info = fabric(handle)
    if not any(info.clusterUuid):
        raise NVMLError(NVML_ERROR_NOT_SUPPORTED)
    return info

def health(handle):
    info = c_nvmlGpuFabricInfo_v3_t()
    nvmlDeviceGetGpuFabricInfoV(handle, byref(info))
    if not info.healthMask and not info.healthSummary:
        raise NVMLError(NVML_ERROR_NOT_SUPPORTED)
    return info

def fabric(handle):
    info = c_nvmlGpuFabricInfo_v2_t()
    nvmlDeviceGetGpuFabricInfoV(handle, byref(info))
    if info.state & 255 == 0:
        links(handle)
    return info

def in_slot(handle):
    # Not passed through to a virtual machine, nor a vGPU: of the slot nothing is known there.
    if nvmlDeviceGetVirtualizationMode(handle) in (1, 2):
        raise NVMLError(NVML_ERROR_NOT_SUPPORTED)
    return True

def threshold(kind):
    return lambda h: nvmlDeviceGetTemperatureThreshold(h, kind)


def memory(handle):
    try:
        return nvmlDeviceGetMemoryInfo(handle, version=nvmlMemory_v2)
    except NVMLError_FunctionNotFound:  # r510
        return nvmlDeviceGetMemoryInfo(handle)

def per_link(handle, field):
    # NVLink 5 counts for each link alone; a link that is down has no count.
    values = nvmlDeviceGetFieldValues(handle, [(field, link) for link in range(links(handle))])
    if all(value.nvmlReturn for value in values):
        raise NVMLError(values[0].nvmlReturn)
    return sum(value.value.ullVal for value in values if not value.nvmlReturn)

def located(kind, span, location):
    return lambda h: nvmlDeviceGetMemoryErrorCounter(h, kind, span, location)

def unrepairable(handle):
    flag = c_uint(77)
    code = getattr(CDLL("libnvidia-ml.so.1"), "nvmlDeviceGetUnrepairableMemoryFlag_v1")(handle, byref(flag))
    if code:
        raise NVMLError(code)
    return flag.value

def revolutions(handle):
    # The fastest; the simulated cards turn all their fans alike.
    fans(handle)
    return nvmlDeviceGetFanSpeedRPM(handle)

def licenses(handle):
    if nvmlDeviceGetVirtualizationMode(handle) != 2:
        raise NVMLError(NVML_ERROR_NOT_SUPPORTED)
    return nvmlDeviceGetGridLicensableFeatures(handle).gridLicensableFeatures[0]

def processes(handle):
    # Each as nvidia-smi lists it.
    found = {}
    for letter, ask in (
        ("C", nvmlDeviceGetComputeRunningProcesses),
        ("G", nvmlDeviceGetGraphicsRunningProcesses),
        ("M", nvmlDeviceGetMPSComputeRunningProcesses),
    ):
        try:
            listed = ask(handle)
        except NVMLLibraryMismatchError:  # r450
            raise NVMLError(NVML_ERROR_FUNCTION_NOT_FOUND)
        for process in listed:
            one = found.setdefault(process.pid, {"pid": process.pid, "types": [], "memory": process.usedGpuMemory})
            one["types"].append(letter)
            one["name"] = nvmlSystemGetProcessName(process.pid)
    return list(found.values())

def fans(handle):
    try:
        count = nvmlDeviceGetNumFans(handle)
    except NVMLError_FunctionNotFound:  # r510
        return [nvmlDeviceGetFanSpeed(handle)]
    return [nvmlDeviceGetFanSpeed_v2(handle, fan) for fan in range(count)]

def samples(buffer, made, divisor=1):
    # In the document's units.
    def ask(handle):
        try:
            kind, found = nvmlDeviceGetSamples(handle, buffer, 0)
        except NVMLError_NotFound:  # announced, but never there
            raise NVMLError(NVML_ERROR_NOT_SUPPORTED)
        assert kind == NVML_VALUE_TYPE_UNSIGNED_INT
        return made([sample.sampleValue.uiVal / divisor for sample in found])
    return ask

def mean(values):
    return round(sum(values) / len(values), 2)

def nineteen_of_twenty(values):
    return min(value for value in values if sum(other <= value for other in values) >= 0.95 * len(values))

ASK = {
    "name": lambda h: nvmlDeviceGetName(h),
    "index": lambda h: nvmlDeviceGetIndex(h),
    "uuid": lambda h: nvmlDeviceGetUUID(h),
    "pci": lambda h: nvmlDeviceGetPciInfo_v3(h).busId,
    "serial": lambda h: nvmlDeviceGetSerial(h),
    "vbios": lambda h: nvmlDeviceGetVbiosVersion(h),
    "utilization": lambda h: nvmlDeviceGetUtilizationRates(h).gpu,
    "utilization_memory": lambda h: nvmlDeviceGetUtilizationRates(h).memory,
    "utilization_encoder": lambda h: nvmlDeviceGetEncoderUtilization(h)[0],
    "utilization_decoder": lambda h: nvmlDeviceGetDecoderUtilization(h)[0],
    "memory_total": lambda h: memory(h).total,
    "memory_used": lambda h: memory(h).used,
    "memory_free": lambda h: memory(h).free,
    "memory_reserved": lambda h: memory(h).reserved,
    "temperature": lambda h: nvmlDeviceGetTemperature(h, NVML_TEMPERATURE_GPU),
    "temperature_slowdown": lambda h: nvmlDeviceGetTemperatureThreshold(h, NVML_TEMPERATURE_THRESHOLD_SLOWDOWN),
    "temperature_shutdown": lambda h: nvmlDeviceGetTemperatureThreshold(h, NVML_TEMPERATURE_THRESHOLD_SHUTDOWN),
    "temperature_margin": lambda h: nvmlDeviceGetMarginTemperature(h),
    "temperature_slowdown_margin": lambda h: field(h, 194),
    "temperature_shutdown_margin": lambda h: field(h, 193),
    "fan_speed": lambda h: fans(h),
    "power": lambda h: nvmlDeviceGetPowerUsage(h),
    "power_limit": lambda h: nvmlDeviceGetEnforcedPowerLimit(h),
    "energy": lambda h: nvmlDeviceGetTotalEnergyConsumption(h),
    "clock_sm": lambda h: nvmlDeviceGetClockInfo(h, NVML_CLOCK_SM),
    "clock_memory": lambda h: nvmlDeviceGetClockInfo(h, NVML_CLOCK_MEM),
    "clock_graphics": lambda h: nvmlDeviceGetClockInfo(h, NVML_CLOCK_GRAPHICS),
    "clock_video": lambda h: nvmlDeviceGetClockInfo(h, NVML_CLOCK_VIDEO),
    "performance_state": lambda h: nvmlDeviceGetPowerState(h),
    "board_part_number": lambda h: nvmlDeviceGetBoardPartNumber(h),
    "inforom": lambda h: nvmlDeviceGetInforomImageVersion(h),
    "gsp_firmware": lambda h: nvmlDeviceGetGspFirmwareVersion(h).decode(),
    "numa_node": lambda h: nvmlDeviceGetNumaNodeId(h),
    "utilization_jpeg": lambda h: nvmlDeviceGetJpgUtilization(h)[0],
    "utilization_ofa": lambda h: nvmlDeviceGetOfaUtilization(h)[0],
    "bar1_total": lambda h: nvmlDeviceGetBAR1MemoryInfo(h).bar1Total,
    "bar1_used": lambda h: nvmlDeviceGetBAR1MemoryInfo(h).bar1Used,
    "temperature_memory": lambda h: field(h, 82),
    "temperature_memory_max": threshold(NVML_TEMPERATURE_THRESHOLD_MEM_MAX),
    "temperature_max": threshold(NVML_TEMPERATURE_THRESHOLD_GPU_MAX),
    "power_instant": lambda h: field(h, 186),
    "power_limit_requested": lambda h: nvmlDeviceGetPowerManagementLimit(h),
    "power_limit_default": lambda h: nvmlDeviceGetPowerManagementDefaultLimit(h),
    "power_limit_min": lambda h: nvmlDeviceGetPowerManagementLimitConstraints(h)[0],
    "power_limit_max": lambda h: nvmlDeviceGetPowerManagementLimitConstraints(h)[1],
    "clock_sm_max": lambda h: nvmlDeviceGetMaxClockInfo(h, NVML_CLOCK_SM),
    "clock_memory_max": lambda h: nvmlDeviceGetMaxClockInfo(h, NVML_CLOCK_MEM),
    "clock_graphics_max": lambda h: nvmlDeviceGetMaxClockInfo(h, NVML_CLOCK_GRAPHICS),
    "clock_video_max": lambda h: nvmlDeviceGetMaxClockInfo(h, NVML_CLOCK_VIDEO),
    "throttle_sw_power_cap": reason(0x4),
    "throttle_hw_slowdown": reason(0x8),
    "throttle_sync_boost": reason(0x10),
    "throttle_sw_thermal": reason(0x20),
    "throttle_hw_thermal": reason(0x40),
    "throttle_power_brake": reason(0x80),
    "throttle_time_power": lambda h: either(
        lambda: field(h, 74), lambda: nvmlDeviceGetViolationStatus(h, NVML_PERF_POLICY_POWER).violationTime),
    "throttle_time_sw_thermal": lambda h: field(h, 269),
    "throttle_time_hw_thermal": lambda h: either(
        lambda: field(h, 270), lambda: field(h, 75),
        lambda: nvmlDeviceGetViolationStatus(h, NVML_PERF_POLICY_THERMAL).violationTime),
    "throttle_time_power_brake": lambda h: field(h, 271),
    "ecc_mode": lambda h: nvmlDeviceGetEccMode(h)[0],
    "ecc_corrected_volatile": ecc(0, 0),
    "ecc_corrected_aggregate": ecc(0, 1),
    "ecc_uncorrected_volatile": ecc(1, 0),
    "ecc_uncorrected_aggregate": ecc(1, 1),
    "retired_pages_single": lambda h: len(nvmlDeviceGetRetiredPages(h, 0)),
    "retired_pages_double": lambda h: len(nvmlDeviceGetRetiredPages(h, 1)),
    "retired_pages_pending": lambda h: nvmlDeviceGetRetiredPagesPendingStatus(h),
    "remapped_corrected": lambda h: remapped(h)[0],
    "remapped_uncorrected": lambda h: remapped(h)[1],
    "remap_pending": lambda h: remapped(h)[2],
    "remap_failure": lambda h: remapped(h)[3],
    "spare_rows_max": lambda h: nvmlDeviceGetRowRemapperHistogram(h).max,
    "spare_rows_high": lambda h: nvmlDeviceGetRowRemapperHistogram(h).high,
    "spare_rows_partial": lambda h: nvmlDeviceGetRowRemapperHistogram(h).partial,
    "spare_rows_low": lambda h: nvmlDeviceGetRowRemapperHistogram(h).low,
    "spare_rows_none": lambda h: nvmlDeviceGetRowRemapperHistogram(h).none,
    "pcie_generation": lambda h: nvmlDeviceGetCurrPcieLinkGeneration(h),
    "pcie_generation_max": lambda h: in_slot(h) and nvmlDeviceGetMaxPcieLinkGeneration(h),
    "pcie_width": lambda h: nvmlDeviceGetCurrPcieLinkWidth(h),
    "pcie_width_max": lambda h: in_slot(h) and nvmlDeviceGetMaxPcieLinkWidth(h),
    "pcie_replays": lambda h: nvmlDeviceGetPcieReplayCounter(h),
    "nvlink_up": up,
    "nvlink_links": links,
    "nvlink_down": down,
    "module_id": lambda h: nvmlDeviceGetModuleId(h),
    "chassis_serial": lambda h: platform(h).chassisSerialNumber,
    "chassis_slot": lambda h: ord(platform(h).slotNumber),
    "tray": lambda h: ord(platform(h).trayIndex),
    "nvlink_sent": lambda h: either(lambda: per_link(h, 202) / 1024, lambda: field(h, (138, 0xFFFFFFFF))),
    "nvlink_received": lambda h: either(lambda: per_link(h, 204) / 1024, lambda: field(h, (139, 0xFFFFFFFF))),
    "nvlink_replays": lambda h: field(h, 52),
    "nvlink_recoveries": lambda h: either(lambda: per_link(h, 215), lambda: field(h, 59)),
    "nvlink_receive_errors": lambda h: per_link(h, 208),
    "nvlink_effective_errors": lambda h: per_link(h, 219),
    "nvlink_recoveries_failed": lambda h: per_link(h, 214),
    "nvlink_crc": lambda h: field(h, 38) + field(h, 45),
    "fabric_state": lambda h: fabric(h).state & 255,
    "fabric_status": lambda h: fabric(h).status,
    "fabric_health": lambda h: health(h).healthSummary,
    "fabric_faults": lambda h: {0x1AA: ""}[health(h).healthMask],
    "fabric_clique": lambda h: cluster(h).cliqueId,
    "fabric_cluster": lambda h: str(__import__("uuid").UUID(bytes=bytes(cluster(h).clusterUuid))),
    "nvlink_speed": lambda h: min(speeds(h).values()),
    "nvlink_slow": lambda h: {value: "" for value in (25781000000, 26562000000, 53125000000)}[min(speeds(h).values())],
    "pdi": lambda h: hex(nvmlDeviceGetPdi(h)),
    "power_memory": lambda h: scoped(h, 185, 2),
    "repair_channel_pending": lambda h: nvmlDeviceGetRepairStatus(h)[0],
    "repair_tpc_pending": lambda h: nvmlDeviceGetRepairStatus(h)[1],
    "recovery_action": lambda h: field(h, 230),
    "temperature_max_margin": lambda h: field(h, 196),
    "temperature_memory_max_margin": lambda h: field(h, 195),
    "fan_rpm": revolutions,
    "power_average": lambda h: field(h, 185),
    "ecc_sram_corrected_volatile": located(0, 0, 7),
    "ecc_sram_corrected_aggregate": located(0, 1, 7),
    "ecc_sram_uncorrected_volatile": located(1, 0, 7),
    "ecc_sram_uncorrected_aggregate": located(1, 1, 7),
    "ecc_dram_corrected_volatile": located(0, 0, 2),
    "ecc_dram_corrected_aggregate": located(0, 1, 2),
    "ecc_dram_uncorrected_volatile": located(1, 0, 2),
    "ecc_dram_uncorrected_aggregate": located(1, 1, 2),
    "memory_unrepairable": unrepairable,
    "display_mode": lambda h: nvmlDeviceGetDisplayMode(h),
    "virtualization_mode": lambda h: nvmlDeviceGetVirtualizationMode(h),
    "vgpus": lambda h: len(nvmlDeviceGetActiveVgpus(h)),
    "license_state": lambda h: licenses(h).featureState,
    "license_product": lambda h: licenses(h).productName,
    "cc_feature": lambda h: nvmlSystemGetConfComputeState().ccFeature,
    "cc_environment": lambda h: nvmlSystemGetConfComputeState().environment,
    "cc_dev_tools": lambda h: nvmlSystemGetConfComputeState().devToolsMode,
    "protected_total": lambda h: nvmlDeviceGetConfComputeProtectedMemoryUsage(h).total,
    "protected_used": lambda h: nvmlDeviceGetConfComputeProtectedMemoryUsage(h).used,
    "processes": lambda h: len(processes(h)),
    "process_list": processes,
    "persistence_mode": lambda h: nvmlDeviceGetPersistenceMode(h),
    "compute_mode": lambda h: nvmlDeviceGetComputeMode(h),
    "mig_mode": lambda h: nvmlDeviceGetMigMode(h)[0],
    "display_active": lambda h: nvmlDeviceGetDisplayActive(h),
    "accounting_mode": lambda h: nvmlDeviceGetAccountingMode(h),
    "encoder_sessions": lambda h: nvmlDeviceGetEncoderStats(h)[0],
    "encoder_fps": lambda h: nvmlDeviceGetEncoderStats(h)[1],
    "encoder_latency": lambda h: nvmlDeviceGetEncoderStats(h)[2],
    "capture_sessions": lambda h: nvmlDeviceGetFBCStats(h).sessionsCount,
    "capture_fps": lambda h: nvmlDeviceGetFBCStats(h).averageFPS,
    "capture_latency": lambda h: nvmlDeviceGetFBCStats(h).averageLatency,
    "sampled_utilization_peak": samples(NVML_GPU_UTILIZATION_SAMPLES, max),
    "sampled_utilization_average": samples(NVML_GPU_UTILIZATION_SAMPLES, mean),
    "sampled_utilization_p95": samples(NVML_GPU_UTILIZATION_SAMPLES, nineteen_of_twenty),
    "sampled_power_peak": samples(NVML_TOTAL_POWER_SAMPLES, max, 1000),
    "sampled_power_average": samples(NVML_TOTAL_POWER_SAMPLES, mean, 1000),
    "sampled_power_p95": samples(NVML_TOTAL_POWER_SAMPLES, nineteen_of_twenty, 1000),
    "sampled_clock_sm_peak": samples(NVML_PROCESSOR_CLK_SAMPLES, max, 1e-6),
    "sampled_clock_sm_average": samples(NVML_PROCESSOR_CLK_SAMPLES, mean, 1e-6),
    "sampled_clock_sm_p95": samples(NVML_PROCESSOR_CLK_SAMPLES, nineteen_of_twenty, 1e-6),
}

def ask(handle, question):
    try:
        return question(handle)
    except NVMLError as error:
        return type(error).__name__
    except AttributeError:  # the older structure has no such field
        return "NVMLError_FunctionNotFound"

nvmlInit()
handles = [nvmlDeviceGetHandleByIndex(index) for index in range(nvmlDeviceGetCount())]
host = {
    "driver_version": nvmlSystemGetDriverVersion(),
    "nvml_version": nvmlSystemGetNVMLVersion(),
    "cuda_version": nvmlSystemGetCudaDriverVersion(),
    "gpu_count": len(handles),
}
print(json.dumps([host, [{key: ask(handle, question) for key, question in ASK.items()} for handle in handles]]))
"""
# What a value has to be multiplied or divided by, by the unit that the document has it in.
DIVISORS = {"W": 1000, "J": 1000}  # mW, mJ
FACTORS = {"Hz": 1_000_000}  # MHz
NANO, MICRO = 1_000_000_000, 1_000_000
# Numbers in NVML; the golden documents are read by a person. And what /proc says: chance, on this machine.
WORDS = {"architecture", "brand", "process_oldest", "job", "job_since"}


@pytest.mark.parametrize("profile", PROFILES)
def test_document_is_the_golden_one(machine: MachineFactory, profile: str) -> None:
    now = frozen(get(machine(profile, clock=CLOCK).env).document)
    golden = path_of(profile)
    assert golden.exists(), f"{golden} is missing: run {REWRITE} and review it"
    assert now == golden.read_text(), f"{golden} differs: run {REWRITE} and review the difference"


@pytest.mark.parametrize("profile", PROFILES)
def test_document_of_the_links_is_the_golden_one(machine: MachineFactory, profile: str) -> None:
    document = collect(machine(profile, clock=CLOCK).env, command="links").document
    golden = path_of(profile, links=True)
    if document["links"]:
        assert frozen(document) == golden.read_text(), f"{golden} differs: run {REWRITE} and review the difference"
    else:
        assert not golden.exists()


def test_no_golden_document_of_a_machine_that_is_no_more(tmp_path: Path) -> None:
    assert PROFILES, "no profiles: no test here tests anything"
    assert orphans() == [], f"run {REWRITE}"
    (tmp_path / "gtx680.json").touch()
    assert orphans(PROFILES, tmp_path) == [tmp_path / "gtx680.json"]


@pytest.mark.parametrize("profile", PROFILES)
def test_readings_are_those_of_pynvml(machine: MachineFactory, profile: str) -> None:
    same = machine(profile, clock=CLOCK)
    document = collect(same.env).document
    host, gpus = json.loads(python(WITNESS, same.env))

    said = document["host"]
    major, minor = said["cuda_version"].split(".")
    assert host["cuda_version"] == 1000 * int(major) + 10 * int(minor)
    assert {key: said[key] for key in ("driver_version", "nvml_version", "gpu_count")} == {
        key: host[key] for key in ("driver_version", "nvml_version", "gpu_count")
    }
    assert list(document["gpus"]) == list(document["presence"]) == [gpu["uuid"] for gpu in gpus]
    for gpu in gpus:
        fans = gpu["fan_speed"]
        expected = {key: converted(key, value) for key, value in gpu.items() if given(value)}
        if "memory_total" in expected:
            expected["memory_used_percent"] = round(100 * gpu["memory_used"] / gpu["memory_total"], 2)
            reserved = expected.get("memory_reserved", 0)
            assert expected["memory_total"] == expected["memory_used"] + expected["memory_free"] + reserved
        if {"power", "power_limit"} <= expected.keys():
            expected["power_percent"] = round(100 * gpu["power"] / gpu["power_limit"], 2)
        if {"temperature_margin", "temperature_slowdown_margin"} <= expected.keys():
            left = expected["temperature_margin"] - expected["temperature_slowdown_margin"]
            expected["temperature_headroom"] = left
        elif {"temperature", "temperature_slowdown"} <= expected.keys():
            expected["temperature_headroom"] = expected["temperature_slowdown"] - expected["temperature"]
        found = {key: value for key, value in document["gpus"][gpu["uuid"]].items() if key not in WORDS}
        listed = found.pop("process_list", [])
        assert [(one["pid"], one["type"], one.get("memory")) for one in listed] == [
            (one["pid"], "+".join(one["types"]), one["memory"]) for one in expected.pop("process_list", [])
        ]
        if isinstance(gpu["process_list"], list):
            programs = [one["name"].split()[0].rpartition("/")[2] for one in gpu["process_list"]]
            assert [one["name"] for one in listed] == programs
        assert found == expected
        if isinstance(fans, list) and len(fans) > 1:
            assert [document["fans"][f"{gpu['uuid']}/{fan}"]["speed"] for fan in range(len(fans))] == fans


def given(value: Any) -> bool:
    """Whether NVML gave a value: a passively cooled card has no fans to list."""
    if isinstance(value, str) and value.startswith("NVMLError"):
        assert value in {"NVMLError_NotSupported", "NVMLError_FunctionNotFound", "NVMLError_Deprecated"}
        return False
    return bool(value != [])


def converted(key: str, value: Any) -> Any:
    if key.startswith("sampled_"):
        return value
    (unit,) = (metric.unit for metric in GPU_METRICS if metric.key == key)
    if unit == "s":
        return value / (MICRO if key.endswith("latency") else NANO)
    if unit in DIVISORS:
        return value / DIVISORS[unit]
    if key in {"nvlink_sent", "nvlink_received"}:
        return value * 1024
    return max(value) if key == "fan_speed" else value * FACTORS.get(unit, 1)


@pytest.mark.parametrize("profile", PROFILES)
def test_readings_of_one_reader_are_there_or_lacking_together(machine: MachineFactory, profile: str) -> None:
    answer = collect(machine(profile, clock=CLOCK).env)
    assert answer.errors == []
    for index, gpu in answer.by_index.items():
        served, lacks = set(), answer.lacks(index)
        assert answer.rows[index]["{#LACKS}"][0] == answer.rows[index]["{#LACKS}"][-1] == ","
        for reader in (*GPU_READERS, *BUFFERED_READERS):
            keys = {metric.key for metric in (*GPU_METRICS, *BUFFERED_METRICS) if metric.reader == reader}
            assert keys <= gpu.keys() or not keys & gpu.keys(), f"{reader} is there in part"
            if keys <= gpu.keys():
                served.add(reader)
        assert not served & lacks, f"{served & lacks} are there and lacking"
        # /proc shows no PID of a profile.
        known = served | lacks | {"process_oldest", "job"}
        assert known == {*GPU_READERS, *BUFFERED_READERS, SERVICE}, "neither there nor lacking"


def test_machines_differ_in_what_they_lack(machine: MachineFactory) -> None:
    """Else the test above would pass on machines that lack nothing."""
    lacks = {profile: collect(machine(profile, clock=CLOCK).env).lacks() for profile in PROFILES}
    assert "energy" in lacks["gtx1070"]
    assert "serial" in lacks["gtx1070"]
    assert "fan_speed" in lacks["t4"]
    assert "temperature_slowdown" in lacks["h100x8"]
    assert "temperature_margin" not in lacks["h100x8"]
