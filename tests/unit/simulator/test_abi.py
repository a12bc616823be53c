"""The compiler holds the simulator against the complete nvml.h, and pynvml finds all that it looks for."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib import metadata, util
from pathlib import Path

import pytest

from tests.conftest import SIMULATOR

ABI = (SIMULATOR / "abi.h").read_text()
OWN = ABI[ABI.index("#else") :]
# A structure within another is compared as a whole, as one member.
OUTER = re.sub(r"^    struct \{[^{}]*\} (\w+);$", r"    struct \1;", OWN, flags=re.MULTILINE)
STRUCTURES = {
    name: [re.split(r"[\s*]", member.strip())[-1].split("[")[0] for member in body.split(";") if member.strip()]
    for body, name in re.findall(r"typedef (?:struct|union) \{(.*?)^\} (\w+);", OUTER, re.DOTALL | re.MULTILINE)
}
TYPES = [*re.findall(r"typedef [\w ]+? \*?(\w+_t);", OWN), *STRUCTURES]
CONSTANTS = re.findall(r"^    (NVML_\w+) = ", OWN, re.MULTILINE)
SIZES = re.findall(r"^#define (NVML_\w+|nvmlEvent\w+) \w+$", OWN, re.MULTILINE)
VERSIONED = [
    re.findall(r"nvml(\w+)_v(\d)_t$", name)[0]
    for name, members in STRUCTURES.items()
    if re.search(r"_v\d_t$", name) and "version" in members
]
SOURCES = sorted(path.name for path in SIMULATOR.glob("*.c"))


@pytest.fixture(scope="module")
def header() -> Path:
    try:
        files = metadata.files("nvidia-nvml-dev") or []
    except metadata.PackageNotFoundError:
        pytest.fail("nvml.h is missing: pip install nvidia-nvml-dev", pytrace=False)
    return next(Path(str(file.locate())) for file in files if file.name == "nvml.h")


def compile_c(*arguments: str | Path) -> str:
    """What gcc complains about."""
    run = subprocess.run(
        ["gcc", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert bool(run.returncode) == bool(run.stderr)
    return run.stderr


def comparison() -> str:
    """A C program that includes our abi.h with every name prefixed, then nvml.h, and asserts that they agree."""
    ours = [*TYPES, *CONSTANTS]
    lines = ["#include <stddef.h>", *(f"#define {name} sim_{name}" for name in ours), '#include "abi.h"']
    lines += [f"enum {{ sim_{name} = {name} }};" for name in SIZES]
    lines += [f"enum {{ sim_{name}_{ver} = (int)NVML_STRUCT_VERSION({name}, {ver}) }};" for name, ver in VERSIONED]
    lines += [f"#undef {name}" for name in [*ours, *SIZES, "NVML_STRUCT_VERSION"]]
    lines += ["#define NVML_NO_UNVERSIONED_FUNC_DEFS", "#include <nvml.h>"]
    lines += [f'_Static_assert(sizeof(sim_{name}) == sizeof({name}), "size of {name}");' for name in TYPES]
    for name, members in STRUCTURES.items():
        for member in members:
            own, true, at = f"((sim_{name} *)0)->{member}", f"(({name} *)0)->{member}", f"{name}.{member}"
            lines += [
                f'_Static_assert(offsetof(sim_{name}, {member}) == offsetof({name}, {member}), "offset of {at}");',
                f'_Static_assert(sizeof({own}) == sizeof({true}), "size of {at}");',
            ]
    lines += [f'_Static_assert((int)sim_{name} == (int){name}, "{name}");' for name in [*CONSTANTS, *SIZES]]
    lines += [f'_Static_assert((unsigned)sim_{n}_{v} == nvml{n}_v{v}, "version of {n}");' for n, v in VERSIONED]
    return "\n".join(lines) + "\n"


def compare(directory: Path, abi: str, header: Path) -> str:
    directory.mkdir()
    (directory / "abi.h").write_text(abi)
    (directory / "compare.c").write_text(comparison())
    # nvml.h itself compares enumerations with integers, hence its directory is a system one.
    return compile_c("-isystem", header.parent, "-I", directory, directory / "compare.c")


def test_structures_and_constants_are_those_of_nvml_h(tmp_path: Path, header: Path) -> None:
    assert len(STRUCTURES) >= 40
    assert len(CONSTANTS) >= 150
    assert {("Memory", "2"), ("GpuFabricInfo", "2"), ("GpuFabricInfo", "3")} < set(VERSIONED)
    assert "busId" in STRUCTURES["nvmlPciInfo_t"]
    assert STRUCTURES["nvmlGpmMetric_t"] == ["metricId", "nvmlReturn", "value", "metricInfo"]
    assert "nvmlEventTypeXidCriticalError" in SIZES
    assert compare(tmp_path / "own", ABI, header) == ""


@pytest.mark.parametrize(
    ("true", "false"),
    [
        ("    unsigned long long free;\n    unsigned long long used;", "    unsigned long long used, free;"),
        ("    unsigned int fan;\n", "    unsigned long long fan;\n"),
        ("NVML_ERROR_GPU_IS_LOST = 15", "NVML_ERROR_GPU_IS_LOST = 16"),
        ("busIdLegacy[NVML_DEVICE_PCI_BUS_ID_BUFFER_V2_SIZE]", "busIdLegacy[NVML_DEVICE_PCI_BUS_ID_BUFFER_SIZE]"),
        ("NVML_FI_DEV_MEMORY_TEMP = 82", "NVML_FI_DEV_MEMORY_TEMP = 83"),
        ("        char *unit;\n", ""),
        ("#define NVML_GPM_METRIC_MAX 477", "#define NVML_GPM_METRIC_MAX 476"),
        ("typedef unsigned char nvmlGpuFabricState_t", "typedef unsigned int nvmlGpuFabricState_t"),
        ("nvmlEventTypeXidCriticalError 0x0000000000000008LL", "nvmlEventTypeXidCriticalError 0x4LL"),
    ],
)
def test_the_comparison_finds_a_difference(tmp_path: Path, header: Path, true: str, false: str) -> None:
    assert true in ABI
    assert "static assertion failed" in compare(tmp_path / "own", ABI.replace(true, false), header)


def signatures(directory: Path, header: Path) -> str:
    """Compiles the library with nvml.h in place of our definitions: its prototypes must fit our functions."""
    return compile_c("-DNVML_HEADER", "-isystem", header.parent, *(directory / name for name in SOURCES))


def test_signatures_are_those_of_nvml_h(header: Path) -> None:
    assert signatures(SIMULATOR, header) == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "true", "false"),
    [
        (
            "calls.c",
            "nvmlDeviceGetIndex(nvmlDevice_t device, unsigned int *",
            "nvmlDeviceGetIndex(nvmlDevice_t device, int *",
        ),
        (
            "calls.def",
            "VALUE(nvmlDeviceGetPowerUsage, unsigned int",
            "VALUE(nvmlDeviceGetPowerUsage, unsigned long long",
        ),
    ],
)
def test_the_compiler_finds_a_wrong_signature(tmp_path: Path, header: Path, file: str, true: str, false: str) -> None:
    copy = shutil.copytree(SIMULATOR, tmp_path / "simulator")
    source = (copy / file).read_text()
    assert source.count(true) == 1
    (copy / file).write_text(source.replace(true, false))
    assert "conflicting types" in signatures(copy, header)


def exported(library: Path) -> set[str]:
    listing = subprocess.check_output(["nm", "-D", "--defined-only", library], text=True)
    return {line.split()[-1] for line in listing.splitlines()}


def test_every_function_that_pynvml_looks_up_is_there(simulator_library: Path) -> None:
    spec = util.find_spec("pynvml")
    assert spec
    assert spec.origin
    wanted = set(re.findall(r'_nvmlGetFunctionPointer\("(\w+)"', Path(spec.origin).read_text()))
    assert len(wanted) > 300
    assert sorted(wanted - exported(simulator_library)) == []


def test_nothing_but_nvml_is_exported(simulator_library: Path) -> None:
    assert [name for name in exported(simulator_library) if not name.startswith("nvml")] == []


def test_soname(simulator_library: Path) -> None:
    assert "SONAME" in subprocess.check_output(["objdump", "-p", simulator_library], text=True)
    assert "[libnvidia-ml.so.1]" in subprocess.check_output(["readelf", "-d", simulator_library], text=True)
