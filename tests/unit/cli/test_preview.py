"""How a plan is shown."""

from __future__ import annotations

import pytest

from zbx_nvidia.cli.preview import LISTED, as_lines
from zbx_nvidia.server.plan import Change, Kept, Plan

HEAT = (
    "The GPU is 5 °C below the temperature at which the driver slows it down. Check the fans and the air flow of the "
    "host first. If the load is new, lower the power limit with nvidia-smi -pl, or raise {} for this host. The alert "
    "ends when the temperature is 5 °C lower."
)
# An update of the template, as importcompare reports it.
UPDATE = Plan(
    "template",
    "NVIDIA GPU by Zabbix agent",
    [
        Change("update", "template", "NVIDIA GPU by Zabbix agent", "vendor", '{"version": "1"}', '{"version": "2"}'),
        Change("add", "macro", "{$NVIDIA.NEW}", new="on NVIDIA GPU by Zabbix agent"),
        Change("update", "discovery rule", "GPU discovery", "delay", "0", "1h"),
        *(
            Change("add", "item prototype", f"GPU [{{#NAME}}]: Reading {number}", new="1 trigger prototype")
            for number in range(LISTED + 5)
        ),
        Change(
            "update",
            "trigger prototype",
            "GPU [{#NAME}]: Hot",
            "description",
            HEAT.format("{$NVIDIA.TEMP.MARGIN}"),
            HEAT.format("{$NVIDIA.TEMP.DISTANCE}"),
        ),
        Change("update", "trigger prototype", "GPU [{#NAME}]: Hot", "priority", "WARNING", "HIGH"),
        *(Change("remove", "item", f"NVIDIA: Old {number}") for number in range(LISTED + 1)),
    ],
    [Kept("macro", "{$NVIDIA.INTERVAL}", "10s", "1m", "--overwrite")],
)


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
        "  ~ item Same",
        "      delay: '1m' -> '2m'",
        "      units: 'C' -> 'W'",
        "  - item Old",
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


def test_counts_come_first_then_what_differs() -> None:
    lines = list(as_lines(UPDATE))
    assert lines[:5] == [
        "template NVIDIA GPU by Zabbix agent",
        "  added:    1 macro, 25 item prototypes",
        "  changed:  1 template, 1 discovery rule, 1 trigger prototype",
        "  removed:  21 items",
        "  + macro {$NVIDIA.NEW}",
    ]
    at = lines.index("  ~ trigger prototype GPU [{#NAME}]: Hot")
    assert lines[at + 1 : at + 5] == [
        "      description:",
        "        - ... raise {$NVIDIA.TEMP.MARGIN} for this host. ...",
        "        + ... raise {$NVIDIA.TEMP.DISTANCE} for this host. ...",
        "      priority: 'WARNING' -> 'HIGH'",
    ]
    # What is added can be looked up later; what is removed cannot.
    assert "  + and 6 more: --verbose lists them" in lines
    assert sum(line.startswith("  - item NVIDIA: Old ") for line in lines) == LISTED + 1


def test_tag_that_many_items_get_is_shown_once() -> None:
    plan = Plan("template", "T", [Change("add", "item tag", "a: b", new=f"on item {number}") for number in range(8)])
    lines = list(as_lines(plan))
    assert lines[1:] == ["  + item tag a: b", *(f"      on item {number}" for number in range(5)), "      and 3 more"]
    assert list(as_lines(plan, verbose=True))[-1] == "      on item 7"


def test_wide_terminal_shows_a_difference_in_one_line() -> None:
    lines = list(as_lines(UPDATE, 160))
    old, new = (f"... raise {{$NVIDIA.TEMP.{word}}} for this host. ..." for word in ("MARGIN", "DISTANCE"))
    assert f"      description: {old!r} -> {new!r}" in lines


def test_verbose_shows_everything() -> None:
    lines = list(as_lines(UPDATE, verbose=True))
    assert sum(line.startswith("  + item prototype ") for line in lines) == LISTED + 5
    assert max(map(len, lines)) <= 80
    text = " ".join(" ".join(lines).split())
    assert f"- {HEAT.format('{$NVIDIA.TEMP.MARGIN}')} + {HEAT.format('{$NVIDIA.TEMP.DISTANCE}')}" in text
    assert not [line for line in lines if "..." in line]
    assert lines[-1] == "    = macro {$NVIDIA.INTERVAL}: '10s', here '1m'"


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ("1m", "2m", "'1m' -> '2m'"),
        ("", "W", "'' -> 'W'"),
        ("the words of one sentence, which stay as they are", "", None),
        ("a" * 50 + "b", "a" * 50 + "c", f"'...{'a' * 16}b' -> '...{'a' * 16}c'"),
        ("x" + " word" * 20, "y" + " word" * 20, "'x word word word word ...' -> 'y word word word word ...'"),
    ],
)
def test_only_long_common_parts_are_cut(old: str, new: str, shown: str | None) -> None:
    lines = list(as_lines(Plan("template", "T", [Change("update", "item", "I", "field", old, new)]), 160))
    assert lines[2:] == [f"      field: {shown or f'{old!r} -> {new!r}'}"]


def test_settings_of_many_hosts_are_cut() -> None:
    kept = [Kept("trigger", f"Hot on gpu{number}: status", "disabled", "enabled", "") for number in range(30)]
    plan = Plan("template", "T", [], kept, notes=["on hosts that this user does not see, Zabbix resets what was set"])
    lines = list(as_lines(plan, 80))
    assert "  kept, whatever the options:" in lines
    assert "    = trigger Hot on gpu0: status: 'disabled', here 'enabled'" in lines
    assert "    = and 10 more: --verbose lists them" in lines
    assert "  note: on hosts that this user does not see, Zabbix resets what was set" in lines
    assert max(map(len, lines)) <= 80
    assert "    = trigger Hot on gpu29: status: 'disabled', here 'enabled'" in list(as_lines(plan, 80, verbose=True))
