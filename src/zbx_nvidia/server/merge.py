"""Merges a template file with what people changed on the server's template.

An import replaces: it resets macros, enables what was disabled, and deletes macros, tags, groups and prototypes that
people added to the template, even with `deleteMissing` off (seen on 6.0 and 7.0). So the imported document contains
these too. The rules:

- The values of macros and the switches (enabled, discovered) belong to the user: the server's values win, except if
  they are those that the installed release shipped.
- Secret macros and those in a vault stay as they are, and so do the groups of the template.
- An object that only the server has was added by a person: it is kept. If a release shipped it, it is retired: it goes,
  except if something that a person added needs it.
- Everything else belongs to the file.

All values are strings here, as in Zabbix's own JSON.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zbx_nvidia.server.plan import Kept

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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


@dataclass(frozen=True)
class Shipped:
    """What a release of the package has in its template.

    Attributes:
        macros: default values by macro.
        switches: those that are not the default, by the object's UUID.
        tags: of the template, "tag: value".
        objects: UUIDs.
    """

    macros: Mapping[str, str] = field(default_factory=dict)
    switches: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    tags: frozenset[str] = frozenset()
    objects: frozenset[str] = frozenset()


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


def shipped(document: Object) -> Shipped:
    """What this template file ships."""
    template = document["templates"][0]
    switches = {
        item["uuid"]: {switch: item[switch] for switch in SWITCHES if switch in item} for _, item in objects(document)
    }
    return Shipped(
        {macro["macro"]: macro.get("value", "") for macro in template.get("macros", [])},
        {uuid: own for uuid, own in switches.items() if own},
        frozenset(": ".join(identity("tags", tag)) for tag in template.get("tags", [])),
        frozenset(item["uuid"] for _, item in objects(document)),
    )


def rename(document: Object, host: str, name: str) -> list[Kept]:
    """Gives the template of a file the names that it has on the server, wherever the file names it.

    Args:
        document: the document of the file, which is changed.
        host: the technical name.
        name: the visible name.
    """
    template = document["templates"][0]
    own, shown = template["template"], template.get("name", template["template"])
    if host != own:
        # In expressions and event names between slashes, elsewhere as the host of an item or graph.
        _rename(document, own, host)
        template["template"] = host
    if name != shown:
        template["name"] = name
    fields = [("name", host, own)] if host == name else [("technical name", host, own), ("visible name", name, shown)]
    return [Kept("template", field, value, ours, "") for field, value, ours in fields if value != ours]


def _rename(part: Any, own: str, new: str) -> None:  # noqa: ANN401  JSON
    for key, value in part.items() if isinstance(part, dict) else enumerate(part):
        if isinstance(value, str):
            if key == "host" and value == own:
                part[key] = new
            elif f"/{own}/" in value:
                part[key] = value.replace(f"/{own}/", f"/{new}/")
        elif value:
            _rename(value, own, new)


def keep_values(file: Object, server: Object, installed: Shipped | None = None) -> list[Kept]:
    """Copies what belongs to the user from the server's document into the file's.

    Args:
        file: the document of the file, which is changed.
        server: the document of the server.
        installed: what the release shipped that the server has, if that is known.
    """
    installed = installed or Shipped()
    ours, theirs = file["templates"][0], server["templates"][0]
    return [
        *_keep_groups(file, server),
        *_keep_macros(ours, theirs, installed),
        *_keep_wizard(file, server),
        *_keep_switches(file, server, installed),
    ]


def keep_secrets(file: Object, server: Object) -> list[Kept]:
    """Copies the macros whose values nobody can read, or which are in a vault; that much `--overwrite` keeps too."""
    return _keep_macros(file["templates"][0], server["templates"][0], Shipped(), only_secret=True)


def secret_macros(template: Object) -> list[str]:
    """The macros of a template whose values no user can read."""
    return [macro["macro"] for macro in template.get("macros", []) if macro.get("type") == "SECRET_TEXT"]


def _keep_groups(file: Object, server: Object) -> list[Kept]:
    """A team may have moved the template to a group of its own."""
    ours, theirs = file["templates"][0], server["templates"][0]
    have = [group["name"] for group in theirs.get("groups", [])]
    missing = [group["name"] for group in ours.get("groups", []) if group["name"] not in have]
    if not missing or not have:
        return []
    ours["groups"] = [dict(group) for group in theirs["groups"]]
    groups(file)[:] = [dict(group) for group in groups(server)]
    return [Kept("template group", "", ", ".join(have), ", ".join(missing), "--overwrite")]


def _keep_macros(file: Object, server: Object, installed: Shipped, *, only_secret: bool = False) -> list[Kept]:
    kept = []
    known = {macro["macro"]: macro for macro in server.get("macros", [])}
    for macro in file.get("macros", []):
        theirs = known.get(macro["macro"], macro)
        if (theirs.get("value"), theirs.get("type")) == (macro.get("value"), macro.get("type")):
            continue
        if only_secret and "type" not in theirs:
            continue
        if "type" not in theirs and installed.macros.get(macro["macro"]) == theirs.get("value", ""):
            continue  # nobody has changed it: the new default comes
        value = theirs.get("value", "") if theirs.get("type") != "SECRET_TEXT" else "(secret)"
        kept.append(Kept("macro", macro["macro"], value, macro.get("value", ""), "" if only_secret else "--overwrite"))
        for field_name in ("value", "type"):
            macro.pop(field_name, None)
            if field_name in theirs:
                macro[field_name] = theirs[field_name]
    return kept


def _keep_wizard(file: Object, server: Object) -> list[Kept]:
    """What people set for the Host Wizard of 7.4, if the server has got these fields from a file before."""
    ours, theirs = file["templates"][0], server["templates"][0]
    if "readme" not in ours or "readme" not in theirs:
        return []
    kept = []
    if ours.get("wizard_ready") != theirs.get("wizard_ready"):
        value, own = (one.get("wizard_ready", "NO") for one in (theirs, ours))
        kept.append(Kept("template", "wizard_ready", value, own, "--overwrite"))
        _copy("wizard_ready", theirs, ours)
    known = {macro["macro"]: macro for macro in theirs.get("macros", [])}
    for macro in ours.get("macros", []):
        there = known.get(macro["macro"], macro)
        if there.get("config") != macro.get("config"):
            value, own = (json.dumps(one.get("config", {}), ensure_ascii=False) for one in (there, macro))
            kept.append(Kept("macro", f"{macro['macro']} config", value, own, "--overwrite"))
            _copy("config", there, macro)
    return kept


def keep_older_wizard(file: Object, server: Object) -> bool:
    """Copies what the server's template has for the Host Wizard, of which a file of an older series has nothing.

    Returns:
        Whether there is anything: then the document is not of the file's version any more.
    """
    ours, theirs = file["templates"][0], server["templates"][0]
    if "readme" in ours:
        return False
    pairs = [(theirs, ours, name) for name in ("wizard_ready", "readme")]
    known = {macro["macro"]: macro for macro in theirs.get("macros", [])}
    pairs += [(known.get(macro["macro"], {}), macro, "config") for macro in ours.get("macros", [])]
    to_copy = [(source, target, name) for source, target, name in pairs if name in source]
    for source, target, name in to_copy:
        target[name] = source[name]
    return bool(to_copy)


def drop_wizard(document: Object) -> list[str]:
    """Removes all that is for the Host Wizard. Returns what had it: macros, and the template's own fields."""
    template = document["templates"][0]
    lost = [macro["macro"] for macro in template.get("macros", []) if macro.pop("config", None)]
    return [*(name for name in ("wizard_ready", "readme") if template.pop(name, None)), *lost]


