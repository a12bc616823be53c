"""The API client against real servers: it says what it will change, changes that, and changes nothing the second time.

These tests install and remove the template again and again, so they come before those that monitor hosts with it.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import pytest
import yaml

from tests.integration.watched import Client
from tests.unit.template.files import parse
from zbx_nvidia.doctor.server_state import ServerState
from zbx_nvidia.server import inherited, merge, templates, versions
from zbx_nvidia.server.connection import Connection, Credentials, connect
from zbx_nvidia.template import TEMPLATE_NAMES, render

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration

TEMPLATE = TEMPLATE_NAMES["passive"]
HOST = "api-client-test"
MARK = "API client test"  # in the name of everything else that these tests make
PASSWORD = "Marker-s3cret-9f2c"  # noqa: S105  of users that these tests make
MACRO = "{$NVIDIA.NODATA}"


class Server:
    """A stack, and the client as its administrator."""

    def __init__(self, stack: Any) -> None:
        self.stack = stack
        self.api = stack.api
        self.url = stack.url
        self.version: versions.Version = (6, 0) if stack.series == "6.0" else (7, 0)
        self.groups = self.api[versions.template_group_object(self.version)]
        # A token: a login with a password takes 7.0 a second, by design.
        self._tokenid = self.api.token.create(name="Administrator of these tests")["tokenids"][0]
        self._token = str(self.api.token.generate(self._tokenid)[0]["token"])
        self.zbx_nvidia = Client(stack.url, ZABBIX_TOKEN=self._token)
        self._installed: Any = None  # both variants, exported after they were installed last

    def close(self) -> None:
        self.clean()
        self.api.token.delete(self._tokenid)

    def connect(self) -> contextlib.AbstractContextManager[Connection]:
        return connect(self.url, Credentials(token=self._token))

    def text(self) -> str:
        return render(versions.dialect(self.version), "passive")

    def install(self, text: str) -> None:
        """Puts this template there, as an older version of the package would have done."""
        with self.connect() as zabbix:
            templates.plan_install(zabbix, parse(text)).apply()

    def reinstall(self) -> None:
        """Has both variants there as they were installed: an export tells it with a part of the work of an update."""
        if self._installed is None or self._export_of_both() != self._installed:
            self.zbx_nvidia.ok("install-template", "--variant", "both")
            self._installed = self._export_of_both()

    def _export_of_both(self) -> Any:
        rows = self.api.template.get(filter={"host": [*TEMPLATE_NAMES.values()]}, output=["templateid"])
        return self._export([row["templateid"] for row in rows])

    def templateid(self, name: str = TEMPLATE) -> str:
        return str(self.api.template.get(filter={"host": name}, output=["templateid"])[0]["templateid"])

    def exported(self) -> Any:
        return self._export([self.templateid()])

    def _export(self, templateids: list[str]) -> Any:
        text = self.api.configuration.export(format="json", options={"templates": templateids})
        return {key: value for key, value in json.loads(text)["zabbix_export"].items() if key != "date"}

    def macro(self, name: str = MACRO) -> dict[str, Any]:
        (found,) = self.api.usermacro.get(hostids=self.templateid(), filter={"macro": name}, output="extend")
        return dict(found)

    def host(self) -> dict[str, Any]:
        (found,) = self.api.host.get(
            filter={"host": HOST},
            output="extend",
            selectInterfaces="extend",
            selectMacros="extend",
            selectTags="extend",
            selectParentTemplates=["host"],
            **{versions.select_host_groups(self.version): ["name"]},
        )
        return {**found, "groups": found[versions.host_groups_property(self.version)]}

    def user(self, name: str, role_type: int, *writes: str) -> Client:
        """A user of that type of role (1 user, 2 admin, 3 super admin) who may write these groups; the client as it."""
        role = self.api.role.get(filter={"type": role_type}, output=["roleid"])[0]["roleid"]
        username = f"{MARK} {name}"
        rights = {}
        kinds = ("hostgroup", "templategroup") if self.version >= (6, 2) else ("hostgroup",)
        for kind in kinds:
            ids = self.api[kind].get(filter={"name": [*writes]}, output=["groupid"]) if writes else []
            key = f"{kind}_rights" if self.version >= (6, 2) else "rights"
            rights[key] = [{"id": row["groupid"], "permission": 3} for row in ids]
        group = self.api.usergroup.create(name=username, **rights)["usrgrpids"][0]
        self.api.user.create(username=username, passwd=PASSWORD, roleid=role, usrgrps=[{"usrgrpid": group}])
        return Client(self.url, ZABBIX_USER=username, ZABBIX_PASSWORD=PASSWORD)

    def token(self, **properties: Any) -> str:
        tokenid = self.api.token.create(name=f"{MARK} {time.monotonic_ns()}", **properties)["tokenids"][0]
        return str(self.api.token.generate(tokenid)[0]["token"])

    def sql(self, statement: str) -> str:
        psql = ("env", "PGPASSWORD=zabbix", "psql", "--quiet", "-h", "127.0.0.1", "-U", "zabbix", "-d", "zabbix", "-c")
        return str(self.stack.exec("postgres", *psql, statement))

    def proxy(self, name: str) -> str:
        name = f"{MARK} {name}"
        active = {"name": name, "operating_mode": 0} if self.version >= (7, 0) else {"host": name, "status": 5}
        self.api.proxy.create(**active)
        return name

    def proxy_group(self, name: str) -> tuple[str, str]:
        """A group of proxies, none of which will ever call; its name and its id."""
        name = f"{MARK} {name}"
        (groupid,) = self.api.proxygroup.create(name=name, failover_delay="1m", min_online="1")["proxy_groupids"]
        return name, str(groupid)

    def company_template(self, *, interval: str = "") -> str:
        """A template of somebody's own that has ours, maybe with another interval; a host that has it."""
        groupid = self.groups.create(name=f"{MARK} company")["groupids"][0]
        macros = [{"macro": "{$NVIDIA.INTERVAL}", "value": interval}] if interval else []
        (templateid,) = self.api.template.create(
            host=f"{MARK} company",
            groups=[{"groupid": groupid}],
            templates=[{"templateid": self.templateid()}],
            macros=macros,
        )["templateids"]
        (group,) = self.api.hostgroup.get(filter={"name": "Zabbix servers"}, output=["groupid"])
        interface = {"type": 1, "main": 1, "useip": 1, "ip": "192.0.2.10", "dns": "", "port": "10050"}
        self.api.host.create(host=HOST, groups=[group], templates=[{"templateid": templateid}], interfaces=[interface])
        return f"{MARK} company"

    def doctor(self, check: str) -> dict[str, str]:
        """What the doctor says of this check of the host."""
        said = json.loads(self.zbx_nvidia("doctor", "--server-only", "--host", HOST, "--json").out)
        (found,) = [one for one in said["checks"] if one["id"] == check]
        return dict(found)

    def clean(self, *, template: bool = True) -> None:
        """Removes what these tests make, the template too or all but that."""
        api = self.api
        linked = api.host.get(templateids=[row["templateid"] for row in self._ours()], output=["host"])
        foreign = [row["host"] for row in linked if not row["host"].startswith((HOST, MARK))] if self._ours() else []
        assert not foreign, f"run these tests first: the template is linked to {foreign}"
        self._delete("host", api.host.get(search={"host": MARK}, startSearch=True, output=["hostid"]), "hostid")
        names = {
            "host": ("host", "hostid", [HOST]),
            "template": ("host", "templateid", [*TEMPLATE_NAMES.values(), "Renamed template"] if template else []),
            "hostgroup": ("name", "groupid", ["NVIDIA GPUs"]),
        }
        for kind, (field, identity, wanted) in names.items():
            # An empty list would find everything.
            if not wanted:
                continue
            self._delete(kind, api[kind].get(filter={field: wanted}, output=[identity]), identity)
        for kind, field, identity in (
            ("proxy", versions.proxy_name(self.version), "proxyid"),
            *((("proxygroup", "name", "proxy_groupid"),) if self.version >= (7, 0) else ()),
            ("user", "username", "userid"),
            ("usergroup", "name", "usrgrpid"),
            ("token", "name", "tokenid"),
            ("template", "host", "templateid"),
            (versions.template_group_object(self.version), "name", "groupid"),
        ):
            found = api[kind].get(search={field: MARK}, startSearch=True, output=[identity])
            self._delete(kind, found, identity)

    def _ours(self) -> list[Any]:
        return list(self.api.template.get(filter={"host": list(TEMPLATE_NAMES.values())}, output=["templateid"]))

    def _delete(self, kind: str, found: list[dict[str, str]], identity: str) -> None:
        if found:
            self.api.do_request(f"{kind}.delete", [row[identity] for row in found])


