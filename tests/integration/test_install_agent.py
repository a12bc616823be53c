"""`zbx-nvidia install-agent` on hosts with systemd and both agents as Debian leaves them, before a real server."""

from __future__ import annotations

import json
import re
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import PATIENCE
from tests.integration.conftest import ONCE
from tests.integration.machines import CONFIGS, PRODUCT, SERVICES, Machine, machine
from tests.integration.watched import Client
from zbx_nvidia import __version__
from zbx_nvidia.template import TEMPLATE_NAMES
from zbx_nvidia.zabbix_agent.processes import PROGRAMS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.conftest import Stack
    from tests.integration.machines import Run

pytestmark = pytest.mark.integration

NAME = "installed"  # of the machine
ACTIVE = "installed-active"  # what its agent 2 calls itself
PORTS = {"agentd": 10050, "agent2": 10060}  # of two agents on one host
DROP_INS = {
    "agentd": "/etc/zabbix/zabbix_agentd.conf.d/nvidia.conf",
    "agent2": "/etc/zabbix/zabbix_agent2.d/nvidia.conf",
}
LOGS = {"agentd": "/var/log/zabbix-agent/zabbix_agentd.log", "agent2": "/var/log/zabbix/zabbix_agent2.log"}
JOURNAL = "/var/lib/zbx-nvidia/install.json"
UNIT = "/etc/systemd/system/zbx-nvidia.service"
KEY = "/etc/zabbix/zbx-nvidia.psk"
# What useradd and userdel keep a copy of, as it was before them.
TREE = r"""
find /etc /opt /usr/lib /var/lib/zbx-nvidia -not -path '/etc/*-' -not -path /etc/.pwd.lock -printf '%p %M %U %G %s %l\n' 2>/dev/null | sed -E 's/^(\S+ d\S+ \S+ \S+) [0-9]+/\1/' | sort
find /etc /opt/zbx-nvidia -type f -not -path '/etc/*-' -exec sha256sum {} + | sort -k 2
"""  # noqa: E501  a directory's size is the file system's business


class Host:
    """The machine, as somebody finds it who has never heard of this project."""

    def __init__(self, there: Machine) -> None:
        self.there = there
        self.shell = there.shell
        there.shell("mkdir /root/etc && cp -a /etc/zabbix /root/etc/")
        there.write("/etc/zabbix/zabbix_agent2.d/port.conf", f"ListenPort={PORTS['agent2']}\n")
        there.shell("cp -a /etc/zabbix /root/pristine")

    def clean(self) -> None:
        """Take everything away that a test that failed may have left."""
        self.there.product("uninstall-agent")
        self.shell(
            "systemctl stop zabbix-agent zabbix-agent2; rm -rf /etc/zabbix /etc/systemd/system/zabbix-agent*.d; "
            "cp -a /root/pristine /etc/zabbix; systemctl daemon-reload; systemctl reset-failed"
        )

    def start(self, *kinds: str) -> None:
        for kind in kinds:
            self.shell(f"systemctl start {SERVICES[kind]}")
            self.until(lambda kind=kind: self.get(kind, "agent.ping").code == 0)

    def get(self, kind: str, key: str = "nvidia.get") -> Run:
        """What its agent answers, as a server hears it."""
        return self.there.run("zabbix_get", "-s", "127.0.0.1", "-p", str(PORTS[kind]), "-k", key)

    def mode(self, kind: str) -> str:
        """By which way the agent's document came."""
        found = json.loads(self.get(kind).out)
        assert found["collector"]["version"] == __version__
        assert found["presence"]
        return str(found["collector"]["mode"])

    def pid(self, unit: str) -> str:
        return self.shell(f"systemctl show --property MainPID --value {unit}").strip()

    def logged(self, kind: str, pattern: str) -> str:
        """The line of the agent's log that says so; "" if there is none."""
        found = re.search(f".*(?:{pattern}).*", self.there.read(LOGS[kind]))
        return found[0] if found else ""

    def tree(self) -> set[str]:
        return set(self.shell(TREE).splitlines())

    def ok(self, *arguments: str) -> str:
        done = self.there.product(*arguments)
        assert done.code == 0, done
        assert not done.err
        return done.out

    def refused(self, *arguments: str, code: int = 1) -> str:
        """The one line that says why not."""
        done = self.there.product(*arguments)
        assert done.code == code, done
        lines = done.err.splitlines()
        assert len(lines) == 1, done
        assert lines[0].startswith("Error: ")
        return lines[0]

    def until(self, check: Any) -> None:
        end = time.monotonic() + PATIENCE
        while not check():
            assert time.monotonic() < end, f"nothing after {PATIENCE:g} s"
            time.sleep(0.2)

    @contextmanager
    def untouched(self, *kinds: str) -> Iterator[None]:
        """Nothing has changed afterwards, and the agents run and know nothing of us."""
        before = self.tree()
        yield
        assert self.tree() ^ before == set()
        for kind in kinds:
            assert self.get(kind, "agent.ping").out == "1\n"
            assert "ZBX_NOTSUPPORTED" in self.get(kind).out + self.get(kind).err
        assert self.shell("systemctl --failed --no-legend") == ""
        assert self.there.run("test", "-e", JOURNAL).code == 1
        assert self.there.run("test", "-e", "/run/zbx-nvidia").code == 1


@pytest.fixture(scope="module")
def machine_of_series(stack: Stack) -> Iterator[Host]:
    with machine(stack.series, NAME, f"{stack.project}_default") as there:
        yield Host(there)


@pytest.fixture
def host(machine_of_series: Host) -> Iterator[Host]:
    yield machine_of_series
    machine_of_series.clean()


