"""What an update keeps of what people did to the template."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from zbx_nvidia.server import merge
from zbx_nvidia.server.plan import Kept


def document(**template: Any) -> dict[str, Any]:
    return {
        "version": "7.0",
        "template_groups": [{"uuid": "g1", "name": "Templates"}],
        "templates": [{"uuid": "t1", "template": "T", "name": "T", "groups": [{"name": "Templates"}], **template}],
    }


def item(uuid: str, key: str, **more: Any) -> dict[str, Any]:
    return {"uuid": uuid, "name": key.upper(), "key": key, **more}


def test_value_of_a_macro_is_the_servers_and_its_description_the_files() -> None:
    file = document(macros=[{"macro": "{$M}", "value": "5", "description": "new"}])
    server = document(macros=[{"macro": "{$M}", "value": "7", "description": "old"}])
    assert merge.keep_values(file, server) == [Kept("macro", "{$M}", "7", "5", "--overwrite")]
    assert file["templates"][0]["macros"] == [{"macro": "{$M}", "value": "7", "description": "new"}]


def test_macro_that_the_server_does_not_have_gets_the_files_value() -> None:
    file = document(macros=[{"macro": "{$M}", "value": "5"}])
    assert merge.keep_values(file, document()) == []
    assert file["templates"][0]["macros"] == [{"macro": "{$M}", "value": "5"}]


def test_secret_value_is_not_guessed() -> None:
    file = document(macros=[{"macro": "{$M}", "value": "5"}])
    server = document(macros=[{"macro": "{$M}", "type": "SECRET_TEXT"}])
    assert merge.keep_values(file, server) == [Kept("macro", "{$M}", "(secret)", "5", "--overwrite")]
    assert file["templates"][0]["macros"] == [{"macro": "{$M}", "type": "SECRET_TEXT"}]


@pytest.mark.parametrize(
    ("section", "nested"),
    [("items", "triggers"), ("discovery_rules", "item_prototypes"), ("discovery_rules", "trigger_prototypes")],
)
def test_what_is_disabled_on_the_server_stays_disabled(section: str, nested: str) -> None:
    def both(**state: str) -> dict[str, Any]:
        return document(**{section: [item("i1", "a", **{nested: [{"uuid": "n1", "name": "N", **state}]})]})

    file = both()
    kept = merge.keep_values(file, both(status="DISABLED"))
    assert kept == [Kept(merge.kind(nested), "N", "DISABLED", "ENABLED", "--overwrite")]
    assert file["templates"][0][section][0][nested][0]["status"] == "DISABLED"


def test_triggers_beside_the_template_keep_their_switch_too() -> None:
    file = {**document(), "triggers": [{"uuid": "x", "name": "X", "expression": "1"}]}
    server = copy.deepcopy(file)
    server["triggers"][0]["status"] = "DISABLED"
    assert [kept.name for kept in merge.keep_values(file, server)] == ["X"]
    assert file["triggers"][0]["status"] == "DISABLED"


def test_everything_added_stays() -> None:
    file = document(
        items=[item("i1", "a")],
        discovery_rules=[item("r1", "r", item_prototypes=[item("p1", "p")])],
        macros=[{"macro": "{$B}", "value": ""}],
    )
    server = document(
        items=[item("i1", "a", triggers=[{"uuid": "x1", "name": "X", "expression": "1"}]), item("i2", "b")],
        discovery_rules=[item("r1", "r", item_prototypes=[item("p1", "p"), item("p2", "q")])],
        macros=[{"macro": "{$A}", "value": ""}, {"macro": "{$B}", "value": ""}],
        tags=[{"tag": "mine", "value": "x"}],
        dashboards=[{"uuid": "d1", "name": "D"}],
    )
    server["graphs"] = [{"uuid": "g9", "name": "G"}]
    server["template_groups"].append({"uuid": "g2", "name": "Mine"})
    server["templates"][0]["groups"].append({"name": "Mine"})
    kept = merge.keep_additions(file, server)
    assert {(one.kind, one.name) for one in kept} == {
        ("trigger", "X"),
        ("item", "B"),
        ("item prototype", "Q"),
        ("macro", "{$A}"),
        ("tag", "mine: x"),
        ("template group", "Mine"),
        ("dashboard", "D"),
        ("graph", "G"),
    }
    assert {one.option for one in kept} == {"--prune"}
    by_name = {
        section: sorted(map(str, found)) for section, found in server["templates"][0].items() if found is not None
    }
    assert by_name == {section: sorted(map(str, found)) for section, found in file["templates"][0].items()}
    assert file["graphs"] == server["graphs"]


def test_lists_that_are_compared_by_order_are_sorted() -> None:
    file = document(macros=[{"macro": "{$B}", "value": ""}], tags=[{"tag": "z", "value": ""}])
    server = document(
        macros=[{"macro": "{$A}", "value": ""}], tags=[{"tag": "a", "value": "2"}, {"tag": "a", "value": "1"}]
    )
    merge.keep_additions(file, server)
    assert [macro["macro"] for macro in file["templates"][0]["macros"]] == ["{$A}", "{$B}"]
    assert [(tag["tag"], tag["value"]) for tag in file["templates"][0]["tags"]] == [("a", "1"), ("a", "2"), ("z", "")]


def test_object_that_moved_or_was_made_again_is_not_taken_twice() -> None:
    trigger = {"uuid": "x1", "name": "X", "expression": "1"}
    file = {**document(items=[item("i1", "a")]), "triggers": [trigger]}
    server = document(items=[item("other", "a"), item("i1", "a", triggers=[trigger])])
    assert merge.keep_additions(file, server) == []
    assert file["templates"][0]["items"] == [item("i1", "a")]
