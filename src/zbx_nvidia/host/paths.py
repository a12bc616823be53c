"""Paths and names on a GPU host."""

from __future__ import annotations

from pathlib import Path

from zbx_nvidia.collector.resident import config

SERVICE = "zbx-nvidia.service"
USER = "zbx-nvidia"
UNIT = Path("/etc/systemd/system") / SERVICE
# In /etc, as the unit: /usr may be read-only.
SYSUSERS = Path("/etc/sysusers.d/zbx-nvidia.conf")
CONFIG = Path(config.PATH)
RUNTIME = Path("/run/zbx-nvidia")
PROGRAM = "/opt/zbx-nvidia/bin/zbx-nvidia-agent"  # as the unit in the wheel has it
NAME = Path(PROGRAM).name
