"""What the doctor makes of the server, without a server."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest

from zbx_nvidia.doctor import connection_checks, server_checks, value_checks
from zbx_nvidia.doctor.checks import FAULT, GOOD, NOTE, UNSEEN
from zbx_nvidia.doctor.host_state import AgentFacts
from zbx_nvidia.doctor.server_state import ServerState
from zbx_nvidia.server.wanted import AGENT
from zbx_nvidia.template import TEMPLATE_NAMES

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


class Answers:
    """A server that answers each method with these rows."""

    url = "http://zabbix"
    ahead = 0.0
    version = (7, 0)

    def __init__(self, **rows: list[dict[str, Any]]) -> None:
        self.rows = {
            "host.get": [{"hostid": "1", "interfaces": [], "parentTemplates": [], "macros": [], "tls_connect": "1"}],
            **{name.replace("_", "."): value for name, value in rows.items()},
        }

    def call(self, method: str, _: object) -> list[dict[str, Any]]:
        return self.rows.get(method, [])


def asked(zabbix: Any, facts: AgentFacts | None = None) -> ServerState:
    return ServerState(zabbix, "gpu01", facts)


def with_value(clock: str) -> list[dict[str, Any]]:
    # Zabbix leaves out the last value if it is older than a day.
    common = {"lastclock": "0", "type": "0", "status": "0", "state": "0", "templateid": "5", "value_type": "3"}
    return [
        {**common, "key_": "nvidia.get", "itemid": "1", "delay": "1m"},
        {**common, "key_": "nvidia.timestamp", "itemid": "2", "delay": "0", "lastclock": clock},
    ]


def test_a_value_of_two_days_ago_is_old_and_not_missing() -> None:
    stored = [{"itemid": "2", "clock": str(int(time.time()) - 172_800)}]
    found = value_checks.values.run(asked(Answers(item_get=with_value("0"), history_get=stored)))
    assert (found.fault, found.text) == ("old", "2 days")
    assert "is 2 days old, but one should arrive every 60 s" in found.cause
    found = value_checks.values.run(asked(Answers(item_get=with_value("0"))))
    assert found.fault == "never"


# Zabbix may need two minutes to see that an agent is gone. Until then the doctor cannot say that the server is behind.
@pytest.mark.parametrize(
    ("delay", "age", "fault"),
    [("2s", 15, ""), ("2s", 60, "late"), ("10s", 140, "late"), ("2s", 170, "old"), ("1m", 180, ""), ("1m", 200, "old")],
)
def test_a_value_is_old_when_zabbix_must_know_whether_the_agent_is_there(delay: str, age: int, fault: str) -> None:
    rows = with_value(str(int(time.time()) - age))
    rows[0]["delay"] = delay
    found = value_checks.values.run(asked(Answers(item_get=rows)))
    assert (found.state, found.fault) == ({"": GOOD, "late": NOTE, "old": FAULT}[fault], fault)


class Failing(Answers):
    """A server whose master item comes to be in error, and its rules with it, after the first question for either."""

    def call(self, method: str, about: object) -> list[dict[str, Any]]:
        rows = [dict(row) for row in super().call(method, about)]
        if method in {"item.get", "discoveryrule.get"}:
            for each in (self.rows["item.get"][0], *self.rows["discoveryrule.get"]):
                each.update(state="1", error="Unsupported item key.")
        return rows


def test_an_error_of_the_master_item_is_not_told_as_one_of_a_rule() -> None:
    """Zabbix gives both the same error. It was seen to come while the doctor asked: once, on a busy machine."""
    rules = [{"name": "GPU discovery", "key_": "nvidia.gpu.discovery", "state": "0", "error": ""}]
    server = asked(Failing(item_get=with_value(str(int(time.time()))), discoveryrule_get=rules))
    states = {check.id: check.run(server).state for check in (value_checks.item, value_checks.discovery)}
    assert states["item"] == FAULT
    assert value_checks.discovery.run(server).fault != "error"


@pytest.mark.parametrize(("facts", "fault"), [(None, "dropped"), (FACTS, "refused")])
def test_words_of_zabbix_that_have_two_causes(facts: AgentFacts | None, fault: str) -> None:
    said = (
        "Received empty response from Zabbix Agent at [192.0.2.7]. Assuming that agent dropped connection because of "
        "access permissions."
    )
    row = {"interfaceid": "1", "type": AGENT, "useip": "1", "dns": "", "ip": "192.0.2.7", "port": "10050"}
    host = [{"hostid": "1", "interfaces": [{**row, "available": "2", "error": said}]}]
    found = connection_checks.reach.run(asked(Answers(host_get=host, item_get=with_value("0")), facts))
    assert found.fault == fault
    assert ("TLSAccept=" in found.cause) == (fault == "dropped")


def test_the_fix_of_an_older_template_updates_that_variant() -> None:
    name = TEMPLATE_NAMES["active"]
    found = server_checks.template.run(asked(Answers(template_get=[{"host": name, "vendor_version": "0.0.9"}])))
    assert found.fault == "version"
    assert "install-template --variant active --url" in found.fix
