"""Finds on a server what a host is linked to, by name."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from zbx_nvidia.errors import ServerError
from zbx_nvidia.server import versions

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from zbx_nvidia.server.connection import Connection
    from zbx_nvidia.server.wanted import Wanted

Object = dict[str, Any]


def pieces(ids: list[str], size: int) -> Iterator[list[str]]:
    """IDs in pieces for one request each: the answer to all of them would be too large."""
    for start in range(0, len(ids), size):
        yield ids[start : start + size]


def gone(zabbix: Connection, what: str) -> ServerError:
    """For what was there a moment ago: somebody else has removed it between two questions."""
    return ServerError(f"Zabbix at {zabbix.url}: {what} was removed while this ran: run this again")


def template(zabbix: Connection, name: str, uuid: str = "") -> str:
    """The id of a template: of that UUID, whatever a person has named it, or else of that name."""
    filters = [{"uuid": uuid}] * bool(uuid) + [{"host": name}]
    for one in filters:
        if templates := zabbix.call("template.get", {"output": ["templateid"], "filter": one}):
            return str(templates[0]["templateid"])
    raise ServerError(
        f"Zabbix at {zabbix.url} has no template {name!r} that this user can see: run install-template first"
    )


def lineage(zabbix: Connection, templates: list[Object]) -> list[Object]:
    """These templates and all that they are linked to: the nearest first, each once, as far as this user sees them."""
    linked = list(templates)
    level = templates
    while level:
        request = {
            "output": ["templateid"],
            "templateids": [template["templateid"] for template in level],
            "selectParentTemplates": ["templateid", "host", "uuid"],
        }
        rows = [parent for template in zabbix.call("template.get", request) for parent in template["parentTemplates"]]
        known = {template["templateid"] for template in linked}
        level = list({row["templateid"]: row for row in rows if row["templateid"] not in known}.values())
        linked += level
    return linked


def item_keys(zabbix: Connection, templateid: str) -> list[str]:
    """The keys of a template's items and discovery rules."""
    request = {"hostids": [templateid], "output": ["key_"]}
    return [row["key_"] for api in _KEYED for row in zabbix.call(f"{api}.get", request)]


def own_items(zabbix: Connection, hostids: list[str], keys: list[str]) -> list[str]:
    """Items and discovery rules of these hosts with these keys, that come from no template."""
    if not hostids or not keys:
        return []
    request = {
        "hostids": hostids,
        "filter": {"key_": keys},
        "inherited": False,
        "output": ["key_"],
        "selectHosts": ["host"],
    }
    rows = [row for api in _KEYED for row in zabbix.call(f"{api}.get", request)]
    return sorted(f"{row['key_']} on {host['host']}" for row in rows for host in row["hosts"])


_KEYED = ("item", "discoveryrule")

# Name, expression and recovery expression, which names no host: by these Zabbix makes a host's trigger the template's.
Trigger = tuple[str, str, str]


def trigger(name: str, expressions: Iterable[str], host: str) -> Trigger:
    """A trigger as a template file has it."""
    expression, recovery = (one.replace(f"/{host}/", "//") for one in expressions)
    return name, expression, recovery


def triggers(zabbix: Connection, **of: Any) -> list[tuple[str, Trigger]]:  # noqa: ANN401  parameters of the API
    """Triggers, each with the name of its host or template. Several may have one name."""
    request = {
        "output": ["description", "expression", "recovery_expression"],
        "selectFunctions": "extend",  # a list of names gives no names of functions
        "selectItems": ["itemid", "key_"],
        "selectHosts": ["host"],
        **of,
    }
    named = []
    for row in zabbix.call("trigger.get", request):
        # Not by expandExpression, which replaces macros by their values too.
        keys = {item["itemid"]: item["key_"] for item in row["items"]}
        expression, recovery = row["expression"], row["recovery_expression"]
        for one in row["functions"]:
            # An item that this user does not see has no key here: then the trigger equals no other.
            call = f"{one['function']}(//{keys.get(one['itemid'])}{one['parameter'].removeprefix('$')})"
            expression, recovery = (part.replace(f"{{{one['functionid']}}}", call) for part in (expression, recovery))
        named += [(host["host"], (row["description"], expression, recovery)) for host in row["hosts"]]
    return named


