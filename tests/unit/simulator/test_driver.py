"""The semantics of the driver: life cycle, states, errors by name, arguments, a profile that changes while in use."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import PATIENCE
from tests.unit.collector.collector import get

if TYPE_CHECKING:
    from tests.conftest import MachineFactory
    from tests.unit.simulator.conftest import ClientFactory

POWER = "nvmlDeviceGetPowerUsage(h(0))"
TEMPERATURE = "nvmlDeviceGetTemperature(h(0), 0)"


def test_nothing_answers_before_init_and_after_the_last_shutdown(machine: MachineFactory, nvml: ClientFactory) -> None:
    ask = nvml(machine("t4"), init=False)
    assert ask("nvmlShutdown()") == "NVMLError_Uninitialized"
    assert ask("[nvmlInit(), nvmlInit(), setattr(pynvml, 'kept', h(0))]") == [None] * 3
    assert ask("[nvmlShutdown(), nvmlDeviceGetName(pynvml.kept)]") == [None, "Tesla T4"]
    assert ask("nvmlShutdown()") is None
    assert ask("nvmlDeviceGetName(pynvml.kept)") == "NVMLError_Uninitialized"
    assert ask("nvmlDeviceGetCount()") == "NVMLError_Uninitialized"
    assert ask("nvmlDeviceGetVirtualizationMode(pynvml.kept)") == "NVMLError_Uninitialized"
    assert ask("[nvmlInit(), nvmlDeviceGetName(pynvml.kept)]") == [None, "Tesla T4"]


def test_who_holds_the_driver_can_be_seen(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("t4")
    ask = nvml(node)
    held = "[os.path.realpath(f'/proc/self/fd/{fd}') for fd in os.listdir('/proc/self/fd')]"
    assert str(node.path) in ask(held)
    ask("nvmlShutdown()")
    assert str(node.path) not in ask(held)


@pytest.mark.parametrize(
    ("state", "error"),
    [
        ("no_driver", "NVMLError_DriverNotLoaded"),
        ("mismatch", "NVMLError_LibRmVersionMismatch"),
        ("no_permission", "NVMLError_NoPermission"),
        ("OPERATING_SYSTEM", "NVMLError_OperatingSystem"),
        ("UNKNOWN", "NVMLError_Unknown"),
    ],
)
def test_states_of_the_machine(machine: MachineFactory, nvml: ClientFactory, state: str, error: str) -> None:
    node = machine("gtx1070")
    node.set("machine", state=state)
    ask = nvml(node, init=False)
    assert ask("nvmlInit()") == error
    assert ask("nvmlDeviceGetCount()") == "NVMLError_Uninitialized"
    node.set("machine", state="ok")
    assert ask("[nvmlInit(), nvmlDeviceGetCount()]") == [None, 1]


def test_a_lost_gpu_is_counted_and_nothing_else(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("h100x8")
    ask = nvml(node)
    assert ask("setattr(pynvml, 'old', h(3))") is None
    uuid = ask("nvmlDeviceGetUUID(pynvml.old)")
    node.set("gpu 3", state="lost")
    assert ask("nvmlDeviceGetCount()") == 8
    assert ask("h(3)") == "NVMLError_GpuIsLost"
    for call in ("GetUUID", "GetName", "GetPowerUsage", "GetVirtualizationMode", "GetIndex"):
        assert ask(f"nvmlDevice{call}(pynvml.old)") == "NVMLError_GpuIsLost"
    assert ask("nvmlDeviceGetFieldValues(pynvml.old, [82])") == "NVMLError_GpuIsLost"
    assert ask(f"nvmlDeviceGetHandleByUUID('{uuid}')") == "NVMLError_NotFound"
    assert len(ask("[nvmlDeviceGetUUID(h(i)) for i in range(8) if i != 3]")) == 7
    node.set("gpu 3", state="ok")
    assert ask(f"nvmlDeviceGetIndex(nvmlDeviceGetHandleByUUID('{uuid}'))") == 3


def test_a_sick_gpu_has_a_handle_and_knows_nothing(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("h100x8")
    node.set("gpu 5", state="sick")
    ask = nvml(node)
    assert ask("bool(h(5))") is True
    for call in ("GetUUID", "GetName", "GetPowerUsage", "GetVirtualizationMode"):
        assert ask(f"nvmlDevice{call}(h(5))") == "NVMLError_Unknown"
    assert ask("nvmlDeviceGetName(h(4))") == "NVIDIA H100 80GB HBM3"


def test_every_error_of_nvml_by_its_name(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("t4")
    ask = nvml(node)
    names = ask("{k[11:]: v for k, v in vars(pynvml).items() if k.startswith('NVML_ERROR_')}")
    assert len(names) == 31
    for name, code in names.items():
        expected = ask(f"type(NVMLError({code})).__name__")
        assert expected.startswith("NVMLError_")
        for spelling in (name, code):
            node.set("gpu 0", temperature=f"!{spelling}")
            assert ask(TEMPERATURE) == expected
        assert ask(f"str(NVMLError({code}))") not in {"", "Success"}
    assert ask("str(NVMLError(NVML_ERROR_UNKNOWN)) != str(NVMLError(NVML_ERROR_GPU_IS_LOST))") is True


def test_calls_can_be_switched_off_one_by_one(machine: MachineFactory, nvml: ClientFactory) -> None:
    """As with an older driver, whose library lacks the function: the fallbacks of a caller are seen at work."""
    node = machine("t4", clock=1_700_000_000)
    node.set("gpu 0", memory_v2="!FUNCTION_NOT_FOUND", nvmlDeviceGetTemperatureV="!FUNCTION_NOT_FOUND")
    node.set("gpu 0", temperature=49)
    node.set("machine", nvmlDeviceGetCount_v2="!NO_PERMISSION")
    ask = nvml(node)
    assert ask("nvmlDeviceGetMemoryInfo(h(0), version=nvmlMemory_v2)") == "NVMLError_FunctionNotFound"
    assert ask("nvmlDeviceGetMemoryInfo(h(0)).total") == 16106127360
    assert ask("nvmlDeviceGetTemperatureV(h(0), 0)") == "NVMLError_FunctionNotFound"
    assert ask(TEMPERATURE) == 49
    assert ask("nvmlDeviceGetCount()") == "NVMLError_NoPermission"
    node.set("gpu 0", memory_v2=None, nvmlDeviceGetTemperatureV=None, nvmlDeviceGetTemperature="!DEPRECATED")
    assert ask("nvmlDeviceGetMemoryInfo(h(0), version=nvmlMemory_v2).reserved") == 406847488
    assert ask("nvmlDeviceGetTemperatureV(h(0), 0)") == 49
    assert ask(TEMPERATURE) == "NVMLError_Deprecated"
    # a function without any value in a profile can fail too
    node.set("gpu 0", nvmlDeviceGetVirtualizationMode="!GPU_NOT_FOUND")
    assert ask("nvmlDeviceGetVirtualizationMode(h(0))") == "NVMLError_GpuNotFound"


def test_arguments_are_checked(machine: MachineFactory, nvml: ClientFactory) -> None:
    ask = nvml(machine("rtx4080s"))
    raw = "pynvml.nvmlLib"
    code = {"invalid": 2, "size": 7, "version": 25, "fine": 0}
    assert ask("h(1)") == "NVMLError_InvalidArgument"
    assert ask("nvmlDeviceGetClockInfo(h(0), 4)") == "NVMLError_InvalidArgument"
    assert ask("nvmlDeviceGetTemperature(h(0), 1)") == "NVMLError_InvalidArgument"
    assert ask("nvmlDeviceGetTemperatureThreshold(h(0), 8)") == "NVMLError_InvalidArgument"
    assert ask("nvmlDeviceGetFieldValues(h(0), [])") == "NVMLError_InvalidArgument"
    assert ask("nvmlDeviceGetHandleByPciBusId('nonsense')") == "NVMLError_InvalidArgument"
    assert ask("nvmlDeviceGetHandleByPciBusId('00000000:02:00.0')") == "NVMLError_NotFound"
    assert ask(f"{raw}.nvmlDeviceGetPowerUsage(h(0), None)") == code["invalid"]
    assert ask(f"{raw}.nvmlDeviceGetPowerUsage(None, byref(c_uint()))") == code["invalid"]
    assert ask(f"{raw}.nvmlDeviceGetPowerUsage(c_void_p(4096), byref(c_uint()))") == code["invalid"]
    assert ask(f"{raw}.nvmlDeviceGetCount_v2(None)") == code["invalid"]
    name = "NVIDIA GeForce RTX 4080 SUPER"
    assert ask(f"{raw}.nvmlDeviceGetName(h(0), create_string_buffer(99), {len(name)})") == code["size"]
    assert ask(f"{raw}.nvmlDeviceGetName(h(0), create_string_buffer(99), {len(name) + 1})") == code["fine"]
    assert ask(f"{raw}.nvmlDeviceGetName(h(0), create_string_buffer(99), 0)") == code["size"]
    for structure, function in (
        ("c_nvmlMemory_v2_t", "GetMemoryInfo_v2"),
        ("c_nvmlTemperature_v1_t", "GetTemperatureV"),
        ("c_nvmlMarginTemperature_v1_t", "GetMarginTemperature"),
        ("c_nvmlFanSpeedInfo_t", "GetFanSpeedRPM"),
    ):
        assert ask(f"{raw}.nvmlDevice{function}(h(0), byref({structure}()))") == code["version"]


def test_retired_pages_tell_their_number_first(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("t4")
    node.set("gpu 0", retired_pages_dbe=3)
    ask = nvml(node)
    assert len(ask("nvmlDeviceGetRetiredPages(h(0), NVML_PAGE_RETIREMENT_CAUSE_DOUBLE_BIT_ECC_ERROR)")) == 3
    assert ask("nvmlDeviceGetRetiredPages(h(0), 0)") == []


def test_a_changed_profile_is_seen_by_the_next_call(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("gtx1070", clock=1_700_000_000)
    ask = nvml(node)
    for degrees in range(40, 90):
        node.set("gpu 0", temperature=degrees)
        assert ask(TEMPERATURE) == degrees


def test_a_broken_profile_leaves_the_old_one_in_force(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("gtx1070")
    node.set("gpu 0", temperature=77)
    ask = nvml(node)
    good = node.path.read_text()
    for broken in ("[gpu 0]\ntemperature = 5 +\n", "", good.replace("temperature =", "temperatur ="), "\0" * 50):
        node.write(broken or "nonsense")
        assert ask(TEMPERATURE) == 77
    node.path.unlink()
    assert ask(TEMPERATURE) == 77
    node.write(good.replace("77", "78"))
    assert ask(TEMPERATURE) == 78
    assert ask.errors() == ""


def test_a_profile_that_is_broken_from_the_start(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("gtx1070")
    good = node.path.read_text()
    node.write(good.replace("fan_count = 1", "fan_count = 1 +"))
    line = good[: good.index("fan_count")].count("\n") + 1
    ask = nvml(node, init=False)
    assert ask("nvmlInit()") == "NVMLError_Unknown"
    assert ask("nvmlDeviceGetCount()") == "NVMLError_Uninitialized"
    assert ask.errors() == ""
    node.env["NVML_SIMULATOR_DEBUG"] = "1"
    ask = nvml(node, init=False)
    assert ask("nvmlInit()") == "NVMLError_Unknown"
    message = ask.errors()
    assert message.startswith(f"{node.path}:{line}: fan_count = 1 +: ")
    assert message.count("\n") == 1


def test_no_profile_at_all(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("t4")
    node.path.unlink()
    node.env["NVML_SIMULATOR_DEBUG"] = "1"
    ask = nvml(node, init=False)
    assert ask("nvmlInit()") == "NVMLError_Unknown"
    assert ask.errors() == f"{node.path}: No such file or directory\n"


def test_the_fault_of_a_profile_reaches_a_file(machine: MachineFactory, tmp_path: Path) -> None:
    """A collection's standard error is nobody's."""
    node = machine("t4")
    node.set("gpu 0", temprature=40)
    log = tmp_path / "faults"
    answer = get({**node.env, "NVML_SIMULATOR_DEBUG": str(log)})
    assert "999" in answer.message
    assert f"{node.path}:" in log.read_text()
    assert "temprature" in log.read_text()
    log.unlink()
    get({**node.env, "NVML_SIMULATOR_PROFILE": "t4.profile", "NVML_SIMULATOR_DEBUG": str(log)})
    assert "t4.profile: No such file or directory (a relative path, looked for in " in log.read_text()


def test_the_number_of_gpus(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("h100x8")
    ask = nvml(node)
    node.set("machine", gpu_count=7)
    assert ask("[nvmlDeviceGetCount(), nvmlDeviceGetIndex(h(6))]") == [7, 6]
    assert ask("h(7)") == "NVMLError_InvalidArgument"
    node.set("machine", gpu_count=0)
    assert ask("nvmlDeviceGetCount()") == 0
    node.set("machine", gpu_count="!UNKNOWN")
    assert ask("nvmlDeviceGetCount()") == "NVMLError_Unknown"


def test_a_child_of_fork_has_a_driver_of_its_own(machine: MachineFactory) -> None:
    """One of a process that did not initialize, and one of a process whose other thread is in the middle of calls."""
    script = """
