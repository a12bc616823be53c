"""Cures for agents and collectors that are no services."""

from __future__ import annotations

import pytest

from zbx_nvidia.doctor import service_commands

AGENT = "zabbix_agent2 is no service of systemd's: "
SERVE = "zbx-nvidia-agent serve is no service of systemd's: "
RESTART = "restart it the way it is started here."


@pytest.mark.parametrize(
    ("text", "systemd", "expected"),
    [
        ("Do:\n    editor x\n    systemctl restart UNIT?", True, f"Do:\n    editor x\n{AGENT}{RESTART}"),
        ("Do:\n    systemctl enable --now UNIT?", True, f"Do:\n{AGENT}start it the way it is started here."),
        (
            "Do:\n    systemctl cat UNIT?\n    journalctl -u UNIT? -n 20\nor so",
            True,
            f"Do:\n{AGENT}see its log, and what starts it.\nor so",
        ),
        (
            "Do:\n    systemctl restart zbx-nvidia UNIT?",
            True,
            f"Do:\n    systemctl restart zbx-nvidia\n{AGENT}{RESTART}",
        ),
        ("Do:\n    systemctl restart zbx-nvidia UNIT?", False, f"Do:\n{SERVE}{RESTART}\n{AGENT}{RESTART}"),
        (
            "Do:\n    journalctl -u zbx-nvidia -n 20\n    systemctl restart zbx-nvidia",
            False,
            f"Do:\n{SERVE}see its log, and what starts it.\n{SERVE}{RESTART}",
        ),
        (
            "Do:\n    zbx-nvidia show\n    systemctl restart zabbix-agent.service",
            True,
            "Do:\n    zbx-nvidia show\n    systemctl restart zabbix-agent.service",
        ),
    ],
)
def test_commands_about_services_that_are_none(text: str, systemd: bool, expected: str) -> None:  # noqa: FBT001
    assert service_commands.cure(text, "zabbix_agent2", systemd=systemd) == expected
