"""What an update changes on a host that exists, setting by setting."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from zbx_nvidia.server import find, versions
from zbx_nvidia.server.plan import Change, Kept
from zbx_nvidia.server.wanted import AGENT, ENCRYPTIONS, PSK, SECRET, VAULT, encryption, interface, is_ip

if TYPE_CHECKING:
    from zbx_nvidia.server.connection import Connection
    from zbx_nvidia.server.wanted import Wanted

Object = dict[str, Any]

HIDDEN, HIDDEN_NEW = "(secret)", "(the given value)"


class Update:
    """The update of one host, while it is put together: the changes, the request, the conflicts, and what is kept."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.changes: list[Change] = []
        self.request: Object = {}
        self.conflicts: list[str] = []
        self.kept: list[Kept] = []
        self.items: list[Object] = []

    def add(self, kind: str, name: str) -> None:
        """Adds what nobody else can have set."""
        self.changes.append(Change("add", kind, name))

    def overwrite(self, kind: str, name: str, old: str, new: str) -> None:
        """Replaces a setting of somebody else, which needs --overwrite."""
        setting = f"{kind} {name}".strip()
        self.changes.append(Change("update", "host", self.name, setting, old, new))
        self.conflicts.append(f"{setting} is {old!r}, not {new!r}")


def add_groups(zabbix: Connection, wanted: Wanted, host: Object, update: Update) -> None:
    """Adds the host groups that are missing."""
    present = host[versions.host_groups_property(zabbix.version)]
    ids = [group["groupid"] for group in present]
    for name, groupid in find.host_groups(zabbix, wanted.groups).items():
        if groupid not in ids:
            update.add("host group", name)
            ids.append(groupid)
            update.request["groups"] = [{"groupid": one} for one in ids]


def add_tags(wanted: Wanted, host: Object, update: Update) -> None:
    """Adds the tags that are missing."""
    # Tags of a discovery ("automatic", since 6.4) must not be sent back.
    tags = [{"tag": tag["tag"], "value": tag["value"]} for tag in host["tags"] if tag.get("automatic", "0") == "0"]
    for tag, value in wanted.tags:
        if {"tag": tag, "value": value} not in tags:
            update.add("tag", f"{tag}: {value}")
            tags.append({"tag": tag, "value": value})
            update.request["tags"] = tags


def set_macros(wanted: Wanted, host: Object, update: Update, *, overwrite: bool) -> None:
    """A macro keeps its type: a secret one stays secret, and the value for one in a vault is a path."""
    present = {plain(macro["macro"]): macro for macro in host["macros"]}
    macros: list[Object] = []
    for name, value in wanted.macros.items():
        macro = present.get(plain(name))
        if macro is None:
            update.add("macro", f"{name} = {value}")
            macros.append({"macro": name, "value": value})
        elif macro["type"] == SECRET and not overwrite:
            # As with the key below: it is assumed to be right.
            update.kept.append(
                Kept(f"macro {name}, not compared: Zabbix does not return it", "", "", "", "--overwrite")
            )
        elif macro["type"] == SECRET or macro["value"] != value:
            old, new = (HIDDEN, HIDDEN_NEW) if macro["type"] == SECRET else (macro["value"], value)
            update.overwrite("vault macro" if macro["type"] == VAULT else "macro", macro["macro"], old, new)
            macros.append({"hostmacroid": macro["hostmacroid"], "value": value, "type": macro["type"]})
    if macros:
        replaced = {macro.get("hostmacroid") for macro in macros}
        # A macro that is sent with its id alone keeps its value, a secret one too.
        others = [{"hostmacroid": macro["hostmacroid"]} for macro in host["macros"]]
        update.request["macros"] = [macro for macro in others if macro["hostmacroid"] not in replaced] + macros


def plain(macro: str) -> str:
    """A macro in the form in which Zabbix compares it: {$A: "x"} is {$A:x}."""
    match = re.fullmatch(r"(\{\$[^:]+:)\s*(regex:)?\s*(.*)\}", macro, re.DOTALL)
    if not match:
        return macro
    context = match[3]
    if quoted := re.fullmatch(r'"(.*)"\s*', context, re.DOTALL):
        context = quoted[1].replace('\\"', '"')
    return f"{match[1]}{match[2] or ''}{context}}}"


