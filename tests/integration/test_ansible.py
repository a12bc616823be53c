"""The role of deploy/ansible on real machines: it changes once, then nothing, and leaves no trace."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.integration.conftest import ROOT, SERIES
from tests.integration.machines import SERVICES, Machine, machine

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
PLAYBOOK = ROOT / "deploy/ansible/example.yml"
# Where installing may leave something; but /etc/passwd- and the like are what was there before a user came and went.
TRACES = (
    "find /etc /opt /usr /var/lib /root -xdev ! -path '*/__pycache__*' ! -path '/root/.ansible*' ! -path '/etc/*-' "
    "-printf '%p %m %u %s\\n' | sort"
)


def traces(there: Machine) -> set[str]:
    """What is on its disk."""
    return set(there.shell(TRACES).splitlines())


class Recap(NamedTuple):
    """What a run of Ansible came to, and what it printed."""

    changed: int
    failed: int
    text: str


class Ansible:
    """The control node of a machine."""

    def __init__(self, there: Machine, archive: Path, home: Path) -> None:
        self.there = there
        self.archive = archive
        # Not one that a developer has.
        (home / "ansible.cfg").touch()
        self._env = {
            **os.environ,
            "ANSIBLE_HOME": str(home),
            "ANSIBLE_LOCAL_TEMP": str(home / "tmp"),
            "ANSIBLE_ROLES_PATH": str(PLAYBOOK.parent / "roles"),
            "ANSIBLE_CONNECTION_PLUGINS": str(HERE / "ansible"),
            "PYTHONPATH": str(ROOT),  # of that plugin
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_CONFIG": str(home / "ansible.cfg"),
            "LC_ALL": "C.UTF-8",
        }

    def run(self, *options: str, **variables: object) -> Recap:
        """Run the example playbook."""
        given = {
            "ansible_connection": "docker_exec",
            "ansible_python_interpreter": "/usr/bin/python3",
            # Root already, and the machine has no sudo.
            "ansible_become": False,
            "zbx_nvidia_archive": str(self.archive),
            **variables,
        }
        command = [sys.executable, "-m", "ansible", "playbook", "-i", f"{self.there.container},"]
        done = subprocess.run(
            [*command, "-e", json.dumps(given), *options, str(PLAYBOOK)],
            env=self._env,
            capture_output=True,
            text=True,
            check=False,
        )
        recap = re.search(r"ok=\d+ +changed=(\d+) +unreachable=0 +failed=(\d+)", done.stdout)
        assert recap, done
        return Recap(int(recap[1]), int(recap[2]), done.stdout)


@pytest.fixture(scope="module", params=SERIES)
def ansible(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ansible]:
    """A machine without the product, whose agent runs."""
    folder = tmp_path_factory.mktemp("ansible")
    archive = folder / "zbx-nvidia.pyz"
    subprocess.run([sys.executable, str(ROOT / "scripts/zipapp.py"), str(archive)], check=True)
    with machine(request.param, "ansible") as there:
        there.ok("rm", "-r", "/opt/zbx-nvidia")
        yield Ansible(there, archive, folder)


# Each agent and each mode once; all of them on both is what the tests of install-agent are for.
CASES: dict[str, tuple[str, dict[str, object]]] = {
    "6.0": ("agentd", {"zbx_nvidia_server": "127.0.0.1", "zbx_nvidia_host_metadata": "nvidia gpu"}),
    "7.0": ("agent2", {"zbx_nvidia_mode": "resident"}),
}


@pytest.mark.integration
def test_it_changes_once_then_nothing_and_leaves_no_trace(ansible: Ansible) -> None:
    agent, variables = CASES[ansible.there.series]
    there = ansible.there
    there.ok("systemctl", "start", SERVICES[agent])
    before = traces(there)

    checked = ansible.run("--check", **variables)
    assert (checked.changed, checked.failed) == (1, 0), checked.text
    assert traces(there) == before

    first = ansible.run(**variables)
    assert first.failed == 0, first.text
    assert first.changed >= 3, first.text
    document = json.loads(there.ok("zabbix_get", "-s", "127.0.0.1", "-k", "nvidia.get"))
    assert document["status"]["code"] == 0
    assert document["collector"]["mode"] == variables.get("zbx_nvidia_mode", "oneshot")
    if "zbx_nvidia_host_metadata" in variables:
        assert there.ok("zabbix_get", "-s", "127.0.0.1", "-k", "agent.hostmetadata").strip() == "nvidia gpu"

    for options in ((), ("--check",)):
        again = ansible.run(*options, **variables)
        assert (again.changed, again.failed) == (0, 0), again.text

    ready = ansible.run("--check", zbx_nvidia_state="absent")
    assert (ready.changed, ready.failed) == (2, 0), ready.text
    gone = ansible.run(zbx_nvidia_state="absent")
    assert (gone.changed, gone.failed) == (2, 0), gone.text
    assert traces(there) == before
    assert "ZBX_NOTSUPPORTED" in there.run("zabbix_get", "-s", "127.0.0.1", "-k", "nvidia.get").out
    there.ok("systemctl", "stop", SERVICES[agent])


# What follows is the role's own doing: once, on the one series or on the other.


@pytest.mark.integration
@pytest.mark.parametrize("ansible", SERIES[:1], indirect=True)
def test_what_it_refuses(ansible: Ansible) -> None:
    """And says why."""
    wrong = ansible.run(zbx_nvidia_state="gone")
    assert wrong.failed == 1
    assert "zbx_nvidia_state is gone: set it to present or absent" in wrong.text
    old = ansible.run(zbx_nvidia_pythons=["/usr/bin/python2", "/bin/false"])
    assert old.failed == 1
    assert "no Python 3.10 or newer in zbx_nvidia_pythons" in old.text
    ansible.there.shell("mkdir /srv/other && touch /srv/other/file")
    other = ansible.run(zbx_nvidia_state="absent", zbx_nvidia_folder="/srv/other")
    assert other.failed == 1
    assert "/srv/other has no file .unpacked, so this role did not create it" in other.text
    ansible.there.shell("test -e /srv/other/file && rm -r /srv/other")


@pytest.mark.integration
@pytest.mark.parametrize("ansible", SERIES[:1], indirect=True)
def test_what_is_copied_and_not_unpacked_yet(ansible: Ansible) -> None:
    """--check, with a service to come that a handler would restart."""
    there = ansible.there
    place = f"{there.container}:/opt/zbx-nvidia.pyz"
    subprocess.run(["docker", "cp", "--quiet", str(ansible.archive), place], check=True)
    there.shell("chown root:root /opt/zbx-nvidia.pyz; chmod 644 /opt/zbx-nvidia.pyz")
    ready = ansible.run("--check", zbx_nvidia_mode="resident")
    assert (ready.changed, ready.failed) == (1, 0), ready.text
    there.shell("rm /opt/zbx-nvidia.pyz")


@pytest.mark.integration
@pytest.mark.parametrize("ansible", SERIES[-1:], indirect=True)
def test_a_program_that_is_gone(ansible: Ansible) -> None:
    """Nothing is removed that only the program could put back."""
    there = ansible.there
    there.ok("systemctl", "start", SERVICES["agentd"])
    first = ansible.run(zbx_nvidia_agent="agentd")
    assert first.failed == 0, first.text
    there.shell("mv /opt/zbx-nvidia/bin/zbx-nvidia /root/")
    gone = ansible.run(zbx_nvidia_state="absent")
    assert gone.failed == 1, gone.text
    there.shell("mv /root/zbx-nvidia /opt/zbx-nvidia/bin/")
    gone = ansible.run(zbx_nvidia_state="absent")
    assert (gone.changed, gone.failed) == (2, 0), gone.text
    there.ok("systemctl", "stop", SERVICES["agentd"])