@pytest.fixture(scope="module")
def any_server(stack: Any) -> Iterator[Server]:
    found = Server(stack)
    yield found
    found.close()


@pytest.fixture
def server(any_server: Server) -> Server:
    """A server without anything of ours."""
    any_server.clean()
    return any_server


# The template


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


def older(text: str) -> str:
    """The template as another version might have had it: one macro, one name and one more item differ."""
    text = re.sub(r"(?m)^(\s+version: )0\.1\.0$", r"\g<1>0.0.9", text).replace("zbx-nvidia 0.1.0.", "zbx-nvidia 0.0.9.")
    found = re.search(r"(?m)^    - macro: '" + re.escape(MACRO) + r"'\n      value: (\S+)\n|"
                      r"^        - macro: '" + re.escape(MACRO) + r"'\n          value: (\S+)\n", text)  # fmt: skip
    assert found, "the template has another form than this test expects"
    text = text.replace(found[0], found[0].replace(f"value: {found[1] or found[2]}", "value: 77m"))
    assert "name: 'NVIDIA: Failed readings'" in text
    text = text.replace("name: 'NVIDIA: Failed readings'", "name: 'NVIDIA: Older name'")
    item = re.search(r"(?m)^      items:\n", text)
    assert item
    gone = (
        "        - uuid: 0123456789abcdef8123456789abcdef\n          name: 'NVIDIA: Gone'\n          type: TRAP\n"
        "          key: nvidia.gone\n          delay: '0'\n"
    ).replace("89abcdef8123", "89ab4def8123")
    return text[: item.end()] + gone + text[item.end() :]


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
    before = server.sql(values)
    assert "hidden" in before
    out = server.zbx_nvidia.ok("install-template", *options)
    assert f"= macro {MACRO}: '(secret)'" in out
    assert "hidden" not in out
    assert server.sql(values) == before
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


# Hosts


def add_host(server: Server, *options: str) -> str:
    return server.zbx_nvidia.ok("add-host", HOST, "--address", "192.0.2.10", *options)


