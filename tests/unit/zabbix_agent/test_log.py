"""What agents write of those who asked in vain: lines that 6.0.14 and 7.0.22 wrote."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from zbx_nvidia.zabbix_agent import config, log
from zbx_nvidia.zabbix_agent.find import Agent

if TYPE_CHECKING:
    from pathlib import Path

AGENTD = "{pid}:{day}:{clock}.707 "
AGENT2 = "{slashed} {colons}.741727 "
LINES = {
    "agentd refuses an address": (
        AGENTD
        + 'failed to accept an incoming connection: connection from "192.0.2.9" rejected, allowed hosts: "10.9.9.9"',
        "address",
    ),
    "agent 2 of 6.0 refuses an address": (
        AGENT2
        + 'failed to accept an incoming connection: connection from "192.0.2.9" rejected, allowed hosts: "10.9.9.9"',
        "address",
    ),
    "agent 2 of 7.0 refuses an address": (
        AGENT2 + 'connection from "192.0.2.9" rejected, allowed hosts: "10.9.9.9"',
        "address",
    ),
    "agentd wants encryption": (
        AGENTD + "failed to accept an incoming connection: from 192.0.2.9: unencrypted connections are not allowed",
        "plain",
    ),
    "agent 2 of 6.0 wants encryption": (
        AGENT2 + "failed to process an incoming connection from 192.0.2.9: cannot accept unencrypted connection",
        "plain",
    ),
    "agent 2 of 7.0 wants encryption": (
        AGENT2 + "failed to read request from 192.0.2.9: cannot accept unencrypted connection",
        "plain",
    ),
    "agentd does not know the identity": (
        AGENTD
        + 'cannot find requested PSK identity "bar", available PSK identity "foo"\n'
        + AGENTD
        + "failed to accept "
        "an incoming connection: from 192.0.2.9: zbx_tls_accept(): gnutls_handshake() failed: -31 Error in "
        "password/key file.",
        "identity",
    ),
    "agent 2 of 6.0 does not know the identity": (
        AGENT2 + "failed to process an incoming connection from 192.0.2.9: invalid PSK identity",
        "identity",
    ),
    "agent 2 of 7.0 does not know the identity": (
        AGENT2 + "failed to read request from 192.0.2.9: invalid PSK identity",
        "identity",
    ),
    "agentd has another key": (
        AGENTD
        + "failed to accept an incoming connection: from 192.0.2.9: zbx_tls_accept(): gnutls_handshake() failed: "
        "-24 Decryption has failed.",
        "key",
    ),
}


def written(text: str, ago: float = 10) -> list[str]:
    """The lines, as if written that long ago."""
    then = time.localtime(time.time() - ago)
    names = {"day": "%Y%m%d", "clock": "%H%M%S", "slashed": "%Y/%m/%d", "colons": "%H:%M:%S"}
    return text.format(pid="    79", **{name: time.strftime(form, then) for name, form in names.items()}).splitlines()


@pytest.mark.parametrize(("text", "kind"), LINES.values(), ids=LINES)
def test_who_was_refused_and_why(text: str, kind: str) -> None:
    began = time.time()
    (found,) = log.refusals(written(text), began - 60)
    assert (found.kind, found.address) == (kind, "192.0.2.9")
    assert 9 <= found.ago <= 11 + time.time() - began
    assert not log.refusals(written(text, ago=100), time.time() - 60)


@pytest.mark.parametrize("text", [text for text, _ in LINES.values()], ids=LINES)
def test_this_machine_itself_does_not_count(text: str) -> None:
    assert not log.refusals(written(text.replace("192.0.2.9", "127.0.0.1")), time.time() - 60)


def test_other_lines_are_nothing() -> None:
    lines = [
        *written(AGENTD + "agent #1 started [collector]"),
        *written(AGENT2 + "[101] cannot connect to [192.0.2.9:10051]: dial tcp: connect: connection refused"),
        "no time at all",
        "",
    ]
    assert not log.refusals(lines, 0)


def test_the_last_one_comes_first() -> None:
    text = LINES["agentd refuses an address"][0]
    lines = [*written(text, ago=40), *written(text.replace("192.0.2.9", "192.0.2.10"), ago=20)]
    assert [one.address for one in log.refusals(lines, 0)] == ["192.0.2.10", "192.0.2.9"]


def test_why_it_ended_is_not_what_another_run_said(tmp_path: Path) -> None:
    """Seen once: the reason was a line of the run before, for the journal did not have the last words yet."""
    main, file = tmp_path / "zabbix_agentd.conf", tmp_path / "zabbix_agentd.log"
    main.write_text(f"LogFile={file}\n")
    agent = Agent("agentd", tmp_path / "zabbix_agentd", main, "", "zabbix")
    before = written(AGENTD + "Active check configuration update started to fail", ago=60)
    file.write_text("\n".join(before))
    since = time.time() - 30
    assert log.last_words(agent, config.read(main, "agentd")) == "Active check configuration update started to fail"
    assert not log.last_words(agent, config.read(main, "agentd"), since)
    after = written(AGENTD + "cannot bind socket", ago=20)
    file.write_text("\n".join([*before, *after]))
    assert log.last_words(agent, config.read(main, "agentd"), since) == "cannot bind socket"
