"""Processes that begin with what they need already loaded: they fork from a Python that has imported it.

To start Python and to import pynvml takes fifty milliseconds of a processor, many times what most tests ask of such a
process. Environment, arguments, standard streams, working folder and end are those of a program. Where the start itself
is the question, or what /proc shows of the environment, a test starts a program.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import select
import socket
import subprocess
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tests.conftest import MEASURES, PATIENCE

if TYPE_CHECKING:
    from collections.abc import Mapping

# What the dynamic linker and Python read once, at the start.
AT_THE_START = ("LD_LIBRARY_PATH", "PYTHONPATH", *MEASURES)


class Fork:
    """A process that runs `code`; its standard error is kept in memory.

    Attributes:
        pid: Its number.
        stdin: Its input, which `end` closes.
    """

    def __init__(self, code: str, env: Mapping[str, str], *arguments: str, program: str = "-c") -> None:
        assert "LD_PRELOAD" not in env, "the clocks of clocks.py are one program's"
        reading, output = os.pipe()
        stdin, writing = os.pipe()
        errors = os.memfd_create("stderr")
        self._life, life = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        asked = json.dumps((code, [program, *arguments], dict(env), str(Path.cwd()))).encode()
        origin = _origin(*(env.get(name) for name in AT_THE_START))
        socket.send_fds(origin, [asked], [stdin, output, errors, life.fileno()])
        life.close()
        os.close(stdin)
        os.close(output)
        self.stdin: IO[str] = os.fdopen(writing, "w")
        self._stdout = os.fdopen(reading, "rb", buffering=0)
        self._stderr = os.fdopen(errors, "rb")
        self._rest = b""
        self._code: int | None = None
        self.pid = self._told()

    def line(self) -> str:
        """The next line of its output, without its end; empty if it has ended."""
        while b"\n" not in self._rest and (data := self._read()):
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()

    def end(self) -> tuple[int, bytes, bytes]:
        """Close its input and wait for its end: the exit code, the rest of its output, and its errors."""
        self.stdin.close()
        while data := self._read():
            self._rest += data
        code = self.wait()
        self._stderr.seek(0)
        errors = self._stderr.read()
        self.close()
        return code, self._rest, errors

    def ended(self) -> bool:
        return self._code is not None or bool(select.select([self._life], [], [], 0)[0])

    def wait(self) -> int:
        """Its exit code, or the negative number of the signal that has ended it."""
        if self._code is None:
            self._code = self._told()
        return self._code

    def kill(self) -> None:
        if not self.ended():
            self._life.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """End it if it still runs, and close its files."""
        if self._code is None:
            self.kill()
            self.wait()
        with contextlib.suppress(BrokenPipeError):
            self.stdin.close()
        for file in (self._stdout, self._stderr, self._life):
            file.close()

    def _read(self) -> bytes:
        assert select.select([self._stdout], [], [], PATIENCE)[0], f"waited {PATIENCE:g} s for output"
        return self._stdout.read(1 << 20)

    def _told(self) -> int:
        assert select.select([self._life], [], [], PATIENCE)[0], f"waited {PATIENCE:g} s for the end of a process"
        return int(self._life.recv(100))


def run(code: str, env: Mapping[str, str], *arguments: str, program: str = "-c") -> tuple[int, bytes, bytes]:
    """Runs `code` without input: exit code, output and errors."""
    return Fork(code, env, *arguments, program=program).end()


@functools.cache
def _origin(*at_the_start: str | None) -> socket.socket:
    """Starts the Python that all such processes fork from."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    given = {name: value for name, value in zip(AT_THE_START, at_the_start, strict=True) if value is not None}
    others = {name: value for name, value in os.environ.items() if name not in AT_THE_START}
    started = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("fork_origin.py"), str(theirs.fileno())],
        env={**others, **given},
        stdin=subprocess.DEVNULL,
        pass_fds=[theirs.fileno()],
    )
    theirs.close()

    def end() -> None:
        ours.close()
        started.wait(PATIENCE)

    atexit.register(end)
    return ours
