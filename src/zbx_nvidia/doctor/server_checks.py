"""The server and the host on it: frontend, server, template, host, proxy."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from zbx_nvidia import __version__
from zbx_nvidia.catalog.entities import DOCUMENT
from zbx_nvidia.doctor.checks import NOTE, SERVER, Fault, Result, check, good, unseen
from zbx_nvidia.errors import ServerError
from zbx_nvidia.server import versions
from zbx_nvidia.template import TEMPLATE_NAMES, TEMPLATE_UUIDS

if TYPE_CHECKING:
    from zbx_nvidia.doctor.server_state import ServerState

STOPPED = "1"  # Zabbix's number for a server that was shut down
SILENT = 60  # s after which a server, which writes its time every few, counts as gone
SILENT_PROXY = 150  # s; one of 6.0 calls once a minute when it has nothing else to send
WITHOUT_DATA = "1"  # a maintenance without data collection
IMPORT = "\n    zbx-nvidia install-template --url {url} --token-file FILE"
UPDATE = "\n    zbx-nvidia install-template --variant {variant} --url {url} --token-file FILE"
ADD_HOST = "\n    zbx-nvidia add-host {host} --address ADDRESS --url {url} --token-file FILE"
RESTART_PROXY = "\n    systemctl restart zabbix-proxy\n    journalctl -u zabbix-proxy -n 20"

NO_CONNECTION = Fault(
    "refused",
    cause="{said}",
    fix="Fix this, then run the doctor again. Without the frontend it sees nothing of the server.",
)


@check("frontend", "Zabbix frontend", SERVER, NO_CONNECTION)
def frontend(server: ServerState) -> Result:
    """Can the doctor reach the frontend and log in, and is it Zabbix 6.0 or newer?"""
    try:
        zabbix = server.zabbix
    except ServerError as error:
        raise NO_CONNECTION(said=error) from None
    return good(f"Zabbix {'.'.join(map(str, zabbix.version))} at {zabbix.url}")


DOWN = Fault(
    "down",
    cause="The frontend answers, but the Zabbix server behind it is not running. Its last sign of life is {age} old.",
    fix="Restart the server on its host, and read its log:\n    systemctl restart zabbix-server\n    journalctl -u "
    "zabbix-server -n 20",
)


@check("server", "Server running", SERVER, DOWN, needs=("frontend",))
def running(server: ServerState) -> Result:
    """When did the server last write its time into the database? Only a user of type Super admin can see it."""
    try:
        nodes = server.zabbix.call("hanode.get", {"output": ["lastaccess", "status"]})
    except ServerError:
        return unseen("only a Super admin can see it")
    if not nodes:
        return unseen("it does not report it")
    age = server.now - max(float(node["lastaccess"]) for node in nodes)
    # A server that is stopped says so; one that is killed cannot.
    if age > SILENT or all(node["status"] == STOPPED for node in nodes):
        raise DOWN("it is not running", age=f"{max(age, 0):.0f} s")
    return good("it has just written its time")


NO_TEMPLATE = Fault(
    "missing",
    cause="The server has no template {name!r} that this user may see.",
    fix=f"Import it:{IMPORT}",
)
OTHER_VERSION = Fault(
    "version",
    cause="The template {name!r} on the server has version {found}, but this package has version {own}.",
    fix=f"Update the template, or this package:{UPDATE}",
)


@check("template", "Template", SERVER, NO_TEMPLATE, OTHER_VERSION, needs=("frontend",))
def template(server: ServerState) -> Result:
    """Is the template on the server, in the version of this package?"""
    names = list(TEMPLATE_NAMES.values())
    # By UUID, because a person may have renamed it; by name for one of other origin, which has no version of ours.
    uuids = list(TEMPLATE_UUIDS.values())
    request = {"output": "extend", "filter": {"host": names, "uuid": uuids}, "searchByAny": True}
    by_key = {key: row for row in server.zabbix.call("template.get", request) for key in (row["host"], row.get("uuid"))}
    rows = {
        variant: by_key.get(TEMPLATE_UUIDS[variant]) or by_key[name]
        for variant, name in TEMPLATE_NAMES.items()
        if TEMPLATE_UUIDS[variant] in by_key or name in by_key
    }
    if not rows and server.items.get(DOCUMENT, {}).get("templateid", "0") != "0":
        return unseen("this user may see the host, but not its template")
    if not rows:
        raise NO_TEMPLATE(name=names[0], url=server.zabbix.url)
    for variant, row in rows.items():
        version, name = versions.template_version(row), row["host"]
        if version != __version__:
            url = server.zabbix.url
            raise OTHER_VERSION(name=name, found=version or "unknown", own=__version__, variant=variant, url=url)
    return good(", ".join(f"{row['host']} {__version__}" for row in rows.values()))


NO_HOST = Fault(
    "missing",
    cause="Zabbix has no host {name!r} that this user may see. Similar names: {similar}.",
    fix=f"Add the host, give its name in Zabbix with --host, or give the user's group the right to read it:{ADD_HOST}",
)


@check("host", "Host in Zabbix", SERVER, NO_HOST, needs=("frontend",))
def host(server: ServerState) -> Result:
    """Is there a host of this technical name, which this user may see?"""
    if server.host is None:
        known = [row["host"] for row in server.zabbix.call("host.get", {"output": ["host"]})]
        alike = difflib.get_close_matches(server.name.lower(), [name.lower() for name in known], 3, 0.6)
        similar = ", ".join(repr(name) for name in known if name.lower() in alike) or "none"
        text = f"no host {server.name!r}"
        raise NO_HOST(text, name=server.name, similar=similar, host=server.quoted_name, url=server.zabbix.url)
    return good(server.name)


DISABLED = Fault(
    "disabled",
    cause="The host {name!r} is disabled in Zabbix, so the server does not poll it.",
    fix="Enable it under Data collection > Hosts (6.0: Configuration > Hosts).",
)
IN_MAINTENANCE = Fault(
    "maintenance",
    cause="The host {name!r} is in a maintenance without data collection.",
    fix="Wait for the end of this maintenance, or end it under Data collection > Maintenance (6.0: Configuration > "
    "Maintenance).",
)
WITHOUT_ALERTS = Fault(
    "quiet",
    cause="The host {name!r} is in a maintenance. Values arrive, but Zabbix sends no alerts.",
    fix="End the maintenance when the work is done.",
    state=NOTE,
)


@check("monitored", "Host monitored", SERVER, DISABLED, IN_MAINTENANCE, WITHOUT_ALERTS, needs=("host",))
def monitored(server: ServerState) -> Result:
    """Is the host enabled, and not in a maintenance?"""
    row = server.host or {}
    if row["status"] != "0":
        raise DISABLED(name=server.name)
    if row.get("maintenance_status") == "1":
        fault = IN_MAINTENANCE if row["maintenance_type"] == WITHOUT_DATA else WITHOUT_ALERTS
        raise fault(name=server.name)
    return good("enabled")


NOT_LINKED = Fault(
    "missing",
    cause="The template is not linked to the host {name!r}, which has no item {key}.",
    fix=f"Link it:{ADD_HOST}",
)
ITEM_DISABLED = Fault(
    "disabled",
    cause="The item {key} of the host {name!r} is disabled.",
    fix="Enable it under Data collection > Hosts > Items (6.0: Configuration > Hosts > Items).",
)


@check("linked", "Template linked", SERVER, NOT_LINKED, ITEM_DISABLED, needs=("template", "host"))
def linked(server: ServerState) -> Result:
    """Does the host have the master item, from which all other items take their values, and is it enabled?"""
    if DOCUMENT not in server.items:
        text = f"no item {DOCUMENT} on it"
        raise NOT_LINKED(text, name=server.name, host=server.quoted_name, key=DOCUMENT, url=server.zabbix.url)
    if server.master["status"] != "0":
        raise ITEM_DISABLED(name=server.name, key=DOCUMENT)
    return good(f"{len(server.items)} items, {'polled by the server' if server.passive else 'sent by the agent'}")


PROXY_SILENT = Fault(
    "silent",
    cause="The proxy {name!r} monitors this host, but has not called the server for {age}.",
    fix="Restart the proxy on its host, and read its log:" + RESTART_PROXY,
)
NO_PROXY_OF_GROUP = Fault(
    "group",
    cause="The host belongs to the proxy group {name!r}, but none of its proxies has taken it.",
    fix="For a new host this takes a minute. If it stays so, too few proxies are online (see Administration > Proxy "
    "groups). Restart the proxies on their hosts, and read their logs:" + RESTART_PROXY,
)


@check("proxy", "Proxy", SERVER, PROXY_SILENT, NO_PROXY_OF_GROUP, needs=("host",))
def proxy(server: ServerState) -> Result:
    """If a proxy monitors the host, has it called the server in the last minutes?"""
    row = server.proxy
    if row is None and versions.proxy_of(server.zabbix.version, server.host or {}):
        return unseen("this user may not see it")
    if row is None and (group := server.proxy_group):
        raise NO_PROXY_OF_GROUP(f"no proxy of {group} has taken it", name=group)
    if row is None:
        return unseen("none")
    name = row[versions.proxy_name(server.zabbix.version)]
    last = float(row["lastaccess"])
    if server.now - last > SILENT_PROXY:
        age = f"{server.now - last:.0f} s" if last else "ever"
        raise PROXY_SILENT(f"{name} is silent", name=name, age=age)
    return good(f"{name} has just called")
