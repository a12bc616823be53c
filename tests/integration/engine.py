"""Commands in containers. Only the standard library: Ansible's connection in ansible/ uses it too."""

from __future__ import annotations

import subprocess
import time
from typing import AnyStr

_NEVER_STARTED = "waiting for init preliminary setup"


def in_container(arguments: list[str], data: AnyStr) -> subprocess.CompletedProcess[AnyStr]:
    """What `docker exec` of these ends with; it prints text where it gets text, else bytes.

    Once more where the engine says that the command was never started, as was seen twice.
    """
    text = isinstance(data, str)
    for _ in range(5):
        command = ["docker", "exec", "--interactive", *arguments]
        done = subprocess.run(command, input=data, capture_output=True, text=text, check=False)
        if not (done.returncode and _NEVER_STARTED in f"{done.stdout!r}{done.stderr!r}"):
            break
        time.sleep(1)
    return done
