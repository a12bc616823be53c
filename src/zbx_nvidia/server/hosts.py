"""Adds a host, or what is missing on it, and keeps the settings of others."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import TYPE_CHECKING, Any

from zbx_nvidia.errors import RefusedError, ServerError
from zbx_nvidia.server import find, host_changes, versions
from zbx_nvidia.server.host_changes import Update
from zbx_nvidia.server.plan import Change, Kept, Plan
from zbx_nvidia.server.wanted import AGENT_PORT, encryption, interface

if TYPE_CHECKING:
    from zbx_nvidia.server.connection import Connection
    from zbx_nvidia.server.wanted import Wanted

Object = dict[str, Any]


def plan_host(zabbix: Connection, wanted: Wanted, *, overwrite: bool = False) -> Plan:
    """The changes that make the host as wanted.

    Args:
        zabbix: the server.
        wanted: what the host must have.
        overwrite: change the host's own interface, macros, proxy and encryption if they differ.
    """
    templateid = find.template(zabbix, wanted.template, wanted.template_uuid)
    monitored = find.monitored(zabbix, wanted)
    host = _host(zabbix, wanted.name)
    if host is None and _is_shown(zabbix, wanted.name):
        # Another run has added it between the two questions.
        host = _host(zabbix, wanted.name)
    if host is None:
        planned = _new(zabbix, wanted, templateid, monitored)
    else:
        planned = _existing(zabbix, wanted, host, templateid, monitored, overwrite=overwrite)
    return dataclasses.replace(planned, again=partial(plan_host, zabbix, wanted, overwrite=overwrite))


def _is_shown(zabbix: Connection, name: str) -> bool:
    """Whether a host has this visible name, and is the one of that name.

    Raises:
        ServerError: It is another one. Zabbix would refuse a new host with its name, or show two of one name.
    """
    shown = {row["host"] for row in zabbix.call("host.get", {"output": ["host"], "filter": {"name": name}})}
    for other in shown - {name}:
        raise ServerError(f"Zabbix at {zabbix.url}: {name!r} is the visible name of the host {other!r}: give that name")
    return bool(shown)


def dashboards(zabbix: Connection, name: str) -> str:
    """Address of a host's dashboards in the front end."""
    host = _host(zabbix, name)
    if host is None:
        raise find.gone(zabbix, f"the host {name!r}")
    return f"{zabbix.url.rstrip('/')}/zabbix.php?action=host.dashboard.view&hostid={host['hostid']}"


def has_value(zabbix: Connection, name: str, key: str) -> bool:
    """Whether an item of a host has ever had a value."""
    request = {"host": name, "filter": {"key_": key}, "output": ["lastclock"]}
    return any(int(row["lastclock"]) for row in zabbix.call("item.get", request))


def _new(zabbix: Connection, wanted: Wanted, templateid: str, monitored: Object) -> Plan:
    names = wanted.groups or (wanted.default_group,)
    groups = (
        find.host_groups(zabbix, wanted.groups) if wanted.groups else find.host_groups(zabbix, names, required=False)
    )
    changes = [Change("add", "host group", name) for name in names if name not in groups]
    changes.append(Change("add", "host", wanted.name, new=_summary(wanted, names)))
    request: Object = {
        "host": wanted.name,
        "templates": [{"templateid": templateid}],
        "interfaces": [interface(wanted)] if wanted.address else [],
        "tags": [{"tag": tag, "value": value} for tag, value in wanted.tags],
        "macros": [{"macro": macro, "value": value} for macro, value in wanted.macros.items()],
        **monitored,
        **(encryption(wanted) if wanted.psk else {}),
    }

    def apply() -> None:
        for name in names:
            if name not in groups:
                groups[name] = _group(zabbix, name)
        zabbix.call("host.create", {**request, "groups": [{"groupid": groups[name]} for name in names]})

    return Plan("host", wanted.name, changes, apply=apply)


