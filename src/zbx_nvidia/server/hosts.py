"""Adds a host, or what is missing on it, and keeps the settings of others."""

from __future__ import annotations

import difflib
import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zbx_nvidia.errors import ServerError
from zbx_nvidia.server import versions
from zbx_nvidia.server.plan import Change, Kept, Plan

if TYPE_CHECKING:
    from zbx_nvidia.server.connection import Connection

Object = dict[str, Any]

AGENT = "1"  # Zabbix's number for an interface of an agent
AGENT_PORT = "10050"
PSK = "2"  # Zabbix's number for encryption with a pre-shared key, of either direction
ENCRYPTIONS = {1: "none", 2: "PSK", 4: "certificate"}  # bits of tls_accept
TEXT = "0"  # Zabbix's number for a macro whose value the API returns


@dataclass(frozen=True)
class Wanted:
    """What a host must have.

    Attributes:
        name: technical name of the host.
        template: name of its template.
        excluded: names of templates with the same items, which cannot be linked together with it.
        address: IP address or DNS name of its agent; empty if the agent connects to the server.
        port: port of its agent; empty for 10050 on a new interface, and for any port on an existing one.
        groups: host groups that must exist.
        default_group: host group of a new host if `groups` is empty; it is created if missing.
        proxy: name of the proxy that monitors it; empty to keep the present one.
        proxy_group: name of the proxy group that monitors it, instead of one proxy.
        tags: pairs of tag and value.
        macros: values by macro, {$NAME}.
        psk_identity: encrypt both ways with the key of this name; empty to keep the present encryption.
        psk: that key, as hexadecimal digits.
    """

    name: str
    template: str
    excluded: tuple[str, ...] = ()
    address: str = ""
    port: str = ""
    groups: tuple[str, ...] = ()
    default_group: str = ""
    proxy: str = ""
    proxy_group: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    macros: dict[str, str] = field(default_factory=dict)
    psk_identity: str = ""
    psk: str = field(default="", repr=False)


def plan_host(zabbix: Connection, wanted: Wanted, *, overwrite: bool = False) -> Plan:
    """The changes that make the host as wanted.

    Args:
        zabbix: the server.
        wanted: what the host must have.
        overwrite: change the host's own interface, macros, proxy and encryption if they differ.
    """
    templateid = _template(zabbix, wanted.template)
    monitored = _monitored(zabbix, wanted)
    host = _host(zabbix, wanted.name)
    if host is None:
        return _new(zabbix, wanted, templateid, monitored)
    return _existing(zabbix, wanted, host, templateid, monitored, overwrite=overwrite)


def dashboards(zabbix: Connection, name: str) -> str:
    """Address of a host's dashboards in the front end."""
    host = _host(zabbix, name)
    assert host is not None  # noqa: S101  it was added
    return f"{zabbix.url.rstrip('/')}/zabbix.php?action=host.dashboard.view&hostid={host['hostid']}"


def has_value(zabbix: Connection, name: str, key: str) -> bool:
    """Whether an item of a host has ever had a value."""
    request = {"host": name, "filter": {"key_": key}, "output": ["lastclock"]}
    return any(int(row["lastclock"]) for row in zabbix.call("item.get", request))


def _new(zabbix: Connection, wanted: Wanted, templateid: str, monitored: Object) -> Plan:
    names = wanted.groups or (wanted.default_group,)
    groups = host_groups(zabbix, wanted.groups) if wanted.groups else host_groups(zabbix, names, required=False)
    changes = [Change("add", "host group", name) for name in names if name not in groups]
    changes.append(Change("add", "host", wanted.name, new=_summary(wanted, names)))
    request: Object = {
        "host": wanted.name,
        "templates": [{"templateid": templateid}],
        "interfaces": [_interface(wanted)] if wanted.address else [],
        "tags": [{"tag": tag, "value": value} for tag, value in wanted.tags],
        "macros": [{"macro": macro, "value": value} for macro, value in wanted.macros.items()],
        **monitored,
        **(_encryption(wanted) if wanted.psk else {}),
    }

    def apply() -> None:
        for name in names:
            if name not in groups:
                groups[name] = zabbix.call("hostgroup.create", {"name": name})["groupids"][0]
        zabbix.call("host.create", {**request, "groups": [{"groupid": groups[name]} for name in names]})

    return Plan("host", wanted.name, changes, apply=apply)


