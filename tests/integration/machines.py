"""GPU hosts with systemd, in containers: what is installed there is installed as on a machine of flesh and blood."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.conftest import PATIENCE
from tests.integration.conftest import PROFILE, edited
from tests.integration.engine import Inside

if TYPE_CHECKING:
    from collections.abc import Iterator

PRODUCT = "/opt/zbx-nvidia/bin/zbx-nvidia"
CONFIGS = {"agentd": "/etc/zabbix/zabbix_agentd.conf", "agent2": "/etc/zabbix/zabbix_agent2.conf"}
SERVICES = {"agentd": "zabbix-agent", "agent2": "zabbix-agent2"}


class Run(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str


class Machine:
    """A machine that runs.

    Attributes:
        name: Its name on the network of the containers, and of the container.
        series: Of its Zabbix agents.
    """

    def __init__(self, name: str, container: str, series: str) -> None:
        self.name = name
        self.container = container
        self.series = series
        self._inside = Inside(container)

    def run(self, *command: str, user: str = "root", input: str = "") -> Run:  # noqa: A002  as subprocess has it
        """Run a command there."""
        done = self._inside.run(command, input, user)
        return Run(done.returncode, done.stdout, done.stderr)

    def close(self) -> None:
        """End what stays there to run commands."""
        self._inside.close()

    def ok(self, *command: str, user: str = "root", input: str = "") -> str:  # noqa: A002  as above
        """Run a command that succeeds; what it printed."""
        done = self.run(*command, user=user, input=input)
        assert done.code == 0, (command, done)
        return done.out

    def shell(self, script: str, user: str = "root") -> str:
        """Run a script that succeeds; what it printed."""
        return self.ok("sh", "-euc", script, user=user)

    def product(self, *arguments: str) -> Run:
        """Run `zbx-nvidia` as root."""
        return self.run(PRODUCT, *arguments)

    def read(self, path: str) -> str:
        """The text of a file."""
        return self.ok("cat", path)

    def write(self, path: str, text: str) -> None:
        """Write a file, by rename."""
        self.ok("sh", "-c", 'cat >"$0.new" && mv "$0.new" "$0"', path, input=text)

    def profile(self, name: str) -> None:
        """Have the simulated driver answer as another machine."""
        self.shell(f"cp /usr/share/nvml-simulator/profiles/{name}.profile {PROFILE}.new && mv {PROFILE}.new {PROFILE}")

    def set_profile(self, section: str = "gpu 0", **values: object) -> None:
        """Change keys in a section of the simulated machine; None removes a key."""
        self.write(PROFILE, edited(self.read(PROFILE), section, values))


@contextmanager
def machine(series: str, name: str, network: str = "bridge", image: str = "machine") -> Iterator[Machine]:
    """Start a machine, and remove it at the end.

    Args:
        series: Of Zabbix, which says which Debian it is.
        name: Of the host.
        network: Of containers: `{project}_default` is where a stack's server is.
        image: Without series and tag.
    """
    project = os.environ.get("ZBX_NVIDIA_TEST_PROJECT", "zbx-nvidia-test")
    container = f"{project}-{series.replace('.', '')}-machine-{name}"
    image = f"zbx-nvidia/{image}:{series}{os.environ.get('ZBX_NVIDIA_IMAGES', '')}"
    subprocess.run(["docker", "rm", "--force", container], capture_output=True, check=False)
    options = ["--hostname", name, "--network", network, *(["--network-alias", name] if network != "bridge" else [])]
    # systemd makes groups of processes and mounts of its own.
    system = ["--privileged", "--cgroupns=private", "--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp"]  # noqa: S108
    subprocess.run(
        ["docker", "run", "--detach", "--name", container, *options, *system, image], capture_output=True, check=True
    )
    try:
        with contextlib.closing(Machine(name, container, series)) as there:
            end = time.monotonic() + PATIENCE  # 3 s were seen
            while (state := there.run("systemctl", "is-system-running").out.strip()) != "running":
                if time.monotonic() > end:
                    pytest.fail(f"{container} is {state or 'not up'}: {there.run('systemctl', '--failed').out}")
                time.sleep(0.2)
            yield there
    finally:
        subprocess.run(["docker", "rm", "--force", container], capture_output=True, check=False)
