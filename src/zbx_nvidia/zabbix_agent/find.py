"""The Zabbix agents of this host: what they are, and where they read a further file."""

from __future__ import annotations

import functools
import os
import pwd
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from zbx_nvidia.errors import HostError
from zbx_nvidia.host import permissions, system
from zbx_nvidia.zabbix_agent import config as configuration
from zbx_nvidia.zabbix_agent import processes
from zbx_nvidia.zabbix_agent.config import AGENT2, AGENTD, KINDS
from zbx_nvidia.zabbix_agent.processes import PROGRAMS, AgentProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE = "nvidia.conf"
NOBODY = "nobody"
USER = "zabbix"  # of every package, and what agentd becomes when root starts it
# What the packages of the distributions call the services: Debian, Ubuntu, Zabbix's own, EPEL; and openSUSE.
UNITS = {
    AGENTD: ("zabbix-agent.service", "zabbix_agentd.service", "zabbix-agentd.service"),
    AGENT2: ("zabbix-agent2.service", "zabbix_agent2.service"),
}
# Where their main files are: Debian, Ubuntu, Zabbix's packages and images; EPEL; openSUSE; built from source.
CONFIGS = {
    AGENTD: (
        "/etc/zabbix/zabbix_agentd.conf",
        "/etc/zabbix_agentd.conf",
        "/etc/zabbix/zabbix-agentd.conf",
        "/usr/local/etc/zabbix_agentd.conf",
    ),
    AGENT2: ("/etc/zabbix/zabbix_agent2.conf", "/etc/zabbix_agent2.conf", "/usr/local/etc/zabbix_agent2.conf"),
}


class Agent(NamedTuple):
    """A Zabbix agent.

    Attributes:
        kind: agentd or agent2.
        program: The file.
        config: Its main configuration file.
        unit: The systemd service that runs it; "" if none does.
        user: Who it runs as.
    """

    kind: str
    program: Path
    config: Path
    unit: str
    user: str

    @property
    def name(self) -> str:
        """As people call it."""
        return PROGRAMS[self.kind]


class NoAgentError(HostError):
    """There is none on this host."""


class NotRootsError(HostError):
    """There is an agent, but somebody besides root can change its program or its configuration."""


def find(kind: str = "auto") -> tuple[Agent, ...]:
    """The agents of this host.

    Args:
        kind: agentd or agent2, whether it runs or not; auto: those that run; if none does, those that start with the
            host; if there is none of these either, all.

    Raises:
        HostError: There is none, or it could not be looked for.
    """
    kinds = KINDS if kind == "auto" else (kind,)
    every: list[_Refused] = []
    candidates = [candidate for candidate in _candidates(every) if candidate.agent.kind in kinds]
    refused = [one for one in every if one.kind in kinds]
    runs = next((one for one in refused if one.runs), None)
    if runs is not None and kind == "auto":
        # It is what Zabbix asks: one that lies about unused is not meant.
        raise NotRootsError(f"{runs.why}; or name another agent with --agent")
    chosen = [one for one in candidates if one.running] or [one for one in candidates if one.enabled] or candidates
    if not chosen:
        if refused:
            raise NotRootsError((runs or refused[0]).why)
        wanted = " and no ".join(PROGRAMS[one] for one in kinds)
        raise NoAgentError(
            f"there is no {wanted} on this host: install the package zabbix-agent or zabbix-agent2 first"
        )
    return tuple(one.agent for one in chosen)


def running(agent: Agent) -> AgentProcess | None:
    """The process of an agent; None while it does not run."""
    for process in processes.agents():
        config = _config(process.config, process.program)
        if process.kind == agent.kind and config == agent.config and _is_the_agents(process, config):
            return process
    return None


def drop_in(agent: Agent) -> Path | None:
    """The path at which the agent reads a file named nvidia.conf; None where no Include line leads to one."""
    for include in configuration.read(agent.config, agent.kind).includes:
        if include.folder is None:
            if include.files[0].name == FILE:
                return include.files[0]
        # That directory is for agent 2's plugins: Zabbix's own for NVIDIA has an nvidia.conf there.
        elif include.folder.name != "plugins.d" and configuration.leads_to(include, FILE, agent.kind):
            return include.folder / FILE
    return None