import json, os, threading
from pynvml import *
def child():
    read, write = os.pipe()
    if not os.fork():
        nvmlInit()
        os.write(write, json.dumps(nvmlDeviceGetName(nvmlDeviceGetHandleByIndex(0))).encode())
        os._exit(0)
    os.close(write)
    answer = os.read(read, 1000).decode()
    os.wait()
    return answer
answers = [child()]
nvmlInit()
handle = nvmlDeviceGetHandleByIndex(0)
done = threading.Event()
def busy():
    while not done.is_set():
        nvmlDeviceGetTemperature(handle, 0)
threads = [threading.Thread(target=busy) for _ in range(2)]
[thread.start() for thread in threads]
answers += [child() for _ in range(30)]
done.set()
print(json.dumps(sorted(set(answers))))
"""
    run = subprocess.run(
        [sys.executable, "-c", script],
        env=machine("t4").env,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert json.loads(run.stdout) == ['"Tesla T4"']
    assert "Error" not in run.stderr


def test_threads_do_not_disturb_one_another(machine: MachineFactory) -> None:
    """Eight threads read while the profile is replaced: each sees the old value or the new one."""
    node = machine("h100x8", clock=1_700_000_000)
    node.set("gpu *", temperature=50)
    script = """
import concurrent.futures, json, os, sys
from pynvml import *
nvmlInit()
def read(gpu):
    handle = nvmlDeviceGetHandleByIndex(gpu)
    return {nvmlDeviceGetTemperature(handle, 0) for _ in range(3000)}
