"""Files are put back byte for byte, and lines too, with whatever others have done to the rest."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zbx_nvidia.errors import HostError
from zbx_nvidia.install import files
from zbx_nvidia.install.files import Edit, FileState
from zbx_nvidia.install.record import Entry, Record, load, locked, save

if TYPE_CHECKING:
    from pathlib import Path

LINES = st.lists(st.text(alphabet="aS=#\r \u00e9\udcff", max_size=4), max_size=6)


@given(lines=LINES, end=st.booleans(), places=st.lists(st.integers(0, 5), max_size=3), more=st.integers(0, 2))
def test_edits_are_taken_back(lines: list[str], end: bool, places: list[int], more: int) -> None:  # noqa: FBT001
    original = ("\n".join(lines) + "\n" * end).encode("utf-8", "surrogateescape")
    data, edits = original, []
    # Each line once: a line of ours that is changed again keeps its first form.
    for place in dict.fromkeys(places):
        if place < len(data.split(b"\n")):
            data, edit = files.edited(data, place + 1, f"Server={place}")
            edits.append(edit)
    for number in range(more):
        data, edit = files.appended(data, f"Include={number}")
        edits.append(edit)
    assert files.reverted(data, tuple(edits)) == (original, ())


def test_only_the_line_changes() -> None:
    data, edit = files.edited(b"# a\r\nServer=x\r\n# b\r\n", 2, "Server=y")
    assert data == b"# a\r\nServer=y\r\n# b\r\n"
    assert edit == Edit("Server=x\r", "Server=y\r")


def test_what_was_changed_since_is_left_alone() -> None:
    edits = (Edit("A=1", "A=2"), Edit("B=1", "B=2"), Edit(None, "Include=x"))
    assert files.reverted(b"# new\nA=2\nB=3\n\n", edits) == (b"# new\nA=1\nB=3\n\n", (edits[1],))
    # Taken back by hand already.
    assert files.reverted(b"A=1\nB=1\n", edits) == (b"A=1\nB=1\n", ())


def test_a_file_is_replaced_with_its_rights(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    path.chmod(0o640)
    before = files.state(path)
    assert before == FileState(b"old", 0o640, os.getuid(), path.stat().st_gid, before.attributes if before else ())
    files.put(path, before._replace(data=b"new"))
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"new", 0o640)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a"]
    files.put(path, None)
    assert files.state(path) is None


def test_nothing_is_left_of_a_file_that_could_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(IsADirectoryError):
        files.put(tmp_path / "a", FileState(b"x", uid=os.getuid(), gid=os.getgid()))
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=f"^{tmp_path} is a directory, but must be a file: move it away$"):
        files.state(tmp_path)
    (tmp_path / "a").touch()
    with pytest.raises(HostError, match=f"^{tmp_path}/a/b cannot be read: Not a directory$"):
        files.state(tmp_path / "a" / "b")


def test_a_full_disk_is_said_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=rf"No space left on device: '{tmp_path}/a'$"):
        files.put(tmp_path / "a", FileState(b"x", uid=os.getuid(), gid=os.getgid()))
    assert list(tmp_path.iterdir()) == []


def test_no_link_is_followed(tmp_path: Path) -> None:
    other, link = tmp_path / "other", tmp_path / "link"
    wanted = FileState(b"new", uid=os.getuid(), gid=os.getgid())
    link.symlink_to(other)
    with pytest.raises(FileExistsError):
        files.put(link, wanted, new=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["link"]
    files.put(link, wanted)
    assert not link.is_symlink()
    assert not other.exists()
    files.put(tmp_path / "key", wanted, new=True)
    assert (tmp_path / "key").read_bytes() == b"new"


@pytest.mark.parametrize("mode", [0o777, 0o1777])
def test_nothing_is_written_where_others_write(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    folder.chmod(mode)
    (tmp_path / "way").symlink_to(folder)
    for path in (folder / "a", tmp_path / "way" / "a"):
        with pytest.raises(
            HostError, match=rf"a: not safe for root to write there: .* by everybody: chmod o-w {folder.parent}"
        ):
            files.put(path, FileState(b"x", uid=os.getuid(), gid=os.getgid()))
    assert list(folder.iterdir()) == []


def test_one_run_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "d" / "install.json"
    with (
        locked(path),
        pytest.raises(HostError, match=r"^another install-agent or uninstall-agent is running"),
        locked(path),
    ):
        pass
    (tmp_path / "file").touch()
    with (
        pytest.raises(HostError, match=rf"^{tmp_path}/file, the directory of the record: File exists$"),
        locked(tmp_path / "file" / "install.json"),
    ):
        pass
    (tmp_path / "file").unlink()
    # Of one that was killed.
    path.parent.mkdir()
    path.with_suffix(".lock").touch()
    with locked(path):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="the record is root's")
def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "d" / "install.json"
    assert load(path) is None
    record = Record(
        entries=(
            Entry("/a", "x", "whole", FileState(b"\xff\n", 0o600, 1, 2, (("user.a", b"\0"),)), "d1"),
            Entry("/b", "x", "lines", edits=(Edit("a\udcff", "b"), Edit(None, "c", glued=True))),
            Entry("/c", "x", "key", mark=5),
        ),
        modes={"/etc/a.conf": "oneshot"},
        settings={"/etc/a.conf": {"Server": "x"}},
        users=("zbx-nvidia",),
        enabled=True,
    )
    save(record, path)
    assert load(path) == record
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    save(None, path)
    assert not path.parent.exists()


def test_a_record_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    path = tmp_path / "install.json"
    for text, expected in (("{", "is damaged"), ("[]", "is damaged"), ('{"format": 2}', "by another version")):
        path.write_text(text)
        with pytest.raises(Exception, match=expected):
            load(path)


READ_ONLY = """
import sys
from pathlib import Path
from zbx_nvidia.install import files
files.put(Path(sys.argv[1]) / "nvidia.conf", files.FileState(b"x"))
"""


def test_a_read_only_file_system_is_named(tmp_path: Path) -> None:
    mounted = f"mount -t tmpfs -o ro,mode=755 none {tmp_path}"
    if subprocess.run(["unshare", "-m", "sh", "-c", mounted], capture_output=True, check=False).returncode:
        pytest.skip("no mount of its own is possible here")
    command = [
        "unshare",
        "-m",
        "sh",
        "-c",
        f'{mounted} && exec "$0" "$@"',
        sys.executable,
        "-c",
        READ_ONLY,
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert f"HostError: {tmp_path}/nvidia.conf: the file system is read-only: " in done.stderr
