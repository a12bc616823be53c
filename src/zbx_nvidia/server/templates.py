"""Puts a template on a server, brings it up to date, and takes it away."""

from __future__ import annotations

import copy
import json
from functools import partial
from typing import TYPE_CHECKING, Any

import yaml

from zbx_nvidia.errors import ServerError
from zbx_nvidia.server import merge, versions
from zbx_nvidia.server.plan import Change, Kept, Plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zbx_nvidia.server.connection import Connection
    from zbx_nvidia.server.merge import Object

PARTS = ("items", "triggers", "graphs", "discoveryRules", "valueMaps", "templateDashboards")
NAMED = 5  # how many names a message holds at most


def plan_install(zabbix: Connection, text: str, *, prune: bool = False, overwrite: bool = False) -> Plan:
    """What an import of this template would change on the server, and the import.

    Args:
        zabbix: where to.
        text: the template file, one template with its group, in the server's dialect.
        prune: remove what the template on the server has and the file has not.
        overwrite: take the file's values where people changed the template on the server.
    """
    file = _parse(text)
    template = file["templates"][0]
    name = template["template"]
    make_groups = _adopt_groups(zabbix, file)
    found = _find(zabbix, template)
    kept: list[Kept] = []
    document = copy.deepcopy(file)
    server: Object | None = None
    if found:
        server = json.loads(
            zabbix.call("configuration.export", {"format": "json", "options": {"templates": [found["templateid"]]}})
        )["zabbix_export"]
        if not overwrite:
            kept += merge.keep_values(document, server)
        if not prune:
            kept += _keep_additions(zabbix, document, server)
    request = {
        "format": "json",
        "source": json.dumps({"zabbix_export": document}),
        "rules": import_rules(zabbix.version, prune=prune, make_groups=make_groups),
    }
    changes = list(_changes(zabbix.call("configuration.importcompare", request)))
    refusal = _emptied(zabbix, document["templates"][0]) if changes else ""
    if server and not refusal and not overwrite:
        refusal = _edited(zabbix, template, server["templates"][0], changes)
    return Plan("template", name, changes, kept, refusal, partial(zabbix.call, "configuration.import", request))


def import_rules(version: versions.Version, *, prune: bool, make_groups: bool) -> dict[str, dict[str, bool]]:
    """The rules of `configuration.import`: create and update; delete what is missing only where that was asked for."""
    create = {"createMissing": True}
    update = {**create, "updateExisting": True}
    return {
        # A group that was renamed on the server keeps its name.
        **(
            {versions.template_group_rule(version): create}
            if make_groups or versions.needs_template_group_rule(version)
            else {}
        ),
        "templates": update,
        "templateLinkage": {**create, "deleteMissing": prune},
        **{part: {**update, "deleteMissing": prune} for part in PARTS},
    }


def plan_uninstall(zabbix: Connection, text: str, *, force: bool = False) -> Plan:
    """What would go with the template, and its removal. Its group stays: others may use it, and it may be older.

    Args:
        zabbix: where from.
        text: the template file; the template on the server is known by its UUID.
        force: take the template away from the hosts that have it, with its items and their history.
    """
    template = _parse(text)["templates"][0]
    name = template["template"]
    found = _find(zabbix, template)
    if not found:
        return Plan("template", name, [])
    linked = sorted(item["name"] for item in (*found["hosts"], *found["templates"]))
    changes = [Change("remove", "link", host, old=name) for host in linked]
    changes.append(Change("remove", "template", name))
    refusal = (
        f"Zabbix at {zabbix.url}: the template {name!r} is linked to {_names(linked)}: "
        "unlink it there, or give --force to remove their items and history with it"
    )
    remove = partial(zabbix.call, "template.delete", [found["templateid"]])
    return Plan("template", name, changes, refusal=refusal if linked and not force else "", apply=remove)


def _parse(text: str) -> Object:
    """The document with every value as a string, as in Zabbix's own JSON: `delay: 0` and `delay: '0'` are one."""
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    document: Object = yaml.load(text, Loader=loader)["zabbix_export"]  # noqa: S506  the base loader makes only strings
    return document


def _find(zabbix: Connection, template: Object) -> Object | None:
    """The template on the server, by its UUID: a template of the same name that is not ours is not touched."""
    name = template["template"]
    request = {
        "output": ["host", "uuid"],
        "filter": {"uuid": template["uuid"]},
        "selectHosts": ["name"],
        "selectTemplates": ["name"],
    }
    found: list[Object] = zabbix.call("template.get", request)
    if found and found[0]["host"] != name:
        raise ServerError(
            f"Zabbix at {zabbix.url}: the template {name!r} was renamed to {found[0]['host']!r} there: rename it back"
        )
    if not found and zabbix.call("template.get", {"output": ["host"], "filter": {"host": name}}):
        raise ServerError(
            f"Zabbix at {zabbix.url}: there is a template {name!r} of other origin (its UUID differs): "
            "rename it or take it away"
        )
    return found[0] if found else None


def _adopt_groups(zabbix: Connection, file: Object) -> bool:
    """Takes the server's word for the file's groups; whether it lacks one, as far as this user sees.

    One that was renamed there keeps its name (an import into 6.0 would not find it), and one of the same name and
    another UUID is the same group (an import uses it, and importcompare would call it missing for ever).
    """
    method = versions.template_group_object(zabbix.version) + ".get"
    missing = False
    for group in merge.groups(file):
        named = {"uuid": group["uuid"], "name": group["name"]}
        found = zabbix.call(method, {"output": ["uuid", "name"], "filter": named, "searchByAny": True})
        found.sort(key=lambda one, uuid=group["uuid"]: one["uuid"] != uuid)
        if found:
            for member in file["templates"][0]["groups"]:
                if member["name"] == group["name"]:
                    member["name"] = found[0]["name"]
            group.update(uuid=found[0]["uuid"], name=found[0]["name"])
        missing = missing or not found
    return missing


