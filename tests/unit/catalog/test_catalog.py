"""The catalog is consistent in itself and with the driver."""

from __future__ import annotations

import inspect
import json
import re

import pytest

from scripts.generate import coverage
from tests.conftest import REPOSITORY
from zbx_nvidia.catalog import status
from zbx_nvidia.catalog.alerts import ALERTS, BY_KEY, Alert
from zbx_nvidia.catalog.entities import ENTITIES, METRICS
from zbx_nvidia.catalog.graphs import GRAPHS, VALUEMAPS
from zbx_nvidia.catalog.macros import MACROS
from zbx_nvidia.catalog.metrics import GPU_METRICS, GROUPS, HOST_METRICS, Metric
from zbx_nvidia.catalog.sampled import (
    BUFFERED_METRICS,
    BUFFERED_READERS,
    GPM_READERS,
    GPU_ITEMS,
    SAMPLED_METRICS,
    SAMPLED_READERS,
)
from zbx_nvidia.catalog.xid import XIDS, kind_of
from zbx_nvidia.collector.processes import Listing
from zbx_nvidia.driver import buffers, gpm, usage
from zbx_nvidia.driver.device import Device
from zbx_nvidia.driver.gpm import METRICS as GPM
from zbx_nvidia.driver.parts import Fan, MigInstance, Vgpu
from zbx_nvidia.driver.sampling import Probe

REFS = {metric.ref: metric for metric in METRICS}


# What an entity is in the driver; the others are no objects with readers.
OF_DRIVER = {"fan": Fan, "mig": MigInstance, "vgpu": Vgpu}
# What a GPU consists of, and what its links are read by.
LISTS = {"fans", "fan_speeds", "fan_rpms", "mig_instances", "vgpu_instances", "link", "links"}


def test_keys_and_names_are_unique() -> None:
    for rows in (HOST_METRICS, GPU_ITEMS, *(entity.metrics for entity in ENTITIES)):
        assert len({metric.ref for metric in rows}) == len(rows)
        assert len({metric.name for metric in rows}) == len(rows)
    assert len({alert.name for alert in ALERTS}) == len(ALERTS), "headings of docs/ALERTS.md"


READ = [(Device, metric) for metric in (*GPU_METRICS, *BUFFERED_METRICS) if hasattr(Device, metric.reader)] + [
    (OF_DRIVER[entity.name], metric)
    for entity in ENTITIES
    if entity.name in OF_DRIVER
    for metric in entity.metrics
    if metric.reader not in GPM_READERS
]


@pytest.mark.parametrize(("thing", "metric"), READ, ids=lambda value: getattr(value, "ref", ""))
def test_every_reader_is_a_method_of_what_it_reads(thing: type, metric: Metric) -> None:
    """And what it returns has the row's field."""
    method = getattr(thing, metric.reader)
    returned = inspect.signature(method, eval_str=True).return_annotation
    if metric.field:
        assert metric.field in returned._fields
    else:
        assert not hasattr(returned, "_fields")


def test_every_device_method_is_read_by_a_row() -> None:
    identity = {"fan": set(), "mig": {"uuid", "gpu_instance", "compute_instance"}, "vgpu": {"uuid"}}
    for entity in ENTITIES:
        if entity.name in OF_DRIVER:
            read = methods(OF_DRIVER[entity.name]) - identity[entity.name]
            assert read == {metric.reader for metric in entity.metrics} - set(GPM_READERS), entity.name
    listed = methods(Listing)
    assert methods(Device) - LISTS | listed == {metric.reader for metric in GPU_METRICS} | set(BUFFERED_READERS)


def methods(thing: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(thing, inspect.isfunction) if not name.startswith("_")}


def test_every_sampled_reader_is_a_method_of_the_probe() -> None:
    """And the other way round; XIDs and jobs are not sampled."""
    readers = methods(Probe) - {"begin"}
    assert {f"sampled_{name}" for name in readers} == set(SAMPLED_READERS) - {"xid", "job_last", *GPM_READERS}
    assert {f"gpm_{name}" for name in GPM} == set(GPM_READERS)
    assert not set(SAMPLED_READERS) & {metric.reader for metric in GPU_METRICS}


