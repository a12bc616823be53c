"""What the collector says of each simulated machine, held against files that a person has read, and against pynvml."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.golden.documents import PROFILES, REWRITE, frozen, orphans, path_of
from tests.unit.agent.collector import CLOCK, get, python
from zbx_nvidia.catalog.metrics import GPU_METRICS, GPU_READERS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MachineFactory

# NVML's own words and units, one line for each key of the document; a call that fails says so by its exception's name.
# Not a line of this is taken from the driver part of the package: it is the other opinion.
WITNESS = r"""
import json
from pynvml import *

def field(handle, number):
    (value,) = nvmlDeviceGetFieldValues(handle, [number])
    if value.nvmlReturn:
        raise NVMLError(value.nvmlReturn)
    assert value.valueType == NVML_VALUE_TYPE_SIGNED_INT
    return value.value.siVal

def memory(handle):
    try:
        return nvmlDeviceGetMemoryInfo(handle, version=nvmlMemory_v2)
    except NVMLError_FunctionNotFound:  # r510
        return nvmlDeviceGetMemoryInfo(handle)

def fans(handle):
    try:
        count = nvmlDeviceGetNumFans(handle)
    except NVMLError_FunctionNotFound:  # r510
        return [nvmlDeviceGetFanSpeed(handle)]
    return [nvmlDeviceGetFanSpeed_v2(handle, fan) for fan in range(count)]

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
MILLI = {"power", "power_limit", "energy"}  # mW, mJ
MEGA = {"clock_sm", "clock_memory", "clock_graphics", "clock_video"}  # MHz


@pytest.mark.parametrize("profile", PROFILES)
def test_document_is_the_golden_one(machine: MachineFactory, profile: str) -> None:
    now = frozen(get(machine(profile, clock=CLOCK).env).document)
    golden = path_of(profile)
    assert golden.exists(), f"{golden} is missing: run {REWRITE} and review it"
    assert now == golden.read_text(), f"{golden} differs: run {REWRITE} and review the difference"


def test_no_golden_document_of_a_machine_that_is_no_more(tmp_path: Path) -> None:
    assert PROFILES, "no profiles: no test here tests anything"
    assert orphans() == [], f"run {REWRITE}"
    (tmp_path / "gtx680.json").touch()
    assert orphans(PROFILES, tmp_path) == [tmp_path / "gtx680.json"]


@pytest.mark.parametrize("profile", PROFILES)
def test_readings_are_those_of_pynvml(machine: MachineFactory, profile: str) -> None:
    same = machine(profile, clock=CLOCK)
    document = get(same.env).document
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
        assert document["gpus"][gpu["uuid"]] == expected
        if isinstance(fans, list) and len(fans) > 1:
            assert [document["fans"][f"{gpu['uuid']}/{fan}"]["speed"] for fan in range(len(fans))] == fans


def given(value: Any) -> bool:
    """Whether NVML gave a value: a passively cooled card has no fans to list."""
    if isinstance(value, str) and value.startswith("NVMLError"):
        assert value in {"NVMLError_NotSupported", "NVMLError_FunctionNotFound"}
        return False
    return bool(value != [])


def converted(key: str, value: Any) -> Any:
    if key in MILLI:
        return value / 1000
    if key in MEGA:
        return value * 1_000_000
    return max(value) if key == "fan_speed" else value


@pytest.mark.parametrize("profile", PROFILES)
def test_readings_of_one_reader_are_there_or_lacking_together(machine: MachineFactory, profile: str) -> None:
    answer = get(machine(profile, clock=CLOCK).env)
    assert answer.errors == []
    for index, gpu in answer.by_index.items():
        served, lacks = set(), answer.lacks(index)
        assert answer.rows[index]["{#LACKS}"][0] == answer.rows[index]["{#LACKS}"][-1] == ","
        for reader in GPU_READERS:
            keys = {metric.key for metric in GPU_METRICS if metric.reader == reader}
            assert keys <= gpu.keys() or not keys & gpu.keys(), f"{reader} is there in part"
            if keys <= gpu.keys():
                served.add(reader)
        assert not served & lacks, f"{served & lacks} are there and lacking"
        assert served | lacks == set(GPU_READERS), "neither there nor lacking"


def test_machines_differ_in_what_they_lack(machine: MachineFactory) -> None:
    """Else the test above would pass on machines that lack nothing."""
    lacks = {profile: get(machine(profile, clock=CLOCK).env).lacks() for profile in PROFILES}
    assert "energy" in lacks["gtx1070"]
    assert "serial" in lacks["gtx1070"]
    assert "fan_speed" in lacks["t4"]
    assert "temperature_slowdown" in lacks["h100x8"]
    assert "temperature_margin" not in lacks["h100x8"]
