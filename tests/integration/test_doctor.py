"""The doctor on hosts in which exactly one thing is broken: it names that, and nothing before it.

Real systemd, agents, PSK, service and Zabbix; the card, the kernel module and its devices are staged (stage.py). A
fault is a row: what breaks, what mends, and the check that must be named.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from pyzabbix import ZabbixAPIException

from tests.conftest import PATIENCE
from tests.integration.conftest import PAUSE, SERIES
from tests.integration.machines import PRODUCT, Machine, machine
from tests.integration.stage import script, stage
from zbx_nvidia import __version__
from zbx_nvidia.catalog.status import HOST_BUSY, STILL_STUCK
from zbx_nvidia.server import versions
from zbx_nvidia.template import TEMPLATE_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.integration.conftest import Stack

pytestmark = pytest.mark.integration

ONE, TWO = "gpu-one", "gpu-two"  # a process a poll, agentd; resident, agent 2 with a key
TEMPLATE = TEMPLATE_NAMES["passive"]
API = ("--url", "http://web:8080", "--token-file", "/root/token")


class Place:
    """A server and two hosts that it watches."""

    def __init__(self, stack: Stack, one: Machine, two: Machine) -> None:
        self.stack = stack
        self.api = stack.api
        self.machines = {ONE: one, TWO: two}
        self.hosts: dict[str, str] = {}
        self.key = ("", "")
        self.rule = ""
        self.sick = False
        # What the doctor said of a server without our template, and without a host.
        self.bare: list[dict[str, Any]] = []
        self.version: versions.Version = (6, 0) if stack.series == "6.0" else (7, 0)

    def doctor(self, host: str, *arguments: str) -> dict[str, Any]:
        """What it says; its exit code agrees."""
        done = self.machines[host].product("doctor", "--json", *arguments)
        assert done.code in {0, 1}, done
        assert not done.err, done
        said: dict[str, Any] = json.loads(done.out)
        assert done.code == (0 if said["healthy"] else 1)
        assert said["healthy"] == (said["fault"] is None)
        return said

    def interface(self, **values: str) -> None:
        (row,) = self.api.hostinterface.get(hostids=self.hosts[ONE], output=["interfaceid"])
        self.api.hostinterface.update(interfaceid=row["interfaceid"], **values)

    def update(self, host: str, /, **values: Any) -> None:
        self.api.host.update(hostid=self.hosts[host], **values)

    def item(self, key: str, host: str = ONE) -> str:
        (row,) = self.api.item.get(hostids=self.hosts[host], filter={"key_": key}, output=["itemid"])
        return str(row["itemid"])

    def ask_now(self, host: str = ONE) -> None:
        """Have the server ask at once, as a person would."""
        with contextlib.suppress(ZabbixAPIException):  # it hears of an item that was enabled a second later
            time.sleep(1.5)
            self.api.task.create(type=6, request={"itemid": self.item("nvidia.get", host)})

    def template(self) -> dict[str, Any]:
        (row,) = self.api.template.get(filter={"uuid": self.uuid}, output="extend")
        return dict(row)

    def proxied(self, name: str) -> None:
        """Give the host to a proxy that never calls; to none without a name."""
        kind = versions.proxy_name(self.version)
        if name:
            active = {"operating_mode": 0} if self.version >= (7, 0) else {"status": 5}
            proxyid = self.api.proxy.create(**{kind: name}, **active)["proxyids"][0]
            self.update(ONE, **versions.monitored_by_proxy(self.version, proxyid))
            return
        self.update(ONE, **({"monitored_by": "0"} if self.version >= (7, 0) else {"proxy_hostid": "0"}))
        for row in self.api.proxy.get(output=["proxyid"]):
            self.api.proxy.delete(row["proxyid"])

    def versioned(self, version: str) -> None:
        """Have the template on the server say that it is of this version; of its own without one."""
        row = self.template()
        if self.version >= (7, 0):
            self.api.template.update(templateid=row["templateid"], vendor_version=version or __version__)
            return
        text = re.sub(r"\d+\.\d+\.\d+\.$", f"{version or __version__}.", row["description"])
        self.api.template.update(templateid=row["templateid"], description=text)

    def broken_item(self) -> None:
        """An item of the user's own that asks the document for what is not in it."""
        self.api.item.create(**self._mine("nvidia.mine"), value_type=3)

    def broken_rule(self) -> None:
        self.rule = self.api.discoveryrule.create(**self._mine("nvidia.mine.discovery"))["itemids"][0]

    def _mine(self, key: str) -> dict[str, Any]:
        step = {"type": 12, "params": "$.nothing", "error_handler": 0, "error_handler_params": ""}
        about = {"hostid": self.hosts[ONE], "name": "Of mine", "key_": key, "type": 18}
        return {**about, "master_itemid": self.item("nvidia.get"), "preprocessing": [step]}

    def aged(self) -> None:
        """Stop the values, and write the last ones into a time that Zabbix does not need to notice the reason."""
        itemid = self.item("nvidia.timestamp")
        self.api.item.update(itemid=itemid, status=1)
        time.sleep(3)  # what is on its way arrives
        # Eleven hours: older than all that is there, so that no value comes to the place of another.
        self.stack.sql(f"update history_uint set clock = clock - 40000 where itemid = {itemid}")  # noqa: S608

    def other_key(self) -> None:
        """Have the server ask with a key of another identity, which the agent refuses several times."""
        self.update(TWO, tls_psk_identity="another", tls_psk="ab" * 32)
        for _ in range(3):
            self.ask_now(TWO)

    def own_key(self) -> None:
        self.update(TWO, tls_psk_identity=self.key[0], tls_psk=self.key[1])
        # The server hears of it within a second or two; what the agent's log says of the time before does not count.
        time.sleep(3)
        script(self.machines[TWO], "agent2; up")

    def server(self, action: str) -> None:
        subprocess.run(["docker", action, f"{self.stack.project}-server-1"], capture_output=True, check=True)

    @property
    def uuid(self) -> str:
        return "3f87b070cf0540f59f5afa41ac3151b7"

    @property
    def address(self) -> str:
        return self.machines[ONE].ok("hostname", "-i").split()[0]