def test_a_reader_lies_in_one_group() -> None:
    """A group's switch must not tear a reader apart."""
    for reader in {metric.reader for metric in (*GPU_METRICS, *SAMPLED_METRICS)}:
        assert len({metric.group for metric in (*GPU_METRICS, *SAMPLED_METRICS) if metric.reader == reader}) == 1


def test_a_code_stands_in_one_pattern_and_patterns_match_what_they_should() -> None:
    macros = {macro.name: macro.value for macro in MACROS if ".XID." in macro.name}
    for xid in XIDS:
        alone, among = f",{xid.code},", f",13,{xid.code},31,"
        for kind in ("reset", "restart", "support"):
            pattern = macros[f"$NVIDIA.XID.{kind.upper()}"]
            assert bool(re.search(pattern, alone)) == bool(re.search(pattern, among)) == (xid.kind.key == kind)
        assert bool(re.search(macros["$NVIDIA.XID.INFO"], among)) == xid.notify
        assert bool(re.search(macros["$NVIDIA.XID.FABRIC"], alone)) == (xid.code == 45)
        assert not re.search(macros["$NVIDIA.XID.FABRIC"], among)
    for code in range(1, 20_000):
        for kind in ("reset", "restart", "support"):
            found = re.search(macros[f"$NVIDIA.XID.{kind.upper()}"], f",{code},")
            assert bool(found) == (kind_of(code).key == kind), "also of a code that nobody knows yet"
    for pattern in macros.values():
        assert len(pattern) <= 2048, "what Zabbix takes"
        for text in (",", ",13,31,43,", ",13,"):
            assert not re.search(pattern, text), "what raises no alert"


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.ref)
def test_a_row_is_complete(metric: Metric) -> None:
    assert metric.text.endswith(".")
    assert metric.kind in {"UNSIGNED", "FLOAT", "CHAR", "TEXT"}
    assert metric.unit in {"", "%", "B", "W", "Bps", "J", "Hz", "°C", "s", "unixtime", "!fps", "!rpm"}
    assert not metric.unit or metric.kind in {"UNSIGNED", "FLOAT"}
    assert metric.group in {group.name for group in GROUPS} | {""}
    assert not metric.valuemap or metric.valuemap in {*VALUEMAPS, "NVIDIA driver status"}
    assert re.fullmatch(r"nvidia\.[a-z0-9_.]+", metric.item_key)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.ref)
def test_a_number_has_the_range_that_it_can_have(metric: Metric) -> None:
    if metric.kind in {"CHAR", "TEXT"}:
        assert metric.range is None
        return
    assert metric.range is not None
    low, high = metric.range
    assert low < high
    assert high < 2**63 or metric.kind == "FLOAT"
    assert low >= 0 or metric.kind == "FLOAT", "Zabbix stores no unsigned number below 0"
    assert set(metric.of) <= {row.key for row in METRICS if row.entity == metric.entity}


def test_the_drivers_own_filters_are_those_of_the_catalog() -> None:
    """One sample that cannot be would spoil an average that can."""
    for name, (_, highest, in_base_units) in buffers.KINDS.items():
        assert REFS[f"gpu.{name}"].range == (0, in_base_units(highest))
    assert {REFS[f"gpu.gpm_{name}"].range for name in GPM} == {(0, gpm.HIGHEST)}
    assert REFS["gpu.utilization"].range == (0, usage.WHOLE)


