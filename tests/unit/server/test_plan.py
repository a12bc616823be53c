"""How a plan is shown."""

from __future__ import annotations

import json

from zbx_nvidia.server.plan import Change, Kept, Plan, as_data, as_lines


def test_nothing_changes() -> None:
    assert list(as_lines(Plan("host", "gpu01", []))) == ["host gpu01", "  nothing changes"]


def test_every_kind_of_change() -> None:
    plan = Plan(
        "template",
        "T",
        [
            Change("add", "item", "New", new="1 trigger"),
            Change("remove", "item", "Old"),
            Change("update", "item", "Same", "delay", "1m", "2m"),
            Change("update", "item", "Same", "units", "C", "W"),
        ],
        [Kept("macro", "{$M}", "7", "5", "--overwrite"), Kept("tag", "mine", "", "", "--prune")],
    )
    assert list(as_lines(plan)) == [
        "template T",
        "  + item New",
        "      1 trigger",
        "  - item Old",
        "  ~ item Same",
        "      delay: '1m' -> '2m'",
        "      units: 'C' -> 'W'",
        "  kept, as set on the server (change with --overwrite):",
        "    = macro {$M}: '7', here '5'",
        "  kept, not part of this version (change with --prune):",
        "    = tag mine",
    ]


def test_macro_set_to_nothing_is_not_shown_as_an_addition() -> None:
    lines = list(as_lines(Plan("template", "T", [], [Kept("macro", "{$M}", "", "5", "--overwrite")])))
    assert "    = macro {$M}: '', here '5'" in lines


def test_no_line_is_longer_than_a_terminal_is_wide() -> None:
    long = "x" * 200
    plan = Plan(
        "template",
        long,
        [
            Change("add", "item", long, new=" ".join(["word"] * 60)),
            Change("update", "trigger", long, "expression", long, "two\nlines " + long),
        ],
        [Kept("macro", long, long, long, "--overwrite")],
    )
    lines = list(as_lines(plan))
    assert max(map(len, lines)) == 80
    assert not any("\n" in line for line in lines)


def test_data_holds_everything() -> None:
    plan = Plan(
        "host", "h", [Change("update", "host", "h", "f", "x" * 200, "n")], [Kept("tag", "t", "", "", "--prune")], "no"
    )
    assert json.loads(json.dumps(as_data(plan))) == {
        "kind": "host",
        "name": "h",
        "changes": [{"action": "update", "kind": "host", "name": "h", "field": "f", "old": "x" * 200, "new": "n"}],
        "kept": [{"kind": "tag", "name": "t", "value": "", "own": "", "option": "--prune"}],
        "refusal": "no",
    }
