"""Reports of a real server: of hosts that it watches, and of trends that were written into its database by hand."""

from __future__ import annotations

import csv
import io
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.watched import Client, as_options, document, items

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.conftest import Stack

pytestmark = pytest.mark.integration

HOUR = 3600
PASSWORD = "Marker-s3cret-7c1b"  # noqa: S105  of a user that these tests make
HOSTS = {"report-workstation": "workstation", "report-server": "gpu-server"}
GROUPS = {"report-workstation": "Report home", "report-server": "Report rack"}
# {$NVIDIA.GPU.EXPECTED} is not what a host has: a problem at once.
MACROS = {"{$NVIDIA.INTERVAL}": "2s", "{$NVIDIA.GPU.EXPECTED}": "9", "{$NVIDIA.GPU.MEMORY}": "#1"}
DAYS = 3
POLLS = 60  # an hour


def state(hour: int) -> str:
    """Of a day of the workstation: it trains, forgets a process, has none, and is off for three hours."""
    return "busy" if hour < 10 else "held" if hour < 16 else "free" if hour < 21 else "off"


# Of an hour in that state: lowest, mean and highest value.
WORKSTATION: dict[str, dict[str, tuple[float, float, float]]] = {
    "present": {"busy": (1, 1, 1), "held": (1, 1, 1), "free": (1, 1, 1)},
    "utilization": {"busy": (70, 82.5, 99), "held": (0, 0, 0), "free": (0, 0, 0)},
    "processes": {"busy": (1, 1.5, 2), "held": (1, 1, 1), "free": (0, 0, 0)},
    "power": {"busy": (140, 151.25, 163), "held": (30, 35.5, 40), "free": (8, 9, 10)},
    "temperature": {"busy": (70, 75, 83), "held": (40, 42, 45), "free": (30, 31, 33)},
}
# Of each GPU of the server: all the time, 612.5 W by its counter, which was set back once.
SERVER: dict[str, tuple[float, float, float]] = {
    "present": (1, 1, 1),
    "utilization": (90, 95, 100),
    "processes": (8, 8, 8),
    "temperature": (60, 64, 71),
}
WATTS = 612.5
RESTART = 30  # hours after the beginning


class Written:
    """What was written, and the client that reports of it."""

    def __init__(self, stack: Stack, api: Any) -> None:
        self.stack = stack
        self.until = int(time.time()) // HOUR * HOUR
        self.since = self.until - DAYS * 24 * HOUR
        self.tokenid = api.token.create(name="Reports")["tokenids"][0]
        self.client = Client(stack.url, ZABBIX_TOKEN=str(api.token.generate(self.tokenid)[0]["token"]))

    def report(self, *arguments: str, client: Client | None = None) -> Any:
        span = ("--since", f"{DAYS}d", "--until", iso(self.until))
        return json.loads((client or self.client).ok("report", *span, "--format", "json", *arguments))


def iso(when: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(when))


def rows(item: dict[str, Any], trends: dict[int, tuple[float, float, float]]) -> str:
    table = "trends_uint" if item["value_type"] == "3" else "trends"
    values = ",".join(
        f"({item['itemid']},{clock},{POLLS},{least},{mean},{most})" for clock, (least, mean, most) in trends.items()
    )
    return f"INSERT INTO {table} (itemid, clock, num, value_min, value_avg, value_max) VALUES {values}"  # noqa: S608


