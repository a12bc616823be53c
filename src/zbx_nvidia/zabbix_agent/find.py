"""Finds the Zabbix agents of this host, and the path at which they read an additional file."""

from __future__ import annotations

import contextlib
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
    from collections.abc import Iterable, Iterator

FILE = "nvidia.conf"
NOBODY = "nobody"
USER = "zabbix"  # in every package; agentd switches to it when root starts it
LARGE_FILES = 7  # from this series on, an agent reads files above 64 KiB
_VERSION = re.compile(r"\(Zabbix\) (\d+)\.")
# Names of the services: in Debian, Ubuntu, Zabbix's own packages and EPEL, then in openSUSE.
UNITS = {
    AGENTD: ("zabbix-agent.service", "zabbix_agentd.service", "zabbix-agentd.service"),
    AGENT2: ("zabbix-agent2.service", "zabbix_agent2.service"),
}
# Their main files: Debian, Ubuntu, Zabbix's packages and images; EPEL; openSUSE; built from source.
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
        program: Its path.
        config: Its main configuration file.
        unit: The systemd service that runs it; "" if none.
        user: The user that it runs as.
    """

    kind: str
    program: Path
    config: Path
    unit: str
    user: str

    @property
    def name(self) -> str:
        """The name of its program."""
        return PROGRAMS[self.kind]


class NoAgentError(HostError):
    """This host has no such agent."""


class NotRootsError(HostError):
    """An agent exists, but others than root can change its program or its configuration.

    Args:
        why: What they can change, and the command against it.
        hint: What else the user can do.
    """

    def __init__(self, why: str, hint: str = "") -> None:
        super().__init__(why + hint)
        self.why = why


def find(kind: str = "auto") -> tuple[Agent, ...]:
    """The agents of this host.

    Args:
        kind: agentd or agent2, running or not. auto: those that run; if none runs, those that start at boot; if there
            are none, all.

    Raises:
        HostError: There is none, or the search failed.
    """
    kinds = KINDS if kind == "auto" else (kind,)
    every: list[_Refused] = []
    candidates = [candidate for candidate in _candidates(every) if candidate.agent.kind in kinds]
    refused = [one for one in every if one.kind in kinds]
    runs = next((one for one in refused if one.runs), None)
    if runs is not None and kind == "auto":
        # Zabbix polls the one that runs: an unused one is no substitute.
        raise NotRootsError(runs.why, "; or name another agent with --agent")
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
    """The process of an agent; None if it does not run."""
    for process in processes.agents():
        config = _config(process.config, process.program)
        if process.kind == agent.kind and config == agent.config and _is_the_agents(process, config):
            return process
    return None


def drop_in(agent: Agent) -> Path | None:
    """The path at which the agent reads a file named nvidia.conf; None if no Include line covers it."""
    for include in configuration.read(agent.config, agent.kind).includes:
        if include.folder is None:
            if include.files[0].name == FILE:
                return include.files[0]
        # plugins.d is for plugins of agent 2: Zabbix's own NVIDIA plugin has an nvidia.conf there.
        elif include.folder.name != "plugins.d" and configuration.leads_to(include, FILE, agent.kind):
            return include.folder / FILE
    return None


def major(agent: Agent) -> int:
    """The first number of the agent's version; 0 if it does not say it."""
    try:
        done = system.run(str(agent.program), "-V", timeout=10, user=NOBODY if os.geteuid() == 0 else "")
    except HostError:
        return 0
    match = _VERSION.search(done.out)
    return int(match[1]) if match else 0


def take_large_files(configs: Iterable[Path], agents: Iterable[Agent]) -> bool:
    """Whether each of some agents is known to read files above 64 KiB.

    Args:
        configs: Their main configuration files. An agent without its file reads nothing.
        agents: Those that are found already.
    """
    known = {agent.config: agent for agent in agents}
    readers = {config for config in configs if config in known or config.exists()}
    for kind in KINDS if readers - known.keys() else ():
        with contextlib.suppress(HostError):
            known |= {agent.config: agent for agent in find(kind)}
    return all(config in known and major(known[config]) >= LARGE_FILES for config in readers)


class _Candidate(NamedTuple):
    agent: Agent
    running: bool
    enabled: bool


class _Refused(NamedTuple):
    kind: str
    why: str
    runs: bool  # as the agent of this host: any user can start one with a file of their own


def _candidates(refused: list[_Refused]) -> list[_Candidate]:
    """Every agent that runs, that a service would start, or that is only installed; each configuration once.

    Args:
        refused: Filled with the agents left out, because others than root could make root run or write anything.
    """
    candidates: dict[tuple[str, Path], _Candidate] = {}
    for candidate in (*_of_processes(), *_of_services(), *_of_programs()):
        agent = candidate.agent
        problem = permissions.changeable(agent.program) or permissions.changeable(agent.config)
        if problem:
            why = f"{agent.config}, of {agent.program}, can be changed by others than root: {problem}"
            of_host = candidate.enabled or agent.user in {"root", USER}
            refused.append(_Refused(agent.kind, why, candidate.running and of_host))
        else:
            candidates.setdefault((agent.kind, agent.config), candidate)
    return list(candidates.values())


def _is_the_agents(process: AgentProcess, config: Path, unit: system.Unit | None = None) -> bool:
    """Whether a process is the agent of this host, and not a user's own process of the agent's program.

    The agent's key is made for the user of its process; only root makes keys.
    """
    if permissions.changeable(config):
        # It is refused later, and must not be read: it may be an endless pipe.
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
        # A service whose main process is another one does not run it. For a script in /etc/init.d systemd has no main
        # process.
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
    """The configuration of an agent: the one that its command names, or else its default."""
    return named.absolute() if named else default(program)


@functools.cache
def default(program: Path) -> Path | None:
    """The default configuration of a program, as its --help prints it."""
    if not program.is_absolute() or permissions.changeable(program):
        return None
    try:
        # --help needs no privileges, so it gets none.
        done = system.run(str(program), "--help", timeout=10, user=NOBODY if os.geteuid() == 0 else "")
    except HostError:
        return None
    match = re.search(r"\(default:? \"?(/[^\"()]*\.conf)\"?\)", done.out + done.err)
    return Path(match[1]) if match else None


def _user(config: Path, kind: str) -> str:
    """The user that an agent would run as, if its service names none."""
    try:
        user = configuration.read(config, kind).last("User", USER)
        pwd.getpwnam(user)
    except (HostError, KeyError):
        return NOBODY
    return user