def set_interface(zabbix: Connection, wanted: Wanted, host: Object, keys: list[str], update: Update) -> None:
    """The interface that the server polls is that of the items; before there are any, the main one."""
    present = [one for one in host["interfaces"] if one["type"] == AGENT]
    if not present:
        new = interface(wanted)
        update.add("interface", f"{wanted.address}:{new['port']}")
        update.request["interfaces"] = [*_kept_interfaces(host["interfaces"]), new]
        return
    polled = _polled(zabbix, host["hostid"], keys)
    used = next((one for one in present if one["interfaceid"] in polled.values()), None)
    used = used or next(one for one in present if one["main"] == "1")
    if _serves(used, wanted):
        return
    other = next((one for one in present if one is not used and _serves(one, wanted)), None)
    if other:
        _swap(host, other, used, polled, update)
        return
    by_ip = is_ip(wanted.address)
    changed = {"useip": "1" if by_ip else "0", "ip" if by_ip else "dns": wanted.address}
    new = {**used, **changed, "port": wanted.port or used["port"]}
    update.overwrite("agent interface", "", _where(used), _where(new))
    others = [one for one in host["interfaces"] if one is not used]
    update.request["interfaces"] = _kept_interfaces([*others, new])


def _serves(one: Object, wanted: Wanted) -> bool:
    return _address(one) == wanted.address and wanted.port in {"", one["port"]}


def _swap(host: Object, other: Object, used: Object, polled: dict[str, str], update: Update) -> None:
    """The address is that of another interface of the host: it becomes the main one, and that of the items."""
    update.overwrite("agent interface", "", f"{_where(used)}, which the items use", f"{_where(other)}, its other one")
    if other["main"] != "1":
        agents = [{**one, "main": "1" if one is other else "0"} for one in host["interfaces"] if one["type"] == AGENT]
        rest = [one for one in host["interfaces"] if one["type"] != AGENT]
        update.request["interfaces"] = _kept_interfaces([*rest, *agents])
    update.items = [
        {"itemid": itemid, "interfaceid": other["interfaceid"]}
        for itemid, interfaceid in polled.items()
        if interfaceid != other["interfaceid"]
    ]


def _polled(zabbix: Connection, hostid: str, keys: list[str]) -> dict[str, str]:
    """The host's items with these keys that use an interface: id -> id of the interface."""
    request = {"hostids": [hostid], "filter": {"key_": keys}, "output": ["itemid", "interfaceid"]}
    rows = zabbix.call("item.get", request) if keys else []
    return {row["itemid"]: row["interfaceid"] for row in rows if row["interfaceid"] not in {"0", ""}}


def _kept_interfaces(interfaces: list[Object]) -> list[Object]:
    """Interfaces in the form for `host.update`, which deletes those that are not sent."""
    keys = ("interfaceid", "type", "main", "useip", "ip", "dns", "port", "details")
    # `details` is an empty list unless the interface is SNMP, and `host.update` refuses an empty list.
    return [{key: interface[key] for key in keys if interface.get(key) != []} for interface in interfaces]


def set_monitored(zabbix: Connection, wanted: Wanted, host: Object, monitored: Object, update: Update) -> None:
    """Assigns the host to a proxy, a proxy group or the server."""
    if monitored.items() <= host.items():
        return
    # "No proxy" is a setting of somebody else too.
    old = "(none)"
    if groupid := versions.proxy_group_of(zabbix.version, host):
        old = f"proxy group {find.name_of(find.proxy_groups(zabbix), groupid)}"
    elif proxyid := versions.proxy_of(zabbix.version, host):
        old = find.name_of(find.proxies(zabbix), proxyid)
    new = f"proxy group {wanted.proxy_group}" if wanted.proxy_group else wanted.proxy or "(none)"
    update.overwrite("proxy", "", old, new)
    update.request.update(monitored)


def set_encryption(wanted: Wanted, host: Object, update: Update, *, overwrite: bool) -> None:
    """Encrypts both ways with the key."""
    # The API accepts identity and key, but never returns them. A key that the host already has is assumed to be right:
    # if each run set it again, none would report "nothing changes".
    if (host["tls_connect"], host["tls_accept"]) == (PSK, PSK) and not overwrite:
        update.kept.append(Kept("PSK, not compared: Zabbix does not return it", "", "", "", "--overwrite"))
        return
    old = f"to the agent {_encryptions(host['tls_connect'])}, from it {_encryptions(host['tls_accept'])}"
    update.overwrite("encryption", "", old, f"both ways the PSK {wanted.psk_identity}")
    update.request.update(encryption(wanted))


def _encryptions(number: str) -> str:
    return " or ".join(name for bit, name in ENCRYPTIONS.items() if int(number) & bit)


def _address(one: Object) -> str:
    return str(one["ip"] if one["useip"] == "1" else one["dns"])


def _where(one: Object) -> str:
    return f"{_address(one)}:{one['port']}"
