"""Parameters that are set on request."""

from __future__ import annotations

import os
import re
import socket
from typing import TYPE_CHECKING

import pytest

from zbx_nvidia.errors import HostError, UsageError
from zbx_nvidia.host import system
from zbx_nvidia.install import agent_settings, program_check
from zbx_nvidia.install.agent_settings import Settings
from zbx_nvidia.zabbix_agent import config, processes, verify
from zbx_nvidia.zabbix_agent.find import Agent

if TYPE_CHECKING:
    from pathlib import Path


def wanted(tmp_path: Path, text: str, settings: Settings, known: dict[str, str] | None = None) -> dict[str, str]:
    main = tmp_path / "a.conf"
    main.write_text(text)
    agent = Agent("agentd", main, main, "", "zabbix")
    return agent_settings.wanted(agent, config.read(main, "agentd"), settings, known or {})


@pytest.mark.parametrize(
    ("server", "active"),
    [
        ("192.0.2.1,127.0.0.1", "192.0.2.1"),
        ("127.0.0.1,zabbix.example.com", "zabbix.example.com"),
        ("localhost, 192.0.2.0/24 , 192.0.2.7", "192.0.2.7"),
        ("::1,2001:db8::1,2001:db8::/64", "2001:db8::1"),
        ("127.0.0.1,10.0.0.0/8", None),
    ],
)
def test_servers_that_can_be_called_and_those_that_can_only_ask(
    tmp_path: Path, server: str, active: str | None
) -> None:
    found = wanted(tmp_path, "", Settings(server=server))
    assert found == {"Server": server, **({"ServerActive": active} if active else {})}


def test_a_cluster_stays_one_for_an_active_agent(tmp_path: Path) -> None:
    found = wanted(tmp_path, "", Settings(server="zbx1;zbx2,proxy.example.com"))
    assert found["ServerActive"] == "zbx1;zbx2,proxy.example.com"
    assert found["Server"] == "zbx1,zbx2,proxy.example.com,127.0.0.1"


def test_a_key_of_its_own_and_one_that_is_there(tmp_path: Path) -> None:
    found = wanted(tmp_path, "Hostname=gpu01\n", Settings(psk=True))
    assert found == {
        "TLSConnect": "psk",
        "TLSAccept": "psk",
        "TLSPSKIdentity": "zbx-nvidia-gpu01",
        "TLSPSKFile": str(tmp_path / "zbx-nvidia.psk"),
    }
    there = "TLSPSKIdentity=mine\nTLSPSKFile=/etc/mine.psk\nTLSAccept=unencrypted,psk\n"
    found = wanted(tmp_path, there, Settings(psk=True))
    assert (found["TLSPSKIdentity"], found["TLSPSKFile"], found["TLSAccept"]) == ("mine", "/etc/mine.psk", "psk")
    assert wanted(tmp_path, there, Settings(psk=True, identity="new"))["TLSPSKIdentity"] == "new"
    # Debian's file calls every host so.
    found = wanted(tmp_path, "Hostname=Zabbix server\n", Settings(psk=True))
    assert found["TLSPSKIdentity"] == f"zbx-nvidia-{socket.gethostname()}"


