"""Every way to get it on a host ends in a collector that the agent's user runs, and agents that answer.

No index is asked: what people get from one lies in /usr/share/wheels of the machine.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.integration.conftest import ROOT, SERIES
from tests.integration.machines import SERVICES, Machine, machine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DOCS = ROOT / "docs/PACKAGING.md"
# What installing adds to and the test takes away again.
TRACES = "find /etc /opt /usr/local -xdev ! -path '*/__pycache__*' | sort"
# Heading in the docs -> where the programs then are.
WAYS = {
    "A virtual environment": "/opt/zbx-nvidia/bin",
    "pipx": "/usr/local/bin",
    "uv": "/usr/local/bin",
    "One file": "/opt/zbx-nvidia/bin",
}
# Where what people download lies here, and where pip and uv find the rest.
FOLDER = "/usr/share/wheels"
ENVIRONMENT = {
    "PIP_NO_INDEX": "1",
    "PIP_FIND_LINKS": FOLDER,
    "PIP_ROOT_USER_ACTION": "ignore",
    "UV_OFFLINE": "1",
    "UV_NO_INDEX": "1",
    "UV_FIND_LINKS": FOLDER,
    "PATH": "/srv/uv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
}


def commands(way: str, agent: str) -> str:
    """The first block below a heading of the docs, for the one agent that is tried."""
    text = DOCS.read_text(encoding="utf-8").partition(f"\n## {way}\n")[2]
    block = text.split("```\n")[1]
    assert block.count("install-agent") == 1
    return block.replace("install-agent", f"install-agent --agent {agent}")


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
        subprocess.run(["docker", "cp", "--quiet", str(pyz), f"{there.container}:{FOLDER}/zbx-nvidia.pyz"], check=True)
        there.shell(f"python3 -m venv /srv/uv && /srv/uv/bin/pip install --quiet --no-index --find-links {FOLDER} uv")
        yield there


@pytest.mark.integration
@pytest.mark.parametrize("way", WAYS)
def test_as_the_docs_say(bare: Machine, way: str) -> None:
    before = bare.shell(TRACES)
    # By turns: each way meets one agent of the one series and the other of the other.
    agent = list(SERVICES)[(list(WAYS).index(way) + SERIES.index(bare.series)) % len(SERVICES)]
    bare.ok("systemctl", "start", SERVICES[agent])
    environment = " ".join(f"{name}={value}" for name, value in ENVIRONMENT.items())
    try:
        # As on hardened hosts.
        bare.shell(f"umask 027; export {environment}; cd {FOLDER}; {commands(way, agent)}")
        document = json.loads(bare.ok("zabbix_get", "-s", "127.0.0.1", "-k", "nvidia.get"))
        assert document["status"]["code"] == 0, document["status"]
        document = json.loads(bare.ok(f"{WAYS[way]}/zbx-nvidia-agent", "get", user="zabbix"))
        assert document["status"]["code"] == 0, document["status"]
        # What root runs, others may not change. Links have no rights of their own.
        assert bare.shell("find /opt /usr/local -xdev ! -type l -perm /022 ! -name .lock") == ""
        # Without bytecode each poll compiles it all again: the agent's user could not keep any.
        assert bare.shell("find /opt -xdev -path '*/zbx_nvidia/collector/__pycache__/oneshot.*.pyc'")
        assert bare.shell("find /opt -xdev -path '*/share/man/man1/zbx-nvidia.1'")
        if way == "One file":
            used = bare.run(f"{WAYS[way]}/zbx-nvidia", "unpack", "--remove")
            assert (used.code, used.out) == (1, "")
            assert "a Zabbix agent runs the program in /opt/zbx-nvidia: run " in used.err
            assert bare.read("/usr/local/share/man/man1/zbx-nvidia-add-host.1").startswith(".TH")
        bare.ok(f"{WAYS[way]}/zbx-nvidia", "uninstall-agent")
        if way == "One file":
            bare.ok("zbx-nvidia", "unpack", "--remove")
            assert bare.shell(TRACES) == before
    finally:
        bare.ok("systemctl", "stop", SERVICES[agent])
        bare.shell("rm -rf /opt/* /usr/local/bin/zbx-nvidia* /usr/local/share/man/man[18]")
    assert bare.shell(TRACES) == before
