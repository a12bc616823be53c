"""The main job, in a real Zabbix: readings of GPU hosts arrive, faults raise their alarm and nothing else.

Each series has both agents and both variants: which is combined with which differs by series.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import yaml

from zbx_nvidia.catalog.alerts import ALERTS
from zbx_nvidia.catalog.graphs import GRAPHS
from zbx_nvidia.catalog.metrics import FAN_METRICS, GPU_METRICS, HOST_METRICS, LIVE, PRESENT
from zbx_nvidia.template import TEMPLATE_NAMES, render
from zbx_nvidia.template.expressions import BY_REF

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration

VARIANTS = {
    "6.0": {"workstation": "passive", "gpu-server": "active"},
    "7.0": {"workstation": "active", "gpu-server": "passive"},
}
POLL = 2  # seconds
HOSTS = ("workstation", "gpu-server")
# As short as Zabbix evaluates them: nodata() is looked at every 30 s.
QUICK = {
    "{$NVIDIA.INTERVAL}": f"{POLL}s",
    "{$NVIDIA.NODATA}": "30s",
    "{$NVIDIA.STALE}": "60s",
    "{$NVIDIA.TEMP.PERIOD}": "5s",
    "{$NVIDIA.FAN.PERIOD}": "5s",
}
FROZEN = 1_800_000_000  # a clock that stands still: readings do not move between the document and the item
ARRIVAL = 120  # an active agent asks for its checks once a minute
MOVING = {"timestamp", "collector.duration"}


def run_zbx_nvidia(stack: Any, *arguments: str) -> str:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("zbx-nvidia")), *arguments],
        env={**os.environ, "ZABBIX_URL": stack.url, "ZABBIX_USER": stack.user, "ZABBIX_PASSWORD": stack.password},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def monitored(stack: Any) -> Iterator[Any]:
    """The stack with the template and both hosts, put there by the product's own commands, every GPU discovered."""
    run_zbx_nvidia(stack, "install-template", "--variant", "both")
    macros = [word for name, value in QUICK.items() for word in ("--macro", f"{name}={value}")]
    for host in HOSTS:
        stack.set_profile(host, "machine", clock=FROZEN)
        run_zbx_nvidia(
            stack, "add-host", host, "--address", host, "--variant", VARIANTS[stack.series][host], *macros
        )  # fmt: skip
    for host in HOSTS:
        gpus = len(document(stack, host)["gpus"])
        stack.wait(
            lambda host=host: len([key for key, item in items(stack, host).items() if is_discovered(key, item)]),
            ARRIVAL,
            f"values of {host}",
        )
        stack.wait(
            lambda host=host, gpus=gpus: complete(stack, host, gpus), ARRIVAL, f"values of all {gpus} GPUs of {host}"
        )
    yield stack
    for host in HOSTS:
        stack.reset_profile(host)


def is_discovered(key: str, item: dict[str, Any]) -> bool:
    return "[" in key and item["lastclock"] != "0"


def complete(stack: Any, host: str, gpus: int) -> bool:
    there = [key for key, item in items(stack, host).items() if is_discovered(key, item)]
    return len([key for key in there if key.startswith("nvidia.gpu.power[")]) == gpus


