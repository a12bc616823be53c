"""Every simulated machine in a real Zabbix, with every group of metrics: no item too many or too few, none in error.

And silence: machines at the edge of what is healthy, and all the others, raise no alarm.

A machine is looked at on one series, those that have a metric alone on each: what a document becomes is the same there.
A few machines are looked at together, each only as often as these questions need: the server polls a host when a test
asks it to ("Execute now"), and a machine that has been judged is switched off.
"""

from __future__ import annotations

import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from scripts import machine_folders
from tests.conftest import SIMULATOR
from tests.integration.conftest import ONCE, SERIES, edited
from tests.integration.watched import (
    COMMANDS,
    FROZEN,
    PARTS,
    QUICK,
    UNTIL_AN_XID,
    Client,
    as_options,
    differences,
    document,
    errors,
    expected_values,
    items,
    lacking,
    same,
    states,
)
from zbx_nvidia.catalog.entities import DOCUMENT, LINKS_DOCUMENT, METRICS
from zbx_nvidia.catalog.metrics import GROUPS
from zbx_nvidia.catalog.sampled import GPM_METRICS, SAMPLED_METRICS
from zbx_nvidia.template.build import switch

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from tests.integration.conftest import Stack

pytestmark = pytest.mark.integration

PROFILES = sorted(path.stem for path in (SIMULATOR / "profiles").glob("*.profile"))
DEADLINE = 20  # seconds
PERIOD = 3  # seconds, of every alarm that has to last
POLLS = 6  # of each machine, more than PERIOD apart
MACROS = {
    **{name: f"{PERIOD}s" if value == "5s" else value for name, value in QUICK.items()},
    # Nothing is polled on its own. The server looks at a new item within a minute all the same: one poll more.
    "{$NVIDIA.INTERVAL}": "12h",
    "{$NVIDIA.LINKS.INTERVAL}": "12h",
    "{$NVIDIA.NODATA}": "12h",
    "{$NVIDIA.STALE}": f"{PERIOD}s",
    # A loaded machine may well be slow: the collector has as long as the agent gives it.
    "{$NVIDIA.SLOW}": f"{DEADLINE}",
}

Changes = dict[str, dict[str, object]]

# What is far from the usual and no fault. Their clocks run.
HEALTHY: dict[str, tuple[str, Changes]] = {
    "full-load": (
        "h100x8",
        {
            "gpu *": {
                "var.load": 1,
                "var.busy": 1,
                "utilization_gpu": 100,
                "utilization_memory": 100,
                "var.power": 700_000,
                "power_instant": 712_000,
                "clocks_event_reasons": 0x4,
                "throttled_sw_power_cap": "counter(0, 1000000000)",
                "total_energy": "counter(73000000000, 700000)",
                "temperature": 78,
                "margin_temperature": 9,
                "memory_temperature": 89,
                "memory_used": "memory_total - memory_reserved",
            }
        },
    ),
    # Some replays are normal, and what a card has survived is history.
    "old-scars": (
        "h100x8",
        {
            "gpu *": {"pcie_replay_counter": 9},
            "gpu 1": {"ecc_uncorrected_aggregate": 2, "remapped_rows_uncorrected": 3, "remapped_rows_corrected": 7},
            "gpu 2": {"ecc_corrected_volatile": 40, "ecc_corrected_aggregate": 900},
            "gpu 3": {"nvlink_replay_errors": 1, "nvlink_crc_data_errors": 12},
        },
    ),
    # Cooled by its machine, but with a fan, which does not turn.
    "passive": ("a10g", {"gpu 0": {"var.load": 1, "temperature": 80, "fan_speed": 0}}),
    "fan-at-rest": (
        "gtx1070",
        {"gpu 0": {"var.load": 0, "temperature": 41, "fan_speed": 0, "fan_speed_rpm": 0, "fan_speed_target": 0}},
    ),
    "inference": ("t4", {}),
    "h100-instances": ("h100-mig", {}),
    "a100-instances": ("a100-mig", {}),
}
# Those that have the resident collector too: what it has of all others is the same code.
RESIDENT = ("gtx1070", "h100x8", "h100-mig", "a100-mig")
# On each series: together they have every metric.
EVERYWHERE = frozenset({
    "resident-h100-mig", "resident-h100x8", "zoo-a10-vgpu-host", "zoo-b200x8", "zoo-gb10", "zoo-rtx4080s", "zoo-v100",
    "zoo-vgpu-guest",
})  # fmt: skip
SERVICES = ("workstation", "gpu-server")
# Machines that are ill on purpose: the alarms that they raise, and why.
ILL: dict[str, tuple[set[str], str]] = {}


