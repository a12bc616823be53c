"""install-agent and uninstall-agent, killed at each of their calls of the file system in turn."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests import forks
from tests.unit.install.calls import COUNTED

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="what is installed is root's")

# What install-agent does with an agent's files, and kills itself before the call of this number.
PROGRAM = (
    """
import os, signal, sys
from pathlib import Path

root, what, fatal = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
from zbx_nvidia.install import files, install, record, steps
from zbx_nvidia.install.plan import InstallPlan
from zbx_nvidia.install.record import Record

place = root / "var/lib/zbx-nvidia/install.json"
record.load.__defaults__ = record.locked.__wrapped__.__defaults__ = (place,)
record.save.__defaults__ = (place,)
seen = 0

def about_to_call():
    global seen
    seen += 1
    if seen == fatal:
        os.kill(os.getpid(), signal.SIGKILL)

"""
    + COUNTED
    + """
count_calls()

def do_install():
    with record.locked():
        plan = InstallPlan(record.load() or Record())
        main = root / "etc/zabbix/agent.conf"
        plan.whole(root / "etc/systemd/system/x.service", b"unit", "service", takes_over=lambda _: False)
        plan.whole(root / "etc/zabbix/agent.d/nvidia.conf", b"ours", str(main), takes_over=lambda data: b"old" in data)
        plan.lines(main, str(main), lambda data: files.edited(data, 1, "Server=192.0.2.1"))
        if b"Include" not in (files.state(main).data):
            plan.lines(main, str(main), lambda data: files.appended(data, "Include=a"))
        key = root / "etc/zabbix/keys/nvidia.psk"
        if not os.path.lexists(key):
            plan.key(key, "nobody", str(main), lambda: "secret")
        install._apply(plan, lambda _: None, dry_run=False, verify=[])

def do_uninstall():
    with record.locked():
        known = record.load()
        if known is not None:
            plan = InstallPlan(known, gone=True)
            plan.remove(list(known.entries))
            install._apply(plan, lambda _: None, dry_run=False, verify=[])

do_install() if what == "install" else do_uninstall()
print(seen)
"""
)


def run(root: Path, what: str, fatal: int = 0) -> int:
    """How many calls it was; 0 if it was killed."""
    code, out, errors = forks.run(PROGRAM, os.environ, str(root), what, str(fatal))
    if code == -signal.SIGKILL:
        return 0
    assert code == 0, (what, fatal, errors.decode())
    return int(out)


def host(root: Path) -> Path:
    """A host with an agent."""
    for folder in ("etc/zabbix/agent.d", "var/lib"):
        (root / folder).mkdir(parents=True)
    (root / "etc/zabbix/agent.conf").write_bytes(b"Server=127.0.0.1\nTimeout=3")
    (root / "etc/zabbix/agent.d/nvidia.conf").write_bytes(b"old")
    (root / "etc/zabbix/agent.d/nvidia.conf").chmod(0o640)
    return root


def tree(root: Path) -> dict[str, tuple[int, int, bytes]]:
    """All that is there."""
    return {
        str(path.relative_to(root)): (
            path.stat().st_mode,
            path.stat().st_uid,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in root.rglob("*")
    }


@pytest.mark.slow
@pytest.mark.once
@pytest.mark.parametrize("victim", ["install", "uninstall"])
def test_killed_at_each_call(tmp_path: Path, victim: str) -> None:
    before = tree(host(tmp_path / "whole"))
    calls = run(tmp_path / "whole", "install")
    installed = tree(tmp_path / "whole")
    assert installed["etc/zabbix/keys/nvidia.psk"][2] == b"secret\n"
    if victim == "uninstall":
        calls = run(tmp_path / "whole", "uninstall")
    assert calls > 20
    for fatal in range(1, calls + 1):
        root = host(tmp_path / str(fatal))
        if victim == "uninstall":
            run(root, "install")
        assert run(root, victim, fatal) == 0
        if victim == "install":
            run(root, "install")
            again = tree(root)
            assert again.keys() == installed.keys(), fatal
            assert {name: again[name] for name in again if "install.json" not in name} == {
                name: installed[name] for name in installed if "install.json" not in name
            }, fatal
        run(root, "uninstall")
        assert tree(root) == before, fatal


@pytest.mark.slow
@pytest.mark.once
def test_killed_and_never_run_again(tmp_path: Path) -> None:
    """The administrator gives up: uninstall-agent alone is enough."""
    before = tree(host(tmp_path / "whole"))
    for fatal in range(1, run(tmp_path / "whole", "install") + 1):
        root = host(tmp_path / str(fatal))
        assert run(root, "install", fatal) == 0
        run(root, "uninstall")
        assert tree(root) == before, fatal


def test_what_a_killed_run_leaves_is_swept(tmp_path: Path) -> None:
    """Also a key that had no name yet."""
    root = host(tmp_path)
    run(root, "install")
    left = root / "etc/zabbix/keys/.nvidia.psk.zbx-nvidia.new"
    left.write_bytes(b"secret")
    run(root, "install")
    assert not left.exists()