def _summary(wanted: Wanted, groups: tuple[str, ...]) -> str:
    """A new host in one line."""
    parts = [f"template {wanted.template}", f"group {', '.join(groups)}"]
    if wanted.address:
        parts.append(f"interface {wanted.address}:{wanted.port or AGENT_PORT}")
    if wanted.proxy or wanted.proxy_group:
        parts.append(f"proxy {wanted.proxy}" if wanted.proxy else f"proxy group {wanted.proxy_group}")
    if wanted.psk:
        parts.append(f"encryption with the PSK {wanted.psk_identity}")
    parts += [f"tag {tag}={value}" for tag, value in wanted.tags]
    parts += [f"macro {macro}={value}" for macro, value in wanted.macros.items()]
    return "; ".join(parts)


class _Update:
    """The update of one host, while it is put together: the changes, the request, the conflicts, and what is kept."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.changes: list[Change] = []
        self.request: Object = {}
        self.conflicts: list[str] = []
        self.kept: list[Kept] = []

    def add(self, kind: str, name: str) -> None:
        self.changes.append(Change("add", kind, name))

    def overwrite(self, kind: str, name: str, old: str, new: str) -> None:
        """Replaces a setting of somebody else, which needs --overwrite."""
        setting = f"{kind} {name}".strip()
        self.changes.append(Change("update", "host", self.name, setting, old, new))
        self.conflicts.append(f"{setting} is {old!r}, not {new!r}")


def _existing(  # noqa: PLR0913  ids are looked up once
    zabbix: Connection, wanted: Wanted, host: Object, templateid: str, monitored: Object, *, overwrite: bool
) -> Plan:
    update = _Update(wanted.name)
    direct = host["parentTemplates"]
    linked = lineage(zabbix, direct)
    for template in linked:
        if template["host"] in wanted.excluded:
            raise ServerError(
                f"Zabbix at {zabbix.url}: the host {wanted.name!r} has the template {template['host']!r}"
                f"{'' if template in direct else ' (through another template)'} with the same items as "
                f"{wanted.template!r}: unlink it first (without clear, to keep its history)"
            )
    # A template that another one includes cannot be linked too: Zabbix gives a host no item twice.
    if templateid not in [template["templateid"] for template in linked]:
        update.add("template", wanted.template)
        ids = [template["templateid"] for template in direct]
        update.request["templates"] = [{"templateid": one} for one in (*ids, templateid)]
    _add_groups(zabbix, wanted, host, update)
    _add_tags(wanted, host, update)
    _set_macros(wanted, host, update)
    if wanted.address:
        _set_interface(wanted, host, update)
    if monitored:
        _set_monitored(zabbix, wanted, host, monitored, update)
    if wanted.psk:
        _set_encryption(wanted, host, update, overwrite=overwrite)
    refusal = ""
    if update.conflicts and not overwrite:
        refusal = (
            f"Zabbix at {zabbix.url}: the host {wanted.name!r} exists with other settings: "
            f"{'; '.join(update.conflicts)}: give --overwrite to change them"
        )
    request = {"hostid": host["hostid"], **update.request}
    return Plan(
        "host", wanted.name, update.changes, update.kept, refusal, apply=lambda: zabbix.call("host.update", request)
    )  # fmt: skip


def _add_groups(zabbix: Connection, wanted: Wanted, host: Object, update: _Update) -> None:
    present = host[versions.host_groups_property(zabbix.version)]
    ids = [group["groupid"] for group in present]
    for name, groupid in host_groups(zabbix, wanted.groups).items():
        if groupid not in ids:
            update.add("host group", name)
            ids.append(groupid)
            update.request["groups"] = [{"groupid": one} for one in ids]


def _add_tags(wanted: Wanted, host: Object, update: _Update) -> None:
    # Tags of a discovery ("automatic", since 6.4) must not be sent back.
    tags = [{"tag": tag["tag"], "value": tag["value"]} for tag in host["tags"] if tag.get("automatic", "0") == "0"]
    for tag, value in wanted.tags:
        if {"tag": tag, "value": value} not in tags:
            update.add("tag", f"{tag}: {value}")
            tags.append({"tag": tag, "value": value})
            update.request["tags"] = tags


def _set_macros(wanted: Wanted, host: Object, update: _Update) -> None:
    present = {macro["macro"]: macro for macro in host["macros"]}
    macros: list[Object] = []
    for name, value in wanted.macros.items():
        macro = present.get(name)
        if macro is None:
            update.add("macro", f"{name} = {value}")
            macros.append({"macro": name, "value": value})
        elif macro["type"] != TEXT or macro["value"] != value:
            update.overwrite("macro", name, macro["value"] if macro["type"] == TEXT else "(secret)", value)
            macros.append({"hostmacroid": macro["hostmacroid"], "value": value, "type": TEXT})
    if macros:
        replaced = {macro.get("hostmacroid") for macro in macros}
        # A macro that is sent with its id alone keeps its value, a secret one too.
        others = [{"hostmacroid": macro["hostmacroid"]} for macro in host["macros"]]
        update.request["macros"] = [macro for macro in others if macro["hostmacroid"] not in replaced] + macros


def _set_interface(wanted: Wanted, host: Object, update: _Update) -> None:
    present = [interface for interface in host["interfaces"] if interface["type"] == AGENT]
    new = _interface(wanted)
    if any(_address(interface) == wanted.address and wanted.port in {"", interface["port"]} for interface in present):
        return
    if not present:
        update.add("interface", f"{wanted.address}:{new['port']}")
        update.request["interfaces"] = [*_kept_interfaces(host["interfaces"]), new]
        return
    main = next(interface for interface in present if interface["main"] == "1")
    new["port"] = wanted.port or main["port"]
    old = f"{_address(main)}:{main['port']}"
    update.overwrite("agent interface", "", old, f"{wanted.address}:{new['port']}")
    others = [interface for interface in host["interfaces"] if interface is not main]
    update.request["interfaces"] = [*_kept_interfaces(others), {**new, "interfaceid": main["interfaceid"]}]


def _kept_interfaces(interfaces: list[Object]) -> list[Object]:
    """Interfaces in the form for `host.update`, which deletes those that are not sent."""
    keys = ("interfaceid", "type", "main", "useip", "ip", "dns", "port", "details")
    # `details` is an empty list unless the interface is SNMP, and `host.update` refuses an empty list.
    return [{key: interface[key] for key in keys if interface.get(key) != []} for interface in interfaces]


def _set_monitored(zabbix: Connection, wanted: Wanted, host: Object, monitored: Object, update: _Update) -> None:
    if monitored.items() <= host.items():
        return
    # "No proxy" is a setting of somebody else too.
    old = "(none)"
    if groupid := versions.proxy_group_of(zabbix.version, host):
        old = f"proxy group {_name(_proxy_groups(zabbix), groupid)}"
    elif proxyid := versions.proxy_of(zabbix.version, host):
        old = _name(_proxies(zabbix), proxyid)
    update.overwrite("proxy", "", old, wanted.proxy or f"proxy group {wanted.proxy_group}")
    update.request.update(monitored)


def _set_encryption(wanted: Wanted, host: Object, update: _Update, *, overwrite: bool) -> None:
    # The API accepts identity and key, but never returns them. A key that the host already has is assumed to be right:
    # if each run set it again, none would report "nothing changes".
    if (host["tls_connect"], host["tls_accept"]) == (PSK, PSK) and not overwrite:
        update.kept.append(Kept("PSK, not compared: Zabbix does not return it", "", "", "", "--overwrite"))
        return
    old = f"to the agent {_encryptions(host['tls_connect'])}, from it {_encryptions(host['tls_accept'])}"
    update.overwrite("encryption", "", old, f"both ways the PSK {wanted.psk_identity}")
    update.request.update(_encryption(wanted))


def _encryption(wanted: Wanted) -> Object:
    return {
        "tls_connect": PSK,
        "tls_accept": PSK,
        "tls_psk_identity": wanted.psk_identity,
        "tls_psk": wanted.psk,
    }


def _encryptions(number: str) -> str:
    return " or ".join(name for bit, name in ENCRYPTIONS.items() if int(number) & bit)


def _interface(wanted: Wanted) -> Object:
    by_ip = _is_ip(wanted.address)
    return {
        "type": AGENT,
        "main": "1",
        "useip": "1" if by_ip else "0",
        "ip": wanted.address if by_ip else "",
        "dns": "" if by_ip else wanted.address,
        "port": wanted.port or AGENT_PORT,
    }


def _address(interface: Object) -> str:
    return str(interface["ip"] if interface["useip"] == "1" else interface["dns"])


def _is_ip(address: str) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True


def _host(zabbix: Connection, name: str) -> Object | None:
    request = {
        "output": "extend",
        "filter": {"host": name},
        "selectInterfaces": "extend",
        "selectMacros": "extend",
        "selectTags": "extend",
        "selectParentTemplates": ["templateid", "host"],
        versions.select_host_groups(zabbix.version): ["groupid"],
    }
    hosts: list[Object] = zabbix.call("host.get", request)
    return hosts[0] if hosts else None


def _template(zabbix: Connection, name: str) -> str:
    templates = zabbix.call("template.get", {"output": ["templateid"], "filter": {"host": name}})
    if not templates:
        raise ServerError(
            f"Zabbix at {zabbix.url} has no template {name!r} that this user can see: run install-template first"
        )
    return str(templates[0]["templateid"])


def lineage(zabbix: Connection, templates: list[Object]) -> list[Object]:
    """These templates and all that they are linked to: the nearest first, each once, as far as this user sees them."""
    linked = list(templates)
    level = templates
    while level:
        request = {
            "output": ["templateid"],
            "templateids": [template["templateid"] for template in level],
            "selectParentTemplates": ["templateid", "host"],
        }
        rows = [parent for template in zabbix.call("template.get", request) for parent in template["parentTemplates"]]
        known = {template["templateid"] for template in linked}
        level = list({row["templateid"]: row for row in rows if row["templateid"] not in known}.values())
        linked += level
    return linked


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


def _monitored(zabbix: Connection, wanted: Wanted) -> Object:
    """The properties of a host that assign it to the wanted proxy or proxy group; empty if neither is wanted."""
    if wanted.proxy_group:
        if not versions.has_proxy_groups(zabbix.version):
            version = ".".join(map(str, zabbix.version))
            raise ServerError(f"Zabbix at {zabbix.url} is {version}: proxy groups need 7.0: give --proxy instead")
        groups = _proxy_groups(zabbix)
        if wanted.proxy_group not in groups:
            raise ServerError(_unknown(zabbix, "proxy group", wanted.proxy_group, list(groups)))
        return versions.monitored_by_proxy_group(groups[wanted.proxy_group])
    if not wanted.proxy:
        return {}
    proxies = _proxies(zabbix)
    if wanted.proxy not in proxies:
        if wanted.proxy in _proxy_groups(zabbix):
            raise ServerError(
                f"Zabbix at {zabbix.url} has no proxy {wanted.proxy!r}: there is a proxy group of that name: "
                "give --proxy-group"
            )
        raise ServerError(_unknown(zabbix, "proxy", wanted.proxy, list(proxies)))
    return versions.monitored_by_proxy(zabbix.version, proxies[wanted.proxy])


def _proxies(zabbix: Connection) -> dict[str, str]:
    """The ids of the proxies by name."""
    name = versions.proxy_name(zabbix.version)
    return {proxy[name]: proxy["proxyid"] for proxy in zabbix.call("proxy.get", {"output": ["proxyid", name]})}


def _proxy_groups(zabbix: Connection) -> dict[str, str]:
    """The ids of the proxy groups by name."""
    if not versions.has_proxy_groups(zabbix.version):
        return {}
    groups = zabbix.call("proxygroup.get", {"output": ["proxy_groupid", "name"]})
    return {group["name"]: group["proxy_groupid"] for group in groups}


def _name(ids: dict[str, str], wanted: str) -> str:
    """The name of the object with this id; the id itself if this user cannot see the object."""
    return next((name for name, one in ids.items() if one == wanted), wanted)


def _unknown(zabbix: Connection, kind: str, name: str, known: list[str]) -> str:
    similar = difflib.get_close_matches(name, known, cutoff=0.4) or sorted(known)[:3]
    hint = f"it has {', '.join(map(repr, similar))}" if similar else f"this user sees no {kind} at all"
    return f"Zabbix at {zabbix.url} has no {kind} {name!r}: {hint}"
