"""Updates of the template on real servers, and what people set on hosts that have it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from tests.integration.server import HOST, MACRO, SICK, TEMPLATE, Server, add_host, older, own_trigger
from tests.unit.template.files import parse
from zbx_nvidia.server import inherited, merge, templates

pytestmark = pytest.mark.integration


# Of each kind, what a person can set on a host, and an import resets on 6.0 or 7.0.
SETTABLE: dict[str, tuple[str, str, dict[str, Any]]] = {
    "item": (
        "item",
        "itemid",
        {
            "status": "1",
            "history": "5d",
            "trends": "6d",
            "description": "mine",
            "tags": [{"tag": "a", "value": "b"}],
        },
    ),
    "discovery rule": ("discoveryrule", "itemid", {"status": "1", "lifetime": "55d", "description": "mine"}),
    "item prototype": (
        "itemprototype",
        "itemid",
        {
            "status": "1",
            "discover": "1",
            "history": "5d",
            "trends": "6d",
            "description": "mine",
            "tags": [{"tag": "a", "value": "b"}],
        },
    ),
    "trigger": (
        "trigger",
        "triggerid",
        {
            "status": "1",
            "priority": "5",
            "comments": "mine",
            "url": "http://mine",
            "type": "1",
            "opdata": "mine",
            "event_name": "mine",
            "tags": [{"tag": "a", "value": "b"}],
        },
    ),
    "trigger prototype": (
        "triggerprototype",
        "triggerid",
        {
            "status": "1",
            "discover": "1",
            "priority": "5",
            "comments": "mine",
            "url": "http://mine",
            "type": "1",
            "tags": [{"tag": "a", "value": "b"}],
        },
    ),
    "graph prototype": ("graphprototype", "graphid", {"discover": "1"}),
}


def set_on_host(server: Server, hostid: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Sets every field of one object of each kind; what they have then, by kind and id."""
    for api, identity, fields in SETTABLE.values():
        number = {"filter": {"value_type": "3"}} if "trends" in fields else {}  # text has no trends
        row = server.api.do_request(f"{api}.get", {"hostids": hostid, "output": [identity], **number})["result"][0]
        server.api.do_request(f"{api}.update", {identity: row[identity], **fields})
    return on_host(server, hostid)


def on_host(server: Server, hostid: str) -> dict[tuple[str, str], dict[str, Any]]:
    found = {}
    for kind, (api, identity, fields) in SETTABLE.items():
        request = {"hostids": hostid, "output": [identity, *(field for field in fields if field != "tags")]}
        tags = {"selectTags": ["tag", "value"]} if "tags" in fields else {}
        for row in server.api.do_request(f"{api}.get", {**request, **tags})["result"]:
            found[kind, row[identity]] = row
    return found


@pytest.mark.parametrize("through", ["directly", "through a template"])
def test_what_people_set_on_a_host_survives_an_update(server: Server, through: str) -> None:
    """Every field of every kind, while each kind changes in the template."""
    server.install(older(server.text()))
    if through == "directly":
        add_host(server)
    else:
        server.company_template()
    hostid = server.host()["hostid"]
    before = set_on_host(server, hostid)
    changed = (
        server.text()
        .replace("description: 'Whether", "description: 'Now whether")
        .replace(": Fan speed'", ": Fan speed now'")
    )
    with server.connect() as zabbix:
        plan = templates.plan_install(zabbix, parse(older(changed).replace("0.0.9", "0.0.10")))
        assert not plan.refusal
        named = {(kept.kind, kept.name.rpartition(": ")[2]) for kept in plan.kept if not kept.option}
        plan.apply()
    after = on_host(server, hostid)
    assert {key: after[key] for key in before} == before
    rules = inherited.needed(plan.changes)
    assert named == {
        (kind, field)
        for kind, (_, _, fields) in SETTABLE.items()
        for field in fields
        if inherited.KINDS[kind].rule in rules
    }
    out = server.zbx_nvidia.ok("install-template")
    assert "  kept, whatever the options:\n" in out
    after = on_host(server, hostid)
    assert {key: after[key] for key in before} == before
    assert "  nothing changes\n" in server.zbx_nvidia.ok("install-template")


