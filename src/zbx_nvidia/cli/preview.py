"""A plan for people: first how much changes, then what, of long values only the parts that differ."""

from __future__ import annotations

import textwrap
from itertools import takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zbx_nvidia.server.plan import Change, Plan

WIDTH = 80
WORDS = {"add": "added", "update": "changed", "remove": "removed"}
SIGNS = {"add": "+", "update": "~", "remove": "-"}
KEPT = {
    "--overwrite": "as set on the server (change with --overwrite)",
    "--prune": "not part of this version (change with --prune)",
    "": "whatever the options",
}
FEW = 5  # objects that need no counts above them; places of one object that are shown without --verbose
LISTED = 20  # objects added, and changed, without --verbose; what is removed is always listed
CONTEXT = 16  # characters of a common beginning or end that stay at least
CUT = "..."


def as_lines(plan: Plan, width: int = WIDTH, *, verbose: bool = False) -> Iterator[str]:
    """The plan, no line longer than the width.

    Args:
        plan: The plan.
        width: Columns of the terminal.
        verbose: Whether to show every object, and values in full.
    """
    yield _clip(f"{plan.kind} {plan.name}", width)
    objects = _by_object(plan.changes)
    if sum(map(len, objects.values())) > FEW:
        yield from _counts(objects, width)
    for action, changed in objects.items():
        shown = list(changed) if verbose or action == "remove" else list(changed)[:LISTED]
        for kind, name in shown:
            yield _clip(f"  {SIGNS[action]} {kind} {name}", width)
            yield from _details(changed[kind, name], width, verbose=verbose)
        if len(changed) > len(shown):
            yield f"  {SIGNS[action]} and {len(changed) - len(shown)} more: --verbose lists them"
    yield from _kept(plan, width, verbose=verbose)
    for note in plan.notes:
        yield from _wrapped(note, width, " " * 8, "  note: ")
    if not plan.changes:
        yield "  nothing changes"


def _details(changes: list[Change], width: int, *, verbose: bool) -> Iterator[str]:
    for change in changes:
        if change.field:
            yield from (_in_full if verbose else _difference)(change, width)
    # What it contains, or where it is: a tag may be on a hundred items.
    contents = [change.new for change in changes if not change.field and change.new]
    shown = contents if verbose else contents[:FEW]
    for text in shown:
        yield from _wrapped(text, width, "      ")
    if len(contents) > len(shown):
        yield f"      and {len(contents) - len(shown)} more"


def _by_object(changes: list[Change]) -> dict[str, dict[tuple[str, str], list[Change]]]:
    """Action -> kind and name -> its changes."""
    by_action: dict[str, dict[tuple[str, str], list[Change]]] = {}
    for action in WORDS:
        objects: dict[tuple[str, str], list[Change]] = {}
        for change in changes:
            if change.action == action:
                objects.setdefault((change.kind, change.name), []).append(change)
        if objects:
            by_action[action] = objects
    return by_action


def _counts(objects: dict[str, dict[tuple[str, str], list[Change]]], width: int) -> Iterator[str]:
    for action, changed in objects.items():
        counts: dict[str, int] = {}
        for (kind, _), changes in changed.items():
            # The same tag on two items is added twice; two fields of an item are one change.
            counts[kind] = counts.get(kind, 0) + (1 if action == "update" else len(changes))
        text = ", ".join(f"{count} {kind}{'s' * (count != 1)}" for kind, count in counts.items())
        lead = f"  {WORDS[action]}:".ljust(12)
        yield from textwrap.wrap(lead + text, width, subsequent_indent=" " * 12)


def _difference(change: Change, width: int) -> Iterator[str]:
    """What differs in one field: on one line if it fits, else one below the other."""
    old, new = _apart(_one_line(change.old), _one_line(change.new))
    line = f"      {change.field}: {old!r} -> {new!r}"
    if len(line) <= width:
        yield line
        return
    yield f"      {change.field}:"
    yield _clip(f"        - {old}", width)
    yield _clip(f"        + {new}", width)


def _in_full(change: Change, width: int) -> Iterator[str]:
    line = f"      {change.field}: {change.old!r} -> {change.new!r}"
    if len(line) <= width:
        yield line
        return
    yield f"      {change.field}:"
    for sign, value in (("-", change.old), ("+", change.new)):
        for number, part in enumerate(value.splitlines() or [""]):
            yield from _wrapped(part, width, " " * 10, first=f"        {sign} " if not number else " " * 10)


def _apart(old: str, new: str) -> tuple[str, str]:
    """Both without a long common beginning and end; some words before and after the difference stay."""
    old, new = _without_beginning(old, new)
    old, new = _without_beginning(old[::-1], new[::-1])
    return old[::-1], new[::-1]


def _without_beginning(old: str, new: str) -> tuple[str, str]:
    common = sum(1 for _ in takewhile(lambda both: both[0] == both[1], zip(old, new, strict=False)))
    if common <= 2 * CONTEXT:
        return old, new
    start = common - CONTEXT
    # Between two words, except in a very long one.
    blank = old.rfind(" ", start - CONTEXT, start)
    start = start if blank < 0 else blank
    return CUT + old[start:], CUT + new[start:]


def _kept(plan: Plan, width: int, *, verbose: bool) -> Iterator[str]:
    for option, title in KEPT.items():
        kept = [kept for kept in plan.kept if kept.option == option]
        if kept:
            yield f"  kept, {title}:"
        # A hundred hosts may have a setting each.
        shown = kept if verbose or option else kept[:LISTED]
        for one in shown:
            values = f": {one.value!r}, here {one.own!r}" if one.value or one.own else ""
            line = f"    = {one.kind} {one.name}".rstrip() + values
            yield from _wrapped(_one_line(line).strip(), width, " " * 8, " " * 4) if verbose else [_clip(line, width)]
        if len(kept) > len(shown):
            yield f"    = and {len(kept) - len(shown)} more: --verbose lists them"


def _wrapped(text: str, width: int, indent: str, first: str = "") -> list[str]:
    return textwrap.wrap(text, width, initial_indent=first or indent, subsequent_indent=indent, break_on_hyphens=False)


def _clip(line: str, width: int) -> str:
    """The line in one row of a terminal; --json prints it in full."""
    line = _one_line(line)
    return line if len(line) <= width else line[: width - len(CUT)] + CUT


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())