def _copy(name: str, source: Object, target: Object) -> None:
    target.pop(name, None)
    if name in source:
        target[name] = source[name]


def _keep_switches(file: Object, server: Object, installed: Shipped) -> list[Kept]:
    kept = []
    known = {item["uuid"]: item for _, item in objects(server)}
    for section, item in objects(file):
        theirs = known.get(item["uuid"], item)
        for switch, default in SWITCHES.items():
            own, value = item.get(switch, default), theirs.get(switch, default)
            untouched = item["uuid"] in installed.objects and (
                installed.switches.get(item["uuid"], {}).get(switch, default) == value
            )
            if own != value and not untouched:
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


def retired(file: Object, server: Object, releases: Iterable[Shipped]) -> dict[str, str]:
    """What the server has from a release, and the file no more: UUIDs, with the section of each.

    Something that a person added, or that is not retired, may need it: then it stays.
    """
    once = {uuid for release in releases for uuid in release.objects}
    now = {item["uuid"] for _, item in objects(file)}
    there = objects(server)
    gone = {item["uuid"]: (section, item) for section, item in there if item["uuid"] in once - now}
    while True:
        staying = [item for _, item in there if item["uuid"] not in once | now or item["uuid"] in once - now - {*gone}]
        text = json.dumps(staying)
        needed = [
            uuid
            for uuid, (_, item) in gone.items()
            if any(inner["uuid"] not in gone for _, inner in objects(item))
            or json.dumps(item.get("key", item["name"]))[1:-1] in text
        ]
        if not needed:
            return {uuid: section for uuid, (section, _) in gone.items()}
        for uuid in needed:
            del gone[uuid]


