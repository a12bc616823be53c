"""Installs, updates and removes a template on a server."""

from __future__ import annotations

import copy
import dataclasses
import json
from functools import partial
from typing import TYPE_CHECKING, Any

import yaml

from zbx_nvidia.errors import RefusedError, ServerError
from zbx_nvidia.server import merge, shapes, versions
from zbx_nvidia.server.plan import Change, Kept, Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zbx_nvidia.server.connection import Connection
    from zbx_nvidia.server.merge import Object

PARTS = ("items", "triggers", "graphs", "discoveryRules", "valueMaps", "templateDashboards")
NAMED = 5  # how many names a message has at most
WIZARD = ("wizard_ready", "readme", "config")  # what a file for 7.4 has in addition to that for 7.0


def plan_newest(
    zabbix: Connection,
    render: Callable[[str], str],
    warn: Callable[[str], None],
    *,
    prune: bool = False,
    overwrite: bool = False,
) -> Plan:
    """The plan for the newest template file that the server accepts.

    A server may refuse the file for 7.4 when it compares it or when it imports it. Then the file for 7.0 is used.

    Args:
        zabbix: the server.
        render: returns the template file for a series.
        warn: takes one line, if an older file is used.
        prune: as for `plan_install`.
        overwrite: as for `plan_install`.
    """
    newest, *older = versions.dialects(zabbix.version)
    plan = partial(plan_install, zabbix, prune=prune, overwrite=overwrite)
    if not versions.has_wizard(zabbix.version):
        return plan(render(newest))

    def say(refused: RefusedError) -> None:
        warn(f"warning: {refused}: used the template file for {older[0]}, which has no fields for the Host Wizard")

    def apply() -> None:
        try:
            planned.apply()
        except RefusedError as error:
            refused = error
        else:
            return
        instead = plan(render(older[0]))
        if instead.refusal:
            raise ServerError(instead.refusal)
        instead.apply()
        say(refused)

    try:
        planned = plan(render(newest))
    except RefusedError as error:
        refused = error
    else:
        return dataclasses.replace(planned, apply=apply)
    # If the server refuses this one too, the format was not the reason, and this error is the one to show.
    instead = plan(render(older[0]))
    say(refused)
    return instead


def plan_install(zabbix: Connection, text: str, *, prune: bool = False, overwrite: bool = False) -> Plan:
    """The changes that an import of this template makes on the server, and the import.

    Args:
        zabbix: the server.
        text: the template file, one template with its group, in the server's dialect.
        prune: remove objects that only the server's template has.
        overwrite: replace what people changed on the server's template with the file's values.
    """
    file = _parse(text)
    template = file["templates"][0]
    name = template["template"]
    create_groups = _adopt_groups(zabbix, file)
    existing = _find(zabbix, template)
    kept: list[Kept] = []
    document = copy.deepcopy(file)
    server: Object | None = None
    if existing:
        options = {"format": "json", "options": {"templates": [existing["templateid"]]}}
        exported = zabbix.answers("configuration.export")
        server = shapes.parsed(exported, zabbix.call("configuration.export", options))["zabbix_export"]
        with shapes.in_form(exported):
            if not overwrite:
                kept += merge.keep_values(document, server)
            if not prune:
                kept += _keep_additions(zabbix, document, server)
    request = {
        "format": "json",
        "source": json.dumps({"zabbix_export": document}),
        "rules": import_rules(zabbix.version, prune=prune, create_groups=create_groups),
    }
    difference = zabbix.call("configuration.importcompare", request)
    with shapes.in_form(zabbix.answers("configuration.importcompare")):
        changes = list(_changes(difference))
    refusal = _emptied(zabbix, document["templates"][0]) if changes else ""
    if server and not refusal and not overwrite:
        refusal = _edited(zabbix, template, server["templates"][0], changes)
    return Plan("template", name, changes, kept, refusal, partial(zabbix.call, "configuration.import", request))


def import_rules(version: versions.Version, *, prune: bool, create_groups: bool) -> dict[str, dict[str, bool]]:
    """The rules of `configuration.import`: create and update; with `prune`, also delete what the file lacks."""
    create = {"createMissing": True}
    update = {**create, "updateExisting": True}
    return {
        # Not `update`: a group that was renamed on the server keeps its name.
        **(
            {versions.template_group_rule(version): create}
            if create_groups or versions.needs_template_group_rule(version)
            else {}
        ),
        "templates": update,
        "templateLinkage": {**create, "deleteMissing": prune},
        **{part: {**update, "deleteMissing": prune} for part in PARTS},
    }


