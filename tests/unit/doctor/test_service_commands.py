"""Commands for agents and collectors that systemd runs, and sentences for those that it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from zbx_nvidia.doctor.agent_checks import NOT_RUNNING
from zbx_nvidia.doctor.host_state import HostState
from zbx_nvidia.doctor.service_commands import Service
from zbx_nvidia.doctor.userparameter_checks import OTHER_FILE
from zbx_nvidia.host import system
from zbx_nvidia.zabbix_agent.config import AGENT2
from zbx_nvidia.zabbix_agent.find import Agent

if TYPE_CHECKING:
    from pathlib import Path

ABOUT_AGENT = "zabbix_agent2 is not a systemd service: "
ABOUT_COLLECTOR = "zbx-nvidia-agent serve is not a systemd service: "
VERBS = ("start", "restart", "enable", "edit", "show", "log")


def state(tmp_path: Path, unit: str) -> HostState:
    host = HostState(base=tmp_path)
    vars(host)["agents"] = (Agent(AGENT2, tmp_path / "zabbix_agent2", tmp_path / "agent2.conf", unit, "zabbix"),)
    return host


@pytest.mark.parametrize(
    ("unit", "systemd", "expected"),
    [
        (
            "zabbix-agent2.service",
            True,
            ["    systemctl restart zbx-nvidia", "    systemctl restart zabbix-agent2.service"],
        ),
        ("", True, ["    systemctl restart zbx-nvidia", f"{ABOUT_AGENT}restart it the way you started it."]),
        (
            "",
            False,
            [
                f"{ABOUT_COLLECTOR}restart it the way you started it.",
                f"{ABOUT_AGENT}restart it the way you started it.",
            ],
        ),
    ],
)
def test_a_fix_has_the_commands_of_this_host(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    unit: str,
    systemd: bool,  # noqa: FBT001  a parameter
    expected: list[str],
) -> None:
    monkeypatch.setattr(system, "has_systemd", lambda: systemd)
    result = OTHER_FILE(at="x:1", path="/a", file="/b").result(state(tmp_path, unit).services)
    assert result.fix.splitlines()[2:] == expected


@pytest.mark.parametrize("verb", VERBS)
def test_each_line_is_a_command_or_a_sentence(verb: str) -> None:
    command, sentence = (getattr(Service("zabbix_agentd", unit), verb) for unit in ("zabbix-agent.service", ""))
    assert command.startswith(("    systemctl ", "    journalctl -u "))
    assert "zabbix-agent.service" in command
    assert sentence.startswith("zabbix_agentd is not a systemd service: ")
    assert sentence.endswith(".")


def test_every_line_is_in_this_table() -> None:
    assert {name for name, value in vars(Service).items() if isinstance(value, property)} == set(VERBS)


def test_without_an_agent_the_usual_unit_is_named(tmp_path: Path) -> None:
    host = HostState(base=tmp_path)
    vars(host)["agents"] = ()
    fix = NOT_RUNNING(name="zabbix_agentd").result(host.services).fix
    assert fix.endswith("\n    systemctl enable --now zabbix-agent.service")