def taken(file: Object, server: Object, releases: Iterable[Shipped]) -> list[str]:
    """Objects of a person whose keys the file has under another UUID: an import fails, or takes them over."""
    once = {uuid for release in releases for uuid in release.objects}
    ours = {item["uuid"]: (section, item) for section, item in objects(file)}
    names = {(section, identity(section, item)) for section, item in ours.values() if section in _KEYED}
    return [
        f"{kind(section)} {item['name']!r} ({item['key']})"
        for section, item in objects(server)
        if section in _KEYED and item["uuid"] not in ours and item["uuid"] not in once
        and (section, identity(section, item)) in names
    ]  # fmt: skip


_KEYED = ("items", "item_prototypes", "discovery_rules")


def keep_additions(
    file: Object, server: Object, releases: Iterable[Shipped] = (), gone: Iterable[str] = ()
) -> list[Kept]:
    """Copies what only the server's template has into the file's document.

    Args:
        file: the document of the file, which is changed.
        server: the document of the server.
        releases: what each release shipped: macros and tags that are as shipped are not copied.
        gone: UUIDs that are not copied.
    """
    known = {item["uuid"] for _, item in objects(file)} | {group["uuid"] for group in groups(file)} | {*gone}
    groups(file).extend(group for group in groups(server) if group["uuid"] not in known)
    ours, theirs = file["templates"][0], _without_shipped(server["templates"][0], [*releases])
    kept = []
    for section, names in LISTS.items():
        kept += _add(section, ours, theirs, known)
        if section in ours:  # importcompare reports another order as a change
            ours[section].sort(key=lambda item, names=names: [item.get(name, "") for name in names])
    kept += _keep_objects(ours, theirs, known)
    kept += _keep_objects(file, server, known)  # triggers and graphs of several items are outside the template
    return kept


def _without_shipped(template: Object, releases: list[Shipped]) -> Object:
    """The template without the macros and tags that are as a release shipped them."""
    return {
        **template,
        "macros": [
            macro
            for macro in template.get("macros", [])
            if "type" in macro or macro.get("value", "") not in [one.macros.get(macro["macro"]) for one in releases]
        ],
        "tags": [
            tag
            for tag in template.get("tags", [])
            if not any(": ".join(identity("tags", tag)) in one.tags for one in releases)
        ],
    }


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