@pytest.mark.parametrize("kind", ["agentd", "agent2"])
def test_a_process_a_poll(host: Host, kind: str) -> None:
    host.start(kind)
    with host.untouched(kind):
        dry = host.ok("install-agent", "--dry-run")
        assert f"  + {DROP_INS[kind]}\n" in dry
        assert "      | UserParameter=nvidia.get,/opt/zbx-nvidia/bin/zbx-nvidia-agent get\n" in dry
        assert dry.endswith("Dry run: nothing was changed.\n")
    with host.untouched(kind):
        before = host.pid(SERVICES[kind])
        out = host.ok("install-agent")
        assert "-R userparameter_reload\n" in out
        assert "serves nvidia.get: OK, GPUs: 1 (asked at 127.0.0.1:" in out
        assert host.mode(kind) == "oneshot"
        assert host.get(kind, "nvidia.links.get").out.startswith("{")
        assert host.shell(f"stat -c '%A %U %G' {DROP_INS[kind]} {JOURNAL}").splitlines() == [
            "-rw-r--r-- root root",
            "-rw------- root root",
        ]
        installed = host.tree()
        again = host.ok("install-agent")
        assert again.startswith("Nothing changes.\n")
        assert host.tree() == installed
        assert host.pid(SERVICES[kind]) == before  # it was never restarted
        assert host.ok("uninstall-agent", "--dry-run").endswith("Dry run: nothing was changed.\n")
        assert host.tree() == installed
        host.ok("uninstall-agent")
    assert "Nothing" in host.ok("uninstall-agent")


@pytest.mark.parametrize("kind", ["agentd", "agent2"])
def test_an_agent_that_is_the_first_process_of_a_container(host: Host, kind: str) -> None:
    """It inherits what a poll leaves behind: agentd 6.0 exits when that ends, others never clear it away."""
    host.start(kind)
    host.ok("install-agent")
    # A poll that comes to its deadline leaves its child: not here, however busy the machine is.
    host.shell(f"sed -i 's/zbx-nvidia-agent get$/& --deadline 25/; $ a Timeout=30' {DROP_INS[kind]}")
    host.shell(
        f"systemctl stop {SERVICES[kind]}; install -d -o zabbix /run/zabbix; unshare --pid --fork --mount-proc "
        f"setpriv --reuid zabbix --regid zabbix --clear-groups {PROGRAMS[kind]} -f >/dev/null 2>&1 & echo $! >/root/pid"
    )
    try:
        host.until(lambda: host.get(kind, "agent.ping").code == 0)
        for _ in range(5):
            assert host.mode(kind) == "oneshot"
        assert host.shell("cat /proc/[0-9]*/status 2>/dev/null | grep '^State:.Z' || :") == ""
        assert host.get(kind, "agent.ping").code == 0
    finally:
        # The first process of a container takes all others with it.
        host.shell("pid=$(cat /root/pid); kill -9 $(cat /proc/$pid/task/$pid/children)")


def test_both_agents_from_one_mode_to_the_other(host: Host) -> None:
    host.start("agentd", "agent2")
    with host.untouched("agentd", "agent2"):
        host.ok("install-agent")
        out = host.ok("install-agent", "--mode", "resident")
        assert "systemctl enable zbx-nvidia.service" in out
        assert host.shell("systemctl is-active zbx-nvidia; systemctl is-enabled zbx-nvidia") == "active\nenabled\n"
        assert host.shell(f"stat -c %U /proc/{host.pid('zbx-nvidia')}") == "zbx-nvidia\n"
        for kind in PORTS:
            assert host.mode(kind) == "resident"
            text = host.there.read(DROP_INS[kind])
            assert "Alias=nvidia.get:vfs.file.contents[/run/zbx-nvidia/document.json]\n" in text
            assert "UserParameter=nvidia.get," not in text  # the Alias would silently override it
        # Agents before 7.0 read no file of more than 64 KiB.
        large = " serve --large\n" in host.there.read("/etc/systemd/system/zbx-nvidia.service")
        assert large is (host.there.series != "6.0")
        pids = [host.pid(unit) for unit in ("zbx-nvidia", *SERVICES.values())]
        assert host.ok("install-agent", "--mode", "resident").startswith("Nothing changes.\n")
        assert pids == [host.pid(unit) for unit in ("zbx-nvidia", *SERVICES.values())]
        # Who does not name the mode does not mean the other one.
        host.ok("install-agent", "--host-metadata", "x")
        assert [host.mode(kind) for kind in PORTS] == ["resident", "resident"]
        host.ok("uninstall-agent")
        host.ok("install-agent")
        oneshot = host.tree()
        host.ok("install-agent", "--mode", "resident")
        host.ok("install-agent", "--mode", "oneshot")
        assert [host.mode(kind) for kind in PORTS] == ["oneshot", "oneshot"]
        assert host.there.run("systemctl", "is-active", "zbx-nvidia").out == "inactive\n"
        assert host.there.run("getent", "passwd", "zbx-nvidia").code == 2
        # The journal too: its size is in there, and what it says.
        assert host.tree() ^ oneshot == set()
        host.ok("install-agent", "--mode", "resident")
        host.ok("uninstall-agent")


@pytest.mark.parametrize("kind", PORTS)
def test_what_is_asked_for_later_reaches_the_agent(host: Host, kind: str) -> None:
    """By a line of the main file, which no reload of the UserParameter lines reads."""
    host.start(kind)
    with host.untouched(kind):
        out = host.ok("install-agent")
        assert f"zabbix_{kind} accepts requests only from 127.0.0.1: for a Zabbix server elsewhere, run " in out
        before = host.pid(SERVICES[kind])
        out = host.ok("install-agent", "--server", "192.0.2.9")
        assert "accepts requests only from" not in out
        assert "+ Server=192.0.2.9,127.0.0.1\n" in out
        assert "(asked at 127.0.0.1:" in out
        assert host.pid(SERVICES[kind]) != before
        out = host.ok("install-agent")
        assert out.startswith("Nothing changes.\n")
        assert "accepts requests only from" not in out
        host.ok("uninstall-agent")


def test_a_line_that_both_agents_read(host: Host) -> None:
    """It is changed once, and both agents are restarted; the same when it is restored."""
    shared = "/etc/zabbix/shared.conf"
    for config in CONFIGS.values():
        host.shell(f"sed -i '/^Server=/d' {config}; echo Include={shared} >>{config}")
    host.shell(f"echo Server=127.0.0.1 >{shared}")
    host.start("agentd", "agent2")
    with host.untouched("agentd", "agent2"):
        host.ok("install-agent")
        before = {kind: host.pid(SERVICES[kind]) for kind in PORTS}
        out = host.ok("install-agent", "--server", "192.0.2.9")
        assert out.count("+ Server=192.0.2.9,127.0.0.1\n") == 1
        for kind in PORTS:
            assert host.pid(SERVICES[kind]) != before[kind]
        host.ok("uninstall-agent")


