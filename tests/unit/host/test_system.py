"""How commands of this host are run, and what systemd says of a service."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from zbx_nvidia.host import system

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", ["EnvironmentFiles", "EnvironmentFile"])  # the second before systemd 240
def test_every_file_with_variables_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / "a").write_text("CONFFILE=/etc/a.conf\nMORE=-f\n")
    (tmp_path / "b").write_text("# no\nMORE='-f -v'\n")
    out = "\n".join(
        (
            "Id=zabbix-agent.service",
            "LoadState=loaded",
            "ActiveState=inactive",
            "UnitFileState=enabled",
            "MainPID=0",
            "User=zabbix",
            "ExecStart={ path=/usr/sbin/zabbix_agentd ; argv[]=/usr/sbin/zabbix_agentd -c ${CONFFILE} $MORE ; pid=0 }",
            "Environment=CONFFILE=/etc/none.conf",
            f"{name}={tmp_path}/a (ignore_errors=yes)",
            f"{name}={tmp_path}/b (ignore_errors=no)",
            f"{name}={tmp_path}/none (ignore_errors=yes)",
        )
    )
    monkeypatch.setattr(system, "has_systemd", lambda: True)
    monkeypatch.setattr(system, "run", lambda *_: system.CommandResult(0, out, ""))
    (unit,) = system.units("zabbix-agent.service")
    assert unit.command == ("/usr/sbin/zabbix_agentd", "-c", "/etc/a.conf", "-f", "-v")


@pytest.mark.parametrize("name", ["LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONPATH", "ZABBIX_TOKEN"])
def test_what_the_agent_would_not_have_either(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Neither secrets nor what has a program load other code than the service would."""
    monkeypatch.setenv(name, "")
    monkeypatch.setenv("OTHER", "1")
    printed = system.run("env").out.splitlines()
    assert "OTHER=1" in printed
    assert not [line for line in printed if line.startswith(name)]


def done(code: int, said: str) -> system.CommandResult:
    return system.CommandResult(code, "", said)


def test_a_container_that_shows_the_hosts_run_has_no_systemd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(system, "RUNNING", tmp_path)
    monkeypatch.setattr(system, "PATH", str(tmp_path))
    assert not system.has_systemd()
    assert system.units("zabbix-agent.service") == ()
    (tmp_path / "systemctl").touch(0o755)
    assert system.has_systemd()


@pytest.mark.parametrize(("uid", "refused"), [(0, True), (1000, False)])
def test_systemd_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
    uid: int,
    refused: bool,  # noqa: FBT001  a parameter
) -> None:
    """It talks to root alone where there is no D-Bus; that it does not talk to root says nothing of its services."""
    monkeypatch.setattr(system, "has_systemd", lambda: True)
    monkeypatch.setattr(system, "run", lambda *_, **__: done(1, "Failed to connect to bus"))
    monkeypatch.setattr("os.geteuid", lambda: uid)
    assert not system.answers()
    with pytest.raises(system.SystemdError, match="connect") if refused else contextlib.nullcontext():
        assert system.units("zabbix-agent.service") == ()
