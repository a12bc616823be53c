"""What the doctor makes of an agent's files, its log and its answers."""

from __future__ import annotations

import errno
import json
import os
import shlex
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from zbx_nvidia.collector.document import VERSION
from zbx_nvidia.doctor import agent_checks, answer_checks, program_checks
from zbx_nvidia.doctor.checks import AGENT, FAULT, GOOD, NOTE, SERVER, UNCHECKED, UNSEEN, CheckReport, Result
from zbx_nvidia.doctor.host_state import Collected, HostState
from zbx_nvidia.doctor.run import CHECKS, HOST, REFUSED
from zbx_nvidia.errors import HostError
from zbx_nvidia.host import reading, system
from zbx_nvidia.zabbix_agent import verify
from zbx_nvidia.zabbix_agent.config import AGENT2, AGENTD
from zbx_nvidia.zabbix_agent.find import Agent, NotRootsError
from zbx_nvidia.zabbix_agent.processes import AgentProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

PARAMETER = "UserParameter=nvidia.get,/opt/zbx-nvidia/bin/zbx-nvidia-agent get\n"
ALIAS = "Alias=nvidia.get:vfs.file.contents[/run/zbx-nvidia/document.json]\n"
DOCUMENT = json.dumps({"status": {"code": 0}, "timestamp": 1, "gpus": {}, "collector": {"mode": "oneshot"}})


class Host(NamedTuple):
    """A host with an agent.

    Attributes:
        state: As the doctor sees it.
        folder: Where the agent's files are.
        port: That it listens at.
    """

    state: HostState
    folder: Path
    port: socket.socket

    def result(self, name: str) -> Result:
        """Of the check of that id."""
        (check,) = [one for one in (*HOST, *REFUSED) if one.id == name]
        return check.run(self.state)

    def log(self, text: str, when: float) -> None:
        """Has the agent write a line."""
        stamp = time.strftime("%Y%m%d:%H%M%S", time.localtime(when))
        with (self.folder / "agent.log").open("a", encoding="utf-8") as file:
            file.write(f"    79:{stamp}.707 {text}\n")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """One whose agent was started before its file was put there; root runs the doctor."""
    state = HostState(base=tmp_path)
    main = tmp_path / "zabbix_agentd.conf"
    with socket.create_server(("127.0.0.1", 0)) as port:
        main.write_text(
            f"LogFile={tmp_path}/agent.log\nListenPort={port.getsockname()[1]}\nInclude={tmp_path}/d/*.conf\n"
        )
        # Nothing sets the time of a change: the agent is started between the two.
        monkeypatch.setattr(agent_checks, "SLOW_CLOCK", 0.0)
        time.sleep(0.05)
        started = time.time()
        time.sleep(0.05)
        (tmp_path / "d").mkdir()
        (tmp_path / "d/nvidia.conf").write_text(PARAMETER)
        agent = Agent(AGENTD, Path("/usr/sbin/zabbix_agentd"), main, "zabbix-agent.service", "zabbix")
        process = AgentProcess(AGENTD, 1, started, "zabbix", (), agent.program, tmp_path, agent.unit)
        vars(state).update(root=True, agents=(agent,), running=process, service=None)
        started_host = Host(state, tmp_path, port)
        started_host.log("agent #0 started [main process]", started)
        yield started_host


def test_a_file_that_was_put_there_since(host: Host) -> None:
    assert (host.result("reloaded").state, host.result("reloaded").fault) == (FAULT, "older")


def test_an_agent_that_has_read_it_anew_needs_no_restart(host: Host) -> None:
    host.log("user parameters reloaded [listener #1]", time.time())
    assert host.result("reloaded").state == GOOD


def test_a_file_that_was_put_there_after_it_has_read_anew(host: Host) -> None:
    host.log("user parameters reloaded [listener #1]", time.time() - 60)
    assert host.result("reloaded").fault == "older"


def test_an_alias_is_not_read_anew(host: Host) -> None:
    (host.folder / "d/nvidia.conf").write_text(ALIAS)
    host.log("user parameters reloaded [listener #1]", time.time())
    assert (host.result("reloaded").state, host.result("reloaded").fault) == (NOTE, "perhaps")