@pytest.mark.parametrize(
    ("server", "line"),
    [
        ("zabbix.example.com", "zabbix.example.com,127.0.0.1"),
        ("192.0.2.0/24, ::1", "192.0.2.0/24, ::1"),
        ("192.0.2.1,localhost", "192.0.2.1,localhost"),
        ("127.0.0.0/8,192.0.2.1", "127.0.0.0/8,192.0.2.1"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("::/0", "::/0"),
    ],
)
def test_this_machine_may_always_ask(tmp_path: Path, server: str, line: str) -> None:
    assert wanted(tmp_path, "", Settings(server=server))["Server"] == line


@pytest.mark.parametrize(
    ("server", "only"),
    [
        ("127.0.0.1", True),
        ("127.0.0.1,::1", True),
        ("localhost", True),
        ("127.0.0.1,zabbix.example.com", False),
        ("0.0.0.0/0", False),
        ("192.0.2.1", False),
        ("", False),
    ],
)
def test_who_may_ask(server: str, *, only: bool) -> None:
    assert agent_settings.allows_only_this_machine(server) is only


def test_what_was_told_before_stays(tmp_path: Path) -> None:
    known = wanted(tmp_path, "", Settings(psk=True, server="192.0.2.1"))
    (tmp_path / "zbx-nvidia.psk").touch()
    assert wanted(tmp_path, "", Settings(metadata="gpu"), known) == {**known, "HostMetadata": "gpu"}


def test_what_somebody_has_changed_since_counts(tmp_path: Path) -> None:
    main = tmp_path / "a.conf"
    main.write_text("Server=192.0.2.1\nTLSAccept=psk\nTLSAccept=unencrypted,psk\nHostMetadata=\n")
    earlier = {"Server": "192.0.2.1", "ServerActive": "192.0.2.1", "TLSAccept": "psk", "HostMetadata": "x"}
    # A line that states it still, and none at all: our own file does.
    assert agent_settings.unchanged(config.read(main, "agentd"), earlier) == {
        "Server": "192.0.2.1",
        "ServerActive": "192.0.2.1",
    }


def test_what_stands_against_it(tmp_path: Path) -> None:
    with pytest.raises(
        HostError, match=r"a\.conf:1 states TLSCertFile=: this agent already encrypts with certificates"
    ):
        wanted(tmp_path, "TLSCertFile=/a\n", Settings(psk=True))
    with pytest.raises(HostError, match=r"a\.conf:2 states HostMetadataItem=, which HostMetadata= would override"):
        wanted(tmp_path, "#\nHostMetadataItem=system.uname\n", Settings(metadata="x"))
    for settings in (
        Settings(server="a\nAllowRoot=1"),
        Settings(psk=True, identity="x" * 129),
        Settings(metadata=" x"),
        Settings(identity="x"),
    ):
        with pytest.raises(UsageError):
            agent_settings.check(settings)


def test_new_keys() -> None:
    keys = {agent_settings.new_key() for _ in range(9)}
    assert len(keys) == 9
    assert all(re.fullmatch("[0-9a-f]{64}", key) and not config.key_problem(key) for key in keys)


@pytest.mark.parametrize(
    ("line", "address"),
    [
        ("", ("127.0.0.1", 10050)),
        ("ListenPort=10060", ("127.0.0.1", 10060)),
        ("ListenIP=0.0.0.0", ("127.0.0.1", 10050)),
        ("ListenIP=192.0.2.1,127.0.0.1", ("192.0.2.1", 10050)),
        ("ListenIP=::", ("::1", 10050)),
        ("StartAgents=0", None),
    ],
)
def test_where_an_agent_is_asked(tmp_path: Path, line: str, address: tuple[str, int] | None) -> None:
    main = tmp_path / "a.conf"
    main.write_text(line)
    assert verify.listens_at(config.read(main, "agentd")) == address


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "answers nvidia.get with something else: '{'"),
        ("[1]", "something else"),
        ('{"collector": {"version": "9", "mode": "oneshot"}}', "with a document of version 9, not"),
        ('{"collector": {"version": "9", "mode": "resident"}}', "with a document of mode resident, not oneshot"),
    ],
)
def test_a_document_that_proves_nothing(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(HostError, match=complaint):
        verify.checked(text, "oneshot", Agent("agentd", tmp_path, tmp_path, "", "zabbix"))


@pytest.mark.parametrize(
    ("command", "config"),
    [
        ("/usr/sbin/zabbix_agentd --foreground", None),
        ("zabbix_agentd -c /a.conf", "/a.conf"),
        ("zabbix_agentd -c/a.conf", "/a.conf"),
        ("zabbix_agentd -f --config /a.conf", "/a.conf"),
        ("zabbix_agentd --config=/a.conf -f", "/a.conf"),
        ("zabbix_agent2 -foreground -config /a.conf", "/a.conf"),
        ("zabbix_agent2 -config=a.conf", "/srv/a.conf"),
        ("zabbix_agent2 -c", None),
    ],
)
def test_the_configuration_that_a_command_names(tmp_path: Path, command: str, config: str | None) -> None:
    found = processes.config_of(tuple(command.split()), tmp_path)
    assert found == (None if config is None else tmp_path / config.removeprefix("/srv/"))


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        HostError, match=r"none is not a program: give the absolute path of zbx-nvidia-agent with --command"
    ):
        program_check.check(tmp_path / "none", "nobody")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
def test_a_command_as_another_user() -> None:
    done = system.run("id", "-un", user="nobody")
    assert (done.code, done.out) == (0, "nobody\n")
    assert system.run("sh", "-c", "umask").out == "0022\n"
    with pytest.raises(HostError, match=r"^there is no user nobody-here$"):
        system.run("id", user="nobody-here")


def test_a_command_without_end() -> None:
    done = system.run("sleep", "60", timeout=0.1)
    assert (done.code, done.complaint) == (124, "did not end within 0.1 s")
    with pytest.raises(HostError, match=r"^no-such-program cannot be run: No such file or directory$"):
        system.run("no-such-program")


@pytest.mark.parametrize(
    ("server", "address", "expected"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("192.0.2.5, 127.0.0.0/8", "127.0.0.1", True),
        ("192.0.2.5,localhost", "127.0.0.1", True),
        ("::/0", "127.0.0.1", True),
        ("0.0.0.0/0", "::1", False),
        ("192.0.2.5", "127.0.0.1", False),
        ("zabbix.invalid,", "127.0.0.1", False),
    ],
)
def test_whether_this_machine_may_ask(server: str, address: str, expected: bool) -> None:  # noqa: FBT001  a table
    assert verify.allows(server, address) is expected


def test_a_key_that_was_never_made(tmp_path: Path) -> None:
    main = tmp_path / "a.conf"
    main.touch()
    agent = Agent("agentd", tmp_path / "zabbix_agentd", main, "", "nobody")
    found = config.read(main, "agentd")
    known = agent_settings.wanted(agent, found, Settings(psk=True), {})
    with pytest.raises(HostError, match=rf"^{tmp_path}/zbx-nvidia.psk, the key .* does not exist: run this again with"):
        agent_settings.wanted(agent, found, Settings(), known)
    assert agent_settings.wanted(agent, found, Settings(psk=True), known) == known
    (tmp_path / "zbx-nvidia.psk").touch()
    assert agent_settings.wanted(agent, found, Settings(), known) == known
