"""Asks Zabbix for the GPUs of a report, for their users, and for what went wrong."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zbx_nvidia.catalog.entities import METRICS
from zbx_nvidia.catalog.metrics import GPU_METRICS, GPU_RATES, PRESENT
from zbx_nvidia.report.incidents import Incident
from zbx_nvidia.report.usage import Hour
from zbx_nvidia.report.users import User
from zbx_nvidia.server import shapes, versions
from zbx_nvidia.server.find import host_groups, pieces

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from zbx_nvidia.report.period import Period
    from zbx_nvidia.server.connection import Connection

Object = dict[str, Any]

_BY_KEY = {metric.key: metric for metric in (*GPU_METRICS, *GPU_RATES, PRESENT)}
# Attribute of an hour -> the metrics that it is of.
READ = {
    "present": ("present",),
    "utilization": ("utilization",),
    "processes": ("processes",),
    "power": ("power",),
    "energy": ("energy",),
    "temperature": ("temperature",),
    # Not for the power limit: that is how a card at full load works.
    "throttling": ("throttle_share_sw_thermal", "throttle_share_hw_thermal", "throttle_share_power_brake"),
}
# Metric -> the key of its items, without the GPU.
KEYS = {key: _BY_KEY[key].item_key.partition("[")[0] for keys in READ.values() for key in keys}
_OF = {KEYS[key]: name for name, keys in READ.items() for key in keys}
_JOB = _BY_KEY["job"].item_key.partition("[")[0]
_OF_USER = {
    metric.item_key.partition("[")[0]: metric.key
    for metric in METRICS
    if metric.entity == "user" and metric.key in {"gpus", "utilization"}
}
_PRESENT = PRESENT.item_key.partition("[")[0]  # every GPU has it
_HOSTS = 200  # of one question
_DAY = 86_400  # s
_NAME = re.compile(r"GPU (\d+) ")  # of an item
_KEY = re.compile(r"(.+)\[([^],]+)\]")


@dataclass
class ReportedGpu:
    """A GPU that Zabbix has items of.

    Attributes:
        uuid: Of the card.
        short: The part of the UUID that names and tags have.
        index: On its host, when it was discovered.
        model: As the driver says.
        host: Visible name of the host.
        hostid: Of the host.
        groups: Host groups of the host that the user sees.
        items: Item ID -> attribute of `Hour`.
        job: ID of the item that has its jobs, or "".
        hours: Its trends.
        texts: What that item said: time of a value, and the value; in order.
    """

    uuid: str
    short: str
    index: str
    model: str
    host: str
    hostid: str
    groups: tuple[str, ...]
    items: dict[str, str] = field(default_factory=dict)
    job: str = ""
    hours: dict[int, Hour] = field(default_factory=dict)
    texts: list[tuple[int, str]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """For people, without the host."""
        return f"GPU {self.index} [{self.short}]"

    def hour(self, start: int) -> Hour:
        """An hour, to write to."""
        hour = self.hours.get(start)
        if hour is None:  # not setdefault: it would make an hour for each of half a million rows
            hour = self.hours[start] = Hour()
        return hour


def gpus(zabbix: Connection, groups: Sequence[str]) -> list[ReportedGpu]:
    """The GPUs of all hosts that the user sees, those that were replaced too while Zabbix keeps their items.

    Args:
        zabbix: The server.
        groups: Names of host groups; empty: of all.
    """
    hosts = _hosts(zabbix, groups)
    by_card: dict[tuple[str, str], ReportedGpu] = {}
    with shapes.in_form(zabbix.answers("item.get")):
        for item, key in _items(zabbix, list(hosts), (*_OF, _JOB)):
            _sort_in(by_card, hosts, item, key)
    for gpu in by_card.values():
        if "energy" in gpu.items.values():
            # The counter is better, and half a million rows a year and host are enough.
            gpu.items = {itemid: name for itemid, name in gpu.items.items() if name != "power"}
    return sorted(by_card.values(), key=lambda gpu: (gpu.host, int(gpu.index) if gpu.index.isdigit() else -1, gpu.uuid))


def users(zabbix: Connection, hostids: Sequence[str]) -> list[User]:
    """The users of these hosts, those too who have been away while Zabbix keeps their items.

    Args:
        zabbix: The server.
        hostids: Of the hosts.
    """
    by_name: dict[tuple[str, str], User] = {}
    with shapes.in_form(zabbix.answers("item.get")):
        for item, key in _items(zabbix, hostids, _OF_USER):
            user = by_name.setdefault((item["hostid"], key[2]), User(key[2], item["hostid"]))
            user.items[item["itemid"]] = _OF_USER[key[1]]
    return list(by_name.values())


def _items(zabbix: Connection, hostids: Sequence[str], keys: Iterable[str]) -> Iterator[tuple[Object, re.Match[str]]]:
    """The items of these hosts that have one of these keys and a parameter; each with its key taken apart."""
    wanted = frozenset(keys)
    for ids in pieces(list(hostids), _HOSTS):
        request = {
            "hostids": ids,
            "search": {"key_": [f"{key}[" for key in wanted]},
            "searchByAny": True,
            "startSearch": True,
            "output": ["itemid", "hostid", "key_", "name"],
            "selectTags": "extend",
        }
        for item in zabbix.call("item.get", request):
            key = _KEY.fullmatch(item["key_"])
            if key and key[1] in wanted:
                yield item, key


def _sort_in(
    by_card: dict[tuple[str, str], ReportedGpu], hosts: dict[str, Object], item: Object, key: re.Match[str]
) -> None:
    """Gives an item to its GPU, which is new with its first one."""
    host, hostid, uuid = hosts[item["hostid"]], item["hostid"], key[2]
    if (hostid, uuid) not in by_card:
        tags: dict[str, str] = {tag["tag"]: tag["value"] for tag in item["tags"]}
        index = _NAME.match(item["name"])
        by_card[hostid, uuid] = ReportedGpu(
            uuid=uuid,
            short=tags.get("gpu", uuid),
            index=index[1] if index else "?",
            model=tags.get("model", "unknown model"),
            host=host["name"],
            hostid=hostid,
            groups=host["groups"],
        )
    if key[1] == _JOB:
        by_card[hostid, uuid].job = item["itemid"]
        return
    by_card[hostid, uuid].items[item["itemid"]] = _OF[key[1]]


def _hosts(zabbix: Connection, groups: Sequence[str]) -> dict[str, Object]:
    """ID -> the host's name and groups, of those that have a GPU's item: a server has many others."""
    request: Object = {"search": {"key_": f"{_PRESENT}["}, "startSearch": True, "output": ["hostid"]}
    if groups:
        request["groupids"] = list(host_groups(zabbix, tuple(groups)).values())
    ids = {row["hostid"] for row in zabbix.call("item.get", request)}
    if not ids:
        return {}
    select = versions.select_host_groups(zabbix.version)
    rows = zabbix.call("host.get", {"hostids": sorted(ids), "output": ["hostid", "name"], select: ["name"]})
    of = versions.host_groups_property(zabbix.version)
    return {
        row["hostid"]: {"name": row["name"], "groups": tuple(sorted(group["name"] for group in row[of]))}
        for row in rows
    }


def count_polls(gpus: Sequence[ReportedGpu]) -> None:
    """Says how many polls each hour of these GPUs, all those of some hosts, has.

    An hour has as many polls as the fullest hour of its day has values, of any GPU of the host.
    """
    most: dict[tuple[str, int], int] = defaultdict(int)
    for gpu in gpus:
        for start, hour in gpu.hours.items():
            day = (gpu.hostid, start // _DAY)
            most[day] = max(most[day], hour.present.num if hour.present else 0)
    for gpu in gpus:
        for start, hour in gpu.hours.items():
            hour.polls = most[gpu.hostid, start // _DAY] or 1


def incidents(zabbix: Connection, gpus: Sequence[ReportedGpu], period: Period) -> list[Incident]:
    """The problems of these GPUs and their hosts that were open in the period."""
    ours = {gpu.hostid for gpu in gpus}
    rows: list[Object] = []
    for ids in pieces(sorted(ours), _HOSTS):
        request = {
            "hostids": ids,
            "source": 0,
            "object": 0,
            "value": 1,
            "problem_time_from": period.since,
            "problem_time_till": period.until,
            "tags": [{"tag": "target", "value": "nvidia", "operator": 1}],
            "output": ["eventid", "clock", "name", "r_eventid", "severity"],
            "selectTags": "extend",
            "selectHosts": ["hostid"],
        }
        rows += zabbix.call("event.get", request)
    ended = [row["r_eventid"] for row in rows if row["r_eventid"] != "0"]
    ends: dict[str, int] = {}
    for ids in pieces(ended, 10_000):
        for row in zabbix.call("event.get", {"eventids": ids, "output": ["eventid", "clock"]}):
            ends[row["eventid"]] = int(row["clock"])
    problems = []
    with shapes.in_form(zabbix.answers("event.get")):
        for row in rows:
            tags = defaultdict(str, {tag["tag"]: tag["value"] for tag in row["tags"]})
            problems += [
                Incident(
                    hostid=host["hostid"],
                    gpu=tags["gpu"],
                    scope=tags["scope"] or "other",
                    name=row["name"],
                    since=max(period.since, int(row["clock"])),
                    until=min(period.until, ends.get(row["r_eventid"], period.until)),
                )
                for host in row["hosts"]
                if host["hostid"] in ours
            ]
    return problems
