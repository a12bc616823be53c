"""This host as the checks see it: each fact is fetched once, when a check asks for it."""

from __future__ import annotations

import ipaddress
import json
import os
import pwd
import re
import socket
import time
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from zbx_nvidia.catalog.entities import DOCUMENT
from zbx_nvidia.catalog.status import STILL_STUCK
from zbx_nvidia.collector.resident import config
from zbx_nvidia.doctor.checks import State
from zbx_nvidia.doctor.service_commands import Service
from zbx_nvidia.errors import HostError, ZbxNvidiaError
from zbx_nvidia.host import installation, paths, permissions, system
from zbx_nvidia.host.reading import read
from zbx_nvidia.zabbix_agent import config as configuration
from zbx_nvidia.zabbix_agent import find, processes, verify
from zbx_nvidia.zabbix_agent.passive_check import PORT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zbx_nvidia.zabbix_agent.config import Configuration, Statement

ONESHOT, RESIDENT = "oneshot", "resident"
COLLECTS_WITHIN = 20.0  # s; the program itself leaves after 2.5
PAUSES = 5.0  # s to wait for another collection
NET = Path("/proc/net")
SLACK = 5.0  # s that a document may be late on a busy host


class Collected(NamedTuple):
    """A document, from the service's file or made for this check.

    Attributes:
        document: None if there is none.
        text: As received.
        seconds: What it took; 0 for one that the service has written.
        why: Why there is none.
    """

    document: dict[str, Any] | None
    text: str
    seconds: float
    why: str


class AgentFacts(NamedTuple):
    """What the checks of the server need to know of this host and its agent.

    Attributes:
        addresses: Of the host.
        port: Of the agent.
        accepts: Which of unencrypted, psk and cert the agent accepts on its port.
        connects: Which of them it uses when it calls the server.
        mode: How the agent gets the document: oneshot or resident.
    """

    addresses: frozenset[str]
    port: str
    accepts: frozenset[str]
    connects: str
    mode: str