def own_triggers(zabbix: Connection, hostids: list[str], wanted: Collection[Trigger]) -> list[str]:
    """Triggers of these hosts that equal one of a template, and come from no template."""
    names = sorted({name for name, *_ in wanted})
    if not hostids or not names:
        return []
    there = triggers(zabbix, hostids=hostids, filter={"description": names}, inherited=False)
    return sorted(f"{one[0]!r} on {host}" for host, one in there if one in wanted)


def host_groups(zabbix: Connection, names: tuple[str, ...], *, required: bool = True) -> dict[str, str]:
    """The ids of host groups by name.

    Args:
        zabbix: the server.
        names: of the groups, as they are written.
        required: whether each must exist; the message names the most similar ones.
    """
    if not names:
        return {}
    request = {"output": ["groupid", "name"]}  # 7.0 returns the id only on request
    ids = {group["name"]: group["groupid"] for group in zabbix.call("hostgroup.get", request)}
    for name in names if required else ():
        if name not in ids:
            raise ServerError(_unknown(zabbix, "host group", name, list(ids)))
    return {name: ids[name] for name in names if name in ids}


def monitored(zabbix: Connection, wanted: Wanted) -> Object:
    """The properties of a host that assign it to the wanted proxy or proxy group; empty if neither is wanted."""
    if wanted.proxy_group:
        if not versions.has_proxy_groups(zabbix.version):
            version = ".".join(map(str, zabbix.version))
            raise ServerError(f"Zabbix at {zabbix.url} is {version}: proxy groups need 7.0: give --proxy instead")
        groups = proxy_groups(zabbix)
        if wanted.proxy_group not in groups:
            raise ServerError(_unknown(zabbix, "proxy group", wanted.proxy_group, list(groups)))
        return versions.monitored_by_proxy_group(groups[wanted.proxy_group])
    if wanted.proxy is None:
        return {}
    if not wanted.proxy:
        return versions.monitored_by_server(zabbix.version)
    known = proxies(zabbix)
    if wanted.proxy not in known:
        if wanted.proxy in proxy_groups(zabbix):
            raise ServerError(
                f"Zabbix at {zabbix.url} has no proxy {wanted.proxy!r}: there is a proxy group of that name: "
                "give --proxy-group"
            )
        raise ServerError(_unknown(zabbix, "proxy", wanted.proxy, list(known)))
    return versions.monitored_by_proxy(zabbix.version, known[wanted.proxy])


def proxies(zabbix: Connection) -> dict[str, str]:
    """The ids of the proxies by name."""
    name = versions.proxy_name(zabbix.version)
    return {proxy[name]: proxy["proxyid"] for proxy in zabbix.call("proxy.get", {"output": ["proxyid", name]})}


def proxy_groups(zabbix: Connection) -> dict[str, str]:
    """The ids of the proxy groups by name."""
    if not versions.has_proxy_groups(zabbix.version):
        return {}
    groups = zabbix.call("proxygroup.get", {"output": ["proxy_groupid", "name"]})
    return {group["name"]: group["proxy_groupid"] for group in groups}


def name_of(ids: dict[str, str], wanted: str) -> str:
    """The name of the object with this id; the id itself if this user cannot see the object."""
    return next((name for name, one in ids.items() if one == wanted), wanted)


def _unknown(zabbix: Connection, kind: str, name: str, known: list[str]) -> str:
    similar = difflib.get_close_matches(name, known, cutoff=0.4) or sorted(known)[:3]
    hint = f"it has {', '.join(map(repr, similar))}" if similar else f"this user sees no {kind} at all"
    seen = "" if zabbix.sees_all else " that this user can see"
    return f"Zabbix at {zabbix.url} has no {kind} {name!r}{seen}: {hint}"
