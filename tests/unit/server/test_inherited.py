"""What was set on hosts, read and restored; `tests/integration` does so with every field on real servers."""

from __future__ import annotations

from typing import Any

import pytest

from zbx_nvidia.errors import ServerError
from zbx_nvidia.server import inherited
from zbx_nvidia.server.connection import Credentials, connect
from zbx_nvidia.server.plan import Change

FIELDS = dict.fromkeys(("url", "opdata", "event_name", "comments", "type", "url_name"), "")


def trigger(number: str, parent: str, host: str, status: str = "3", **fields: Any) -> dict[str, Any]:
    common = {"triggerid": number, "templateid": parent, "description": "Hot", "status": "0", "priority": "2"}
    return {**FIELDS, **common, "tags": [], "hosts": [{"host": host, "status": status}], **fields}


class Tree:
    """A template, another one that has it, and a host; what was written is in `written`."""

    def __init__(self, front: Any, answers: Any) -> None:
        self.rows = [
            trigger("1", "0", "Ours"),
            trigger("2", "1", "Company", priority="4"),
            trigger("3", "2", "gpu01", "0", priority="4", comments="mine", tags=[{"tag": "a", "value": "b"}]),
        ]
        self.written: list[dict[str, Any]] = []
        self.result, self.error = answers["result"], answers["error"]
        front.answers["trigger.get"] = self.get
        front.answers["trigger.update"] = self.update

    def get(self, request: dict[str, Any], _headers: object) -> Any:
        asked = request["params"]
        if "hostids" in asked:
            return self.result(self.rows[:1])
        key, wanted = (
            ("triggerid", asked["triggerids"])
            if "triggerids" in asked
            else ("templateid", asked["filter"]["templateid"])
        )
        return self.result([row for row in self.rows if row[key] in wanted])

    def update(self, request: dict[str, Any], _headers: object) -> Any:
        self.written.append(request["params"])
        return self.result({"triggerids": [request["params"]["triggerid"]]})


def test_what_was_set_is_named_and_restored_level_by_level(front: Any, answers: Any) -> None:
    tree = Tree(front, answers)
    with connect(front.url, Credentials(token="t")) as zabbix:  # noqa: S106  of no real account
        settings = inherited.KeptSettings(zabbix, "10", {"triggers"})
        assert [(kept.name, kept.value, kept.own) for kept in settings.kept] == [
            ("Hot on Company: priority", "high", "warning"),
            ("Hot on gpu01: comments", "mine", ""),
            ("Hot on gpu01: tags", "a: b", ""),
        ]
        settings.restore()
        assert not tree.written, "nothing was reset"
        tree.rows[1] |= {"priority": "2"}
        tree.rows[2] |= {"priority": "2", "comments": "", "tags": []}
        settings.restore()
    assert tree.written == [
        {"triggerid": "2", "priority": "4"},
        {"triggerid": "3", "comments": "mine", "tags": [{"tag": "a", "value": "b"}]},
    ]


def test_what_cannot_be_restored_is_named(front: Any, answers: Any) -> None:
    tree = Tree(front, answers)
    with connect(front.url, Credentials(token="t")) as zabbix:  # noqa: S106  as above
        settings = inherited.KeptSettings(zabbix, "10", {"triggers"})
        tree.rows[1] |= {"priority": "2"}
        front.answers["trigger.update"] = answers["error"]("No permissions.")
        with pytest.raises(ServerError, match="could not be restored: trigger 'Hot' on 'Company'"):
            settings.restore()


@pytest.mark.parametrize(
    ("kind", "rules"),
    [
        ("macro", set()),
        ("dashboard", set()),
        ("item", {"items"}),
        ("trigger tag", {"triggers"}),
        ("graph prototype", {"discoveryRules"}),
    ],
)
def test_rules_that_a_change_needs(kind: str, rules: set[str]) -> None:
    assert inherited.needed([Change("update", kind, "x", "f")]) == rules
    assert inherited.needed([Change("add", "template", "x")]) == set(inherited.RULES)