def test_two_agents_that_share_a_directory(host: Host) -> None:
    unit = "/etc/systemd/system/second.service"
    host.shell(
        "sed -E 's/^(PidFile|LogFile)=.*//' /etc/zabbix/zabbix_agentd.conf >/etc/zabbix/second.conf && "
        "printf 'ListenPort=10070\\nPidFile=/tmp/second.pid\\nLogType=console\\n' >>/etc/zabbix/second.conf && "
        "printf '[Service]\\nUser=zabbix\\nExecStart=/usr/sbin/zabbix_agentd -f -c /etc/zabbix/second.conf\\n' "
        f">{unit} && systemctl daemon-reload && systemctl start second"
    )

    def second() -> str:
        done = host.there.run("zabbix_get", "-s", "127.0.0.1", "-p", "10070", "-k", "nvidia.get")
        return done.out + done.err

    host.start("agentd")
    try:
        host.until(lambda: "ZBX_NOTSUPPORTED" in second())
        with host.untouched("agentd"):
            host.ok("install-agent")
            assert second().startswith("{")
            host.ok("uninstall-agent")
            host.until(lambda: "ZBX_NOTSUPPORTED" in second())
    finally:
        host.shell(f"systemctl stop second; rm {unit}; systemctl daemon-reload")


def test_one_of_two_agents(host: Host) -> None:
    host.start("agentd", "agent2")
    with host.untouched("agentd", "agent2"):
        host.ok("install-agent", "--agent", "agent2")
        assert host.mode("agent2") == "oneshot"
        assert "ZBX_NOTSUPPORTED" in host.get("agentd").out + host.get("agentd").err
        # One by the file, the other by a process: the service is there for the one.
        host.ok("install-agent", "--agent", "agentd", "--mode", "resident")
        assert (host.mode("agentd"), host.mode("agent2")) == ("resident", "oneshot")
        host.ok("install-agent", "--agent", "agent2")
        assert host.mode("agentd") == "resident"
        host.ok("install-agent")
        assert (host.mode("agentd"), host.mode("agent2")) == ("resident", "oneshot")
        host.ok("uninstall-agent")


# What goes wrong is undone


def test_an_agent_that_does_not_serve_the_key_is_left_as_it_was(host: Host) -> None:
    deny = "/etc/zabbix/zabbix_agentd.conf.d/deny.conf"
    host.shell(f"printf 'DenyKey=system.run[*]\\nDenyKey=vfs.file.contents[*]\\n' >{deny}")
    host.start("agentd")
    with host.untouched("agentd"):
        line = host.refused("install-agent", "--mode", "resident")
        assert "does not support nvidia.get" in line
        assert f"{deny}:2 states DenyKey=vfs.file.contents[*]" in line
        assert line.endswith("all changes were undone")
        assert host.there.run("getent", "passwd", "zbx-nvidia").code == 2


def test_an_agent_that_does_not_start_again_is_left_as_it_was(host: Host) -> None:
    host.shell(
        "mkdir /etc/systemd/system/zabbix-agent2.service.d && printf "
        f"""'[Service]\\nExecStartPre=/bin/sh -c "! grep Alias {DROP_INS["agent2"]}"\\nRestartSec=1h\\n' """
        ">/etc/systemd/system/zabbix-agent2.service.d/refuse.conf && systemctl daemon-reload"
    )
    host.start("agentd", "agent2")
    with host.untouched("agentd", "agent2"):
        line = host.refused("install-agent", "--mode", "resident")
        assert "zabbix_agent2 does not start again (systemctl restart zabbix-agent2.service)" in line
    # From an installation it goes back to that, not to nothing.
    host.ok("install-agent")
    before = host.tree()
    host.refused("install-agent", "--mode", "resident", "--psk")
    assert host.tree() ^ before == set()
    assert [host.mode(kind) for kind in PORTS] == ["oneshot", "oneshot"]


def test_an_agent_that_could_not_start_again_goes_on_running(host: Host) -> None:
    """Its files are no longer those that it was started with, and no longer good."""
    theirs = "/etc/zabbix/zabbix_agentd.conf.d/theirs.conf"
    host.start("agentd")
    with host.untouched("agentd"):
        host.ok("install-agent", "--host-metadata", "x")
        host.shell(f"echo Timeout=999 >{theirs}")
        before, pid = host.tree(), host.pid("zabbix-agent")
        line = host.refused("uninstall-agent")
        assert f"zabbix_agentd rejects its configuration {CONFIGS['agentd']}: " in line
        assert "Timeout" in line
        assert line.endswith("all changes were undone")
        assert (host.tree(), host.pid("zabbix-agent"), host.mode("agentd")) == (before, pid, "oneshot")
        # Nothing to write, but an agent that has not read it.
        drop_in = DROP_INS["agentd"]
        host.shell(f"rm {theirs}; mv {drop_in} /root/; systemctl restart zabbix-agent")
        host.until(lambda: host.get("agentd", "agent.ping").out == "1\n")
        host.shell(f"mv /root/nvidia.conf {drop_in}; echo Timeout=999 >{theirs}")
        pid = host.pid("zabbix-agent")
        assert "rejects its configuration" in host.refused("install-agent")
        assert host.pid("zabbix-agent") == pid
        host.shell(f"rm {theirs}")
        host.ok("uninstall-agent")


def test_why_an_agent_does_not_start_again(host: Host) -> None:
    """For what its own program does not look at when it is asked for one item."""
    host.start("agentd")
    host.shell("echo ListenIP=192.0.2.77 >/etc/zabbix/zabbix_agentd.conf.d/theirs.conf")
    line = host.refused("install-agent", "--mode", "resident")
    assert "zabbix_agentd does not start again (systemctl restart zabbix-agent.service): " in line
    assert "192.0.2.77" in line
    assert "exit code 0" not in line


