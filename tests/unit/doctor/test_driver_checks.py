"""What the doctor makes of /sys, /proc and /dev, in directories that look like those of real hosts."""

from __future__ import annotations

import configparser
import os
import platform
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from zbx_nvidia.doctor import driver_checks, nvml_checks, program_checks
from zbx_nvidia.doctor.checks import FAULT, GOOD, UNSEEN, Result
from zbx_nvidia.doctor.host_state import Collected, HostState
from zbx_nvidia.doctor.run import CHECKS, HOST
from zbx_nvidia.host import installation, system
from zbx_nvidia.host.paths import NAME as PROGRAM

if TYPE_CHECKING:
    from pathlib import Path

CLOSED = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05  Wed Sep 17 19:00:00 UTC 2025"
OPEN = (
    "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.211.01  Release Build  (dvs-builder@U22-I3-AE18-01-5)"
)
OLD = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  450.248  Tue Jun 20 12:00:00 UTC 2023"


def device(base: Path, address: str, kind: str = "0x030000", vendor: str = "0x10de", driver: str = "nvidia") -> None:
    place = base / "sys/bus/pci/devices" / address
    place.mkdir(parents=True)
    (place / "vendor").write_text(f"{vendor}\n", encoding="ascii")
    (place / "class").write_text(f"{kind}\n", encoding="ascii")
    if driver:
        (place / "driver").symlink_to(f"../../../bus/pci/drivers/{driver}")


def module(base: Path, line: str) -> None:
    place = base / "proc/driver/nvidia"
    place.mkdir(parents=True)
    (place / "version").write_text(f"{line}\nGCC version:  gcc version 12.2.0\n", encoding="ascii")


def result(base: Path, name: str) -> Result:
    (check,) = [one for one in HOST if one.id == name]
    return check.run(HostState(base=base))


def test_a_gpu_is_a_display_of_nvidias(tmp_path: Path) -> None:
    device(tmp_path, "0000:01:00.0")
    device(tmp_path, "0000:01:00.1", kind="0x040300", driver="snd_hda_intel")  # its sound
    device(tmp_path, "0000:41:00.0", kind="0x030200")  # a card without a plug for a display
    device(tmp_path, "0000:42:00.0", vendor="0x1a03", driver="ast")  # the server's own display
    device(tmp_path, "0000:41:00.4", kind="0x030200")  # a virtual function of the second card
    (tmp_path / "sys/bus/pci/devices/0000:41:00.4/physfn").symlink_to("../0000:41:00.0")
    assert result(tmp_path, "bus") == Result(GOOD, "2: 0000:01:00.0, 0000:41:00.0")


def test_no_gpu_on_the_bus(tmp_path: Path) -> None:
    device(tmp_path, "0000:42:00.0", vendor="0x1a03", driver="ast")
    found = result(tmp_path, "bus")
    assert (found.state, found.fault) == (FAULT, "none")
    assert "lspci -d 10de:" in found.fix


def test_hosts_that_show_no_bus(tmp_path: Path) -> None:
    assert result(tmp_path, "bus").state == UNSEEN
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/dxg").touch()
    (tmp_path / "sys/bus/pci/devices").mkdir(parents=True)
    assert "WSL 2" in result(tmp_path, "bus").text
    assert result(tmp_path, "module").state == UNSEEN


@pytest.mark.parametrize(("line", "version"), [(CLOSED, "580.95.05"), (OPEN, "570.211.01"), (OLD, "450.248")])
def test_the_version_of_the_module(tmp_path: Path, line: str, version: str) -> None:
    module(tmp_path, line)
    assert result(tmp_path, "module") == Result(GOOD, f"nvidia {version}")


@pytest.mark.parametrize(
    ("driver", "key", "word"),
    [
        ("nouveau", "nouveau", "blacklist nouveau"),
        ("vfio-pci", "vfio", "inside that virtual machine"),
        ("", "not-loaded", "modprobe nvidia"),
    ],
)
def test_who_has_the_card_instead(tmp_path: Path, driver: str, key: str, word: str) -> None:
    device(tmp_path, "0000:01:00.0", driver=driver)
    found = result(tmp_path, "module")
    assert (found.state, found.fault) == (FAULT, key)
    assert word in found.fix


