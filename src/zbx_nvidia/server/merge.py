"""Merges a template file with what people changed on the server's template.

An import replaces: it resets macros, enables what was disabled, and deletes macros, tags, groups and prototypes that
people added to the template, even with `deleteMissing` off (seen on 6.0 and 7.0). So the imported document contains
these too. The rules:

- The values of macros and the switches (enabled, discovered) belong to the user: the server's values win.
- An object that only the server has was added by a person or by an older version of the file: it is kept.
- Everything else belongs to the file.

All values are strings here, as in Zabbix's own JSON.
"""

from __future__ import annotations

from typing import Any

from zbx_nvidia.server.plan import Kept

Object = dict[str, Any]


SWITCHES = {"status": "ENABLED", "discover": "DISCOVER"}  # with the value that an export leaves out
SECTIONS = {
    # The lists of objects in an export, with the fields that identify an object apart from its UUID.
    "items": ("key",),
    "discovery_rules": ("key",),
    "item_prototypes": ("key",),
    "triggers": ("name", "expression"),
    "trigger_prototypes": ("name", "expression"),
    "graphs": ("name",),
    "graph_prototypes": ("name",),
    "host_prototypes": ("host",),
    "httptests": ("name",),
    "dashboards": ("name",),
    "valuemaps": ("name",),
}
# The lists of a template whose elements have no UUIDs.
LISTS = {"macros": ("macro",), "tags": ("tag", "value"), "groups": ("name",), "templates": ("name",)}
LIST_KINDS = {"macros": "macro", "tags": "tag", "groups": "template group", "templates": "linked template"}


def groups(document: Object) -> list[Object]:
    """The template groups of a document, whose key was renamed in 6.2."""
    template_groups: list[Object] = document["template_groups" if "template_groups" in document else "groups"]
    return template_groups


def kind(section: str) -> str:
    """Zabbix's word for one object of a section."""
    return {"valuemaps": "value map", "groups": "template group"}.get(
        section, section.removesuffix("s").replace("_", " ")
    )


def identity(section: str, item: Object) -> tuple[str, ...]:
    """The fields that identify an object within its section."""
    return tuple(item.get(part, "") for part in {**SECTIONS, **LISTS}[section])


def keep_values(file: Object, server: Object) -> list[Kept]:
    """Copies the values of macros and the switches from the server's document into the file's."""
    return [*_keep_macros(file["templates"][0], server["templates"][0]), *_keep_switches(file, server)]


def _keep_macros(file: Object, server: Object) -> list[Kept]:
    kept = []
    known = {macro["macro"]: macro for macro in server.get("macros", [])}
    for macro in file.get("macros", []):
        theirs = known.get(macro["macro"], macro)
        if (theirs.get("value"), theirs.get("type")) == (macro.get("value"), macro.get("type")):
            continue
        value = theirs.get("value", "") if theirs.get("type") != "SECRET_TEXT" else "(secret)"
        kept.append(Kept("macro", macro["macro"], value, macro.get("value", ""), "--overwrite"))
        for field in ("value", "type"):
            macro.pop(field, None)
            if field in theirs:
                macro[field] = theirs[field]
    return kept


def _keep_switches(file: Object, server: Object) -> list[Kept]:
    kept = []
    known = {item["uuid"]: item for _, item in objects(server)}
    for section, item in objects(file):
        theirs = known.get(item["uuid"], item)
        for switch, default in SWITCHES.items():
            own, value = item.get(switch, default), theirs.get(switch, default)
            if own != value:
                kept.append(Kept(kind(section), item["name"], value, own, "--overwrite"))
                item[switch] = value
    return kept


def objects(parent: Object) -> list[tuple[str, Object]]:
    """Every object under this one that has a UUID, with its section."""
    descendants = []
    for section, items in parent.items():
        if section in SECTIONS or (section == "templates" and "version" in parent):
            for item in items:
                if section in SECTIONS:
                    descendants.append((section, item))
                descendants += objects(item)
    return descendants


def keep_additions(file: Object, server: Object) -> list[Kept]:
    """Copies everything that only the server's template has into the file's document."""
    known = {item["uuid"] for _, item in objects(file)} | {group["uuid"] for group in groups(file)}
    groups(file).extend(group for group in groups(server) if group["uuid"] not in known)
    ours, theirs = file["templates"][0], server["templates"][0]
    kept = []
    for section, names in LISTS.items():
        kept += _add(section, ours, theirs, known)
        if section in ours:  # importcompare reports another order as a change
            ours[section].sort(key=lambda item, names=names: [item.get(name, "") for name in names])
    kept += _keep_objects(ours, theirs, known)
    kept += _keep_objects(file, server, known)  # triggers and graphs of several items are outside the template
    return kept


def _keep_objects(ours: Object, theirs: Object, known: set[str]) -> list[Kept]:
    kept = []
    for section in SECTIONS:
        own = {item["uuid"]: item for item in ours.get(section, [])}
        for item in theirs.get(section, []):
            if item["uuid"] in own:
                kept += _keep_objects(own[item["uuid"]], item, known)
        kept += _add(section, ours, theirs, known)
    return kept


def _add(section: str, ours: Object, theirs: Object, known: set[str]) -> list[Kept]:
    """Appends the objects of one list that the file lacks, by UUID and by name."""
    names = {identity(section, item) for item in ours.get(section, [])}
    added = [
        item
        for item in theirs.get(section, [])
        if item.get("uuid") not in known and identity(section, item) not in names
    ]
    if added:
        ours.setdefault(section, []).extend(added)
    return [
        Kept(kind(section), item.get("name") or ": ".join(identity(section, item)), "", "", "--prune") for item in added
    ]