def document(stack: Any, host: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(stack.get(host, "nvidia.get"))
    return found


def host_id(stack: Any, host: str) -> str:
    (row,) = stack.api.host.get(filter={"host": host}, output=["hostid"])
    return str(row["hostid"])


def items(stack: Any, host: str) -> dict[str, dict[str, Any]]:
    rows = stack.api.item.get(
        hostids=[host_id(stack, host)],
        output=["key_", "name", "state", "error", "lastvalue", "lastclock", "value_type", "units"],
    )
    return {row["key_"]: row for row in rows}


def expected_values(stack: Any, host: str) -> dict[str, Any]:
    """What each item must hold, from the document: by key, and nothing else may exist."""
    found = document(stack, host)
    values: dict[str, Any] = {}
    for metric in HOST_METRICS:
        section = found[metric.entity] if metric.entity else found
        values[metric.item_key] = section[metric.key]
    for uuid, readings in found["gpus"].items():
        values[f"{PRESENT.item_key}[{uuid}]"] = 1
        values.update({f"nvidia.gpu.{key}[{uuid}]": value for key, value in readings.items()})
    for place, readings in found.get("fans", {}).items():
        uuid, fan = place.split("/")
        values.update({f"nvidia.fan.{key}[{uuid},{fan}]": value for key, value in readings.items()})
    return values


@pytest.mark.parametrize("host", HOSTS)
def test_every_item_has_the_documents_value(monitored: Any, host: str) -> None:
    def differences() -> dict[str, Any]:
        there = items(monitored, host)
        there.pop("nvidia.get")
        wanted = expected_values(monitored, host)
        wrong: dict[str, Any] = {key: "no such item" for key in wanted if key not in there}
        wrong |= {key: "not wanted" for key in there if key not in wanted}
        for key in set(wanted) & set(there):
            item, value = there[key], wanted[key]
            if item["lastclock"] == "0":
                wrong[key] = "no value"
            elif key.removeprefix("nvidia.") in MOVING:
                continue
            elif isinstance(value, str):
                if item["lastvalue"] != value:
                    wrong[key] = (item["lastvalue"], value)
            elif float(item["lastvalue"]) != pytest.approx(value, rel=1e-9, abs=1e-4):
                wrong[key] = (item["lastvalue"], value)
        return wrong

    last: dict[str, Any] = {}

    def equal() -> bool:
        nonlocal last
        last = differences()
        return not last

    try:
        monitored.wait(equal, 60, "items that hold what the document says")
    except pytest.fail.Exception as failure:
        pytest.fail(f"{failure}: {last}")
    assert len(items(monitored, host)) > 40


@pytest.mark.parametrize("host", HOSTS)
def test_nothing_is_unsupported_and_no_rule_has_an_error(monitored: Any, host: str) -> None:
    api = monitored.api
    assert {key: item["error"] for key, item in items(monitored, host).items() if item["state"] != "0"} == {}
    rules = api.discoveryrule.get(hostids=[host_id(monitored, host)], output=["key_", "state", "error"])
    assert len(rules) == 2
    assert {rule["key_"]: rule["error"] for rule in rules if rule["error"] or rule["state"] != "0"} == {}
    triggers = api.trigger.get(hostids=[host_id(monitored, host)], output=["description", "state", "error"])
    assert {trigger["description"]: trigger["error"] for trigger in triggers if trigger["error"]} == {}


@pytest.mark.parametrize("host", HOSTS)
def test_units_and_types_are_the_catalogues(monitored: Any, host: str) -> None:
    numbers = {"FLOAT": "0", "CHAR": "1", "UNSIGNED": "3"}
    rows = {metric.item_key: metric for metric in (*HOST_METRICS, PRESENT, *GPU_METRICS, *FAN_METRICS)}
    there = items(monitored, host)
    there.pop("nvidia.get")
    for key, item in there.items():
        metric = rows[key.partition("[")[0]]
        assert (item["units"], item["value_type"]) == (metric.unit, numbers[metric.kind])
        assert item["name"].endswith(f": {metric.name}")


@pytest.mark.parametrize("host", HOSTS)
def test_graphs_exist_where_the_card_has_what_they_show(monitored: Any, host: str) -> None:
    found = document(monitored, host)
    (index,) = {len(found["gpus"])}
    graphs = monitored.api.graph.get(hostids=[host_id(monitored, host)], output=["name"])
    readings = next(iter(found["gpus"].values()))
    wanted = [graph.name for graph in GRAPHS if all(BY_REF[line.metric].key in readings for line in graph.lines)]
    assert len(wanted) > 4
    names = sorted(graph["name"].rpartition(": ")[2] for graph in graphs)
    assert names == sorted(wanted * index)


def test_the_host_has_its_dashboard(monitored: Any) -> None:
    (template,) = monitored.api.template.get(filter={"host": TEMPLATE_NAMES["passive"]}, output=["templateid"])
    (dashboard,) = monitored.api.templatedashboard.get(
        templateids=[template["templateid"]], selectPages="extend", output=["name"]
    )
    assert dashboard["name"] == "NVIDIA GPUs"
    widgets = [widget for page in dashboard["pages"] for widget in page["widgets"]]
    assert len(widgets) >= 12
    assert all(widget["fields"] for widget in widgets)


@pytest.mark.parametrize("variant", TEMPLATE_NAMES)
def test_the_file_is_what_the_server_exports(monitored: Any, variant: str) -> None:
    """So importcompare has nothing to say, and an administrator's export shows only his own changes."""
    (template,) = monitored.api.template.get(filter={"host": TEMPLATE_NAMES[variant]}, output=["templateid"])
    text = monitored.api.do_request(
        "configuration.export", {"format": "yaml", "options": {"templates": [template["templateid"]]}}
    )["result"]
    exported = yaml.safe_load(text)["zabbix_export"]
    exported.pop("date", None)
    assert json.dumps(exported, indent=1) == json.dumps(
        yaml.safe_load(render(monitored.series, variant))["zabbix_export"], indent=1
    )


# -- alarms ----------------------------------------------------------------------------------------------------------


class Fault(NamedTuple):
    """How an alarm is provoked.

    Attributes:
        host: Where.
        profile: What the simulated driver shows: section -> keys.
        macros: Host macros that the case needs.
        program: What the agent runs instead of the collector, if not the collector itself.
        silence: Whether the whole host falls silent.
    """

    host: str
    profile: dict[str, dict[str, object]] = {}  # noqa: RUF012  read only
    macros: dict[str, str] = {}  # noqa: RUF012  read only
    program: str = ""
    silence: bool = False


STANDSTILL = "#!/bin/sh\nexec cat /tmp/document.json\n"
FAULTS = {
    "nodata": Fault("gpu-server", silence=True),
    "stale": Fault("workstation", program=STANDSTILL),
    "driver": Fault("gpu-server", {"machine": {"state": "no_driver"}}),
    "lost": Fault("gpu-server", {"gpu 3": {"state": "lost"}}),
    "sick": Fault("gpu-server", {"gpu 5": {"state": "sick"}}),
    "count": Fault("gpu-server", {"machine": {"gpu_count": 7}}, macros={"{$NVIDIA.GPU.EXPECTED}": "8"}),
    "missing": Fault("gpu-server", {"machine": {"gpu_count": 7}}),
    "temperature": Fault("workstation", {"gpu 0": {"temperature": 97}}),
    "temperature_margin": Fault("gpu-server", {"gpu 2": {"margin_temperature": 1}}),
    "fan": Fault("workstation", {"gpu 0": {"fan_speed": 0, "temperature": 85}}),
}


def test_every_alert_has_its_fault() -> None:
    assert set(FAULTS) == {alert.key for alert in ALERTS}


def problems(stack: Any, host: str) -> list[dict[str, Any]]:
    """Open problems of a host that are not silenced by a dependency."""
    rows: list[dict[str, Any]] = stack.api.problem.get(
        hostids=[host_id(stack, host)], output=["name", "severity", "opdata", "objectid"], selectTags="extend"
    )
    return rows


@contextlib.contextmanager
def host_macros(stack: Any, host: str, macros: dict[str, str]) -> Iterator[None]:
    hostid = host_id(stack, host)
    made = [
        stack.api.usermacro.create(hostid=hostid, macro=name, value=value)["hostmacroids"][0]
        for name, value in macros.items()
    ]
    try:
        yield
    finally:
        if made:
            stack.api.usermacro.delete(*made)


@contextlib.contextmanager
def other_program(stack: Any, host: str, text: str) -> Iterator[None]:
    """The agent's command replaced, for a collector that stands still."""
    path = "/opt/zbx-nvidia/bin/zbx-nvidia-agent"
    if not text:
        yield
        return
    old = document(stack, host)
    stack.exec(
        host, "sh", "-c", "cat >/tmp/document.json", input=json.dumps({**old, "timestamp": old["timestamp"] - 600})
    )
    stack.exec(host, "sh", "-c", f"mv {path} {path}.real && cat >{path} && chmod 755 {path}", user="root", input=text)
    try:
        yield
    finally:
        stack.exec(host, "mv", f"{path}.real", path, user="root")


@contextlib.contextmanager
def silence(stack: Any, host: str, *, wanted: bool) -> Iterator[None]:
    container = f"{stack.project}-{host}-1"
    if wanted:
        subprocess.run(["docker", "pause", container], check=True, capture_output=True)
    try:
        yield
    finally:
        if wanted:
            subprocess.run(["docker", "unpause", container], check=True, capture_output=True)


@contextlib.contextmanager
def broken(stack: Any, fault: Fault) -> Iterator[None]:
    """The fault, and then all is well again."""
    with (
        host_macros(stack, fault.host, fault.macros),
        other_program(stack, fault.host, fault.program),
        silence(stack, fault.host, wanted=fault.silence),
    ):
        try:
            for section, values in fault.profile.items():
                stack.set_profile(fault.host, section, **values)
            yield
        finally:
            if fault.profile:
                stack.reset_profile(fault.host)
                stack.set_profile(fault.host, "machine", clock=FROZEN)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.key)
