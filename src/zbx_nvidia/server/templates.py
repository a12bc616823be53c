"""Installs, updates and removes a template on a server."""

from __future__ import annotations

import copy
import dataclasses
import json
from functools import partial
from typing import TYPE_CHECKING, Any

from zbx_nvidia.errors import RefusedError, ServerError
from zbx_nvidia.server import difference, find, inherited, merge, shapes, versions
from zbx_nvidia.server.plan import Change, Kept, Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from zbx_nvidia.server.connection import Connection
    from zbx_nvidia.server.merge import Object, Shipped

PARTS = ("items", "triggers", "graphs", "discoveryRules", "valueMaps", "templateDashboards")
SECTION_PARTS = {  # sections of an export; those of prototypes belong to the discovery rules
    "items": "items",
    "triggers": "triggers",
    "graphs": "graphs",
    "valuemaps": "valueMaps",
    "dashboards": "templateDashboards",
}
NAMED = 5  # how many names a message has at most
WIZARD = ("wizard_ready", "readme", "config")  # what a file for 7.4 has in addition to that for 7.0


def plan_newest(  # noqa: PLR0913  one for each option
    zabbix: Connection,
    make: Callable[[str], Object],
    warn: Callable[[str], None],
    *,
    prune: bool = False,
    overwrite: bool = False,
    force: bool = False,
    releases: Mapping[str, Shipped] | None = None,
) -> Plan:
    """The plan for the newest template file that the server accepts.

    A server may refuse the file for 7.4 when it compares it or when it imports it. Then the file for 7.0 is used.

    Args:
        zabbix: the server.
        make: returns the template for a series, as `plan_install` takes it.
        warn: takes one line, if an older file is used.
        prune: as for `plan_install`.
        overwrite: as for `plan_install`.
        force: as for `plan_install`.
        releases: as for `plan_install`.
    """
    newest, *older = versions.dialects(zabbix.version)
    plan = partial(plan_install, zabbix, prune=prune, overwrite=overwrite, force=force, releases=releases)
    if not versions.has_wizard(zabbix.version):
        return plan(make(newest))

    def say(refused: RefusedError) -> None:
        warn(f"warning: {refused}: used the template file for {older[0]}, which has no fields for the Host Wizard")

    def apply() -> None:
        try:
            planned.apply()
        except RefusedError as error:
            refused = error
        else:
            return
        instead = plan(make(older[0]))
        if instead.refusal:
            raise ServerError(instead.refusal)
        instead.apply()
        say(refused)

    try:
        planned = plan(make(newest))
    except RefusedError as error:
        refused = error
    else:
        return dataclasses.replace(planned, apply=apply)
    # If the server refuses this one too, the format was not the reason, and this error is the one to show.
    instead = plan(make(older[0]))
    say(refused)
    return instead


