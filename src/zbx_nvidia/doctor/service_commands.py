"""Cures for what systemd does not run: an agent in a container, under a supervisor, or built from source."""

from __future__ import annotations

import re

NO_UNIT = "UNIT?"  # stands in a cure for the service of an agent that has none
SERVICE = re.compile(r"    (?:systemctl|journalctl) .*\bzbx-nvidia\b")


def cure(text: str, agent: str, *, systemd: bool) -> str:
    """A cure without commands about services that are none.

    Args:
        text: The cure.
        agent: Name of the agent's program.
        systemd: Whether systemd runs this host.
    """
    lines: list[str] = []
    for line in text.splitlines():
        if NO_UNIT in line:
            rest = line.replace(f" {NO_UNIT}", "")
            # One command may be about the resident collector too.
            told = [_without(rest, systemd=systemd)] if rest.endswith(" zbx-nvidia") else []
            told.append(_told(line, agent))
        else:
            told = [_without(line, systemd=systemd)]
        # Two commands to look at a service become one sentence.
        lines += [one for one in told if one.startswith(" ") or one != (lines or [""])[-1]]
    return "\n".join(lines)


def _without(line: str, *, systemd: bool) -> str:
    return line if systemd or not SERVICE.match(line) else _told(line, "zbx-nvidia-agent serve")


def _told(line: str, program: str) -> str:
    about = f"{program} is no service of systemd's: "
    if " enable " in line:
        return f"{about}start it the way it is started here."
    if " restart " in line:
        return f"{about}restart it the way it is started here."
    return f"{about}see its log, and what starts it."