def test_an_import_leaves_out_what_does_not_change(server: Server) -> None:
    """The value of a macro alone: no rule touches what is inherited, so nothing must be restored."""
    server.install(server.text())
    add_host(server)
    before = set_on_host(server, server.host()["hostid"])
    server.api.usermacro.update(hostmacroid=server.macro()["hostmacroid"], value="42m")
    with server.connect() as zabbix:
        plan = templates.plan_install(zabbix, parse(server.text()), overwrite=True)
        assert [(change.kind, change.field) for change in plan.changes] == [("macro", "value")]
        assert not plan.kept
        plan.apply()
    assert server.macro()["value"] != "42m"
    assert on_host(server, server.host()["hostid"]) == before


# From a release to the next one


def next_release(text: str) -> str:
    """The template as a later release may have it: a default, a switch, an item, an alert and a macro differ."""
    text = text.replace("version: 0.1.0", "version: 0.2.0").replace("zbx-nvidia 0.1.0.", "zbx-nvidia 0.2.0.")
    document = parse(text)
    template = document["templates"][0]
    macros = {macro["macro"]: macro for macro in template["macros"]}
    macros[MACRO]["value"] = "8m"
    macros["{$NVIDIA.INTERVAL}"]["value"] = "2m"
    template["macros"] = [macro for name, macro in macros.items() if name != RETIRED_MACRO]
    items = {item["key"]: item for item in template["items"]}
    del items["nvidia.collector.driver_time"]
    items["nvidia.collector.driver_cpu"]["status"] = "DISABLED"
    new = {"uuid": "0123456789ab4def8123456789abcdef", "name": "NVIDIA: New", "type": "TRAP", "key": "nvidia.new"}
    template["items"] = [*items.values(), {**new, "delay": "0"}]
    rule = next(rule for rule in template["discovery_rules"] if rule["key"] == "nvidia.gpu.discovery")
    # An alert that the later release drops, beside which its successor would stay. No other one depends on it.
    alerts = rule["trigger_prototypes"]
    needed = json.dumps([alert.get("dependencies") for alert in alerts])
    alerts.remove(next(alert for alert in alerts if json.dumps(alert["name"]) not in needed))
    return as_yaml(document)


def as_yaml(document: Any) -> str:
    """What `parse` reads. In C, where there is that: it takes a tenth of the time."""
    return yaml.dump({"zabbix_export": document}, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper))


RETIRED_MACRO = "{$NVIDIA.PCIE.PERIOD}"


def records(text: str) -> dict[str, merge.Shipped]:
    return {"0.1.0": merge.shipped(parse(text))}


def test_an_update_brings_new_defaults_and_removes_what_is_retired(server: Server) -> None:
    old, new = server.text(), next_release(server.text())
    server.install(old)
    api, templateid = server.api, server.templateid()
    api.usermacro.update(hostmacroid=server.macro("{$NVIDIA.INTERVAL}")["hostmacroid"], value="90s")
    api.usermacro.create(hostid=templateid, macro="{$MINE}", value="mine")
    api.item.create(hostid=templateid, name="Mine", key_="mine", type=2, value_type=3)
    add_host(server)
    before = {row["description"] for row in api.triggerprototype.get(templateids=templateid, output=["description"])}
    with server.connect() as zabbix:
        plan = templates.plan_install(zabbix, parse(new), releases=records(old))
        assert not plan.refusal
        removed = {(change.kind, change.name) for change in plan.changes if change.action == "remove"}
        assert ("item", "NVIDIA: Driver call time") in removed
        assert ("macro", RETIRED_MACRO) in removed
        alerts = {name for kind, name in removed if kind == "trigger prototype"}
        assert alerts
        plan.apply()
        assert templates.plan_install(zabbix, parse(new), releases=records(old)).changes == []
    assert server.macro()["value"] == "8m", "nobody has changed it"
    assert server.macro("{$NVIDIA.INTERVAL}")["value"] == "90s"
    assert server.macro("{$MINE}")["value"] == "mine"
    items = {row["key_"]: row["status"] for row in api.item.get(hostids=templateid, output=["key_", "status"])}
    assert "nvidia.collector.driver_time" not in items
    assert items["nvidia.collector.driver_cpu"] == "1", "the new release ships it disabled"
    assert {"mine", "nvidia.new"} <= items.keys()
    assert not api.usermacro.get(hostids=templateid, filter={"macro": RETIRED_MACRO})
    after = {row["description"] for row in api.triggerprototype.get(templateids=templateid, output=["description"])}
    assert before - after == alerts
    on_the_host = [row["key_"] for row in api.item.get(hostids=server.host()["hostid"], output=["key_"])]
    assert "nvidia.collector.driver_time" not in on_the_host
    assert "nvidia.new" in on_the_host