@pytest.fixture
def installed(any_server: Server) -> Server:
    """A server with the template and without hosts of ours."""
    any_server.clean(template=False)
    any_server.reinstall()
    return any_server


@pytest.mark.parametrize(
    "interface",
    [
        {"useip": "1", "ip": "2001:db8::10", "dns": ""},
        {"useip": "0", "ip": "", "dns": "gpu01.example.com"},
    ],
    ids=["IPv6", "DNS"],
)
def test_new_host(installed: Server, interface: dict[str, str]) -> None:
    server = installed
    address = interface["ip"] or interface["dns"]
    arguments = ["--address", address, "--tag", "location=rack7", "--macro", f"{MACRO}=9m"]
    dry = server.zbx_nvidia.ok("add-host", HOST, *arguments, "--dry-run")
    assert f"  + host {HOST}\n" in dry
    assert "  + host group NVIDIA GPUs\n" in dry
    assert not server.api.host.get(filter={"host": HOST})
    assert not server.api.hostgroup.get(filter={"name": "NVIDIA GPUs"})
    next_command = f"zbx-nvidia doctor --server-only --host {HOST} --url {server.url} --token-file FILE"
    assert server.zbx_nvidia.ok("add-host", HOST, *arguments).endswith(
        f"Done.\nNext, in a few minutes: {next_command}\n"
    )
    host = server.host()
    assert [group["name"] for group in host["groups"]] == ["NVIDIA GPUs"]
    assert [template["host"] for template in host["parentTemplates"]] == [TEMPLATE]
    (made,) = host["interfaces"]
    assert made.items() >= {"type": "1", "main": "1", "port": "10050", **interface}.items()
    assert [(tag["tag"], tag["value"]) for tag in host["tags"]] == [("location", "rack7")]
    assert [(macro["macro"], macro["value"]) for macro in host["macros"]] == [(MACRO, "9m")]
    assert server.zbx_nvidia.ok("add-host", HOST, *arguments) == f"host {HOST}\n  nothing changes\n"


def test_active_host_needs_no_address(installed: Server) -> None:
    installed.zbx_nvidia.ok("add-host", HOST, "--variant", "active")
    host = installed.host()
    assert host["interfaces"] == []
    assert [template["host"] for template in host["parentTemplates"]] == [TEMPLATE_NAMES["active"]]


def test_host_with_a_proxy(installed: Server) -> None:
    proxy = installed.proxy("proxy")
    add_host(installed, "--proxy", proxy, "--group", "Zabbix servers")
    host = installed.host()
    (row,) = installed.api.proxy.get(output=["proxyid"], filter={versions.proxy_name(installed.version): proxy})
    assert versions.proxy_of(installed.version, host) == row["proxyid"]
    assert [group["name"] for group in host["groups"]] == ["Zabbix servers"]
    assert add_host(installed, "--proxy", proxy, "--group", "Zabbix servers") == f"host {HOST}\n  nothing changes\n"
    assert add_host(installed) == f"host {HOST}\n  nothing changes\n"


def test_host_with_a_proxy_group(installed: Server) -> None:
    arguments = ("add-host", HOST, "--address", "192.0.2.10", "--proxy-group", f"{MARK} group")
    if installed.version < (7, 0):
        line = installed.zbx_nvidia.refused(*arguments)
        assert line == f"Error: Zabbix at {installed.url} is 6.0: proxy groups need 7.0: give --proxy instead"
        return
    assert "has no proxy group" in installed.zbx_nvidia.refused(*arguments)
    name, groupid = installed.proxy_group("group")
    line = installed.zbx_nvidia.refused("add-host", HOST, "--address", "192.0.2.10", "--proxy", name)
    assert f"has no proxy {name!r}: there is a proxy group of that name: give --proxy-group" in line
    out = installed.zbx_nvidia.ok(*arguments)
    assert f"proxy group {name}" in " ".join(out.split())
    assert installed.host().items() >= {"monitored_by": "2", "proxy_groupid": groupid, "proxyid": "0"}.items()
    assert installed.zbx_nvidia.ok(*arguments) == f"host {HOST}\n  nothing changes\n"
    assert add_host(installed) == f"host {HOST}\n  nothing changes\n"


def test_proxy_group_of_others_is_changed_only_when_told_to(installed: Server) -> None:
    if installed.version < (7, 0):
        pytest.skip("proxy groups came with 7.0")
    proxy, (theirs, _), (ours, groupid) = (
        installed.proxy("proxy"),
        installed.proxy_group("theirs"),
        installed.proxy_group("ours"),
    )
    for first, second, old, new in (
        (("--proxy-group", theirs), ("--proxy-group", ours), f"proxy group {theirs}", f"proxy group {ours}"),
        (("--proxy-group", ours), ("--proxy", proxy), f"proxy group {ours}", proxy),
        (("--proxy", proxy), ("--proxy-group", ours), proxy, f"proxy group {ours}"),
    ):
        add_host(installed, *first, "--overwrite")
        line = installed.zbx_nvidia.refused("add-host", HOST, "--address", "192.0.2.10", *second)
        assert f"proxy is {old!r}, not {new!r}: give --overwrite" in line
        add_host(installed, *second, "--overwrite")
        assert add_host(installed, *second) == f"host {HOST}\n  nothing changes\n"
    assert installed.host().items() >= {"monitored_by": "2", "proxy_groupid": groupid}.items()