@ONCE
def test_interrupted_in_the_middle(host: Host) -> None:
    host.shell(
        "mkdir /etc/systemd/system/zabbix-agent.service.d && printf "
        f"""'[Service]\\nExecStartPre=/bin/sh -c "test ! -e {DROP_INS["agentd"]} || sleep 6"\\nType=exec\\n' """
        ">/etc/systemd/system/zabbix-agent.service.d/slow.conf && systemctl daemon-reload"
    )
    host.start("agentd")
    command = (PRODUCT, "install-agent", "--mode", "resident")

    def installing(signal: str) -> Run:
        """While the agent starts."""
        script = "$@ & until systemctl is-active zabbix-agent | grep -q ^activating; do sleep 0.1; done; "
        return host.there.run("sh", "-c", f"{script} kill -{signal} $!; wait $!", "sh", *command)

    with host.untouched("agentd"):
        done = installing("TERM")
        assert (done.code, done.err) == (1, "Error: interrupted; all changes were undone\n")
    with host.untouched("agentd"):
        # Nothing could be undone, but what may have been done is written down.
        assert installing("KILL").code == 137
        host.ok("uninstall-agent")
        host.until(lambda: host.get("agentd", "agent.ping").code == 0)


def test_a_configuration_that_no_agent_takes_is_named(host: Host) -> None:
    host.start("agentd")
    with host.untouched():
        host.shell("echo Include=/nowhere/*.conf >>/etc/zabbix/zabbix_agentd.conf")
        line = host.refused("install-agent")
        assert re.search(r"/etc/zabbix/zabbix_agentd.conf:\d+: Include=/nowhere/\*.conf: /nowhere: No such file", line)
        host.shell("cp -a /root/pristine/zabbix_agentd.conf /etc/zabbix/")


@ONCE
def test_nothing_can_be_written_down(host: Host) -> None:
    host.start("agentd")
    with host.untouched("agentd"):
        host.shell("mount -t tmpfs -o ro none /var/lib")
        try:
            line = host.refused("install-agent")
        finally:
            host.shell("umount /var/lib")
        assert line == "Error: /var/lib/zbx-nvidia, the directory of the record: Read-only file system"
        host.shell(f"mkdir {DROP_INS['agentd']}")
        line = host.refused("install-agent")
        host.shell(f"rmdir {DROP_INS['agentd']}")
        assert line == f"Error: {DROP_INS['agentd']} is a directory, but must be a file: move it away"


@ONCE
def test_agents_that_cannot_be_looked_for(host: Host) -> None:
    host.start("agentd")
    with host.untouched():
        host.ok("install-agent")
        host.shell(
            "mv /usr/bin/systemctl /usr/bin/systemctl.gone; "
            "printf '#!/bin/sh\\necho Failed to connect to bus >&2; exit 1\\n' >/usr/bin/systemctl; "
            "chmod 755 /usr/bin/systemctl"
        )
        try:
            out = host.ok("uninstall-agent")
        finally:
            host.shell("mv /usr/bin/systemctl.gone /usr/bin/systemctl")
        assert (
            "zabbix_agentd was not restarted (systemctl show: Failed to connect to bus): "
            "if it runs here, restart it yourself\n" in out
        )
        host.shell("systemctl restart zabbix-agent")


# Who may run what


@ONCE
def test_refused_programs(host: Host) -> None:
    site = host.shell("echo /opt/zbx-nvidia/lib/python3.*/site-packages/zbx_nvidia").strip()
    main, pynvml = f"{site}/collector/main.py", f"{site[:-10]}pynvml.py"
    host.shell(
        "mkdir /root/p /srv/p && chmod 777 /srv/p && "
        "cp -a /opt/zbx-nvidia/bin/zbx-nvidia-agent /root/p && cp -a /opt/zbx-nvidia/bin/zbx-nvidia-agent /srv/p"
    )
    host.start("agentd")
    with host.untouched("agentd"):
        for prepare, restore, program, expected in (
            (f"chgrp games {site} && chmod g+w {site}", f"chgrp 0 {site} && chmod g-w {site}", "",
             f"{site} is writable by games, of its group 60, who could make the agent run any code: run `chmod g-w"),
            (f"chmod o+w {main}", f"chmod o-w {main}", "", f"{main} is writable by everybody, who could"),
            (f"chown zabbix {pynvml}", f"chown 0 {pynvml}", "", f"{pynvml} is writable by its owner zabbix"),
            ("chmod o+w /opt", "chmod o-w /opt", "", "/opt is writable by everybody, who could"),
            (f"chmod o-rx {site}/catalog", f"chmod o+rx {site}/catalog", "",
             f"{site}/catalog (mode 0750) is not readable by the user zabbix of the Zabbix agent: run `chmod -R"),
            # As pipx of root's would have it.
            ("true", "true", "/root/p/zbx-nvidia-agent",
             "/root (mode 0700) is not readable by the user zabbix of the Zabbix agent: install"),
            # Where the agent's user cannot import it at all.
            (f"chmod go-rx {site[:-11]}", f"chmod go+rx {site[:-11]}", "", f"{site[:-11]} (mode 0700) is not"),
            ("true", "true", "/srv/p/zbx-nvidia-agent", "/srv/p is writable by everybody"),
            ("true", "true", "/bin/none", "/bin/none is not a program: give the absolute path of zbx-nvidia-agent"),
            ("true", "true", "/bin/true", "/bin/true has version"),
        ):  # fmt: skip
            host.shell(prepare)
            line = host.refused("install-agent", *(["--command", program] if program else []))
            host.shell(restore)
            assert expected in line
    host.shell("rm -rf /root/p /srv/p")


@ONCE
def test_an_umask_that_lets_nobody_read(host: Host) -> None:
    host.start("agentd")
    host.shell("cp -a /opt/zbx-nvidia /root/whole && chmod -R o-rwx /opt/zbx-nvidia")
    with host.untouched("agentd"):
        line = host.refused("install-agent")
        assert "/opt/zbx-nvidia (mode 0750) is not readable by the user zabbix" in line
        found = re.search(r"run `(chmod .*)`, or install", line)
        assert found
        host.shell(found[1])
        host.ok("install-agent")
        host.ok("uninstall-agent")
        host.shell("rm -r /opt/zbx-nvidia && mv /root/whole /opt/zbx-nvidia && chmod -R o-rwx /opt/zbx-nvidia")
    host.shell("chmod -R go+rX /opt/zbx-nvidia")


