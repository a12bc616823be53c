"""Clean under valgrind with real pynvml, and under the sanitizers with hundreds of damaged profiles."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pynvml
import pytest

from tests.conftest import SIMULATOR

if TYPE_CHECKING:
    from tests.conftest import MachineFactory

# Calls everything that answers, of every machine named on the command line, and at last one call of a library that
# writes a byte too far. So it must write into buffers of malloc's: structures and strings do.
SWEEP = """
import os
import sys
folder, faulty, last, *profiles = sys.argv[1:]
sys.path.append(folder)
import pynvml
from pynvml import *
def attempt(function, *arguments):
    try:
        function(*arguments)
    except (NVMLError, NVMLLibraryMismatchError, TypeError):
        return 0
    return 1
simple = [f for n, f in vars(pynvml).items() if n.startswith("nvmlDeviceGet") and f.__code__.co_argcount == 1
          and f.__code__.co_varnames[0] in ("handle", "device")]
chosen = [nvmlDeviceGetClockInfo, nvmlDeviceGetMaxClockInfo, nvmlDeviceGetFanSpeed_v2, nvmlDeviceGetTargetFanSpeed,
          nvmlDeviceGetTemperature, nvmlDeviceGetTemperatureV, nvmlDeviceGetTemperatureThreshold,
          nvmlDeviceGetRetiredPages, nvmlDeviceGetPcieThroughput, nvmlDeviceGetInforomVersion,
          nvmlDeviceGetViolationStatus, nvmlDeviceGetNvLinkState, nvmlDeviceGetNvLinkVersion,
          nvmlDeviceGetNvLinkRemotePciInfo, nvmlDeviceGetNvLinkRemoteDeviceType, nvmlDeviceGetProcessUtilization,
          nvmlDeviceGetProcessesUtilizationInfo]
paired = [nvmlDeviceGetTotalEccErrors, nvmlDeviceGetNvLinkErrorCounter, nvmlDeviceGetNvLinkCapability]
machine = [nvmlSystemGetConfComputeState, nvmlSystemGetConfComputeCapabilities, nvmlSystemGetConfComputeGpusReadyState]
structures = [(nvmlDeviceGetGpuFabricInfo, c_nvmlGpuFabricInfo_t, None),
              (nvmlDeviceGetGpuFabricInfoV, c_nvmlGpuFabricInfo_v2_t, nvmlGpuFabricInfo_v2),
              (nvmlDeviceGetGpuFabricInfoV, c_nvmlGpuFabricInfo_v3_t, nvmlGpuFabricInfo_v3),
              (nvmlDeviceGetSramEccErrorStatus, c_nvmlEccSramErrorStatus_v1_t, nvmlEccSramErrorStatus_v1)]
def pages(handle):
    count, array = c_uint(), lambda n: (c_ulonglong * n)()
    call = lambda n: pynvml.nvmlLib.nvmlDeviceGetRetiredPages_v2(handle, 1, byref(count), array(n), array(n))
    return call(0) == 7 and call(count.value) == 0
