"""The templates: their references, names and patterns. Whether Zabbix takes them, the integration tests know."""

from __future__ import annotations

import fnmatch
import json
import re
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.unit.template.files import exported, parse, template_text
from tests.unit.test_docs import anchors
from zbx_nvidia.catalog import status
from zbx_nvidia.catalog.alerts import ALERTS, BY_KEY
from zbx_nvidia.catalog.entities import ENTITIES
from zbx_nvidia.catalog.metrics import HOST_METRICS, PRESENT
from zbx_nvidia.catalog.sampled import GPM_METRICS, GPU_ITEMS, SAMPLED_METRICS, SERVICE, SERVICE_READERS
from zbx_nvidia.collector.document import Collection, Gpu, Part, build
from zbx_nvidia.errors import UsageError
from zbx_nvidia.template import SERIES, VARIANTS, document, render
from zbx_nvidia.template.build import override_pattern
from zbx_nvidia.template.names import GPU_PREFIX, PREFIXES, TRIGGER_PREFIXES, anchor

ROOT = Path(__file__).parents[3]
COMBINATIONS = [(series, variant) for series in SERIES for variant in VARIANTS]


@pytest.fixture(scope="module", params=COMBINATIONS, ids="-".join)
def export(request: pytest.FixtureRequest) -> dict[str, Any]:
    return exported(*request.param)


def walk(tree: Any) -> Any:
    """Every object in a tree."""
    if isinstance(tree, dict):
        yield tree
        for child in tree.values():
            yield from walk(child)
    elif isinstance(tree, list):
        for child in tree:
            yield from walk(child)


