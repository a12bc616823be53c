"""The service of the resident collector: its unit, user, configuration and document."""

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
from zbx_nvidia.collector.resident import config
from zbx_nvidia.errors import HostError, ZbxNvidiaError
from zbx_nvidia.host import paths, system
from zbx_nvidia.host.reading import read
from zbx_nvidia.install import steps
from zbx_nvidia.install.steps import Action, Command, OnRollback

if TYPE_CHECKING:
    from zbx_nvidia.install.plan import InstallPlan

OF = "service"
WRITES_WITHIN = 45.0  # s until the first document: a driver without persistence mode starts slowly


def document() -> Path:
    """The path of the service's document.

    Raises:
        HostError: Its configuration is invalid.
    """
    try:
        return Path(config.load(None).document)
    except ZbxNvidiaError as error:
        raise HostError(str(error)) from None


def install(plan: InstallPlan, command: Path, *, large: bool) -> None:
    """Install and start the service.

    Args:
        plan: Where its steps go.
        command: Path of zbx-nvidia-agent.
        large: Whether every agent that reads the document takes more than 64 KiB.

    Raises:
        HostError: There is neither systemd nor a fresh document.
    """
    where = document()
    serve = "serve --large" if large else "serve"
    if not system.has_systemd():
        if not _fresh(where):
            raise HostError(
                f"there is no systemd here to run the service: start '{command} {serve}' with this host or "
                f"container, wait until {where} is written, then run this again"
            )
        return
    (before,) = system.units(paths.SERVICE) or (None,)
    plan.steps.append(OnRollback(lambda: _as_before(active=bool(before and before.active))))
    if not before:
        plan.steps.append(OnRollback(_clear))
    # In the unit, which each run writes again: the configuration may be edited, and what it states wins.
    unit = _data("zbx-nvidia.service").replace(b" serve\n", f" {serve}\n".encode())
    unit = unit.replace(paths.PROGRAM.encode(), str(command).encode())
    changed = plan.whole(paths.UNIT, unit, OF, takes_over=lambda data: b"zbx-nvidia-agent serve" in data)
    if plan.state(paths.CONFIG) is None:
        plan.whole(paths.CONFIG, _data("agent.conf"), OF, takes_over=lambda _: False)
    if not _exists(paths.USER):
        plan.whole(paths.SYSUSERS, _data("zbx-nvidia.sysusers.conf"), OF, takes_over=lambda data: b"zbx-nvidia" in data)
        plan.steps.append(Action([f"$ systemd-sysusers {paths.SYSUSERS}"], _make_user, remove_user))
        plan.record = replace(plan.record, users=(paths.USER,))
    if changed:
        plan.steps.append(Command("systemctl", "daemon-reload"))
    if not before or not before.enabled:
        plan.steps.append(Command("systemctl", "enable", paths.SERVICE, back=("systemctl", "disable", paths.SERVICE)))
        plan.record = replace(plan.record, enabled=True)
    if changed or not before or not before.active or not _ours(where):
        # systemd must not wait: with a hanging driver it would wait forever.
        back = () if before and before.active else ("systemctl", "stop", paths.SERVICE)
        plan.steps.append(Command("systemctl", "restart", "--no-block", paths.SERVICE, back=back))
        plan.steps.append(Action([f"? {where} is written"], lambda: _written(where, time.time())))


def remove(plan: InstallPlan) -> None:
    """Remove the service."""
    (before,) = system.units(paths.SERVICE) or (None,)
    entries = [entry for entry in plan.record.entries if entry.of == OF]
    if before:
        plan.steps.append(OnRollback(lambda: _as_before(active=before.active)))
        if before.active:
            plan.steps.append(
                Command("systemctl", "stop", paths.SERVICE, back=("systemctl", "start", "--no-block", paths.SERVICE))
            )
        if before.enabled and plan.record.enabled:
            plan.steps.append(
                Command("systemctl", "disable", paths.SERVICE, back=("systemctl", "enable", paths.SERVICE))
            )
    plan.remove(entries)
    if before:
        plan.steps.append(Command("systemctl", "daemon-reload"))
    if paths.RUNTIME.is_dir():
        plan.steps.append(Action([f"- {paths.RUNTIME}/"], _clear))
    if paths.USER in plan.record.users and _exists(paths.USER):

        def away() -> None:
            if not remove_user():
                plan.notes.append(f"The user {paths.USER} stays: one of its processes still waits for the driver")

        plan.steps.append(Action([f"$ userdel {paths.USER}"], away, _make_user_again))
    plan.record = replace(plan.record, users=(), enabled=False)


def remove_user() -> bool:
    """Remove the user and its group; False if a process still needs them."""
    # The last process of a stopped service may take a moment to end.
    if not steps.wait(lambda: not _lingers(), 3):
        return False
    if _exists(paths.USER):
        steps.must("userdel", paths.USER)
    # userdel removes the group too, unless login.defs says otherwise.
    if system.run("getent", "group", paths.USER).code == 0:
        steps.must("groupdel", paths.USER)
    return True


def _clear() -> None:
    """Remove what the service has written."""
    if steps.wait(lambda: not _lingers(), 3):
        shutil.rmtree(paths.RUNTIME, ignore_errors=True)


def _lingers() -> bool:
    """Whether a process of the service is left. One that hangs in the driver does not end, and holds a lock."""
    try:
        uid = pwd.getpwnam(paths.USER).pw_uid
    except KeyError:
        return False
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if place.stat().st_uid == uid:
                return True
    return False


def _make_user() -> None:
    steps.must("systemd-sysusers", str(paths.SYSUSERS))


def _make_user_again() -> None:
    """As the removed sysusers file did, perhaps with other IDs: no permanent file belongs to that user."""
    if not _exists(paths.USER):
        steps.must("useradd", "--system", "--no-create-home", "--home-dir", "/", paths.USER)


def _as_before(*, active: bool) -> None:
    steps.must("systemctl", "daemon-reload")
    if active:
        steps.must("systemctl", "restart", "--no-block", paths.SERVICE)
    system.run("systemctl", "reset-failed", paths.SERVICE)


def _written(where: Path, since: float) -> None:
    """Wait for a document newer than `since`."""
    # systemd forgets a unit that fails at once only when it is asked about it.
    if not steps.wait(lambda: _ours(where, since), WRITES_WITHIN):
        log = system.run("journalctl", "--unit", paths.SERVICE, "--no-pager", "--output", "cat", "--lines", "1")
        raise HostError(f"{paths.SERVICE} does not write {where} within {WRITES_WITHIN:g} s: {log.complaint}")


def _ours(where: Path, since: float = 0.0) -> bool:
    """Whether there is a resident document of this version, newer than `since`."""
    try:
        collector = json.loads(read(where))["collector"]
        # The clock of the file system may be a tick behind.
        young = where.stat().st_mtime >= since - 0.1
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
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
