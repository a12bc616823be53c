"""systemd, the service of the resident collector, and the document that it writes."""

from __future__ import annotations

import os

from zbx_nvidia.collector.resident import config
from zbx_nvidia.doctor.checks import COLLECTOR, HOST, NOTE, Fault, Result, check, good, unseen
from zbx_nvidia.doctor.host_state import ONESHOT, HostState, exists
from zbx_nvidia.errors import ZbxNvidiaError
from zbx_nvidia.host import paths, system
from zbx_nvidia.host.durations import rough
from zbx_nvidia.zabbix_agent import log

NOT_USED = "not used: one process per poll"

SILENT = Fault(
    "silent",
    cause="systemd runs this host but does not answer, so the doctor cannot find agents and services: {said}",
    fix="Ask systemd yourself, and fix the error. In a container that shows the host's /run, remove systemctl.\n    "
    "systemctl show --property=Version",
)


@check("systemd", "systemd answers", HOST, SILENT)
def systemd(host: HostState) -> Result:
    """Does systemd answer questions about its services? Most containers have none."""
    if not system.has_systemd():
        return unseen("there is none here")
    if system.answers():
        return good("it runs this host")
    if not host.root:
        return unseen("here it answers only root: use sudo")
    done = system.run("systemctl", "show", "--property=Version")
    raise SILENT("it does not", said=done.complaint)


BAD_CONFIG = Fault(
    "config",
    cause="The service cannot start with its configuration: {said}",
    fix="Correct it, check it, and restart the service:\n    zbx-nvidia-agent serve --check\n{collector.restart}",
)
NO_SERVICE = Fault(
    "missing",
    cause="The agent reads the document of the resident collector, but the service zbx-nvidia does not exist.",
    fix="Install the service:\n    zbx-nvidia install-agent --mode resident\nOr go back to one process per poll:\n    "
    "zbx-nvidia install-agent --mode oneshot",
)
STOPPED = Fault(
    "stopped",
    cause="The service zbx-nvidia is not running. Its last log line: {said}",
    fix="Start it now and at each boot, then read its log:\n{collector.start}\n{collector.log}",
)
NOT_ENABLED = Fault(
    "not-enabled",
    cause="The service runs, but does not start at boot.",
    fix="Enable it:\n{collector.enable}",
    state=NOTE,
)


@check("service", "Service", COLLECTOR, BAD_CONFIG, NO_SERVICE, STOPPED, NOT_ENABLED, needs=("systemd",))
def service(host: HostState) -> Result:
    """Does zbx-nvidia.service run, if the agent reads what it writes?"""
    if host.mode == ONESHOT:
        return unseen(NOT_USED)
    try:
        config.load(None)
    except ZbxNvidiaError as error:
        raise BAD_CONFIG(said=error) from None
    if not system.has_systemd():
        return unseen("no systemd here: see its document")
    if host.service is None and not host.root and not system.answers():
        return unseen("systemd answers only root here: use sudo")
    if host.service is None:
        raise NO_SERVICE(f"there is no {paths.SERVICE}")
    if not host.service.active:
        lines = [line for line in log.journal(paths.SERVICE, 20) if "zbx-nvidia-agent:" in line]
        raise STOPPED("not running", said=lines[-1] if lines else "none.")
    if not host.service.enabled:
        raise NOT_ENABLED("runs, but does not start at boot")
    return good(f"runs as {host.reader}")


NO_FILE = Fault(
    "missing",
    cause="The service runs, but {file} does not exist.",
    fix="Read the service's log, and check for free space. Without persistence mode, the first document takes up to a "
    "minute.\n{collector.log}\n    df {folder}",
)
STALE = Fault(
    "stale",
    cause="{file} is {age}: the service no longer updates it.",
    fix="Read the service's log, then restart it:\n{collector.log}\n{collector.restart}",
)
AHEAD = Fault(
    "ahead",
    cause="{file} is dated {age} in the future: the clock of this host was set back.",
    fix="Check the clock. Once it is right, restart the service:\n    timedatectl\n{collector.restart}",
)
FILE_CLOSED = Fault(
    "closed",
    cause="The agent's user {user} may not read {file}.",
    fix="The service makes the file readable for all users (0644), in a directory that is open to all (0755). Find out "
    "what changed, then restart the service to write it again:\n    namei -l {file}\n{collector.restart}",
)


@check("fresh", "Service document", COLLECTOR, NO_FILE, STALE, AHEAD, FILE_CLOSED, needs=("service",))
def fresh(host: HostState) -> Result:
    """Does the service's document exist, is it recent, and may the agent read it?"""
    if host.mode == ONESHOT:
        return unseen(NOT_USED)
    file = host.file
    if not exists(file):
        raise NO_FILE(f"{file} does not exist", file=file, folder=file.parent)
    if not host.root and not os.access(file, os.R_OK):
        return unseen(f"{host.user} may not read it; only root sees whether the agent may: use sudo")
    if host.root and host.agents and not system.may_read(file, host.agent.user):
        raise FILE_CLOSED(user=host.agent.user, file=file)
    if host.age is None or host.age > host.longest_age:
        age = "of unknown age" if host.age is None else f"{rough(host.age)} old"
        raise STALE(age, file=file, age=age)
    if host.age < -host.longest_age:
        raise AHEAD(file=file, age=rough(-host.age))
    return good(f"{max(host.age, 0):.0f} s old")