@ONCE
def test_root_imports_nothing_that_others_could_have_written(host: Host) -> None:
    """Not to find out either why the agent's user cannot."""
    site = "/srv/v/lib/python3.*/site-packages/zbx_nvidia"
    host.shell(
        "cp -a /opt/zbx-nvidia /srv/v && sed -i '1s:/opt/zbx-nvidia:/srv/v:' /srv/v/bin/zbx-nvidia-agent && "
        f"echo \"open('/srv/v/mark', 'w')\" >>$(echo {site}/__init__.py) && chown nobody {site}/__init__.py"
    )
    try:
        line = host.refused("install-agent", "--agent", "agentd", "--command", "/srv/v/bin/zbx-nvidia-agent")
        assert "/zbx_nvidia/__init__.py is writable by its owner nobody, who could make the agent run" in line
        assert host.there.run("test", "-e", "/srv/v/mark").code == 1
    finally:
        host.shell("rm -r /srv/v")


@ONCE
def test_only_root(host: Host) -> None:
    for command in ("install-agent", "uninstall-agent"):
        done = host.there.run(PRODUCT, command, user="zabbix")
        assert (done.code, done.out) == (1, "")
        assert done.err == f"Error: only root can do this: run `sudo zbx-nvidia {command}`\n"


@ONCE
def test_modules_are_compiled(host: Host) -> None:
    host.start("agentd")
    site = host.shell("echo /opt/zbx-nvidia/lib/python3.*/site-packages").strip()
    host.shell(f"cp -a {site} /root/site && rm -rf {site}/zbx_nvidia/collector/__pycache__ {site}/__pycache__")
    with host.untouched("agentd"):
        # Root's own run would compile what it imports.
        quiet = ("env", "PYTHONDONTWRITEBYTECODE=1", PRODUCT)
        assert "-m compileall (" in host.there.ok(*quiet, "install-agent")
        made = host.shell(f"ls {site}/zbx_nvidia/collector/__pycache__ {site}/__pycache__")
        assert re.search(r"^oneshot\.cpython-3\d+\.pyc$", made, re.MULTILINE)
        assert re.search(r"^pynvml\.cpython-3\d+\.pyc$", made, re.MULTILINE)
        host.there.ok(*quiet, "uninstall-agent")
    host.shell(f"rm -rf {site} && mv /root/site {site}")


# What others have made


@ONCE
def test_what_was_changed_by_hand_is_kept(host: Host) -> None:
    host.start("agentd")
    host.ok("install-agent", "--server", "127.0.0.1,192.0.2.1", "--host-metadata", "nvidia-gpu")
    config, drop_in = CONFIGS["agentd"], DROP_INS["agentd"]
    assert "\nServer=127.0.0.1,192.0.2.1\n" in host.there.read(config)
    assert "\nServerActive=192.0.2.1\n" in host.there.read(config)  # it would call itself
    assert "\nHostMetadata=nvidia-gpu\n" in host.there.read(drop_in)
    host.shell(f"echo Timeout=10 >>{drop_in}; sed -i s/^Server=.*/Server=127.0.0.1,198.51.100.9/ {config}")
    assert f"{drop_in} was changed by hand since zbx-nvidia wrote it" in host.refused("install-agent")
    out = host.ok("uninstall-agent")
    assert f"{drop_in}: kept, because it was changed by hand\n" in out
    assert f"{config}: kept, because it was changed by hand: the line that was 'Server=127.0.0.1,192.0.2.1'\n" in out
    text = host.there.read(config)
    assert "\nServer=127.0.0.1,198.51.100.9\n" in text
    assert "\nServerActive=127.0.0.1\n" in text
    assert "Timeout=10\n" in host.there.read(drop_in)


@ONCE
def test_a_setting_that_somebody_has_changed_since(host: Host) -> None:
    """It is no longer ours: a later run does not set it again by itself."""
    config, theirs = CONFIGS["agentd"], "/etc/zabbix/zabbix_agentd.conf.d/theirs.conf"
    host.start("agentd")
    host.ok("install-agent", "--server", "127.0.0.1,192.0.2.1", "--psk")
    host.shell(f"sed -i s/^Server=.*/Server=127.0.0.1,192.0.2.2/ {config}; echo TLSAccept=unencrypted,psk >{theirs}")
    out = host.ok("install-agent")
    assert re.search(
        rf"^{config}:\d+ states Server=127\.0\.0\.1,192\.0\.2\.2, not 127\.0\.0\.1,192\.0\.2\.1 as an earlier run "
        "set it: it stays unchanged$",
        out,
        re.MULTILINE,
    )
    assert f"{theirs}:1 states TLSAccept=unencrypted,psk, not psk as an earlier run set it: it stays unchanged\n" in out
    assert "\nServer=127.0.0.1,192.0.2.2\n" in host.there.read(config)
    assert host.there.read(theirs) == "TLSAccept=unencrypted,psk\n"
    assert "TLSAccept" not in host.there.read(DROP_INS["agentd"])
    assert "TLSConnect=psk\n" in host.there.read(DROP_INS["agentd"])
    assert host.mode("agentd") == "oneshot"  # without the key
    out = host.ok("install-agent")
    assert out.startswith("Nothing changes.\n")
    assert "stays unchanged" not in out
    # Without our key no agent takes what theirs states: it stays as it is, and goes on.
    line = host.refused("uninstall-agent")
    assert "TLSAccept" in line
    assert line.endswith("all changes were undone")
    assert host.mode("agentd") == "oneshot"
    host.shell(f"rm {theirs}")
    host.ok("uninstall-agent")