@pytest.fixture(scope="module")
def written(stack: Stack) -> Iterator[Written]:
    api = stack.api
    there = Written(stack, api)
    there.client.ok("install-template")
    for name in (*GROUPS.values(), "Report all"):
        api.hostgroup.create(name=name)
    for host, service in HOSTS.items():
        group = ("--group", GROUPS[host], "--group", "Report all")
        there.client.ok("add-host", host, "--address", service, *group, *as_options(MACROS), "--wait")
    gpus = {host: list(document(stack, service)["gpus"]) for host, service in HOSTS.items()}

    def found(host: str) -> dict[str, Any]:
        request = {"hostids": [stack.host_id(host)], "output": ["itemid", "key_", "value_type"]}
        return {row["key_"]: row for row in api.item.get(**request)}

    stack.wait(
        lambda: all(
            f"nvidia.gpu.{key}[{uuid}]" in found(host) for host in HOSTS for uuid in gpus[host] for key in WORKSTATION
        ),
        "the items of all GPUs",
    )
    hours = range(DAYS * 24)
    statements: list[str] = []
    here = found("report-workstation")
    for key, of_state in WORKSTATION.items():
        trends = {
            there.since + hour * HOUR: of_state[state(hour % 24)] for hour in hours if state(hour % 24) in of_state
        }
        statements.append(rows(here[f"nvidia.gpu.{key}[{gpus['report-workstation'][0]}]"], trends))
    here = found("report-server")
    for uuid in gpus["report-server"]:
        for key, values in SERVER.items():
            trends = {there.since + hour * HOUR: values for hour in hours}
            statements.append(rows(here[f"nvidia.gpu.{key}[{uuid}]"], trends))
        counter = {}
        for hour in (-1, *hours):
            start = (hour - RESTART if hour >= RESTART else hour + 1000) * HOUR * WATTS
            counter[there.since + hour * HOUR] = (start, start + HOUR * WATTS / 2, start + HOUR * WATTS)
        statements.append(rows(here[f"nvidia.gpu.energy[{uuid}]"], counter))
    stack.sql(*statements)
    yield there
    for host in HOSTS:
        api.host.delete(stack.host_id(host))
    for row in api.hostgroup.get(search={"name": "Report "}, startSearch=True, output=["groupid"]):
        api.hostgroup.delete(row["groupid"])
    api.token.delete(there.tokenid)


@pytest.fixture(scope="module")
def users(written: Written) -> None:
    """Users as the discovery makes them: alice on both hosts, with pauses on the workstation, and bob beside her."""
    api, stack = written.stack.api, written.stack
    hours = range(DAYS * 24)
    statements: list[str] = []
    day = [hour for hour in hours if hour % 24 < 10]  # alice works for eight hours, and waits for two
    had: dict[tuple[str, str], dict[str, dict[int, tuple[float, float, float]]]] = {
        ("report-workstation", "alice"): {
            "gpus": dict.fromkeys(day, (1, 1, 1)),
            "utilization": {hour: (0, 55, 100) if hour % 24 < 8 else (0, 0, 0) for hour in day},
        },
        # Half of an hour two GPUs, and half of it three.
        ("report-server", "alice"): {"gpus": dict.fromkeys(hours, (2, 2.5, 3))},
        ("report-server", "bob"): {"gpus": dict.fromkeys(hours[:24], (1, 1, 1))},
        ("report-server", "eve"): {"gpus": {}},
    }
    for (host, user), items_of in had.items():
        for key, trends in items_of.items():
            item = {"name": f"User {user}: {key}", "key_": f"nvidia.user.{key}[{user}]", "type": 2, "value_type": 0}
            (itemid,) = api.item.create(hostid=stack.host_id(host), **item)["itemids"]
            if trends:
                times = {written.since + hour * HOUR: values for hour, values in trends.items()}
                statements.append(rows({"itemid": itemid, "value_type": "0"}, times))
    stack.sql(*statements)


@pytest.mark.usefixtures("users")
def test_users_have_their_hours_on_all_hosts(written: Written) -> None:
    said = written.report("--group", "Report all", "--by", "user")
    assert [one["name"] for one in said["lines"]] == ["alice", "bob"]
    alice, bob = said["lines"]
    assert alice["gpus"] == 4
    assert alice["present_hours"] == near(DAYS * (10 + 24 * 2.5))
    assert (alice["busy_hours"], alice["held_idle_hours"]) == (near(DAYS * 8), near(DAYS * 2))
    assert alice["utilization"] == near(8 * 0.55 / 10)
    assert alice["hours"] is alice["coverage"] is alice["free_hours"] is alice["kwh"] is None
    assert (bob["gpus"], bob["present_hours"], bob["utilization"]) == (1, near(24), None)
    assert said["total"]["gpus"] == 9
    text = " ".join(written.client.ok("report", "--since", f"{DAYS}d", "--by", "user", "--group", "Report all").split())
    assert "all GPUs" in text
    assert "A GPU that several users share counts for each of them." in text