def rules(export: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = export["templates"][0]["discovery_rules"]
    return found


def triggers(export: dict[str, Any]) -> list[dict[str, Any]]:
    return [node for node in walk(export) if "expression" in node and "uuid" in node]


@pytest.mark.slow
@pytest.mark.once
def test_generated_files_are_what_the_catalog_generates() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.generate", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.once
@pytest.mark.parametrize(("series", "variant"), COMBINATIONS)
def test_what_a_server_gets_is_the_file(series: str, variant: str) -> None:
    assert render(series, variant) == template_text(series, variant)
    # What install-template sends is what the file says.
    assert document(series, variant) == parse(template_text(series, variant))


def test_the_wheel_carries_the_files_of_the_repository() -> None:
    import zbx_nvidia  # noqa: PLC0415

    data = Path(zbx_nvidia.__file__).parent / "data"
    for folder in ("templates/zabbix", "userparameters"):
        ours = {
            path.relative_to(ROOT / folder): path.read_text() for path in (ROOT / folder).rglob("*.*") if path.is_file()
        }
        theirs = {
            path.relative_to(data / folder): path.read_text() for path in (data / folder).rglob("*.*") if path.is_file()
        }
        assert ours == theirs
        assert ours


@pytest.mark.slow
def test_uuids_are_version_4_and_unique(export: dict[str, Any]) -> None:
    found = [node["uuid"] for node in walk(export) if "uuid" in node]
    assert len(set(found)) == len(found)
    for text in found:
        assert uuid.UUID(text).version == 4
        assert uuid.UUID(text).variant == uuid.RFC_4122


def test_uuids_of_all_series_are_the_same() -> None:
    """An upgrade of the server must find the same objects."""
    for variant in VARIANTS:
        by_series = []
        for series in SERIES:
            tree = exported(series, variant)["templates"][0]
            by_series.append(
                {(node.get("key"), node["uuid"]) for node in walk(tree) if "uuid" in node and "key" in node}
            )
        assert all(found == by_series[0] for found in by_series)
        assert len(by_series[0]) > 40


@pytest.mark.slow
def test_every_reference_is_answered(export: dict[str, Any]) -> None:
    template = export["templates"][0]
    keys = {node["key"] for node in walk(template) if "key" in node and "uuid" in node}
    known = {(trigger["name"], trigger["expression"]) for trigger in triggers(export)}
    named = 0
    for trigger in triggers(export):
        for part in (trigger["expression"], trigger.get("recovery_expression", ""), trigger.get("event_name", "")):
            assert "@" not in part
            for host, key in re.findall(r"[(]/([^/]*)/(nvidia[a-z0-9_.]*(?:\[[^\]]*\])?)", part):
                assert host in ("", template["name"])
                assert key in keys, part
                named += 1
        for dependency in trigger.get("dependencies", []):
            assert (dependency["name"], dependency["expression"]) in known
    assert named > 20
    for node in walk(template):
        if set(node) == {"host", "key"}:
            assert node["host"] == template["name"]
            assert node["key"] in keys
        if set(node) == {"host", "name"}:
            assert node["name"] in {
                graph["name"] for rule in rules(export) for graph in rule.get("graph_prototypes", [])
            }
        if "valuemap" in node:
            assert node["valuemap"]["name"] in {valuemap["name"] for valuemap in template["valuemaps"]}


def test_no_macro_with_a_context_stands_in_quotes(export: dict[str, Any]) -> None:
    """Zabbix refuses the expression: a context is quoted too."""
    for trigger in triggers(export):
        for text in (trigger["expression"], trigger.get("recovery_expression", "")):
            assert not re.search(r'"\{\$NVIDIA[A-Z.]*:"', text), text


def test_every_macro_has_a_default(export: dict[str, Any]) -> None:
    template = export["templates"][0]
    there = {macro["macro"] for macro in template["macros"]}
    users = json.dumps([template["items"], template["discovery_rules"], export["triggers"]])
    # A macro with context falls back to the one without.
    used = {f"{{{name}}}" for name in re.findall(r"\{(\$NVIDIA[A-Z0-9_.]*)", users)}
    assert used == there


def test_every_path_finds_something_in_a_document(
    export: dict[str, Any], golden_documents: list[dict[str, Any]]
) -> None:
    """Each JSONPath of the template, resolved against what the collector says of the simulated cards."""
    template = export["templates"][0]
    for node in walk(template):
        if node.get("key") == "nvidia.gpu.present[{#UUID}]" or "preprocessing" not in node:
            continue
        path = node["preprocessing"][0]["parameters"][0]
        assert any(resolves(path, document) for document in golden_documents), f"{node['key']}: {path}"


def resolves(path: str, document: dict[str, Any]) -> bool:
    rows = [row for rows in document["discovery"].values() for row in rows]
    for row in rows:
        filled = path
        for macro, value in row.items():
            filled = filled.replace(macro, value)
        if "{#" in filled:
            continue
        node: Any = document
        for name, quoted, place in re.findall(r"\.([a-z0-9_]+)|\['([^']+)'\]|\[(\d+)\]", filled.removeprefix("$")):
            if isinstance(node, list):
                node = node[int(place)]
            else:
                node = node.get(name or quoted) if isinstance(node, dict) else None
        if node is not None:
            return True
    return False


@pytest.fixture(scope="module")
def golden_documents() -> list[dict[str, Any]]:
    documents = [
        json.loads(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "tests/golden").rglob("*.json"))
    ]
    assert len(documents) >= 4
    # No process of a simulated card runs on this machine: whose they are and since when, only this one knows. And what
    # a poll cannot see, only the service writes: tests/unit/collector/resident shows that it does.
    process = {"pid": 4711, "type": "C", "memory": 1, "uid": 0, "age": 5, "utilization": 7}
    sampled = {metric.key: 0 for metric in SAMPLED_METRICS}
    readings = {"uuid": "GPU-0", "asleep": 0, "process_oldest": 5, "process_list": [process], **sampled}
    readings |= {"job": [{"id": "4711", "since": 5}], "job_since": 5}
    instance = Part({"{#MIG}": "MIG-0"}, {metric.key: 0 for metric in GPM_METRICS}, ())
    gpu = Gpu(0, "ok", readings, {"mig": (instance,)}, (), ())
    logged = {
        metric.key: 0
        for metric in HOST_METRICS
        if metric.key.startswith(("sxid", "xid")) or metric.key in {"gpus_bound", "gpus_asleep"}
    }
    made = build(Collection(status.OK, "", logged, 1, [gpu], [], [], {0: "root"}, "oneshot", 0.1))
    return [*documents, made]


