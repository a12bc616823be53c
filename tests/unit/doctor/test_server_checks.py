"""What the doctor makes of the server, without a server."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from zbx_nvidia.doctor import connection_checks, server_checks
from zbx_nvidia.doctor.checks import FAULT, GOOD, UNSEEN
from zbx_nvidia.doctor.host_state import AgentFacts
from zbx_nvidia.doctor.server_state import ServerState
from zbx_nvidia.server.wanted import AGENT

FACTS = AgentFacts(frozenset({"127.0.0.1", "::1", "192.0.2.7"}), "10050", frozenset({"psk"}), "psk", "resident")


class Zabbix:
    """A server that has one host, to which it connects by name."""

    url = "http://zabbix"

    def call(self, method: str, _: object) -> list[dict[str, Any]]:
        row = {"interfaceid": "1", "type": AGENT, "useip": "0", "dns": "gpu01", "ip": "", "port": "10050"}
        hosts = [{"hostid": "1", "interfaces": [row], "tls_connect": "1"}]
        return hosts if method == "host.get" else [{"key_": "nvidia.get", "interfaceid": "1", "type": "0"}]


@pytest.fixture
def server() -> ServerState:
    zabbix: Any = Zabbix()
    return ServerState(zabbix, "gpu01", FACTS)


@pytest.mark.parametrize(
    ("numbers", "state"),
    [
        (["192.0.2.7"], GOOD),
        (["127.0.1.1"], UNSEEN),
        (["127.0.0.1"], GOOD),
        (["192.0.2.9"], FAULT),
    ],
)
def test_a_name_that_is_resolved_here(
    server: ServerState, monkeypatch: pytest.MonkeyPatch, numbers: list[str], state: str
) -> None:
    def resolved(*_: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (number, 0)) for number in numbers]

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    assert connection_checks.interface.run(server).state == state


def test_a_name_with_spaces_is_one_word_in_a_fix(server: ServerState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "name", "GPU node 1")
    vars(server)["host"] = None
    found = server_checks.linked.run(server)
    assert "zbx-nvidia add-host 'GPU node 1' --address" in found.fix
    assert "'GPU node 1'" in found.cause


def test_the_fix_of_encryption_keeps_the_mode(server: ServerState) -> None:
    assert "install-agent --mode resident --psk" in connection_checks.encryption.run(server).fix
