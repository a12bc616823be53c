"""The template on real servers: a command says what it will change, changes that, and nothing the second time."""

from __future__ import annotations

import json
import re

import pytest

from tests.integration.server import HOST, MACRO, MARK, TEMPLATE, Server, add_host, older
from tests.unit.template.files import parse
from zbx_nvidia.server import templates
from zbx_nvidia.template import TEMPLATE_NAMES

pytestmark = pytest.mark.integration


def test_second_install_changes_nothing(server: Server) -> None:
    first = server.zbx_nvidia.ok("install-template", "--variant", "both")
    assert all(f"  + template {name}\n" in first for name in TEMPLATE_NAMES.values())
    assert first.endswith("Done.\nNext, for each GPU host: zbx-nvidia add-host NAME --address ADDRESS-OF-ITS-AGENT\n")
    before = server.exported()
    second = server.zbx_nvidia.ok("install-template", "--variant", "both")
    assert second == "".join(f"template {name}\n  nothing changes\n" for name in TEMPLATE_NAMES.values())
    assert server.exported() == before


def test_dry_run_of_an_install_changes_nothing(server: Server) -> None:
    out = server.zbx_nvidia.ok("install-template", "--dry-run")
    assert f"  + template {TEMPLATE}\n" in out
    assert out.endswith("Dry run: nothing was changed.\n")
    assert not server.api.template.get(filter={"host": TEMPLATE})


def test_install_as_json(server: Server) -> None:
    first = json.loads(server.zbx_nvidia.ok("install-template", "--json"))
    assert (first["changed"], first["applied"]) == (True, True)
    ((change,),) = [plan["changes"] for plan in first["plans"]]
    assert (change["action"], change["kind"], change["name"]) == ("add", "template", TEMPLATE)
    second = json.loads(server.zbx_nvidia.ok("install-template", "--json"))
    assert second["plans"][0]["changes"] == []
    assert (second["changed"], second["applied"]) == (False, False)


def test_update_says_what_changes_and_keeps_the_users_macros(server: Server) -> None:
    server.install(older(server.text()))
    own = server.macro()
    server.api.usermacro.update(hostmacroid=own["hostmacroid"], value="42m")
    server.api.usermacro.create(hostid=server.templateid(), macro="{$MINE}", value="mine")
    dry = server.zbx_nvidia.ok("install-template", "--dry-run")
    assert "      name: 'NVIDIA: Older name' -> 'NVIDIA: Failed readings'\n" in dry
    assert f"    = macro {MACRO}: '42m', here " in dry
    assert "    = macro {$MINE}\n" in dry
    assert "    = item NVIDIA: Gone\n" in dry
    assert server.api.item.get(hostids=server.templateid(), filter={"name": "NVIDIA: Older name"})
    assert server.zbx_nvidia.ok("install-template") == dry.replace("Dry run: nothing was changed.", "Done.")
    assert server.macro()["value"] == "42m"
    assert server.macro("{$MINE}")["value"] == "mine"
    assert server.api.item.get(hostids=server.templateid(), filter={"key_": "nvidia.gone"})
    assert "  nothing changes\n" in server.zbx_nvidia.ok("install-template")


def test_prune_removes_what_this_version_has_not(server: Server) -> None:
    server.install(older(server.text()))
    out = server.zbx_nvidia.ok("install-template", "--prune")
    assert "  - item NVIDIA: Gone\n" in out
    assert not server.api.item.get(hostids=server.templateid(), filter={"key_": "nvidia.gone"})
    # A default of an older version looks the same as a value that the user chose.
    assert server.macro()["value"] == "77m"
    assert "  ~ macro " + MACRO in server.zbx_nvidia.ok("install-template", "--overwrite")
    assert server.macro()["value"] != "77m"
    assert server.zbx_nvidia.ok("install-template") == f"template {TEMPLATE}\n  nothing changes\n"


