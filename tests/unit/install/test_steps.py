"""Whatever fails, all that was done before it is undone, the last first."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from zbx_nvidia.errors import HostError
from zbx_nvidia.install import files, steps
from zbx_nvidia.install.files import FileState
from zbx_nvidia.install.steps import Action, File, Folder, NewKey, OnRollback, Step

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def fail(error: BaseException) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


def mine(data: bytes) -> FileState:
    return FileState(data, 0o644, os.getuid(), os.getgid())


def test_the_last_is_undone_first() -> None:
    calls: list[str] = []

    def step(name: str) -> Action:
        return Action([], lambda: calls.append(name), lambda: calls.append(f"un{name}"))

    failing = Action([], fail(HostError("no agent")), lambda: calls.append("unthird"))
    with pytest.raises(HostError, match=r"^no agent; all changes were undone$"):
        steps.apply([OnRollback(lambda: calls.append("agent")), step("first"), step("second"), failing, step("never")])
    # The one that failed too: it may have done half of it.
    assert calls == ["first", "second", "unthird", "unsecond", "unfirst", "agent"]


def test_files_keys_and_directories(tmp_path: Path) -> None:
    there, new, key = tmp_path / "there", tmp_path / "d" / "new", tmp_path / "key"
    files.put(there, mine(b"old"))
    before = files.state(there)
    todo: list[Step] = [
        Folder(tmp_path / "d", make=True),
        File(there, before, mine(b"other"), [], []),
        File(new, None, mine(b"new"), [], []),
        NewKey(key, os.getuid(), os.getgid(), lambda: "secret"),
    ]
    steps.apply(todo)
    assert (there.read_bytes(), new.read_bytes(), key.read_bytes()) == (b"other", b"new", b"secret\n")
    assert key.stat().st_mode & 0o777 == 0o600
    assert "secret" not in str([step.lines() for step in todo])
    assert steps.undo(list(todo)) == []
    assert files.state(there) == before
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_what_somebody_else_writes_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a"
    files.put(path, mine(b"old"))

    def write(data: bytes) -> Action:
        return Action([], lambda: files.put(path, mine(data)))

    # Before our step, and after it.
    cases: list[list[Step]] = [
        [write(b"theirs"), File(path, mine(b"old"), mine(b"ours"), [], [])],
        [File(path, mine(b"theirs"), mine(b"ours"), [], []), write(b"theirs too"), Action([], fail(HostError("no")))],
    ]
    for todo in cases:
        with pytest.raises(HostError, match=f"{path} was changed by somebody else meanwhile"):
            steps.apply(todo)
        assert path.read_bytes().startswith(b"theirs")
    files.put(path, None)
    with pytest.raises(HostError, match=f"{path} was changed by somebody else meanwhile: run this again; all changes"):
        steps.apply([File(path, mine(b"old"), None, [], [])])
    assert not path.exists()


def test_what_cannot_be_undone_is_said_and_the_rest_is_undone() -> None:
    calls: list[str] = []
    todo = [
        Action([], lambda: None, lambda: calls.append("undone")),
        Action([], lambda: None, fail(HostError("the disk is gone"))),
        Action([], fail(OSError(28, "No space left on device", "/etc/a"))),
    ]
    expected = r"^/etc/a: No space left on device; could not be undone: the disk is gone$"
    with pytest.raises(HostError, match=expected):
        steps.apply(todo)
    assert calls == ["undone"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_a_failure_and_a_second_one_does_not_stop_the_undoing(number: signal.Signals) -> None:
    calls: list[str] = []
    handlers = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]

    def undo() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        calls.append("undone")

    with pytest.raises(HostError, match=r"^interrupted; all changes were undone$"):
        steps.apply([Action([], lambda: os.kill(os.getpid(), number), undo)])
    assert calls == ["undone"]
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == handlers


@pytest.mark.parametrize("error", [HostError("no agent"), ZeroDivisionError()])
def test_a_signal_does_not_stop_the_undoing_of_another_failure(error: Exception) -> None:
    calls: list[str] = []

    def undo() -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(os.getpid(), number)
        calls.append("undone")

    with pytest.raises(type(error)):
        steps.apply([Action([], lambda: None, undo), Action([], fail(error))])
    assert calls == ["undone"]


def test_a_fault_of_this_program_is_undone_and_not_hidden() -> None:
    calls: list[str] = []
    with pytest.raises(ZeroDivisionError):
        steps.apply([Action([], lambda: None, lambda: calls.append("undone")), Action([], fail(ZeroDivisionError()))])
    assert calls == ["undone"]
