"""Which processes are recognized as agents, and which of their programs is run."""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import wait_for
from zbx_nvidia.host import permissions
from zbx_nvidia.zabbix_agent import find, processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="takes root")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory that every user can get to."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def program(folder: Path) -> Path:
    """Something that looks like an agent: a shell, with arguments to look at, that waits."""
    folder.mkdir(exist_ok=True)
    (folder / "wait").write_text("read -r _\n")
    found = folder / "zabbix_agentd"
    shutil.copy("/bin/sh", found)
    return found


@contextmanager
def started(*command: str | Path, executable: Path | None = None) -> Iterator[int]:
    with subprocess.Popen(command, executable=executable, stdin=subprocess.PIPE, cwd="/") as process:
        try:
            # Until it is that program, or that of its child.
            wait_for(lambda: number(process.pid), "that program")
            found = number(process.pid)
            assert found
            yield found
        finally:
            process.kill()


def test_an_agent_that_was_started_by_its_name_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zbx_nvidia.host.system.PATH", str(program(folder).parent))
    # As nobody's eyes see it, or those of root in a container: only by what it calls itself.
    monkeypatch.setattr(processes, "_link", lambda _: None)
    with started("zabbix_agentd", folder / "wait", executable=folder / "zabbix_agentd") as pid:
        assert taken(pid)
    with started("./zabbix_agentd", folder / "wait", executable=folder / "zabbix_agentd") as pid:
        assert not taken(pid)


def number(pid: int) -> int:
    """Of the process or its child, whichever bears the name; 0 while neither does."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    for one in (pid, *map(int, children)):
        if Path(f"/proc/{one}/comm").read_text(encoding="ascii", errors="replace").strip() == "zabbix_agentd":
            return one
    return 0


def as_nobody(question: Callable[[], bool]) -> bool:
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        try:
            os._exit(int(question()))
        except BaseException:  # noqa: BLE001  no test is to go on in here
            os._exit(2)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in {0, 1}
    return bool(code)


def taken(pid: int) -> bool:
    return pid in {process.pid for process in processes.agents()}


def test_an_agent(folder: Path) -> None:
    with started(program(folder), folder / "wait", "-c", "/etc/x.conf") as pid:
        (found,) = [process for process in processes.agents() if process.pid == pid]
        assert (found.program, found.config) == (folder / "zabbix_agentd", Path("/etc/x.conf"))
        if os.geteuid() == 0:
            assert as_nobody(lambda: taken(pid))


@pytest.mark.parametrize("where", ["zabbix_agentd", "."])
def test_a_program_that_others_can_change_is_no_agent(folder: Path, where: str) -> None:
    path = program(folder / "d")
    with started(path, path.parent / "wait") as pid:
        path.parent.joinpath(where).chmod(0o777)
        assert not taken(pid)


@needs_root
def test_a_program_of_somebody_else_is_no_agent(folder: Path) -> None:
    path = program(folder)
    os.chown(path, NOBODY, NOBODY)
    with started(path, folder / "wait") as pid:
        assert not taken(pid)
        path.unlink()
        assert not taken(pid)


def test_another_program_by_that_name_is_no_agent(folder: Path) -> None:
    (folder / "zabbix_agentd").symlink_to("/bin/sh")
    program(folder / "d")
    with started(folder / "zabbix_agentd", folder / "d" / "wait") as pid:
        assert not taken(pid)


def test_a_configuration_that_others_can_change_is_none(folder: Path) -> None:
    path = program(folder)
    good, bad = folder / "good.conf", folder / "d" / "bad.conf"
    bad.parent.mkdir()
    bad.parent.chmod(0o777)
    good.write_text("User=root\n")
    os.mkfifo(bad)  # who reads it waits for ever
    with (
        started(path, folder / "wait", "-c", bad),
        started(path, folder / "wait", "-c", good),
    ):
        found = {agent.config for agent in find.find("agentd")}
    assert good in found
    assert bad not in found


def test_a_program_is_asked_for_its_configuration_without_rights(folder: Path) -> None:
    path = folder / "zabbix_agentd"
    path.write_text('#!/bin/sh\necho "(default: \\"/etc/$(id -u).conf\\")"\n')
    path.chmod(0o755)
    assert find.default(path) == Path(f"/etc/{os.geteuid() or NOBODY}.conf")
    other = folder / "other"
    shutil.copy(path, other)
    other.chmod(0o777)
    assert find.default(other) is None


@needs_root
def test_an_agent_of_a_container_is_none_of_the_host(folder: Path) -> None:
    path = program(folder)
    command = ["unshare", "--pid", "--fork", "--kill-child", str(path), str(folder / "wait")]
    if subprocess.run(["unshare", "--pid", "--fork", "true"], check=False).returncode:
        pytest.skip("no namespaces here")
    with started(*command) as pid:
        assert not taken(pid)
        # Who may not look at its namespaces sees it too.
        assert not as_nobody(lambda: taken(pid))
        assert as_nobody(lambda: ("zabbix_agentd", pid) in processes.in_containers())


@needs_root
def test_a_container_that_shares_the_numbers_of_the_host(folder: Path) -> None:
    child = os.fork()
    if child == 0:
        Path("/proc/self/comm").write_text("zabbix_agentd", encoding="ascii")
        os.chroot(folder)
        signal.pause()
        os._exit(0)
    try:
        wait_for(lambda: ("zabbix_agentd", child) in processes.in_containers(), "it to be seen")
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


@needs_root
def test_what_only_root_can_look_at(folder: Path) -> None:
    path = folder / "d" / "a"
    path.parent.mkdir(0o700)
    path.touch()
    assert as_nobody(lambda: permissions.changeable(path) == "")


@needs_root
def test_an_access_list_is_looked_at(folder: Path) -> None:
    path = folder / "a"
    path.touch(0o660)
    assert permissions.changeable(path) == ""  # nobody is in root's group
    # For its owner, a user more, the group, all of them at most, others: tag, rights, number.
    rows = [(1, 6, -1), (2, 6, NOBODY), (4, 4, -1), (16, 6, -1), (32, 4, -1)]
    packed = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *row) for row in rows)
    try:
        os.setxattr(path, permissions.ACCESS_LIST, packed)
    except OSError as error:
        pytest.skip(f"{folder} takes no access lists: {error}")
    expected = f"{path} is writable by users of its access list: setfacl -b {path}"
    assert permissions.changeable(path) == expected
    path.chmod(0o644)
    assert permissions.changeable(path) == ""


def test_who_can_change_what(folder: Path) -> None:
    path = folder / "a"
    path.touch()
    assert permissions.changeable(path) == ""
    assert permissions.changeable(folder / "none") == ""
    (folder / "open").mkdir()
    (folder / "open").chmod(0o777)
    (folder / "open" / "way").symlink_to(path)
    (folder / "link").symlink_to(folder / "open" / "way")
    # Where it ends is root's alone, the way there is not.
    assert permissions.changeable(folder / "link") == f"{folder}/open is writable by everybody: chmod o-w {folder}/open"
    (folder / "loop").symlink_to(folder / "loop")
    assert permissions.changeable(folder / "loop")