def test_what_people_added_and_disabled_survives_an_update(server: Server) -> None:
    server.install(older(server.text()))
    api, templateid = server.api, server.templateid()
    (master,) = api.item.get(hostids=templateid, filter={"key_": "nvidia.get"}, output=["itemid"])
    (rule,) = api.discoveryrule.get(hostids=templateid, filter={"key_": "nvidia.gpu.discovery"}, output=["itemid"])
    api.item.create(hostid=templateid, name="Mine", key_="mine", type=2, value_type=3)
    api.itemprototype.create(
        hostid=templateid,
        ruleid=rule["itemid"],
        name="Mine {#UUID}",
        key_="mine[{#UUID}]",
        type=18,
        master_itemid=master["itemid"],
        value_type=4,
        delay="0",
        preprocessing=[{"type": 12, "params": "$.mine", "error_handler": 1, "error_handler_params": ""}],
    )
    trigger = api.trigger.get(templateids=templateid, output=["triggerid", "description"])[0]
    api.trigger.update(triggerid=trigger["triggerid"], status=1)
    prototype = api.triggerprototype.get(templateids=templateid, output=["triggerid", "description"])[0]
    api.triggerprototype.update(triggerid=prototype["triggerid"], discover=1)
    api.trigger.create(description="Mine", expression=f"last(/{TEMPLATE}/nvidia.status.code)=77")
    own_tags = api.template.get(templateids=templateid, output=[], selectTags="extend")[0]["tags"]
    api.template.update(templateid=templateid, tags=[*own_tags, {"tag": "mine", "value": "x"}])
    groupid = server.groups.create(name=f"{MARK} group")["groupids"][0]
    api.template.massadd(templates=[{"templateid": templateid}], groups=[{"groupid": groupid}])

    out = server.zbx_nvidia.ok("install-template")

    for kept in (
        "item Mine",
        "item prototype Mine {#UUID}",
        "trigger Mine",
        "tag mine: x",
        f"template group {MARK} group",
    ):
        assert f"    = {kept}\n" in out
    assert "Failed readings" in out, "nothing was updated, so nothing is proven"
    assert api.item.get(hostids=templateid, filter={"key_": "mine"})
    assert api.itemprototype.get(hostids=templateid, filter={"key_": "mine[{#UUID}]"})
    states = {row["triggerid"]: row["status"] for row in api.trigger.get(templateids=templateid, output=["status"])}
    assert states.pop(trigger["triggerid"]) == "1"
    assert set(states.values()) == {"0"}
    discovered = api.triggerprototype.get(templateids=templateid, output=["discover"])
    assert [row["triggerid"] for row in discovered if row["discover"] == "1"] == [prototype["triggerid"]]
    tags = api.template.get(templateids=templateid, output=[], selectTags="extend")[0]["tags"]
    assert {"tag": "mine", "value": "x"} in [{"tag": tag["tag"], "value": tag["value"]} for tag in tags]
    assert "  nothing changes\n" in server.zbx_nvidia.ok("install-template")

    pruned = server.zbx_nvidia.ok("install-template", "--prune")
    for gone in (
        "item Mine",
        "item prototype Mine {#UUID}",
        "trigger Mine",
        "template tag mine: x",
        "item NVIDIA: Gone",
    ):
        assert f"  - {gone}\n" in pruned
    assert f"  - template group {MARK} group\n" in pruned
    assert not api.item.get(hostids=templateid, filter={"key_": "mine"})
    states = {row["triggerid"]: row["status"] for row in api.trigger.get(templateids=templateid, output=["status"])}
    assert states[trigger["triggerid"]] == "1", "--prune is not --overwrite"


def test_edit_on_a_template_of_this_version_is_not_undone_silently(server: Server) -> None:
    server.install(server.text())
    (item,) = server.api.item.get(hostids=server.templateid(), filter={"key_": "nvidia.timestamp"}, output=["name"])
    server.api.item.update(itemid=item["itemid"], description="mine")
    before = server.exported()
    for options in ([], ["--dry-run"]):
        line = server.zbx_nvidia.refused("install-template", *options)
        assert f"was edited: item {item['name']!r}: --dry-run shows the edits, --overwrite reverts them" in line
        assert server.exported() == before
    assert "description: 'mine' -> " in server.zbx_nvidia("install-template", "--dry-run").out
    server.zbx_nvidia.ok("install-template", "--overwrite")
    assert server.zbx_nvidia.ok("install-template") == f"template {TEMPLATE}\n  nothing changes\n"


@pytest.mark.parametrize("options", [[], ["--overwrite"]], ids=["update", "overwrite"])
def test_secret_macros_stay_secret_and_have_their_values(server: Server, options: list[str]) -> None:
    """An import cannot carry a value that nobody can read: it would be set to nothing."""
    server.install(older(server.text()))
    server.api.usermacro.update(hostmacroid=server.macro()["hostmacroid"], type=1, value="hidden")
    server.api.usermacro.create(hostid=server.templateid(), macro="{$MINE}", type=1, value="mine too")
    values = "select macro, value, type from hostmacro where type = 1 order by macro"
    before = server.stack.sql(values)
    assert "hidden" in before
    out = server.zbx_nvidia.ok("install-template", *options)
    assert f"= macro {MACRO}: '(secret)'" in out
    assert "hidden" not in out
    assert server.stack.sql(values) == before
    template = server.exported()["templates"][0]
    assert "0.1.0" in template["description"]
    assert ("vendor" in template) == (server.version >= (7, 0))
    assert "  nothing changes\n" in server.zbx_nvidia.ok("install-template")