def test_an_alarm_is_raised_alone_and_ends(monitored: Any, alert: Any) -> None:
    fault = FAULTS[alert.key]
    monitored.wait(lambda: not problems(monitored, fault.host), 90, "a host without problems")
    with broken(monitored, fault):
        (problem, *others) = monitored.wait(lambda: problems(monitored, fault.host), 120, f"the alarm {alert.key}")
        assert not others, [other["name"] for other in others]
        check_words(monitored, alert, problem)
        # Time for what a dependency should have silenced.
        time.sleep(3 * POLL)
        assert [row["name"] for row in problems(monitored, fault.host)] == [problem["name"]]
    monitored.wait(lambda: not problems(monitored, fault.host), 120, f"the end of the alarm {alert.key}")


def check_words(stack: Any, alert: Any, problem: dict[str, Any]) -> None:
    severities = {"INFO": "1", "WARNING": "2", "AVERAGE": "3", "HIGH": "4"}
    words = re.split(r"\{[^}]*\}+", alert.event)[0].strip()
    assert words in problem["name"]
    assert problem["severity"] == severities[alert.severity]
    assert {"tag": "scope", "value": alert.scope} in problem["tags"]
    (trigger,) = stack.api.trigger.get(triggerids=[problem["objectid"]], output="extend", expandDescription=True)
    for text in (problem["name"], problem["opdata"], trigger["description"]):
        assert "{" not in text.replace("{$", "" if "{$NVIDIA.GPU.WATCH}" in text else "{$"), text
        assert "*UNKNOWN*" not in text
    if alert.entity == "gpu":
        assert {tag["tag"] for tag in problem["tags"]} >= {"gpu", "model", "component"}


def test_one_dead_driver_is_one_problem(monitored: Any) -> None:
    """Eight GPUs, one fault."""
    with broken(monitored, FAULTS["driver"]):
        monitored.wait(lambda: problems(monitored, "gpu-server"), 60, "the driver's alarm")
        time.sleep(3 * POLL)
        (problem,) = problems(monitored, "gpu-server")
        assert "Driver not loaded" in problem["opdata"]
    monitored.wait(lambda: not problems(monitored, "gpu-server"), 60, "its end")


def test_live_values_move(monitored: Any) -> None:
    """The profile's clock runs again, and so do the items."""
    (metric,) = (metric for metric in GPU_METRICS if metric.key == "temperature" and metric.storage == LIVE)

    def value() -> list[str]:
        return sorted(
            item["lastvalue"] for key, item in items(monitored, "gpu-server").items() if metric.item_key + "[" in key
        )

    before = value()
    monitored.reset_profile("gpu-server")
    try:
        monitored.wait(lambda: value() != before, 60, "temperatures that move")
    finally:
        monitored.set_profile("gpu-server", "machine", clock=FROZEN)
