"""How commands of this host are run."""

from __future__ import annotations

import pytest

from zbx_nvidia.host import system


@pytest.mark.parametrize("name", ["LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONPATH", "ZABBIX_TOKEN"])
def test_what_the_agent_would_not_have_either(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Neither secrets nor what has a program load other code than the service would."""
    monkeypatch.setenv(name, "")
    monkeypatch.setenv("OTHER", "1")
    printed = system.run("env").out.splitlines()
    assert "OTHER=1" in printed
    assert not [line for line in printed if line.startswith(name)]