def plan_uninstall(zabbix: Connection, text: str, *, force: bool = False) -> Plan:
    """The removal of the template. Its group is kept: others may use it, and it may be older.

    Args:
        zabbix: the server.
        text: the template file; its UUID identifies the template on the server.
        force: also remove the template from the hosts that have it, with its items and their history.
    """
    template = _parse(text)["templates"][0]
    name = template["template"]
    existing = _find(zabbix, template)
    if not existing:
        return Plan("template", name, [])
    linked = sorted(item["name"] for item in (*existing["hosts"], *existing["templates"]))
    changes = [Change("remove", "link", host, old=name) for host in linked]
    changes.append(Change("remove", "template", name))
    refusal = (
        f"Zabbix at {zabbix.url}: the template {name!r} is linked to {_names(linked)}: "
        "unlink it there, or give --force to remove their items and history with it"
    )
    remove = partial(zabbix.call, "template.delete", [existing["templateid"]])
    return Plan("template", name, changes, refusal=refusal if linked and not force else "", apply=remove)


def _parse(text: str) -> Object:
    """The document with every value as a string, as in Zabbix's own JSON: `delay: 0` equals `delay: '0'`."""
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    document: Object = yaml.load(text, Loader=loader)["zabbix_export"]  # noqa: S506  the base loader makes only strings
    return document


def _find(zabbix: Connection, template: Object) -> Object | None:
    """The template on the server, by its UUID. A template of the same name with another UUID is refused."""
    name = template["template"]
    request = {
        "output": ["host", "uuid"],
        "filter": {"uuid": template["uuid"]},
        "selectHosts": ["name"],
        "selectTemplates": ["name"],
    }
    templates: list[Object] = zabbix.call("template.get", request)
    if templates and templates[0]["host"] != name:
        raise ServerError(
            f"Zabbix at {zabbix.url}: the template {name!r} was renamed to {templates[0]['host']!r}: rename it back"
        )
    if not templates and zabbix.call("template.get", {"output": ["host"], "filter": {"host": name}}):
        raise ServerError(
            f"Zabbix at {zabbix.url} has another template named {name!r} (its UUID differs): rename or remove it"
        )
    return templates[0] if templates else None


def _adopt_groups(zabbix: Connection, file: Object) -> bool:
    """Gives the file's groups the names and UUIDs that the server has; True if it lacks one, as far as this user sees.

    A group that was renamed there keeps its name (an import into 6.0 would not find it). One of the same name with
    another UUID is the same group (an import uses it, but importcompare would report it as missing every time).
    """
    method = versions.template_group_object(zabbix.version) + ".get"
    missing = False
    for group in merge.groups(file):
        either = {"uuid": group["uuid"], "name": group["name"]}
        candidates = zabbix.call(method, {"output": ["uuid", "name"], "filter": either, "searchByAny": True})
        candidates.sort(key=lambda one, uuid=group["uuid"]: one["uuid"] != uuid)
        if candidates:
            for member in file["templates"][0]["groups"]:
                if member["name"] == group["name"]:
                    member["name"] = candidates[0]["name"]
            group.update(uuid=candidates[0]["uuid"], name=candidates[0]["name"])
        missing = missing or not candidates
    return missing


def _keep_additions(zabbix: Connection, document: Object, server: Object) -> list[Kept]:
    """Keeps what only the server's template has; its objects are in the server's dialect."""
    additions = merge.keep_additions(document, server)
    if additions and document["version"] != server["version"]:
        foreign = [kept.name for kept in additions if kept.kind not in merge.LIST_KINDS.values()]
        if not versions.objects_differ(zabbix.version):
            document["version"] = server["version"]  # also for a macro: a person can give it a field in the Host Wizard
        elif foreign:
            raise ServerError(
                f"Zabbix at {zabbix.url}: an import into version {server['version']} would delete your additions to "
                f"the template: {_names(foreign)}: move them to a template of your own, or give --prune"
            )
    return additions