def plan_install(  # noqa: PLR0913  one for each option
    zabbix: Connection,
    wanted: Object,
    *,
    prune: bool = False,
    overwrite: bool = False,
    force: bool = False,
    releases: Mapping[str, Shipped] | None = None,
) -> Plan:
    """The changes that an import of this template makes on the server, and the import.

    Args:
        zabbix: the server.
        wanted: the template with its group, in the server's dialect: what stands below `zabbix_export` of its file.
        prune: remove objects that only the server's template has.
        overwrite: replace what people changed on the server's template with the file's values.
        force: also reset what was set on hosts that this user does not see.
        releases: what each release shipped, by version.
    """
    file = copy.deepcopy(wanted)  # what the server calls otherwise is put into it
    template = file["templates"][0]
    name = template["template"]
    _adopt_groups(zabbix, file)
    existing = _find(zabbix, template)
    renamed = merge.rename(file, existing["host"], existing["name"]) if existing else []
    again = partial(plan_install, zabbix, wanted, prune=prune, overwrite=overwrite, force=force, releases=releases)
    if not existing:
        request, changes = _compare(zabbix, file, prune=prune)
        return Plan("template", name, changes, apply=partial(zabbix.call, "configuration.import", request), again=again)
    name = existing["host"]
    options = {"format": "json", "options": {"templates": [existing["templateid"]]}}
    exported = zabbix.answers("configuration.export")
    server = shapes.parsed(exported, zabbix.call("configuration.export", options))["zabbix_export"]
    document = copy.deepcopy(file)
    gone: dict[str, str] = {}
    with shapes.in_form(exported):
        shipped = releases or {}
        if overwrite:
            kept = merge.keep_secrets(document, server)
        else:
            kept = merge.keep_values(document, server, shipped.get(versions.template_version(server["templates"][0])))
        if not prune:
            gone = merge.retired(document, server, shipped.values())
            kept += _keep_additions(zabbix, document, server, shipped.values(), gone)
        if versions.has_wizard(zabbix.version) and merge.keep_older_wizard(document, server):
            document["version"] = server["version"]
        secret = merge.secret_macros(document["templates"][0])
        refusal = _taken(zabbix, name, merge.taken(file, server, shipped.values()))
    compare = partial(_compare, prune=prune, gone=gone.values(), secret=bool(secret))
    request, changes, lost = _compare_in_form(zabbix, document, file["version"], compare)
    if not overwrite:
        refusal = refusal or _edited(zabbix, template, server["templates"][0], changes)
        hostids = [host["hostid"] for host in existing["hosts"]]
        own = _own_items(zabbix, file, server["templates"][0], hostids) or _own_triggers(zabbix, file, server, hostids)
        refusal = refusal or own
    rules = inherited.needed(changes)
    if not force:
        refusal = refusal or _unseen(zabbix, name, rules, existing["hosts"])
    for rule in inherited.RULES.keys() - rules:
        del request["rules"][rule]
    with shapes.in_form(zabbix.answers("template.get")):
        settings = inherited.KeptSettings(zabbix, existing["templateid"], rules)
    complete = partial(_update, zabbix, existing["templateid"], document["templates"][0]) if secret else None
    return Plan(
        "template",
        name,
        changes,
        [*renamed, *kept, *settings.kept],
        refusal,
        partial(_apply, zabbix, request, settings, complete),
        notes=_lost(lost),
        again=again,
    )


def _compare(
    zabbix: Connection, document: Object, *, prune: bool, gone: Iterable[str] = (), secret: bool = False
) -> tuple[dict[str, Any], list[Change]]:
    """The request of an import, and what it changes.

    Args:
        zabbix: the server.
        document: what is imported.
        prune: delete what the document lacks.
        gone: sections that lack something that is retired. All else that the server has is in the document.
        secret: whether the template has macros whose values no user can read.
    """
    rules = import_rules(zabbix.version, prune=prune, create_groups=_lacks_groups(zabbix, document))
    for section in gone:
        rules[SECTION_PARTS.get(section, "discoveryRules")]["deleteMissing"] = True
    request = {"format": "json", "source": json.dumps({"zabbix_export": document}), "rules": rules}
    compared = zabbix.call("configuration.importcompare", request)
    with shapes.in_form(zabbix.answers("configuration.importcompare")):
        changes = list(difference.changes(compared))
    if secret:
        # An import of the template itself would empty its secret macros, whose values no user can read.
        rules["templates"] = {"createMissing": True}
    return request, changes


def _compare_in_form(
    zabbix: Connection, document: Object, version: str, compare: Callable[..., tuple[dict[str, Any], list[Change]]]
) -> tuple[dict[str, Any], list[Change], list[str]]:
    """What `compare` returns, and what is lost if the server refuses its own format.

    Args:
        zabbix: the server.
        document: what is imported. It is of another version than the file only for what people have on the server.
        version: that of the file.
        compare: `_compare` with its options.
    """
    try:
        return (*compare(zabbix, document), [])
    except RefusedError:
        if document["version"] == version:
            raise
    document["version"] = version
    lost = merge.drop_wizard(document)
    return (*compare(zabbix, document), lost)


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


