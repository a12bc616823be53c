"""What systemd says of a service."""

from __future__ import annotations

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
    monkeypatch.setattr(system, "run", lambda *_: system.Done(0, out, ""))
    (unit,) = system.units("zabbix-agent.service")
    assert unit.command == ("/usr/sbin/zabbix_agentd", "-c", "/etc/a.conf", "-f", "-v")