def test_vault_macros_of_the_template_stay(server: Server) -> None:
    server.install(server.text())
    server.api.usermacro.update(hostmacroid=server.macro()["hostmacroid"], type=2, value="secret/zabbix:nodata")
    for options in ([], ["--overwrite"]):
        out = server.zbx_nvidia.ok("install-template", *options)
        assert f"= macro {MACRO}: 'secret/zabbix:nodata'" in " ".join(out.split())
        assert "  nothing changes\n" in out
    assert server.macro().items() >= {"type": "2", "value": "secret/zabbix:nodata"}.items()


def test_template_that_a_team_moved_to_its_own_group_stays_there(server: Server) -> None:
    server.install(older(server.text()))
    groupid = server.groups.create(name=f"{MARK} team")["groupids"][0]
    server.api.template.update(templateid=server.templateid(), groups=[{"groupid": groupid}])
    out = server.zbx_nvidia.ok("install-template")
    assert f"= template group: '{MARK} team', here 'Templates/Applications'" in out
    assert [group["name"] for group in server.exported()["templates"][0]["groups"]] == [f"{MARK} team"]
    assert "  nothing changes\n" in server.zbx_nvidia.ok("install-template")


def test_template_group_that_was_renamed_keeps_its_name(server: Server) -> None:
    server.install(server.text())
    uuid = server.exported()["groups" if server.version < (6, 2) else "template_groups"][0]["uuid"]
    (group,) = server.groups.get(filter={"uuid": uuid}, output=["groupid", "name"])
    server.groups.update(groupid=group["groupid"], name=f"{group['name']} of ours")
    try:
        assert "  nothing changes\n" in server.zbx_nvidia.ok("install-template")
        server.zbx_nvidia.ok("uninstall-template")
        server.zbx_nvidia.ok("install-template")
        assert "  nothing changes\n" in server.zbx_nvidia.ok("install-template")
    finally:
        server.groups.update(groupid=group["groupid"], name=group["name"])


def test_template_group_of_the_same_name_is_used(server: Server) -> None:
    """Made by hand, so with another UUID; importcompare alone would call it missing for ever."""
    server.groups.create(name=f"{MARK} by hand")
    uuid, name = re.findall(r"groups:\n +- uuid: (\w+)\n +name: (\S+)\n", server.text())[0]
    text = (
        server.text()
        .replace(uuid, "0123456789ab4def8123456789abcdef")
        .replace(f"name: {name}\n", f"name: {MARK} by hand\n")
    )
    server.install(text)
    with server.connect() as zabbix:
        assert templates.plan_install(zabbix, parse(text)).changes == []


@pytest.mark.parametrize(
    "names",
    [{"host": "Renamed template"}, {"name": "Graphics cards"}, {"host": "Renamed template", "name": "Graphics cards"}],
    ids=["technical", "visible", "both"],
)
def test_template_that_was_renamed_keeps_its_name(server: Server, names: dict[str, str]) -> None:
    server.install(older(server.text()))
    server.api.template.update(templateid=server.templateid(), **names)
    technical = names.get("host", TEMPLATE)
    (before,) = server.api.template.get(templateids=server.templateid(technical), output=["host", "name"])
    out = server.zbx_nvidia.ok("install-template")
    assert out.startswith(f"template {technical}\n")
    for field in ("host", "name"):
        assert before[field] == TEMPLATE or f"name: {before[field]!r}, here 'NVIDIA" in out
    assert "nothing changes" not in out
    for options in ([], ["--overwrite"], ["--prune"]):
        server.zbx_nvidia.ok("install-template", *options)
        assert "  nothing changes\n" in server.zbx_nvidia.ok("install-template", *options)
        (after,) = server.api.template.get(templateids=before["templateid"], output=["host", "name"])
        assert after == before
    assert not names.get("host") or not server.api.template.get(filter={"host": TEMPLATE})
    # What names the template leads to the renamed one, and so does the host.
    add_host(server)
    assert [template["host"] for template in server.host()["parentTemplates"]] == [technical]
    assert "  nothing changes\n" in add_host(server)
    assert server.doctor("template")["state"] == "good"
    other = ("add-host", HOST, "--variant", "active")
    server.zbx_nvidia.ok("install-template", "--variant", "active")
    assert f"has the template {technical!r} with the same items" in server.zbx_nvidia.refused(*other)
    assert "  - template " + technical in server.zbx_nvidia.ok("uninstall-template", "--force")
    assert not server.api.template.get(templateids=before["templateid"], output=["host"])