@pytest.fixture(scope="module")
def place(stack: Stack) -> Iterator[Place]:
    network = f"{stack.project}_default"
    with (
        contextlib.ExitStack() as after,
        impatient(stack),
        machine(stack.series, ONE, network) as one,
        machine(stack.series, TWO, network) as two,
    ):
        there = Place(stack, one, two)
        stage(one)
        stage(two)
        one.shell("systemctl enable --now zabbix-agent 2>&1")
        two.shell("systemctl enable --now zabbix-agent2 2>&1; mkdir -p /etc/zbx-nvidia")
        two.write("/etc/zbx-nvidia/agent.conf", "interval = 1s\nstall = 30s\n")
        one.ok(PRODUCT, "install-agent", "--server", "127.0.0.1,server")
        two.ok(PRODUCT, "install-agent", "--server", "127.0.0.1,server", "--mode", "resident", "--psk")
        names = ("TLSPSKIdentity", "TLSPSKFile")
        lines = two.shell("cat /etc/zabbix/zabbix_agent2.conf /etc/zabbix/zabbix_agent2.d/*.conf")
        key = {name: re.findall(rf"^{name}=(.*)$", lines, re.MULTILINE)[-1] for name in names}
        there.key = (key["TLSPSKIdentity"], two.read(key["TLSPSKFile"]).strip())
        tokenid = stack.api.token.create(name="Doctor")["tokenids"][0]
        after.callback(stack.api.token.delete, tokenid)
        token = stack.api.token.generate(tokenid)[0]["token"]
        for host in (one, two):
            host.ok("sh", "-c", "umask 077; cat >/root/token", input=token)
        # Other tests on this stack may have left it there.
        for row in stack.api.template.get(filter={"host": [*TEMPLATE_NAMES.values()]}, output=["templateid"]):
            stack.api.template.delete(row["templateid"])
        there.bare.append(there.doctor(ONE, *API))
        one.ok(PRODUCT, "install-template", *API)
        there.bare.append(there.doctor(ONE, *API))
        macro = ("--macro", "NVIDIA.INTERVAL=2s")
        after.callback(remove_hosts, stack)
        one.ok(PRODUCT, "add-host", ONE, "--address", ONE, *macro, *API)
        secret = ("--psk-identity", key["TLSPSKIdentity"], "--psk-file", key["TLSPSKFile"])
        two.ok(PRODUCT, "add-host", TWO, "--address", TWO, *macro, *secret, *API)
        rows = stack.api.host.get(filter={"host": [ONE, TWO]}, output=["host", "hostid"])
        there.hosts = {row["host"]: row["hostid"] for row in rows}
        yield there


def remove_hosts(stack: Stack) -> None:
    for row in stack.api.host.get(filter={"host": [ONE, TWO]}, output=["hostid"]):
        stack.api.host.delete(row["hostid"])


@contextlib.contextmanager
def impatient(stack: Stack) -> Iterator[None]:
    """A server that takes a host for unreachable within seconds, not the usual 45, and asks it again as soon."""
    file = "/etc/zabbix/zabbix_server.conf"
    usual = stack.exec("server", "cat", file)
    quick = "\nUnreachablePeriod=1\nUnreachableDelay=1\nUnavailableDelay=1\n"
    server = f"{stack.project}-server-1"
    try:
        stack.exec("server", "sh", "-c", f"cat >{file}", user="root", input=usual + quick)
        subprocess.run(["docker", "restart", server], capture_output=True, check=True)
        yield
    finally:
        stack.exec("server", "sh", "-c", f"cat >{file}", user="root", input=usual)
        subprocess.run(["docker", "restart", server], capture_output=True, check=True)


def until(ask: Callable[[], dict[str, Any]], check: str | None) -> dict[str, Any]:
    """Ask the doctor until it names that check; before that it may name none, and never another.

    But for an agent that was ended in the middle of a poll: its answer to that is an error of the item, which is the
    last thing that the server heard until it finds the agent out of reach. And on a busy machine a poll of the server
    may still run, or get no processor, when the doctor asks.
    """
    passing = {None, "item"} if check == "reach" else {None}
    busy = {f"status-{status.code}" for status in (STILL_STUCK, HOST_BUSY)}
    end = time.monotonic() + PATIENCE
    while True:
        said = ask()
        named = said["fault"]["id"] if said["fault"] else None
        if named == check:
            return said
        late = named == "nvml" and said["fault"]["fault"] in busy
        assert check is None or late or named in passing, json.dumps(said["fault"])
        if time.monotonic() > end:
            pytest.fail(f"{check or 'healthy'} was expected; after {PATIENCE:g} s the doctor says {said['fault']}")
        time.sleep(0.5)


class Fault(NamedTuple):
    """One thing that breaks.

    Attributes:
        host: Where.
        check: That the doctor must name.
        key: The fault of that check.
        says: What must stand in its cause or its fix.
        breaks: A script for the host, or what to do at the server.
        mends: The same.
        view: The doctor's arguments.
    """

    host: str
    check: str
    key: str
    says: str
    breaks: str | Callable[[Place], object]
    mends: str | Callable[[Place], object]
    view: tuple[str, ...] = ()


def fault(  # noqa: PLR0913, PLR0917  a row of a table
    host: str,
    check: str,
    key: str,
    says: str,
    breaks: str | Callable[[Place], object],
    mends: str | Callable[[Place], object],
    *view: str,
) -> Any:
    return pytest.param(
        Fault(host, check, key, says, breaks, mends, view), id=f"{check}_{key}_{host}".replace("-", "_")
    )


