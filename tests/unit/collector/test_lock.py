"""The lock of collections, and other users who take its name: a name of a socket has no permissions."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.unit.collector.collector import get, python

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.conftest import MachineFactory

NOBODY = 65534
NAME = """
import os
from zbx_nvidia.collector import lock
program = os.stat(lock.__file__)
print(f"zbx-nvidia-agent/get/{program.st_dev}/{program.st_ino}", end="")
"""
HOLD = """
import os, socket, sys
uid, listens, name = int(sys.argv[1]), sys.argv[2] == "listens", sys.argv[3]
if uid:
    os.setgid(uid)
    os.setuid(uid)
held = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
held.bind("\\0" + name)
if listens:
    held.listen()
print("held", flush=True)
sys.stdin.read()
"""
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


class Holder:
    """A program that holds the name of the lock."""

    def __init__(self, env: Mapping[str, str], uid: int, *, listens: bool = True) -> None:
        arguments = [str(uid), "listens" if listens else "silent", python(NAME, env)]
        self.process = subprocess.Popen(
            ["/usr/bin/env", "python3", "-c", HOLD, *arguments] if uid else [sys.executable, "-c", HOLD, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Holder:  # noqa: PYI034  Self is newer than the oldest Python
        assert self.process.stdout
        assert self.process.stdout.readline() == "held\n"
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate("")


@needs_root
@pytest.mark.parametrize("command", ["get"])
def test_another_user_cannot_silence_the_polls(machine: MachineFactory, command: str) -> None:
    node = machine("t4")
    with Holder(node.env, NOBODY) as holder:
        answer = get(node.env, command=command)
        assert answer.code == 0
        assert len(answer.document["gpus"]) == 1
        (problem,) = answer.errors
        assert problem["metric"] == "lock"
        assert problem["message"].startswith(f"user nobody (process {holder.process.pid}) holds the lock")
        assert answer.document["collector"]["error_count"] == 1
    assert get(node.env).errors == []


def test_a_program_that_only_takes_the_name_cannot_either(machine: MachineFactory) -> None:
    node = machine("t4")
    with Holder(node.env, 0, listens=False):
        answer = get(node.env)
    assert answer.code == 0
    assert answer.errors[0]["message"].startswith("another program holds the lock")


def test_a_collection_of_our_own_counts(machine: MachineFactory) -> None:
    node = machine("t4")
    with Holder(node.env, 0):
        answer = get(node.env)
    assert (answer.code, answer.document["gpus"]) == (1001, {})


def test_one_that_hangs_for_a_long_time_still_counts(machine: MachineFactory) -> None:
    """Each poll that asks for it waits in its queue for ever, and the queue has an end."""
    node = machine("t4")
    name = "\0" + python(NAME, node.env)
    with Holder(node.env, 0), contextlib.ExitStack() as asking:
        with contextlib.suppress(BlockingIOError):
            while True:
                link = asking.enter_context(socket.socket(socket.AF_UNIX))
                link.setblocking(False)
                link.connect(name)
        assert get(node.env).code == 1001


BESIDE = """
from zbx_nvidia.collector import lock
name = "\\0zbx-nvidia-test/" + __import__("os").urandom(8).hex()
first = lock._bound_beside(name)
assert first is not None
assert lock._bound_beside(name) is None
first.close()
assert lock._bound_beside(name) is not None
assert lock._bound(name) is not None
print("well", end="")
"""


def test_beside_a_name_that_is_taken_there_is_one_at_a_time(machine: MachineFactory) -> None:
    """Without the usual name there is never more than one collection either."""
    assert python(BESIDE, machine("t4").env) == "well"


def test_whoever_asks_for_the_driver_waits_for_every_user(machine: MachineFactory) -> None:
    node = machine("t4")
    code = "from zbx_nvidia.collector import oneshot; print(oneshot.ends('get', 0.05), end='')"
    assert python(code, node.env) == "True"
    with Holder(node.env, NOBODY if os.geteuid() == 0 else 0):
        assert python(code, node.env) == "False"


def test_a_name_of_sockets_says_who_has_it() -> None:
    """What the lock stands on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as held, socket.socket(socket.AF_UNIX) as asks:
        held.bind("\0zbx-nvidia-test-of-credentials")
        held.listen()
        asks.connect("\0zbx-nvidia-test-of-credentials")
        word = asks.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        assert int.from_bytes(word[4:8], "little") == os.geteuid()