class _Candidate(NamedTuple):
    agent: Agent
    running: bool
    enabled: bool


class _Refused(NamedTuple):
    kind: str
    why: str
    runs: bool  # as an agent of this host: anybody can start one with a file of his own


def _candidates(refused: list[_Refused]) -> list[_Candidate]:
    """Every agent that runs, that a service would start, or that is just there; each configuration once.

    Args:
        refused: Gets why one was left out: somebody besides root could have root run or write what they like.
    """
    candidates: dict[tuple[str, Path], _Candidate] = {}
    for candidate in (*_of_processes(), *_of_services(), *_of_programs()):
        agent = candidate.agent
        problem = permissions.changeable(agent.program) or permissions.changeable(agent.config)
        if problem:
            why = f"{agent.config}, of {agent.program}, is not root's alone: {problem}"
            of_host = candidate.enabled or agent.user in {"root", USER}
            refused.append(_Refused(agent.kind, why, candidate.running and of_host))
        else:
            candidates.setdefault((agent.kind, agent.config), candidate)
    return list(candidates.values())


def _is_the_agents(process: AgentProcess, config: Path, unit: system.Unit | None = None) -> bool:
    """Whether a process is not somebody's who has started the agent's program by himself.

    The agent's key is made for the user of its process; only root makes keys.
    """
    if permissions.changeable(config):
        # Refused further on, and not to be read: it may be a pipe that never ends.
        return True
    if os.geteuid() != 0 or process.user in {"root", _user(config, process.kind)} or not system.has_systemd():
        return True
    unit = unit or next(iter(system.units(process.unit) if process.unit else ()), None)
    return unit is not None and unit.pid == process.pid


def _of_processes() -> Iterator[_Candidate]:
    live = processes.agents()
    services = {unit.name: unit for unit in system.units(*sorted({one.unit for one in live if one.unit}))}
    for process in live:
        config = _config(process.config, process.program)
        unit = services.get(process.unit)
        # A service that it is one of many processes of is not what runs it; and of a script in /etc/init.d systemd
        # knows no process.
        name = unit.name if unit and unit.pid in {process.pid, 0} else ""
        if config is not None and _is_the_agents(process, config, unit):
            agent = Agent(process.kind, process.program, config, name, process.user)
            yield _Candidate(agent, running=True, enabled=unit is not None and unit.pid == process.pid)


def _of_services() -> Iterator[_Candidate]:
    for kind, names in UNITS.items():
        for unit in system.units(*names):
            program = Path(unit.command[0]) if unit.command else Path()
            config = _config(processes.config_of(unit.command), program) if program.name == PROGRAMS[kind] else None
            if config is not None and config.is_file():
                agent = Agent(kind, program, config, unit.name, unit.user or _user(config, kind))
                yield _Candidate(agent, running=False, enabled=unit.enabled)


def _of_programs() -> Iterator[_Candidate]:
    for kind, name in PROGRAMS.items():
        path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:{system.PATH}:/opt/zabbix/sbin")
        if path and Path(path).is_absolute():
            own = _config(None, Path(path))
            for config in [own] if own and own.is_file() else [Path(one) for one in CONFIGS[kind]]:
                if config.is_file():
                    agent = Agent(kind, Path(path), config, "", _user(config, kind))
                    yield _Candidate(agent, running=False, enabled=False)


def _config(named: Path | None, program: Path) -> Path | None:
    """The configuration of an agent whose command names this one, or none."""
    return named.absolute() if named else default(program)


@functools.cache
def default(program: Path) -> Path | None:
    """The configuration that a program takes unless it is told another: it says so itself."""
    if not program.is_absolute() or permissions.changeable(program):
        return None
    try:
        # It needs no rights for that, so it gets none.
        done = system.run(str(program), "--help", timeout=10, user=NOBODY if os.geteuid() == 0 else "")
    except HostError:
        return None
    match = re.search(r"\(default:? \"?(/[^\"()]*\.conf)\"?\)", done.out + done.err)
    return Path(match[1]) if match else None


def _user(config: Path, kind: str) -> str:
    """Who an agent that does not run would run as, where its service does not say."""
    try:
        user = configuration.read(config, kind).last("User", USER)
        pwd.getpwnam(user)
    except (HostError, KeyError):
        return NOBODY
    return user