@ONCE
def test_an_include_above_ours(host: Host) -> None:
    host.start("agentd")
    with host.untouched("agentd"):
        host.ok("install-agent")
        host.shell(f"mkdir /etc/zabbix/above; sed -i '1i Include=/etc/zabbix/above/*.conf' {CONFIGS['agentd']}")
        assert host.ok("install-agent").startswith("Nothing changes.\n")
        host.ok("uninstall-agent")
        host.shell(f"rmdir /etc/zabbix/above; cp -a /root/pristine/zabbix_agentd.conf {CONFIGS['agentd']}")


@ONCE
def test_a_setting_that_is_stated_twice(host: Host) -> None:
    """agentd reads a directory in no order: both lines have to say the same."""
    host.shell("printf 'Server=127.0.0.1\\r\\n# theirs\\n' >/etc/zabbix/zabbix_agentd.conf.d/theirs.conf")
    host.start("agentd")
    with host.untouched("agentd"):
        host.ok("install-agent", "--server", "127.0.0.1,192.0.2.1")
        text = host.there.ok("cat", "/etc/zabbix/zabbix_agentd.conf.d/theirs.conf")
        assert text.startswith("Server=127.0.0.1,192.0.2.1")
        assert "\nServer=127.0.0.1,192.0.2.1\n" in host.there.read(CONFIGS["agentd"])
        assert host.ok("install-agent").startswith("Nothing changes.\n")  # a setting from an earlier run is kept
        host.ok("uninstall-agent")


@ONCE
def test_an_installation_by_hand_is_taken_over(host: Host) -> None:
    path = DROP_INS["agentd"]
    host.shell(f"{PRODUCT} userparameters --mode resident >{path}; echo '# mine' >>{path}; chmod 640 {path}")
    host.shell(f"chgrp zabbix {path}")
    host.start("agentd")
    before = host.tree()
    host.ok("install-agent")
    assert host.mode("agentd") == "oneshot"
    host.ok("uninstall-agent")
    assert host.tree() ^ before == set()
    host.shell(f"mv {path} /etc/zabbix/zabbix_agentd.conf.d/other.conf")
    line = host.refused("install-agent")
    assert "/etc/zabbix/zabbix_agentd.conf.d/other.conf:4 already states Alias=nvidia.get" in line
    host.shell(f"echo Timeout=9 >{path}; rm /etc/zabbix/zabbix_agentd.conf.d/other.conf")
    assert f"{path} already exists and is not from zbx-nvidia" in host.refused("install-agent")


@ONCE
def test_a_configuration_without_an_include(host: Host) -> None:
    config = CONFIGS["agent2"]
    host.shell(f"sed -i '/^Include=.etc/d' {config}; printf '%s' 'ListenPort={PORTS['agent2']}' >>{config}")
    host.start("agent2")
    with host.untouched("agent2"):
        out = host.ok("install-agent")
        assert "      + Include=/etc/zabbix/zabbix_agent2.d/nvidia.conf\n" in out
        assert f"{config} had no Include line for nvidia.conf: one was added\n" in out
        assert host.mode("agent2") == "oneshot"
        assert host.ok("install-agent").startswith("Nothing changes.\n")
        host.ok("uninstall-agent")


def test_where_the_agent_cannot_be_asked(host: Host) -> None:
    host.start("agentd")
    host.shell(f"sed -i s/^Server=.*/Server=192.0.2.1/ {CONFIGS['agentd']}; systemctl restart zabbix-agent")
    out = host.ok("install-agent")
    assert "(zabbix_agentd -t nvidia.get, as zabbix).\n" in out
    assert "Not checked further: its Server=192.0.2.1 does not allow this machine to ask.\n" in out
    host.ok("uninstall-agent")
    host.shell("printf 'StartAgents=0\\nHostname=x\\n' >/etc/zabbix/zabbix_agentd.conf.d/active.conf")
    host.shell("systemctl restart zabbix-agent")
    out = host.ok("install-agent")
    assert "Not checked further: it answers no passive checks (StartAgents=0).\n" in out
    host.shell("systemctl stop zabbix-agent")
    out = host.ok("install-agent", "--agent", "agentd", "--host-metadata", "x")
    assert "Not checked further: it does not run" in out
    assert host.there.run("systemctl", "is-active", "zabbix-agent").out == "inactive\n"


def test_with_a_key_and_where_the_agent_cannot_be_asked(host: Host) -> None:
    """Agent 2 closes before it encrypts, agentd after that."""
    host.start("agentd", "agent2")
    for kind, config in CONFIGS.items():
        host.shell(f"sed -i s/^Server=.*/Server=192.0.2.5/ {config}; systemctl restart {SERVICES[kind]}")
    out = host.ok("install-agent", "--psk")
    for kind in ("zabbix_agentd", "zabbix_agent2"):
        assert f"{kind} serves nvidia.get: OK, GPUs: 1 ({kind} -t nvidia.get, as zabbix).\n" in out
    assert out.count("Not checked further: its Server=192.0.2.5 does not allow this machine to ask.\n") == 2
    host.ok("uninstall-agent")


def test_with_a_key_where_nothing_can_ask_with_one(host: Host) -> None:
    host.start("agentd")
    host.shell("mv /usr/bin/zabbix_get /root/")
    try:
        out = host.ok("install-agent", "--psk")
        host.ok("uninstall-agent")
    finally:
        host.shell("mv /root/zabbix_get /usr/bin/")
    if host.there.series == "6.0":
        assert "(zabbix_agentd -t nvidia.get, as zabbix).\n" in out
        assert "Not checked further: this machine cannot ask with a key: install the package zabbix-get" in out
    else:
        assert "asked at 127.0.0.1:10050 with its key" in out


