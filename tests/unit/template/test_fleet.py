"""The fleet dashboard; `tests/integration/test_monitoring.py` looks at it in a browser."""

from __future__ import annotations

import pytest

from zbx_nvidia.template import fleet


@pytest.mark.parametrize(("series", "column"), [("6.0", "{field}.1"), ("7.0", "1.{field}")])
def test_hosts_are_ranked_by_number(series: str, column: str) -> None:
    """6.0 takes a column with neither bar nor colors for text, and shows the coldest hosts as the hottest."""
    (page,) = fleet.pages(series, ["1"])
    rankings = [widget for widget in page["widgets"] if widget["type"] == "tophosts"]
    assert len(rankings) == 4
    for widget in rankings:
        fields = {field["name"]: field["value"] for field in widget["fields"]}
        is_bar = fields["columns." + column.format(field="display")] == "2"
        assert is_bar or "columnsthresholds." + column.format(field="color") + ".0" in fields, widget["name"]


def test_power_has_a_decimal() -> None:
    """Zabbix divides by 1000: 1,600 W would be 2 KW."""
    (page,) = fleet.pages("7.0", ["1"])
    decimals = {
        widget["name"]: field["value"]
        for widget in page["widgets"]
        for field in widget["fields"]
        if field["name"].endswith("decimal_places")
    }
    assert {title for title, value in decimals.items() if value == "1"} == {
        "Hosts by power draw", "Power draw, all hosts"
    }  # fmt: skip
    assert decimals["GPUs present, all hosts"] == decimals["Busiest hosts"] == "0"