def test_a_module_that_was_not_built_for_this_kernel(tmp_path: Path) -> None:
    device(tmp_path, "0000:01:00.0", driver="")
    modules = tmp_path / "lib/modules" / platform.release()
    modules.mkdir(parents=True)
    assert result(tmp_path, "module").fault == "not-built"
    (modules / "updates").mkdir()
    (modules / "updates/nvidia.ko.xz").touch()
    assert result(tmp_path, "module").fault == "not-loaded"


@pytest.mark.parametrize("name", ["nvidia-current.ko.xz", "nvidia-legacy-390xx.ko", "nvidia-tesla-470.ko.zst"])
def test_a_module_as_debian_names_it(tmp_path: Path, name: str) -> None:
    device(tmp_path, "0000:01:00.0", driver="")
    modules = tmp_path / "lib/modules" / platform.release()
    (modules / "updates/dkms").mkdir(parents=True)
    (modules / "updates/dkms/nvidia-wmi-ec-backlight.ko.xz").touch()  # the kernel's own
    assert result(tmp_path, "module").fault == "not-built"
    (modules / "updates/dkms" / name).touch()
    assert result(tmp_path, "module").fault == "not-loaded"


def test_a_jetson_has_its_gpu_on_no_bus(tmp_path: Path) -> None:
    device(tmp_path, "0001:01:00.0", kind="0x020000", vendor="0x10ec", driver="r8169")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/nv_tegra_release").touch()
    assert result(tmp_path, "bus").state == UNSEEN


def test_device_files_that_are_missing(tmp_path: Path) -> None:
    module(tmp_path, CLOSED)
    (tmp_path / "dev").mkdir()
    assert "/dev/nvidiactl" in result(tmp_path, "devices").cause
    (tmp_path / "dev/nvidiactl").touch(0o666)
    (tmp_path / "dev/nvidia-uvm").touch(0o666)
    assert "/dev/nvidia0" in result(tmp_path, "devices").cause


@pytest.fixture
def of_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HostState:
    """A host whose agent runs as root."""
    module(tmp_path, CLOSED)
    host = HostState(base=tmp_path)
    monkeypatch.setattr(host, "root", True)
    monkeypatch.setattr(host, "reader", "root")
    monkeypatch.setattr(host, "program", tmp_path / "zbx-nvidia-agent")
    return host