@pytest.fixture(scope="module")
def jobs(written: Written) -> None:
    """On the workstation, one that trains half of each day and then waits; on a GPU of the server, one for all days."""
    api, stack = written.stack.api, written.stack
    said: dict[str, dict[int, str]] = {"report-workstation": {}, "report-server": {}}
    for hour in range(DAYS * 24):
        start = written.since + hour * HOUR
        said["report-server"][start] = "99 sim (bob)"
        said["report-workstation"][start] = "4711 train (alice)" if hour % 24 <= 12 else ""
        if hour % 24 == 12:
            said["report-workstation"][start + HOUR // 2] = ""
    statements = []
    for host, values in said.items():
        search = {"key_": "nvidia.gpu.job["}
        first, *_ = api.item.get(hostids=[stack.host_id(host)], search=search, startSearch=True, output=["itemid"])
        listed = ",".join(f"({first['itemid']},{clock},'{text}')" for clock, text in values.items())
        statements.append(f"INSERT INTO history_str (itemid, clock, value) VALUES {listed}")  # noqa: S608
    stack.sql(*statements)


@pytest.mark.usefixtures("jobs")
def test_jobs_have_the_hours_and_the_energy_of_their_gpus(written: Written) -> None:
    bob, alice = written.report("--group", "Report all", "--by", "job", "--price", "0.5")["lines"]
    assert (bob["name"], bob["gpus"]) == ("99 sim (bob)", 1)
    assert bob["present_hours"] == bob["busy_hours"] == near(DAYS * 24)
    assert bob["kwh"] == near(DAYS * 24 * WATTS / 1000)
    assert bob["cost"] == near(bob["kwh"] / 2)
    assert (alice["name"], alice["gpus"]) == ("4711 train (alice)", 1)
    assert (alice["busy_hours"], alice["held_idle_hours"]) == (near(DAYS * 10), near(DAYS * 2.5))
    assert alice["kwh"] == alice["kwh_estimated"] == near(DAYS * (10 * 151.25 + 2.5 * 35.5) / 1000)
    assert alice["coverage"] is None


def test_no_users_are_counted_and_it_is_said_why(written: Written) -> None:
    before = ("report", "--since", "2020-01-01", "--until", "2020-01-02", "--by")
    assert "Zabbix has no values of jobs" in written.client.ok(*before, "job")
    text = " ".join(written.client.ok(*before, "user").split())  # it wraps
    assert "Zabbix has no values of users. Hosts count them if the macro {$NVIDIA.GROUP.USERS} is 1." in text


@pytest.fixture(scope="module")
def problem(written: Written) -> str:
    """A problem of the workstation that was open for 5.5 hours of the period."""
    api, stack = written.stack.api, written.stack
    hostid = stack.host_id("report-workstation")

    def raised() -> list[Any]:
        found = api.problem.get(hostids=[hostid], output=["eventid", "name", "r_eventid"], recent=True)
        return [row for row in found if "GPUs" in row["name"]]

    (opened,) = stack.wait(raised, "the alert on the number of GPUs")
    written.client.ok(
        "add-host", "report-workstation", "--address", "workstation", "--overwrite", "--macro", "NVIDIA.GPU.EXPECTED=1",
        *(word for group in (GROUPS["report-workstation"], "Report all") for word in ("--group", group)),
    )  # fmt: skip
    (closed,) = stack.wait(lambda: [row for row in raised() if row["r_eventid"] != "0"], "its end")
    since = written.since + 30 * HOUR
    until = since + 5 * HOUR + HOUR // 2
    stack.sql(
        f"UPDATE events SET clock = {since} WHERE eventid = {opened['eventid']}",  # noqa: S608
        f"UPDATE problem SET clock = {since}, r_clock = {until} WHERE eventid = {opened['eventid']}",  # noqa: S608
        f"UPDATE events SET clock = {until} WHERE eventid = {closed['r_eventid']}",  # noqa: S608
    )
    return str(opened["name"])


def line(said: Any, name: str) -> Any:
    (found,) = [one for one in said["lines"] if one["name"] == name]
    return found


def near(value: float) -> Any:
    return pytest.approx(value, rel=1e-3)


def test_hours_of_a_workstation_are_those_of_its_days(written: Written) -> None:
    found = line(written.report("--group", "Report all"), "report-workstation")
    assert found["gpus"] == 1
    assert found["hours"] == DAYS * 24
    assert found["covered_hours"] == found["present_hours"] == near(DAYS * 21)
    assert found["coverage"] == near(21 / 24)
    assert (found["busy_hours"], found["held_idle_hours"], found["free_hours"]) == (
        near(DAYS * 10), near(DAYS * 6), near(DAYS * 5),
    )  # fmt: skip
    assert found["utilization"] == near(10 * 0.825 / 21)
    assert found["peak_temperature"] == 83
    assert found["kwh"] == near(DAYS * (10 * 151.25 + 6 * 35.5 + 5 * 9) / 1000)
    assert found["kwh_estimated"] == found["kwh"]


def test_energy_is_read_from_the_counter_although_it_began_again(written: Written) -> None:
    found = line(written.report("--group", "Report all"), "report-server")
    assert found["gpus"] == 8
    assert found["kwh"] == near(8 * DAYS * 24 * WATTS / 1000)
    assert found["kwh_estimated"] == 0
    assert found["busy_hours"] == found["hours"] == 8 * DAYS * 24


@pytest.mark.parametrize("by", ["host", "gpu", "model", "group"])
def test_lines_sum_up_to_the_total(written: Written, by: str) -> None:
    said = written.report("--group", "Report home", "--group", "Report rack", "--by", by)
    wanted = {"host": 2, "gpu": 9, "model": 2, "group": 3}[by]
    assert len(said["lines"]) == wanted
    lines = [one for one in said["lines"] if one["name"] != "Report all"]
    for figure in ("gpus", "hours", "busy_hours", "kwh"):
        assert sum(one[figure] for one in lines) == near(said["total"][figure])


def test_a_problem_of_the_host_costs_its_hours(written: Written, problem: str) -> None:
    assert problem
    said = written.report("--group", "Report home")
    assert said["total"]["lost_hours"] == near(5.5)
    assert said["incidents"] == {"availability": {"count": 1, "hours": near(5.5)}}
    # A problem of the host is one of each of its GPUs.
    assert written.report("--group", "Report rack")["total"]["lost_hours"] == 0


def test_money_and_the_worst(written: Written) -> None:
    said = written.report("--group", "Report all", "--price", "0.30", "--co2", "380")
    kwh = said["total"]["kwh"]
    assert said["total"]["cost"] == near(kwh * 0.3)
    assert said["total"]["co2_kg"] == near(kwh * 0.38)
    (worst,) = said["held_idle"]
    assert worst["host"] == "report-workstation"
    assert worst["hours"] == near(DAYS * 6)


def test_other_forms_say_the_same(written: Written, tmp_path: Any) -> None:
    span = ("report", "--since", f"{DAYS}d", "--until", iso(written.until), "--group", "Report all")
    table = written.client.ok(*span)
    assert "report-workstation" in table
    assert "~5.3" in table
    assert "no values" in table
    (first, second, total) = csv.DictReader(io.StringIO(written.client.ok(*span, "--format", "csv")))
    assert (first["name"], second["name"], total["name"]) == ("report-server", "report-workstation", "total")
    assert float(second["busy_hours"]) == near(DAYS * 10)
    page = tmp_path / "gpus.html"
    assert written.client.ok(*span, "--format", "html", "--output", str(page)) == f"Written: {page}\n"
    text = page.read_text(encoding="utf-8")
    assert "report-workstation" in text
    assert "<svg" in text


def test_who_may_read_is_enough_and_is_told_what_is_not_seen(written: Written) -> None:
    api, stack = written.stack.api, written.stack
    role = api.role.get(filter={"type": 1}, output=["roleid"])[0]["roleid"]
    ids = api.hostgroup.get(filter={"name": ["Report home"]}, output=["groupid"])
    rights = [{"id": row["groupid"], "permission": 2} for row in ids]
    group = api.usergroup.create(
        name="Report readers", **{"rights" if stack.series == "6.0" else "hostgroup_rights": rights}
    )["usrgrpids"][0]
    user = api.user.create(username="reader", passwd=PASSWORD, roleid=role, usrgrps=[{"usrgrpid": group}])["userids"][0]
    try:
        reader = Client(stack.url, ZABBIX_USER="reader", ZABBIX_PASSWORD=PASSWORD)
        said = written.report(client=reader)
        assert [one["name"] for one in said["lines"]] == ["report-workstation"]
        assert not said["all_hosts"]
        assert written.report()["all_hosts"]
        assert "Report rack" in reader.refused("report", "--group", "Report rack")
    finally:
        api.user.delete(user)
        api.usergroup.delete(group)


def test_a_time_without_data_is_said(written: Written) -> None:
    said = json.loads(
        written.client.ok("report", "--since", "2020-01-01", "--until", "2020-01-03", "--format", "json",
                          "--group", "Report all")
    )  # fmt: skip
    assert said["total"]["covered_hours"] == 0
    assert said["total"]["kwh"] is None
    assert said["total"]["free_hours"] == 0


def test_what_cannot_be_is_refused_in_a_line(written: Written) -> None:
    for arguments in (("--since", "soon"), ("--price", "cheap"), ("--by", "cost"), ("--since", "0h")):
        done = written.client("report", *arguments)
        assert done.code == 2
        assert "Traceback" not in done.err
    assert items(written.stack, "report-workstation")
