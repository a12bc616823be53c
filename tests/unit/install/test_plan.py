"""What a plan changes, and what it finds changed by hand."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from zbx_nvidia.errors import HostError
from zbx_nvidia.install import files, record, steps
from zbx_nvidia.install.plan import InstallPlan
from zbx_nvidia.install.record import Entry, Record

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="what is installed is root's")


def ours(data: bytes) -> bool:
    return data.startswith(b"ours")


def never(_: bytes) -> bool:
    return False


def done(plan: InstallPlan) -> Record:
    steps.apply(plan.steps)
    return plan.record


def taken_away(known: Record) -> InstallPlan:
    plan = InstallPlan(known)
    plan.remove(list(known.entries))
    steps.apply(plan.steps)
    return plan


def test_a_file_of_our_own(tmp_path: Path) -> None:
    path = tmp_path / "d" / "e" / "a"
    plan = InstallPlan(Record())
    assert plan.whole(path, b"one", "x", takes_over=never)
    assert [line for step in plan.steps for line in step.lines()] == [
        f"+ {tmp_path}/d/",
        f"+ {tmp_path}/d/e/",
        f"+ {path}",
    ]
    known = done(plan)
    again = InstallPlan(known)
    assert not again.whole(path, b"one", "x", takes_over=never)
    assert again.steps == []
    assert again.whole(path, b"two", "x", takes_over=never)
    known = done(again)
    assert path.read_bytes() == b"two"
    taken_away(known)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_there_comes_back_with_its_rights(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"ours by hand")
    path.chmod(0o640)
    os.chown(path, 1, 2)
    before = files.state(path)
    known = Record()
    for data in (b"one", b"two"):
        plan = InstallPlan(known)
        plan.whole(path, data, "x", takes_over=ours)
        known = done(plan)
    assert (path.stat().st_mode & 0o777, path.stat().st_uid) == (0o644, 0)
    # A run that was killed before it came to this file.
    files.put(path, before)
    assert InstallPlan(known).whole(path, b"two", "x", takes_over=never)
    files.put(path, files.FileState(b"two"))
    taken_away(known)
    assert files.state(path) == before


def test_a_file_of_somebody_else(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"theirs")
    with pytest.raises(HostError, match=r"a already exists and is not from zbx-nvidia"):
        InstallPlan(Record()).whole(path, b"one", "x", takes_over=ours)
    path.unlink()
    plan = InstallPlan(Record())
    plan.whole(path, b"one", "x", takes_over=ours)
    known = done(plan)
    path.write_bytes(b"one and more")
    with pytest.raises(HostError, match=r"a was changed by hand since zbx-nvidia wrote it"):
        InstallPlan(known).whole(path, b"one", "x", takes_over=ours)
    assert taken_away(known).notes == [f"{path}: kept, because it was changed by hand"]
    path.unlink()
    assert taken_away(known).notes == []


def test_lines_of_one_file_over_several_runs(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"Server=x\nTimeout=3")
    before = files.state(path)
    known = Record()
    for value in ("y", "z"):
        plan = InstallPlan(known)
        plan.lines(path, "x", lambda data, value=value: files.edited(data, 1, f"Server={value}"))  # type: ignore[misc]
        plan.lines(path, "x", lambda data: files.edited(data, 2, "Timeout=9"))
        if value == "y":
            plan.lines(path, "x", lambda data: files.appended(data, "Include=/b"))
        assert len(plan.steps) == 1
        known = done(plan)
    assert path.read_bytes() == b"Server=z\nTimeout=9\nInclude=/b\n"
    taken_away(known)
    assert files.state(path) == before


def test_a_key(tmp_path: Path) -> None:
    path = tmp_path / "key"
    plan = InstallPlan(Record())
    plan.key(path, "nobody", "x", lambda: "secret")
    known = done(plan)
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("secret\n", 0o600)
    assert path.owner() == "nobody"
    assert "secret" not in repr(known)
    (entry,) = known.entries
    kept = known.with_entry(entry.__class__(entry.path, entry.of, "key", mark=1))
    assert taken_away(kept).notes == [f"{path}: kept, because it was changed by hand"]
    taken_away(known)
    assert not path.exists()


def test_a_key_is_made_through_no_link_and_where_nobody_else_writes(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, 65534, 65534)
    with pytest.raises(HostError, match=rf"key: not safe for root .*: {theirs} .* chown root {theirs}$"):
        InstallPlan(Record()).key(theirs / "key", "nobody", "x", lambda: "secret")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "target")
    plan = InstallPlan(Record())
    plan.key(link, "nobody", "x", lambda: "secret")
    with pytest.raises(HostError, match=r"File exists.*all changes were undone$"):
        steps.apply(plan.steps)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "theirs"]


def test_a_file_that_is_a_link(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"ours")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(HostError, match=r"link is a link, and zbx-nvidia writes through no link: remove it"):
        InstallPlan(Record()).whole(tmp_path / "link", b"one", "x", takes_over=ours)


def test_a_key_that_a_killed_run_did_not_come_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "install.json"
    monkeypatch.setattr(record, "PATH", path)
    monkeypatch.setattr(record.save, "__defaults__", (path,))
    known = Record().with_entry(Entry(str(tmp_path / "key"), "x", "key"))
    InstallPlan(known).after().apply()
    assert record.load(path) == known