def test_doctor_knows_the_proxy_of_a_group(installed: Server) -> None:
    if installed.version < (7, 0):
        pytest.skip("proxy groups came with 7.0")
    name, groupid = installed.proxy_group("group")
    add_host(installed, "--proxy-group", name)
    found = installed.doctor("proxy")
    assert (found["state"], found["fault"]) == ("fault", "group")
    assert name in found["cause"]
    # The server gives the host to a proxy of the group once one calls; none does here, so its row is written by hand.
    proxy = installed.proxy("proxy")
    (row,) = installed.api.proxy.get(output=["proxyid"], filter={"name": proxy})
    installed.api.proxy.update(proxyid=row["proxyid"], proxy_groupid=groupid, local_address="192.0.2.20")
    hostid = installed.host()["hostid"]
    assign = (
        f"insert into host_proxy (hostproxyid, hostid, proxyid, revision) values (1, {hostid}, {row['proxyid']}, 1)"  # noqa: S608
    )
    installed.sql(assign)
    try:
        found = installed.doctor("proxy")
    finally:
        installed.sql("delete from host_proxy")
    assert (found["state"], found["fault"]) == ("fault", "silent")
    assert proxy in found["cause"]


def test_host_that_has_the_template_through_one_of_its_own(installed: Server) -> None:
    """To link it beside would be refused: twice the same items."""
    company = installed.company_template()
    assert add_host(installed) == f"host {HOST}\n  nothing changes\n"
    assert add_host(installed, "--tag", "a=b") == f"host {HOST}\n  + tag a: b\nDone.\n"
    assert [template["host"] for template in installed.host()["parentTemplates"]] == [company]
    line = installed.zbx_nvidia.refused("add-host", HOST, "--variant", "active")
    assert f"has the template {TEMPLATE!r} (through another template) with the same items as" in line


@pytest.mark.parametrize(("interval", "seconds"), [("", 90), ("7m", 420)], ids=["ours", "theirs"])
def test_doctor_knows_the_interval_of_a_template_behind_another(installed: Server, interval: str, seconds: int) -> None:
    installed.api.usermacro.update(hostmacroid=installed.macro("{$NVIDIA.INTERVAL}")["hostmacroid"], value="90s")
    installed.company_template(interval=interval)
    try:
        with installed.connect() as zabbix:
            assert ServerState(zabbix, HOST, None).interval == seconds
    finally:
        installed.zbx_nvidia.ok("install-template", "--overwrite")


def foreign_host(server: Server) -> str:
    """A host that somebody else has set up, with something of every kind."""
    (group,) = server.api.hostgroup.get(filter={"name": "Zabbix servers"}, output=["groupid"])
    templategroup = server.groups.create(name=f"{MARK} foreign")["groupids"][0]
    template = server.api.template.create(host=f"{MARK} foreign", groups=[{"groupid": templategroup}])["templateids"][0]
    snmp = {"version": 2, "bulk": 1, "community": "{$SNMP_COMMUNITY}"}
    made = server.api.host.create(
        host=HOST,
        name="Visible name",
        groups=[{"groupid": group["groupid"]}],
        templates=[{"templateid": template}],
        interfaces=[
            {"type": 1, "main": 1, "useip": 1, "ip": "192.0.2.10", "dns": "", "port": "10060"},
            {"type": 2, "main": 1, "useip": 1, "ip": "192.0.2.11", "dns": "", "port": "161", "details": snmp},
        ],
        tags=[{"tag": "owner", "value": "them"}],
        macros=[{"macro": "{$THEIRS}", "value": "1"}, {"macro": "{$SECRET}", "value": "hidden", "type": 1}],
        description="Theirs",
        status=1,
    )
    return str(made["hostids"][0])


def test_existing_host_gets_what_it_lacks_and_keeps_the_rest(installed: Server) -> None:
    foreign_host(installed)
    before = installed.host()
    arguments = ["--group", "Linux servers", "--tag", "owner=us", "--macro", "NVIDIA.NODATA=9m"]
    out = add_host(installed, *arguments)
    assert out.splitlines() == [
        f"host {HOST}",
        f"  + template {TEMPLATE}",
        "  + host group Linux servers",
        "  + tag owner: us",
        f"  + macro {MACRO} = 9m",
        "Done.",
    ]
    after = installed.host()
    assert sorted(group["name"] for group in after["groups"]) == ["Linux servers", "Zabbix servers"]
    assert sorted(template["host"] for template in after["parentTemplates"]) == sorted([f"{MARK} foreign", TEMPLATE])
    assert sorted(tag["value"] for tag in after["tags"]) == ["them", "us"]
    assert after["interfaces"] == before["interfaces"]
    macros = {macro["macro"]: macro for macro in after["macros"]}
    assert all(macros[macro["macro"]] == macro for macro in before["macros"])
    assert macros[MACRO]["value"] == "9m"
    same = ("name", "status", "description")
    assert [after[field] for field in same] == [before[field] for field in same]
    assert add_host(installed, *arguments) == f"host {HOST}\n  nothing changes\n"


