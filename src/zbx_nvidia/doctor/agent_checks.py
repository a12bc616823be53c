"""The Zabbix agent of this host: installed, with a valid configuration and key, running, and up to date."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

from zbx_nvidia.doctor.checks import AGENT, NOTE, Fault, Result, check, good, unchecked, unseen
from zbx_nvidia.doctor.host_state import HostState, exists
from zbx_nvidia.errors import HostError
from zbx_nvidia.host import system
from zbx_nvidia.host.durations import rough
from zbx_nvidia.zabbix_agent import config, log, processes

READABLE = ("agent", "config")
SLOW_CLOCK = 2.0  # s: the kernel gives the start time of the host in whole seconds

NO_AGENT = Fault(
    "none",
    cause="This host has no Zabbix agent.",
    fix="Install one, then set it up for the GPUs:\n    apt install zabbix-agent    # or zabbix-agent2\n    zbx-nvidia "
    "install-agent --mode {mode}",
)
NOT_ROOTS = Fault(
    "others",
    cause="The doctor ignores an agent that users other than root can change: {said}.",
    fix="Check that nobody has changed it, then make it writable for root only:\n    {command}",
)
IN_CONTAINER = Fault(
    "container",
    cause="This host has no Zabbix agent, but {name} runs in a container (process {pid}).",
    fix="Run the resident collector on this host, and mount the directory of its document into the container:\n    "
    "docker run -v /run/zbx-nvidia:/run/zbx-nvidia:ro ...\nOr run the doctor inside the container.",
)
TWO_AGENTS = Fault(
    "both",
    cause="This host has more than one agent. The doctor checked {name}, with {config}.",
    fix="Check the other one:\n    zbx-nvidia doctor --agent {other}",
    state=NOTE,
)


@check("agent", "Agent installed", AGENT, NO_AGENT, NOT_ROOTS, IN_CONTAINER, TWO_AGENTS, needs=("systemd",))
def installed(host: HostState) -> Result:
    """Which Zabbix agent does this host have? The doctor takes the one that runs; of two, the one with nvidia.get."""
    if isinstance(host.search_error, OSError):
        return unchecked(f"{host.search_error.filename}: {host.search_error.strerror}: use sudo")
    if host.search_error is not None:
        raise host.search_error
    if not host.agents:
        if refusal := host.refusal:
            said, _, command = refusal.rpartition(": ")
            raise NOT_ROOTS(said, said=said, command=command)
        for name, pid in processes.in_containers():
            raise IN_CONTAINER(name=name, pid=pid)
        raise NO_AGENT("none found", mode=host.mode)
    agent = host.agent
    others = [one for one in host.agents[1:] if one.kind != agent.kind]
    if others:
        text = f"{agent.name}, and another one"
        raise TWO_AGENTS(text, name=agent.name, config=agent.config, other=others[0].kind)
    return good(f"{agent.name} as {agent.user}, {agent.config}")


UNREADABLE = Fault("unreadable", cause="{said}", fix="Run the doctor as root:\n    sudo zbx-nvidia doctor")
INVALID = Fault(
    "broken",
    cause="The agent cannot start with its configuration: {said}",
    fix="Correct this line, then restart the agent:\n{agent.restart}",
)


@check("config", "Agent configuration", AGENT, UNREADABLE, INVALID, needs=("agent",))
def configuration(host: HostState) -> Result:
    """Can every file of the configuration be read, and is every line valid?"""
    try:
        settings = host.configuration
    except HostError as error:
        raise UNREADABLE(said=error) from None
    closed = [problem for problem in settings.problems if problem.endswith(os.strerror(errno.EACCES))]
    for problem in settings.problems:
        if host.root or problem not in closed:
            raise INVALID(problem, said=problem)
    if closed:
        raise UNREADABLE(closed[0], said=closed[0])
    return good(f"{len(settings.files)} file{'s' * (len(settings.files) != 1)}")


PSK_INCOMPLETE = Fault(
    "incomplete",
    cause="The agent is set to encrypt with a pre-shared key, but {missing}= is not set.",
    fix="Set TLSPSKIdentity= and TLSPSKFile=, or run:\n    zbx-nvidia install-agent --mode {mode} --psk",
)
NO_KEY_FILE = Fault(
    "missing",
    cause="The key file {file} does not exist.",
    fix="Create a key, then give Zabbix the same key:\n    zbx-nvidia install-agent --mode {mode} --psk",
)
KEY_CLOSED = Fault(
    "closed",
    cause="The user {user} may not read the key file {file}.",
    fix="Make the file readable for the agent's user only, then restart the agent:\n    chown {user} {file} && chmod "
    "0400 {file}\n{agent.restart}",
)
BAD_KEY = Fault(
    "bad",
    cause="The key in {file} is {problem}.",
    fix="Create a new key, restart the agent, and give Zabbix the same key (add-host --psk-file):\n    openssl rand "
    "-hex 32 > {file}\n{agent.restart}",
)
KEY_OPEN = Fault(
    "open",
    cause="Everybody on this host can read the key in {file} ({permissions}).",
    fix="Close the file. Whoever has read the key can impersonate this host.\n    chmod 0400 {file}",
    state=NOTE,
)


@check(
    "psk",
    "Pre-shared key",
    AGENT,
    PSK_INCOMPLETE,
    NO_KEY_FILE,
    KEY_CLOSED,
    BAD_KEY,
    KEY_OPEN,
    needs=READABLE,
)
def psk(host: HostState) -> Result:
    """If the agent encrypts with a key: are identity and key file set, readable for the agent, and long enough?"""
    settings = host.configuration
    words = f"{settings.last('TLSAccept')},{settings.last('TLSConnect')}".split(",")
    if "psk" not in [word.strip() for word in words]:
        return unseen("not used")
    for name in ("TLSPSKIdentity", "TLSPSKFile"):
        if not settings.last(name):
            raise PSK_INCOMPLETE(missing=name, mode=host.mode)
    file = Path(settings.last("TLSPSKFile"))
    user = host.agent.user
    if not host.root and host.user != user:
        return unseen("only root can see it: use sudo")
    if not exists(file):
        raise NO_KEY_FILE(file=file, mode=host.mode)
    if not system.may_read(file, user):
        raise KEY_CLOSED(user=user, file=file)
    if problem := config.key_problem(config.key_text(file)):
        raise BAD_KEY(problem, file=file, problem=problem)
    mode = file.stat().st_mode & 0o777
    if mode & 0o004:
        raise KEY_OPEN("everybody can read it", file=file, permissions=f"{mode:04o}")
    return good(f"identity {settings.last('TLSPSKIdentity')}")


NOT_RUNNING = Fault(
    "stopped",
    cause="{name} is not running.",
    fix="Start it now and at each boot:\n{agent.start}",
)
CRASHED = Fault(
    "failed",
    cause="{name} is not running. Its last log line: {said}",
    fix="Fix this, then start the agent:\n{agent.restart}",
)
ONLY_IN_CONTAINER = Fault(
    "container",
    cause="{name} is not running on this host, but one runs in a container (process {pid}).",
    fix="Start the agent of this host, or run the doctor inside the container:\n{agent.start}",
)


@check("running", "Agent running", AGENT, NOT_RUNNING, CRASHED, ONLY_IN_CONTAINER, needs=READABLE)
def running(host: HostState) -> Result:
    """Is the agent with this configuration running?"""
    process = host.running
    if process is not None:
        return good(f"process {process.pid}, for {rough(time.time() - process.started)}")
    agent = host.agent
    for _, pid in processes.in_containers():
        raise ONLY_IN_CONTAINER(name=agent.name, pid=pid)
    if host.root and agent.unit and _has_failed(agent.unit):
        said = log.last_words(agent, host.configuration)
        if said:
            raise CRASHED(said, name=agent.name, said=said)
    raise NOT_RUNNING(name=agent.name)


def _has_failed(unit: str) -> bool:
    """Whether it ended by itself: systemd counts an agent that ends because of its key as a success."""
    shown = system.run("systemctl", "show", "--property=ActiveState,Result", unit).out
    return "ActiveState=failed" in shown or "activating" in shown or "Result=success" not in shown


CHANGED_SINCE = Fault(
    "older",
    cause="{file} was changed {changed} ago, but the agent has been running for {age}. It has not loaded the change.",
    fix="Restart the agent:\n{agent.restart}",
)
PERHAPS_CHANGED_SINCE = Fault(
    "perhaps",
    cause="{file} was changed {changed} ago, and the agent has been running for {age}. The doctor cannot see whether "
    "it has loaded all of the change.",
    fix="Restart the agent to be sure:\n{agent.restart}",
    state=NOTE,
)


@check(
    "reloaded",
    "Changes loaded",
    AGENT,
    CHANGED_SINCE,
    PERHAPS_CHANGED_SINCE,
    needs=("running",),
    outvoted_by=("answer",),
)
def reloaded(host: HostState) -> Result:
    """Was the agent started after the last change of its files, or has it reloaded its UserParameter lines since?"""
    process = host.running
    if process is None:
        return unchecked("it is not running")
    changed = {path: path.stat().st_ctime for path in host.configuration.files}
    paths = sorted(changed, key=lambda path: changed[path], reverse=True)
    newer = [path for path in paths if changed[path] > process.started + SLOW_CLOCK]
    if not newer:
        return good(f"after the last change, of {paths[0].name}")

    lines = log.lines(host.agent, host.configuration) if host.root or host.user == host.agent.user else []
    text = "{} is newer than the process"
    if not log.reaches(lines, changed[newer[-1]]):
        raise PERHAPS_CHANGED_SINCE(text.format(newer[0]), **_times(newer[0], process))
    last_reload = log.reloaded(lines)
    for path in newer:
        if changed[path] > last_reload:
            raise CHANGED_SINCE(text.format(path), **_times(path, process))
    for path in newer:
        # The agent reloads nothing else: an Alias line stays as it was when the agent started.
        if any(line.name != "UserParameter" for line in host.configuration.statements if line.file == path):
            raise PERHAPS_CHANGED_SINCE(text.format(path), **_times(path, process))
    return good(f"it has reloaded its UserParameter lines since the change of {newer[0].name}")


def _times(path: Path, process: processes.AgentProcess) -> dict[str, object]:
    now = time.time()
    return {"file": path, "changed": rough(now - path.stat().st_ctime), "age": rough(now - process.started)}
