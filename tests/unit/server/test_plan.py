"""A plan as data."""

from __future__ import annotations

import json

from zbx_nvidia.server.plan import Change, Kept, Plan, as_data


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
        "notes": [],
    }