@pytest.mark.slow
@pytest.mark.once
def test_an_override_hits_its_own_prototypes_and_no_other(export: dict[str, Any]) -> None:
    """For every pair of override and prototype, with a model name made to trap a loose pattern."""
    row = {
        "{#INDEX}": "12",
        "{#MODEL}": "RTX: Fan speed: Temperature Temperature",
        "{#SHORT}": "0a1b2c3d",
        "{#FAN}": "1",
        "{#GI}": "1",
        "{#CI}": "0",
        "{#PROFILE}": "1g.10gb",
        "{#VM}": "desktop: Profile",
        "{#USER}": "somebody",
        "{#LINK}": "17",
    }
    pairs = 0
    for rule in rules(export):
        metrics = {
            "nvidia.gpu.discovery": GPU_ITEMS,
            **{f"nvidia.{entity.name}.discovery": entity.metrics for entity in ENTITIES},
        }[rule["key"]]
        own = {metric.item_key: metric for metric in (*metrics, PRESENT)}
        for override in of_items(rule):
            pattern = override["operations"][0]["value"]
            assert len(pattern) <= 255, "what Zabbix takes"
            (own_of,) = {
                (metric.reader, metric.group)
                for metric in metrics
                if override_pattern(metric.reader, metric.group, metrics) == pattern
            }
            assert override["name"].rpartition(": ")[2] == ", ".join(part for part in own_of[::-1] if part)
            for prototype in rule["item_prototypes"]:
                name = prototype["name"]
                for macro, value in row.items():
                    name = name.replace(macro, value)
                metric = own[prototype["key"].partition("[")[0]]
                hit = re.search(pattern, name) is not None
                assert hit == ((metric.reader, metric.group) == own_of), f"{override['name']} and {name}"
                pairs += 1
    assert pairs > 500


def of_items(rule: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in rule["overrides"] if one["operations"][0]["operationobject"] == "ITEM_PROTOTYPE"]


def test_a_host_without_the_service_gets_no_item_of_what_only_that_knows(export: dict[str, Any]) -> None:
    """By one token: named one by one they are a sixth of what a poll says that eight cards lack."""
    left_out = set()
    for rule in rules(export):
        for override in of_items(rule):
            lacking = [one for one in override["filter"]["conditions"] if one["macro"] == "{#LACKS}"]
            reader = re.split(", |: ", override["name"])[-1]
            assert all(re.search(one["value"], f",lowest,{reader},") for one in lacking)
            assert not any(re.search(one["value"], f",a{reader},{SERVICE}s,") for one in lacking)
            if any(re.search(one["value"], f",lowest,{SERVICE},") for one in lacking):
                left_out.add(reader)
    assert left_out == SERVICE_READERS
    assert {"xid", "job_last", "gpm_sm", "sampled_pcie_sent"} <= left_out
    assert not left_out & {"sampled_power", "power", "process_oldest"}


def test_a_card_with_both_limits_gets_the_alert_on_its_temperature(export: dict[str, Any]) -> None:
    """As driver 580 has them for an H100: two alarms would say the same."""
    (rule,) = (rule for rule in rules(export) if rule["key"] == "nvidia.gpu.discovery")
    (override,) = (override for override in rule["overrides"] if override not in of_items(rule))
    assert [int(one["step"]) for one in rule["overrides"]] == [*range(1, len(rule["overrides"]) + 1)]
    (condition,) = override["filter"]["conditions"]
    assert (condition["macro"], condition["operator"]) == ("{#LACKS}", "NOT_MATCHES_REGEX")
    assert re.search(condition["value"], ",fan_speed,temperature_slowdown,xid,")
    assert not re.search(condition["value"], ",fan_speed,temperature_slowdown_margin,xid,")
    (operation,) = override["operations"]
    assert operation["operationobject"] == "TRIGGER_PROTOTYPE"
    names = [
        node["name"] for node in walk(rule) if "expression" in node and re.search(operation["value"], node["name"])
    ]
    assert [name.rpartition(": ")[2] for name in names] == [BY_KEY["temperature_margin"].name]


