"""The service of the resident collector: its unit, its user, its configuration, and whether it has written."""

from __future__ import annotations

import contextlib
import json
import pwd
import shutil
import time
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from zbx_nvidia import __version__
from zbx_nvidia.agent.resident import config
from zbx_nvidia.errors import HostError, ZbxNvidiaError
from zbx_nvidia.host import steps, system
from zbx_nvidia.host.steps import SERVICE, Act, Command, Last

if TYPE_CHECKING:
    from zbx_nvidia.host.plan import Plan

OF = "service"
USER = "zbx-nvidia"
UNIT = Path("/etc/systemd/system") / SERVICE
# Of the administrator's, as the unit: /usr may be one that nothing is written to.
SYSUSERS = Path("/etc/sysusers.d/zbx-nvidia.conf")
CONFIG = Path(config.PATH)
RUNTIME = Path("/run/zbx-nvidia")
PROGRAM = "/opt/zbx-nvidia/bin/zbx-nvidia-agent"  # as the unit in the wheel has it
WRITES_WITHIN = 45.0  # s until there is a first document: a driver without persistence mode takes its time


def document() -> Path:
    """Where the service writes.

    Raises:
        HostError: Its configuration cannot be used.
    """
    try:
        return Path(config.load(None).document)
    except ZbxNvidiaError as error:
        raise HostError(str(error)) from None


def install(plan: Plan, command: Path) -> None:
    """Have the service, and have it run.

    Raises:
        HostError: There is no systemd, and no document either.
    """
    where = document()
    if not system.has_systemd():
        if not _fresh(where):
            raise HostError(
                f"there is no systemd here to run the service: have '{command} serve' started with this host or "
                f"container, so that {where} is written, and run this again"
            )
        return
    (before,) = system.units(SERVICE) or (None,)
    plan.steps.append(Last(lambda: _as_before(active=bool(before and before.active))))
    if not before:
        plan.steps.append(Last(_clear))
    unit = _data("zbx-nvidia.service").replace(PROGRAM.encode(), str(command).encode())
    changed = plan.whole(UNIT, unit, OF, takes_over=lambda data: b"zbx-nvidia-agent serve" in data)
    if plan.state(CONFIG) is None:
        plan.whole(CONFIG, _data("agent.conf"), OF, takes_over=lambda _: False)
    if not _exists(USER):
        plan.whole(SYSUSERS, _data("zbx-nvidia.sysusers.conf"), OF, takes_over=lambda data: b"zbx-nvidia" in data)
        plan.steps.append(Act([f"$ systemd-sysusers {SYSUSERS}"], _make_user, remove_user))
        plan.journal = replace(plan.journal, users=(USER,))
    if changed:
        plan.steps.append(Command("systemctl", "daemon-reload"))
    if not before or not before.enabled:
        plan.steps.append(Command("systemctl", "enable", SERVICE, back=("systemctl", "disable", SERVICE)))
        plan.journal = replace(plan.journal, enabled=True)
    if changed or not before or not before.active or not _ours(where):
        # Not waited for by systemd: a driver that hangs would have it wait for ever.
        back = () if before and before.active else ("systemctl", "stop", SERVICE)
        plan.steps.append(Command("systemctl", "restart", "--no-block", SERVICE, back=back))
        plan.steps.append(Act([f"? {where} is written"], lambda: _written(where, time.time())))


def remove(plan: Plan) -> None:
    """Take the service away."""
    (before,) = system.units(SERVICE) or (None,)
    entries = [entry for entry in plan.journal.entries if entry.of == OF]
    if before:
        plan.steps.append(Last(lambda: _as_before(active=before.active)))
        if before.active:
            plan.steps.append(Command("systemctl", "stop", SERVICE, back=("systemctl", "start", "--no-block", SERVICE)))
        if before.enabled and plan.journal.enabled:
            plan.steps.append(Command("systemctl", "disable", SERVICE, back=("systemctl", "enable", SERVICE)))
    plan.take_away(entries)
    if before:
        plan.steps.append(Command("systemctl", "daemon-reload"))
    if RUNTIME.is_dir():
        plan.steps.append(Act([f"- {RUNTIME}/"], _clear))
    if USER in plan.journal.users and _exists(USER):

        def away() -> None:
            if not remove_user():
                plan.notes.append(f"The user {USER} stays: a process of its own still waits for the driver")

        plan.steps.append(Act([f"$ userdel {USER}"], away, _make_user_again))
    plan.journal = replace(plan.journal, users=(), enabled=False)


def remove_user() -> bool:
    """Take the user away, and its group; False where it is needed still."""
    # The last process of a service that was stopped may take a moment.
    if not steps.wait(lambda: not _lingers(), 3):
        return False
    if _exists(USER):
        steps.must("userdel", USER)
    # With it goes its group, unless login.defs says otherwise.
    if system.run("getent", "group", USER).code == 0:
        steps.must("groupdel", USER)
    return True


def _clear() -> None:
    """Take away what it has written."""
    if steps.wait(lambda: not _lingers(), 3):
        shutil.rmtree(RUNTIME, ignore_errors=True)


def _lingers() -> bool:
    """Whether a process of the service is left: one that hangs in the driver is never ended, and holds a lock there."""
    try:
        uid = pwd.getpwnam(USER).pw_uid
    except KeyError:
        return False
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if place.stat().st_uid == uid:
                return True
    return False


def _make_user() -> None:
    steps.must("systemd-sysusers", str(SYSUSERS))


def _make_user_again() -> None:
    """As the file said that is taken away by now: with other numbers perhaps, but nothing lasting is that user's."""
    if not _exists(USER):
        steps.must("useradd", "--system", "--no-create-home", "--home-dir", "/", USER)


def _as_before(*, active: bool) -> None:
    steps.must("systemctl", "daemon-reload")
    if active:
        steps.must("systemctl", "restart", "--no-block", SERVICE)
    system.run("systemctl", "reset-failed", SERVICE)


def _written(where: Path, since: float) -> None:
    """Wait for a document that is younger than this."""
    # systemd forgets a unit that fails at once only when it is asked about it.
    if not steps.wait(lambda: _ours(where, since), WRITES_WITHIN):
        found = system.run("journalctl", "--unit", SERVICE, "--no-pager", "--output", "cat", "--lines", "1")
        raise HostError(f"{SERVICE} does not write {where} within {WRITES_WITHIN:g} s: {found.complaint}")


def _ours(where: Path, since: float = 0.0) -> bool:
    """Whether a document of this version is there."""
    try:
        collector = json.loads(where.read_text(encoding="ascii"))["collector"]
        # By the clock of the file system, which may be a tick behind.
        young = where.stat().st_mtime >= since - 0.1
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return bool(young and collector.get("version") == __version__ and collector.get("mode") == "resident")


def _fresh(where: Path) -> bool:
    return _ours(where, time.time() - 60)


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _data(name: str) -> bytes:
    return resources.files("zbx_nvidia").joinpath("data").joinpath("systemd").joinpath(name).read_bytes()
