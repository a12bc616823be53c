"""A Zabbix server as its administrator sees it, and what tests of the API client make there and remove again."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

from tests.integration.watched import Client
from tests.unit.template.files import parse
from zbx_nvidia.server import merge, templates, versions
from zbx_nvidia.server.connection import Connection, Credentials, connect
from zbx_nvidia.template import TEMPLATE_NAMES, render

if TYPE_CHECKING:
    import contextlib

TEMPLATE = TEMPLATE_NAMES["passive"]
HOST = "api-client-test"
MARK = "API client test"  # in the name of everything else that these tests make
PASSWORD = "Marker-s3cret-9f2c"  # noqa: S105  of users that these tests make
MACRO = "{$NVIDIA.NODATA}"
SICK = "NVIDIA: GPU is sick"  # an alert of the template


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


def add_host(server: Server, *options: str) -> str:
    return server.zbx_nvidia.ok("add-host", HOST, "--address", "192.0.2.10", *options)


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
