"""Every simulated machine in a real Zabbix, with every group of metrics: no item too many or too few, none in error.

And silence: machines at the edge of what is healthy, and all the others, raise no alarm.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.conftest import SIMULATOR
from tests.integration.conftest import edited
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
    host_id,
    items,
    until,
)
from zbx_nvidia.catalog.entities import DOCUMENT, LINKS_DOCUMENT, METRICS
from zbx_nvidia.catalog.metrics import GROUPS
from zbx_nvidia.catalog.sampled import GPM_METRICS, SAMPLED_METRICS
from zbx_nvidia.template.build import switch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.conftest import Stack

pytestmark = pytest.mark.integration

PROFILES = sorted(path.stem for path in (SIMULATOR / "profiles").glob("*.profile"))
# Two dozen processes a poll and series, and two processors: as often as leaves most of their time to the rest.
POLL = 10  # seconds
DEADLINE = 20  # seconds
MACROS = {
    **QUICK,
    "{$NVIDIA.INTERVAL}": f"{POLL}s",
    "{$NVIDIA.LINKS.INTERVAL}": f"{POLL}s",
    "{$NVIDIA.NODATA}": "60s",
    "{$NVIDIA.STALE}": "60s",
    # Two dozen machines on two processors may well be slow: the collector has as long as the agent gives it.
    "{$NVIDIA.SLOW}": f"{DEADLINE}",
}
ARRIVAL = 150  # discovery of all, and two more polls for what is worked out from two
WATCHED = 60  # seconds, at least, in which nothing may be heard

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
    # Cooled by the machine that it is in, and yet it has a fan, which stands still.
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
SERVICES = ("workstation", "gpu-server")
# Machines that are ill on purpose: the alarms that they raise, and why.
ILL: dict[str, tuple[set[str], str]] = {}


class Host(NamedTuple):
    """One simulated machine with an agent of its own."""

    name: str
    profile: str
    changes: Changes
    service: str
    port: int
    macros: dict[str, str]
    resident: bool


def zoo() -> list[Host]:
    """All of them, by turns with the one agent and with the other."""
    frozen: Changes = {"machine": {"clock": FROZEN}}
    everything = {f"{{{switch(group.name)}}}": "1" for group in GROUPS}
    rows: list[tuple[str, str, Changes, dict[str, str], bool]] = []
    rows += [(f"zoo-{profile}", profile, frozen, everything, False) for profile in PROFILES]
    # Next to each other, so that each is there with both agents.
    rows += [(f"resident-{profile}-{n}", profile, frozen, everything, True) for profile in RESIDENT for n in range(2)]
    rows += [(f"healthy-{name}", profile, changes, {}, False) for name, (profile, changes) in HEALTHY.items()]
    return [
        Host(name, profile, changes, SERVICES[place % 2], 10_100 + place, MACROS | macros, resident)
        for place, (name, profile, changes, macros, resident) in enumerate(rows)
    ]


ZOO = {host.name: host for host in zoo()}

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
stall = 20s
pcie = 2s
window = 10s
"""
PROGRAM = "/opt/zbx-nvidia/bin/zbx-nvidia-agent"
ENVIRONMENT = "NVML_SIMULATOR_PROFILE={folder}/profile PYTHONPATH={folder}"


