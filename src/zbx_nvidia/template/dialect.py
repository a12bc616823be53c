"""Converts the neutral template to the form in which a Zabbix server of one series exports it.

Each difference between the series is one line of one table here. The form must be that of the server's own export
(defaults left out, keys in its order): `configuration.importcompare` reports an explicit default as a difference.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

Tree = dict[str, Any]

SERIES = ("6.0", "7.0", "7.4")
# 7.4 writes everything as 7.0 does, and adds what `_UNKNOWN` withholds from 7.0.
_FORMS = {"6.0": "6.0", "7.0": "7.0", "7.4": "7.0"}

# The defaults, which a server leaves out of its export, by kind of object.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "item": {
        "type": "ZABBIX_PASSIVE",
        "status": "ENABLED",
        "delay": "1m",
        "value_type": "UNSIGNED",
        "trends": "365d",
        "units": "",
        "description": "",
        "valuemap": {},
    },
    "rule": {"delay": "1m", "description": ""},
    "trigger": {
        "recovery_mode": "EXPRESSION",
        "recovery_expression": "",
        "event_name": "",
        "opdata": "",
        "url": "",
        "description": "",
        "dependencies": [],
        "manual_close": "NO",
    },
    "dependency": {"recovery_expression": ""},
    "graph": {"ymin_type_1": "CALCULATED", "ymax_type_1": "CALCULATED", "yaxismin": "0", "yaxismax": "100"},
    "graph_item": {"drawtype": "SINGLE_LINE", "sortorder": "0"},
    "condition": {"operator": "MATCHES_REGEX"},
    "macro": {"value": ""},
    "config": {"regex": ""},
    "dashboard": {"auto_start": "YES"},
    "widget": {"name": "", "x": "0", "y": "0", "height": "2"},
    "step": {"error_handler": "ORIGINAL_ERROR"},
}
_DEFAULTS_OF = {
    # ZBXNEXT-8087: history went from 90d to 31d, a rule's lifetime from 30d to 7d.
    "6.0": {"item": {"history": "90d"}, "rule": {"lifetime": "30d"}},
    "7.0": {"item": {"history": "31d"}, "rule": {"lifetime": "7d"}},
}

# The properties that a series does not have.
_UNKNOWN: dict[str, dict[str, tuple[str, ...]]] = {
    "6.0": {
        "template": ("wizard_ready", "readme", "vendor"),
        "rule": ("enabled_lifetime_type",),
        "macro": ("config",),
        "trigger": ("url_name",),
    },
    "7.0": {"template": ("wizard_ready", "readme"), "macro": ("config",)},
    "7.4": {},
}

_GROUPS_TAG = {"6.0": "groups", "7.0": "template_groups"}
_GRID = {"6.0": 3, "7.0": 1}
_WIDGET_TYPES = {
    "6.0": {"item": "ITEM", "graphprototype": "GRAPH_PROTOTYPE"},
    "7.0": {},
}
# 7.0 numbers references, and widgets can refer to one another.
_FIELD_NAMES = {"6.0": {"itemid.0": "itemid", "graphid.0": "graphid", "show.0": "show", "show.1": "show"}, "7.0": {}}
_WIDGET_ORDER: dict[str, Callable[[Tree], Any]] = {
    "6.0": lambda widget: (widget["type"], widget.get("name", "")),
    "7.0": lambda widget: (int(widget.get("x", 0)), int(widget.get("y", 0))),
}
# The order of fields in an export: 6.0 sorts by the API's numbers for their types first, 7.0 by name alone.
_FIELD_ORDER = {"6.0": {"INTEGER": 0, "STRING": 1, "ITEM": 4, "GRAPH_PROTOTYPE": 7}, "7.0": {}}
# The beginnings of names.
_FIELDS_UNKNOWN: dict[str, tuple[str, ...]] = {"6.0": ("reference", "thresholds."), "7.0": ()}

# A function of a user macro, which 6.0 does not have: there a problem links to the page without the heading.
_FUNCTION = re.compile(r"^\{(\{\$[A-Z.]+\})\.regsub\(.*\)\}$")

# The properties that contain child objects, and the kind of these.
_CHILDREN = {
    "export": {"templates": "template", "triggers": "trigger", "template_groups": "group"},
    "template": {
        "items": "item",
        "discovery_rules": "rule",
        "dashboards": "dashboard",
        "macros": "macro",
        "valuemaps": "valuemap",
        "tags": "tag",
    },
    "item": {"preprocessing": "step", "triggers": "trigger", "trigger_prototypes": "trigger", "tags": "tag"},
    "rule": {
        "item_prototypes": "item",
        "trigger_prototypes": "trigger",
        "graph_prototypes": "graph",
        "overrides": "override",
        "preprocessing": "step",
    },
    "trigger": {"dependencies": "dependency", "tags": "tag"},
    "graph": {"graph_items": "graph_item"},
    "dashboard": {"pages": "page"},
    "page": {"widgets": "widget"},
}


def form(series: str) -> str:
    """The series in whose form a series writes what both have: that of its tables here, and of its dashboard."""
    return _FORMS[series]


def speak(tree: Tree, series: str) -> Tree:
    """Turn a neutral template into the dialect of a series.

    Args:
        tree: What `build` makes; it stays as it is.
        series: One of `SERIES`.

    Returns:
        The whole file, as an object.
    """
    spoken = _speak(tree, "export", series)
    groups = spoken.pop("template_groups")
    return {"zabbix_export": {"version": series, _GROUPS_TAG[form(series)]: groups, **spoken}}


def _speak(tree: Tree, kind: str, series: str) -> Tree:
    own = form(series)
    defaults = {**_DEFAULTS.get(kind, {}), **_DEFAULTS_OF[own].get(kind, {})}
    unknown = _UNKNOWN[series].get(kind, ())
    children = _CHILDREN.get(kind, {})
    spoken: Tree = {}
    for name, value in tree.items():
        if name in unknown or (name in defaults and defaults[name] == value) or value == []:
            continue
        spoken[name] = [_speak(child, children[name], series) for child in value] if name in children else value
    if "filter" in tree:
        spoken["filter"] = _filter(tree["filter"])
    if "config" in spoken:
        spoken["config"] = _speak(spoken["config"], "config", series)
    if kind == "trigger" and own == "6.0" and "url" in spoken:
        spoken["url"] = _FUNCTION.sub(r"\1", spoken["url"])
    if kind == "widget":
        return _widget(spoken, own)
    if kind == "page":
        spoken["widgets"] = sorted(spoken["widgets"], key=_WIDGET_ORDER[own])
    if kind == "item" and own == "6.0" and "trends" in spoken and "value_type" in spoken:
        # Only the order of these differs; a file should look like the server's own.
        spoken = _moved(spoken, "trends", before="value_type")
        if "status" in spoken:
            spoken = _moved(spoken, "status", before="value_type")
    return spoken


def _filter(tree: Tree) -> Tree:
    conditions = [
        {name: value for name, value in condition.items() if _DEFAULTS["condition"].get(name) != value}
        for condition in tree["conditions"]
    ]
    return {**tree, "conditions": conditions}


def _widget(widget: Tree, series: str) -> Tree:
    widget = {**widget, "type": _WIDGET_TYPES[series].get(widget["type"], widget["type"])}
    for side in ("x", "width"):
        if side in widget:
            widget[side] = str(int(widget[side]) // _GRID[series])
    fields = [
        {**field, "name": _FIELD_NAMES[series].get(field["name"], field["name"])}
        for field in widget["fields"]
        if not field["name"].startswith(_FIELDS_UNKNOWN[series])
    ]
    widget["fields"] = sorted(
        fields, key=lambda field: (_FIELD_ORDER[series].get(field["type"], 0), _natural(field["name"]))
    )
    return widget


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts numbers as numbers: ds.2 comes before ds.10."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]


def _moved(tree: Tree, name: str, *, before: str) -> Tree:
    moved: Tree = {}
    for other, value in tree.items():
        if other == before:
            moved[name] = tree[name]
        if other != name:
            moved[other] = value
    return moved