@ONCE
def test_a_process_that_calls_itself_an_agent(host: Host) -> None:
    """What others than root can change is neither run nor edited, and stops nobody else's."""
    host.shell(
        "mkdir /srv/n && cp /bin/sh /srv/n/zabbix_agentd && echo 'sleep 1000' >/srv/n/wait && "
        "echo broken >/srv/n/x.conf && "
        "printf 'Server=127.0.0.1\\nListenPort=10080\\nPidFile=/tmp/z.pid\\nLogType=console\\n' >/srv/n/z.conf && "
        "chown -R nobody /srv/n && "
        "printf 'Server=127.0.0.1\\nListenPort=10070\\nPidFile=/tmp/y.pid\\nLogType=console\\n' >/srv/y.conf"
    )
    for command in (
        "/srv/n/zabbix_agentd /srv/n/wait -c /srv/n/x.conf",
        # The right program and a file of root's, but the key would be made for who has started it.
        "/usr/sbin/zabbix_agentd -f -c /srv/y.conf",
        # And his own file.
        "/usr/sbin/zabbix_agentd -f -c /srv/n/z.conf",
    ):
        host.shell(
            f"setpriv --reuid nobody --clear-groups setsid {command} </dev/null >/dev/null 2>&1 & echo $! >>/srv/pids"
        )
    host.until(lambda: host.there.run("test", "-e", "/tmp/y.pid", "-a", "-e", "/tmp/z.pid").code == 0)  # noqa: S108  there
    host.start("agentd")
    try:
        with host.untouched("agentd"):
            out = host.ok("install-agent", "--psk", "--server", "192.0.2.5")
            assert "/srv/" not in out
            assert host.shell(f"stat -c %U {KEY}") == "zabbix\n"
            host.ok("uninstall-agent")
        host.shell(f"chown zabbix {CONFIGS['agentd']}")
        line = host.refused("install-agent", "--agent", "agentd")
        assert f"{CONFIGS['agentd']} is writable by its owner zabbix: chown root {CONFIGS['agentd']}" in line
    finally:
        host.shell("kill $(cat /srv/pids); rm -r /srv/n /srv/y.conf /srv/pids")


def test_an_agent_that_runs_and_is_refused(host: Host) -> None:
    """Not passed over for those that lie about unused."""
    host.shell(
        "mkdir /srv/a && sed -E 's/^(LogFile|PidFile)=.*//' /etc/zabbix/zabbix_agentd.conf >/srv/a/a.conf && "
        "printf 'PidFile=/tmp/a.pid\\nLogType=console\\n' >>/srv/a/a.conf && chown -R zabbix /srv/a && "
        "systemd-run --quiet --unit theirs --uid zabbix /usr/sbin/zabbix_agentd -f -c /srv/a/a.conf"
    )
    host.until(lambda: host.get("agentd", "agent.ping").code == 0)
    try:
        with host.untouched():
            line = host.refused("install-agent")
            assert (
                "/srv/a/a.conf, of /usr/sbin/zabbix_agentd, can be changed by others than root: /srv/a is wri" in line
            )
            assert line.endswith("; or name another agent with --agent")
            assert "Nothing" in host.ok("uninstall-agent")
            host.ok("install-agent", "--agent", "agent2")
            host.ok("uninstall-agent")
    finally:
        host.shell("systemctl stop theirs; rm -r /srv/a")


@ONCE
def test_another_run_at_once(host: Host) -> None:
    host.start("agentd")
    with host.untouched("agentd"):
        host.shell("mkdir -p /var/lib/zbx-nvidia && systemd-run --quiet --unit locking flock "
                   "/var/lib/zbx-nvidia/install.lock sleep 1000")  # fmt: skip
        for command in ("install-agent", "uninstall-agent"):
            host.until(lambda: host.there.run("test", "-e", "/var/lib/zbx-nvidia/install.lock").code == 0)
            assert "another install-agent or uninstall-agent is running" in host.refused(command)
        host.shell("systemctl stop locking")
        host.ok("install-agent")
        host.ok("uninstall-agent")


def test_without_systemd(stack: Stack) -> None:
    """The GPU host of the demo: agentd is the container, and its file at first a link to the agent's user's own."""

    def product(*arguments: str) -> str:
        return stack.exec("workstation", "sh", "-c", f'{PRODUCT} "$@" 2>&1 || true', "sh", *arguments, user="root")

    path = DROP_INS["agentd"]
    about = "stat -L -c '%A %U' $0; sha256sum $0"
    target = stack.exec("workstation", "readlink", path).strip()
    original = stack.exec("workstation", "sh", "-c", about, path)
    line = product("install-agent", "--mode", "resident", "--dry-run")
    assert line.startswith("Error: there is no systemd here to run the service: start '/opt/zbx-nvidia/bin/zbx-nvidia-")
    # The agent's user could turn it elsewhere.
    line = product("install-agent")
    assert line.startswith(f"Error: {path} is a link, and zbx-nvidia writes through no link: remove it, then run this")
    stack.exec("workstation", "cp", "--remove-destination", target, path, user="root")
    out = product("install-agent")
    assert "zabbix_agentd serves nvidia.get: OK" in out
    assert stack.exec("workstation", "sh", "-c", about, path).startswith("-rw-r--r-- root")  # now root's alone
    assert product("install-agent").startswith("Nothing changes.\n")
    out = product("install-agent", "--host-metadata", "x")
    assert "zabbix_agentd runs under no service that zbx-nvidia knows: restart it or its container\n" in out
    assert "Not checked further: the agent serves it only after a restart.\n" in out
    product("uninstall-agent")
    stack.exec("workstation", "sh", "-c", 'cmp "$0" "$1" && ln -sf "$0" "$1"', target, path, user="root")
    assert stack.exec("workstation", "sh", "-c", about, path) == original
    assert json.loads(stack.get("workstation", "nvidia.get"))["collector"]["mode"] == "oneshot"


# With a server


class Watching:
    """The server's side."""

    def __init__(self, stack: Stack, client: Client) -> None:
        self.stack, self.api, self.client = stack, stack.api, client

    def remove(self, *names: str) -> None:
        found = self.api.host.get(filter={"host": list(names)}, output=["hostid"])
        if found:
            self.api.host.delete(*[row["hostid"] for row in found])

    def value(self, name: str) -> str:
        """How many GPUs the host has; "" while nothing has come."""
        rows = self.api.item.get(host=name, filter={"key_": "nvidia.host.gpu_count"}, output=["lastvalue", "lastclock"])
        return str(rows[0]["lastvalue"]) if rows and rows[0]["lastclock"] != "0" else ""

    def templates(self, name: str) -> list[str]:
        """Of a host, if there is one."""
        rows = self.api.host.get(filter={"host": name}, selectParentTemplates=["host"])
        return [template["host"] for row in rows for template in row["parentTemplates"]]