class Host(NamedTuple):
    """One simulated machine with an agent of its own, on the other series with the other agent."""

    name: str
    profile: str
    changes: Changes
    place: int
    macros: dict[str, str]
    resident: bool

    @property
    def frozen(self) -> bool:
        """Whether its clock is frozen, so that its items can be compared with its document."""
        return "machine" in self.changes

    @property
    def sleeps(self) -> bool:
        """Whether its kernel may suspend a GPU, and its collector sees what that kernel shows."""
        return any("power_control" in values for values in self.changes.values())

    @property
    def folder(self) -> str:
        return f"{FOLDER}/{self.name}"

    @property
    def port(self) -> int:
        return 10_100 + self.place

    def service(self, stack: Stack) -> str:
        """The container that it is in, and so its agent."""
        return SERVICES[(self.place // 2 + SERIES.index(stack.series)) % 2]


def zoo(series: str) -> list[Host]:
    """Those of a series: by turns with the one agent and with the other."""
    frozen: Changes = {"machine": {"clock": FROZEN}}
    everything = {f"{{{switch(group.name)}}}": "1" for group in GROUPS}
    rows: list[tuple[str, str, Changes, dict[str, str], bool]] = []
    rows += [(f"zoo-{profile}", profile, frozen, everything, False) for profile in PROFILES]
    rows += [(f"resident-{profile}", profile, frozen, everything, True) for profile in RESIDENT]
    rows += [(f"healthy-{name}", profile, changes, {}, False) for name, (profile, changes) in HEALTHY.items()]
    return [
        Host(name, profile, changes, place, MACROS | macros, resident)
        for place, (name, profile, changes, macros, resident) in enumerate(rows)
        if place % len(SERIES) == SERIES.index(series) or name in EVERYWHERE
    ]


BATCH = 8  # machines at a time


def batches(series: str) -> list[list[Host]]:
    """Each with its share of the large ones: the collectors of a batch run at once, and Zabbix makes all its items."""
    sizes = {profile: (SIMULATOR / "profiles" / f"{profile}.profile").stat().st_size for profile in PROFILES}
    hosts = sorted(zoo(series), key=lambda host: sizes[host.profile], reverse=True)
    count = -(-len(hosts) // BATCH)
    return [hosts[first::count] for first in range(count)]


# What a machine of the zoo is: a folder with its profile, its agent's configuration, and a copy of the program, for one
# installation collects once at a time on a host (the lock is named after the file) and finds another "still stuck"
# after 0.3 s. Network namespaces of their own would do as well, but need privileges that the containers lack.
FOLDER = "/tmp/zoo"  # noqa: S108  in a container of these tests
AGENTS = {
    "workstation": ("zabbix_agentd", "StartAgents=1\n"),
    "gpu-server": ("zabbix_agent2", "ControlSocket={folder}/control\nPluginSocket={folder}/plugin\n"),
}
CONFIGURATION = """\
Hostname={name}
Server=server,127.0.0.1
ListenPort={port}
LogType=file
LogFile={folder}/log
PidFile={folder}/pid
Timeout=25
"""
SERVICE = """\
document = {folder}/document.json
interval = 2s
stall = 60s
pcie = 2s
window = 10s
"""
PROGRAM = "/opt/zbx-nvidia/bin/zbx-nvidia-agent"
ENVIRONMENT = (
    "NVML_SIMULATOR_PROFILE={folder}/profile NVML_SIMULATOR_WAKES={folder}/wakes ZBX_NVIDIA_ROOT={kernel} "
    "PYTHONPATH={folder}"
)


def start(stack: Stack, hosts: list[Host]) -> None:
    for service, (agent, more) in AGENTS.items():
        script = ["set -eu", "package=$(echo /opt/zbx-nvidia/lib/python3*/site-packages/zbx_nvidia)"]
        for host in hosts:
            if host.service(stack) != service:
                continue
            folder = host.folder
            environment = ENVIRONMENT.format(folder=folder, kernel=f"{folder}/kernel" if host.sleeps else "")
            serve = f"{environment} {PROGRAM} serve"
            profile = (SIMULATOR / "profiles" / f"{host.profile}.profile").read_text(encoding="utf-8")
            for section, values in host.changes.items():
                profile = edited(profile, section, values)
            lines = [
                f"UserParameter={key},{environment} {command} --deadline {DEADLINE}\n"
                for key, command in COMMANDS.items()
                if not (host.resident and key == DOCUMENT)
            ]
            if host.resident:
                lines.append(f"Alias={DOCUMENT}:vfs.file.contents[{{folder}}/document.json]\n")
            configuration = "".join((CONFIGURATION, more, *lines)).format(name=host.name, port=host.port, folder=folder)
            script += [
                # With its times: by those Python knows that what it has compiled still holds.
                f"mkdir -p {folder} && cp -a $package {folder}",
                *(
                    f"cat >{folder}/{file} <<'END'\n{text}\nEND"
                    for file, text in (
                        ("profile", profile),
                        ("agent.conf", configuration),
                        ("service.conf", SERVICE.format(folder=folder)),
                    )
                ),
                *([f"{serve} --config {folder}/service.conf </dev/null >/dev/null 2>&1 &"] if host.resident else []),
                # agentd goes into the background by itself, agent 2 does not.
                f"{agent} --config {folder}/agent.conf </dev/null >/dev/null 2>&1 &",
            ]
        stack.exec(service, "sh", input="\n".join(script) + "\n")


def stop(stack: Stack, hosts: list[Host]) -> None:
    for service in AGENTS:
        agents = [f"kill $(cat {host.folder}/pid) || true" for host in hosts if host.service(stack) == service]
        stack.exec(service, "sh", "-c", "; ".join((*agents, f'pkill -f "[s]erve --config {FOLDER}" || true')))


@pytest.fixture(scope="module")
def client(stack: Stack) -> Iterator[Client]:
    """The product's own command, and the template on the server.

    The hosts, switched off, stay until the server goes: deleting their thousands of items takes as long as two batches.
    """
    tokenid = stack.api.token.create(name="Zoo")["tokenids"][0]
    # A token: a login with a password takes 7.0 a second, by design.
    found = Client(stack.url, ZABBIX_TOKEN=str(stack.api.token.generate(tokenid)[0]["token"]))
    found.ok("install-template")
    yield found
    stack.api.token.delete(tokenid)


@contextmanager
def watched(stack: Stack, client: Client, hosts: list[Host]) -> Iterator[None]:
    """These machines run, and Zabbix knows them; then they are switched off, and Zabbix lets them be."""
    start(stack, hosts)
    try:
        for host in hosts:
            address = ("--address", host.service(stack), "--port", str(host.port))
            client.ok("add-host", host.name, *address, *as_options(host.macros))
        if frozen := [host for host in hosts if host.frozen]:
            enable_links(stack, frozen)
        yield
    finally:
        rows = stack.api.host.get(filter={"host": [host.name for host in hosts]}, output=["hostid"])
        stack.api.do_request("host.massupdate", {"hosts": rows, "status": 1})
        stop(stack, hosts)


def enable_links(stack: Stack, hosts: list[Host]) -> None:
    """On every machine with every group, as an administrator does it on a host."""
    ids = [stack.host_id(host.name) for host in hosts]
    rows = stack.api.item.get(hostids=ids, filter={"key_": LINKS_DOCUMENT}, output=["itemid", "status"])
    assert {row["status"] for row in rows} == {"1"}
    stack.api.do_request("item.update", [{"itemid": row["itemid"], "status": 0} for row in rows])


def polled(stack: Stack, hosts: list[Host]) -> None:
    """Have the server poll each of them once, and wait until it has the answers."""
    wanted = {stack.host_id(host.name) for host in hosts}
    before = times(stack, wanted)
    asked = 0.0

    def missing() -> set[str]:
        nonlocal asked
        found = {host for host, clock in times(stack, wanted).items() if clock > before[host]}
        # The server forgets what is asked of an item that it does not know of yet: once more, then.
        if wanted - found and time.monotonic() > asked + 15:
            asked = time.monotonic()
            rows = stack.api.item.get(
                hostids=list(wanted - found),
                filter={"key_": [DOCUMENT, LINKS_DOCUMENT], "status": 0},
                output=["itemid"],
            )
            stack.api.do_request("task.create", [{"type": 6, "request": {"itemid": row["itemid"]}} for row in rows])
        return wanted - found

    stack.until(missing)


def times(stack: Stack, hostids: set[str]) -> dict[str, int]:
    """When each host's last document came, by the server's clock."""
    rows = stack.api.item.get(
        hostids=list(hostids), filter={"key_": "nvidia.timestamp"}, output=["hostid", "lastclock"]
    )
    return {row["hostid"]: int(row["lastclock"]) for row in rows}


def found(stack: Stack, host: Host) -> dict[str, Any]:
    """Both documents of a machine, as if they were one."""
    service = host.service(stack)
    links = document(stack, service, host.port, LINKS_DOCUMENT)
    return {**document(stack, service, host.port), "links": links["links"]}


def complete(said: dict[str, Any]) -> bool:
    """Whether every GPU and MIG instance has each reading of the resident collector, or lacks it."""
    rows = [
        (said[section][row[macro]], lacking(row["{#LACKS}"]), metrics)
        for section, macro, metrics in (("gpus", "{#UUID}", SAMPLED_METRICS), ("mig", "{#MIG}", GPM_METRICS))
        for row in said["discovery"].get(section, [])
    ]
    return bool(rows) and all(
        metric.key in readings or metric.reader in lacks or metric.key in UNTIL_AN_XID
        for readings, lacks, metrics in rows
        for metric in metrics
    )


BATCHES = [
    pytest.param(series, hosts, id=f"{series}-{'+'.join(host.name for host in hosts)}")
    for series in SERIES
    for hosts in batches(series)
]


# As wide as the stack: else that would end with each batch.
@pytest.mark.parametrize(("stack", "hosts"), BATCHES, indirect=["stack"], scope="session")
def test_each_machine_has_its_items_no_errors_and_no_alarms(stack: Stack, client: Client, hosts: list[Host]) -> None:
    """Items are exactly those of the document, with its values; no item, rule or trigger is in error; all is silent."""
    with watched(stack, client, hosts):
        wanted = {host.name: expected(stack, host) for host in hosts if host.frozen}
        polled(stack, hosts)
        stack.until(lambda: [host.name for host in hosts if not discovered(stack, host, wanted)])
        for _ in range(POLLS):
            polled(stack, hosts)
            # What has to last for an alarm lasts from each poll to the next one.
            time.sleep(PERIOD)
        judged(
            stack,
            hosts,
            lambda: {
                name: wrong for name, values in wanted.items() if (wrong := differences(items(stack, name), values))
            },
        )
        # A trigger that is younger than the values it needs has "not enough data" for some polls.
        judged(stack, hosts, lambda: {host.name: found for host in hosts if (found := errors(stack, host.name))})
        assert alarms(stack, hosts) == sorted(alarm for host in hosts for alarm in meant(host))


def expected(stack: Stack, host: Host) -> dict[str, Any]:
    """What each item must hold, as the machine itself tells it."""
    # PCIe is sampled seldom: until then it is neither there nor lacking.
    stack.wait(lambda: not host.resident or complete(found(stack, host)), f"all samples of {host.name}")
    said = found(stack, host)
    assert said["status"]["code"] == 0
    assert said["gpus"]
    assert said["collector"]["mode"] == ("resident" if host.resident else "oneshot")
    return expected_values(said, off=())


def discovered(stack: Stack, host: Host, wanted: dict[str, dict[str, Any]]) -> bool:
    """Whether its items are there: all that are wanted, or any of a GPU."""
    there = states(stack, host.name)
    return set(wanted[host.name]) <= set(there) if host.frozen else any("[" in key for key in there)


def judged(stack: Stack, hosts: list[Host], complaints: Callable[[], Collection[str]]) -> None:
    """Poll them until there is nothing to complain about."""

    def after_a_poll() -> Collection[str]:
        if complaints():
            polled(stack, hosts)
        return complaints()

    stack.until(after_a_poll)


def alarms(stack: Stack, hosts: list[Host]) -> list[str]:
    """Those that are open, and those that have ended since the hosts were added."""
    names = {stack.host_id(host.name): host.name for host in hosts}
    # A machine that was not looked at is silent too.
    clocks = stack.api.item.get(
        hostids=list(names), filter={"key_": "nvidia.timestamp"}, output=["itemid", "hostid"], selectTriggers="count"
    )
    assert len(clocks) == len(hosts)
    for row in clocks:
        assert int(row["triggers"]) >= 2
        values = stack.api.history.get(itemids=[row["itemid"]], history=3, output=["clock"])
        assert len(values) >= POLLS, f"{names[row['hostid']]} was polled {len(values)} times"
    events = stack.api.event.get(hostids=list(names), value=1, selectHosts=["hostid"], output=["name"])
    return sorted(f"{names[event['hosts'][0]['hostid']]}: {event['name']}" for event in events)


def meant(host: Host) -> set[str]:
    found, _ = ILL.get(host.profile, (set(), "")) if host.name == f"zoo-{host.profile}" else (set(), "")
    return {f"{host.name}: {alarm}" for alarm in found}


SLEEPER = Host(
    "sleeper", "rtx2080s", {"gpu 0": {"power_control": "auto", "temperature": -3}}, 99, MACROS, resident=False
)


class Kernel:
    """What the kernel of the sleeper shows of its GPU.

    Args:
        stack: Where the sleeper is.
        there: A folder on this machine.
    """

    def __init__(self, stack: Stack, there: Path) -> None:
        self._stack, self._service = stack, SLEEPER.service(stack)
        text = (SIMULATOR / "profiles" / f"{SLEEPER.profile}.profile").read_text(encoding="utf-8")
        for section, values in SLEEPER.changes.items():
            text = edited(text, section, values)
        profile, shown = there / "profile", there / "kernel"
        profile.write_text(text, encoding="utf-8")
        machine_folders.make(profile, shown)
        (status,) = shown.glob("sys/devices/*/*/*/power/runtime_status")
        self._status = f"{SLEEPER.folder}/kernel/{status.relative_to(shown)}"
        stack.exec(self._service, "mkdir", "-p", SLEEPER.folder)
        container = f"{stack.project}-{self._service}-1:{SLEEPER.folder}/kernel"
        subprocess.run(["docker", "cp", "--quiet", shown, container], check=True)

    def suspends(self) -> None:
        """The GPU falls asleep. From then on the simulator counts who wakes it."""
        self._says("suspended")
        self._profile(runtime_status="suspended")

    def resumes(self) -> None:
        """The GPU is awake, and has become warmer."""
        self._profile(runtime_status="active", temperature=21)
        self._says("active")

    def wakes(self) -> str:
        """Calls that have woken the GPU, one per line."""
        return self._stack.exec(self._service, "sh", "-c", f"cat {SLEEPER.folder}/wakes 2>/dev/null || true")

    def _says(self, status: str) -> None:
        # As root, to whom the files belong.
        self._stack.exec(self._service, "sh", "-c", f"cat >{self._status}", input=f"{status}\n", user="root")

    def _profile(self, **values: object) -> None:
        place = f"{SLEEPER.folder}/profile"
        text = edited(self._stack.exec(self._service, "cat", place), "gpu 0", values)
        self._stack.exec(self._service, "sh", "-c", f"cat >{place}.new && mv {place}.new {place}", input=text)


@ONCE
def test_a_gpu_that_sleeps_raises_no_alarm_and_has_values_again(stack: Stack, client: Client, tmp_path: Path) -> None:
    """Nobody wakes it meanwhile. Before that, it is a card in a cold room, below 0 °C."""
    kernel = Kernel(stack, tmp_path)

    def until(values: dict[str, float]) -> dict[str, int]:
        """Poll until the items have these values. Returns when each of them came, by the server's clock."""

        def wrong() -> dict[str, str]:
            there = items(stack, SLEEPER.name, *values)
            return {
                key: there[key]["lastvalue"] if key in there else "no such item"
                for key, value in values.items()
                if key not in there or there[key]["lastclock"] == "0" or not same(there[key]["lastvalue"], value)
            }

        judged(stack, [SLEEPER], wrong)
        there = items(stack, SLEEPER.name, *values)
        return {key: int(there[key]["lastclock"]) for key in values}

    with watched(stack, client, [SLEEPER]):
        polled(stack, [SLEEPER])
        (uuid,) = document(stack, SLEEPER.service(stack), SLEEPER.port)["gpus"]
        asleep, temperature = f"nvidia.gpu.asleep[{uuid}]", f"nvidia.gpu.temperature[{uuid}]"
        until({"nvidia.host.gpus_asleep": 0, asleep: 0, temperature: -3})
        kernel.suspends()
        until({"nvidia.host.gpus_asleep": 1, asleep: 1, f"nvidia.gpu.present[{uuid}]": 1})
        before = until({temperature: -3})
        for _ in range(POLLS):
            polled(stack, [SLEEPER])
            time.sleep(PERIOD)
        assert kernel.wakes() == ""
        # The last value stays, and is not in error.
        assert until({asleep: 1, temperature: -3})[temperature] == before[temperature]
        assert errors(stack, SLEEPER.name) == {}
        kernel.resumes()
        until({"nvidia.host.gpus_asleep": 0, asleep: 0, temperature: 21})
        assert errors(stack, SLEEPER.name) == {}
        assert alarms(stack, [SLEEPER]) == []


def test_every_metric_is_seen_somewhere(stack: Stack, client: Client) -> None:  # noqa: ARG001  its hosts
    """Else the machines above would prove nothing of it. The last test: it looks back."""
    names = [host.name for host in zoo(stack.series)]
    rows = stack.api.item.get(hostids=[stack.host_id(name) for name in names], output=["key_", "lastclock"])
    seen = {row["key_"].partition("[")[0] for row in rows if row["lastclock"] != "0"}
    # No simulated process runs, and no error happens: test_monitoring sees those.
    unseen = {metric.item_key for metric in METRICS if metric.entity == "user"} | {"nvidia.gpu.process_oldest"}
    # A container sees no bus, and no kernel log is read.
    unseen |= {f"nvidia.host.{key}" for key in ("sxid_count", "sxid_last", "xid_words", "gpus_bound", "gpus_asleep")}
    unseen |= {f"nvidia.gpu.{key}" for key in (*UNTIL_AN_XID, "asleep")}
    assert {metric.item_key for metric in METRICS} - seen - unseen == set()
    assert {metric.entity for metric in PARTS} >= {"gpu", "fan", "mig", "vgpu", "link"}