FROM_AFAR = ("--server-only", "--host", ONE, *API)
CONFINED, BLIND = (
    "mkdir -p /run/systemd/system/zabbix-agent.service.d; "
    f"printf '[Service]\\nInaccessiblePaths={path}\\n' >/run/systemd/system/zabbix-agent.service.d/t.conf; "
    "systemctl daemon-reload; agentd; up"
    for path in ("/opt/zbx-nvidia", "/usr/lib/nvml-simulator")
)
FREE = "rm -r /run/systemd/system/zabbix-agent.service.d; systemctl daemon-reload; agentd; up"
AUDIT = (
    'mkdir -p /var/log/audit; echo "type=AVC msg=audit($(date +%s.%3N):7): avc:  denied  { execute } for  pid=7 '
    'comm=\\"zabbix_agentd\\" name=\\"zbx-nvidia-agent\\" scontext=system_u:system_r:zabbix_agent_t:s0 '
    'tcontext=system_u:object_r:usr_t:s0 tclass=file permissive=0" >/var/log/audit/audit.log; '
)

# Of the driver, the collector and the service: they are the same under each series and agent.
WITHOUT_AN_AGENT = [
    # -- the driver
    fault(
        ONE, "bus", "none", "lspci", "echo 0x8086 >$slot/vendor; answers no_driver", "echo 0x10de >$slot/vendor; well"
    ),
    fault(
        ONE,
        "module",
        "nouveau",
        "blacklist nouveau",
        "mv /proc/driver/nvidia/version /root/; ln -sfn ../drivers/nouveau $slot/driver; answers no_driver",
        "mv /root/version /proc/driver/nvidia/; ln -sfn ../drivers/nvidia $slot/driver; well",
    ),
    fault(
        ONE,
        "module",
        "not-loaded",
        "modprobe nvidia",
        "mv /proc/driver/nvidia/version /root/; rm $slot/driver; answers no_driver",
        "mv /root/version /proc/driver/nvidia/; ln -s ../drivers/nvidia $slot/driver; well",
    ),
    fault(
        ONE,
        "devices",
        "missing",
        "nvidia-modprobe",
        "rm /dev/nvidiactl; answers no_permission",
        "mknod -m 0666 /dev/nvidiactl c 195 255; well",
    ),
    fault(
        ONE,
        "devices",
        "denied",
        "usermod -aG video zabbix",
        "chgrp video /dev/nvidia0; chmod 0660 /dev/nvidia0; answers no_permission",
        "chmod 0666 /dev/nvidia0; well",
    ),
    fault(
        ONE,
        "devices",
        "closed",
        "chmod 0666 /dev/nvidia0",
        "chgrp root /dev/nvidia0; chmod 0660 /dev/nvidia0; answers no_permission",
        "chmod 0666 /dev/nvidia0; well",
    ),
    fault(
        TWO,
        "devices",
        "denied-service",
        "SupplementaryGroups=video",
        "chgrp video /dev/nvidia0; chmod 0660 /dev/nvidia0; answers no_permission; service",
        "chmod 0666 /dev/nvidia0; well; service",
    ),
    fault(
        ONE,
        "library",
        "missing",
        "ldconfig",
        "rm /usr/lib/nvml-simulator/libnvidia-ml.so.1; mv /usr/lib/nvml-simulator/libnvidia* /root/; ldconfig",
        "mv /root/libnvidia* /usr/lib/nvml-simulator/; ldconfig",
    ),
    fault(
        ONE,
        "library",
        "unreadable",
        "namei -l",
        "chmod 0700 /usr/lib/nvml-simulator",
        "chmod 0755 /usr/lib/nvml-simulator",
    ),
    fault(
        ONE,
        "library",
        "mismatch",
        "570.86.15",
        "sed -i s/580.95.05/570.86.15/ /proc/driver/nvidia/version; answers mismatch",
        "sed -i s/570.86.15/580.95.05/ /proc/driver/nvidia/version; well",
    ),
    # -- the collector
    fault(ONE, "program", "denied", "/opt/zbx-nvidia", "chmod 0700 /opt/zbx-nvidia", "chmod 0755 /opt/zbx-nvidia"),
    fault(
        ONE,
        "program",
        "fails",
        "zbx_nvidia",
        "chmod 0700 /opt/zbx-nvidia/lib/python3*/site-packages/zbx_nvidia",
        "chmod 0755 /opt/zbx-nvidia/lib/python3*/site-packages/zbx_nvidia",
    ),
    fault(
        ONE,
        "document",
        "none",
        "Welcome",
        # The arguments are not there yet when this is read.
        'cd /opt/zbx-nvidia/lib/python3*/site-packages; echo \'import sys; "get" in '
        'open("/proc/self/cmdline").read().split(chr(0)) and print("Welcome", flush=True)\' >greeting.pth',
        "rm /opt/zbx-nvidia/lib/python3*/site-packages/greeting.pth",
    ),
    fault(ONE, "nvml", "status-999", "dmesg", "answers UNKNOWN", "well"),
    fault(ONE, "nvml", "status-18", "Restart the host", "answers mismatch", "well"),
    fault(
        ONE,
        "gpus",
        "lost",
        "fallen off the bus",
        "sed 's/^\\[gpu 0\\]/[gpu 0]\\nstate = lost/' /root/profile >$profile.new; mv $profile.new $profile",
        "well",
    ),
    fault(
        ONE,
        "gpus",
        "fewer",
        "2 GPUs on the bus",
        "cp -r $slot /sys/bus/pci/devices/0000:02:00.0; mknod -m 0666 /dev/nvidia1 c 195 1",
        "rm -r /sys/bus/pci/devices/0000:02:00.0 /dev/nvidia1",
    ),
    fault(
        ONE,
        "persistence",
        "late",
        "nvidia-smi -pm 1",
        "sed 's/^persistence_mode.*/persistence_mode = 0/; s/^\\[gpu 7\\]/[gpu 7]\\ntemperature = !SLOW(2.6) 40/' "
        "/usr/share/nvml-simulator/profiles/h100x8.profile >$profile.new; mv $profile.new $profile",
        "well",
    ),
    fault(
        ONE,
        "time",
        "deadline",
        "2.5 s",
        "sed 's/^\\[gpu 7\\]/[gpu 7]\\ntemperature = !SLOW(2.6) 40/' "
        "/usr/share/nvml-simulator/profiles/h100x8.profile >$profile.new; mv $profile.new $profile",
        "well",
    ),
    fault(
        ONE,
        "time",
        "timeout",
        "Timeout=1",
        "sed 's/^temperature = .*/temperature = !SLOW(1) 40/' /root/profile >$profile.new; mv $profile.new $profile; "
        "echo Timeout=1 >$agentd_d/t.conf; agentd; up",
        "rm $agentd_d/t.conf; well; agentd; up",
    ),
    # -- the resident collector
    fault(TWO, "service", "stopped", "systemctl enable --now zbx-nvidia", "systemctl stop zbx-nvidia", "service"),
    fault(
        TWO,
        "service",
        "config",
        "agent.conf:3",
        "echo nonsense >>/etc/zbx-nvidia/agent.conf",
        "sed -i 3d /etc/zbx-nvidia/agent.conf",
    ),
    fault(
        TWO,
        "service",
        "missing",
        "install-agent --mode resident",
        "systemctl stop zbx-nvidia; mv /etc/systemd/system/zbx-nvidia.service /root/; systemctl daemon-reload",
        "mv /root/zbx-nvidia.service /etc/systemd/system/; systemctl daemon-reload; service",
    ),
    fault(
        TWO,
        "fresh",
        "stale",
        "systemctl restart zbx-nvidia",
        "systemctl kill --signal=STOP zbx-nvidia; "
        'sed -i \'s/"timestamp":[0-9]*/"timestamp":1700000000/\' /run/zbx-nvidia/document.json',
        "systemctl kill --signal=CONT zbx-nvidia; service",
    ),
    fault(TWO, "fresh", "closed", "namei -l", "chmod 0700 /run/zbx-nvidia", "chmod 0755 /run/zbx-nvidia"),
]