@pytest.fixture(scope="module")
def server(stack: Stack) -> Iterator[Watching]:
    # A token: a login with a password takes 7.0 a second, by design.
    tokenid = stack.api.token.create(name="Installed")["tokenids"][0]
    token = str(stack.api.token.generate(tokenid)[0]["token"])
    found = Watching(stack, Client(stack.url, ZABBIX_TOKEN=token))
    found.client.ok("install-template", "--variant", "both")
    yield found
    stack.api.token.delete(tokenid)


@pytest.fixture
def watching(server: Watching) -> Iterator[Watching]:
    yield server
    server.remove(NAME, ACTIVE)


def test_with_a_key_and_with_no_other(host: Host, watching: Watching, tmp_path: Path) -> None:
    """agentd is asked, agent 2 calls: both with the key of the host, and with a wrong one nothing comes."""
    host.shell(f"sed -i 's/^Hostname=.*/Hostname={ACTIVE}/' {CONFIGS['agent2']}")
    host.start("agentd", "agent2")
    with host.untouched("agentd", "agent2"):
        out = host.ok("install-agent", "--psk", "--server", "server,127.0.0.1")
        right = host.there.read(KEY).strip()
        assert re.fullmatch("[0-9a-f]{64}", right)
        assert host.shell(f"stat -c '%A %U' {KEY}") == "-rw------- zabbix\n"
        for name in (NAME, ACTIVE):
            assert f"The key of identity 'zbx-nvidia-{name}' is in {KEY}." in out
            assert f"zbx-nvidia add-host {name} --address ADDRESS --psk-identity zbx-nvidia-{name} --psk-file" in out
        assert right not in out
        assert right not in host.there.read(JOURNAL)
        assert host.get("agentd").code != 0  # nobody is answered without it
        assert host.ok("install-agent", "--psk").startswith("Nothing changes.\n")
        assert host.there.read(KEY).strip() == right

        file = tmp_path / "key"
        file.touch(0o600)
        variants = {NAME: ["--address", NAME], ACTIVE: ["--variant", "active"]}

        def add(name: str) -> str:
            psk = ["--psk-identity", f"zbx-nvidia-{name}", "--psk-file", str(file)]
            return watching.client.ok("add-host", name, "--macro", "NVIDIA.INTERVAL=2s", *variants[name], *psk)

        file.write_text("0" * 64)
        for name in variants:
            add(name)
        host.until(lambda: host.logged("agentd", "zbx_tls_accept"))
        host.shell("systemctl restart zabbix-agent2")
        host.until(lambda: host.logged("agent2", "cannot connect"))
        assert [watching.value(name) for name in variants] == ["", ""]

        file.write_text(right + "\n")
        for name in variants:
            out = add(name)
            assert "PSK, not compared: Zabbix does not return it" in out
            assert "nothing changes" in out
        # Not --overwrite, which would do: the server asks again only 15 s after an error.
        watching.remove(*variants)
        for name in variants:
            assert right not in add(name)
        host.until(lambda: watching.value(NAME) == "1")

        def called() -> bool:
            # An agent that asks before the server knows it asks again a minute later. It sends every 5 s.
            host.shell("systemctl restart zabbix-agent2")
            end = time.monotonic() + 15
            while time.monotonic() < end and not watching.value(ACTIVE):
                time.sleep(0.5)
            return watching.value(ACTIVE) == "1"

        host.until(called)
        host.ok("uninstall-agent")


def test_encryption_of_a_host_that_is_there(watching: Watching, tmp_path: Path) -> None:
    client, file = watching.client, tmp_path / "key"
    file.touch(0o600)
    file.write_text("1" * 32)
    psk = ["--psk-identity", "other", "--psk-file", str(file)]
    client.ok("add-host", NAME, "--address", NAME)
    line = client.refused("add-host", NAME, "--address", NAME, *psk)
    assert "encryption is 'to the agent none, from it none', not 'both ways the PSK other'" in line
    assert "1" * 32 not in line
    client.ok("add-host", NAME, "--address", NAME, *psk, "--overwrite")
    (row,) = watching.api.host.get(filter={"host": NAME}, output=["tls_connect", "tls_accept"])
    assert (row["tls_connect"], row["tls_accept"]) == ("2", "2")
    file.write_text("2" * 512)
    out = client.ok("add-host", NAME, "--address", NAME, *psk, "--overwrite")
    assert "Done." in out
    for wrong in ("2" * 31, "2" * 33, "2" * 514, "x" * 32):
        file.write_text(wrong)
        done = client("add-host", NAME, "--address", NAME, *psk, "--overwrite")
        assert done.code == 2
        assert f"--psk-file {file}: the key is " in done.err
        assert wrong not in done.err + done.out


def test_autoregistration(host: Host, watching: Watching) -> None:
    api = watching.api
    (template,) = api.template.get(filter={"host": TEMPLATE_NAMES["active"]}, output=["templateid"])
    action = api.action.create(
        name="GPU hosts",
        eventsource="2",
        filter={"evaltype": "0", "conditions": [{"conditiontype": "24", "operator": "2", "value": "nvidia-gpu"}]},
        operations=[{"operationtype": "6", "optemplate": [{"templateid": template["templateid"]}]}],
    )["actionids"][0]
    # If a host registers before the server has read the action, the action is not run for the next two minutes.
    watching.stack.reload()
    time.sleep(3)
    host.start("agentd")
    try:
        with host.untouched("agentd"):
            host.ok("install-agent", "--server", "server,127.0.0.1", "--host-metadata", "nvidia-gpu")
            host.until(lambda: watching.templates(NAME))
            assert watching.templates(NAME) == [TEMPLATE_NAMES["active"]]
            host.ok("uninstall-agent")
    finally:
        api.action.delete(action)
    host.shell("echo HostMetadataItem=system.uname >/etc/zabbix/zabbix_agentd.conf.d/item.conf")
    line = host.refused("install-agent", "--host-metadata", "nvidia-gpu")
    assert "item.conf:1 states HostMetadataItem=, which HostMetadata= would override" in line