def everything(handle):
    found = sum(attempt(function, handle) for function in simple)
    found += sum(attempt(function, handle, choice) for function in chosen for choice in range(9))
    found += sum(attempt(function, handle, a, b) for function in paired for a in range(6) for b in range(7))
    found += sum(attempt(nvmlDeviceGetMemoryErrorCounter, handle, a // 2, a % 2, b) for a in range(4) for b in range(8))
    found += sum(attempt(nvmlDeviceGetSamples, handle, kind, 0) for kind in range(10))
    for function, structure, version in structures:
        asked = structure()
        if version:
            asked.version = version
        found += attempt(function, handle, byref(asked))
    return found + pages(handle) + attempt(nvmlDeviceGetMemoryInfo, handle, nvmlMemory_v2)
def gpm(handle):
    samples = [nvmlGpmSampleAlloc(), nvmlGpmSampleAlloc()]
    metrics = c_nvmlGpmMetricsGet_t(version=NVML_GPM_METRICS_GET_VERSION, numMetrics=NVML_GPM_METRIC_MAX)
    metrics.sample1, metrics.sample2 = samples
    for number, metric in enumerate(metrics.metrics):
        metric.metricId = number
    found = sum(attempt(nvmlGpmSampleGet, handle, sample) for sample in samples) and attempt(nvmlGpmMetricsGet, metrics)
    for sample in samples:
        nvmlGpmSampleFree(sample)
    return found
def events(handle):
    xids = nvmlEventSetCreate()
    found = attempt(nvmlDeviceRegisterEvents, handle, nvmlEventTypeXidCriticalError, xids)
    attempt(nvmlEventSetWait_v2, xids, 1)
    nvmlEventSetFree(xids)
    return found
def host_of_vgpus(handle):
    found = 0
    for vgpu in nvmlDeviceGetActiveVgpus(handle):
        found += sum(attempt(f, vgpu) for f in (nvmlVgpuInstanceGetVmID, nvmlVgpuInstanceGetUUID,
                     nvmlVgpuInstanceGetVmDriverVersion, nvmlVgpuInstanceGetLicenseInfo_v2))
        found += attempt(nvmlVgpuTypeGetName, nvmlVgpuInstanceGetType(vgpu))
    return found + attempt(nvmlDeviceGetVgpuUtilization, handle, 0)
answered = 0
for profile in profiles:
    os.environ["NVML_SIMULATOR_PROFILE"] = profile
    nvmlInit()
    for gpu in range(min(2, nvmlDeviceGetCount())):  # the others answer from the same keys
        handle = nvmlDeviceGetHandleByIndex(gpu)
        answered += everything(handle) + gpm(handle) + events(handle)
        for number in range(7):
            if attempt(nvmlDeviceGetMigDeviceHandleByIndex, handle, number):
                answered += everything(nvmlDeviceGetMigDeviceHandleByIndex(handle, number))
        if attempt(nvmlDeviceGetActiveVgpus, handle):
            answered += host_of_vgpus(handle)
        nvmlDeviceGetFieldValues(handle, [*range(300), *((id, 2**32 - 1) for id in range(140))])
        nvmlDeviceGetHandleByUUID(nvmlDeviceGetUUID(handle))
        if attempt(nvmlDeviceGetPciInfo, handle):  # a Jetson has no address
            nvmlDeviceGetHandleByPciBusId(nvmlDeviceGetPciInfo(handle).busId)
        attempt(nvmlDeviceGetPciInfoExt, handle, byref(nvmlPciInfoExt_v1_t(version=nvmlPciInfoExt_v1)))
    os.utime(profile)
    nvmlSystemGetDriverVersion(), nvmlSystemGetNVMLVersion(), nvmlSystemGetCudaDriverVersion()
    answered += sum(attempt(function) for function in machine)
    attempt(nvmlSystemGetProcessName, 5005762)
    nvmlShutdown()
    open(profile, "a").write("nonsense")
    assert not attempt(nvmlInit)
# The other library, after which nothing counts but that it is found out.
os.environ["NVML_SIMULATOR_PROFILE"] = last
pynvml.nvmlLib = CDLL(faulty)
pynvml._nvmlGetFunctionPointer_cache.clear()
nvmlInit()
nvmlDeviceGetPciInfo(nvmlDeviceGetHandleByIndex(0))
print(answered)
"""
FAULT = "faulty"  # the file of the library that writes a byte too far, instead of calls.c
SOURCES = sorted(SIMULATOR.glob("*.c"))
OWN_FRAME = re.compile(rf"\((?:{'|'.join([*(path.stem for path in SOURCES), FAULT])})\.c:\d+\)")


def valgrind_finds(machine: MachineFactory, library: Path, faulty: Path, names: list[str]) -> list[str]:
    """The complaints of valgrind in which our libraries have a part; the interpreter has some of its own."""
    if not shutil.which("valgrind"):
        pytest.fail("valgrind is missing: apt-get install valgrind", pytrace=False)
    nodes = [machine(name) for name in names]
    for node in nodes:
        node.set("machine", root=1)
        if node.path.name.startswith("t4"):  # a host of vGPUs, with pages retired
            node.set("gpu 0", host_vgpu_mode=1, retired_pages_dbe=3)
            node.set("gpu 0 vgpu 5", uuid="a", vm_id="b", vm_driver_version="c", vgpu_type=1, vgpu_type_name="d")
            node.set("gpu 0 vgpu 5", licensed=1, license_state=5, license_expiry_status=2, license_expiry=1_893_456_000)
    last = machine("t4")
    log = nodes[0].path.with_suffix(".valgrind")
    run = subprocess.run(
        [
            # Our own functions are the innermost few: of the interpreter's, which are a hundred, some will do.
            *("valgrind", "--leak-check=full", "--show-leak-kinds=definite", "--num-callers=12", f"--log-file={log}"),
            *(sys.executable, "-S", "-c", SWEEP, Path(pynvml.__file__).parent, faulty, last.path),
            *(node.path for node in nodes),
        ],
        env=nodes[0].env | {"PYTHONMALLOC": "malloc", "LD_LIBRARY_PATH": str(library.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not run.returncode, run.stderr + log.read_text()[-3000:]
    assert int(run.stdout) > 60 * len(names)
    assert "ERROR SUMMARY" in log.read_text()
    blocks = re.sub(r"^==\d+== ?", "", log.read_text(), flags=re.MULTILINE).split("\n\n")
    return [block for block in blocks if OWN_FRAME.search(block)]


@pytest.mark.slow
def test_valgrind_finds_nothing_but_a_byte_too_far(
    machine: MachineFactory, simulator_library: Path, profiles: Path, tmp_path: Path
) -> None:
    """Nothing in the library, and in the same run what is wrong with another, which writes a byte too far."""
    copy = shutil.copytree(SIMULATOR, tmp_path / "copy" / "simulator")
    source = (copy / "calls.c").read_text()
    right = "snprintf(pci->busId, sizeof pci->busId,"
    assert source.count(right) == 1
    (copy / f"{FAULT}.c").write_text(source.replace(right, f"((char *)(pci + 1))[0] = 1;\n    {right}"))
    (copy / "calls.c").write_text(f'#include "{FAULT}.c"\n')
    library = f"../build/simulator/{simulator_library.name}"
    subprocess.run(["make", "-C", copy, "CFLAGS=-std=c11 -O0 -g", library], check=True, capture_output=True)
    faulty = tmp_path / "copy" / "build" / "simulator" / simulator_library.name
    names = sorted(path.stem for path in profiles.iterdir())
    assert len(names) >= 13
    found = valgrind_finds(machine, simulator_library, faulty, names)
    (complaint, *others) = [block for block in found if f"({FAULT}.c:" in block]
    assert "Invalid write of size 1" in complaint
    assert found == [complaint, *others]


SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
FUZZ = """
#include "driver.h"
#include "reader.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
nvmlReturn_t nvmlInit_v2(void), nvmlShutdown(void);
nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int *), nvmlDeviceGetHandleByIndex_v2(unsigned int, nvmlDevice_t *);
nvmlReturn_t nvmlDeviceGetFieldValues(nvmlDevice_t, int, nvmlFieldValue_t *);
nvmlReturn_t nvmlDeviceGetGpuFabricInfoV(nvmlDevice_t, nvmlGpuFabricInfoV_t *);
nvmlReturn_t nvmlDeviceGetNvLinkRemotePciInfo_v2(nvmlDevice_t, unsigned int, nvmlPciInfo_t *);
nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t, nvmlPciInfo_t *);
nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t, unsigned int *, nvmlProcessInfo_t *);
nvmlReturn_t nvmlDeviceGetProcessUtilization(nvmlDevice_t, nvmlProcessUtilizationSample_t *, unsigned int *,
                                             unsigned long long);