@pytest.mark.parametrize(
    ("arguments", "difference"),
    [
        (
            ["--address", "192.0.2.99", "--macro", "THEIRS=2", "--macro", "SECRET=2"],
            ("macro {$THEIRS} is '1', not '2'; agent interface is '192.0.2.10:10060', not '192.0.2.99:10060'"),
        ),
        (
            ["--address", "192.0.2.10", "--port", "10050"],
            "agent interface is '192.0.2.10:10060', not '192.0.2.10:10050'",
        ),
    ],
    ids=["address-macros", "port"],
)
def test_settings_of_others_are_changed_only_when_told_to(
    installed: Server, arguments: list[str], difference: str
) -> None:
    foreign_host(installed)
    before = installed.host()
    line = installed.zbx_nvidia.refused("add-host", HOST, *arguments)
    assert f"the host {HOST!r} exists with other settings: {difference}: give --overwrite to change them" in line
    assert installed.host() == before
    installed.zbx_nvidia.ok("add-host", HOST, *arguments, "--overwrite")
    changed = installed.host()
    assert len(changed["interfaces"]) == 2
    assert len(changed["macros"]) == 2
    second = installed.zbx_nvidia.ok("add-host", HOST, *arguments)
    assert second.endswith("\n  nothing changes\n")


def test_proxy_of_others_is_changed_only_when_told_to(installed: Server) -> None:
    theirs, ours = installed.proxy("theirs"), installed.proxy("ours")
    add_host(installed, "--proxy", theirs)
    line = installed.zbx_nvidia.refused("add-host", HOST, "--address", "192.0.2.10", "--proxy", ours)
    assert f"proxy is {theirs!r}, not {ours!r}" in line
    assert add_host(installed, "--proxy", theirs) == f"host {HOST}\n  nothing changes\n"
    add_host(installed, "--proxy", ours, "--overwrite")
    assert add_host(installed, "--proxy", ours) == f"host {HOST}\n  nothing changes\n"


def test_proxy_is_taken_away_again(installed: Server) -> None:
    proxy = installed.proxy("proxy")
    add_host(installed, "--proxy", proxy)
    line = installed.zbx_nvidia.refused("add-host", HOST, "--address", "192.0.2.10", "--proxy", "")
    assert f"proxy is {proxy!r}, not '(none)': give --overwrite" in line
    add_host(installed, "--proxy", "", "--overwrite")
    assert not versions.proxy_of(installed.version, installed.host())
    assert add_host(installed, "--proxy", "") == f"host {HOST}\n  nothing changes\n"


def test_macros_of_a_host_keep_their_type(installed: Server) -> None:
    hostid = foreign_host(installed)
    installed.api.usermacro.create(hostid=hostid, macro="{$VAULT}", type=2, value="secret/zabbix:key")
    given = ["--macro", "SECRET=Marker-n3w", "--macro", "VAULT=secret/zabbix:key", "--macro", '{$CONTEXT:"a"}=1']
    out = add_host(installed, *given)
    assert "= macro {$SECRET}, not compared: Zabbix does not return it" in out
    assert "VAULT" not in out
    assert "Marker" not in out
    for options in (["--dry-run"], []):
        out = add_host(installed, *given, *options, "--overwrite", "--verbose")
        assert "macro {$SECRET}: '(secret)' -> '(the given value)'" in out
        assert "Marker" not in out
    line = installed.zbx_nvidia.refused(
        "add-host", HOST, "--address", "192.0.2.10", "--macro", "VAULT=secret/other:key"
    )
    assert "vault macro {$VAULT} is 'secret/zabbix:key', not 'secret/other:key'" in line
    macros = {macro["macro"]: macro for macro in installed.host()["macros"]}
    assert macros["{$SECRET}"]["type"] == "1"
    assert macros["{$VAULT}"]["type"] == "2"
    assert "Marker-n3w" in installed.sql(f"select value from hostmacro where hostid = {hostid}")  # noqa: S608
    # The same macro, as Zabbix compares them.
    assert "CONTEXT" not in add_host(installed, "--macro", "{$CONTEXT:a}=1")


def interfaces(server: Server) -> dict[str, dict[str, str]]:
    return {one["ip"]: one for one in server.host()["interfaces"]}


def test_address_of_an_interface_that_the_items_do_not_use(installed: Server) -> None:
    add_host(installed)
    hostid = installed.host()["hostid"]
    second = {"type": 1, "main": 0, "useip": 1, "ip": "192.0.2.20", "dns": "", "port": "10050"}
    installed.api.hostinterface.create(hostid=hostid, **second)
    arguments = ("add-host", HOST, "--address", "192.0.2.20")
    line = installed.zbx_nvidia.refused(*arguments)
    assert (
        "agent interface is '192.0.2.10:10050, which the items use', not '192.0.2.20:10050, its other one': "
        "give --overwrite to change them"
    ) in line
    installed.zbx_nvidia.ok(*arguments, "--overwrite")
    assert {ip: one["main"] for ip, one in interfaces(installed).items()} == {"192.0.2.10": "0", "192.0.2.20": "1"}
    polled = installed.api.item.get(hostids=hostid, filter={"key_": "nvidia.get"}, output=["interfaceid"])
    assert polled == [{**polled[0], "interfaceid": interfaces(installed)["192.0.2.20"]["interfaceid"]}]
    assert installed.zbx_nvidia.ok(*arguments) == f"host {HOST}\n  nothing changes\n"