def _apply(
    zabbix: Connection, request: dict[str, Any], settings: inherited.KeptSettings, complete: Callable[[], object] | None
) -> None:
    """Imports, and restores what the import resets."""
    try:
        zabbix.call("configuration.import", request)
    except RefusedError:
        raise
    except ServerError as error:
        if not settings.kept:
            raise
        failed = ServerError(f"{error}; if it was done, settings on hosts were reset: {_names(settings.names)}")
    else:
        if complete:
            complete()
        settings.restore()
        return
    raise failed


def _update(zabbix: Connection, templateid: str, template: Object) -> None:
    """Updates the template itself: its description, tags and macros, secret ones excepted."""
    rows = zabbix.call("template.get", {"templateids": [templateid], "output": ["host"], "selectMacros": "extend"})
    if not rows:
        raise find.gone(zabbix, f"the template {template['template']!r}")
    ids = {macro["macro"]: macro["hostmacroid"] for macro in rows[0]["macros"]}
    numbers = {"SECRET_TEXT": "1", "VAULT": "2"}
    macros = []
    for macro in template.get("macros", []):
        known = {"hostmacroid": ids[macro["macro"]]} if macro["macro"] in ids else {"macro": macro["macro"]}
        if macro.get("type") == "SECRET_TEXT":
            macros.append(known)
            continue
        value = {"value": macro.get("value", ""), "type": numbers.get(macro.get("type", ""), "0")}
        macros.append({**known, **value, "description": macro.get("description", "")})
    vendor = {f"vendor_{part}": text for part, text in template.get("vendor", {}).items()}
    tags = [{"tag": tag["tag"], "value": tag.get("value", "")} for tag in template.get("tags", [])]
    request = {"templateid": templateid, "description": template.get("description", ""), "tags": tags, **vendor}
    zabbix.call("template.update", {**request, "macros": macros})


def _lost(names: list[str]) -> list[str]:
    """What the user must know of fields for the Host Wizard that the server does not take."""
    if not names:
        return []
    return [f"the server refuses its own format: what is set for the Host Wizard is lost, of {', '.join(names)}"]


def _unseen(zabbix: Connection, name: str, rules: set[str], hosts: list[Object]) -> str:
    """The refusal if hosts may be out of sight on which this import resets what was set. "None seen" is unknown."""
    if not rules & {"items", *inherited.RESETTING} or zabbix.sees_all:
        return ""
    seen = f"it sees {len(hosts) or 'none'} with it"
    return (
        f"Zabbix at {zabbix.url}: hosts that this user does not see may have the template {name!r} ({seen}), and this "
        "import resets what was set there: run this as a Super admin to keep it, or give --force"
    )


def _taken(zabbix: Connection, name: str, names: list[str]) -> str:
    """The refusal if this version brings keys that objects of the user have."""
    if not names:
        return ""
    return (
        f"Zabbix at {zabbix.url}: this version of the template {name!r} has keys that you have given to objects of "
        f"your own: {_names(names)}: give these other keys, or remove them"
    )


def _own_items(zabbix: Connection, file: Object, server: Object, hostids: list[str]) -> str:
    """The refusal if this version brings keys that items of hosts have: Zabbix would take them over without a word."""
    there, here = (
        {item["key"] for part in ("items", "discovery_rules") for item in one.get(part, [])}
        for one in (server, file["templates"][0])
    )
    keys = sorted(here - there)
    own = find.own_items(zabbix, hostids, keys)
    if not own:
        return ""
    return (
        f"Zabbix at {zabbix.url}: this version of the template has keys of items that hosts have of their own: "
        f"{_names(own)}: give these other keys, or --overwrite to make them the template's"
    )


def _own_triggers(zabbix: Connection, file: Object, server: Object, hostids: list[str]) -> str:
    """The same of triggers, which can be about items that the hosts have from the template."""
    there, here = (
        {
            find.trigger(
                item["name"], (item["expression"], item.get("recovery_expression", "")), one["templates"][0]["template"]
            )
            for section, item in merge.objects(one)
            if section == "triggers"
        }
        for one in (server, file)
    )
    own = find.own_triggers(zabbix, hostids, here - there)
    if not own:
        return ""
    return (
        f"Zabbix at {zabbix.url}: this version of the template has triggers that hosts have of their own: "
        f"{_names(own)}: rename these, or --overwrite to make them the template's"
    )


