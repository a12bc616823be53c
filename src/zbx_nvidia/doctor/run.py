"""All checks: in which order they run, on this host and on the server."""

from __future__ import annotations

import re
import shutil
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from zbx_nvidia.doctor import (
    agent_checks,
    answer_checks,
    connection_checks,
    driver_checks,
    nvml_checks,
    program_checks,
    server_checks,
    service_checks,
    userparameter_checks,
    value_checks,
)
from zbx_nvidia.doctor.checks import CheckReport
from zbx_nvidia.doctor.host_state import agent_facts, host_name
from zbx_nvidia.doctor.server_state import ServerState
from zbx_nvidia.errors import ServerError
from zbx_nvidia.host import installation

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from zbx_nvidia.doctor.checks import Check, Finding
    from zbx_nvidia.doctor.host_state import HostState
    from zbx_nvidia.server.connection import Connection

    Connect = Callable[[], AbstractContextManager[Connection]]

HOST: tuple[Check[HostState], ...] = (
    service_checks.systemd,
    driver_checks.bus,
    driver_checks.module,
    driver_checks.devices,
    driver_checks.library,
    program_checks.program,
    program_checks.document,
    nvml_checks.nvml,
    nvml_checks.gpus,
    nvml_checks.persistence,
    nvml_checks.duration,
    service_checks.service,
    service_checks.fresh,
    agent_checks.installed,
    agent_checks.configuration,
    userparameter_checks.userparameter,
    userparameter_checks.entries,
    userparameter_checks.command,
    userparameter_checks.keys,
    agent_checks.psk,
    agent_checks.running,
    agent_checks.reloaded,
    answer_checks.port,
    answer_checks.denials,
    answer_checks.answer,
)
SERVER_SETTINGS: tuple[Check[ServerState], ...] = (
    server_checks.frontend,
    server_checks.running,
    server_checks.template,
    server_checks.host,
    server_checks.monitored,
    server_checks.linked,
    server_checks.proxy,
    connection_checks.interface,
    connection_checks.encryption,
)
# What the agent's log says of refused connections comes after the settings that may explain it.
REFUSED: tuple[Check[HostState], ...] = (answer_checks.refused,)
SERVER_DATA: tuple[Check[ServerState], ...] = (
    connection_checks.reach,
    value_checks.item,
    value_checks.values,
    value_checks.supported,
    value_checks.discovery,
    value_checks.clock,
)
CHECKS: tuple[Check[Any], ...] = (*HOST, *SERVER_SETTINGS, *REFUSED, *SERVER_DATA)


def run(host: HostState | None, connect: Connect | None, name: str) -> list[Finding]:
    """Run every check that can run.

    Args:
        host: This host; None to leave it out.
        connect: Opens the connection to the server; None to leave the server out.
        name: Technical name of the host on the server; the agent's name for it if empty.

    Returns:
        The findings, in order.
    """
    with ExitStack() as stack:
        server = _server_state(stack, connect, name, host) if connect is not None else None
        report = CheckReport()
        if host is not None:
            report.add(HOST, host)
        if server is not None:
            report.add(SERVER_SETTINGS, server)
        if host is not None:
            report.add(REFUSED, host)
        if server is not None:
            report.add(SERVER_DATA, server)
        folder = installation.own().parent
        return [with_paths(finding, folder) for finding in report.findings()]


def _server_state(stack: ExitStack, connect: Connect, name: str, host: HostState | None) -> ServerState:
    zabbix: Connection | ServerError
    try:
        zabbix = stack.enter_context(connect())
    except ServerError as error:
        zabbix = error
    facts = agent_facts(host) if host is not None else None
    return ServerState(zabbix, name or (host_name(host) if host else ""), facts)


def with_paths(finding: Finding, folder: Path) -> Finding:
    """The finding with a path before each program of ours that is not on PATH, as under sudo.

    A link on PATH may lead to one of them alone.
    """

    def named(line: re.Match[str]) -> str:
        program = line[2]
        is_missing = not shutil.which(program) and (folder / program).is_file()
        return f"{line[1]}{folder / program if is_missing else program} "

    fix = re.sub(r"^(    (?:sudo )?)(zbx-nvidia(?:-agent)?) ", named, finding.result.fix, flags=re.MULTILINE)
    return finding._replace(result=finding.result._replace(fix=fix))