# Seen in the agents' files, before an agent is asked: the same of each version too.
IN_THE_FILES = [
    fault(
        ONE,
        "agent",
        "none",
        "apt install zabbix-agent",
        "systemctl stop zabbix-agent; mv /etc/zabbix /etc/zabbix.away",
        "mv /etc/zabbix.away /etc/zabbix; agentd; up",
    ),
    fault(ONE, "agent", "others", "chown root /etc/zabbix", "chown zabbix /etc/zabbix", "chown root /etc/zabbix"),
    fault(
        ONE,
        "config",
        "broken",
        "t.conf:1",
        "echo Debuglevel >$agentd_d/t.conf; systemctl stop zabbix-agent",
        "rm $agentd_d/t.conf; agentd; up",
    ),
    fault(
        ONE,
        "userparameter",
        "none",
        "zbx-nvidia install-agent",
        "mv $agentd_d/nvidia.conf /root/; agentd; up",
        "mv /root/nvidia.conf $agentd_d/; agentd; up",
    ),
    fault(
        ONE,
        "userparameter",
        "unread",
        "nvidia.conf.txt",
        "mv $agentd_d/nvidia.conf $agentd_d/nvidia.conf.txt; agentd; up",
        "mv $agentd_d/nvidia.conf.txt $agentd_d/nvidia.conf; agentd; up",
    ),
    fault(
        TWO,
        "userparameter",
        "others",
        "zbx-nvidia install-agent --agent agent2 --mode resident",
        "mv $agent2_d/nvidia.conf $agentd_d/nvidia.conf; agent2; up",
        "mv $agentd_d/nvidia.conf $agent2_d/nvidia.conf; agent2; up",
    ),
    fault(
        ONE,
        "userparameter",
        "closed",
        "chmod 0644",
        "chmod 0600 $agentd_d/nvidia.conf; agentd",
        "chmod 0644 $agentd_d/nvidia.conf; agentd; up",
    ),
    fault(
        ONE,
        "command",
        "missing",
        "/usr/local/bin/zbx-nvidia-agent",
        "cp -p $agentd_d/nvidia.conf /root/; sed -i s:/opt/zbx-nvidia/bin:/usr/local/bin: $agentd_d/nvidia.conf; "
        "agentd; up",
        "cp -p /root/nvidia.conf $agentd_d/; agentd; up",
    ),
    fault(
        ONE,
        "command",
        "fails",
        "unknown command: gett",
        "cp -p $agentd_d/nvidia.conf /root/; sed -i 's/agent get$/agent gett/' $agentd_d/nvidia.conf; agentd; up",
        "cp -p /root/nvidia.conf $agentd_d/; agentd; up",
    ),
    fault(
        TWO,
        "command",
        "elsewhere",
        "/run/other/document.json",
        "cp -p $agent2_d/nvidia.conf /root/; sed -i s:/run/zbx-nvidia:/run/other: $agent2_d/nvidia.conf; agent2; up",
        "cp -p /root/nvidia.conf $agent2_d/; agent2; up",
    ),
    fault(
        TWO,
        "psk",
        "closed",
        "chown zabbix",
        "chown root /etc/zabbix/zbx-nvidia.psk; chmod 0600 /etc/zabbix/zbx-nvidia.psk; agent2",
        "chown zabbix /etc/zabbix/zbx-nvidia.psk; chmod 0400 /etc/zabbix/zbx-nvidia.psk; agent2; up",
    ),
    fault(
        TWO,
        "psk",
        "bad",
        "12 hexadecimal digits",
        "cp -p /etc/zabbix/zbx-nvidia.psk /root/; echo 00112233aabb >/etc/zabbix/zbx-nvidia.psk; agent2",
        "cp -p /root/zbx-nvidia.psk /etc/zabbix/; agent2; up",
    ),
    fault(ONE, "running", "stopped", "systemctl enable --now", "systemctl stop zabbix-agent", "agentd; up"),
]