def test_what_has_to_last_is_asked_for_at_the_beginning_of_its_period_too() -> None:
    """One value after a gap, or on a new host, is all that is in the period then."""
    lasting = [alert for alert in ALERTS if "avg(" not in alert.expression and "PERIOD" in alert.expression]
    for alert in lasting:
        for period in re.findall(r"(?:min|max)\(@[a-z_.]+,(\{\$NVIDIA\.[A-Z.]+\.PERIOD\})\)", alert.expression):
            assert f",#1:now-{period})" in alert.expression, alert.key
    assert len(lasting) > 10


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.key)
def test_an_alert_is_complete(alert: Alert) -> None:
    assert BY_KEY[alert.key] is alert
    assert alert.why.endswith(".")
    assert alert.action.endswith(".")
    assert "@" in alert.expression
    refs = set(re.findall(r"@([a-z_.]+)", alert.expression + alert.recovery + alert.event))
    assert refs <= set(REFS)
    assert {REFS[ref].entity for ref in refs} <= ({"", "host", "status", "collector"} | {alert.entity})
    functions = re.findall(r"@([a-z_.]+)", alert.expression)
    for place in re.findall(r"\{ITEM\.LASTVALUE(\d)\}", alert.opdata):
        shown = REFS[functions[int(place) - 1]]
        assert shown.kind != "CHAR" or shown.key in {"vbios", "driver_version"}, "Zabbix cuts it after 20 characters"
    for other in alert.depends:
        # With a discovered trigger that depends on one of the host, Zabbix 7.0.22 lets nobody unlink and clear.
        assert BY_KEY[other].entity == alert.entity
        # Zabbix can make no trigger that depends on one that the card does not have.
        assert alert.entity == "host" or of_gpu(BY_KEY[other]) <= of_gpu(alert)


def test_what_an_event_name_shows_exists_where_the_alert_does() -> None:
    """Zabbix writes *UNKNOWN* for an item that the card lacks."""
    shown = set()
    for path in sorted((REPOSITORY / "tests/golden").glob("*.json")):
        for readings in json.loads(path.read_text(encoding="utf-8"))["gpus"].values():
            for alert in ALERTS:
                needed = set(re.findall(r"@gpu\.([a-z_]+)", alert.expression))
                if alert.entity == "gpu" and needed <= set(readings):
                    named = set(re.findall(r"@gpu\.([a-z_]+)", alert.event))
                    assert named <= set(readings), f"{path.stem}: {alert.key}"
                    shown |= named - needed
    assert shown == {"job", "temperature", "nvlink_down", "nvlink_links"}


def of_gpu(alert: Alert) -> set[tuple[str, str]]:
    """What a GPU must give for it to have this alert: readers with their groups."""
    refs = re.findall(r"@(gpu\.[a-z_.]+)", alert.expression + alert.recovery)
    return {(REFS[ref].reader, REFS[ref].group) for ref in refs}


def test_dependencies_have_no_loop() -> None:
    order = [alert.key for alert in ALERTS]
    for alert in ALERTS:
        assert all(order.index(other) < order.index(alert.key) for other in alert.depends)


def test_macros_are_used_and_used_macros_exist() -> None:
    rows = {macro.name for macro in MACROS}
    used = set()
    for alert in ALERTS:
        used |= set(re.findall(r"\{(\$NVIDIA\.[A-Z.]+)\}", alert.expression + alert.recovery))
    used |= {f"$NVIDIA.{name}" for name in ("INTERVAL", "LINKS.INTERVAL", "DOCS.URL")}
    filters = {name for name in rows if "MATCHES" in name}
    assert rows - filters == used


def test_graphs_show_metrics_of_one_unit() -> None:
    for graph in GRAPHS:
        assert len({REFS[line.metric].unit for line in graph.lines}) == 1
        assert not graph.top or REFS[graph.top].unit == REFS[graph.lines[0].metric].unit


def test_no_status_code_stands_twice() -> None:
    assert len(status.BY_CODE) == len(status.STATUSES)
    assert status.OK.code == 0


def test_coverage_names_what_exists_and_gives_a_reason_for_what_does_not() -> None:
    assert len(coverage.METRICS) == 83
    assert len(coverage.ALERTS) >= 24
    for rows, known in ((coverage.METRICS, set(REFS)), (coverage.ALERTS, set(BY_KEY))):
        assert len({row.name for row in rows}) == len(rows)
        for row in rows:
            assert set(row.served) <= known, row.name
            assert row.served or row.why, row.name


def test_every_alert_is_in_the_coverage() -> None:
    assert {key for row in coverage.ALERTS for key in row.served} == set(BY_KEY)