def test_interface_keeps_the_name_beside_the_address(installed: Server) -> None:
    add_host(installed)
    (made,) = installed.host()["interfaces"]
    installed.api.hostinterface.update(interfaceid=made["interfaceid"], dns="gpu01.example.com")
    installed.zbx_nvidia.ok("add-host", HOST, "--address", "192.0.2.30", "--overwrite")
    (changed,) = installed.host()["interfaces"]
    assert changed.items() >= {"useip": "1", "ip": "192.0.2.30", "dns": "gpu01.example.com"}.items()
    line = installed.zbx_nvidia.refused("add-host", HOST, "--address", "gpu01.example.com")
    assert "agent interface is '192.0.2.30:10050', not 'gpu01.example.com:10050'" in line
    installed.zbx_nvidia.ok("add-host", HOST, "--address", "gpu01.example.com", "--overwrite")
    (changed,) = installed.host()["interfaces"]
    assert changed.items() >= {"useip": "0", "ip": "192.0.2.30", "dns": "gpu01.example.com"}.items()


def test_own_items_of_the_same_key_are_not_taken_over_without_a_word(installed: Server) -> None:
    hostid = foreign_host(installed)
    own = {"type": 2, "value_type": 4, "name": "Mine"}
    (itemid,) = installed.api.item.create(hostid=hostid, key_="nvidia.get", **own)["itemids"]
    line = installed.zbx_nvidia.refused("add-host", HOST, "--address", "192.0.2.10")
    assert f"it has items of its own, which would become the template's: nvidia.get on {HOST}: give --overwrite" in line
    assert installed.api.item.get(itemids=itemid, output=["name"])[0]["name"] == "Mine"
    add_host(installed, "--overwrite")
    assert installed.api.item.get(itemids=itemid, output=["templateid"])[0]["templateid"] != "0"


def own_trigger(server: Server, name: str, **changes: str) -> str:
    """Makes a trigger of the template on the host, as somebody has done it by hand; its id."""
    (ours,) = (
        one for section, one in merge.objects(parse(server.text()))
        if section == "triggers" and one["name"] == name
    )  # fmt: skip
    expressions = {
        field: ours.get(field, "").replace(f"/{TEMPLATE}/", f"/{HOST}/")
        for field in ("expression", "recovery_expression")
    }
    own = {"description": name, **expressions, **changes}
    own["recovery_mode"] = "1" if own["recovery_expression"] else "0"
    if not own["recovery_expression"]:
        del own["recovery_expression"]
    return str(server.api.trigger.create(own)["triggerids"][0])


SICK = "NVIDIA: GPU is sick"


def test_own_triggers_are_not_taken_over_without_a_word(installed: Server) -> None:
    """Name, expression and recovery expression decide."""
    hostid = foreign_host(installed)
    for key in ("gpus_sick", "gpus_present", "gpus_lost", "sick"):
        kind = 4 if key == "sick" else 3
        installed.api.item.create(hostid=hostid, name=key, key_=f"nvidia.host.{key}", type=2, value_type=kind)
    other = f"last(/{HOST}/nvidia.host.gpus_lost)=7"
    made = [
        own_trigger(installed, SICK, **changes)
        for changes in (
            {"description": "Mine"},
            {"recovery_expression": other},
            {"expression": other, "recovery_expression": ""},
        )
    ]
    line = installed.zbx_nvidia.refused("add-host", HOST, "--address", "192.0.2.10")
    assert "triggers of its own" not in line
    same = own_trigger(installed, SICK)
    line = installed.zbx_nvidia.refused("add-host", HOST, "--address", "192.0.2.10")
    assert f"it has triggers of its own, which would too: {SICK!r} on {HOST}: give --overwrite" in line
    add_host(installed, "--overwrite")
    after = installed.api.trigger.get(triggerids=[*made, same], output=["templateid"])
    assert [row["triggerid"] for row in after if row["templateid"] != "0"] == [same]


def test_template_behind_one_that_is_not_seen(installed: Server) -> None:
    installed.company_template()
    (group,) = installed.api.hostgroup.get(filter={"name": "Zabbix servers"}, output=["groupid"])
    client = installed.user("admin", 2, "Templates/Applications", "Zabbix servers")
    assert group
    out = client.ok("add-host", HOST, "--address", "192.0.2.10")
    assert "= items of the template, through one that this user does not see\n" in out
    assert "  nothing changes\n" in out


def together(client: Client, *runs: tuple[str, ...]) -> list[tuple[int, str]]:
    """Runs commands at once, each as a process of its own; what each ended with and said."""
    program = str(Path(sys.executable).with_name("zbx-nvidia"))
    environment = {**os.environ, **client.environment}
    started = [
        subprocess.Popen([program, *run], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for run in runs
    ]
    said = [process.communicate()[0] for process in started]
    return [(process.returncode, text) for process, text in zip(started, said, strict=True)]


def test_two_runs_at_once(server: Server) -> None:
    """The loser looks again, and ends well."""
    client = server.zbx_nvidia
    installs = together(client, *[("install-template",)] * 2)
    assert [code for code, _ in installs] == [0, 0], installs
    assert len(server.api.template.get(filter={"host": TEMPLATE})) == 1
    add = ("add-host", HOST, "--address", "192.0.2.10")
    adds = together(client, *[add] * 3)
    assert [code for code, _ in adds] == [0, 0, 0], adds
    assert client.ok(*add) == f"host {HOST}\n  nothing changes\n"
    server.clean(template=False)
    adds = together(client, *[("add-host", f"{MARK} {name}", "--address", "192.0.2.10") for name in "abc"])
    assert [code for code, _ in adds] == [0, 0, 0], adds


def test_host_with_the_other_variant_is_refused(installed: Server) -> None:
    add_host(installed)
    line = installed.zbx_nvidia.refused("add-host", HOST, "--variant", "active")
    assert f"has the template {TEMPLATE!r} with the same items as {TEMPLATE_NAMES['active']!r}: unlink it first" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--group", "Linux server"], "has no host group 'Linux server': it has 'Linux servers'"),
        (["--proxy", "nowhere"], "has no proxy 'nowhere': this user sees no proxy at all"),
    ],
)
def test_unknown_group_or_proxy(installed: Server, arguments: list[str], message: str) -> None:
    line = installed.zbx_nvidia.refused("add-host", HOST, "--address", "192.0.2.10", *arguments)
    assert message in line
    assert not installed.api.host.get(filter={"host": HOST})


