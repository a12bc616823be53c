"""What the Host Wizard of Zabbix 7.4 and newer shows: instructions, and a field for each macro that people set.

A wrong constant makes a server refuse the whole file, and no server of 7.4 or 8.0 was available. So there are only
constants that were seen in a template of Zabbix itself: every field is of the type TEXT, also that of a switch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zbx_nvidia.catalog.macros import SECTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zbx_nvidia.catalog.macros import Macro

Tree = dict[str, Any]

_README = """\
## Overview

This template monitors the NVIDIA GPUs of a Linux host through NVML, the library of the driver.
One agent check per poll fetches all readings of all GPUs. All other items depend on that check.

{connection}

## Setup

1. Install zbx-nvidia on the GPU host. It needs the NVIDIA driver, a Zabbix agent, and Python 3.10 or newer.
2. Run `sudo zbx-nvidia install-agent --server ADDRESS` there, with the address of the Zabbix server or proxy.
3. In the next step of the Host Wizard, change what differs on this host. The defaults suit most hosts.
4. If no values arrive within a few minutes, run `sudo zbx-nvidia doctor` on the GPU host.
"""
_CONNECTIONS = {
    "passive": "The Zabbix server or proxy connects to the agent.",
    "active": (
        "The agent connects to the Zabbix server or proxy. "
        "The Hostname in the configuration of the agent must be the name of the host in Zabbix."
    ),
}


def readme(variant: str) -> str:
    """The instructions, in Markdown.

    Args:
        variant: `passive` or `active`.
    """
    return _README.format(connection=_CONNECTIONS[variant])


def configs(macros: Iterable[Macro]) -> dict[str, Tree]:
    """The field of each macro that has one: by section, then in the order of the rows.

    Args:
        macros: Rows of macros.

    Returns:
        Name of the macro -> its `config`.
    """
    fields = [(macro, macro.field) for macro in macros if macro.field]
    fields.sort(key=lambda row: SECTIONS.index(row[1].section))
    return {
        macro.name: {
            "type": "TEXT",
            "priority": str(position),
            "section_name": field.section,
            "label": field.label,
            "description": macro.text,
            "regex": field.pattern,
        }
        for position, (macro, field) in enumerate(fields, 1)
    }
