"""What counts as a change in an answer of `configuration.importcompare`."""

from __future__ import annotations

from typing import Any

from zbx_nvidia.server.difference import changes


def compared(before: Any, after: Any) -> list[Any]:
    updated = {"before": {"name": "Ours", **before}, "after": {"name": "Ours", **after}}
    return list(changes({"dashboards": {"updated": [updated]}}))


def field(name: str, value: str, *, turned: bool = False) -> dict[str, str]:
    pairs = [("type", "INTEGER"), ("name", name), ("value", value)]
    return dict(reversed(pairs) if turned else pairs)


def test_the_order_of_a_database_is_no_change() -> None:
    """6.0 gives fields, and the keys of each, in another order than the file has."""
    exported = [{"widgets": [{"type": "GRAPH", "fields": [field("rows", "2"), field("columns", "4")]}]}]
    ours = [
        {
            "widgets": [
                {"fields": [field("columns", "4", turned=True), field("rows", "2", turned=True)], "type": "GRAPH"}
            ]
        }
    ]
    assert compared({"pages": exported}, {"pages": ours}) == []


def test_another_value_is_one() -> None:
    before = [{"widgets": [{"type": "GRAPH", "fields": [field("rows", "2")]}]}]
    after = [{"widgets": [{"type": "GRAPH", "fields": [field("rows", "3")]}]}]
    (change,) = compared({"pages": before}, {"pages": after})
    assert (change.action, change.field) == ("update", "pages")