def test_what_is_retired_stays_while_somebody_needs_it(server: Server) -> None:
    old, new = server.text(), next_release(server.text())
    server.install(old)
    server.api.trigger.create(description="Mine", expression=f"last(/{TEMPLATE}/nvidia.collector.driver_time)>77")
    server.api.usermacro.update(hostmacroid=server.macro(RETIRED_MACRO)["hostmacroid"], value="77s")
    with server.connect() as zabbix:
        plan = templates.plan_install(zabbix, parse(new), releases=records(old))
        kept = {(one.kind, one.name) for one in plan.kept}
        assert kept >= {("item", "NVIDIA: Driver call time"), ("macro", RETIRED_MACRO)}
        plan.apply()
    assert server.api.item.get(hostids=server.templateid(), filter={"key_": "nvidia.collector.driver_time"})
    assert server.api.trigger.get(templateids=server.templateid(), filter={"description": "Mine"})
    assert server.macro(RETIRED_MACRO)["value"] == "77s"


def test_triggers_that_an_update_brings_and_hosts_have(server: Server) -> None:
    """Each is about items that the host has from the template."""
    document = parse(server.text())
    template = document["templates"][0]
    for part in (document, *template["items"]):
        part["triggers"] = [one for one in part.get("triggers", []) if one["name"] != SICK]
    for section, one in merge.objects(document):
        if "trigger" in section:
            one["dependencies"] = [other for other in one.get("dependencies", []) if other["name"] != SICK]
    server.install(as_yaml(document).replace("0.1.0", "0.0.9"))
    assert not server.api.trigger.get(templateids=server.templateid(), filter={"description": SICK})
    add_host(server)
    triggerid = own_trigger(server, SICK)
    with server.connect() as zabbix:
        plan = templates.plan_install(zabbix, parse(server.text()))
        assert f"triggers that hosts have of their own: {SICK!r} on {HOST}: rename these, or" in plan.refusal
        plan = templates.plan_install(zabbix, parse(server.text()), overwrite=True)
        assert not plan.refusal
        plan.apply()
    (after,) = server.api.trigger.get(triggerids=triggerid, output=["templateid"])
    assert after["templateid"] != "0"


def test_keys_that_an_update_brings_and_others_have(server: Server) -> None:
    old, new = server.text(), next_release(server.text())
    server.install(old)
    item = server.api.item.create(hostid=server.templateid(), name="Mine", key_="nvidia.new", type=2, value_type=3)
    with server.connect() as zabbix:
        plan = templates.plan_install(zabbix, parse(new), releases=records(old))
        assert "has keys that you have given to objects of your own: item 'Mine' (nvidia.new)" in plan.refusal
    server.api.item.delete(item["itemids"][0])
    add_host(server)
    hostid = server.host()["hostid"]
    server.api.item.create(hostid=hostid, name="Mine", key_="nvidia.new", type=2, value_type=3)
    with server.connect() as zabbix:
        plan = templates.plan_install(zabbix, parse(new), releases=records(old))
        assert f"keys of items that hosts have of their own: nvidia.new on {HOST}" in plan.refusal
        assert not templates.plan_install(zabbix, parse(new), releases=records(old), overwrite=True).refusal