nvmlReturn_t nvmlSystemGetProcessName(unsigned int, char *, unsigned int);
nvmlReturn_t nvmlDeviceGetSamples(nvmlDevice_t, nvmlSamplingType_t, unsigned long long, nvmlValueType_t *,
                                  unsigned int *, nvmlSample_t *);
nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t, unsigned int, nvmlDevice_t *);
nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t, char *, unsigned int);
nvmlReturn_t nvmlDeviceGetAttributes_v2(nvmlDevice_t, nvmlDeviceAttributes_t *);
nvmlReturn_t nvmlDeviceGetGridLicensableFeatures_v4(nvmlDevice_t, nvmlGridLicensableFeatures_t *);
nvmlReturn_t nvmlEventSetCreate(nvmlEventSet_t *), nvmlEventSetFree(nvmlEventSet_t);
nvmlReturn_t nvmlDeviceRegisterEvents(nvmlDevice_t, unsigned long long, nvmlEventSet_t);
nvmlReturn_t nvmlEventSetWait_v2(nvmlEventSet_t, nvmlEventData_t *, unsigned int);

/* Asks a GPU or a MIG instance for what is made of several keys, or of texts. */
static void ask(nvmlDevice_t device) {
    nvmlGpuFabricInfoV_t fabric = {.version = NVML_STRUCT_VERSION(GpuFabricInfo, 3)};
    nvmlPciInfo_t pci;
    nvmlProcessInfo_t processes[2];
    nvmlProcessUtilizationSample_t shares[2];
    nvmlSample_t samples[3];
    nvmlDeviceAttributes_t attributes;
    nvmlGridLicensableFeatures_t features;
    nvmlFieldValue_t fields[320] = {0};
    nvmlValueType_t type;
    char uuid[96], name[8];
    unsigned int room = 2;
    for (unsigned int id = 0; id < 320; id++)
        fields[id] = (nvmlFieldValue_t){.fieldId = id, .scopeId = id % 7 ? id % 20 : 0xFFFFFFFF};
    nvmlDeviceGetFieldValues(device, 320, fields);
    nvmlDeviceGetGpuFabricInfoV(device, &fabric);
    nvmlDeviceGetNvLinkRemotePciInfo_v2(device, 3, &pci);
    nvmlDeviceGetPciInfo_v3(device, &pci);
    if (!nvmlDeviceGetComputeRunningProcesses_v3(device, &room, processes) && room)
        nvmlSystemGetProcessName(processes[0].pid, name, sizeof name);
    room = 2;
    nvmlDeviceGetProcessUtilization(device, shares, &room, 0);
    room = 3;
    nvmlDeviceGetSamples(device, 0, 0, &type, &room, samples);
    nvmlDeviceGetUUID(device, uuid, sizeof uuid);
    nvmlDeviceGetAttributes_v2(device, &attributes);
    nvmlDeviceGetGridLicensableFeatures_v4(device, &features);
}