def write():
    text = open(sys.argv[1]).read()
    for i in range(60):
        with open(sys.argv[1] + ".new", "w") as new:
            new.write(text.replace("temperature = 50", f"temperature = {50 + i % 3}"))
        os.replace(sys.argv[1] + ".new", sys.argv[1])
with concurrent.futures.ThreadPoolExecutor(9) as pool:
    readers = [pool.submit(read, gpu) for gpu in range(8)]
    pool.submit(write).result()
    seen = set().union(*(reader.result() for reader in readers))
print(json.dumps([sorted(seen), nvmlDeviceGetTemperature(nvmlDeviceGetHandleByIndex(7), 0)]))
"""
    run = subprocess.run(
        [sys.executable, "-c", script, node.path],
        env=node.env,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    seen, last = json.loads(run.stdout)
    # Which of them a reader meets, the scheduler decides; the last one all see.
    assert set(seen) <= {50, 51, 52}
    assert last == 52


def test_the_default_profile_is_under_etc(machine: MachineFactory, nvml: ClientFactory) -> None:
    node = machine("t4")
    del node.env["NVML_SIMULATOR_PROFILE"]
    node.env["NVML_SIMULATOR_DEBUG"] = "1"
    default = "/etc/nvml-simulator/profile"
    ask = nvml(node, init=False)
    answer = ask("nvmlInit()")
    assert (answer is None) == Path(default).exists()
    assert answer is None or default in ask.errors()