def _keep_additions(zabbix: Connection, document: Object, server: Object) -> list[Kept]:
    """Keeps what the server's template has besides; its objects come in the server's dialect."""
    additions = merge.keep_additions(document, server)
    foreign = [kept.name for kept in additions if kept.kind not in merge.LIST_KINDS.values()]
    if foreign and document["version"] != server["version"]:
        if zabbix.version < (7, 0):
            # 6.2 and 6.4 write objects in forms that a document of 6.0 must not hold.
            raise ServerError(
                f"Zabbix at {zabbix.url}: an import into version {server['version']} would delete what was added to "
                f"the template there: {_names(foreign)}: move it to a template of your own, or give --prune"
            )
        # From 7.0 on, what our files hold is written alike in every dialect.
        document["version"] = server["version"]
    return additions


def _emptied(zabbix: Connection, template: Object) -> str:
    """Why an import would empty macros that were made secret: nobody can read their values to send them back."""
    secret = [macro["macro"] for macro in template.get("macros", []) if macro.get("type") == "SECRET_TEXT"]
    if not secret:
        return ""
    return (
        f"Zabbix at {zabbix.url}: an import would empty secret macros of the template {template['template']!r} there: "
        f"{_names(secret)}: make them plain text, or move them to hosts"
    )


def _edited(zabbix: Connection, file: Object, server: Object, changes: list[Change]) -> str:
    """Why these changes would undo what a person did: the template on the server says that it is of the file's version.

    Between two versions, an edit cannot be told from what the versions changed: there the plan shows old and new.
    """
    version = versions.template_version(file)
    edits = list(dict.fromkeys(f"{change.kind} {change.name!r}" for change in changes if change.action != "remove"))
    if not version or version != versions.template_version(server) or not edits:
        return ""
    return (
        f"Zabbix at {zabbix.url}: the template {file['template']!r} there is of this version, {version}, "
        f"but was edited: {_names(edits)}: --dry-run shows how, --overwrite takes it back"
    )


def _names(names: list[str]) -> str:
    """Some names for a message."""
    rest = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _changes(difference: Object | list[Any]) -> Iterator[Change]:
    """The result of `configuration.importcompare`, which is a list where it is empty, change by change."""
    difference = dict(difference)
    for template in difference.get("templates", {}).get("added", []):
        # Triggers and graphs over several items stand beside the template: they come with it.
        for section in ("triggers", "graphs"):
            beside = difference.pop(section, {}).get("added", [])
            template.setdefault(section, {"added": []})["added"].extend(beside)
    for section, actions in difference.items():
        kind = merge.kind(section)
        for entry in actions.get("added", []):
            yield Change("add", kind, _name(entry["after"]), new=_holds(entry))
        for entry in actions.get("removed", []):
            yield Change("remove", kind, _name(entry["before"]))
        for entry in actions.get("updated", []):
            before, after = entry.pop("before"), entry.pop("after")
            yield from _fields(kind, _name(before), before, after)
            yield from _changes(entry)


def _fields(kind: str, name: str, before: Object, after: Object) -> Iterator[Change]:
    for field in dict.fromkeys((*before, *after)):
        default = merge.SWITCHES.get(field, "")
        old, new = before.get(field, default), after.get(field, default)
        if field in merge.LISTS:
            yield from _elements(kind, name, field, old or [], new or [])
        elif field == "overrides" and _in_steps(old) == _in_steps(new):
            continue
        elif old != new:
            yield Change("update", kind, name, field, _text(old), _text(new))


def _in_steps(overrides: Any) -> list[Object]:  # noqa: ANN401  JSON
    """A rule's overrides in the order in which they are applied.

    6.0 exports them, and their conditions, in the order of its database, which a second import was seen to change.
    """
    ordered = []
    for override in sorted(overrides or [], key=lambda one: int(one["step"])):
        condition = override.get("filter", {})
        conditions = sorted(condition.get("conditions", []), key=lambda one: str(one.get("formulaid", "")))
        operations = sorted(override.get("operations", []), key=json.dumps)
        ordered.append({**override, "filter": {**condition, "conditions": conditions}, "operations": operations})
    return ordered


def _elements(kind: str, name: str, field: str, before: list[Object], after: list[Object]) -> Iterator[Change]:
    """Lists without an order of their own, which importcompare compares as if they had one."""
    old = {merge.identity(field, element): element for element in before}
    new = {merge.identity(field, element): element for element in after}
    element = f"{kind} tag" if field == "tags" else merge.LIST_KINDS[field]
    for key in sorted(old.keys() | new.keys()):
        label = ": ".join(key)
        if field == "macros" and key in old and key in new:
            yield from _fields("macro", label, old[key], new[key])
        elif key not in old:
            yield Change("add", element, label, new=f"on {name}")
        elif key not in new:
            yield Change("remove", element, label, old=f"on {name}")


def _name(item: Object) -> str:
    return str(item.get("name") or item.get("template") or item.get("host") or item.get("key"))


def _text(value: Any) -> str:  # noqa: ANN401  JSON
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _holds(entry: Object) -> str:
    """What an added object brings with it: "26 items, 1 discovery rule"."""
    counts: dict[str, int] = {}
    pending = [entry]
    while pending:
        for section, actions in pending.pop().items():
            if section != "after":
                counts[merge.kind(section)] = counts.get(merge.kind(section), 0) + len(actions["added"])
                pending += actions["added"]
    return ", ".join(f"{count} {kind}{'s' * (count != 1)}" for kind, count in counts.items() if count)