static void use(const char *path) {
    unsigned int count = 0;
    setenv("NVML_SIMULATOR_PROFILE", path, 1);
    if (nvmlInit_v2())
        return;
    nvmlEventSet_t set = NULL;
    nvmlEventData_t event;
    const bool events = !nvmlEventSetCreate(&set);
    nvmlDeviceGetCount_v2(&count);
    for (unsigned int gpu = 0; gpu < count; gpu++) {
        nvmlDevice_t device, mig;
        if (nvmlDeviceGetHandleByIndex_v2(gpu, &device))
            continue;
        ask(device);
        for (unsigned int number = 0; number < 7; number++)
            if (!nvmlDeviceGetMigDeviceHandleByIndex(device, number, &mig))
                ask(mig);
        if (events)
            nvmlDeviceRegisterEvents(device, 8, set);
    }
    if (events) {
        nvmlEventSetWait_v2(set, &event, 0);
        nvmlEventSetFree(set);
    }
    nvmlShutdown();
}

/* Reads each profile named on the command line, and calls with what was accepted; after "--use" with all of it. */
int main(int count, char **paths) {
    int accepted = 0;
    bool all = false;
    for (int i = 1; i < count; i++) {
        if (!strcmp(paths[i], "--use")) {
            all = true;
            continue;
        }
        if (all)
            use(paths[i]);
        char message[200];
        struct profile *profile = profile_load(paths[i], message, sizeof message);
        if (!profile)
            continue;
        accepted++;
        for (int unit = MACHINE; unit < PROFILE_GPUS + (int)profile->part_count; unit++) {
            const struct part *part = profile_as_part(profile, unit);
            const struct section *own = unit < 0 ? &profile->machine : part ? &part->section : &profile->gpus[unit];
            const struct section *sections[] = {
                &profile->defaults, &profile->part_defaults[part ? part->kind : PART_MIG], own};
            const struct call call = {
                .profile = profile, .gpu = profile_gpu(profile, unit), .unit = unit, .t = 1700000123.5};
            for (int s = 0; s < 3; s++)
                for (size_t e = 0; e < sections[s]->count; e++) {
                    const struct entry *entry = &sections[s]->entries[e];
                    double number;
                    const char *text;
                    if (entry->hang || entry->delay > 0)
                        continue;
                    if (entry->kind == KEY_TEXT)
                        call_text(&call, entry->key, &text);
                    else if (entry->kind == KEY_NUMBER && profile_find(profile, unit, entry->key) == entry)
                        call_number(&call, entry->key, &number);
                }
        }
        profile_release(profile);
    }
    printf("%d\\n", accepted);
    return 0;
}
"""


def damaged(text: str, chance: random.Random) -> bytes:
    """The profile with a few bytes changed, lines swapped, pieces doubled or cut."""
    data = bytearray(text.encode())
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(data))
        end = min(len(data), at + chance.randint(1, 60))
        match chance.randrange(6):
            case 0:
                data[at] = chance.randrange(256)
            case 1:
                del data[at:end]
            case 2:
                data[at:at] = data[at:end] * chance.randint(1, 40)
            case 3:
                data[at:at] = chance.choice(
                    [b"(", b")", b"!", b"=", b"[", b"\n", b"\\x", b",", b"/0", b"-", b"*", b" # "]
                )
            case 4:
                data[at:at] = chance.choice(
                    [
                        b"integral(",
                        b"wave(",
                        b"!SLOW(",
                        b"!HANG",
                        b"9" * 400,
                        b"a" * 400,
                        b"0x",
                        b".sum",
                        b"\n[mig *]\n",
                    ]
                )
            case _:
                lines = bytes(data).split(b"\n")
                chance.shuffle(lines)
                data = bytearray(b"\n".join(lines)) if chance.random() < 0.2 else data
    return bytes(data)


@pytest.mark.slow
def test_damaged_profiles_do_no_harm(tmp_path: Path, profiles: Path) -> None:
    (tmp_path / "fuzz.c").write_text(FUZZ)
    program = tmp_path / "fuzz"
    built = subprocess.run(
        [
            *("gcc", "-std=c11", "-g", "-O1", "-D_GNU_SOURCE", *SANITIZERS, "-I", str(SIMULATOR)),
            *("-o", str(program), str(tmp_path / "fuzz.c"), *map(str, SOURCES), "-lpthread", "-lm"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert not built.returncode, built.stderr
    chance = random.Random(1070)  # noqa: S311  the same profiles every time
    texts = [path.read_text() for path in sorted(profiles.iterdir())]
    paths = []
    for number in range(600):
        path = tmp_path / f"{number}.profile"
        path.write_bytes(damaged(chance.choice(texts), chance))
        paths.append(path)
    waits = [path for path in paths if re.search(rb"HANG|hang|SLOW", path.read_bytes())]
    goes_on = [path for path in paths if path not in waits]
    assert len(goes_on) > 100
    run = subprocess.run([program, *waits, "--use", *goes_on], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[:6000]
    assert 30 < int(run.stdout) < 570, "the damage is too little or too great to say anything"