def start(stack: Stack) -> None:
    for service, (agent, more) in AGENTS.items():
        script = ["set -eu", "package=$(echo /opt/zbx-nvidia/lib/python3*/site-packages/zbx_nvidia)"]
        for host in ZOO.values():
            if host.service != service:
                continue
            folder = f"{FOLDER}/{host.name}"
            serve = f"{ENVIRONMENT.format(folder=folder)} {PROGRAM} serve"
            profile = (SIMULATOR / "profiles" / f"{host.profile}.profile").read_text(encoding="utf-8")
            for section, values in host.changes.items():
                profile = edited(profile, section, values)
            lines = [
                f"UserParameter={key},{ENVIRONMENT} {command} --deadline {DEADLINE}\n"
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


def stop(stack: Stack) -> None:
    for service in AGENTS:
        ends = f'for file in {FOLDER}/*/pid; do kill "$(cat $file)"; done; pkill -f "[s]erve --config {FOLDER}" || true'
        stack.exec(service, "sh", "-c", ends)


@pytest.fixture(scope="module")
def watched(stack: Stack) -> Iterator[Stack]:
    """The stack with all machines, each a host that the product's own command has made."""
    tokenid = stack.api.token.create(name="Zoo")["tokenids"][0]
    # A token: a login with a password takes 7.0 a second, by design.
    client = Client(stack.url, ZABBIX_TOKEN=str(stack.api.token.generate(tokenid)[0]["token"]))
    start(stack)
    try:
        client.ok("install-template")
        for host in ZOO.values():
            client.ok(
                "add-host", host.name, "--address", host.service, "--port", str(host.port), *as_options(host.macros)
            )
        enable_links(stack)
        yield stack
        stack.api.host.delete(*(host_id(stack, name) for name in ZOO))
    finally:
        stop(stack)
        stack.api.token.delete(tokenid)


def enable_links(stack: Stack) -> None:
    """On every machine with every group, as an administrator does it on a host."""
    hosts = [host_id(stack, name) for name, host in ZOO.items() if host.changes.get("machine")]
    for row in stack.api.item.get(hostids=hosts, filter={"key_": LINKS_DOCUMENT}, output=["itemid", "status"]):
        assert row["status"] == "1"
        stack.api.item.update(itemid=row["itemid"], status=0)


def found(stack: Stack, name: str) -> dict[str, Any]:
    """Both documents of a machine, as if they were one."""
    host = ZOO[name]
    links = document(stack, host.service, host.port, LINKS_DOCUMENT)
    return {**document(stack, host.service, host.port), "links": links["links"]}


@pytest.mark.parametrize("name", [name for name, host in ZOO.items() if host.changes.get("machine")])
def test_every_item_has_the_documents_value(watched: Stack, name: str) -> None:
    # PCIe is sampled seldom: until then it is neither there nor lacking.
    watched.wait(lambda: not ZOO[name].resident or complete(found(watched, name)), ARRIVAL, "all samples")
    said = found(watched, name)
    assert said["status"]["code"] == 0
    assert said["gpus"]
    assert said["collector"]["mode"] == ("resident" if ZOO[name].resident else "oneshot")
    wanted = expected_values(said, off=())
    until(lambda: differences(items(watched, name), wanted), ARRIVAL)


def complete(said: dict[str, Any]) -> bool:
    """Whether every GPU and MIG instance has each reading of the resident collector, or lacks it."""
    rows = [
        (said[section][row[macro]], row["{#LACKS}"], metrics)
        for section, macro, metrics in (("gpus", "{#UUID}", SAMPLED_METRICS), ("mig", "{#MIG}", GPM_METRICS))
        for row in said["discovery"].get(section, [])
    ]
    return bool(rows) and all(
        metric.key in readings or f",{metric.reader}," in lacks or metric.key in UNTIL_AN_XID
        for readings, lacks, metrics in rows
        for metric in metrics
    )


@pytest.mark.parametrize("name", ZOO)
def test_nothing_is_in_error(watched: Stack, name: str) -> None:
    """A trigger that is younger than the values it needs has "not enough data" for some polls."""
    watched.wait(lambda: any("[" in key for key in items(watched, name)), ARRIVAL, "discovery")
    until(lambda: errors(watched, name), 5 * POLL)


def test_every_metric_is_seen_somewhere(watched: Stack) -> None:
    """Else the machines above would prove nothing of it."""
    rows = watched.api.item.get(hostids=[host_id(watched, name) for name in ZOO], output=["key_", "lastclock"])
    seen = {row["key_"].partition("[")[0] for row in rows if row["lastclock"] != "0"}
    # No simulated process runs, and no error happens: test_monitoring sees those.
    unseen = {metric.item_key for metric in METRICS if metric.entity == "user"} | {"nvidia.gpu.process_oldest"}
    unseen |= {f"nvidia.gpu.{key}" for key in UNTIL_AN_XID} | {"nvidia.host.sxid_count", "nvidia.host.sxid_last"}
    assert {metric.item_key for metric in METRICS} - seen - unseen == set()
    assert {metric.entity for metric in PARTS} >= {"gpu", "fan", "mig", "vgpu", "link"}


def test_the_healthy_raise_no_alarm(watched: Stack) -> None:
    """Not one that is open, and not one that has ended since they were added. The last test: it looks back."""
    hosts = {host_id(watched, name): name for name in ZOO}
    clocks = watched.api.item.get(
        hostids=list(hosts), filter={"key_": "nvidia.timestamp"}, output=["itemid", "hostid"], selectTriggers="count"
    )
    # A machine that was not looked at is silent too.
    for row in clocks:
        host, itemid = hosts[row["hostid"]], row["itemid"]
        assert int(row["triggers"]) >= 2
        watched.wait(functools.partial(polled, watched, itemid), 3 * WATCHED, f"{WATCHED} s of {host}")
    events = watched.api.event.get(hostids=list(hosts), value=1, selectHosts=["hostid"], output=["name"])
    raised = {f"{hosts[event['hosts'][0]['hostid']]}: {event['name']}" for event in events}
    meant = {f"zoo-{profile}: {alarm}" for profile, (alarms, _) in ILL.items() for alarm in alarms}
    assert "\n".join(sorted(raised - meant)) == ""
    assert "\n".join(sorted(meant - raised)) == ""


def polled(stack: Stack, itemid: str) -> bool:
    """Whether it is long enough that the item has values."""
    rows = stack.api.history.get(itemids=[itemid], history=3, output=["clock"])
    times = [int(row["clock"]) for row in rows]
    return len(times) >= WATCHED / POLL and max(times) - min(times) >= WATCHED