def _group(zabbix: Connection, name: str) -> str:
    """Creates a host group. A run beside this one may have done so."""
    try:
        return str(zabbix.call("hostgroup.create", {"name": name})["groupids"][0])
    except RefusedError as error:
        refused = error
    if name not in (there := find.host_groups(zabbix, (name,), required=False)):
        raise refused
    return there[name]


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


def _existing(  # noqa: PLR0913  ids are looked up once
    zabbix: Connection, wanted: Wanted, host: Object, templateid: str, monitored: Object, *, overwrite: bool
) -> Plan:
    update = Update(wanted.name)
    keys = find.item_keys(zabbix, templateid)
    _link(zabbix, wanted, host, templateid, keys, update)
    host_changes.add_groups(zabbix, wanted, host, update)
    host_changes.add_tags(wanted, host, update)
    host_changes.set_macros(wanted, host, update, overwrite=overwrite)
    if wanted.address:
        host_changes.set_interface(zabbix, wanted, host, keys, update)
    if monitored:
        host_changes.set_monitored(zabbix, wanted, host, monitored, update)
    if wanted.psk:
        host_changes.set_encryption(wanted, host, update, overwrite=overwrite)
    refusal = ""
    if update.conflicts and not overwrite:
        refusal = (
            f"Zabbix at {zabbix.url}: the host {wanted.name!r} exists with other settings: "
            f"{'; '.join(update.conflicts)}: give --overwrite to change them"
        )

    def apply() -> None:
        if update.request:
            zabbix.call("host.update", {"hostid": host["hostid"], **update.request})
        for item in update.items:
            zabbix.call("item.update", item)

    return Plan("host", wanted.name, update.changes, update.kept, refusal, apply)


def _link(  # noqa: PLR0913, PLR0917  as above
    zabbix: Connection, wanted: Wanted, host: Object, templateid: str, keys: list[str], update: Update
) -> None:
    """Links the template, if no template that the host has includes it."""
    direct = host["parentTemplates"]
    linked = find.lineage(zabbix, direct)
    for template in linked:
        if not {template["host"], template.get("uuid")}.isdisjoint(wanted.excluded):
            raise ServerError(
                f"Zabbix at {zabbix.url}: the host {wanted.name!r} has the template {template['host']!r}"
                f"{'' if template in direct else ' (through another template)'} with the same items as "
                f"{wanted.template!r}: unlink it first (without clear, to keep its history)"
            )
    # A template that another one includes cannot be linked too: Zabbix gives a host no item twice.
    if templateid in [template["templateid"] for template in linked]:
        return
    request = {"hostids": [host["hostid"]], "filter": {"key_": keys}, "output": ["key_", "templateid"]}
    inherited = [row for row in zabbix.call("item.get", request) if row["templateid"] != "0"] if keys else []
    if inherited and not zabbix.sees_all:
        update.kept.append(Kept("items of the template, through one that this user does not see", "", "", "", ""))
        return
    update.add("template", wanted.template)
    ids = [template["templateid"] for template in direct]
    update.request["templates"] = [{"templateid": one} for one in (*ids, templateid)]
    if own := find.own_items(zabbix, [host["hostid"]], keys):
        update.conflicts.append(f"it has items of its own, which would become the template's: {', '.join(own)}")
        # A trigger of its own like one of ours is about such an item.
        ours = [one for _, one in find.triggers(zabbix, templateids=[templateid])]
        if triggers := find.own_triggers(zabbix, [host["hostid"]], ours):
            update.conflicts.append(f"it has triggers of its own, which would too: {', '.join(triggers)}")


def _host(zabbix: Connection, name: str) -> Object | None:
    request = {
        "output": "extend",
        "filter": {"host": name},
        "selectInterfaces": "extend",
        "selectMacros": "extend",
        "selectTags": "extend",
        "selectParentTemplates": ["templateid", "host", "uuid"],
        versions.select_host_groups(zabbix.version): ["groupid"],
    }
    hosts: list[Object] = zabbix.call("host.get", request)
    return hosts[0] if hosts else None