def test_every_prototype_but_presence_can_be_left_out(export: dict[str, Any]) -> None:
    for rule in rules(export):
        patterns = [override["operations"][0]["value"] for override in of_items(rule)]
        for prototype in rule["item_prototypes"]:
            hits = [pattern for pattern in patterns if re.search(pattern, prototype["name"])]
            assert len(hits) == (0 if "present" in prototype["key"] else 1), prototype["name"]


def test_conditions_name_only_macros_that_every_row_carries(
    export: dict[str, Any], golden_documents: list[dict[str, Any]]
) -> None:
    for rule in rules(export):
        rows = {
            "nvidia.gpu.discovery": "gpus",
            **{f"nvidia.{entity.name}.discovery": entity.section for entity in ENTITIES},
        }[rule["key"]]
        named = {node["macro"] for node in walk([rule["filter"], rule["overrides"]]) if "formulaid" in node}
        carried = [set(row) for document in golden_documents for row in document["discovery"].get(rows, [])]
        assert carried
        for row in carried:
            assert named <= row


def test_names_carry_their_prefix(export: dict[str, Any]) -> None:
    for rule in rules(export):
        entity = rule["key"].split(".")[1]
        for kind in ("item_prototypes", "trigger_prototypes", "graph_prototypes"):
            prefix = TRIGGER_PREFIXES["gpu"] if kind == "trigger_prototypes" else PREFIXES[entity]
            for node in rule.get(kind, []):
                assert node["name"].startswith(prefix)
                assert ("{#SHORT}" in node["name"]) == (entity != "user")
                # Which card it is must be in a problem; a legend has no room for it.
                assert ("{#MODEL}" in node["name"]) == (kind == "trigger_prototypes")


def test_only_the_masters_are_polled_and_that_of_the_links_not_by_default(export: dict[str, Any]) -> None:
    template = export["templates"][0]
    masters = {"nvidia.get": None, "nvidia.links.get": "DISABLED"}
    for node in walk(template):
        if "key" in node and "uuid" in node and node["key"] not in masters:
            assert node["type"] == "DEPENDENT"
            own = "nvidia.links.get" if node["key"].startswith("nvidia.link.") else "nvidia.get"
            assert node["master_item"] == {"key": own}
    active = template["name"].endswith("active")
    for key, state in masters.items():
        master = next(item for item in template["items"] if item["key"] == key)
        assert master["history"] == "0"
        assert master.get("status") == state
        assert master.get("type") == ("ZABBIX_ACTIVE" if active else None)


def test_widgets_do_not_overlap_and_fit(export: dict[str, Any]) -> None:
    columns = 24 if export["version"] == "6.0" else 72
    for page in export["templates"][0]["dashboards"][0]["pages"]:
        taken: set[tuple[int, int]] = set()
        for widget in page["widgets"]:
            x, y = int(widget.get("x", 0)), int(widget.get("y", 0))
            cells = {
                (x + dx, y + dy) for dx in range(int(widget["width"])) for dy in range(int(widget.get("height", 2)))
            }
            assert not taken & cells
            assert max(cell[0] for cell in cells) < columns
            taken |= cells