class HostState(State):
    """This host.

    Args:
        kind: Which agent to check: agentd, agent2, or auto.
        base: Where its file system begins, for the files of the kernel and of its modules.
    """

    def __init__(self, kind: str = "auto", base: Path = Path("/")) -> None:
        self.kind = kind
        self.base = base
        self.root = os.geteuid() == 0
        self.user = permissions.owner(os.geteuid())

    def at(self, path: str) -> Path:
        """A path of this host."""
        return self.base / path.lstrip("/")

    # -- the agent ---------------------------------------------------------------------------------------------------

    @cached_property
    def agents(self) -> tuple[find.Agent, ...]:
        """Every agent that may be meant; those that serve the document come first."""
        return tuple(sorted(self._search[0], key=lambda agent: not _entries(_read(agent))))

    @property
    def refusal(self) -> str:
        """Why the search ignored an agent; "" if it did not."""
        return self._search[1].why if isinstance(self._search[1], find.NotRootsError) else ""

    @property
    def search_error(self) -> Exception | None:
        """Why the search for agents failed; None if it did not."""
        return self._search[1] if isinstance(self._search[1], (OSError, system.SystemdError)) else None

    @cached_property
    def _search(self) -> tuple[tuple[find.Agent, ...], Exception | None]:
        """The agents, and why there are none."""
        try:
            return find.find(self.kind), None
        except (PermissionError, system.SystemdError, find.NotRootsError) as error:
            return (), error
        except HostError as error:
            try:
                for path in (Path(one) for kind in find.CONFIGS.values() for one in kind):
                    exists(path)
            except PermissionError as closed:
                return (), closed
            return (), error

    @property
    def agent(self) -> find.Agent:
        """The agent that is checked; checks that use it need the check `agent`."""
        return self.agents[0]

    @cached_property
    def services(self) -> Mapping[str, Service]:
        """The agent and the resident collector, for the commands of a fix."""
        name, unit = (self.agent.name, self.agent.unit) if self.agents else ("the agent", "zabbix-agent.service")
        collector = Service("zbx-nvidia-agent serve", "zbx-nvidia" if system.has_systemd() else "")
        return {"agent": Service(name, unit), "collector": collector}

    @cached_property
    def configuration(self) -> Configuration:
        """Of the agent."""
        return configuration.read(self.agent.config, self.agent.kind)

    @cached_property
    def entries(self) -> tuple[Statement, ...]:
        """The lines of the agent's configuration that define nvidia.get."""
        return _entries(_read(self.agent)) if self.agents else ()

    @cached_property
    def running(self) -> processes.AgentProcess | None:
        """The agent's process."""
        return find.running(self.agent) if self.agents else None

    # -- the mode ----------------------------------------------------------------------------------------------------

    @cached_property
    def mode(self) -> str:
        """That of the agent's entry for nvidia.get; without an entry, resident if the service is enabled."""
        if self.entries:
            return RESIDENT if any(line.name == "Alias" for line in self.entries) else ONESHOT
        return RESIDENT if self.service is not None and self.service.enabled else ONESHOT

    @cached_property
    def service(self) -> system.Unit | None:
        """That of the resident collector; None also if systemd does not answer, which has a check of its own."""
        try:
            return next(iter(system.units(paths.SERVICE)), None)
        except system.SystemdError:
            return None

    @cached_property
    def resident_config(self) -> config.Config:
        """Its configuration; the defaults if it is invalid, which has a check of its own."""
        try:
            return config.load(None)
        except ZbxNvidiaError:
            return config.parse("")

    @cached_property
    def reader(self) -> str:
        """The user that reads the driver: the agent's, or that of the service if this user exists."""
        own = (self.service.user if self.service else "") or paths.USER
        if self.mode == RESIDENT and _number(own) >= 0:
            return own
        return self.agent.user if self.agents else "nobody"

    @property
    def acts_as_reader(self) -> bool:
        """Whether a trial here shows what the reader may do: root tries it as that user."""
        return self.root or self.user == self.reader

    @property
    def acting_user(self) -> str:
        """The user of such a trial."""
        return self.reader if self.root else self.user

    @property
    def root_is_reader(self) -> bool:
        """Whether root reads the driver. Then nothing can be tried, because the doctor never asks it as root."""
        return _number(self.reader) == 0

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """The groups that its unit gives the reader in addition to its own."""
        unit = paths.SERVICE if self.mode == RESIDENT else self.agent.unit if self.agents else ""
        if not unit or not system.has_systemd():
            return ()
        return tuple(system.run("systemctl", "show", "--property=SupplementaryGroups", "--value", unit).out.split())

    @cached_property
    def program(self) -> Path:
        """The zbx-nvidia-agent of this installation; for zbx-nvidia.pyz, the one where it is unpacked."""
        return installation.own()

    def as_user(self, user: str, *command: str, timeout: float = 20.0) -> system.CommandResult:
        """Run a command as that user; without root, as the current user, who cannot become another.

        Raises:
            HostError: It would have to run as root, and root's call makes the driver's library create device nodes.
        """
        if _number(user) == 0:
            raise HostError(f"the doctor never reads the driver as {user}")
        if not self.root:
            return system.run(*command, timeout=timeout)
        return system.run(*command, timeout=timeout, user=user, groups=self.groups)

    # -- the document ------------------------------------------------------------------------------------------------

    @property
    def file(self) -> Path:
        """Where the resident collector writes."""
        return Path(self.resident_config.document)

    @property
    def longest_age(self) -> float:
        """How old its document may be, in s."""
        # With `idle` set, the service writes it less often while all GPUs are idle.
        return max(self.resident_config.interval, self.resident_config.idle) + self.resident_config.stall + SLACK

    @cached_property
    def written(self) -> dict[str, Any] | None:
        """What the service has written last."""
        try:
            document = json.loads(read(self.file))
        except (OSError, ValueError, RecursionError):
            return None
        return document if isinstance(document, dict) else None

    @property
    def age(self) -> float | None:
        """How old this is, in s."""
        try:
            return time.time() - float((self.written or {})["timestamp"])
        except (KeyError, TypeError, ValueError):
            return None

    @cached_property
    def collected(self) -> Collected:
        """A document: the service's, which asks the driver anyway; else a new one made as the reader, never as root."""
        if self.mode == RESIDENT and self.age is not None and self.age <= self.longest_age:
            return Collected(self.written, json.dumps(self.written, separators=(",", ":")), 0.0, "")
        if not self.program.is_file():
            return Collected(None, "", 0.0, f"{self.program} does not exist")
        end = time.monotonic() + PAUSES
        while True:
            started = time.monotonic()
            try:
                done = self.as_user(self.reader, str(self.program), "get", timeout=COLLECTS_WITHIN)
            except HostError as error:
                return Collected(None, "", 0.0, str(error))
            seconds = time.monotonic() - started
            document = document_in(done.out)
            # The agent may be collecting at this moment, and two collections never run at once.
            if document is None or document["status"]["code"] != STILL_STUCK.code or time.monotonic() > end:
                break
        why = "" if document is not None else (done.complaint if done.code else f"it printed {done.out[:60]!r}")
        return Collected(document, done.out, seconds, why)

    @property
    def status(self) -> int:
        """The status of this document; -1 if there is none."""
        document = self.collected.document
        return int(document["status"]["code"]) if document else -1