OF_THE_AGENT = [
    fault(
        ONE,
        "claims",
        "twice",
        "nvidia.conf",
        "echo 'UserParameter=nvidia.get,cat /tmp/old' >$agentd_d/t.conf; agentd",
        "rm $agentd_d/t.conf; agentd; up",
    ),
    fault(
        TWO,
        "claims",
        "beaten",
        "t.conf",
        'echo "UserParameter=nvidia.get,$program get" >$agent2_d/t.conf; agent2; up',
        "rm $agent2_d/t.conf; agent2; up",
    ),
    fault(
        ONE,
        "keys",
        "denied",
        "AllowKey=nvidia.get",
        "echo 'DenyKey=nvidia.*' >$agentd_d/t.conf; agentd; up",
        "rm $agentd_d/t.conf; agentd; up",
    ),
    fault(
        TWO,
        "keys",
        "denied",
        "AllowKey=vfs.file.contents[/run/zbx-nvidia/document.json]",
        "echo 'DenyKey=vfs.file.contents[*]' >$agent2_d/t.conf; agent2; up",
        "rm $agent2_d/t.conf; agent2; up",
    ),
    fault(
        ONE,
        "running",
        "failed",
        "Timeout",
        "echo Timeout=999 >$agentd_d/t.conf; agentd; until systemctl is-failed -q zabbix-agent; do sleep 0.1; done",
        "rm $agentd_d/t.conf; agentd; up",
    ),
    fault(
        ONE,
        "running",
        "container",
        "in a container",
        # It answers nobody: zabbix_agentd 6.0 exits as a container's first process if a poll leaves a child behind,
        # which one does that comes to its deadline.
        "systemctl stop zabbix-agent; printf 'LogType=console\\nServer=192.0.2.1\\n' >/etc/zabbix/closed.conf; "
        "unshare --pid --fork --mount-proc setpriv --reuid zabbix --regid zabbix --clear-groups "
        "zabbix_agentd -f -c /etc/zabbix/closed.conf >/dev/null 2>&1 & "
        "container=$!; up; cat /proc/$container/task/$container/children >/root/pid",
        # The first process of a container takes all others with it.
        "kill -9 $(cat /root/pid) || :; rm /etc/zabbix/closed.conf; sleep 0.3; agentd; up",
    ),
    fault(
        ONE,
        "reloaded",
        "older",
        "has not loaded the change",
        "mv $agentd_d/nvidia.conf /root/; agentd; up; sleep 3; mv /root/nvidia.conf $agentd_d/",
        "agentd; up",
    ),
    fault(
        ONE,
        "port",
        "closed",
        "127.0.0.1:10050",
        "systemctl kill --signal=STOP zabbix-agent",
        "systemctl kill --signal=CONT zabbix-agent",
    ),
    fault(
        TWO,
        "port",
        "encryption",
        "systemctl restart zabbix-agent2",
        "cp -p /etc/zabbix/zbx-nvidia.psk /root/; "
        "chmod 0600 /etc/zabbix/zbx-nvidia.psk; printf '%064d\\n' 7 >/etc/zabbix/zbx-nvidia.psk",
        "cp -p /root/zbx-nvidia.psk /etc/zabbix/",
    ),
    fault(ONE, "denials", "selinux", "audit2allow", f"{AUDIT}{CONFINED}; {AUDIT}", f"rm -r /var/log/audit; {FREE}"),
    fault(ONE, "denials", "selinux", "audit2allow", f"{AUDIT}{BLIND}; {AUDIT}", f"rm -r /var/log/audit; {FREE}"),
    fault(ONE, "answer", "confined", "InaccessiblePaths", CONFINED, FREE),
    fault(ONE, "answer", "confined", "libnvidia-ml.so.1 cannot be loaded", BLIND, FREE),
    fault(
        ONE,
        "refused",
        "address",
        "Server=127.0.0.1,",
        "closed_to_the_server; sleep 5",
        "open_to_the_server",
    ),
    fault(
        TWO,
        "refused",
        "identity",
        "--psk-identity",
        lambda place: place.other_key(),
        lambda place: place.own_key(),
    ),
]