def _emptied(zabbix: Connection, template: Object) -> str:
    """The refusal if macros were made secret: an import would empty them, as no user can read their values."""
    secret = [macro["macro"] for macro in template.get("macros", []) if macro.get("type") == "SECRET_TEXT"]
    if not secret:
        return ""
    return (
        f"Zabbix at {zabbix.url}: an import would empty secret macros of the template {template['template']!r}: "
        f"{_names(secret)}: make them plain text, or move them to hosts"
    )


def _edited(zabbix: Connection, file: Object, server: Object, changes: list[Change]) -> str:
    """The refusal if these changes would revert a person's edits: the server's template is of the file's version.

    If the versions differ, edits cannot be distinguished from their differences: then the plan shows old and new.
    """
    version = versions.template_version(file)
    # The server had an older series when the template was installed: what is new in the format, nobody has edited.
    new = WIZARD if "readme" in file and "readme" not in server else ()
    edits = list(
        dict.fromkeys(
            f"{change.kind} {change.name!r}"
            for change in changes
            if change.action != "remove" and change.field not in new
        )
    )
    if not version or version != versions.template_version(server) or not edits:
        return ""
    return (
        f"Zabbix at {zabbix.url}: the template {file['template']!r} has this version, {version}, "
        f"but was edited: {_names(edits)}: --dry-run shows the edits, --overwrite reverts them"
    )


def _names(names: list[str]) -> str:
    """The first names, and how many more there are."""
    rest = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _changes(difference: Object | list[Any]) -> Iterator[Change]:
    """The result of `configuration.importcompare` (a list if it is empty), change by change."""
    difference = dict(difference)
    for template in difference.get("templates", {}).get("added", []):
        # Triggers and graphs of several items are outside the template, but are added with it.
        for section in ("triggers", "graphs"):
            outside = difference.pop(section, {}).get("added", [])
            template.setdefault(section, {"added": []})["added"].extend(outside)
    for section, actions in difference.items():
        kind = merge.kind(section)
        for entry in actions.get("added", []):
            yield Change("add", kind, _name(entry["after"]), new=_contents(entry))
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
        elif field in _IN_ANY_ORDER and _IN_ANY_ORDER[field](old) == _IN_ANY_ORDER[field](new):
            continue
        elif old != new:
            yield Change("update", kind, name, field, _text(old), _text(new))


def _in_steps(overrides: Any) -> list[Object]:  # noqa: ANN401  JSON
    """A rule's overrides in the order in which they are applied.

    6.0 exports them and their conditions in the order of its database, and a second import was seen to change that.
    """
    ordered = []
    for override in sorted(overrides or [], key=lambda one: int(one["step"])):
        condition = override.get("filter", {})
        conditions = sorted(condition.get("conditions", []), key=lambda one: str(one.get("formulaid", "")))
        operations = sorted(override.get("operations", []), key=json.dumps)
        ordered.append({**override, "filter": {**condition, "conditions": conditions}, "operations": operations})
    return ordered


def _as_drawn(pages: Any) -> list[Object]:  # noqa: ANN401  JSON
    """A dashboard's pages with the fields of each widget in one order.

    6.0 exports fields of one type in the order of its database: a second import was seen to change that.
    """
    return [
        {
            **page,
            "widgets": sorted(
                (
                    {**widget, "fields": sorted(widget.get("fields", []), key=json.dumps)}
                    for widget in page.get("widgets", [])
                ),
                key=json.dumps,
            ),
        }
        for page in pages or []
    ]


# What 6.0 exports in no order of its own, by field.
_IN_ANY_ORDER = {"overrides": _in_steps, "pages": _as_drawn}


def _elements(kind: str, name: str, field: str, before: list[Object], after: list[Object]) -> Iterator[Change]:
    """Compares lists in which the order does not matter; importcompare reports another order as a change."""
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


def _contents(entry: Object) -> str:
    """What an added object contains: "26 items, 1 discovery rule"."""
    counts: dict[str, int] = {}
    pending = [entry]
    while pending:
        for section, actions in pending.pop().items():
            if section != "after":
                counts[merge.kind(section)] = counts.get(merge.kind(section), 0) + len(actions["added"])
                pending += actions["added"]
    return ", ".join(f"{count} {kind}{'s' * (count != 1)}" for kind, count in counts.items() if count)
