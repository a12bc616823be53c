"""What people set on hosts and templates that have a template, and an import resets.

Seen with an import in which nothing of these objects changed:

| Rule | What it resets on hosts | 6.0 | 7.0 |
|---|---|---|---|
| items | items | yes | no |
| triggers | triggers | yes | yes |
| discoveryRules | discovery rules, item prototypes | yes | no |
| discoveryRules | trigger prototypes, graph prototypes | yes | yes |
| graphs, valueMaps, templateDashboards, templates | nothing | | |

So the rules without changes are left out, and what was set is read before the import and restored after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from zbx_nvidia.errors import ServerError
from zbx_nvidia.server import find, versions
from zbx_nvidia.server.plan import Kept

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from zbx_nvidia.server.connection import Connection
    from zbx_nvidia.server.plan import Change

Object = dict[str, Any]

# Rules of an import that touch what is inherited -> the kinds of changes that need them.
RULES = {
    "items": {"item", "item tag"},
    "triggers": {"trigger", "trigger tag"},
    "graphs": {"graph"},
    "discoveryRules": {
        "discovery rule",
        *(f"{one} prototype" for one in ("item", "trigger", "graph", "host")),
        *(f"{one} prototype tag" for one in ("item", "trigger", "host")),
    },
}
RESETTING = ("triggers", "graphs", "discoveryRules")  # even what does not change


class _Kind(NamedTuple):
    """Inherited objects of one kind.

    Attributes:
        api: the API's object.
        identity: its id.
        name: its name.
        fields: what a person can set on the inherited object, with the first version that has it.
        rule: the rule of an import that touches it.
    """

    api: str
    identity: str
    name: str
    fields: dict[str, versions.Version]
    rule: str


def _fields(names: str, **since: versions.Version) -> dict[str, versions.Version]:
    return {**dict.fromkeys(names.split(), versions.OLDEST), **since}


_TRIGGER = _fields("status priority comments url type opdata event_name tags", url_name=(6, 4))
_ITEM = _fields("status delay history trends description tags")
_RULE = _fields(
    "status delay lifetime description", lifetime_type=(7, 0), enabled_lifetime=(7, 0), enabled_lifetime_type=(7, 0)
)
KINDS = {
    "item": _Kind("item", "itemid", "name", {**_ITEM, "inventory_link": versions.OLDEST}, "items"),
    "discovery rule": _Kind("discoveryrule", "itemid", "name", _RULE, "discoveryRules"),
    "item prototype": _Kind(
        "itemprototype", "itemid", "name", {**_ITEM, "discover": versions.OLDEST}, "discoveryRules"
    ),
    "trigger": _Kind("trigger", "triggerid", "description", _TRIGGER, "triggers"),
    "trigger prototype": _Kind(
        "triggerprototype", "triggerid", "description", {**_TRIGGER, "discover": versions.OLDEST}, "discoveryRules"
    ),
    "graph prototype": _Kind("graphprototype", "graphid", "name", _fields("discover"), "discoveryRules"),
}


def needed(changes: Iterable[Change]) -> set[str]:
    """The rules of an import that these changes need, of those that touch what is inherited."""
    kinds = {change.kind for change in changes}
    whole = any((change.action, change.kind) == ("add", "template") for change in changes)
    return {rule for rule, touched in RULES.items() if whole or kinds & touched}


@dataclass(frozen=True)
class Setting:
    """What was set on one inherited object.

    Attributes:
        kind: Zabbix's word for the object.
        name: its name.
        host: the host or template that has it.
        identity: its id.
        values: what was set, by field.
        inherited: what the template has instead.
    """

    kind: str
    name: str
    host: str
    identity: str
    values: Object
    inherited: Object

    def kept(self) -> Iterator[Kept]:
        """The lines of a plan."""
        for field, value in self.values.items():
            name = f"{self.name} on {self.host}: {field}"
            yield Kept(self.kind, name, _text(field, value), _text(field, self.inherited[field]), "")


class KeptSettings:
    """What was set on everything that inherits from a template, nearest to it first.

    Args:
        zabbix: the server.
        templateid: the template.
        rules: the rules of the import that follows.
    """

    def __init__(self, zabbix: Connection, templateid: str, rules: set[str]) -> None:
        self._zabbix = zabbix
        self.levels: list[list[Setting]] = []
        for kind, about in KINDS.items():
            if about.rule in rules:
                self._read(kind, templateid)

    def _read(self, kind: str, templateid: str) -> None:
        # The API takes the id of a template for that of a host.
        parents = {row[KINDS[kind].identity]: row for row in self._get(kind, hostids=[templateid])}
        for level in range(_DEEPEST):
            if not parents:
                break
            if len(self.levels) == level:
                self.levels.append([])
            templates: dict[str, Object] = {}
            for ids in find.pieces([*parents], _AT_ONCE):
                rows = self._get(kind, filter={"templateid": ids})
                self.levels[level] += self._set(kind, rows, parents)
                # Nothing inherits from a host.
                inherited = [row for row in rows if any(host["status"] == _TEMPLATE for host in row["hosts"])]
                templates |= {row[KINDS[kind].identity]: row for row in inherited}
            parents = templates

    def _set(self, kind: str, rows: list[Object], parents: dict[str, Object]) -> Iterator[Setting]:
        about = KINDS[kind]
        for row in rows:
            above = parents[row["templateid"]]
            own = [field for field in self._names(kind) if _value(field, row) != _value(field, above)]
            if own:
                yield Setting(
                    kind,
                    str(row[about.name]),
                    ", ".join(host["host"] for host in row["hosts"]),
                    str(row[about.identity]),
                    {field: _value(field, row) for field in own},
                    {field: _value(field, above) for field in own},
                )

    def _names(self, kind: str) -> list[str]:
        return [field for field, since in KINDS[kind].fields.items() if self._zabbix.version >= since]

    def _get(self, kind: str, **of: Any) -> list[Object]:  # noqa: ANN401  parameters of the API
        about = KINDS[kind]
        names = self._names(kind)
        output = [about.identity, about.name, "templateid", *(name for name in names if name != "tags")]
        request = {"output": output, "selectHosts": ["host", "status"], **of}
        if "tags" in names:
            request["selectTags"] = ["tag", "value"]
        rows: list[Object] = self._zabbix.call(f"{about.api}.get", request)
        return rows

    @property
    def kept(self) -> list[Kept]:
        """The lines of a plan."""
        return [kept for level in self.levels for setting in level for kept in setting.kept()]

    @property
    def names(self) -> list[str]:
        """What something was set on."""
        return [f"{setting.kind} {setting.name!r} on {setting.host!r}" for level in self.levels for setting in level]

    def restore(self) -> None:
        """Sets again what the import has reset.

        Raises:
            ServerError: Something could not be set; the error names it.
        """
        lost = []
        for level in self.levels:
            for kind, about in KINDS.items():
                settings = {setting.identity: setting for setting in level if setting.kind == kind}
                identities = about.identity
                for row in self._get(kind, **{f"{identities}s": [*settings]}) if settings else []:
                    setting = settings[row[identities]]
                    reset = {field: value for field, value in setting.values.items() if _value(field, row) != value}
                    if reset and not self._write(setting, reset):
                        lost.append(f"{kind} {setting.name!r} on {setting.host!r}")
        if lost:
            raise ServerError(
                f"Zabbix at {self._zabbix.url}: the import is done, but it has reset settings that could not be "
                f"restored: {', '.join(lost)}"
            )

    def _write(self, setting: Setting, values: Object) -> bool:
        about = KINDS[setting.kind]
        try:
            self._zabbix.call(f"{about.api}.update", {about.identity: setting.identity, **values})
        except ServerError:
            return False
        return True


_DEEPEST = 6  # levels of templates in templates
_AT_ONCE = 20  # objects whose heirs are asked for in one request: a thousand hosts have 20,000
_TEMPLATE = "3"  # Zabbix's number for a host that is a template


def _value(field: str, row: Object) -> Any:  # noqa: ANN401  text, or a list of tags
    if field != "tags":
        return row[field]
    return sorted(({"tag": tag["tag"], "value": tag["value"]} for tag in row["tags"]), key=lambda tag: [*tag.values()])


# What the API has numbers for, in the words of the front end.
_WORDS = {
    "status": ("enabled", "disabled"),
    "discover": ("discovered", "not discovered"),
    "priority": ("not classified", "information", "warning", "average", "high", "disaster"),
    "type": ("single problem", "multiple problems"),
}


def _text(field: str, value: Any) -> str:  # noqa: ANN401  as above
    if isinstance(value, list):
        return ", ".join(f"{tag['tag']}: {tag['value']}" for tag in value)
    return dict(enumerate(_WORDS.get(field, ()))).get(int(value) if str(value).isdecimal() else -1, str(value))
