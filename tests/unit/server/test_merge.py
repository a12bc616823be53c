"""What an update keeps of what people did to the template."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from zbx_nvidia import __version__, template
from zbx_nvidia.server import merge
from zbx_nvidia.server.plan import Kept
from zbx_nvidia.template import TEMPLATE_NAMES
from zbx_nvidia.template.releases import releases


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


# What an older release shipped


OLD = merge.Shipped(
    macros={"{$M}": "5", "{$GONE}": "1"},
    switches={"i3": {"status": "DISABLED"}},
    tags=frozenset({"class: gpu"}),
    objects=frozenset({"i1", "i2", "i3", "d1", "p1", "n1"}),
)


def test_default_that_nobody_has_changed_moves_on() -> None:
    file = document(macros=[{"macro": "{$M}", "value": "8"}], items=[item("i1", "a"), item("i3", "c")])
    server = document(
        macros=[{"macro": "{$M}", "value": "5"}],
        items=[item("i1", "a", status="DISABLED"), item("i3", "c", status="DISABLED")],
    )
    assert merge.keep_values(file, server, OLD) == [Kept("item", "A", "DISABLED", "ENABLED", "--overwrite")]
    assert file["templates"][0]["macros"][0]["value"] == "8"
    assert [one.get("status") for one in file["templates"][0]["items"]] == ["DISABLED", None]


def test_what_a_release_shipped_is_retired_and_what_a_person_added_stays() -> None:
    file = document(items=[item("i1", "a")])
    rule = {"discovery_rules": [item("d1", "rule", item_prototypes=[item("p1", "p")])]}
    server = document(
        items=[item("i1", "a"), item("i2", "b"), item("mine", "mine")],
        **rule,
        macros=[{"macro": "{$GONE}", "value": "1"}, {"macro": "{$MINE}", "value": "1"}],
        tags=[{"tag": "class", "value": "gpu"}, {"tag": "mine", "value": "x"}],
    )
    gone = merge.retired(file, server, [OLD])
    assert gone == {"i2": "items", "d1": "discovery_rules", "p1": "item_prototypes"}
    kept = merge.keep_additions(file, server, [OLD], gone)
    assert {one.name for one in kept} == {"MINE", "{$MINE}", "mine: x"}
    assert [one["key"] for one in file["templates"][0]["items"]] == ["a", "mine"]
    assert "discovery_rules" not in file["templates"][0]


@pytest.mark.parametrize(
    "mine",
    [
        {"items": [item("i2", "b", triggers=[{"uuid": "t", "name": "Mine"}])]},
        {"items": [item("i2", "b"), item("mine", "mine", master_item={"key": "b"})]},
        # One that is retired needs another one.
        {"items": [item("i2", "b"), item("i3", "c", master_item={"key": "b"}), item("m", "m", master={"key": "c"})]},
    ],
)
def test_what_somebody_needs_is_not_retired(mine: dict[str, Any]) -> None:
    assert merge.retired(document(items=[item("i1", "a")]), document(**mine), [OLD]) == {}


def test_keys_of_a_person_that_the_file_brings() -> None:
    file = document(items=[item("i1", "a"), item("i9", "new")])
    server = document(items=[item("i1", "a"), item("mine", "new")])
    assert merge.taken(file, server, [OLD]) == ["item 'NEW' (new)"]
    assert merge.taken(file, document(items=[item("i2", "new")]), [OLD]) == [], "shipped before, under another UUID"


def test_group_that_a_team_has_chosen() -> None:
    file = document()
    server = document(groups=[{"name": "Team"}])
    server["template_groups"] = [{"uuid": "g2", "name": "Team"}]
    assert merge.keep_values(file, server) == [Kept("template group", "", "Team", "Templates", "--overwrite")]
    assert file["templates"][0]["groups"] == [{"name": "Team"}]
    assert file["template_groups"] == [{"uuid": "g2", "name": "Team"}]


def test_overwrite_keeps_secrets_and_paths_of_a_vault_alone() -> None:
    names = ("{$PLAIN}", "{$SECRET}", "{$VAULT}")
    file = document(macros=[{"macro": name, "value": "5"} for name in names])
    theirs = [
        {"macro": "{$PLAIN}", "value": "7"},
        {"macro": "{$SECRET}", "type": "SECRET_TEXT"},
        {"macro": "{$VAULT}", "type": "VAULT", "value": "a:b"},
    ]
    kept = merge.keep_secrets(file, document(macros=theirs))
    assert [(one.name, one.option) for one in kept] == [("{$SECRET}", ""), ("{$VAULT}", "")]
    assert file["templates"][0]["macros"] == [{"macro": "{$PLAIN}", "value": "5"}, *theirs[1:]]
    assert merge.secret_macros(file["templates"][0]) == ["{$SECRET}"]


@pytest.mark.slow
@pytest.mark.once
def test_the_record_of_this_release_is_its_template() -> None:
    for variant, name in TEMPLATE_NAMES.items():
        shipped = releases(variant)[__version__]
        ours = template.document("7.0", variant)
        assert ours["templates"][0]["template"] == name
        assert merge.shipped(ours).objects <= set(shipped["objects"])
        assert dict(merge.shipped(ours).macros) == shipped["macros"]