def test_an_agent_of_root_is_no_fault(of_root: HostState, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is started as root, but the files are checked."""
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidiactl").touch()
    (tmp_path / "dev/nvidia0").touch()
    of_root.program.touch(0o755)
    library = tmp_path / "libnvidia-ml.so.580.95.05"
    library.touch()

    def run(*command: str, **options: object) -> system.CommandResult:
        assert command == ("ldconfig", "-p"), options
        return system.CommandResult(0, f"\tlibnvidia-ml.so.1 (libc6,x86-64) => {library}\n", "")

    monkeypatch.setattr(system, "run", run)
    found = {check.id: check.run(of_root) for check in HOST[1:11]}
    assert found["devices"].state == GOOD, found["devices"]
    assert found["library"].state == GOOD, found["library"]
    assert found["program"].state == UNSEEN, found["program"]
    assert {found[name].state for name in ("document", "nvml", "time")} == {UNSEEN}
    (tmp_path / "proc/driver/nvidia/version").write_text(f"{OPEN}\n", encoding="ascii")
    assert driver_checks.library.run(of_root).fault == "mismatch"


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other groups")
@pytest.mark.parametrize(
    ("mode", "permissions", "group", "key"),
    [
        ("oneshot", 0o660, 44, "denied"),
        ("resident", 0o660, 44, "denied-service"),
        ("oneshot", 0o660, 0, "closed"),  # who is in root's group may do more than that
        ("resident", 0o660, 0, "closed"),
        ("oneshot", 0o600, 44, "closed"),
        ("oneshot", 0o640, 44, "closed"),
        ("oneshot", 0o660, 54321, "closed"),  # a number that is no group
    ],
)
def test_who_may_not_open_the_device_files_is_put_into_their_group_alone(  # noqa: PLR0913, PLR0917  a row of a table
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, permissions: int, group: int, key: str
) -> None:
    module(tmp_path, CLOSED)
    (tmp_path / "dev").mkdir()
    for name in ("nvidiactl", "nvidia0", "nvidia1"):
        (tmp_path / "dev" / name).touch()
        (tmp_path / "dev" / name).chmod(permissions if name != "nvidiactl" else 0o666)
        os.chown(tmp_path / "dev" / name, 0, group)
    host = HostState(base=tmp_path)
    vars(host).update(root=True, reader="zabbix", mode=mode, service=None, agents=())
    monkeypatch.setattr(driver_checks, "reader_may", lambda _, path, *__: path.name == "nvidiactl")
    found = driver_checks.devices.run(host)
    assert (found.state, found.fault) == (FAULT, key)
    assert f"chmod 0666 {tmp_path}/dev/nvidia0 {tmp_path}/dev/nvidia1 " in found.fix
    if key == "closed":
        assert not re.search(r"usermod|SupplementaryGroups|video", found.fix)


@pytest.mark.parametrize(
    ("mark", "stop", "key"),
    [
        ("pyvenv.cfg", "home/x", "private"),
        ("pyvenv.cfg", "home/x/zbx/bin", "denied"),
        (".unpacked", "home/x/zbx", "denied"),
        ("", "home/x/zbx/bin", "private"),  # among other programs, perhaps a user's own
    ],
)
def test_nothing_but_the_installation_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mark: str, stop: str, key: str
) -> None:
    place = tmp_path / "home/x/zbx"
    (place / "bin").mkdir(parents=True)
    (place / "bin" / PROGRAM).touch()
    if mark:
        (place / mark).touch()
    host = HostState(base=tmp_path)
    vars(host).update(root=True, reader="zabbix", mode="resident", program=place / "bin" / PROGRAM)
    monkeypatch.setattr(program_checks, "reader_may", lambda _, path, *__: not path.is_relative_to(tmp_path / stop))
    found = program_checks.program.run(host)
    assert (found.state, found.fault) == (FAULT, key)
    if key == "denied":
        assert found.fix.endswith(f"\n    chmod -R go+rX {tmp_path / stop}")
    else:
        assert "chmod" not in found.fix
        assert "-m venv /opt/zbx-nvidia\n" in found.fix
        assert "/opt/zbx-nvidia/bin/zbx-nvidia install-agent --mode resident" in found.fix


@pytest.mark.parametrize(("mark", "folder"), [("pyvenv.cfg", ""), (".unpacked", ""), ("", "/opt/zbx-nvidia")])
def test_a_program_that_is_missing_is_installed_again_from_its_file(tmp_path: Path, mark: str, folder: str) -> None:
    """With a Python that is new enough, without removing anything, and without an index that is asked for its name."""
    (tmp_path / "bin").mkdir()
    if mark:
        (tmp_path / mark).touch()
    host = HostState(base=tmp_path)
    vars(host).update(reader="zabbix", program=tmp_path / "bin" / PROGRAM)
    found = program_checks.program.run(host)
    there = folder or str(tmp_path)
    python = sys._base_executable  # type: ignore[attr-defined]  # noqa: SLF001  what venv goes by
    assert found.fault == "missing"
    assert f"    {python} -m venv {there}\n    {there}/bin/pip install --force-reinstall zbx_nvidia-" in found.fix
    assert found.fix.endswith(
        f"\nIf it came as zbx-nvidia.pyz, run this instead:\n    {python} zbx-nvidia.pyz unpack {there}"
    )
    fixes = [fault.fix for check in CHECKS for fault in check.faults]
    assert not [fix for fix in fixes if "--clear" in fix or re.search(r"install zbx-nvidia$", fix, re.MULTILINE)]


@pytest.mark.parametrize(
    ("code", "user", "state"),
    [(4, "nobody", UNSEEN), (12, "nobody", UNSEEN), (9, "nobody", FAULT), (4, "zabbix", FAULT), (4, "root", FAULT)],
)
def test_what_the_driver_refuses_to_another_user(tmp_path: Path, code: int, user: str, state: str) -> None:
    host = HostState(base=tmp_path)
    status = {"code": code, "name": "Bad", "message": "It is bad."}
    made = Collected({"status": status, "gpus": {}, "collector": {}}, "", 0.1, "")
    vars(host).update(root=user == "root", user=user, reader="zabbix", mode="oneshot", collected=made)
    found = nvml_checks.nvml.run(host)
    assert found.state == state
    assert (user if user != "root" else "zabbix") in found.cause + found.text or code == 9


@pytest.mark.parametrize(("user", "state"), [("nobody", UNSEEN), ("zabbix", FAULT)])
def test_a_program_that_another_user_cannot_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: str, state: str
) -> None:
    program = tmp_path / PROGRAM
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    host = HostState(base=tmp_path)
    vars(host).update(root=False, user=user, reader="zabbix", mode="oneshot", program=program)
    monkeypatch.setattr(program_checks, "reader_may", lambda *_: True)
    found = {check.id: check.run(host) for check in (program_checks.program, program_checks.document)}
    assert {one.state for one in found.values()} == {state}, found


def test_an_archive_is_not_what_the_agent_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in it is compiled, and nothing of it need be."""
    program = tmp_path / PROGRAM
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    host = HostState(base=tmp_path)
    vars(host).update(root=False, user="zabbix", reader="zabbix", mode="oneshot", program=program)
    monkeypatch.setattr(program_checks, "reader_may", lambda _, path, *__: "site-packages" not in str(path))
    monkeypatch.setattr(program_checks, "cache_from_source", lambda _: str(tmp_path / "none"))
    assert program_checks.program.run(host).fault == "uncompiled"
    monkeypatch.setattr(installation, "archive", lambda: tmp_path / "zbx-nvidia.pyz")
    assert program_checks.program.run(host).state == GOOD


def test_a_link_to_the_command_alone_leads_to_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `ln -s /opt/zbx-nvidia/bin/zbx-nvidia /usr/local/bin/` makes it, of scripts that a system's Python runs."""
    (tmp_path / "opt").mkdir()
    (tmp_path / "opt/zbx-nvidia").touch()
    (tmp_path / "opt" / PROGRAM).touch()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/zbx-nvidia").symlink_to(tmp_path / "opt/zbx-nvidia")
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "bin/zbx-nvidia")])
    assert HostState().program == tmp_path / "opt" / PROGRAM


