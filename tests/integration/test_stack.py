"""The containers themselves: the right Zabbix, and agents that answer as on a real host."""

import contextlib
import json
from typing import Any

import pytest

from tests.integration.conftest import ONCE
from tests.integration.engine import Inside, in_container

pytestmark = pytest.mark.integration

HOSTS = {"workstation": 1, "gpu-server": 8}


def test_api_is_of_the_series(stack: Any) -> None:
    assert str(stack.api.api_version()).startswith(f"{stack.series}.")


@pytest.mark.parametrize("service", HOSTS)
def test_agent_is_of_the_series_and_runs_without_privileges(stack: Any, service: str) -> None:
    assert stack.get(service, "agent.version").startswith(f"{stack.series}.")
    assert stack.get(service, "agent.hostname") == service
    assert stack.exec(service, "id", "--user", "--name").strip() == "zabbix"
    # The agent itself, not only what the tests run there.
    owners = stack.exec(service, "sh", "-c", "stat --format %U /proc/[0-9]* 2>/dev/null").split()
    assert set(owners) == {"zabbix"}


@pytest.mark.parametrize("user", ["", "root"])
@pytest.mark.parametrize(
    "command",
    [
        ("sh", "-c", "cat; id; pwd; umask; env | grep -v ^PWD=; echo trouble >&2; exit 3"),
        ("sh", "-c", "kill -9 $$"),
        ("printf", r"\360\237\214\241 %s", "two words"),
        ("false",),
    ],
    ids=["all it has", "killed", "bytes and words", "no output"],
)
@ONCE
def test_a_command_ends_as_by_docker_exec(stack: Any, command: tuple[str, ...], user: str) -> None:
    container = f"{stack.project}-workstation-1"
    expected = in_container([*(["--user", user] if user else []), container, *command], "21 °C\n")
    with contextlib.closing(Inside(container)) as inside:
        for _ in range(2):  # the second is run by what has run the first
            done = inside.run(command, "21 °C\n", user)
            assert (done.returncode, done.stdout, done.stderr) == (
                expected.returncode,
                expected.stdout,
                expected.stderr,
            )


@pytest.mark.parametrize("service", HOSTS)
def test_server_reads_the_document_of_every_gpu(stack: Any, service: str) -> None:
    document = json.loads(stack.exec("server", "zabbix_get", "-s", service, "-k", "nvidia.get"))
    assert document["status"]["code"] == 0
    assert len(document["gpus"]) == HOSTS[service]


def test_agents_of_both_kinds_are_there(stack: Any) -> None:
    assert stack.get("workstation", "agent.variant") == "1"
    assert stack.get("gpu-server", "agent.variant") == "2"


def test_a_changed_profile_is_read_and_can_be_reset(stack: Any) -> None:
    def temperature() -> float:
        (gpu,) = json.loads(stack.get("workstation", "nvidia.get"))["gpus"].values()
        return float(gpu["temperature"])

    stack.set_profile("workstation", temperature=91)
    try:
        assert temperature() == 91
    finally:
        stack.reset_profile("workstation")
    assert temperature() != 91