def test_host_before_the_template(server: Server) -> None:
    line = server.zbx_nvidia.refused("add-host", HOST, "--address", "192.0.2.10")
    assert f"has no template {TEMPLATE!r} that this user can see: run install-template first" in line


# Who may


def test_wrong_password(server: Server) -> None:
    client = server.user("typo", 3)
    client.environment["ZABBIX_PASSWORD"] = PASSWORD.lower()
    assert client.refused("install-template") == (
        f"Error: Zabbix at {server.url} refuses user.login to user '{MARK} typo': Incorrect user name or password or "
        "account is temporarily blocked: check both; repeated failures block the account for 30 s"
    )


def test_token(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(server.token() + "\n")
    path.chmod(0o600)
    out = Client(server.url).ok("install-template", "--token-file", str(path))
    assert "Done.\n" in out
    out = Client(server.url, ZABBIX_TOKEN=path.read_text().strip()).ok("install-template")
    assert "  nothing changes\n" in out


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"expires_at": 1_000_000_000}, "API token expired: create a new token"),
        ({"status": 1}, "the token is unknown or disabled"),
    ],
    ids=["expired", "disabled"],
)
def test_token_that_is_not_valid(server: Server, properties: dict[str, Any], message: str) -> None:
    token = server.token(**properties)
    line = Client(server.url, ZABBIX_TOKEN=token).refused("install-template")
    assert message in line
    assert token not in line


def test_unknown_token(server: Server) -> None:
    line = Client(server.url, ZABBIX_TOKEN="0" * 64).refused("install-template")
    assert "the token is unknown or disabled: check ZABBIX_TOKEN or --token-file" in line


@pytest.mark.parametrize(("name", "role"), [("user", 1), ("admin", 2)])
def test_missing_permission(server: Server, name: str, role: int) -> None:
    line = server.user(name, role).refused("install-template")
    assert f"to user '{MARK} {name}': " in line
    assert "ermission" in line.partition("to user")[2]
    assert (
        "the template's group does not exist, or this user cannot see it, and only a Super admin can create it" in line
    )
    assert PASSWORD not in line


def test_an_admin_may_do_all_of_it_in_groups_that_are_there(server: Server) -> None:
    """Only to make a group takes a Super admin."""
    client = server.user("admin", 2, "Templates/Applications", "Linux servers")
    assert "Done.\n" in client.ok("install-template")
    host = ("add-host", HOST, "--address", "192.0.2.10")
    line = client.refused(*host)
    assert "hostgroup.create" in line
    assert "only a Super admin can create a host group: with --group, name one that this user may write" in line
    assert "Done.\n" in client.ok(*host, "--group", "Linux servers")
    assert client.ok(*host) == f"host {HOST}\n  nothing changes\n"
    server.install(older(server.text()))
    # What was set on hosts out of sight would be reset.
    line = client.refused("install-template")
    assert f"hosts that this user does not see may have the template {TEMPLATE!r} (it sees 1 with it)" in line
    assert "    = item NVIDIA: Gone\n" in client.ok("install-template", "--force")
    assert "  nothing changes\n" in client.ok("install-template")
    client.ok("uninstall-template", "--force")


def test_no_secret_is_printed(server: Server) -> None:
    client = server.user("marked", 3)
    runs = [
        client("install-template"),
        client("add-host", HOST, "--address", "192.0.2.11", "--group", "none"),
        client("uninstall-template", "--json"),
    ]
    assert [done.code for done in runs] == [0, 1, 0]
    assert not [done for done in runs if PASSWORD in done.out + done.err]


def test_an_admin_updates_a_template_that_no_host_has(server: Server) -> None:
    client = server.user("admin", 2, "Templates/Applications")
    server.install(older(server.text()))
    if server.version >= (7, 0):
        assert "(it sees none with it)" in client.refused("install-template")
        assert "\nDone.\n" in client.ok("install-template", "--force")
        return
    line = client.refused("install-template", "--force")
    assert (
        "already exists: this user does not see all of the template: link it to a host that the user may read" in line
    )


# Front ends that this repository has no server for


class Proxy(NamedTuple):
    """A web server before the real one."""

    url: str
    requests: list[tuple[dict[str, Any], str | None]]