AT_THE_SERVER = [
    fault(
        ONE,
        "frontend",
        "refused",
        "token",
        lambda place: place.machines[ONE].shell("cp -p /root/token /root/t; echo bad >/root/token"),
        lambda place: place.machines[ONE].shell("mv /root/t /root/token"),
        *API,
    ),
    fault(
        ONE,
        "host",
        "missing",
        "gpu-0ne",
        lambda place: place.update(ONE, host="gpu-0ne"),
        lambda place: place.update(ONE, host=ONE),
        *API,
    ),
    fault(
        ONE,
        "template",
        "version",
        "0.0.9",
        lambda place: place.versioned("0.0.9"),
        lambda place: place.versioned(""),
        *API,
    ),
    fault(
        ONE,
        "monitored",
        "disabled",
        "Enable it",
        lambda place: place.update(ONE, status=1),
        lambda place: place.update(ONE, status=0),
        *API,
    ),
    fault(
        ONE,
        "linked",
        "disabled",
        "nvidia.get",
        lambda place: place.api.item.update(itemid=place.item("nvidia.get"), status=1),
        lambda place: place.api.item.update(itemid=place.item("nvidia.get"), status=0),
        *API,
    ),
    fault(
        ONE,
        "supported",
        "unsupported",
        "Of mine",
        lambda place: place.broken_item(),
        lambda place: place.api.item.delete(place.item("nvidia.mine")),
        *API,
    ),
    fault(
        ONE,
        "discovery",
        "error",
        "Of mine",
        lambda place: place.broken_rule(),
        lambda place: place.api.discoveryrule.delete(place.rule),
        *API,
    ),
    fault(
        ONE,
        "clock",
        "apart",
        "timedatectl",
        "echo +600 >/etc/faketimerc; echo /usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1 >/etc/ld.so.preload",
        "rm /etc/ld.so.preload",
        *API,
    ),
    fault(
        ONE,
        "interface",
        "port",
        "10055",
        lambda place: place.interface(port="10055"),
        lambda place: place.interface(port="10050"),
        *API,
    ),
    fault(
        ONE,
        "interface",
        "address",
        "none of its addresses",
        lambda place: place.interface(dns="postgres"),
        lambda place: place.interface(dns=ONE),
        *API,
    ),
    fault(
        ONE,
        "encryption",
        "server",
        "TLSAccept",
        lambda place: place.update(ONE, tls_connect=2, tls_psk_identity="x", tls_psk="ab" * 32),
        lambda place: place.update(ONE, tls_connect=1),
        *API,
    ),
    fault(
        ONE,
        "proxy",
        "silent",
        "zabbix-proxy",
        lambda place: place.proxied("Silent"),
        lambda place: place.proxied(""),
        *API,
    ),
    fault(ONE, "reach", "unreachable", "firewall", "systemctl stop zabbix-agent", "agentd; up", *FROM_AFAR),
    fault(
        ONE,
        "reach",
        "dropped",  # without the agent's own settings, Zabbix's words have two causes
        "Server=",
        "closed_to_the_server",
        "open_to_the_server",
        *FROM_AFAR,
    ),
    fault(
        ONE,
        "item",
        "unsupported",
        "Execute now",
        "mv $agentd_d/nvidia.conf /root/; agentd; up",
        "mv /root/nvidia.conf $agentd_d/; agentd; up",
        *FROM_AFAR,
    ),
    fault(
        ONE,
        "values",
        "old",
        "Queue",
        lambda place: place.aged(),
        lambda place: place.api.item.update(itemid=place.item("nvidia.timestamp"), status=0),
        *API,
    ),
    fault(
        ONE,
        "server",
        "down",
        "zabbix-server",
        lambda place: place.server("stop"),
        lambda place: place.server("start"),
        *API,
    ),
]


def test_a_server_that_has_neither_template_nor_host(place: Place) -> None:
    first, second = (said["fault"] for said in place.bare)
    assert (first["id"], first["fault"]) == ("template", "missing")
    assert "zbx-nvidia install-template --url http://web:8080" in first["fix"]
    assert (second["id"], second["fault"]) == ("host", "missing")
    assert f"zbx-nvidia add-host {ONE}" in second["fix"]


def test_two_healthy_hosts(place: Place) -> None:
    """First of all: every check good, or not used in that mode."""
    until(lambda: place.doctor(ONE, *API), None)
    until(lambda: place.doctor(TWO, *API), None)
    expected = {
        ONE: {"service": "unseen", "fresh": "unseen", "psk": "unseen", "proxy": "unseen"},
        TWO: {"persistence": "unseen", "time": "unseen", "proxy": "unseen"},
    }
    for host, wanted in expected.items():
        end = time.monotonic() + PATIENCE
        while (found := not_good(place.doctor(host, *API))) != wanted:
            # Zabbix says a while after the first value that the interface is available.
            assert time.monotonic() < end, found
            time.sleep(PAUSE)


def not_good(said: dict[str, Any]) -> dict[str, str]:
    return {check["id"]: check["state"] for check in said["checks"] if check["state"] != "good"}


# By turns on the one series and on the other where the series makes no difference, elsewhere on each.
ROWS = [
    pytest.param(series, *row.values, id=f"{series}-{row.id}")
    for series in SERIES
    for row in (
        *[*WITHOUT_AN_AGENT, *IN_THE_FILES][SERIES.index(series) :: len(SERIES)],
        *OF_THE_AGENT,
        *AT_THE_SERVER,
    )
]


# As wide as the stack: else that might end with each row.
@pytest.mark.parametrize(("stack", "broken"), ROWS, indirect=["stack"], scope="session")
def test_exactly_one_thing_is_broken(place: Place, broken: Fault) -> None:
    def do(what: str | Callable[[Place], object]) -> None:
        _ = script(place.machines[broken.host], what) if isinstance(what, str) else what(place)

    if place.sick:  # as the test before this one left it
        until(lambda: place.doctor(broken.host, *API), None)
    place.sick = True
    do(broken.breaks)
    try:
        named = until(lambda: place.doctor(broken.host, *broken.view), broken.check)["fault"]
    finally:
        do(broken.mends)
    assert named["fault"] == broken.key, named
    assert broken.says in f"{named['text']} {named['cause']} {named['fix']}", named
    if broken.view:
        place.ask_now()
    until(lambda: place.doctor(broken.host, *broken.view), None)
    place.sick = False


def test_a_container_that_shows_neither_bus_nor_module_is_healthy_while_nvml_answers(place: Place) -> None:
    one = place.machines[ONE]
    script(
        one,
        "mount -t tmpfs none /sys/bus/pci/devices; mount -t tmpfs none /proc/driver; rm /dev/nvidia0 /dev/nvidiactl",
    )
    try:
        said = place.doctor(ONE)
    finally:
        script(
            one,
            "umount /sys/bus/pci/devices /proc/driver; "
            "mknod -m 0666 /dev/nvidiactl c 195 255; mknod -m 0666 /dev/nvidia0 c 195 0",
        )
    assert said["healthy"], said["fault"]
    states = {check["id"]: (check["state"], check["text"]) for check in said["checks"]}
    assert states["bus"] == ("unseen", "no device of vendor 10de; but it works: NVML answers")
    assert states["module"][0] == states["devices"][0] == "unseen"


CALLS = "trace=openat,open,fork,vfork,clone,clone3,setuid,setreuid,setresuid"


