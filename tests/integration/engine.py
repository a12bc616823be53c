"""Commands in containers. Only the standard library: Ansible's connection in ansible/ uses it too."""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import time
from typing import AnyStr

_NEVER_STARTED = "waiting for init preliminary setup"
_TRIES = 5

# Runs in the container, and has its commands end as `docker exec` would.
_ATTENDANT = """
import base64, json, os, subprocess, sys
os.environ.pop("LC_CTYPE", None)  # Python has set it
print("ready", flush=True)
for line in sys.stdin:
    command, text = json.loads(line)
    try:
        done = subprocess.run(
            command, input=text.encode(), capture_output=True, check=False, start_new_session=True
        )
        code, out, err = done.returncode, done.stdout, done.stderr
    except OSError as error:
        code, out, err = 127 if isinstance(error, FileNotFoundError) else 126, b"", str(error).encode()
    code = code if code >= 0 else 128 - code
    print(json.dumps([code, *(base64.b64encode(said).decode() for said in (out, err))]), flush=True)
"""


def in_container(arguments: list[str], data: AnyStr) -> subprocess.CompletedProcess[AnyStr]:
    """What `docker exec` of these ends with; it prints text where it gets text, else bytes.

    Once more where the engine says that the command was never started, as was seen twice.
    """
    text = isinstance(data, str)
    for _ in range(_TRIES):
        command = ["docker", "exec", "--interactive", *arguments]
        done = subprocess.run(command, input=data, capture_output=True, text=text, check=False)
        if not (done.returncode and _NEVER_STARTED in f"{done.stdout!r}{done.stderr!r}"):
            break
        time.sleep(1)
    return done


class Inside:
    """Runs commands in a container that has Python, by a process of each user that stays there.

    `docker exec` costs 68 ms of a processor for each command, which was an eighth of all that the integration tests
    cost. That process needs 4 ms.
    """

    def __init__(self, container: str) -> None:
        self._container = container
        self._idle: dict[str, list[subprocess.Popen[str]]] = {}

    def run(self, command: tuple[str, ...], text: str, user: str = "") -> subprocess.CompletedProcess[str]:
        """Runs a command with this input, as that user or as the container's own. Threads may call it at once."""
        idle = self._idle.setdefault(user, [])
        attendant = idle.pop() if idle else None
        if attendant is not None and attendant.poll() is not None:  # the container was started again
            _end(attendant)
            attendant = None
        attendant = attendant or self._enter(user)
        stdin, stdout = attendant.stdin, attendant.stdout
        assert stdin is not None
        assert stdout is not None
        with contextlib.suppress(BrokenPipeError):
            stdin.write(json.dumps([command, text]) + "\n")
            stdin.flush()
        if not (answer := stdout.readline()):
            _end(attendant)
            return subprocess.CompletedProcess(command, 137, "", f"{self._container} has ended")
        idle.append(attendant)
        code, out, err = json.loads(answer)
        return subprocess.CompletedProcess(
            command, code, base64.b64decode(out).decode(), base64.b64decode(err).decode()
        )

    def _enter(self, user: str) -> subprocess.Popen[str]:
        as_user = ["--user", user] if user else []
        for _ in range(_TRIES):
            attendant = subprocess.Popen(
                ["docker", "exec", "--interactive", *as_user, self._container, "python3", "-c", _ATTENDANT],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            assert attendant.stdout is not None
            if attendant.stdout.readline() == "ready\n":
                return attendant
            _, complaint = attendant.communicate()
            if _NEVER_STARTED not in complaint:
                break
            time.sleep(1)
        raise RuntimeError(f"no command can be run in {self._container}: {complaint}")

    def close(self) -> None:
        """End those processes."""
        for attendants in self._idle.values():
            while attendants:
                _end(attendants.pop())


def _end(attendant: subprocess.Popen[str]) -> None:
    with contextlib.suppress(BrokenPipeError):
        attendant.communicate()  # it ends where its input does
