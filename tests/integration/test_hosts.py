"""Hosts on real servers: what `add-host` makes of a new one, and what it leaves to one that others made."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.server import HOST, MACRO, MARK, SICK, TEMPLATE, Server, add_host, own_trigger
from zbx_nvidia.doctor.server_state import ServerState
from zbx_nvidia.server import versions
from zbx_nvidia.template import TEMPLATE_NAMES

if TYPE_CHECKING:
    from tests.integration.watched import Client

pytestmark = pytest.mark.integration


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
    installed.stack.sql(assign)
    try:
        found = installed.doctor("proxy")
    finally:
        installed.stack.sql("delete from host_proxy")
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
    assert "Marker-n3w" in installed.stack.sql(f"select value from hostmacro where hostid = {hostid}")  # noqa: S608
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