def test_widgets_show_gpus_and_not_their_parts(export: dict[str, Any]) -> None:
    fields = [field for page in export["templates"][0]["dashboards"][0]["pages"] for field in walk(page["widgets"])]
    patterns = [field["value"] for field in fields if re.search(r"(^|\.)items\.", str(field.get("name")))]
    assert bool(patterns) == (export["version"] != "6.0")
    gpu = {"{#INDEX}": "0", "{#MODEL}": "A10", "{#SHORT}": "012e4e3f"}
    part = {"{#VM}": "desktop-01", "{#GI}": "2", "{#CI}": "0", "{#PROFILE}": "3g.40gb", "{#FAN}": "1", "{#LINK}": "4"}
    for pattern in patterns:
        found = pattern.partition(": ")[2]
        for entity, prefix in {"gpu": GPU_PREFIX, **PREFIXES}.items():
            name = prefix + found
            for macro, value in {**gpu, **part}.items():
                name = name.replace(macro, value)
            hit = fnmatch.fnmatchcase(name, pattern.replace("]", "[]]"))
            means = {"GPU *]": "gpu", "GPU 0 *]": "gpu", "User *": "user", "GPU * MIG *": "mig"}
            assert hit == (means.get(pattern.partition(": ")[0]) == entity), f"{pattern}: {name}"


def test_a_tile_of_power_has_a_decimal(export: dict[str, Any]) -> None:
    """Zabbix divides by 1000: 1,600 W would be 2 KW."""
    found = set()
    for page in export["templates"][0]["dashboards"][0]["pages"]:
        for widget in page["widgets"]:
            if widget["type"].lower() == "item":
                fields = {field["name"]: field["value"] for field in widget["fields"]}
                found.add((widget["name"], fields["decimal_places"]))
    assert {name for name, decimals in found if decimals != "0"} == {"Power draw"}
    assert ("GPUs present", "0") in found


def test_a_problem_links_to_its_heading_or_to_nvidia(export: dict[str, Any]) -> None:
    """Without an address in the macro Zabbix shows no link. Only from 7.0 on it can add the heading."""
    headings = anchors(ROOT / "docs" / "ALERTS.md")
    assert set(headings) >= {anchor(alert.name) for alert in ALERTS}
    for trigger in triggers(export):
        url = trigger["url"]
        if export["version"] == "6.0":
            assert "url_name" not in trigger
            assert url == "{$NVIDIA.DOCS.URL}" or url.startswith("https://docs.nvidia.com/")
        elif match := re.fullmatch(r'\{\{\$NVIDIA\.DOCS\.URL\}\.regsub\("\^\(\.\+\)\$","\\1#(.+)"\)\}', url):
            assert match[1] in headings
            assert trigger["url_name"] == "What to do"
        else:
            assert url.startswith("https://docs.nvidia.com/")
            assert trigger["url_name"] == "NVIDIA's documentation"


def test_what_can_stay_open_by_itself_can_be_closed(export: dict[str, Any]) -> None:
    closable = {trigger["name"].rpartition("]: ")[2] for trigger in triggers(export) if "manual_close" in trigger}
    assert closable == {alert.name for alert in ALERTS if alert.closable}
    # The others end as soon as their expression is false: Zabbix would raise one that is closed earlier again.
    assert all(alert.recovery for alert in ALERTS if alert.closable)


def test_a_graph_cuts_nothing_off(export: dict[str, Any]) -> None:
    """A user has several GPUs; a temperature and headroom can be below 0."""
    metrics = {metric.name: metric for metric in GPU_ITEMS}
    looked_at = set()
    for page in export["templates"][0]["dashboards"][0]["pages"]:
        for widget in page["widgets"]:
            fields = {field["name"]: field["value"] for field in widget["fields"]}
            title = widget.get("name", "").removesuffix(": selected cell")
            if widget["type"] != "svggraph":
                continue
            if title.startswith("Users: "):
                assert "lefty_max" not in fields
            if title in metrics:
                looked_at.add(title)
                assert ("lefty_min" in fields) == ("headroom" not in title and metrics[title].unit != "°C"), title
                assert ("lefty_max" in fields) == (metrics[title].unit == "%"), title
    assert len(looked_at) > 20 or export["version"] == "6.0"


def test_unknown_series_and_variant_are_refused() -> None:
    with pytest.raises(UsageError, match=r"no template for Zabbix 5\.0"):
        render("5.0", "passive")
    with pytest.raises(UsageError, match="no variant both"):
        render("7.0", "both")
