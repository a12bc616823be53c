"""The changes that a command will make on a server, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

Action = Literal["add", "update", "remove"]


@dataclass(frozen=True)
class Change:
    """One change on the server: an object added or removed, or one of its fields updated.

    Attributes:
        action: what is done.
        kind: Zabbix's word for the object: template, item prototype, macro, ...
        name: the object's name.
        field: the field that is updated; empty if the whole object is added or removed.
        old: the value now on the server.
        new: the value it gets; for an added object, what it contains.
    """

    action: Action
    kind: str
    name: str
    field: str = ""
    old: str = ""
    new: str = ""


@dataclass(frozen=True)
class Kept:
    """An object on the server that differs from what is installed, and is kept.

    Attributes:
        kind: Zabbix's word for the object.
        name: the object's name.
        value: what the server has; empty if the whole object is kept.
        own: what the option below would set.
        option: the option that would change it, --overwrite or --prune; empty if none does, as it is set on a host.
    """

    kind: str
    name: str
    value: str
    own: str
    option: str


@dataclass(frozen=True)
class Plan:
    """The changes to one template or host, and the call that makes them.

    Attributes:
        kind: template or host.
        name: its name.
        changes: what will change.
        kept: what differs and is kept.
        refusal: why the changes must not be made, and which option would allow them; empty if nothing is against them.
        apply: makes the changes.
        notes: what the user must know before that, in one line each.
        again: the same plan with what the server has now, if a run beside this one may have changed it.
    """

    kind: str
    name: str
    changes: list[Change]
    kept: list[Kept] = field(default_factory=list)
    refusal: str = ""
    apply: Callable[[], object] = field(default=lambda: None, repr=False, compare=False)
    notes: list[str] = field(default_factory=list)
    again: Callable[[], Plan] | None = field(default=None, repr=False, compare=False)


def as_data(plan: Plan) -> dict[str, Any]:
    """The plan for machines."""
    return {
        "kind": plan.kind,
        "name": plan.name,
        "changes": [vars(change) for change in plan.changes],
        "kept": [vars(kept) for kept in plan.kept],
        "refusal": plan.refusal,
        "notes": plan.notes,
    }
