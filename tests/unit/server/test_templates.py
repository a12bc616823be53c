"""Templates on versions of Zabbix that cannot be had for a test: what is sent there, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.template.files import parse
from zbx_nvidia.errors import ServerError
from zbx_nvidia.server import difference, templates
from zbx_nvidia.server.connection import Credentials, connect

FILE = """
zabbix_export:
  version: '{version}'
  {groups}:
  - uuid: 7df96b18c230490a9a0a9e2307226338
    name: Templates
  templates:
  - uuid: 9651b94d6eb3476d9bd3dc7669f8243f
    template: T
    name: T
    groups:
    - name: Templates
    items:
    - uuid: d49be03d0f5a46c59ff494cf018fd51a
      name: Ours
      key: ours
"""
MINE = {"uuid": "0" * 32, "name": "Mine", "key": "mine"}


def serve(front: Any, answers: Any, version: str, *, additions: bool) -> list[dict[str, Any]]:
    """A server of that version with the template; returns the list that takes what importcompare is asked."""
    exported = {
        "version": version,
        "template_groups": [{"uuid": "7df96b18c230490a9a0a9e2307226338", "name": "Templates"}],
        "templates": [
            {
                "uuid": "9651b94d6eb3476d9bd3dc7669f8243f",
                "template": "T",
                "name": "T",
                "groups": [{"name": "Templates"}],
                "items": [
                    {"uuid": "d49be03d0f5a46c59ff494cf018fd51a", "name": "Ours", "key": "ours"},
                    *([MINE] if additions else []),
                ],
            }
        ],
    }
    compared: list[dict[str, Any]] = []

    def compare(request: dict[str, Any], _headers: object) -> Any:
        compared.append(request["params"])
        return answers["result"]([])

    front.answers |= {
        "apiinfo.version": answers["result"](f"{version}.1"),
        "templategroup.get": answers["result"]([]),
        "template.get": answers["result"](
            [{"templateid": "1", "host": "T", "name": "T", "uuid": "9651", "hosts": [], "templates": []}]
        ),
        "configuration.export": answers["result"](json.dumps({"zabbix_export": exported})),
        "configuration.importcompare": compare,
    }
    return compared


def plan(front: Any, file: str, **options: Any) -> Any:
    with connect(front.url, Credentials(token="t")) as zabbix:  # noqa: S106  of no real account
        return templates.plan_install(zabbix, parse(file), **options)


@pytest.mark.parametrize(("additions", "version"), [(False, "7.0"), (True, "7.4")])
def test_newer_dialect_is_spoken_only_where_its_objects_are_sent_back(
    front: Any, answers: Any, version: str, *, additions: bool
) -> None:
    (compared,) = [serve(front, answers, "7.4", additions=additions)]
    planned = plan(front, FILE.format(version="7.0", groups="template_groups"))
    sent = json.loads(compared[0]["source"])["zabbix_export"]
    assert sent["version"] == version
    assert [kept.name for kept in planned.kept] == (["Mine"] if additions else [])
    assert (MINE in sent["templates"][0]["items"]) == additions


def test_additions_that_6_4_would_lose_are_refused(front: Any, answers: Any) -> None:
    compared = serve(front, answers, "6.4", additions=True)
    file = FILE.format(version="6.0", groups="groups")
    with pytest.raises(ServerError, match=r"into version 6.4 would delete your additions .*: Mine: .* --prune"):
        plan(front, file)
    assert not compared
    assert plan(front, file, prune=True).changes == []
    assert compared[0]["rules"]["items"]["deleteMissing"]


@pytest.mark.parametrize(
    ("version", "key", "other"), [((6, 0), "groups", "template_groups"), ((6, 2), "template_groups", "groups")]
)
def test_import_rules(version: tuple[int, int], key: str, other: str) -> None:
    rules = templates.import_rules(version, prune=False, create_groups=True)
    assert key in rules
    assert other not in rules
    assert not any(rule.get("deleteMissing") for rule in rules.values())


@pytest.mark.parametrize(("version", "sent"), [((6, 0), True), ((6, 4), True), ((7, 0), False), ((7, 4), False)])
def test_the_rule_that_takes_a_super_admin_is_sent_only_where_it_must_be(
    version: tuple[int, int], *, sent: bool
) -> None:
    rules = templates.import_rules(version, prune=False, create_groups=False)
    assert bool(rules.keys() & {"groups", "template_groups"}) == sent


def test_template_of_the_same_name_and_other_origin_is_left_alone(front: Any, answers: Any) -> None:
    serve(front, answers, "7.0", additions=False)
    front.answers["template.get"] = lambda request, _: answers["result"](
        [] if "uuid" in request["params"]["filter"] else [{"templateid": "1", "host": "T"}]
    )
    with pytest.raises(ServerError, match="another template named"):
        plan(front, FILE.format(version="7.0", groups="template_groups"))


def override(step: str, pattern: str, *formulas: str) -> dict[str, Any]:
    conditions = [{"macro": "{#LACKS}", "value": f",{formula},", "formulaid": formula} for formula in formulas]
    return {
        "name": f"override {step}",
        "step": step,
        "filter": {"conditions": conditions},
        "operations": [{"value": pattern}],
    }


def test_another_order_of_overrides_is_no_change() -> None:
    """6.0 exports them in the order of its database."""
    before = [override("10", "c", "A"), override("2", "b", "B", "A"), override("1", "a", "A", "B")]
    after = [override("1", "a", "A", "B"), override("2", "b", "A", "B"), override("10", "c", "A")]
    rule = {"uuid": "0" * 32, "name": "GPU discovery"}

    def changes(new: list[dict[str, Any]], old: list[dict[str, Any]] = before) -> list[Any]:
        updated = {"before": {**rule, "overrides": old}, "after": {**rule, "overrides": new}}
        return list(difference.changes({"discovery_rules": {"updated": [updated]}}))

    assert changes(after) == []
    assert changes(before, after) == []
    (change,) = changes([*after[:2], override("10", "d", "A")])
    assert (change.action, change.name, change.field) == ("update", "GPU discovery", "overrides")


def test_another_order_of_the_fields_of_a_widget_is_no_change() -> None:
    """6.0 exports those of one type in the order of its database."""
    two, four = ({"type": "INTEGER", "name": "show", "value": value} for value in "24")
    places = {"type": "INTEGER", "name": "decimal_places", "value": "0"}

    def changes(old: list[dict[str, str]], new: list[dict[str, str]]) -> list[Any]:
        before, after = (
            {"name": "GPUs", "pages": [{"widgets": [{"type": "ITEM", "fields": fields}]}]} for fields in (old, new)
        )
        updated = {"before": before, "after": after}
        return list(difference.changes({"dashboards": {"updated": [updated]}}))

    assert changes([places, two, four], [two, places, four]) == []
    (change,) = changes([places, two], [places, four])
    assert (change.kind, change.field) == ("dashboard", "pages")


# What a user sees, and what cannot be read


def installed(front: Any, answers: Any, kind: int, **template: Any) -> list[str]:
    """A template of an older version on a 7.0, for a user of that type; returns the methods that write."""
    serve(front, answers, "7.0", additions=False)
    before = {"template": "T", "name": "T", "description": "Old"}
    updated = [{"before": before, "after": {**before, "description": "New"}}]
    written: list[str] = []

    def write(request: dict[str, Any], _headers: object) -> Any:
        written.append(request["method"])
        return answers["result"](True if "import" in request["method"] else {"templateids": ["1"]})

    exported = json.loads(json.loads(front.answers["configuration.export"][2])["result"])
    exported["zabbix_export"]["templates"][0] |= template
    front.answers |= {
        "user.checkAuthentication": answers["result"]({"username": "robot", "type": kind}),
        "configuration.export": answers["result"](json.dumps(exported)),
        "configuration.importcompare": answers["result"]({"templates": {"updated": updated}}),
        "configuration.import": write,
        "template.update": write,
        "template.delete": write,
    }
    return written


OURS = FILE.format(version="7.0", groups="template_groups")


def test_a_template_with_a_secret_macro_is_updated_apart(front: Any, answers: Any) -> None:
    """An import of the template itself would empty the macro."""
    secret = [{"macro": "{$MINE}", "type": "SECRET_TEXT"}]
    written = installed(front, answers, 3, macros=secret)
    there = {"templateid": "1", "host": "T", "macros": [{"hostmacroid": "8", "macro": "{$MINE}"}]}
    with connect(front.url, Credentials(token="t")) as zabbix:  # noqa: S106  of no real account
        planned = templates.plan_install(zabbix, parse(OURS))
        front.answers["template.get"] = answers["result"]([there])
        planned.apply()
    assert written == ["configuration.import", "template.update"]
    asked = {request["method"]: request["params"] for request, _ in front.requests}
    assert asked["configuration.import"]["rules"]["templates"] == {"createMissing": True}
    assert asked["template.update"]["macros"] == [{"hostmacroid": "8"}]


@pytest.mark.parametrize(("kind", "refused"), [(2, True), (3, False)])
def test_none_seen_is_none_for_a_super_admin_alone(front: Any, answers: Any, kind: int, *, refused: bool) -> None:
    written = installed(front, answers, kind)
    with connect(front.url, Credentials(token="t")) as zabbix:  # noqa: S106  as above
        planned = templates.plan_uninstall(zabbix, parse(OURS))
        assert ("hosts that this user does not see may have the template 'T'" in planned.refusal) == refused
        assert not templates.plan_uninstall(zabbix, parse(OURS), force=True).refusal
        front.answers["template.get"] = answers["result"]([])
        planned = templates.plan_uninstall(zabbix, parse(OURS))
        assert ("this user sees no template 'T', but only a Super admin sees all" in planned.refusal) == refused
    assert not written
