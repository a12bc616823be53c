"""What `configuration.importcompare` says, change by change."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from zbx_nvidia.server import merge
from zbx_nvidia.server.plan import Change

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zbx_nvidia.server.merge import Object


def changes(difference: Object | list[Any]) -> Iterator[Change]:
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
            yield from changes(entry)


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


def _sorted(value: object) -> str:
    """What to sort by: the keys of an object have another order in an export than in our file."""
    return json.dumps(value, sort_keys=True)


def _in_steps(overrides: Any) -> list[Object]:  # noqa: ANN401  JSON
    """A rule's overrides in the order in which they are applied.

    6.0 exports them and their conditions in the order of its database, and a second import was seen to change that.
    """
    ordered = []
    for override in sorted(overrides or [], key=lambda one: int(one["step"])):
        condition = override.get("filter", {})
        conditions = sorted(condition.get("conditions", []), key=lambda one: str(one.get("formulaid", "")))
        operations = sorted(override.get("operations", []), key=_sorted)
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
                    {**widget, "fields": sorted(widget.get("fields", []), key=_sorted)}
                    for widget in page.get("widgets", [])
                ),
                key=_sorted,
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