def plan_uninstall(zabbix: Connection, wanted: Object, *, force: bool = False) -> Plan:
    """The removal of the template. Its group is kept: others may use it, and it may be older.

    Args:
        zabbix: the server.
        wanted: the template, as for `plan_install`; its UUID identifies the template on the server.
        force: also remove the template from the hosts that have it, with its items and their history.
    """
    (template,) = wanted["templates"]
    existing = _find(zabbix, template)
    name = existing["host"] if existing else template["template"]
    if not existing:
        unseen = (
            f"Zabbix at {zabbix.url}: this user sees no template {name!r}, but only a Super admin sees all: "
            "run this as a Super admin, or give --force if it is removed"
        )
        return Plan("template", name, [], refusal="" if force or zabbix.sees_all else unseen)
    linked = sorted(item["name"] for item in (*existing["hosts"], *existing["templates"]))
    changes = [Change("remove", "link", host, old=name) for host in linked]
    changes.append(Change("remove", "template", name))
    refusal = ""
    if linked and not force:
        refusal = (
            f"Zabbix at {zabbix.url}: the template {name!r} is linked to {_names(linked)}: "
            "unlink it there, or give --force to remove their items and history with it"
        )
    elif not force and not zabbix.sees_all:
        refusal = (
            f"Zabbix at {zabbix.url}: hosts that this user does not see may have the template {name!r}: "
            "run this as a Super admin, or give --force to remove their items and history with it"
        )
    remove = partial(zabbix.call, "template.delete", [existing["templateid"]])
    return Plan("template", name, changes, refusal=refusal, apply=remove)


def _find(zabbix: Connection, template: Object) -> Object | None:
    """The template on the server, by its UUID: a person may have renamed it.

    Raises:
        ServerError: There is none, but a template of the same name with another UUID.
    """
    name = template["template"]
    request = {
        "output": ["host", "name", "uuid"],
        "filter": {"uuid": template["uuid"]},
        "selectHosts": ["name"],
        "selectTemplates": ["name"],
    }
    templates: list[Object] = zabbix.call("template.get", request)
    if not templates and zabbix.call("template.get", {"output": ["host"], "filter": {"host": name}}):
        raise ServerError(
            f"Zabbix at {zabbix.url} has another template named {name!r} (its UUID differs): rename or remove it"
        )
    return templates[0] if templates else None


def _adopt_groups(zabbix: Connection, file: Object) -> None:
    """Gives the file's groups the names and UUIDs that the server has.

    A group that was renamed there keeps its name (an import into 6.0 would not find it). One of the same name with
    another UUID is the same group (an import uses it, but importcompare would report it as missing every time).
    """
    method = versions.template_group_object(zabbix.version) + ".get"
    for group in merge.groups(file):
        either = {"uuid": group["uuid"], "name": group["name"]}
        candidates = zabbix.call(method, {"output": ["uuid", "name"], "filter": either, "searchByAny": True})
        candidates.sort(key=lambda one, uuid=group["uuid"]: one["uuid"] != uuid)
        if candidates:
            for member in file["templates"][0]["groups"]:
                if member["name"] == group["name"]:
                    member["name"] = candidates[0]["name"]
            group.update(uuid=candidates[0]["uuid"], name=candidates[0]["name"])


def _lacks_groups(zabbix: Connection, document: Object) -> bool:
    """Whether the server has not all groups of the document, as far as this user sees."""
    method = versions.template_group_object(zabbix.version) + ".get"
    names = {group["name"] for group in document["templates"][0].get("groups", [])}
    groups = zabbix.call(method, {"output": ["name"], "filter": {"name": sorted(names)}})
    return not names <= {group["name"] for group in groups}


def _keep_additions(
    zabbix: Connection, document: Object, server: Object, releases: Iterable[Shipped], gone: Iterable[str]
) -> list[Kept]:
    """Keeps what only the server's template has; its objects are in the server's dialect."""
    additions = merge.keep_additions(document, server, releases, gone)
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