@pytest.mark.parametrize("host", [ONE, TWO])
def test_no_process_of_root_opens_the_library(place: Place, host: str) -> None:
    """As strace sees it, whoever does it, in every process that the doctor starts."""
    there = place.machines[host]
    there.run("strace", "-f", "--seccomp-bpf", "-o", "/root/calls", "-e", CALLS, f"{PRODUCT}-agent", "get")
    assert openers(there.read("/root/calls")) == {0}  # that is how it would be seen
    for breaks, mends in (("true", "true"), ("answers no_driver", "well"), ("systemctl stop zbx-nvidia", "service")):
        if host == ONE and mends == "service":
            continue
        script(there, breaks)
        there.run("strace", "-f", "--seccomp-bpf", "-o", "/root/calls", "-e", CALLS, PRODUCT, "doctor")
        opened = openers(there.read("/root/calls"))
        script(there, mends)
        reader = int(there.ok("id", "-u", "zabbix" if host == ONE else "zbx-nvidia"))
        # A fresh document of the service needs no process; that of its own opens it elsewhere.
        assert opened == (set() if host == TWO and mends != "service" else {reader}), breaks


def openers(calls: str) -> set[int]:
    """The users whose processes opened the library: they became who they are before, or are as their parents."""
    parents: dict[str, str] = {}
    users: dict[str, int] = {}
    opened = set()
    for line in calls.splitlines():
        pid, _, call = line.partition(" ")
        if born := re.search(r"(?:fork|clone3?)(?:\(| resumed>).*= (\d+)$", call):
            parents[born[1]] = pid
        elif became := re.search(r"set(?:re|res)?uid\((\d+)", call):
            users[pid] = int(became[1])
        elif "libnvidia-ml" in call:
            opened.add(pid)
    found = set()
    for pid in opened:
        while pid not in users and pid in parents:
            pid = parents[pid]  # noqa: PLW2901  upwards
        found.add(users.get(pid, 0))
    return found


@pytest.mark.parametrize("user", ["nobody", "zabbix"])
def test_without_root_it_says_what_it_could_not_see(place: Place, user: str) -> None:
    done = place.machines[ONE].run(PRODUCT, "doctor", user=user)
    assert (done.code, done.err) == (0, ""), done
    assert "use sudo" in done.out
    assert "Nothing is wrong, as far as can be seen without root" in done.out
    assert f"/opt/zbx-nvidia/bin/zbx-nvidia-agent, as {user}" in done.out


DEAF = (
    "printf '#!/bin/sh\\necho Failed to connect to bus >&2; exit 1\\n' >/usr/local/sbin/systemctl; "
    "chmod 0755 /usr/local/sbin/systemctl"
)


@pytest.mark.parametrize(
    ("host", "user", "breaks", "mends", "named"),
    [
        (TWO, "nobody", "true", "true", None),  # there is no D-Bus, so systemd tells nobody of the service
        (
            ONE,
            "nobody",
            "chgrp zabbix /etc/zabbix; chmod 0750 /etc/zabbix",
            "chgrp root /etc/zabbix; chmod 0755 /etc/zabbix",
            None,
        ),
        (
            ONE,
            "nobody",
            "echo Timeout=4 >$agentd_d/t.conf; chgrp zabbix $agentd_d/t.conf; chmod 0640 $agentd_d/t.conf",
            "rm $agentd_d/t.conf",
            ("config", "unreadable"),
        ),
        (TWO, "nobody", "chmod 0700 /run/zbx-nvidia", "chmod 0755 /run/zbx-nvidia", None),
        (
            ONE,
            "nobody",
            "chmod 0700 /usr/lib/nvml-simulator",
            "chmod 0755 /usr/lib/nvml-simulator",
            ("answer", "without-gpus"),
        ),
        (
            TWO,
            "zabbix",
            "chown root /etc/zabbix/zbx-nvidia.psk; chmod 0600 /etc/zabbix/zbx-nvidia.psk",
            "chown zabbix /etc/zabbix/zbx-nvidia.psk; chmod 0400 /etc/zabbix/zbx-nvidia.psk",
            ("psk", "closed"),
        ),
        (
            TWO,
            "root",
            "mv /etc/zabbix/zbx-nvidia.psk /root/; mkdir /etc/zabbix/zbx-nvidia.psk",
            "rmdir /etc/zabbix/zbx-nvidia.psk; mv /root/zbx-nvidia.psk /etc/zabbix/",
            ("psk", "error"),
        ),
        (
            ONE,
            "root",
            DEAF,
            "rm /usr/local/sbin/systemctl",
            ("systemd", "silent"),
        ),
    ],
)
def test_what_cannot_be_looked_at_ends_no_report(  # noqa: PLR0913, PLR0917  a row of a table
    place: Place, host: str, user: str, breaks: str, mends: str, named: tuple[str, str] | None
) -> None:
    there = place.machines[host]
    script(there, breaks)
    try:
        done = there.run(PRODUCT, "doctor", "--json", user=user)
    finally:
        script(there, mends)
    assert not done.err, done
    found = json.loads(done.out)["fault"]
    assert (found and (found["id"], found["fault"])) == named, found


def test_an_agent_that_the_server_alone_may_ask(place: Place) -> None:
    """Its program accepts the file although it was not reloaded; its log shows a reload."""
    one = place.machines[ONE]
    script(
        one,
        "cp -a /etc/zabbix /root/; sed -i 's/^Server=.*/Server=server/' $(grep -rl ^Server= /etc/zabbix); "
        "mv $agentd_d/nvidia.conf /root/; agentd; up; sleep 3; mv /root/nvidia.conf $agentd_d/",
    )
    try:
        first = place.doctor(ONE)
        script(one, "zabbix_agentd -R userparameter_reload; sleep 1.5")
        second = place.doctor(ONE)
    finally:
        script(one, "cp -a /root/zabbix /etc/; rm -r /root/zabbix; agentd; up")
    assert (first["fault"] or {}).get("id") == "reloaded", first["fault"]
    (answer,) = [check for check in first["checks"] if check["id"] == "answer"]
    assert answer["state"] == "unseen"
    assert "zabbix_agentd -t" in answer["text"]
    assert second["healthy"], second["fault"]
    (reloaded,) = [check for check in second["checks"] if check["id"] == "reloaded"]
    assert reloaded["state"] == "good"


