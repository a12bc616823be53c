"""The links of the resident collector: its service, and the document that lies ready."""

from __future__ import annotations

import os

from zbx_nvidia.collector.resident import config
from zbx_nvidia.doctor.checks import NOTE, Chain, Fault, Seen, good, unseen, wrong
from zbx_nvidia.doctor.driver_checks import COLLECTOR
from zbx_nvidia.doctor.host_state import ONESHOT, Scene, span, there
from zbx_nvidia.errors import ZbxNvidiaError
from zbx_nvidia.host import paths, system
from zbx_nvidia.zabbix_agent import log

CHAIN: Chain[Scene] = Chain()
link = CHAIN.link


@link(
    "service",
    "Service",
    COLLECTOR,
    Fault(
        "config",
        "The service cannot start with its configuration: {said}",
        "Put that right, check it, and restart the service:\n    zbx-nvidia-agent serve --check\n    systemctl restart "
        "zbx-nvidia",
    ),
    Fault(
        "missing",
        "The agent reads the document of the resident collector, but there is no service zbx-nvidia.",
        "Have it installed, or go back to a process a poll:\n    zbx-nvidia install-agent --mode resident\n    "
        "zbx-nvidia install-agent --mode oneshot",
    ),
    Fault(
        "stopped",
        "The service zbx-nvidia does not run{said}.",
        "Start it, now and with the host, and see what it says:\n    systemctl enable --now zbx-nvidia\n    journalctl "
        "-u zbx-nvidia -n 20",
    ),
    Fault(
        "not-enabled",
        "The service runs, but does not start with the host.",
        "Let it:\n    systemctl enable zbx-nvidia",
        NOTE,
    ),
    needs=("systemd",),
)
def served(scene: Scene) -> Seen:
    """Whether zbx-nvidia.service runs, where the agent reads what it writes."""
    if scene.way == ONESHOT:
        return unseen("not used: a process a poll")
    try:
        config.load(None)
    except ZbxNvidiaError as error:
        raise wrong("config", said=error) from None
    if not system.has_systemd():
        return unseen("no systemd here: its document tells")
    if scene.service is None and not scene.root and not system.answers():
        return unseen("only root can ask systemd here: use sudo")
    if scene.service is None:
        raise wrong("missing", f"there is no {paths.SERVICE}")
    if not scene.service.active:
        spoken = [line for line in log.journal(paths.SERVICE, 20) if "zbx-nvidia-agent:" in line]
        raise wrong("stopped", "it does not run", said=f": {spoken[-1]}" if spoken else "")
    if not scene.service.enabled:
        raise wrong("not-enabled", "runs, and does not start with the host")
    return good(f"runs as {scene.reader}")


@link(
    "fresh",
    "Document of the service",
    COLLECTOR,
    Fault(
        "missing",
        "The service runs, but {file} is not there.",
        "See what it says; after a start without persistence mode it may take a minute:\n    journalctl -u zbx-nvidia "
        "-n 20\n    df {folder}",
    ),
    Fault(
        "stale",
        "{file} is {age} old: nothing writes it any more.",
        "See what the service says, and restart it:\n    journalctl -u zbx-nvidia -n 20\n    systemctl restart "
        "zbx-nvidia",
    ),
    Fault(
        "ahead",
        "{file} was written {age} in the future: the clock of this host was set back.",
        "Restart the service once the clock is right:\n    timedatectl\n    systemctl restart zbx-nvidia",
    ),
    Fault(
        "closed",
        "The user {user} of the agent may not read {file}.",
        "The service writes it for everybody (0644), in a directory that everybody may enter (0755). See what has "
        "changed, and have it made anew:\n    namei -l {file}\n    systemctl restart zbx-nvidia",
    ),
    needs=("service",),
)
def fresh(scene: Scene) -> Seen:
    """Whether the document that lies ready is there, not old, and readable for the agent."""
    if scene.way == ONESHOT:
        return unseen("not used: a process a poll")
    file = scene.file
    if not there(file):
        raise wrong("missing", f"{file} is not there", file=file, folder=file.parent)
    if not scene.root and not os.access(file, os.R_OK):
        return unseen(f"{scene.me} may not read it; whether the agent may, only root sees: use sudo")
    user = scene.agent.user if scene.agents and scene.root else "root"
    if user != "root" and system.run("test", "-r", str(file), user=user).code:
        raise wrong("closed", user=user, file=file)
    age = scene.age
    if age is None or age > scene.oldest:
        shown = "of unknown age, and" if age is None else span(age)
        raise wrong("stale", f"{shown} old", file=file, age=shown)
    if age < -scene.oldest:
        raise wrong("ahead", file=file, age=span(-age))
    return good(f"{max(age, 0):.0f} s old")