@contextlib.contextmanager
def before(url: str, version: str | None = None, *, strip: bool = False) -> Iterator[Proxy]:
    """A web server that hands requests on to the real one.

    With a version it holds clients to the rules of 7.2 and newer, and says that it is of this version. With `strip` it
    loses the Authorization header, as Apache with PHP-FPM does.
    """
    target = urlsplit(url)
    seen: list[tuple[dict[str, Any], str | None]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = json.loads(body)
            seen.append((request, self.headers["Authorization"]))
            if version and "auth" in request:
                data = 'Invalid parameter "/": unexpected parameter "auth".'
                answer = {"error": {"code": -32600, "message": "Invalid request.", "data": data}}
                content = json.dumps({"jsonrpc": "2.0", "id": request["id"], **answer}).encode()
            elif version and request["method"] == "apiinfo.version":
                content = json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": version}).encode()
            else:
                content = self.hand_on(body)
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def hand_on(self, body: bytes) -> bytes:
            headers = {"Content-Type": "application/json-rpc"}
            if self.headers["Authorization"] and not strip:
                headers["Authorization"] = self.headers["Authorization"]
            real = http.client.HTTPConnection(str(target.hostname), target.port or 80, timeout=60)
            with contextlib.closing(real):
                real.request("POST", f"{target.path}/api_jsonrpc.php", body, headers)
                return real.getresponse().read()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http_server:
        thread = threading.Thread(target=http_server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield Proxy(f"http://127.0.0.1:{http_server.server_port}", seen)
        finally:
            http_server.shutdown()
            thread.join()


def test_session_travels_where_the_version_wants_it(server: Server) -> None:
    """In the body for 6.0, which looks nowhere else; never in the body for 7.2 and newer, which refuse it there."""
    token = server.token()
    with before(server.url, None if server.version < (7, 0) else "7.4.0") as front:
        client = Client(front.url, ZABBIX_TOKEN=token)
        assert client("install-template").code == 0  # on 7.0 with a warning: see the next test
        client.ok("add-host", HOST, "--address", "192.0.2.10")
        assert client.ok("add-host", HOST, "--address", "192.0.2.10") == f"host {HOST}\n  nothing changes\n"
        login = {"ZABBIX_USER": server.stack.user, "ZABBIX_PASSWORD": server.stack.password}
        Client(front.url, **login).ok("uninstall-template", "--force")
    in_body = [request for request, _ in front.requests if "auth" in request]
    in_header = [header for _, header in front.requests if header]
    assert len(in_body or in_header) > 10
    assert bool(in_body) == (server.version < (7, 0))
    assert bool(in_header) == (server.version >= (7, 0))
    assert server.version < (7, 0) or f"Bearer {token}" in in_header


def test_a_server_that_refuses_the_newest_template_gets_an_older_one(server: Server) -> None:
    """A 7.0 behind a front that says 7.4: it refuses the file for 7.4, in its own words."""
    if server.version < (7, 0):
        pytest.skip("6.0 knows no Bearer token, which the front requires")
    with before(server.url, "7.4.0") as front:
        client = Client(front.url, ZABBIX_TOKEN=server.token())
        outputs = []
        for options in (["--dry-run"], [], [], ["--variant", "both", "--dry-run"]):
            done = client("install-template", *options)
            assert done.code == 0, done
            (line,) = done.err.splitlines()
            assert line.startswith(
                f"warning: Zabbix at {front.url} refuses configuration.importcompare to user 'Admin': "
            )
            assert "unsupported version number" in line
            assert line.endswith(": used the template file for 7.0, which has no fields for the Host Wizard")
            outputs.append(done.out)
        client.ok("uninstall-template", "--dry-run")
    assert outputs[0].endswith("Dry run: nothing was changed.\n")
    assert "\nDone.\n" in outputs[1]
    assert outputs[2] == f"template {TEMPLATE}\n  nothing changes\n"
    assert server.zbx_nvidia.ok("install-template") == outputs[2], "what a 7.0 gets that says so"


def test_a_text_of_several_lines_is_no_change_the_second_time(server: Server) -> None:
    """The readme of the file for 7.4 is one; 7.0 has no readme, but a description."""
    if server.version < (7, 0):
        pytest.skip("the readme goes to newer servers only")
    block = r"\1description: |\n\1  ## One\n\n\1  Two."
    text = re.sub(r"^( +)description: .*$", block, server.text(), count=1, flags=re.MULTILINE)
    server.install(text)
    assert server.exported()["templates"][0]["description"].startswith("## One\n\nTwo.")
    with server.connect() as zabbix:
        assert templates.plan_install(zabbix, parse(text)).changes == []


def test_the_strict_front_is_strict(server: Server) -> None:
    with before(server.url, "7.4.0") as front:
        body = {"jsonrpc": "2.0", "method": "host.get", "params": {}, "id": 1, "auth": "x"}
        real = http.client.HTTPConnection("127.0.0.1", urlsplit(front.url).port or 80)
        with contextlib.closing(real):
            real.request("POST", "/api_jsonrpc.php", json.dumps(body))
            assert 'unexpected parameter "auth"' in json.loads(real.getresponse().read())["error"]["data"]


def test_authorization_header_that_the_web_server_strips(server: Server) -> None:
    with before(server.url, strip=True) as front:
        client = Client(front.url, ZABBIX_TOKEN=server.token())
        if server.version < (6, 4):
            client.ok("install-template")  # the session does not travel in the header
            return
        line = client.refused("install-template")
    assert "the web server strips the Authorization header: for Apache with PHP-FPM, set 'CGIPassAuth On'" in line


# Updates, and what people set on hosts

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
