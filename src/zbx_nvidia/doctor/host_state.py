"""What the doctor finds on this host: each fact is looked up once, when a link asks for it."""

from __future__ import annotations

import ipaddress
import json
import os
import pwd
import re
import time
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from zbx_nvidia.catalog.entities import DOCUMENT
from zbx_nvidia.catalog.status import STILL_STUCK
from zbx_nvidia.collector.resident import config
from zbx_nvidia.doctor.checks import Facts
from zbx_nvidia.doctor.service_commands import NO_UNIT
from zbx_nvidia.errors import HostError, ZbxNvidiaError
from zbx_nvidia.host import installation, paths, system
from zbx_nvidia.zabbix_agent import config as configuration
from zbx_nvidia.zabbix_agent import find as installed
from zbx_nvidia.zabbix_agent import processes
from zbx_nvidia.zabbix_agent.passive_check import PORT

if TYPE_CHECKING:
    from zbx_nvidia.zabbix_agent.config import Configuration, Statement

ONESHOT, RESIDENT = "oneshot", "resident"
COLLECTS_WITHIN = 20.0  # s; the program itself leaves after 2.5
PAUSES = 5.0  # s to wait for another collection
NET = Path("/proc/net")
SLACK = 5.0  # s that a document may be late on a busy host


class Collected(NamedTuple):
    """A document, from the service's file or made for this look.

    Attributes:
        document: None where there is none.
        text: As it came.
        seconds: What it took; 0 for one that lay ready.
        why: Why there is none.
    """

    document: dict[str, Any] | None
    text: str
    seconds: float
    why: str


class Scene:
    """This host.

    Args:
        kind: Which agent to look at: agentd, agent2, or auto.
        base: Where its file system begins, for the files of the kernel and of its modules.
    """

    def __init__(self, kind: str = "auto", base: Path = Path("/")) -> None:
        self.kind = kind
        self.base = base
        self.root = os.geteuid() == 0
        self.me = _me()

    def at(self, path: str) -> Path:
        """A path of this host."""
        return self.base / path.lstrip("/")

    # -- the agent ---------------------------------------------------------------------------------------------------

    @cached_property
    def agents(self) -> tuple[installed.Agent, ...]:
        """Every agent that might be meant; one that serves the document before others."""
        return tuple(sorted(self._found[0], key=lambda agent: not _claims(_read(agent))))

    @property
    def refusal(self) -> str:
        """Why an agent that is there counts for nothing; "" where there is none."""
        return str(self._found[1]) if isinstance(self._found[1], installed.NotRootsError) else ""

    @property
    def hidden(self) -> Exception | None:
        """Why it cannot be said which agents there are; None where it can."""
        return self._found[1] if isinstance(self._found[1], (OSError, system.SystemdError)) else None

    @cached_property
    def _found(self) -> tuple[tuple[installed.Agent, ...], Exception | None]:
        """The agents, and why there are none."""
        try:
            return installed.find(self.kind), None
        except (PermissionError, system.SystemdError, installed.NotRootsError) as error:
            return (), error
        except HostError as error:
            try:
                for path in (Path(one) for kind in installed.CONFIGS.values() for one in kind):
                    there(path)
            except PermissionError as closed:
                return (), closed
            return (), error

    @property
    def agent(self) -> installed.Agent:
        """The agent that is looked at; links that use it need the link `agent`."""
        return self.agents[0]

    @property
    def unit(self) -> str:
        """The agent's service, for commands; the usual one where there is no agent."""
        return (self.agent.unit or NO_UNIT) if self.agents else "zabbix-agent.service"

    @cached_property
    def configuration(self) -> Configuration:
        """Of the agent."""
        return configuration.read(self.agent.config, self.agent.kind)

    @cached_property
    def claims(self) -> tuple[Statement, ...]:
        """The agent's lines that say what nvidia.get is."""
        return _claims(_read(self.agent)) if self.agents else ()

    @cached_property
    def running(self) -> processes.AgentProcess | None:
        """The agent's process."""
        return installed.running(self.agent) if self.agents else None

    # -- the way to run ----------------------------------------------------------------------------------------------

    @cached_property
    def way(self) -> str:
        """By what the agent is told; where it is told nothing, by whether the service is there."""
        if self.claims:
            return RESIDENT if any(line.name == "Alias" for line in self.claims) else ONESHOT
        return RESIDENT if self.service is not None and self.service.enabled else ONESHOT

    @cached_property
    def service(self) -> system.Unit | None:
        """That of the resident collector; None also where systemd cannot be asked, which is a link of its own."""
        try:
            return next(iter(system.units(paths.SERVICE)), None)
        except system.SystemdError:
            return None

    @cached_property
    def resident(self) -> config.Config:
        """Its configuration; the defaults where it cannot be used, which is a link of its own."""
        try:
            return config.load(None)
        except ZbxNvidiaError:
            return config.parse("")

    @cached_property
    def reader(self) -> str:
        """Who reads the driver: the agent's user, or that of the service, if there is such a user."""
        own = (self.service.user if self.service else "") or paths.USER
        if self.way == RESIDENT and _number(own) >= 0:
            return own
        return self.agent.user if self.agents else "nobody"

    @property
    def like_reader(self) -> bool:
        """Whether what is tried here shows what the reader can: root tries it as that user."""
        return self.root or self.me == self.reader

    @property
    def caller(self) -> str:
        """Who that is tried as."""
        return self.reader if self.root else self.me

    @property
    def root_reads(self) -> bool:
        """Whether it is root that reads the driver: then nothing can be tried, for the doctor asks nothing as root."""
        return _number(self.reader) == 0

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """What the unit of the reader gives it besides its own groups."""
        unit = paths.SERVICE if self.way == RESIDENT else self.agent.unit if self.agents else ""
        if not unit or not system.has_systemd():
            return ()
        return tuple(system.run("systemctl", "show", "--property=SupplementaryGroups", "--value", unit).out.split())

    @cached_property
    def program(self) -> Path:
        """The zbx-nvidia-agent of this installation; for zbx-nvidia.pyz, that where it is unpacked."""
        return installation.own()

    def as_user(self, user: str, *command: str, timeout: float = 20.0) -> system.Done:
        """Run a command as that user; as whoever asks, where that is not root and so cannot be another.

        Raises:
            HostError: It would have to be run as root: never, for the driver's library makes device nodes then.
        """
        if _number(user) == 0:
            raise HostError(f"nothing that asks the driver is run as {user}")
        if not self.root:
            return system.run(*command, timeout=timeout)
        return system.run(*command, timeout=timeout, user=user, groups=self.groups)

    # -- the document ------------------------------------------------------------------------------------------------

    @property
    def file(self) -> Path:
        """Where the resident collector writes."""
        return Path(self.resident.document)

    @property
    def oldest(self) -> float:
        """How old its document may be, in s."""
        # While all GPUs are idle it is written seldom, if the service is told so.
        return max(self.resident.interval, self.resident.idle) + self.resident.stall + SLACK

    @cached_property
    def written(self) -> dict[str, Any] | None:
        """What the service has written last."""
        try:
            found = json.loads(self.file.read_bytes())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    @property
    def age(self) -> float | None:
        """How old that is, in s."""
        try:
            return time.time() - float((self.written or {})["timestamp"])
        except (KeyError, TypeError, ValueError):
            return None

    @cached_property
    def collected(self) -> Collected:
        """A document: the service's, which asks the driver anyway; else one made as the reader, never as root."""
        if self.way == RESIDENT and self.age is not None and self.age <= self.oldest:
            return Collected(self.written, json.dumps(self.written), 0.0, "")
        if not self.program.is_file():
            return Collected(None, "", 0.0, f"{self.program} is not there")
        end = time.monotonic() + PAUSES
        while True:
            started = time.monotonic()
            try:
                done = self.as_user(self.reader, str(self.program), "get", timeout=COLLECTS_WITHIN)
            except HostError as error:
                return Collected(None, "", 0.0, str(error))
            seconds = time.monotonic() - started
            document = parsed(done.out)
            # The agent may be collecting at this moment, and two at once there never are.
            if document is None or document["status"]["code"] != STILL_STUCK.code or time.monotonic() > end:
                break
        why = "" if document is not None else (done.complaint if done.code else f"it printed {done.out[:60]!r}")
        return Collected(document, done.out, seconds, why)

    @property
    def status(self) -> int:
        """The status of that document; -1 where there is none."""
        document = self.collected.document
        return int(document["status"]["code"]) if document else -1