def test_template_of_other_origin_is_not_touched(server: Server) -> None:
    group = server.groups.create(name=f"{MARK} origin")["groupids"][0]
    server.api.template.create(host=TEMPLATE, groups=[{"groupid": group}])
    for command in ("install-template", "uninstall-template"):
        assert "has another template named" in server.zbx_nvidia.refused(command)
    assert server.templateid()


def test_uninstall(server: Server) -> None:
    server.zbx_nvidia.ok("install-template", "--variant", "both")
    dry = server.zbx_nvidia.ok("uninstall-template", "--dry-run")
    assert dry == f"template {TEMPLATE}\n  - template {TEMPLATE}\nDry run: nothing was changed.\n"
    assert server.templateid()
    server.zbx_nvidia.ok("uninstall-template")
    assert not server.api.template.get(filter={"host": TEMPLATE})
    assert server.templateid(TEMPLATE_NAMES["active"])
    out = server.zbx_nvidia.ok("uninstall-template", "--variant", "both")
    assert out.startswith(f"template {TEMPLATE}\n  nothing changes\n")
    assert not server.api.template.get(filter={"host": TEMPLATE_NAMES["active"]})


def test_uninstall_of_a_linked_template_must_be_forced(server: Server) -> None:
    server.zbx_nvidia.ok("install-template")
    add_host(server)
    line = server.zbx_nvidia.refused("uninstall-template")
    assert f"is linked to {HOST}: unlink it there, or give --force" in line
    assert server.templateid()
    assert f"  - link {HOST}\n" in server.zbx_nvidia.ok("uninstall-template", "--force")
    assert not server.api.template.get(filter={"host": TEMPLATE})
    assert not server.api.item.get(hostids=server.host()["hostid"], output=["key_"])


def test_hosts_that_are_not_seen_keep_the_template(server: Server) -> None:
    """An Admin does not see all hosts: "none seen" is not "none"."""
    server.zbx_nvidia.ok("install-template")
    add_host(server)
    client = server.user("admin", 2, "Templates/Applications")
    for options in ([], ["--dry-run"]):
        line = client.refused("uninstall-template", *options)
        assert (
            f"hosts that this user does not see may have the template {TEMPLATE!r}: run this as a Super admin" in line
        )
    assert server.templateid()
    client.ok("uninstall-template", "--force")
    line = client.refused("uninstall-template")
    assert f"this user sees no template {TEMPLATE!r}, but only a Super admin sees all" in line
    assert "  nothing changes\n" in client.ok("uninstall-template", "--force")


def test_what_exists_out_of_sight_is_named_as_that(server: Server) -> None:
    server.zbx_nvidia.ok("install-template")
    add_host(server)
    client = server.user("admin", 2, "Templates/Applications", "Linux servers")
    line = client.refused("add-host", HOST, "--address", "192.0.2.10", "--group", "Linux servers")
    assert f'"{HOST}" already exists: this user does not see it: ' in line
    assert "rename" not in line
    line = client.refused("add-host", "x", "--address", "192.0.2.10", "--group", "Nowhere")
    assert "has no host group 'Nowhere' that this user can see" in line
    groupid = server.groups.create(name=f"{MARK} team")["groupids"][0]
    server.api.template.update(templateid=server.templateid(), groups=[{"groupid": groupid}])
    line = client.refused("install-template")
    assert "already exists: this user does not see it: " in line
    assert "rename" not in line


def test_visible_name_of_another_host(server: Server) -> None:
    server.zbx_nvidia.ok("install-template")
    add_host(server)
    server.api.host.update(hostid=server.host()["hostid"], name=f"{MARK} shown")
    line = server.zbx_nvidia.refused("add-host", f"{MARK} shown", "--address", "192.0.2.10")
    assert f"{MARK} shown' is the visible name of the host {HOST!r}: give that name" in line
    client = server.user("admin", 2, "Templates/Applications", "Linux servers")
    line = client.refused("add-host", f"{MARK} shown", "--address", "192.0.2.10", "--group", "Linux servers")
    assert "already exists: a host that this user does not see shows this name" in line