def test_an_agent_with_a_key_that_the_server_alone_may_ask(place: Place) -> None:
    """Agent 2 closes the connection before it talks of encryption: its key is none the worse."""
    two = place.machines[TWO]
    script(
        two,
        "cp -a /etc/zabbix /root/; sed -i 's/^Server=.*/Server=server/' $(grep -rl ^Server= /etc/zabbix); agent2; up",
    )
    try:
        said = place.doctor(TWO)
    finally:
        script(two, "cp -a /root/zabbix /etc/; rm -r /root/zabbix; agent2; up")
    assert said["healthy"], said["fault"]
    checks = {check["id"]: check for check in said["checks"]}
    assert (checks["port"]["state"], checks["answer"]["state"]) == ("good", "unseen"), checks["port"]


def test_a_host_that_cannot_ask_with_a_key(place: Place) -> None:
    """Where Python is older than 3.13, as most are, and there is no zabbix_get."""
    two = place.machines[TWO]
    tool = script(two, "type -p zabbix_get").strip()
    script(two, f"mv {tool} /root/")
    try:
        said = place.doctor(TWO)
    finally:
        script(two, f"mv /root/zabbix_get {tool}")
    assert said["healthy"], said["fault"]
    (port,) = [check for check in said["checks"] if check["id"] == "port"]
    assert port["state"] == "good" if place.version >= (7, 0) else "install zabbix-get" in port["text"]


def test_what_a_tired_administrator_reads(place: Place) -> None:
    one = place.machines[ONE]
    script(one, "systemctl stop zabbix-agent")
    try:
        plain = one.run("env", "LC_ALL=C", "PYTHONUTF8=0", "PYTHONCOERCECLOCALE=0", PRODUCT, "doctor")
    finally:
        script(one, "agentd; up")
    assert plain.code == 1
    plain.out.encode("ascii")
    assert all(len(line) <= 80 for line in plain.out.splitlines())
    assert "  X Agent running            zabbix_agentd is not running." in plain.out
    assert "  - Agent port               not checked: needs Agent running" in plain.out
    assert plain.out.startswith(
        "The fault: Agent running (running)\n  zabbix_agentd is not running.\n  Start it now and at each boot:\n"
        "      systemctl enable --now zabbix-agent.service\n\n"
    )


def test_both_agents_on_one_host(place: Place) -> None:
    """The one that knows nvidia.get is looked at, and the other is named; --agent chooses."""
    one = place.machines[ONE]
    script(one, "echo ListenPort=10052 >$agent2_d/t.conf; systemctl start zabbix-agent2")
    try:
        said = place.doctor(ONE)
        other = place.doctor(ONE, "--agent", "agent2")["fault"]
    finally:
        script(one, "systemctl stop zabbix-agent2; rm $agent2_d/t.conf")
    (agent,) = [check for check in said["checks"] if check["id"] == "agent"]
    assert (said["healthy"], agent["state"], agent["fault"]) == (True, "note", "both")
    assert "zbx-nvidia doctor --agent agent2" in agent["fix"]
    assert (other["id"], other["fault"]) == ("userparameter", "others")
    assert "zbx-nvidia install-agent --agent agent2 --mode oneshot" in other["fix"]


def test_an_agent_that_is_no_service(place: Place) -> None:
    """No command is about a unit that is not there, and none about the other agent's."""
    one = place.machines[ONE]
    script(
        one,
        "systemctl stop zabbix-agent; mv $agentd_d/nvidia.conf /root/; "
        "setpriv --reuid zabbix --regid zabbix --clear-groups setsid zabbix_agentd -f >/dev/null 2>&1 & "
        "up; sleep 3; mv /root/nvidia.conf $agentd_d/",
    )
    try:
        fault = place.doctor(ONE)["fault"]
    finally:
        script(
            one,
            "for process in /proc/[0-9]*; do "
            "if grep -qsx zabbix_agentd $process/comm; then kill ${process#/proc/} || :; fi; done; "
            "sleep 0.5; agentd; up",
        )
        place.ask_now()
        until(lambda: place.doctor(ONE, *API), None)  # the server has missed the item meanwhile
    assert (fault["id"], fault["fault"]) == ("reloaded", "older")
    assert "zabbix_agentd is not a systemd service: restart it" in fault["fix"]
    assert "systemctl" not in fault["fix"]


def test_a_user_who_may_read_the_host_alone(place: Place) -> None:
    """Neither template nor state of the server are for that user: not seen, and no fault."""
    api = place.api
    (role,) = api.role.get(filter={"name": "User role"}, output=["roleid"])
    (group,) = api.hostgroup.get(filter={"name": "NVIDIA GPUs"}, output=["groupid"])
    kind = "hostgroup_rights" if place.version >= (6, 2) else "rights"
    rights = {kind: [{"id": group["groupid"], "permission": 2}]}
    usergroup = api.usergroup.create(name="Readers", **rights)["usrgrpids"][0]
    user = {"username": "reader", "passwd": "Marker-s3cret-9f2c", "roleid": role["roleid"]}
    userid = api.user.create(**user, usrgrps=[{"usrgrpid": usergroup}])["userids"][0]
    one = place.machines[ONE]
    try:
        one.ok("sh", "-c", "cat >/root/password", input=user["passwd"])
        # Over http, between two containers of this machine.
        login = ("--user", "reader", "--password-file", "/root/password", "--insecure")
        done = one.product("doctor", "--json", "--url", "http://web:8080", *login)
    finally:
        api.do_request("user.delete", [userid])
        api.do_request("usergroup.delete", [usergroup])
    said = json.loads(done.out)
    assert said["healthy"], said["fault"]
    states = {check["id"]: check["state"] for check in said["checks"]}
    assert (states["template"], states["server"], states["values"]) == ("unseen", "unseen", "good")