def facts(scene: Scene) -> Facts | None:
    """The facts; None where there is no agent, or its configuration cannot be read."""
    if not scene.agents:
        return None
    try:
        found = scene.configuration
    except HostError:
        return None
    accepts = frozenset(word.strip() for word in found.last("TLSAccept", "unencrypted").split(","))
    port, connects = found.last("ListenPort", str(PORT)), found.last("TLSConnect", "unencrypted")
    return Facts(addresses(), port, accepts, connects, scene.way)


def addresses() -> frozenset[str]:
    """Every address of this host, from /proc."""
    found = set()
    try:
        trie = (NET / "fib_trie").read_text(encoding="ascii")
        found.update(re.findall(r"\|-- (\S+)\n\s*/32 host LOCAL", trie))
    except OSError:
        pass
    try:
        lines = (NET / "if_inet6").read_text(encoding="ascii").splitlines()
        found.update(str(ipaddress.IPv6Address(bytes.fromhex(line.split()[0]))) for line in lines)
    except OSError:
        pass
    return frozenset(found)


def there(path: Path) -> bool:
    """Whether a file is there. Path.exists() says no, from Python 3.14 on, also where that cannot be seen.

    Raises:
        OSError: That cannot be seen.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def parsed(text: str) -> dict[str, Any] | None:
    """The document, if that is what this is."""
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


def told(statement: Statement) -> str:
    """What it is to do: a command, or the key that an Alias leads to."""
    mark = ":" if statement.name == "Alias" else ","
    return statement.value.partition(mark)[2].strip()


def where(statement: Statement) -> str:
    """File and line."""
    return f"{statement.file}:{statement.line}"


def span(seconds: float) -> str:
    """A time for people."""
    for size, unit in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _claims(found: Configuration | None) -> tuple[Statement, ...]:
    lines = found.statements if found else ()
    return tuple(line for line in lines if line.name in {"UserParameter", "Alias"} and key_of(line) == DOCUMENT)


def _read(agent: installed.Agent) -> Configuration | None:
    try:
        return configuration.read(agent.config, agent.kind)
    except HostError:
        return None


def _me() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _number(user: str) -> int:
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return int(user) if user.isdigit() else -1
