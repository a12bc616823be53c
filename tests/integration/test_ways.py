"""Every way to get it on a host ends in a collector that the agent's user runs, and agents that answer.

No index is asked: what people get from one lies in /usr/share/wheels of the machine.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.integration.conftest import ROOT, SERIES
from tests.integration.machines import SERVICES, Machine, machine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NO_INDEX = "PIP_NO_INDEX=1 PIP_FIND_LINKS=/usr/share/wheels"


class Way(NamedTuple):
    """How to install it, and where it then is."""

    install: str
    folder: str


# As docs/PACKAGING.md has them, but for where the packages come from.
WAYS = {
    "venv": Way(
        f"python3 -m venv /opt/zbx-nvidia && {NO_INDEX} /opt/zbx-nvidia/bin/pip install --quiet zbx-nvidia",
        "/opt/zbx-nvidia/bin",
    ),
    "pipx": Way(
        f"{NO_INDEX} PIPX_HOME=/opt/pipx PIPX_BIN_DIR=/usr/local/bin pipx install zbx-nvidia",
        "/usr/local/bin",
    ),
    "uv": Way(
        # As much of uv as there is on a host of uv's users.
        f"python3 -m venv /srv/uv && {NO_INDEX} /srv/uv/bin/pip install --quiet uv && "
        "UV_OFFLINE=1 UV_NO_INDEX=1 UV_FIND_LINKS=/usr/share/wheels "
        "UV_TOOL_DIR=/opt/uv UV_TOOL_BIN_DIR=/usr/local/bin "
        "/srv/uv/bin/uv tool install --python /usr/bin/python3 --compile-bytecode zbx-nvidia",
        "/usr/local/bin",
    ),
    "pyz": Way("python3 /root/zbx-nvidia.pyz unpack", "/opt/zbx-nvidia/bin"),
}


@pytest.fixture(scope="module")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pyz") / "zbx-nvidia.pyz"
    subprocess.run([sys.executable, str(ROOT / "scripts/zipapp.py"), str(path)], check=True)
    return path


@pytest.fixture(scope="module", params=SERIES)
def bare(request: pytest.FixtureRequest, pyz: Path) -> Iterator[Machine]:
    """A machine without the product, and with the archive."""
    with machine(request.param, "bare") as there:
        there.ok("rm", "-r", "/opt/zbx-nvidia")
        subprocess.run(["docker", "cp", "--quiet", str(pyz), f"{there.container}:/root/zbx-nvidia.pyz"], check=True)
        yield there


@pytest.mark.integration
@pytest.mark.parametrize("way", WAYS)
def test_it_runs_for_the_agent(bare: Machine, way: str) -> None:
    install, folder = WAYS[way]
    before = bare.shell("find /opt /srv /usr/local -xdev | sort")
    bare.shell(install)
    try:
        collector = f"{folder}/zbx-nvidia-agent"
        document = json.loads(bare.ok(collector, "get", user="zabbix"))
        assert document["status"]["code"] == 0, document["status"]
        # What root runs, others may not change. Links have no rights of their own.
        assert bare.shell("find /opt /usr/local -xdev ! -type l -perm /022 ! -name .lock") == ""
        # Without bytecode each poll compiles it all again: the agent's user could not keep any.
        assert bare.shell("find /opt -xdev -path '*/zbx_nvidia/agent/__pycache__/oneshot.*.pyc'")
        # By turns: each way meets one agent of the one series and the other of the other.
        agent = list(SERVICES)[(list(WAYS).index(way) + SERIES.index(bare.series)) % len(SERVICES)]
        bare.ok("systemctl", "start", SERVICES[agent])
        bare.ok(f"{folder}/zbx-nvidia", "install-agent", "--agent", agent)
        document = json.loads(bare.ok("zabbix_get", "-s", "127.0.0.1", "-k", "nvidia.get"))
        assert document["status"]["code"] == 0
        bare.ok(f"{folder}/zbx-nvidia", "uninstall-agent")
        bare.ok("systemctl", "stop", SERVICES[agent])
    finally:
        bare.shell("rm -rf /opt/* /usr/local/bin/zbx-nvidia* /srv/uv")
    assert set(bare.shell("find /opt /srv /usr/local -xdev | sort").split()) <= set(before.split())