def test_without_the_log_nobody_knows(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only root can read the log: an agent that may have been reloaded is not called faulty."""
    monkeypatch.setattr(host.state, "root", False)
    monkeypatch.setattr(host.state, "user", "alice")
    assert host.result("reloaded").state == NOTE


def test_a_log_that_begins_later_shows_nothing(host: Host) -> None:
    (host.folder / "agent.log").unlink()
    host.log("something", time.time() + 60)
    assert host.result("reloaded").state == NOTE


@pytest.fixture
def with_a_key(host: Host) -> Host:
    (host.folder / "d/tls.conf").write_text(
        f"TLSAccept=psk\nTLSPSKIdentity=me\nTLSPSKFile={host.folder}/key\n", encoding="utf-8"
    )
    (host.folder / "key").write_text("00" * 32, encoding="utf-8")
    return host


@pytest.fixture
def zabbix_get(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the doctor looks for that program, and for no other; Python cannot encrypt."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setattr(system, "PATH", f"{tmp_path}/bin:{os.defpath}")
    monkeypatch.setattr("ssl.HAS_PSK", False, raising=False)
    monkeypatch.setattr(verify, "by_program", lambda *_: DOCUMENT)
    return tmp_path / "bin/zabbix_get"


@pytest.mark.usefixtures("zabbix_get")
def test_a_machine_that_cannot_ask_with_a_key_knows_nothing_of_the_agent(
    with_a_key: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    assert with_a_key.result("port") == Result(
        UNSEEN, "this host cannot connect with a key: install zabbix-get to see this"
    )
    answer = with_a_key.result("answer")
    assert answer.state == UNSEEN
    assert "zabbix_agentd -t" in answer.text
    assert "install zabbix-get" in answer.text


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ("gnutls_handshake() failed: -110 The TLS connection was non-properly terminated.", GOOD),
        ("SSL_connect() set result code to SSL_ERROR_SSL: sslv3 alert bad record mac", FAULT),
    ],
)
def test_an_agent_that_closes_before_it_encrypts_does_not_allow_this_machine(
    with_a_key: Host, zabbix_get: Path, said: str, state: str
) -> None:
    zabbix_get.write_text(f"#!/bin/sh\necho 'zabbix_get [1]: {said}' >&2\nexit 1\n", encoding="utf-8")
    zabbix_get.chmod(0o755)
    assert with_a_key.result("port").state == state
    if state == GOOD:
        assert with_a_key.result("answer").state == UNSEEN


def test_an_agent_that_closes_although_it_allows_this_machine_has_another_key(
    with_a_key: Host, zabbix_get: Path
) -> None:
    with (with_a_key.folder / "zabbix_agentd.conf").open("a", encoding="utf-8") as file:
        file.write("Server=192.0.2.1,127.0.0.1\n")
    zabbix_get.write_text("#!/bin/sh\necho 'Connection reset by peer' >&2\nexit 1\n", encoding="utf-8")
    zabbix_get.chmod(0o755)
    assert with_a_key.result("port").fault == "encryption"


@pytest.mark.parametrize(("service", "mode"), [(True, "resident"), (False, "oneshot")])
def test_a_fix_keeps_the_mode_that_is_there(
    host: Host,
    monkeypatch: pytest.MonkeyPatch,
    service: bool,  # noqa: FBT001  a parameter
    mode: str,
) -> None:
    """Also if nothing shows how it was installed, since that was done by hand."""
    (host.folder / "d/nvidia.conf").unlink()
    unit = system.Unit("zbx-nvidia.service", active=True, enabled=service, pid=1, user="", command=())
    monkeypatch.setattr(host.state, "service", unit)
    assert f"install-agent --mode {mode}" in host.result("userparameter").fix


def test_an_answer_of_another_process_of_the_agents_program_outvotes_nothing(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where Server= names the server alone, the process that runs cannot be asked."""
    monkeypatch.setattr(verify, "listens_at", lambda _: None)
    monkeypatch.setattr(verify, "by_program", lambda *_: DOCUMENT)
    assert host.result("answer").state == UNSEEN
    voters = {check.id: check.outvoted_by for check in CHECKS}
    assert voters["reloaded"] == voters["denials"] == ("answer",)


def test_a_file_that_the_agent_does_not_read_is_moved_to_where_it_looks(host: Host) -> None:
    (host.folder / "d/nvidia.conf").rename(host.folder / "d/nvidia.conf.txt")
    with_folder(host)
    result = host.result("userparameter")
    assert result.fault == "unread"
    assert f"\n    mv {host.folder}/zabbix/d/nvidia.conf.txt {host.folder}/zabbix/d/nvidia.conf\n" in result.fix


@pytest.mark.parametrize("taken", [True, False])
def test_a_file_is_moved_onto_no_other_and_nowhere_without_a_place(host: Host, taken: bool) -> None:  # noqa: FBT001
    (host.folder / "d/nvidia.conf").rename(host.folder / "d/nvidia.conf.txt")
    main = with_folder(host)
    if taken:
        (main.parent / "d/nvidia.conf").write_text("# nothing\n")
    else:
        main.write_text("Server=127.0.0.1\n")
    result = host.result("userparameter")
    assert result.fault == "no-place"
    assert "mv" not in result.fix
    assert "zbx-nvidia install-agent --agent agentd --mode oneshot" in result.fix


def test_the_file_of_another_agent_is_left_to_it(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether that agent runs or not."""
    (host.folder / "e").mkdir()
    (host.folder / "d/nvidia.conf").rename(host.folder / "e/nvidia.conf")
    main = with_folder(host)
    theirs = main.with_name("zabbix_agent2.conf")
    theirs.write_text(f"Include={main.parent}/e/*.conf\n")
    other = Agent(AGENT2, Path("/usr/sbin/zabbix_agent2"), theirs, "zabbix-agent2.service", "zabbix")

    def find(kind: str) -> tuple[Agent, ...]:
        if kind != AGENT2:
            raise HostError("there is no zabbix_agentd on this host")
        return (other,)

    monkeypatch.setattr("zbx_nvidia.zabbix_agent.find.find", find)
    result = host.result("userparameter")
    assert result.fault == "others"
    assert "mv" not in result.fix
    assert "for zabbix_agent2, but zabbix_agentd has no entry" in result.cause
    assert "zbx-nvidia install-agent --agent agentd --mode oneshot" in result.fix


def with_folder(host: Host) -> Path:
    """The agent's files, in a directory of the name that they usually have; the main one."""
    place = host.folder / "zabbix"
    place.mkdir()
    for name in ("d", "e"):
        if (host.folder / name).exists():
            (host.folder / name).rename(place / name)
    main = place / "zabbix_agentd.conf"
    main.write_text(f"Include={place}/d/*.conf\n")
    vars(host.state)["agents"] = (host.state.agent._replace(config=main),)
    return main


def test_a_file_that_this_user_may_not_read_is_no_fault_of_the_agent(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    (host.folder / "d/secret.conf").symlink_to(host.folder / "d/nvidia.conf")
    usual = reading.read

    def read(path: Path, *, links: bool) -> bytes:
        if path.name == "secret.conf":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return usual(path, links=links)

    monkeypatch.setattr(reading, "read", read)
    monkeypatch.setattr(host.state, "root", False)
    assert host.result("config").fault == "unreadable"
    (host.folder / "d/wrong.conf").write_text("nonsense\n")
    vars(host.state).pop("configuration")
    assert host.result("config").fault == "broken"
    assert "nonsense" not in host.result("config").cause
    monkeypatch.setattr(host.state, "root", True)
    assert host.result("config").fault == "broken"


@pytest.mark.parametrize(
    "found", [PermissionError(errno.EACCES, "Permission denied", "/x"), HostError("there is none")]
)
def test_an_agent_whose_files_are_not_for_this_user_is_not_said_to_be_none(
    host: Host, monkeypatch: pytest.MonkeyPatch, found: Exception
) -> None:
    """Whether the search stops there, or goes on without it."""

    def find(_: str) -> tuple[Agent, ...]:
        raise found

    def stat(path: Path) -> os.stat_result:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("zbx_nvidia.zabbix_agent.find.find", find)
    vars(host.state).pop("agents")
    monkeypatch.setattr(Path, "stat", stat)
    monkeypatch.setattr(host.state, "root", False)
    result = host.result("agent")
    assert (result.state, "use sudo" in result.text) == (UNCHECKED, True)
    report = CheckReport()
    report.add([check for check in (*HOST, *REFUSED) if check.part in {AGENT, SERVER}], host.state)
    assert {finding.result.state for finding in report.findings()} == {UNCHECKED}


def test_the_fix_of_an_agent_that_others_can_change_can_be_typed(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """What else install-agent advises is no part of the command."""
    command = "chmod o-w /etc/zabbix"

    def find(_: str) -> tuple[Agent, ...]:
        why = f"/etc/zabbix/a.conf, of zabbix_agentd, is not root's alone: /etc/zabbix can be written to: {command}"
        raise NotRootsError(why, "; or name another agent with --agent")

    monkeypatch.setattr("zbx_nvidia.zabbix_agent.find.find", find)
    vars(host.state).pop("agents")
    found = host.result("agent")
    assert found.fault == "others"
    assert found.fix.splitlines()[-1] == f"    {command}"


def test_an_error_of_systemd_does_not_mean_that_there_is_no_agent(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def find(_: str) -> tuple[Agent, ...]:
        raise system.SystemdError("systemctl show: no bus")

    monkeypatch.setattr("zbx_nvidia.zabbix_agent.find.find", find)
    vars(host.state).pop("agents")
    result = host.result("agent")
    assert (result.state, result.text) == (FAULT, "systemctl show: no bus")


def answered(code: int, message: str, gpus: dict[str, Any] | None = None) -> str:
    document = json.loads(DOCUMENT)
    return json.dumps({**document, "status": {"code": code, "name": "Bad", "message": message}, "gpus": gpus or {}})


@pytest.mark.parametrize(
    ("outside", "answer", "user", "key"),
    [
        (0, answered(12, "Library not found."), "root", "confined"),
        (0, answered(4, "No permission."), "zabbix", "confined"),
        (0, answered(4, "No permission."), "alice", "without-gpus"),
        (-1, answered(9, "Driver not loaded."), "root", "without-gpus"),  # an agent of root's: nothing was tried
        (0, answered(0, "All is well."), "root", "confined"),
        (12, answered(12, "Library not found."), "root", ""),  # said further up
        (12, answered(12, "Library not found."), "alice", "without-gpus"),  # of whom it says nothing
        (0, answered(1001, "Previous collection still running."), "root", ""),  # a server asks at this moment
        (1000, answered(4, "No permission."), "root", ""),
        (0, answered(0, "All is well.", {"GPU-1": {}}), "root", ""),
    ],
)
def test_an_agent_that_has_less_of_the_driver_than_the_doctor(  # noqa: PLR0913, PLR0917  a row of a table
    host: Host, monkeypatch: pytest.MonkeyPatch, outside: int, answer: str, user: str, key: str
) -> None:
    made = json.loads(answered(outside, "", {"GPU-1": {}}))
    vars(host.state)["collected"] = Collected(made if outside >= 0 else None, "", 0.1, "")
    monkeypatch.setattr(host.state, "root", user == "root")
    monkeypatch.setattr(host.state, "user", user)
    monkeypatch.setattr(answer_checks, "ask", lambda *_, **__: answer)
    result = host.result("answer")
    assert result.fault == key, result
    assert result.state == (FAULT if key else GOOD)
    if key == "confined" and '"code": 0' not in answer:
        assert json.loads(answer)["status"]["message"] in result.cause


@pytest.mark.parametrize(
    ("series", "size", "key"),
    [("6.0", 70_000, "large_file"), ("6.0", 60_000, ""), ("7.0", 70_000, ""), ("", 70_000, "")],
)
def test_a_file_that_this_agent_cannot_read(host: Host, series: str, size: int, key: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        # Where the user that runs the agent's program may come to.
        Path(name).chmod(0o755)
        program = Path(name, "agent")
        program.write_text(f"#!/bin/sh\necho 'zabbix_agentd (daemon) (Zabbix) {series}.14'\n")
        program.chmod(0o755)
        result = document_of(host, program, size)
    assert (result.fault, result.state) == (key, FAULT if key else GOOD)


def document_of(host: Host, program: Path, size: int) -> Result:
    made = {"version": VERSION, "collector": {"mode": "resident", "version": "1"}, "presence": "x" * size}
    vars(host.state).update(
        agents=(host.state.agent._replace(program=program),),
        collected=Collected(made, json.dumps(made), 0.0, ""),
        reader="zbx-nvidia",
    )
    return program_checks.document.run(host.state)


def test_names_with_spaces_are_words_of_a_fix(host: Host) -> None:
    with (host.folder / "zabbix_agentd.conf").open("a", encoding="utf-8") as file:
        file.write("Hostname=GPU node 1\nTLSPSKIdentity=it's me\nTLSPSKFile=/etc/a key\nTLSAccept=psk\n")
    said = "failed to accept an incoming connection: from 192.0.2.1: unencrypted connections are not allowed"
    for _ in range(3):
        host.log(said, time.time() + 1)
    result = host.result("refused")
    assert result.fault == "plain"
    (line,) = [line for line in result.fix.splitlines() if line.startswith("    ")]
    words = shlex.split(line)
    assert words[:3] == ["zbx-nvidia", "add-host", "GPU node 1"]
    assert {"it's me", "/etc/a key", "--address", "--overwrite", "--url", "--token-file"} <= set(words)


@pytest.mark.parametrize(
    ("denied", "key"),
    [
        ('execute } for  pid=7 comm="zabbix_agentd" name="zbx-nvidia-agent"', "selinux"),
        ('execute } for  pid=7 comm="zabbix_agentd" name="bash"', "selinux"),
        ('read } for  pid=7 comm="zabbix_agent2" name="document.json"', "selinux"),
        ('read write } for  pid=7 comm="zbx-nvidia-agen" path="/dev/nvidiactl"', "selinux"),
        ('read } for  pid=7 comm="zabbix_agentd" name="shadow"', "other"),
    ],
)
def test_what_was_denied(host: Host, monkeypatch: pytest.MonkeyPatch, denied: str, key: str) -> None:
    monkeypatch.setattr(system, "has_systemd", lambda: False)
    audit = host.folder / "var/log/audit/audit.log"
    audit.parent.mkdir(parents=True)
    audit.write_text(
        f"type=AVC msg=audit({time.time():.3f}:7): avc:  denied  {{ {denied} "
        "scontext=system_u:system_r:zabbix_agent_t:s0 tcontext=system_u:object_r:usr_t:s0 tclass=file permissive=0\n",
        encoding="utf-8",
    )
    result = host.result("denials")
    assert result.fault == key
    if key == "selinux":
        # The rule is made of this line, and of none about something else.
        (line,) = [line for line in result.fix.splitlines() if "audit2allow" in line]
        kept = line.strip().replace("ausearch -m avc -ts today", f"cat {audit}").replace("audit2allow -M", "cat #")
        with audit.open("a", encoding="utf-8") as file:
            file.write('type=AVC msg=audit(1.1:7): avc: denied { read } comm="zabbix_agentd" name="shadow"\n')
        lines = subprocess.run(["sh", "-c", kept], capture_output=True, text=True, check=True).stdout.splitlines()
        assert lines == audit.read_text().splitlines()[:1]
        assert result.fix.index("restorecon") < result.fix.index("cat zbx-nvidia.te") < result.fix.index("semodule")


@pytest.mark.parametrize("text", ["", "connection from 192.0.2.1 rejected, allowed hosts: server\n"])
def test_a_log_without_times_says_nothing_of_refusals(host: Host, text: str) -> None:
    """As systemd keeps that of LogType=system."""
    (host.folder / "agent.log").write_text(text)
    assert host.result("refused").state == UNSEEN
    host.log("something", time.time())
    assert host.result("refused").state == GOOD


def test_an_alias_by_another_way_to_the_same_file(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    (host.folder / "run").mkdir()
    (host.folder / "var").symlink_to(host.folder / "run")
    monkeypatch.setattr(HostState, "file", host.folder / "run/document.json")
    (host.folder / "d/nvidia.conf").write_text(f"Alias=nvidia.get:vfs.file.contents[{host.folder}/var/document.json]\n")
    assert host.result("command").state == GOOD
    (host.folder / "d/nvidia.conf").write_text(f"Alias=nvidia.get:vfs.file.contents[{host.folder}/document.json]\n")
    for known in ("configuration", "entries", "mode"):
        vars(host.state).pop(known, None)
    assert host.result("command").fault == "elsewhere"