def agent_facts(host: HostState) -> AgentFacts | None:
    """The facts; None if there is no agent, or its configuration cannot be read."""
    if not host.agents:
        return None
    try:
        settings = host.configuration
    except HostError:
        return None
    accepts = frozenset(word.strip() for word in settings.last("TLSAccept", "unencrypted").split(","))
    port, connects = settings.last("ListenPort", str(PORT)), settings.last("TLSConnect", "unencrypted")
    return AgentFacts(addresses(), port, accepts, connects, host.mode)


def host_name(host: HostState) -> str:
    """The name that Zabbix is likely to have for this host."""
    if not host.agents:
        return socket.gethostname()
    try:
        return verify.host_name(host.agent, host.configuration)
    except HostError:
        return socket.gethostname()


def addresses() -> frozenset[str]:
    """Every address of this host, from /proc."""
    numbers = set()
    try:
        trie = (NET / "fib_trie").read_text(encoding="ascii")
        numbers.update(re.findall(r"\|-- (\S+)\n\s*/32 host LOCAL", trie))
    except OSError:
        pass
    try:
        lines = (NET / "if_inet6").read_text(encoding="ascii").splitlines()
        numbers.update(str(ipaddress.IPv6Address(bytes.fromhex(line.split()[0]))) for line in lines)
    except OSError:
        pass
    return frozenset(numbers)


def exists(path: Path) -> bool:
    """Whether a file exists. From Python 3.14 on, Path.exists() also says no if that cannot be seen.

    Raises:
        OSError: It cannot be seen.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def document_in(text: str) -> dict[str, Any] | None:
    """The document; None if the text is none."""
    try:
        document: dict[str, Any] = json.loads(text)
        int(document["status"]["code"])
        float(document["timestamp"])
        if not isinstance(document["gpus"], dict) or not isinstance(document["collector"], dict):
            return None
    except (ValueError, KeyError, TypeError):
        return None
    return document


def key_of(statement: Statement) -> str:
    """The key that a UserParameter or an Alias is for."""
    mark = ":" if statement.name == "Alias" else ","
    return statement.value.partition(mark)[0].strip()


def target_of(statement: Statement) -> str:
    """What the key stands for: the command of a UserParameter, or the key that an Alias leads to."""
    mark = ":" if statement.name == "Alias" else ","
    return statement.value.partition(mark)[2].strip()


def _entries(settings: Configuration | None) -> tuple[Statement, ...]:
    lines = settings.statements if settings else ()
    return tuple(line for line in lines if line.name in {"UserParameter", "Alias"} and key_of(line) == DOCUMENT)


def _read(agent: find.Agent) -> Configuration | None:
    try:
        return configuration.read(agent.config, agent.kind)
    except HostError:
        return None


def _number(user: str) -> int:
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return int(user) if user.isdigit() else -1
