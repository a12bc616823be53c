"""The systemd unit and what is shipped with it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import zbx_nvidia
from zbx_nvidia.collector.resident.config import parse
from zbx_nvidia.template.userparameters import COMMAND, FILE

FOLDER = Path(__file__).parents[4] / "systemd"
UNIT = FOLDER / "zbx-nvidia.service"


def unit() -> dict[str, dict[str, list[str]]]:
    """Section -> key -> values: keys of a unit may stand several times."""
    sections: dict[str, dict[str, list[str]]] = {}
    for line in UNIT.read_text().splitlines():
        if line.startswith("["):
            section = sections.setdefault(line.strip("[]"), {})
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            section.setdefault(key, []).append(value)
    return sections


def test_the_wheel_carries_it() -> None:
    data = Path(zbx_nvidia.__file__).parent / "data" / "systemd"
    ours = {path.name: path.read_text() for path in FOLDER.iterdir()}
    assert {path.name: path.read_text() for path in data.iterdir()} == ours
    assert set(ours) == {"zbx-nvidia.service", "zbx-nvidia.sysusers.conf", "agent.conf"}


def test_it_is_as_closed_as_can_be() -> None:
    if not shutil.which("systemd-analyze"):
        pytest.fail("systemd-analyze is missing: apt-get install systemd", pytrace=False)
    version = subprocess.run(["systemd-analyze", "--version"], capture_output=True, text=True, check=True).stdout
    if int(re.findall(r"\d+", version)[0]) < 250:
        pytest.skip("systemd-analyze security --offline is of systemd 250")
    assert exposure(UNIT) <= 1.5


def exposure(unit: Path) -> float:
    run = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", str(unit)], capture_output=True, text=True, check=False
    )
    return float(re.findall(r"exposure level for \S+: ([\d.]+)", run.stdout)[0])


def drop_ins() -> list[str]:
    """Those that the docs print."""
    text = (FOLDER.parent / "docs" / "RESIDENT.md").read_text(encoding="utf-8")
    return re.findall(r"^```ini\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_what_the_docs_add_to_it_leaves_it_nearly_as_closed(tmp_path: Path) -> None:
    """All of them together, and systemd understands each line."""
    assert drop_ins()
    changed = tmp_path / UNIT.name
    text = UNIT.read_text().replace("/opt/zbx-nvidia/bin/zbx-nvidia-agent", "/bin/true")
    changed.write_text("\n".join([text, *drop_ins()]))
    assert exposure(changed) <= 1.5
    verify = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(changed)], capture_output=True, text=True, check=False
    )
    assert UNIT.name not in verify.stderr


def test_what_must_not_be_closed_is_open() -> None:
    """These break NVML, or hide the names of processes: observed on real drivers."""
    service = unit()["Service"]
    assert not {"PrivateDevices", "ProcSubset", "ProtectProc", "DynamicUser", "CPUQuota", "MemoryMax"} & set(service)
    assert set(service["DeviceAllow"]) >= {"char-195 rw", "char-nvidia rw", "char-nvidia-caps rw"}


def test_it_gets_a_processor_beside_many_busy_processes() -> None:
    """Not by Nice=, which systemd may not lower in a container without rights: the service would not start."""
    service = unit()["Service"]
    assert int(service["CPUWeight"][0]) > 100
    assert "Nice" not in service


def test_a_stuck_process_is_left_alone_and_found_again() -> None:
    service = unit()["Service"]
    assert service["KillMode"] == ["process"]
    assert service["SendSIGKILL"] == ["no"]
    assert service["RuntimeDirectoryPreserve"] == ["yes"], "its lock is in there"


def test_it_names_what_the_program_names() -> None:
    service = unit()["Service"]
    assert service["ExecStart"] == [f"{COMMAND} serve"]
    assert service["ExecStopPost"] == [f"-{COMMAND} serve --clean"]
    assert parse("").document == FILE
    assert FILE.startswith(f"/run/{service['RuntimeDirectory'][0]}/")
    assert service["Type"] == ["notify"]
    assert int(service["WatchdogSec"][0]) > 10
    assert service["Restart"] == ["on-failure"]
    user = service["User"][0]
    assert f"u {user} " in (FOLDER / "zbx-nvidia.sysusers.conf").read_text()


def test_no_key_is_written_twice_by_mistake() -> None:
    several = {"DeviceAllow", "SystemCallFilter"}
    for section in unit().values():
        assert {key for key, values in section.items() if len(values) > 1} <= several