@pytest.mark.parametrize(("name", "key"), [("devices", "missing"), ("persistence", "late"), ("persistence", "off")])
def test_what_lasts_over_a_start_where_nvidias_service_is_not_there(tmp_path: Path, name: str, key: str) -> None:
    """The command writes a unit that systemd starts."""
    (fix,) = [fault.fix for check in HOST if check.id == name for fault in check.faults if fault.key == key]
    (line,) = [line for line in fix.splitlines() if line.startswith("    printf")]
    file = tmp_path / "nvidia-awake.service"
    subprocess.run(["sh", "-c", line.replace("/etc/systemd/system/nvidia-awake.service", str(file))], check=True)
    unit = configparser.ConfigParser()
    unit.read(file)
    assert dict(unit["Service"]) == {"type": "oneshot", "execstart": "/usr/bin/nvidia-smi -pm 1"}
    assert dict(unit["Install"]) == {"wantedby": "multi-user.target"}
    assert "&& systemctl" not in fix


def test_a_lost_gpu_does_not_hide_the_bus() -> None:
    """NVML answers, with one GPU of eight lost: the fault is that one, not the bus that a container does not show."""
    voters = {check.id: check.outvoted_by for check in HOST}
    assert {name: voters[name] for name in ("bus", "module", "library")} == dict.fromkeys(
        ("bus", "module", "library"), ("nvml",)
    )
