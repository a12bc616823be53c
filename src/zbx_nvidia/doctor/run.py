"""The whole chain: in which order the links are looked at, on this host and on the server."""

from __future__ import annotations

import re
import shutil
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from zbx_nvidia import __version__
from zbx_nvidia.catalog.entities import DOCUMENT, GPU_FILTERS
from zbx_nvidia.catalog.metrics import HOST_METRICS, PRESENT
from zbx_nvidia.doctor import agent_checks, driver_checks, host_state, server_checks, service_checks, service_commands
from zbx_nvidia.doctor.checks import Walk
from zbx_nvidia.errors import ServerError
from zbx_nvidia.host import system
from zbx_nvidia.template import TEMPLATE_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from zbx_nvidia.doctor.checks import Finding, Link
    from zbx_nvidia.server.connection import Connection

    Connect = Callable[[], AbstractContextManager[Connection]]


def chain() -> tuple[Link[Any], ...]:
    """Every link, in order: what the agent says of those who ask it comes after the settings that may explain it."""
    *agent, refused = agent_checks.CHAIN.links
    server = server_checks.CHAIN.links
    at = [link.id for link in server].index("reach")
    return (*driver_checks.CHAIN.links, *service_checks.CHAIN.links, *agent, *server[:at], refused, *server[at:])


def run(here: host_state.Scene | None, connect: Connect | None, name: str, folder: Path) -> list[Finding]:
    """Look at every link that can be looked at.

    Args:
        here: This host; None to leave it alone.
        connect: Opens the connection to the server; None to leave that alone.
        name: Technical name of the host there; the agent's if empty.
        folder: Where the programs of this installation are, for the commands of a cure.

    Returns:
        What was found, in the order of the chain.
    """
    with ExitStack() as stack:
        there = _at_the_server(stack, connect, name, here) if connect is not None else None
        walk = Walk()
        for link in chain():
            scene = there if link in server_checks.CHAIN.links else here
            if scene is not None:
                walk.add([link], scene)
        findings = walk.findings()
    if here is not None:
        findings = [by_hand_too(one, here) for one in findings]
    return [by_path(one, folder) for one in findings]


def _at_the_server(
    stack: ExitStack, connect: Connect, name: str, scene: host_state.Scene | None
) -> server_checks.Scene:
    zabbix: Connection | ServerError
    try:
        zabbix = stack.enter_context(connect())
    except ServerError as error:
        zabbix = error
    (timestamp,) = [metric.item_key for metric in HOST_METRICS if metric.key == "timestamp"]
    templates = dict.fromkeys(TEMPLATE_NAMES.values(), __version__)
    kinds = [kind for _, kind in GPU_FILTERS]
    filters = tuple(f"{{$NVIDIA.{kind}.{way}}}" for kind in kinds for way in ("MATCHES", "NOT_MATCHES"))
    expected = server_checks.Expected(templates, DOCUMENT, timestamp, PRESENT.item_key, "GPU", filters)
    known = host_state.facts(scene) if scene is not None else None
    return server_checks.Scene(zabbix, name or (agent_checks.host_name(scene) if scene else ""), expected, known)


def by_hand_too(found: Finding, here: host_state.Scene) -> Finding:
    """With a cure for what runs here as no service."""
    agent = here.agent.name if here.agents else ""
    cure = service_commands.cure(found.seen.cure, agent, systemd=system.has_systemd())
    return found._replace(seen=found.seen._replace(cure=cure))


def by_path(found: Finding, folder: Path) -> Finding:
    """With a cure whose commands work where a program is not on PATH, as in sudo's; a link may lead to one of them."""

    def named(line: re.Match[str]) -> str:
        program = line[2]
        lacks = not shutil.which(program) and (folder / program).is_file()
        return f"{line[1]}{folder / program if lacks else program} "

    cure = re.sub(r"^(    (?:sudo )?)(zbx-nvidia(?:-agent)?) ", named, found.seen.cure, flags=re.MULTILINE)
    return found._replace(seen=found.seen._replace(cure=cure))
