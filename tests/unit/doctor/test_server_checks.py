"""What the doctor makes of the server's side, without a server."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from zbx_nvidia.doctor import server_checks
from zbx_nvidia.doctor.checks import FAULT, GOOD, UNSEEN, Facts, Seen, look
from zbx_nvidia.server.hosts import AGENT

FACTS = Facts(frozenset({"127.0.0.1", "::1", "192.0.2.7"}), "10050", frozenset({"psk"}), "psk", "resident")


class Zabbix:
    """A server that has one host, which it asks by its name."""

    url = "http://zabbix"

    def call(self, method: str, _: object) -> list[dict[str, Any]]:
        row = {"interfaceid": "1", "type": AGENT, "useip": "0", "dns": "gpu01", "ip": "", "port": "10050"}
        hosts = [{"hostid": "1", "interfaces": [row], "tls_connect": "1"}]
        return hosts if method == "host.get" else [{"key_": "nvidia.get", "interfaceid": "1", "type": "0"}]


@pytest.fixture
def scene() -> server_checks.Scene:
    expected = server_checks.Expected({}, "nvidia.get", "", "", "", ())
    zabbix: Any = Zabbix()
    return server_checks.Scene(zabbix, "gpu01", expected, FACTS)


def seen(scene: server_checks.Scene, name: str) -> Seen:
    (link,) = [one for one in server_checks.CHAIN.links if one.id == name]
    return look(link, scene)


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
    scene: server_checks.Scene, monkeypatch: pytest.MonkeyPatch, numbers: list[str], state: str
) -> None:
    def resolved(*_: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (number, 0)) for number in numbers]

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    assert seen(scene, "interface").state == state


def test_a_name_with_spaces_is_one_word_in_a_cure(scene: server_checks.Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scene, "name", "GPU node 1")
    vars(scene)["host"] = None
    found = seen(scene, "linked")
    assert "zbx-nvidia add-host 'GPU node 1' --address" in found.cure
    assert "'GPU node 1'" in found.cause


def test_the_cure_of_encryption_keeps_the_way_to_run(scene: server_checks.Scene) -> None:
    assert "install-agent --mode resident --psk" in seen(scene, "encryption").cure
