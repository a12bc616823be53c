"""Files that another user can write: no read of them blocks, fills the memory or follows a link."""

from __future__ import annotations

import ast
import errno
import os
from pathlib import Path

import pytest

import zbx_nvidia
from zbx_nvidia.host.reading import read
from zbx_nvidia.install import service
from zbx_nvidia.zabbix_agent import config, log

PACKAGE = Path(zbx_nvidia.__file__).parent
# Every other read, and why nobody but root, the kernel or the reader can have written the file.
OTHERS = {
    "cli/show.py": "what the user of the command names, which may be a pipe",
    "collector/job.py": "the kernel; files by the function for those of others",
    "collector/lock.py": "the kernel",
    "collector/processes.py": "the kernel",
    "collector/resident/config.py": "/etc/zbx-nvidia, or what the user of the command names",
    "collector/resident/worker_process.py": "the kernel",
    "collector/scheduling.py": "the kernel",
    "doctor/driver_checks.py": "the kernel",
    "doctor/host_state.py": "the kernel",
    "kernel/bus.py": "the kernel",
    "host/installation.py": "a program whose place was checked",
    "install/install.py": "the kernel",
    "install/links.py": "a folder of root",
    "install/program_check.py": "a program whose place was checked",
    "install/record.py": "a folder of root",
    "install/service.py": "the package itself",
    "install/unpack.py": "a folder of root",
    "jobs/tree.py": "the kernel",
    "kernel/proc.py": "the kernel",
    "server/connection.py": "what the user of the command names",
    "template/releases/__init__.py": "the package itself",
    "zabbix_agent/processes.py": "the kernel",
}


def reads(path: Path) -> bool:
    """Whether a module opens files without the function for those of others."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if isinstance(called, ast.Name) and called.id == "open":
            return True
        if isinstance(called, ast.Attribute) and called.attr in {"read_text", "read_bytes"}:
            return True
        if isinstance(called, ast.Attribute) and called.attr == "open" and ast.unparse(called.value) == "path":
            return True
    return False


def test_every_read_is_safe_or_has_a_reason() -> None:
    found = {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if reads(path)}
    assert found <= set(OTHERS)


def test_a_fifo_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for links in (False, True):
        with pytest.raises(OSError, match="not a regular file"):
            read(tmp_path / "fifo", links=links)


def test_a_link_is_followed_only_if_that_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("secret")
    (tmp_path / "link").symlink_to("file")
    assert read(tmp_path / "link", links=True) == b"secret"
    with pytest.raises(OSError, match="symbolic links") as raised:
        read(tmp_path / "link")
    assert raised.value.errno == errno.ELOOP


def test_a_device_without_end_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/zero")
    with pytest.raises(OSError, match="not a regular file"):
        read(tmp_path / "link", links=True)


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 1000)
    assert len(read(tmp_path / "file", 1000)) == 1000
    with pytest.raises(OSError, match="larger than 999 bytes"):
        read(tmp_path / "file", 999)
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(OSError, match="larger than"):
        read(tmp_path / "sparse")


def test_only_the_end_of_a_large_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 1000 + b"end")
    assert read(tmp_path / "file", tail=3) == b"end"
    assert read(tmp_path / "file", tail=5000) == b"x" * 1000 + b"end"


def test_a_folder_is_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        read(tmp_path)


def test_what_root_reads_of_the_agent_and_the_service_is_read_so(tmp_path: Path) -> None:
    """Their users may write the log, the key and the document."""
    os.mkfifo(fifo := tmp_path / "fifo")
    assert log.tail(fifo) == []
    with pytest.raises(OSError, match="not a regular file"):
        config.key_text(fifo)
    assert not service._ours(fifo)  # noqa: SLF001  install-agent waits for it as root
    (link := tmp_path / "link").symlink_to("/dev/zero")
    assert not service._ours(link)  # noqa: SLF001  as above
